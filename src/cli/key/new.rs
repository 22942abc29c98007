//! `tollgate key new`: a fresh virtual key, shown once, and the lines that make it valid.
//!
//! It deliberately touches no file: for configurations that are kept elsewhere. `key create` writes the lines itself.

use clap::Args;
use zeroize::Zeroizing;

use super::{create, entry};
use crate::snapshot::key;

/// Make a key: prints it once, and the [[key]] entry to paste into the configuration.
///
/// Example: tollgate key new --name alice-laptop --owner alice --team core
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct New {
    /// The key's name: a label in logs and refusals.
    #[arg(long)]
    name: String,
    /// The developer it belongs to.
    #[arg(long)]
    owner: Option<String>,
    /// The team it belongs to.
    #[arg(long)]
    team: Option<String>,
}

pub fn run(new: &New) -> Result<(), String> {
    let New { name, owner, team } = new;
    create::usable(name, owner.as_deref(), team.as_deref())?;
    let fresh = key::generate().map_err(|e| e.to_string())?;
    let (owner, team) = (owner.as_deref(), team.as_deref());
    let lines = entry::lines(&entry::Fields { name, owner, team, ..entry::Fields::default() }, &fresh.digest_hex());
    let text = Zeroizing::new(format!(
        "{}\n\n# The key above is shown once. Give it to its owner, and paste this into the configuration:\n{lines}",
        fresh.expose(),
    ));
    crate::cli::say(&text);
    Ok(())
}

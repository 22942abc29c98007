//! `tollgate key revoke`: takes a key, and what it was before, out of the configuration.

use clap::Args;

use super::file::ConfigFile;
use super::{Where, entry, names, position};

/// Take a key out of the configuration: it stops working.
///
/// Example: tollgate key revoke alice-laptop --config /etc/tollgate/tollgate.toml
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Revoke {
    /// The key's name, as `tollgate key list` shows it.
    name: String,
    #[command(flatten)]
    place: Where,
}

pub fn run(revoke: &Revoke) -> Result<(), String> {
    let file = ConfigFile::open(&revoke.place.path()?)?;
    let config = super::read(&file)?;
    let index = position(&config, &revoke.name)?;
    if config.key.len() == 1 {
        return Err(format!(
            "{} is the only key, and a configuration without one is refused\n  hint: make the key that takes its place first: `tollgate key create --name NAME`",
            revoke.name
        ));
    }
    let text = entry::remove(file.text(), index)?;
    let named = file.named().to_owned();
    let mut names = names(&config);
    names.remove(index);
    file.replace(&text, &names)?;
    eprintln!("key {} is out of {}; a running gateway refuses it within seconds", revoke.name, named.display());
    Ok(())
}

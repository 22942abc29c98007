//! `tollgate key new`: a fresh virtual key, shown once, and the lines that make it valid.
//!
//! Invariant: the key itself goes to standard output only and is kept nowhere; the configuration holds its SHA-256.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use crate::config;
use crate::snapshot::key;

/// Arguments of `key`.
#[derive(Debug, Clone, Args)]
pub struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Make a key: prints it once, and the [[key]] entry to paste into the configuration.
    ///
    /// Example: tollgate key new --name alice-laptop --owner alice --team core
    New {
        /// The key's name: a label in logs and refusals.
        #[arg(long)]
        name: String,
        /// The developer it belongs to.
        #[arg(long)]
        owner: Option<String>,
        /// The team it belongs to.
        #[arg(long)]
        team: Option<String>,
    },
}

/// Runs the command.
#[must_use]
pub fn run(key: &Key) -> ExitCode {
    let Command::New { name, owner, team } = &key.command;
    let fields = [("name", Some(name)), ("owner", owner.as_ref()), ("team", team.as_ref())];
    for (field, value) in fields {
        if let Some(wrong) = value.and_then(|value| config::name_fault(value)) {
            eprintln!("error: --{field} cannot be used in a configuration: {wrong}");
            return ExitCode::FAILURE;
        }
    }
    let fresh = match key::generate() {
        Ok(fresh) => fresh,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut text = Zeroizing::new(format!(
        "{}\n\n# The key above is shown once. Give it to its owner, and paste this into the configuration:\n[[key]]\n",
        fresh.expose()
    ));
    for (field, value) in fields {
        if let Some(value) = value {
            // A TOML basic string escapes like JSON.
            text.push_str(&format!("{field} = {}\n", serde_json::Value::from(value.as_str())));
        }
    }
    text.push_str(&format!("sha256 = \"{}\"", fresh.digest_hex()));
    super::say(&text);
    ExitCode::SUCCESS
}

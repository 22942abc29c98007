//! `tollgate key new`: a fresh virtual key, shown once, and the lines that make it valid.
//!
//! Invariant: the key itself goes to standard output only and is kept nowhere; the configuration holds its SHA-256.

use std::process::ExitCode;

use clap::{Args, Subcommand};

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
    let fresh = match key::generate() {
        Ok(fresh) => fresh,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", fresh.expose());
    println!();
    println!("# The key above is shown once. Give it to its owner, and paste this into the configuration:");
    println!("[[key]]");
    // A TOML basic string escapes like JSON.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    println!("name = {}", quoted(name));
    for (field, value) in [("owner", owner), ("team", team)] {
        if let Some(value) = value {
            println!("{field} = {}", quoted(value));
        }
    }
    println!("sha256 = \"{}\"", fresh.digest_hex());
    ExitCode::SUCCESS
}

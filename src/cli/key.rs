//! `tollgate key …`: virtual keys, made, listed, revoked and rotated in the configuration file.
//!
//! Invariant: a key goes to standard output once and is kept nowhere; the file holds its SHA-256, and is only ever replaced
//! by one that `tollgate check` accepts ([`file`]). What is changed is only the lines of the key in question ([`entry`]). A
//! running gateway is not told: it follows the file by itself.

mod create;
mod entry;
mod file;
mod list;
mod new;
mod revoke;
mod rotate;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::config::schema::Config;
use crate::config::{self, problem::Source, shape};
use crate::snapshot::key::VirtualKey;

/// Arguments of `key`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tollgate key create --name alice-laptop --owner alice --team core
  tollgate key list
  tollgate key rotate alice-laptop --grace 24h
  tollgate key revoke alice-laptop

A running gateway follows the configuration by itself. `tollgate key create --help` and so on show more.")]
pub struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    Create(create::Create),
    List(list::List),
    Revoke(revoke::Revoke),
    Rotate(rotate::Rotate),
    New(new::New),
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
struct Where {
    /// The configuration. Default: where `serve` looks for it.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command: exit code 1, and why on standard error, if it could not be done.
#[must_use]
pub fn run(key: &Key) -> ExitCode {
    let done = match &key.command {
        Command::Create(create) => create::run(create),
        Command::List(list) => list::run(list),
        Command::Revoke(revoke) => revoke::run(revoke),
        Command::Rotate(rotate) => rotate::run(rotate),
        Command::New(new) => new::run(new),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {}", why.trim_end());
            ExitCode::FAILURE
        }
    }
}

impl Where {
    fn path(&self) -> Result<PathBuf, String> {
        config::search(self.config.as_deref(), &config::process_env).ok_or_else(|| {
            "no configuration was found\n  hint: name one with --config FILE; samples are in config/".to_owned()
        })
    }
}

/// Prints a key that is in the file by now. Unlike what else is printed it must not get lost unnoticed.
fn hand_out(name: &str, key: &VirtualKey, json: Option<&serde_json::Value>) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let written = match json {
        Some(json) => writeln!(out, "{json:#}"),
        None => writeln!(out, "{}", key.expose()),
    };
    written.and_then(|()| out.flush()).map_err(|e| {
        format!("the key is in the configuration, but could not be printed: {e}\n  hint: `tollgate key rotate --grace 0s {name}` makes another")
    })
}

/// What the file says, as far as the schema goes.
fn read(file: &file::ConfigFile) -> Result<Config, String> {
    shape::read(&Source::new(file.named(), file.text())).map_err(|misfit| {
        let problems: Vec<String> = misfit.problems.iter().map(|(_, problem)| problem.to_string()).collect();
        format!("the configuration cannot be read:\n{}", problems.join("\n"))
    })
}

/// The names of all keys, in the order of the file.
fn names(config: &Config) -> Vec<&str> {
    config.key.iter().map(|key| key.value.name.as_str()).collect()
}

/// Where in the list of keys a name is.
fn position(config: &Config, name: &str) -> Result<usize, String> {
    let names = names(config);
    names.iter().position(|other| *other == name).ok_or_else(|| {
        let hint = match config::problem::nearest(name, names) {
            Some(near) => format!("did you mean {near}?"),
            None => "`tollgate key list` shows all".to_owned(),
        };
        format!("no key is named {name}\n  hint: {hint}")
    })
}

/// Enough of a digest to tell keys apart, too little to look for one.
fn fingerprint(sha256: &str) -> String {
    sha256.chars().take(8).collect::<String>().to_lowercase()
}

/// RFC 3339, UTC.
fn moment(seconds: u64) -> Result<String, String> {
    let moment = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    moment.map(|moment| moment.to_string()).ok_or_else(|| "that is beyond the year 9999".to_owned())
}

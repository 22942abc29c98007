//! `tollgate usage`: what was used and what it cost, by whatever is asked.
//!
//! Reads the database that a gateway writes, also while it does; changes nothing. Invariant: money is exact to the
//! pico-dollar in `--json` and `--csv`, and rounded only for people; what is estimated is told apart everywhere.

mod shown;
mod span;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::config::{self, problem};
use crate::store::Failure;
use crate::store::report::{By, Query, Wrong, ask};
use crate::telemetry::clock;

/// Between two looks of `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// Arguments of `usage`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tollgate usage                                  all there is, by team and agent
  tollgate usage --by day,team --last 7d          today and the six days before, UTC
  tollgate usage --by model --team core --since 2026-11-01
  tollgate usage --by session --key alice-laptop --last 24h
  tollgate usage --by agent --watch
  tollgate usage --by owner --json | jq '.rows[] | {owner, cost_pico}'

Costs are in US dollars. Calls for which the provider told no usage are estimated: their cost stands apart (EXACT and ESTIMATED
add up to COST). Attempts that failed are numbered and not charged. What was used last is there within a second.")]
pub struct Usage {
    /// What to tell usage apart by, in this order: day, hour, key, owner, team, organisation, agent, provider, model,
    /// session, user. Default: team,agent.
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',', value_parser = by)]
    by: Vec<By>,
    /// From this day or hour on, UTC: 2026-11-01, or 2026-11-01T09:00Z.
    #[arg(long, value_name = "WHEN", conflicts_with = "last", value_parser = span::moment)]
    since: Option<i64>,
    /// Before this day or hour, UTC.
    #[arg(long, value_name = "WHEN", conflicts_with = "last", value_parser = span::moment)]
    until: Option<i64>,
    /// The last hours (24h), days (7d) or weeks (4w) up to now, in whole ones.
    #[arg(long, value_name = "SPAN", value_parser = span::span)]
    last: Option<span::Span>,
    /// Only of this key.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Only of this owner.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only of this team; "" is none.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Only of this organisation.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Only of this agent.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only of this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only of this model, as the provider calls it.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only of this session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only of whom this user claim names.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print one JSON object; money as text, exact in `…_pico`.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values; money in pico-dollars.
    #[arg(long)]
    csv: bool,
    /// Show it again every two seconds.
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    watch: bool,
    /// The configuration, for where usage is kept. Default: where `serve` looks for it.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn by(word: &str) -> Result<By, String> {
    let names = By::ALL.map(By::name);
    By::ALL.into_iter().find(|by| by.name() == word.trim()).ok_or_else(|| match problem::nearest(word, names) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("it is none of {}", names.join(", ")),
    })
}

/// Runs the command: exit code 1, and why on standard error, if it could not be done.
#[must_use]
pub fn run(usage: &Usage) -> ExitCode {
    match show(usage) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {}", why.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn show(usage: &Usage) -> Result<(), String> {
    let database = database(usage)?;
    loop {
        let query = query(usage)?;
        let lines = ask(&database, &query).map_err(|wrong| worded(&wrong, &database))?;
        let text = match (usage.json, usage.csv) {
            (true, _) => shown::json(&query, &lines)?,
            (_, true) => shown::csv(&query, &lines),
            _ => shown::table(&query, &lines),
        };
        if !usage.watch {
            crate::cli::say(&text);
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        // The cursor home, then what stood there before is wiped; a file gets one table after another.
        let clear = if out.is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        if writeln!(out, "{clear}{}", text.trim_end()).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        drop(out);
        std::thread::sleep(EVERY);
    }
}

fn database(usage: &Usage) -> Result<PathBuf, String> {
    let found = config::search(usage.config.as_deref(), &config::process_env);
    let (file, text) = match found {
        Some(file) => {
            let text = std::fs::read_to_string(&file)
                .map_err(|e| format!("the configuration {} cannot be read: {e}", file.display()))?;
            (file, text)
        }
        // Served without one: then it is where that keeps it.
        None => (PathBuf::new(), "version = 1\n".to_owned()),
    };
    let ledger = config::ledger_of(&file, &text, &config::process_env)
        .map_err(|problems| format!("the configuration cannot be read:\n{problems}"))?;
    ledger.database.ok_or_else(|| {
        "no place is named where usage is kept\n  hint: set ledger.path in the configuration, or $XDG_STATE_HOME"
            .to_owned()
    })
}

fn query(usage: &Usage) -> Result<Query, String> {
    let by = if usage.by.is_empty() { vec![By::Team, By::Agent] } else { usage.by.clone() };
    for (at, one) in by.iter().enumerate() {
        if by[..at].contains(one) {
            return Err(format!("--by names {} twice", one.name()));
        }
    }
    let filters = [
        (By::Key, &usage.key),
        (By::Owner, &usage.owner),
        (By::Team, &usage.team),
        (By::Organisation, &usage.organisation),
        (By::Agent, &usage.agent),
        (By::Provider, &usage.provider),
        (By::Model, &usage.model),
        (By::Session, &usage.session),
        (By::User, &usage.user),
    ];
    let only = filters.into_iter().filter_map(|(by, name)| Some((by, name.clone()?))).collect();
    let now = i64::try_from(clock::since_epoch().as_millis()).unwrap_or(i64::MAX);
    let (from, to) = match usage.last {
        Some(span) => (Some(span.begin(now)), None),
        None => (usage.since, usage.until),
    };
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err("--since is not before --until".to_owned());
    }
    Ok(Query { by, from, to, only })
}

fn worded(wrong: &Wrong, database: &std::path::Path) -> String {
    let file = database.display();
    match wrong {
        Wrong::Unknown(by, name) => format!("nothing was ever used by {} {name:?}", article(*by)),
        Wrong::Failure(_) if !database.exists() => {
            format!(
                "nothing is recorded yet: there is no {file}\n  hint: `tollgate usage --config FILE` looks where that says"
            )
        }
        Wrong::Failure(failure @ Failure::Version(_)) => format!("{file}: {failure}"),
        Wrong::Failure(failure) => format!("the usage database {file} cannot be read: {failure}"),
    }
}

fn article(by: By) -> String {
    let article = if by.name().starts_with(['a', 'o', 'h']) { "an" } else { "a" };
    format!("{article} {}", by.name())
}

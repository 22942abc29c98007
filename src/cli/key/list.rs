//! `tollgate key list`: who has a key, for what, and whether it works now.
//!
//! It reads the file as it is written and needs no secret's value, so it works on a machine that has none of them.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::file::ConfigFile;
use super::{Where, fingerprint};
use crate::config::schema::Key;
use crate::telemetry::clock;

/// List the keys of the configuration; never a key itself.
///
/// Examples:
///   tollgate key list
///   tollgate key list --json | jq -r '.[] | select(.state == "expired") | .name'
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct List {
    #[command(flatten)]
    place: Where,
    /// Print a JSON array instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    owner: Option<String>,
    team: Option<String>,
    agents: Vec<&'static str>,
    models: Vec<String>,
    expires: Option<String>,
    state: State,
    /// The first digits of its SHA-256; none for a key that stands elsewhere.
    fingerprint: Option<String>,
    /// Earlier keys that a rotation left working for a while.
    previous: Vec<Earlier>,
}

#[derive(Debug, Serialize)]
struct Earlier {
    fingerprint: String,
    until: String,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Active,
    Expired,
}

impl State {
    const fn at(now: u64, end: Option<u64>) -> Self {
        match end {
            Some(end) if end <= now => Self::Expired,
            _ => Self::Active,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

pub fn run(list: &List) -> Result<(), String> {
    let file = ConfigFile::look(&list.place.path()?)?;
    let config = super::read(&file)?;
    let now = clock::since_epoch().as_secs();
    let rows: Vec<Row> = config.key.iter().map(|key| row(&key.value, now)).collect();
    if list.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|e| e.to_string())?;
        crate::cli::say(&text);
    } else {
        crate::cli::say(&table(&rows));
    }
    Ok(())
}

fn row(key: &Key, now: u64) -> Row {
    let expires = key.expires.as_ref();
    // An earlier key ends with its name, however long its grace.
    let end = |until: u64| Some(expires.map_or(until, |expires| expires.seconds.min(until)));
    Row {
        name: key.name.value.clone(),
        owner: key.owner.as_ref().map(|owner| owner.value.clone()),
        team: key.team.as_ref().map(|team| team.value.clone()),
        agents: key.agents.iter().map(|agent| crate::config::agent(agent.value).name()).collect(),
        models: key.models.iter().map(|model| model.value.clone()).collect(),
        expires: expires.map(|expires| expires.text.to_string()),
        state: State::at(now, expires.map(|expires| expires.seconds)),
        fingerprint: key.sha256.as_ref().map(|sha256| fingerprint(sha256)),
        previous: key
            .previous
            .iter()
            .map(|earlier| Earlier {
                fingerprint: fingerprint(&earlier.value.sha256),
                until: earlier.value.until.text.to_string(),
                state: State::at(now, end(earlier.value.until.seconds)),
            })
            .collect(),
    }
}

/// For people: as wide as its widest cells, absent values as a dash.
fn table(rows: &[Row]) -> String {
    let any = |words: String| if words.is_empty() { "any".to_owned() } else { words };
    let dash = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
    let heads = ["NAME", "OWNER", "TEAM", "AGENTS", "MODELS", "EXPIRES", "FINGERPRINT", "STATE"].map(str::to_owned);
    let mut cells = vec![heads];
    for row in rows {
        let mut state = row.state.name().to_owned();
        for earlier in row.previous.iter().filter(|earlier| earlier.state == State::Active) {
            let _ = write!(state, ", {} works until {}", earlier.fingerprint, earlier.until);
        }
        cells.push([
            row.name.clone(),
            dash(&row.owner),
            dash(&row.team),
            any(row.agents.join(",")),
            any(row.models.join(",")),
            row.expires.clone().unwrap_or_else(|| "never".to_owned()),
            dash(&row.fingerprint),
            state,
        ]);
    }
    // Nothing has checked the file: what a terminal would obey is shown as what it is.
    for cell in cells.iter_mut().flatten() {
        if cell.chars().any(char::is_control) {
            *cell = cell.escape_debug().to_string();
        }
    }
    let mut widths = [0; 8];
    for line in &cells {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for line in &cells {
        let padded: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", padded.join("  ").trim_end());
    }
    out
}

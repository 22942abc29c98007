//! `tollgate key create`: a fresh virtual key, shown once, and its entry at the end of the configuration.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::file::ConfigFile;
use super::{Where, entry, fingerprint, hand_out, names};
use crate::agent::Agent;
use crate::config;
use crate::config::units::Expiry;
use crate::snapshot::key;
use crate::snapshot::routes::Pattern;
use crate::telemetry::clock;

/// Make a key and add it to the configuration; the key is printed once.
///
/// The key is the only thing on standard output, so it can be piped to where it belongs.
///
/// Examples:
///   tollgate key create --name alice-laptop --owner alice --team core
///   tollgate key create --name ci --models 'claude-*,gpt-5*' --agents codex
///   tollgate key create --name bob --config /etc/tollgate/tollgate.toml --json | jq -r .key
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Create {
    /// The key's name: a label in logs and refusals.
    #[arg(long)]
    name: String,
    /// The developer it belongs to.
    #[arg(long)]
    owner: Option<String>,
    /// The team it belongs to.
    #[arg(long)]
    team: Option<String>,
    /// The agents it works for. Default: all.
    #[arg(long, value_name = "AGENT,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(Agent::ALL.map(Agent::name)))]
    agents: Vec<String>,
    /// The models it may use; one * in each stands for any text. Default: all that are configured.
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',', value_parser = pattern)]
    models: Vec<String>,
    /// When it stops working: a date (to the end of that day, UTC) or an RFC 3339 time. Default: never.
    #[arg(long, value_name = "DATE", value_parser = expiry)]
    expires: Option<(String, Expiry)>,
    #[command(flatten)]
    place: Where,
    /// Print one JSON object (key, name, fingerprint, file) instead of the key alone.
    #[arg(long)]
    json: bool,
}

fn pattern(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters".to_owned());
    }
    Pattern::parse(text).map(|_| text.to_owned()).ok_or_else(|| "it has more than one *".to_owned())
}

fn expiry(text: &str) -> Result<(String, Expiry), String> {
    let example = "as in 2027-06-30 or 2027-06-30T18:00:00+02:00";
    Expiry::parse(text).map(|expiry| (text.to_owned(), expiry)).map_err(|what| format!("{what}, {example}"))
}

/// Whether the configuration would take these names.
pub fn usable(name: &str, owner: Option<&str>, team: Option<&str>) -> Result<(), String> {
    for (flag, value) in [("name", Some(name)), ("owner", owner), ("team", team)] {
        if let Some(wrong) = value.and_then(config::name_fault) {
            return Err(format!("--{flag} cannot be used in a configuration: {wrong}"));
        }
    }
    Ok(())
}

pub fn run(create: &Create) -> Result<(), String> {
    let Create { name, owner, team, agents, models, expires, place, json } = create;
    let (owner, team) = (owner.as_deref(), team.as_deref());
    usable(name, owner, team)?;
    if let Some((text, expiry)) = expires
        && expiry.seconds <= clock::since_epoch().as_secs()
    {
        return Err(format!("--expires {text} has passed: the key would never work"));
    }
    let file = ConfigFile::open(&place.path()?)?;
    let config = super::read(&file)?;
    if names(&config).contains(&name.as_str()) {
        let hint = format!("`tollgate key rotate {name}` gives it a new one, `tollgate key revoke {name}` removes it");
        return Err(format!("there is a key named {name} already\n  hint: {hint}"));
    }
    let fresh = key::generate().map_err(|e| e.to_string())?;
    let expires = expires.as_ref().map(|(text, _)| text.as_str());
    let fields = entry::Fields { name, owner, team, agents, models, expires };
    let text = entry::append(file.text(), &entry::lines(&fields, &fresh.digest_hex()))?;
    let named = file.named().to_owned();
    let mut names = names(&config);
    names.push(name);
    file.replace(&text, &names)?;
    eprintln!("key {name} is now in {}; it is shown this once, so give it to its owner now", named.display());
    let told = json!({
        "key": fresh.expose(),
        "name": name,
        "fingerprint": fingerprint(&fresh.digest_hex()),
        "file": named,
    });
    hand_out(name, &fresh, json.then_some(&told))
}

//! `tollgate key rotate`: a new key under the same name. The old one stands beside it in the file, with the moment at which
//! it stops; so an owner can take the new one into use without a gap, and nobody has to come back to remove the old one.

use clap::Args;
use serde_json::json;

use super::file::ConfigFile;
use super::{Where, entry, fingerprint, hand_out, moment, names, position};
use crate::config::units::Time;
use crate::snapshot::key;
use crate::telemetry::clock;

/// Give a key a successor under the same name; the old one works on for a while.
///
/// Everything else about the key stays: owner, team, models, agents, expiry. A grace of 0s stops the old key, and what it
/// was before, at once: for a key that leaked.
///
/// Examples:
///   tollgate key rotate alice-laptop
///   tollgate key rotate alice-laptop --grace 7d --json | jq -r .key
///   tollgate key rotate alice-laptop --grace 0s
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Rotate {
    /// The key's name, as `tollgate key list` shows it.
    name: String,
    /// How long the old key works on: a whole number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = grace)]
    grace: Time,
    #[command(flatten)]
    place: Where,
    /// Print one JSON object (key, name, fingerprint, old_until, file) instead of the key alone.
    #[arg(long)]
    json: bool,
}

fn grace(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "a whole number and s, m, h or d, as in 24h".to_owned())
}

pub fn run(rotate: &Rotate) -> Result<(), String> {
    let Rotate { name, grace, place, json } = rotate;
    let file = ConfigFile::open(&place.path()?)?;
    let config = super::read(&file)?;
    let index = position(&config, name)?;
    let key = &config.key[index].value;
    let now = clock::since_epoch().as_secs();
    let Some(old) = &key.sha256 else {
        return Err(format!(
            "key {name} was chosen by you and is not in this file\n  hint: change it where its `secret` says that it is"
        ));
    };
    if let Some(expires) = key.expires.as_ref().filter(|expires| expires.seconds <= now) {
        let hint = "set a later `expires` in the file first, or `tollgate key revoke` it and create another";
        return Err(format!("key {name} stopped working at {}, and so would a new one\n  hint: {hint}", expires.text));
    }
    // Rounded up to whole seconds, the unit in which keys stop.
    let until = now.saturating_add(grace.0.as_secs()).saturating_add(u64::from(grace.0.subsec_nanos() > 0));
    let mut previous: Vec<entry::Earlier> = Vec::new();
    if !grace.0.is_zero() {
        let going_on = key.previous.iter().filter(|earlier| earlier.value.until.seconds > now);
        previous.extend(going_on.map(|earlier| entry::Earlier {
            sha256: earlier.value.sha256.value.clone(),
            until: earlier.value.until.text.to_string(),
        }));
        previous.push(entry::Earlier { sha256: old.value.clone(), until: moment(until)? });
    }
    let fresh = key::generate().map_err(|e| e.to_string())?;
    let text = entry::renew(file.text(), index, &fresh.digest_hex(), &previous)?;
    let named = file.named().to_owned();
    file.replace(&text, &names(&config))?;
    let old_until = previous.last().map(|earlier| &earlier.until);
    match old_until {
        Some(until) => eprintln!("key {name} has a new one, shown this once; the old one works until {until}"),
        None => eprintln!("key {name} has a new one, shown this once; the old one stops within seconds"),
    }
    let told = json!({
        "key": fresh.expose(),
        "name": name,
        "fingerprint": fingerprint(&fresh.digest_hex()),
        "old_until": old_until,
        "file": named,
    });
    hand_out(name, &fresh, json.then_some(&told))
}

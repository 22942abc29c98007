//! `[[key]]` -> who may call.
//!
//! Invariant: no key leaves this file in clear, two keys never share a digest or a name, and no list of keys never means
//! that anybody may call.

use std::collections::HashMap;
use std::sync::Arc;

use super::model::Models;
use super::{Context, Entry, agent, entries, name, secret};
use crate::config::schema;
use crate::config::units::{At, Expiry};
use crate::field;
use crate::snapshot::KeyId;
use crate::snapshot::key::checksum_holds;
use crate::snapshot::keyring::{Digest, Key, Keyring, digest};
use crate::snapshot::routes::Pattern;
use crate::telemetry::access_log::Written;
use crate::telemetry::clock;

/// Below this a key that somebody made up can be guessed.
const MIN_CHARACTERS: usize = 16;

pub fn keyring(cx: &mut Context<'_>, list: &[At<schema::Key>], models: &Models) -> Keyring {
    let mut keyring = Keyring::with_capacity(list.len());
    let mut names = HashMap::with_capacity(list.len());
    let mut words = Words::default();
    let now = clock::since_epoch().as_secs();
    for (entry, given) in entries("key", list) {
        // `unmetered` binds the keys that may do that, `accounts` has limits and budgets.
        let schema::Key {
            name: label,
            owner,
            team,
            secret,
            sha256,
            previous,
            agents,
            models: patterns,
            expires,
            allow_unmetered: _,
            limits: _,
            budgets: _,
        } = &given.value;
        name(cx, entry, "name", label);
        if let Some(first) = names.insert(label.as_str(), label.at) {
            let hint = format!("the other one is on line {}", cx.line(first));
            cx.error(label.at, entry.field("name"), format!("two keys are named {}", **label)).hint(hint);
        }
        let expires = expires.as_ref().map(|at| expiry(cx, entry, at, now));
        let owner = owner.as_ref().and_then(|owner| words.word(name(cx, entry, "owner", owner)?));
        let team = team.as_ref().and_then(|team| words.word(name(cx, entry, "team", team)?));
        let recorded = Written::texts([
            (field!("key"), Some(label.as_str())),
            (field!("owner"), owner.as_deref()),
            (field!("team"), team.as_deref()),
        ]);
        let key = Key {
            name: label.as_str().into(),
            owner,
            team,
            recorded,
            agents: agents.iter().map(|name| agent(name.value)).collect(),
            models: self::patterns(cx, entry, patterns, models, &mut words),
            expires,
            unmetered: None,
            spending: None,
        };
        let digest = key_digest(cx, entry, given, secret.as_ref(), sha256.as_ref());
        let id = keyring.push(key);
        if let Some((at, digest)) = digest
            && let Some(KeyId(first)) = keyring.insert(digest, id)
        {
            let message = format!("this is the same key as that of {}", list[first as usize].name.value);
            let field = if sha256.is_some() { "sha256" } else { "secret" };
            cx.error(at, entry.field(field), message).hint("every key is somebody's own; `tollgate key new` makes one");
        }
        earlier(cx, entry, previous, list, &mut keyring, id);
    }
    if list.is_empty() {
        cx.error(0, "key".into(), "there is no [[key]]: no list means nobody may call, not everybody")
            .hint("`tollgate key create --name NAME` makes a key and adds it to this file");
    }
    keyring
}

fn key_digest(
    cx: &mut Context<'_>,
    entry: Entry,
    given: &At<schema::Key>,
    secret: Option<&At<crate::config::units::Secret>>,
    sha256: Option<&At<String>>,
) -> Option<(usize, Digest)> {
    match (secret, sha256) {
        (None, Some(hex)) => {
            let digest = unhex(hex);
            if digest.is_none() {
                // Not repeated: it may be the key itself.
                cx.error(hex.at, entry.field("sha256"), "it is not 64 hex digits")
                    .hint("the SHA-256 of the key, as `tollgate key new` prints it");
            }
            Some((hex.at, digest?))
        }
        (Some(place), None) => {
            let secret = secret::read(cx, entry, "secret", place.at, place)?;
            if secret.len() < MIN_CHARACTERS {
                cx.error(place.at, entry.field("secret"), format!("it has fewer than {MIN_CHARACTERS} characters"))
                    .hint("`tollgate key new` makes one that nobody guesses");
            }
            if checksum_holds(&secret) == Some(false) {
                cx.error(
                    place.at,
                    entry.field("secret"),
                    "it looks like a key of Tollgate's, but its checksum is wrong",
                )
                .hint("it was cut off or mistyped; copy it again");
            }
            Some((place.at, digest(secret.as_bytes())))
        }
        (Some(place), Some(_)) => {
            cx.error(place.at, entry.field("secret"), "there is a sha256 as well").hint("keep one of the two");
            None
        }
        (None, None) => {
            cx.error(given.at, entry.field("secret"), "it is not said what the key is").hint(
                "sha256 = \"…\" as `tollgate key new` prints it, or secret = { env = \"NAME\" } or { file = \"path\" }",
            );
            None
        }
    }
}

/// What a key was before it was rotated. One that has stopped is no reason for a warning: a grace that ends is its purpose.
fn earlier(
    cx: &mut Context<'_>,
    entry: Entry,
    previous: &[At<schema::Previous>],
    list: &[At<schema::Key>],
    keyring: &mut Keyring,
    id: KeyId,
) {
    for (i, given) in previous.iter().enumerate() {
        let schema::Previous { sha256, until } = &given.value;
        let field = entry.field(format_args!("previous[{i}].sha256"));
        let Some(digest) = unhex(sha256) else {
            cx.error(sha256.at, field, "it is not 64 hex digits").hint("the SHA-256 that the key had before");
            continue;
        };
        if let Some(KeyId(first)) = keyring.insert_earlier(digest, id, (until.seconds, until.text.clone())) {
            let message = format!("this is the same key as that of {}", list[first as usize].name.value);
            cx.error(sha256.at, field, message).hint("a key stands in one place; remove one of the two");
        }
    }
}

fn patterns(
    cx: &mut Context<'_>,
    entry: Entry,
    given: &[At<String>],
    models: &Models,
    words: &mut Words,
) -> Vec<Pattern> {
    let mut patterns = Vec::with_capacity(given.len());
    for (i, written) in given.iter().enumerate() {
        let field = format_args!("models[{i}]");
        let Some(pattern) = Pattern::parse(written) else {
            cx.error(written.at, entry.field(field), "it has more than one *").hint("one * stands for any text");
            continue;
        };
        // Every key may list the same few names: ask the table once for each.
        let served = pattern.suffix.is_some()
            || *words.served.entry(written.value.clone()).or_insert_with(|| models.serves(written));
        if !served {
            cx.warn(written.at, entry.field(field), format!("no [[model]] serves {}", **written));
        }
        patterns.push(pattern);
    }
    patterns
}

fn expiry(cx: &mut Context<'_>, entry: Entry, written: &At<Expiry>, now: u64) -> (u64, Box<str>) {
    if written.seconds <= now {
        cx.warn(written.at, entry.field("expires"), format!("this key stopped working at {}", written.text));
    }
    (written.seconds, written.text.clone())
}

/// Owners and teams repeat; each is kept once.
#[derive(Default)]
struct Words {
    words: HashMap<Box<str>, Arc<str>>,
    served: HashMap<String, bool>,
}

impl Words {
    fn word(&mut self, text: &str) -> Option<Arc<str>> {
        if let Some(word) = self.words.get(text) {
            return Some(Arc::clone(word));
        }
        let word: Arc<str> = text.into();
        self.words.insert(text.into(), Arc::clone(&word));
        Some(word)
    }
}

fn unhex(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(digest)
}

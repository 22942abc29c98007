//! `[[mount]]` -> path prefixes.
//!
//! Invariant: a mount never hides an API's own path.

use std::collections::HashMap;

use super::{Context, agent, dialect, entries};
use crate::config::schema;
use crate::config::units::At;
use crate::snapshot::mounts::{Mount, Mounts};

pub fn mounts(cx: &mut Context<'_>, list: &[At<schema::Mount>]) -> Mounts {
    let mut mounts = Vec::with_capacity(list.len());
    let mut seen = HashMap::new();
    for (entry, given) in entries("mount", list) {
        let schema::Mount { prefix, agent: named, dialect: spoken } = &given.value;
        if let Some((what, hint)) = wrong(prefix) {
            cx.error(prefix.at, entry.field("prefix"), what).hint(hint);
            continue;
        }
        if let Some(first) = seen.insert(prefix.as_str(), prefix.at) {
            let hint = format!("the other one is on line {}", cx.line(first));
            cx.error(prefix.at, entry.field("prefix"), format!("two mounts are at {}", **prefix)).hint(hint);
            continue;
        }
        let prefix = prefix.as_str().into();
        mounts.push(Mount { prefix, agent: named.map(agent), dialect: spoken.map(dialect) });
    }
    Mounts::new(mounts)
}

fn wrong(prefix: &str) -> Option<(&'static str, &'static str)> {
    let example = "as in \"/codex\" or \"/t/team-a\"";
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    if !prefix.starts_with('/') {
        return Some(("it does not begin with /", example));
    }
    if prefix.len() == 1 || prefix.ends_with('/') || prefix.contains("//") {
        return Some(("it ends with /, or has two in a row", example));
    }
    if prefix.len() > 128 || !prefix.bytes().all(legal) || prefix.split('/').any(|s| s == "." || s == "..") {
        return Some(("it is longer than 128 bytes, or has other characters than letters, digits and -._~", example));
    }
    let first = prefix[1..].split('/').next();
    match first {
        Some("v1" | "v1beta" | "v1alpha" | "api" | "backend-api") => {
            Some(("APIs have their own paths there", "take another first segment, as in \"/codex\""))
        }
        _ => None,
    }
}

//! `[ledger]` -> where usage is kept, for how long, and what happens when it cannot be.
//!
//! Invariant: records are kept for longer than a budget's longest calendar window, so that what was spent in it is known
//! exactly after a restart.

use std::path::Path;
use std::time::Duration;

use super::Context;
use crate::config::schema;
use crate::config::startup::Ledger;
use crate::journal::OnFull;

const DAY: Duration = Duration::from_secs(86_400);

pub fn ledger(cx: &mut Context<'_>, ledger: &schema::Ledger, state: Option<&Path>) -> Ledger {
    let schema::Ledger { path, retention, on_full, journal_max } = ledger;
    let kept = retention.as_ref().map_or(90 * DAY, |given| given.value.0);
    if kept < 32 * DAY
        && let Some(given) = retention
    {
        cx.error(given.at, "ledger.retention".into(), "a month's budget could not be told after a restart")
            .hint("at least 32d");
    }
    let most = journal_max.as_ref().map_or(1 << 30, |given| given.value.0);
    if most < 1 << 20
        && let Some(given) = journal_max
    {
        cx.error(given.at, "ledger.journal_max".into(), format!("{most} bytes are full at once")).hint("at least 1MiB");
    }
    let on_full = match on_full {
        None | Some(schema::OnFull::Serve) => OnFull::Serve,
        Some(schema::OnFull::Refuse) => OnFull::Refuse,
    };
    let database = path.as_ref().map(|path| cx.path(path)).or_else(|| Some(state?.join("usage.db")));
    // Beside the database where there is no folder for state.
    let folder = state.or_else(|| database.as_deref()?.parent()).map(|folder| folder.join("journal"));
    Ledger { database, journal: folder, retention: kept, on_full, journal_max: most }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ledger_of;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn read(text: &str) -> Result<Ledger, String> {
        ledger_of(Path::new("/etc/t.toml"), &format!("version = 1\n{text}"), &nothing).map_err(|p| p.to_string())
    }

    #[test]
    fn places_and_defaults() {
        let silent = read("").unwrap();
        assert_eq!((silent.database, silent.journal), (None, None), "nobody names a place");
        assert_eq!((silent.retention, silent.on_full, silent.journal_max), (90 * DAY, OnFull::Serve, 1 << 30));
        let state = read("[state]\ndirectory = 'here'").unwrap();
        assert_eq!(state.database.as_deref(), Some(Path::new("/etc/here/usage.db")));
        assert_eq!(state.journal.as_deref(), Some(Path::new("/etc/here/journal")));
        let path =
            read("[ledger]\npath = '/data/u.db'\non_full = 'refuse'\njournal_max = '2MiB'\nretention = '32d'").unwrap();
        assert_eq!(path.journal.as_deref(), Some(Path::new("/data/journal")), "beside it, where there is no other");
        assert_eq!((path.on_full, path.journal_max, path.retention), (OnFull::Refuse, 2 << 20, 32 * DAY));
    }

    #[test]
    fn what_makes_no_sense() {
        for (text, want) in [
            ("retention = '31d'", "ledger.retention: a month's budget"),
            ("journal_max = 1000", "ledger.journal_max: 1000 bytes are full at once"),
            ("on_full = 'drop'", "ledger.on_full"),
            ("pth = 'x'", "did you mean path?"),
            ("retention = 90", "not a time"),
        ] {
            let said = read(&format!("[ledger]\n{text}")).unwrap_err();
            assert!(said.contains(want), "{text}: {said}");
        }
    }
}

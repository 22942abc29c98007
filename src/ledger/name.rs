//! Names as small numbers, so that a usage record on the hot path is a few integers.
//!
//! One table for the process: what a configuration names (keys, owners, teams, organisations, providers, credentials, price
//! versions) is numbered when it is compiled and keeps its number for good. Invariant: what comes from a request never gets
//! here, so the table grows by what operators write, and by no more than [`MOST`]. Numbers mean nothing outside this
//! process: the journal writes each name beside its number once per file.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Names of one process; further ones all are `(other)`.
const MOST: usize = 1 << 22;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

/// A name, numbered. Compares by the text it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Name(u32);

#[derive(Default)]
struct Table {
    numbers: HashMap<Arc<str>, Name>,
    /// The name `n` is at `n - 1`.
    texts: Vec<Arc<str>>,
}

impl Name {
    /// No name at all: a key without a team, say.
    pub const NONE: Self = Self(0);

    /// The number of a text; the empty text is [`Name::NONE`]. Takes a lock: for when rules are compiled, not for requests.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self::NONE;
        }
        let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = table.numbers.get(text) {
            return *known;
        }
        let text: Arc<str> = if table.texts.len() < MOST { text.into() } else { "(other)".into() };
        if let Some(known) = table.numbers.get(&text) {
            return *known;
        }
        table.texts.push(Arc::clone(&text));
        let name = Self(u32::try_from(table.texts.len()).unwrap_or(u32::MAX));
        table.numbers.insert(text, name);
        name
    }

    /// The number of what may not be there.
    #[must_use]
    pub fn of_any(text: Option<&str>) -> Self {
        text.map_or(Self::NONE, Self::of)
    }

    /// What it stands for; `None` for [`Name::NONE`]. Takes the same lock.
    #[must_use]
    pub fn text(self) -> Option<Arc<str>> {
        let at = self.0.checked_sub(1)?;
        let table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        table.texts.get(at as usize).cloned()
    }

    /// What has that number; for whoever has remembered it.
    #[must_use]
    pub const fn numbered(number: u32) -> Self {
        Self(number)
    }

    /// The number itself, for the journal.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_its_text() {
        let (a, b) = (Name::of("names-test-a"), Name::of("names-test-b"));
        assert_ne!(a, b);
        assert_eq!(a, Name::of("names-test-a"));
        assert_eq!(b.text().as_deref(), Some("names-test-b"));
    }

    #[test]
    fn nothing_is_no_name() {
        assert_eq!(Name::of(""), Name::NONE);
        assert_eq!(Name::of_any(None), Name::NONE);
        assert_eq!(Name::NONE.text(), None);
    }
}

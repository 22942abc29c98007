//! The id that an answer gives to what it made, sought only where somebody wants it, and only until it is found.
//!
//! A JSON answer has it at the top, a stream of Responses in the `response` of its first event. Invariant: looked for in one
//! event of a stream, or in the last one if the first was missing; never in the many between.

use super::watch::UsageWatch;
use crate::error::BodyError;
use crate::protocol::json::{Key, Root, Scanner, Value, Want, Watch};

/// Longest spelling of an id, quotes included, in bytes.
pub const MAX_RAW: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub struct Made {
    wanted: bool,
    /// The value that comes is the one.
    here: bool,
    found: Option<Box<str>>,
}

impl Made {
    /// Is sought from now on.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether it is sought still.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// What was found; only once.
    pub fn take(&mut self) -> Option<Box<str>> {
        self.found.take()
    }

    /// Looks into an event whose `response` has it.
    pub fn seek_in_event(&mut self, event: &[u8]) {
        if self.wanted {
            // It ends with an error where the id is found, so the rest is not read.
            let _ = Scanner::new(Root::Object).feed(event, &mut InEvent(self));
        }
    }

    fn note(&mut self, value: &Value<'_>) {
        self.here = false;
        self.wanted = false;
        self.found = value.raw.and_then(|raw| serde_json::from_slice(raw).ok());
    }
}

struct InEvent<'m>(&'m mut Made);

impl Watch for InEvent<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        Ok(match (key.level, key.raw) {
            (0, b"response") => Want::Enter,
            (1, b"id") => Want::Value { limit: MAX_RAW },
            _ => Want::Pass,
        })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        self.0.note(&value);
        Err(BodyError::Incomplete)
    }
}

/// Looks at the top of a JSON answer for the id, and for usage as ever.
pub struct WithId<'m> {
    pub made: &'m mut Made,
    pub usage: &'m mut UsageWatch,
}

impl Watch for WithId<'_> {
    fn may_want(&self, first: u8, len: usize) -> bool {
        (first, len) == (b'i', 2) || self.usage.may_want(first, len)
    }

    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        self.made.here = self.made.wanted && key.level == 0 && key.raw == b"id";
        if self.made.here {
            return Ok(Want::Value { limit: MAX_RAW });
        }
        self.usage.key(key)
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        if self.made.here {
            self.made.note(&value);
            return Ok(());
        }
        self.usage.value(value)
    }
}

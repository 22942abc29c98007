//! Where a Chat request is to ask for its usage, if it does not.
//!
//! A stream tells its usage only where `stream_options.include_usage` is true
//! (<https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options>). Invariant: what is put there
//! changes nothing else of the body, and the result is JSON where the body was. Options that are no object are left for the
//! provider to refuse.

use std::ops::Range;

use super::{MAX_KEY, boolean, decode};
use crate::error::BodyError;
use crate::protocol::json::{Key, Root, Scanner, Value, Want, Watch};

const OPTIONS: &str = "stream_options";
const USAGE: &str = "stream_options.include_usage";

/// What to put where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// The bytes of the whole body in whose place it comes; none: between two.
    pub at: Range<usize>,
    /// It.
    pub text: &'static str,
}

/// What `stream_options` says.
#[derive(Debug, Default)]
pub struct Options {
    /// What it says of the usage.
    pub include_usage: Option<bool>,
    /// How it would ask; nothing where it does, or where there are no options.
    pub asking: Option<Asking>,
}

/// Asks behind the `true` of `stream`, where there are no options.
pub fn behind(stream: usize) -> Asking {
    Asking { at: stream..stream, text: r#","stream_options":{"include_usage":true}"# }
}

impl Options {
    /// # Errors
    /// An `include_usage` that is there twice, spelled with escapes, or neither true nor false.
    pub fn read(value: &Value<'_>) -> Result<Self, BodyError> {
        let Some(raw) = value.raw else {
            return Err(BodyError::FieldInvalid { field: OPTIONS, want: "a short object" });
        };
        let start = value.at.start;
        if raw == b"null" {
            return Ok(Self {
                include_usage: None,
                asking: Some(Asking { at: value.at.clone(), text: r#"{"include_usage":true}"# }),
            });
        }
        let Some(inner) = raw.strip_prefix(b"{") else { return Ok(Self::default()) };
        let mut reader = Reader::default();
        Scanner::new(Root::Object).feed(raw, &mut reader)?;
        let Reader { at, include_usage, .. } = reader;
        let asking = match (include_usage, at) {
            (Some(true), _) => None,
            (_, Some(at)) => Some(Asking { at: start + at.start..start + at.end, text: "true" }),
            (_, None) => {
                let empty = inner.trim_ascii_start().starts_with(b"}");
                let text = if empty { r#""include_usage":true"# } else { r#""include_usage":true,"# };
                Some(Asking { at: start + 1..start + 1, text })
            }
        };
        Ok(Self { include_usage, asking })
    }
}

#[derive(Default)]
struct Reader {
    seen: bool,
    at: Option<Range<usize>>,
    include_usage: Option<bool>,
}

impl Watch for Reader {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        let mut plain = [0; MAX_KEY];
        let escaped = key.raw.contains(&b'\\');
        let name = if escaped { decode(key.raw, &mut plain).unwrap_or_default() } else { key.raw };
        if name != b"include_usage" {
            return Ok(Want::Pass);
        }
        if escaped {
            return Err(BodyError::FieldEscaped { field: USAGE });
        }
        if std::mem::replace(&mut self.seen, true) {
            return Err(BodyError::FieldDuplicated { field: USAGE });
        }
        Ok(Want::Value { limit: 64 })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        self.include_usage = boolean(USAGE, &value)?;
        self.at = Some(value.at);
        Ok(())
    }
}

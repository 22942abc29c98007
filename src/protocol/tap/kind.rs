//! What an event is called.

use memchr::memchr;

use crate::error::BodyError;
use crate::protocol::json::{Key, Root, Scanner, Value, Want, Watch};
use crate::protocol::sse::Event;

/// Longest name, in bytes.
const MAX_NAME: usize = 128;

/// The event as `classify` knows it: by its `event:` line, or by its `type` where that line is missing or says nothing.
#[inline]
pub fn of<K>(event: Event<'_>, classify: impl Fn(&[u8]) -> Option<K>) -> Option<K> {
    if let Some(kind) = classify(event.name) {
        return Some(kind);
    }
    by_type(event.data, classify)
}

fn by_type<K>(data: &[u8], classify: impl Fn(&[u8]) -> Option<K>) -> Option<K> {
    // Nearly every server writes `type` first.
    if let Some(rest) = data.strip_prefix(b"{\"type\":") {
        let rest = rest.trim_ascii_start();
        if let Some(name) = rest.strip_prefix(b"\"") {
            return classify(&name[..memchr(b'"', name)?]);
        }
    }
    let mut find = FindType { classify, kind: None };
    // An error ends the search, wanted or not.
    let _ = Scanner::new(Root::Object).feed(data, &mut find);
    find.kind
}

struct FindType<F, K> {
    classify: F,
    kind: Option<K>,
}

impl<K, F: Fn(&[u8]) -> Option<K>> Watch for FindType<F, K> {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        Ok(if key.raw == b"type" { Want::Value { limit: MAX_NAME } } else { Want::Pass })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        if let Some([b'"', name @ .., b'"']) = value.raw {
            self.kind = (self.classify)(name);
        }
        Ok(())
    }
}

//! The uses of server tools that Responses shows as items of its output, each with a price of its own beside the tokens.
//!
//! Source: <https://platform.openai.com/docs/guides/tools-web-search> (a `web_search_call` whose action opens a page or finds
//! something in one costs nothing) and <https://platform.openai.com/docs/pricing>. What runs at the client (functions, shells,
//! patches, the computer) is nobody's price. Invariant: an item counts once, at the depth where items stand; neither text nor
//! arguments can look like one.

use crate::error::BodyError;
use crate::protocol::json::{DeepKey, Key, Root, Scanner, Value, Want, Watch};
use crate::protocol::usage::Uses;

/// Longest type that is read, quotes included, in bytes.
const MAX_TYPE: usize = 64;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hosted {
    calls: Uses,
    /// Calls of the search tool that searched nothing.
    looks: u32,
}

impl Hosted {
    /// Takes the type of an item, or of an item's action, quotes included.
    fn note(&mut self, raw: &[u8]) {
        let count = match raw {
            b"\"web_search_call\"" => &mut self.calls.web_search,
            b"\"file_search_call\"" => &mut self.calls.file_search,
            b"\"code_interpreter_call\"" => &mut self.calls.code_execution,
            b"\"image_generation_call\"" => &mut self.calls.image_generation,
            b"\"open_page\"" | b"\"find_in_page\"" | b"\"find\"" => &mut self.looks,
            _ => return,
        };
        *count = count.saturating_add(1);
    }

    /// An event with one whole item.
    pub fn item_done(&mut self, event: &[u8]) {
        // Nearly all items are messages, reasoning and calls of the client's functions.
        let hosted = memchr::memmem::find_iter(event, b"_call\"").any(|at| {
            let kind = &event[..at];
            kind.ends_with(b"_search") || kind.ends_with(b"_interpreter") || kind.ends_with(b"_generation")
        });
        if hosted {
            let _ = Scanner::new(Root::Object).feed(event, &mut InItem { hosted: self });
        }
    }

    /// What was used.
    pub fn uses(&self) -> Uses {
        Uses { web_search: self.calls.web_search.saturating_sub(self.looks), ..self.calls }
    }
}

struct InItem<'h> {
    hosted: &'h mut Hosted,
}

impl Watch for InItem<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        Ok(match (key.level, key.raw) {
            (0, b"item") | (1, b"action") => Want::Enter,
            (1 | 2, b"type") => Want::Value { limit: MAX_TYPE },
            _ => Want::Pass,
        })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        self.hosted.note(value.raw.unwrap_or_default());
        Ok(())
    }
}

/// Where the items of an answer stand, while it is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Listed {
    /// The depth of the items of the list that we are in; 0 outside of it.
    depth: usize,
    pub hosted: Hosted,
}

impl Listed {
    /// A key of the answer itself, or of what it is in.
    pub fn beside(&mut self, key: &Key<'_>) {
        self.depth = if key.raw == b"output" { key.level + 3 } else { 0 };
    }

    /// Whether the items come.
    #[inline]
    pub fn is_in(&self) -> bool {
        self.depth != 0
    }

    /// Whether such a key could be wanted.
    #[inline]
    pub fn may_begin(&self, first: u8, depth: usize) -> bool {
        self.depth != 0 && first == b't' && (depth == self.depth || depth == self.depth + 1)
    }

    /// A key of an item, or of an object in it.
    pub fn deep(&mut self, key: &DeepKey<'_>) -> Want {
        if key.raw != b"type" || !self.may_begin(b't', key.depth) {
            return Want::Pass;
        }
        let value = key.rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        let Some(text) = value.and_then(|value| value.strip_prefix(b"\"")) else {
            return Want::Value { limit: MAX_TYPE };
        };
        let Some(end) = memchr::memchr2(b'"', b'\\', text) else { return Want::Value { limit: MAX_TYPE } };
        let start = key.rest.len() - text.len() - 1;
        self.hosted.note(&key.rest[start..=start + 1 + end]);
        Want::Pass
    }

    /// The level of an item's own keys, where one of them was wanted.
    #[inline]
    pub fn has_level(&self, level: usize) -> bool {
        self.depth != 0 && level + 1 >= self.depth
    }

    /// A key of an item of which another one was wanted.
    pub fn of_item(&self, key: &Key<'_>) -> Want {
        if key.raw == b"type" { Want::Value { limit: MAX_TYPE } } else { Want::Pass }
    }

    /// A type that was wanted.
    pub fn value(&mut self, value: &Value<'_>) {
        self.hosted.note(value.raw.unwrap_or_default());
    }
}

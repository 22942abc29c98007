//! Whether a body may name a stored thing that is not named at its top.
//!
//! Read with every body, so it decides by little: the first byte of a key and its length rule nearly all of them out. What is
//! suspected here is only read again, by [`crate::protocol::named`], which knows. Invariant: whatever that finds in a body is
//! suspected here, at any chunk borders: a wanted key at any depth, one at the top, any key with a backslash, and an item of
//! `input` (Responses) that has an id and does not at once show that it holds all of itself.

use super::{Endpoint, decode};
use crate::protocol::json::{DeepKey, ITEM_DEPTH, MAX_KEY};
use crate::protocol::named::{self, Vendor};

/// See the module.
#[derive(Debug)]
pub struct Suspect {
    vendor: Option<Vendor>,
    /// What a wanted key looks like.
    keys: Looks,
    /// The same for an item's own keys; nothing outside of `input`.
    item_keys: Looks,
    item: Item,
    found: bool,
}

/// The item that we are in.
#[derive(Debug, Default)]
struct Item {
    number: u32,
    has_id: bool,
    whole: bool,
    /// It is of a type that may be looked up, or it is not seen which.
    other: bool,
    /// What it must hold, and what it holds, as bits.
    needs: u8,
    holds: u8,
    /// What it should hold is there and empty.
    hollow: bool,
}

const ENCRYPTED: u8 = 1;
const RESULT: u8 = 2;

/// Two bit sets over a set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looks {
    /// Their first bytes, by the five low bits, and the backslash of one that is spelled otherwise.
    firsts: u32,
    /// Their lengths.
    lengths: u64,
}

impl Looks {
    const NOTHING: Self = Self { firsts: 0, lengths: 0 };

    const fn of(keys: &[&str]) -> Self {
        let (mut looks, mut i) = (Self { firsts: 1 << (b'\\' & 31), lengths: 0 }, 0);
        while i < keys.len() {
            looks.firsts |= 1 << (keys[i].as_bytes()[0] & 31);
            looks.lengths |= 1 << keys[i].len();
            i += 1;
        }
        looks
    }
}

const ANTHROPIC: &[&str] = &["file_id"];
const OPENAI: &[&str] = &[
    "file_id",
    "file_ids",
    "audio",
    "container",
    "container_id",
    "vector_store_id",
    "vector_store_ids",
    "approval_request_id",
];
const GEMINI: &[&str] =
    &["fileUri", "file_uri", "cachedContent", "cached_content", "fileSearchStoreNames", "file_search_store_names"];
const ITEM: &[&str] = &["id", "type", "encrypted_content", "result"];

impl Suspect {
    pub fn of(endpoint: Endpoint) -> Self {
        let (vendor, keys) = match endpoint {
            Endpoint::Messages | Endpoint::CountTokens => (Some(Vendor::Anthropic), const { Looks::of(ANTHROPIC) }),
            Endpoint::ChatCompletions | Endpoint::Responses | Endpoint::Compact | Endpoint::InputTokens => {
                (Some(Vendor::OpenAi), const { Looks::of(OPENAI) })
            }
            Endpoint::Generate
            | Endpoint::StreamGenerate
            | Endpoint::GeminiCountTokens
            | Endpoint::EmbedContent
            | Endpoint::BatchEmbedContents => (Some(Vendor::Gemini), const { Looks::of(GEMINI) }),
            // They have no body, one of texts alone, or one that is read in any case.
            Endpoint::Embeddings
            | Endpoint::Response
            | Endpoint::DeleteResponse
            | Endpoint::CancelResponse
            | Endpoint::ResponseItems
            | Endpoint::Models
            | Endpoint::Model
            | Endpoint::Usage
            | Endpoint::Hello
            | Endpoint::Unmetered(_) => (None, Looks::NOTHING),
        };
        Self { vendor, keys, item_keys: Looks::NOTHING, item: Item::default(), found: false }
    }

    /// Whether a key that begins so could be a wanted one.
    #[inline]
    pub fn may_begin(&self, first: u8, depth: usize) -> bool {
        let firsts = if depth == ITEM_DEPTH { self.keys.firsts | self.item_keys.firsts } else { self.keys.firsts };
        (firsts >> (first & 31)) & 1 != 0
    }

    /// Whether a plain key of so many bytes could be.
    pub fn may_have(&self, len: usize, depth: usize) -> bool {
        let items = if depth == ITEM_DEPTH { self.item_keys.lengths } else { 0 };
        len < 64 && ((self.keys.lengths | items) >> len) & 1 != 0
    }

    /// A key at the top, without escapes; empty if it is none that could be wanted.
    pub fn top(&mut self, key: &[u8]) {
        self.item_keys = Looks::NOTHING;
        match (self.vendor, key) {
            (Some(Vendor::OpenAi), b"input" | b"items") => self.item_keys = const { Looks::of(ITEM) },
            (Some(Vendor::Anthropic), b"container" | b"thread")
            | (Some(Vendor::OpenAi), b"prompt")
            | (Some(Vendor::Gemini), b"cachedContent" | b"cached_content") => self.found = true,
            _ => self.nested(key),
        }
    }

    /// A key of an object that is looked into for other reasons.
    pub fn nested(&mut self, key: &[u8]) {
        let may_be = key.first().is_some_and(|first| self.may_begin(*first, 1)) && self.may_have(key.len(), 1);
        self.found |= may_be && self.is_wanted(key);
    }

    pub fn deep(&mut self, key: DeepKey<'_>) {
        let in_item = key.depth == ITEM_DEPTH && self.item_keys != Looks::NOTHING;
        if key.raw.contains(&b'\\') {
            let mut plain = [0; MAX_KEY];
            let name = decode(key.raw, &mut plain).unwrap_or_default();
            self.found |= self.is_wanted(name) || (in_item && ITEM.iter().any(|own| own.as_bytes() == name));
        } else if self.is_wanted(key.raw) {
            self.found = true;
        } else if in_item {
            self.of_item(key.raw, key);
        }
    }

    fn is_wanted(&self, name: &[u8]) -> bool {
        let keys = match self.vendor {
            Some(Vendor::Anthropic) => ANTHROPIC,
            Some(Vendor::OpenAi) => OPENAI,
            Some(Vendor::Gemini) => GEMINI,
            None => &[],
        };
        keys.iter().any(|key| key.as_bytes() == name)
    }

    fn of_item(&mut self, name: &[u8], key: DeepKey<'_>) {
        if self.item.number != key.item {
            self.judge();
            self.item = Item { number: key.item, ..Item::default() };
        }
        let item = &mut self.item;
        let bit = match name {
            b"id" => {
                item.has_id = true;
                return;
            }
            b"type" => {
                let kind = text_behind(key.rest).and_then(|kind| std::str::from_utf8(kind).ok());
                match kind.and_then(named::is_whole) {
                    None => item.other = true,
                    Some(needs) => {
                        item.whole = true;
                        item.needs |= match needs {
                            None => 0,
                            Some("encrypted_content") => ENCRYPTED,
                            Some(_) => RESULT,
                        };
                    }
                }
                return;
            }
            b"encrypted_content" => ENCRYPTED,
            b"result" => RESULT,
            _ => return,
        };
        // Only its beginning: it is long.
        match value_behind(key.rest) {
            Some([b'"', next, ..]) if *next != b'"' => item.holds |= bit,
            _ => item.hollow = true,
        }
    }

    fn judge(&mut self) {
        let Item { has_id, whole, other, needs, holds, hollow, .. } = self.item;
        let held = needs & !holds == 0 && !(needs != 0 && hollow);
        self.found |= has_id && !(whole && !other && held);
    }

    /// Whether there was anything to suspect.
    pub fn finish(mut self) -> bool {
        self.judge();
        self.found
    }
}

/// From the first byte of the value behind a key, if it is in the frame.
fn value_behind(rest: &[u8]) -> Option<&[u8]> {
    rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

/// A text without escapes behind a key, if it is wholly in the frame.
fn text_behind(rest: &[u8]) -> Option<&[u8]> {
    let text = value_behind(rest)?.strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', text)?;
    (text[end] == b'"').then(|| &text[..end])
}

//! Whether a body may name a stored thing that is not named at its top; and which tools of the provider it has, and whether it
//! holds anything but text.
//!
//! Read with every body, so it decides by little: the first byte of a key and its length rule nearly all of them out. What is
//! suspected here is only read again, by [`crate::protocol::named`], which knows. Invariant: whatever that finds in a body is
//! suspected here, at any chunk borders: a wanted key at any depth, one at the top, any key with a backslash, and an item of
//! `input` (Responses) that has an id and does not at once show that it holds all of itself.

use super::terms::{self, Hosted, Hosting};
use super::{Endpoint, decode, number};
use crate::protocol::json::{DeepKey, ITEM_DEPTH, MAX_KEY, Want};
use crate::protocol::named::{self, Vendor};

/// See the module.
#[derive(Debug)]
pub struct Suspect {
    vendor: Option<Vendor>,
    /// What a wanted key looks like here.
    keys: &'static Looks,
    /// The same in `tools`, whose schemas are most of a body's keys and show nothing, and elsewhere.
    in_schemas: &'static Looks,
    elsewhere: &'static Looks,
    /// The same for the own keys of an item of `input`, or of `tools`; nothing outside of them.
    item_keys: &'static Looks,
    /// The first bytes of both, here because they are asked for with every key.
    firsts: u32,
    item_firsts: u32,
    /// We are in `tools`.
    in_tools: bool,
    item: Item,
    found: bool,
    /// The tools that the provider runs.
    pub tools: Hosted,
    /// There is an image, a file or sound.
    pub media: bool,
}

/// A value of a tool that is not all in the frame of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    Type,
    MaxUses,
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

/// Bit sets over a set of keys.
#[derive(Debug, PartialEq, Eq)]
struct Looks {
    /// Their first bytes, by the five low bits, and the backslash of one that is spelled otherwise.
    firsts: u32,
    /// Their lengths, by the same bits of the first byte.
    lengths: [u32; 32],
}

impl Looks {
    const NOTHING: Self = Self { firsts: 0, lengths: [0; 32] };

    const fn of(keys: &[&str]) -> Self {
        Self { firsts: 1 << (b'\\' & 31), ..Self::NOTHING }.and(keys)
    }

    const fn and(mut self, keys: &[&str]) -> Self {
        let mut i = 0;
        while i < keys.len() {
            let first = keys[i].as_bytes()[0] & 31;
            self.firsts |= 1 << first;
            self.lengths[first as usize] |= 1 << keys[i].len();
            i += 1;
        }
        self
    }

    fn may_have(&self, key: &[u8]) -> bool {
        let Some(first) = key.first() else { return false };
        key.len() < 32 && self.lengths[usize::from(first & 31)] >> key.len() & 1 != 0
    }
}

/// Longest type of a tool, or bound of one, that is read.
const RAW: usize = 64;

/// Keys behind which there are ids of stored things.
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
/// Keys behind which there is what is no text.
const ANTHROPIC_MEDIA: &[&str] = &["source"];
const OPENAI_MEDIA: &[&str] = &["image_url", "file_url", "file_data", "input_audio"];
const GEMINI_MEDIA: &[&str] = &["inlineData", "inline_data", "fileData", "file_data"];
const ITEM: &[&str] = &["id", "type", "encrypted_content", "result"];
const TOOL: &[&str] = &["type", "max_uses"];
const GEMINI_TOOL: &[&str] = &[
    "googleSearch",
    "google_search",
    "googleSearchRetrieval",
    "google_search_retrieval",
    "enterpriseWebSearch",
    "enterprise_web_search",
    "googleMaps",
    "google_maps",
    "urlContext",
    "url_context",
    "fileSearch",
    "file_search",
    "codeExecution",
    "code_execution",
    "mcpServers",
    "mcp_servers",
];

impl Suspect {
    pub fn of(endpoint: Endpoint) -> Self {
        let (vendor, in_schemas, elsewhere) = match endpoint {
            Endpoint::Messages | Endpoint::CountTokens => (
                Some(Vendor::Anthropic),
                const { &Looks::of(ANTHROPIC) },
                const { &Looks::of(ANTHROPIC).and(ANTHROPIC_MEDIA) },
            ),
            Endpoint::ChatCompletions | Endpoint::Responses | Endpoint::Compact | Endpoint::InputTokens => {
                (Some(Vendor::OpenAi), const { &Looks::of(OPENAI) }, const { &Looks::of(OPENAI).and(OPENAI_MEDIA) })
            }
            Endpoint::Generate
            | Endpoint::StreamGenerate
            | Endpoint::GeminiCountTokens
            | Endpoint::EmbedContent
            | Endpoint::BatchEmbedContents => {
                (Some(Vendor::Gemini), const { &Looks::of(GEMINI) }, const { &Looks::of(GEMINI).and(GEMINI_MEDIA) })
            }
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
            | Endpoint::Unmetered(_) => (None, &Looks::NOTHING, &Looks::NOTHING),
        };
        Self {
            vendor,
            keys: elsewhere,
            in_schemas,
            elsewhere,
            item_keys: &Looks::NOTHING,
            firsts: elsewhere.firsts,
            item_firsts: 0,
            in_tools: false,
            item: Item::default(),
            found: false,
            tools: Hosted::default(),
            media: false,
        }
    }

    /// Whether a key that begins so could be a wanted one.
    #[inline]
    pub fn may_begin(&self, first: u8, depth: usize) -> bool {
        let firsts = if depth == ITEM_DEPTH { self.firsts | self.item_firsts } else { self.firsts };
        (firsts >> (first & 31)) & 1 != 0
    }

    /// Whether a plain key could be, by its length.
    pub fn may_have(&self, key: &[u8], depth: usize) -> bool {
        self.keys.may_have(key) || (depth == ITEM_DEPTH && self.item_keys.may_have(key))
    }

    /// A key at the top, without escapes; empty if it is none that could be wanted.
    pub fn top(&mut self, key: &[u8]) {
        if self.item_firsts != 0 {
            self.in_items_of(&Looks::NOTHING);
            self.in_tools = false;
            (self.keys, self.firsts) = (self.elsewhere, self.elsewhere.firsts);
        }
        match (self.vendor, key) {
            (Some(vendor), b"tools") => {
                self.in_tools = true;
                (self.keys, self.firsts) = (self.in_schemas, self.in_schemas.firsts);
                self.in_items_of(match vendor {
                    Vendor::Anthropic | Vendor::OpenAi => const { &Looks::of(TOOL) },
                    Vendor::Gemini => const { &Looks::of(GEMINI_TOOL) },
                });
            }
            (Some(Vendor::OpenAi), b"input" | b"items") => self.in_items_of(const { &Looks::of(ITEM) }),
            (Some(Vendor::Anthropic), b"container" | b"thread")
            | (Some(Vendor::OpenAi), b"prompt")
            | (Some(Vendor::Gemini), b"cachedContent" | b"cached_content") => self.found = true,
            _ => self.nested(key),
        }
    }

    /// A key of an object that is looked into for other reasons.
    pub fn nested(&mut self, key: &[u8]) {
        if self.may_have(key, 1) {
            self.wants(key);
        }
    }

    fn in_items_of(&mut self, keys: &'static Looks) {
        (self.item_keys, self.item_firsts) = (keys, keys.firsts);
    }

    /// A key below the top. `Some`: its value is to be told, for it is not all in the frame.
    pub fn deep(&mut self, key: DeepKey<'_>) -> Option<(Late, Want)> {
        let in_item = key.depth == ITEM_DEPTH && self.item_firsts != 0;
        let mut plain = [0; MAX_KEY];
        let escaped = key.raw.contains(&b'\\');
        let name = if escaped { decode(key.raw, &mut plain).unwrap_or_default() } else { key.raw };
        if self.wants(name) || !in_item {
            return None;
        }
        if self.in_tools {
            let late = self.of_tool(name, Some(key.rest))?;
            return Some((late, Want::Value { limit: RAW }));
        }
        if escaped {
            self.found |= ITEM.iter().any(|own| own.as_bytes() == name);
        } else {
            self.of_item(key.raw, key);
        }
        None
    }

    /// A further key of a tool one of whose values was late.
    pub fn tool_key(&mut self, raw: &[u8]) -> Option<(Late, Want)> {
        let mut plain = [0; MAX_KEY];
        let name = if raw.contains(&b'\\') { decode(raw, &mut plain).unwrap_or_default() } else { raw };
        if self.wants(name) {
            return None;
        }
        Some((self.of_tool(name, None)?, Want::Value { limit: RAW }))
    }

    /// A value of a tool that was late.
    pub fn late(&mut self, late: Late, raw: Option<&[u8]>) {
        match (late, raw) {
            (Late::Type, Some([b'"', kind @ .., b'"'])) => self.tool_type(kind),
            (Late::Type, Some(b"null")) => {}
            (Late::Type, _) => self.tools.add(Hosting::Other),
            (Late::MaxUses, raw) => {
                if let Some(uses) = raw.and_then(number::integral) {
                    self.tools.bound(uses);
                }
            }
        }
    }

    fn of_tool(&mut self, name: &[u8], rest: Option<&[u8]>) -> Option<Late> {
        if self.vendor == Some(Vendor::Gemini) {
            if let Some(kind) = terms::gemini(name) {
                self.tools.add(kind);
            }
            return None;
        }
        let late = match name {
            b"type" => Late::Type,
            b"max_uses" => Late::MaxUses,
            _ => return None,
        };
        // Nearly always it is all there.
        let value = rest.and_then(value_behind);
        let end = match value {
            Some([b'"', text @ ..]) => {
                memchr::memchr2(b'"', b'\\', text).filter(|at| text[*at] == b'"').map(|at| at + 2)
            }
            Some(value) => value.iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t')),
            None => None,
        };
        match value.zip(end) {
            Some((value, end)) => self.late(late, value.get(..end)),
            None => return Some(late),
        }
        None
    }

    fn tool_type(&mut self, kind: &[u8]) {
        let hosting = match self.vendor {
            Some(Vendor::Anthropic) => terms::anthropic(kind),
            _ => terms::openai(kind),
        };
        if let Some(hosting) = hosting {
            self.tools.add(hosting);
        }
    }

    /// Whether it is a wanted key, which is noted.
    fn wants(&mut self, name: &[u8]) -> bool {
        let (stored, media) = match self.vendor {
            Some(Vendor::Anthropic) => (ANTHROPIC, ANTHROPIC_MEDIA),
            Some(Vendor::OpenAi) => (OPENAI, OPENAI_MEDIA),
            Some(Vendor::Gemini) => (GEMINI, GEMINI_MEDIA),
            None => return false,
        };
        let is_in = |keys: &[&str]| keys.iter().any(|key| key.as_bytes() == name);
        let (stored, media) = (is_in(stored), is_in(media));
        self.found |= stored;
        self.media |= media;
        stored || media
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

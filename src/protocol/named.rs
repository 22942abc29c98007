//! Which stored things a body names: files, containers, vector stores, cached contents, items of earlier answers.
//!
//! Asked only of bodies in which [`super::peek`] has seen a name that may stand for one, and of those that are not counted;
//! so it may take its time, and is exact where `peek` only suspects. Invariants: whatever a provider would look up by an id
//! in a body is found, however its key is spelled; what is free text to a provider (a tool's arguments, a schema, metadata)
//! never is, so an agent may have a tool with a `file_id` of its own. One pass, no recursion, memory for what is open and what
//! is found, both bounded.
//!
//! Read is only what [`super::json::Scanner`] has accepted before; the reader relies on its grammar. Deliberately not here:
//! whose the things are.

mod lines;
mod places;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use memchr::memchr2;

use super::Object;
use super::json::MAX_KEY;
use super::peek::decode;
use crate::error::BodyError;

pub use lines::are_clean as lines_are_clean;
use places::Place;
pub use places::is_whole;

/// Most things that one body may name.
pub const MOST: usize = 4096;
/// Longest id that is kept whole, in bytes; nobody is given a longer one.
const MAX_ID: usize = 256;

/// Whose grammar a body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Anthropic's.
    Anthropic,
    /// OpenAI's: Chat, Responses, and all that is not counted.
    OpenAi,
    /// Google's, where one field has two spellings.
    Gemini,
}

/// A thing that a body names, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    /// What it is.
    pub object: Object,
    /// The field that names it.
    pub field: &'static str,
    /// Its id.
    pub id: Box<str>,
}

/// All that were found, each once.
#[derive(Debug, Default)]
pub struct Found {
    list: Vec<Named>,
    seen: HashSet<Named>,
    full: bool,
}

impl Found {
    fn add(&mut self, object: Object, field: &'static str, id: Box<str>) {
        let named = Named { object, field, id };
        if self.list.len() == MOST && !self.seen.contains(&named) {
            self.full = true;
        } else if self.seen.insert(named.clone()) {
            self.list.push(named);
        }
    }

    /// In the order of the body.
    ///
    /// # Errors
    /// There were more than [`MOST`].
    pub fn finish(self) -> Result<Vec<Named>, BodyError> {
        if self.full {
            return Err(BodyError::FieldInvalid { field: "file_id", want: "one of at most 4096 ids in a request" });
        }
        Ok(self.list)
    }
}

/// Finds what a whole JSON text names.
pub fn find(vendor: Vendor, text: &[u8], found: &mut Found) {
    Reader { vendor, open: Vec::new(), next: Place::Top, awaits_key: false, found }.read(text);
}

/// An object or array that is open.
struct Level {
    object: bool,
    place: Place,
    item: Item,
}

/// What an item of a conversation has said of itself.
#[derive(Default)]
struct Item {
    ids: Vec<Box<str>>,
    /// It has said what it is, and that it is something that holds all of itself.
    whole: bool,
    /// It has said that it is something else, or what has no such sense.
    other: bool,
    /// What it must hold to be whole.
    needs: Option<&'static str>,
    encrypted: Content,
    result: Content,
}

/// Whether something is there that cannot be looked up in place of what is not.
#[derive(Default, Clone, Copy, PartialEq)]
enum Content {
    #[default]
    Absent,
    There,
    /// Empty, or no text; also beside one that is.
    Hollow,
}

impl Content {
    fn is(&mut self, text: bool) {
        *self = if text && *self != Self::Hollow { Self::There } else { Self::Hollow };
    }
}

struct Reader<'f> {
    vendor: Vendor,
    open: Vec<Level>,
    /// What the next value of an object is.
    next: Place,
    awaits_key: bool,
    found: &'f mut Found,
}

impl Reader<'_> {
    fn read(&mut self, text: &[u8]) {
        let mut i = 0;
        while let Some(&byte) = text.get(i) {
            i += 1;
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => {}
                b',' => self.awaits_key = self.open.last().is_some_and(|level| level.object),
                b':' => self.awaits_key = false,
                b'{' | b'[' => {
                    let place = self.place().inside(byte == b'{');
                    self.awaits_key = byte == b'{';
                    self.open.push(Level { object: byte == b'{', place, item: Item::default() });
                }
                b'}' | b']' => {
                    if let Some(Level { place: Place::Item, item, .. }) = self.open.pop() {
                        self.judge(item);
                    }
                    self.awaits_key = false;
                }
                b'"' => {
                    let end = string_end(text, i);
                    let raw = text.get(i..end).unwrap_or_default();
                    i = end + 1;
                    if self.awaits_key {
                        self.key(raw);
                    } else {
                        self.text(raw);
                    }
                }
                _ => {
                    let rest = text.get(i..).unwrap_or_default();
                    let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
                    i += rest.iter().position(ends).unwrap_or(rest.len());
                    self.scalar();
                }
            }
        }
    }

    /// What the value that begins is.
    fn place(&self) -> Place {
        match self.open.last() {
            Some(level) if !level.object => level.place,
            Some(_) | None => self.next,
        }
    }

    fn key(&mut self, raw: &[u8]) {
        let Some(level) = self.open.last() else { return };
        let mut plain = [0; MAX_KEY];
        // One that is longer, or not ASCII, is none of ours.
        let key = match raw {
            raw if !raw.contains(&b'\\') => Some(raw),
            raw if raw.len() <= MAX_KEY => decode(raw, &mut plain),
            _ => None,
        };
        self.next = level.place.of(self.vendor, key.unwrap_or_default());
    }

    fn text(&mut self, raw: &[u8]) {
        match self.place() {
            Place::Id(object, field) | Place::Named(object, field) => self.found.add(object, field, id(raw)),
            Place::Prefixed(object, field) => {
                let id = id(raw);
                let id = id.split_once('/').map_or(&*id, |(_, id)| id).into();
                self.found.add(object, field, id);
            }
            Place::Uri => {
                if let Some(id) = places::file_of_uri(&id(raw)) {
                    self.found.add(Object::File, "fileUri", id);
                }
            }
            place => self.of_item(place, Some(raw)),
        }
    }

    fn scalar(&mut self) {
        self.of_item(self.place(), None);
    }

    /// A field of an item itself.
    fn of_item(&mut self, place: Place, text: Option<&[u8]>) {
        let Some(Level { place: Place::Item, item, .. }) = self.open.last_mut() else { return };
        match (place, text) {
            (Place::ItemId, Some(raw)) if item.ids.len() < MOST => item.ids.push(id(raw)),
            (Place::ItemType, Some(raw)) => match is_whole(&id(raw)) {
                Some(needs) => {
                    item.whole = true;
                    item.needs = needs.or(item.needs);
                }
                None => item.other = true,
            },
            (Place::ItemType, None) => item.other = true,
            (Place::Encrypted, text) => item.encrypted.is(text.is_some_and(|text| !text.is_empty())),
            (Place::Result, text) => item.result.is(text.is_some_and(|text| !text.is_empty())),
            _ => {}
        }
    }

    /// An item that does not hold all of itself is looked up by its id.
    fn judge(&mut self, item: Item) {
        let held = match item.needs {
            None => true,
            Some("encrypted_content") => item.encrypted == Content::There,
            Some(_) => item.result == Content::There,
        };
        if item.whole && !item.other && held {
            return;
        }
        for id in item.ids {
            self.found.add(Object::Item, "item_reference", id);
        }
    }
}

/// Where the string ends whose first byte is at `from`: its closing quote, or the text's end.
fn string_end(text: &[u8], mut from: usize) -> usize {
    while let Some(at) = text.get(from..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if text[from + at] == b'"' {
            return from + at;
        }
        from += at + 2;
    }
    text.len()
}

/// An id as the provider reads it; one that cannot be read is nobody's.
fn id(raw: &[u8]) -> Box<str> {
    let plain = match raw.contains(&b'\\') {
        false => std::str::from_utf8(raw).ok().map(Box::from),
        true => serde_json::from_slice::<Box<str>>(&[b"\"", raw, b"\""].concat()).ok(),
    };
    let mut id = plain.unwrap_or_else(|| String::from_utf8_lossy(raw).into()).into_string();
    // Nobody has an id of one byte more.
    id.truncate(id.floor_char_boundary(MAX_ID + 1));
    id.into()
}

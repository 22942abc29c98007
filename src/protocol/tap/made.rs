//! The ids of what an answer made: the response itself, its items, and the containers in which a model's programs ran.
//!
//! Sought only where somebody wants them. A JSON answer of Responses has its id at the top and its items in `output`, a stream
//! has the first in the `response` of its first event and each item in an event of its own; Anthropic's container is at the
//! top of a message. Invariant: looked for in those places alone, never in text, arguments or metadata: what a client or a
//! model has written cannot pass for an id that the provider gave.

use std::collections::VecDeque;

use serde::Deserialize;

use super::watch::UsageWatch;
use crate::error::BodyError;
use crate::protocol::Object;
use crate::protocol::json::{DeepKey, ITEM_DEPTH, Key, Root, Scanner, Value, Want, Watch};

/// Longest spelling of an id, quotes included, in bytes.
pub const MAX_RAW: usize = 512;
/// Longest spelling of what says which container it was, in bytes.
const MAX_CONTAINER: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Made {
    /// The response's own id is sought.
    response: bool,
    /// Items and containers are.
    things: bool,
    /// What the value that comes is.
    here: Option<Here>,
    /// Inside of `output`.
    in_output: bool,
    found: VecDeque<(Object, Box<str>)>,
}

#[derive(Debug, Clone, Copy)]
enum Here {
    Id(Object),
    /// Anthropic's: an object with an id.
    Container,
}

impl Made {
    /// The response's id is sought from now on.
    pub fn want_response(&mut self) {
        self.response = true;
    }

    /// Items and containers are sought from now on.
    pub fn want_things(&mut self) {
        self.things = true;
    }

    /// Whether anything is sought still.
    pub fn is_wanted(&self) -> bool {
        self.response || self.things || self.here.is_some()
    }

    /// What was found; each once.
    pub fn take(&mut self) -> Option<(Object, Box<str>)> {
        self.found.pop_front()
    }

    /// Looks into an event of Responses whose `response` has the id.
    pub fn seek_in_response(&mut self, event: &[u8]) {
        if self.response {
            // It ends with an error where the id is found, so the rest is not read.
            let _ = Scanner::new(Root::Object).feed(event, &mut InEvent { made: self, seeks: Seeks::Response });
        }
    }

    /// Looks into an event of Responses that has a whole item.
    pub fn seek_in_item(&mut self, event: &[u8]) {
        if self.things {
            let _ = Scanner::new(Root::Object).feed(event, &mut InEvent { made: self, seeks: Seeks::Item });
        }
    }

    /// Looks into an event of Anthropic's that may say which container there is.
    pub fn seek_container(&mut self, event: &[u8]) {
        if self.things && memchr::memmem::find(event, b"\"container\"").is_some() {
            let _ = Scanner::new(Root::Object).feed(event, &mut InEvent { made: self, seeks: Seeks::Container });
        }
    }

    fn note(&mut self, value: &Value<'_>) {
        #[derive(Deserialize)]
        struct Container {
            id: Box<str>,
        }
        let Some((here, raw)) = self.here.take().zip(value.raw) else { return };
        self.found.extend(match here {
            Here::Id(object) => serde_json::from_slice(raw).ok().map(|id| (object, id)),
            Here::Container => serde_json::from_slice::<Container>(raw).ok().map(|it| (Object::Container, it.id)),
        });
    }

    fn want(&mut self, here: Here) -> Want {
        self.here = Some(here);
        match here {
            Here::Id(_) => Want::Value { limit: MAX_RAW },
            Here::Container => Want::Value { limit: MAX_CONTAINER },
        }
    }

    /// A key of an item itself.
    fn of_item(&mut self, key: &[u8]) -> Want {
        match key {
            b"id" => self.want(Here::Id(Object::Item)),
            b"container_id" => self.want(Here::Id(Object::Container)),
            _ => Want::Pass,
        }
    }
}

#[derive(Clone, Copy)]
enum Seeks {
    Response,
    Item,
    Container,
}

struct InEvent<'m> {
    made: &'m mut Made,
    seeks: Seeks,
}

impl Watch for InEvent<'_> {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        Ok(match (self.seeks, key.level, key.raw) {
            (Seeks::Response, 0, b"response")
            | (Seeks::Item, 0, b"item")
            | (Seeks::Container, 0, b"message" | b"delta") => Want::Enter,
            (Seeks::Response, 1, b"id") => self.made.want(Here::Id(Object::Response)),
            (Seeks::Item, 1, key) => self.made.of_item(key),
            (Seeks::Container, 1, b"container") => self.made.want(Here::Container),
            _ => Want::Pass,
        })
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        self.made.note(&value);
        match self.seeks {
            Seeks::Response => {
                self.made.response = false;
                Err(BodyError::Incomplete)
            }
            Seeks::Item | Seeks::Container => Ok(()),
        }
    }
}

/// Looks into a JSON answer for what it made, and for usage as ever.
pub struct WithIds<'m> {
    pub made: &'m mut Made,
    pub usage: &'m mut UsageWatch,
}

impl WithIds<'_> {
    fn at_top(&mut self, key: &[u8]) -> Option<Want> {
        self.made.in_output = self.made.things && key == b"output";
        match key {
            b"id" if self.made.response => {
                self.made.response = false;
                Some(self.made.want(Here::Id(Object::Response)))
            }
            b"container" if self.made.things && self.usage.is_of_anthropic() => Some(self.made.want(Here::Container)),
            _ => None,
        }
    }
}

impl Watch for WithIds<'_> {
    const DEEP: bool = true;

    fn may_want(&self, first: u8, len: usize) -> bool {
        self.made.things || (first, len) == (b'i', 2) || self.usage.may_want(first, len)
    }

    fn may_begin(&self, first: u8, depth: usize) -> bool {
        (self.made.in_output && depth == ITEM_DEPTH) || self.usage.may_begin(first, depth)
    }

    fn may_have(&self, key: &[u8], depth: usize) -> bool {
        matches!(key.len(), 2 | 12) || self.usage.may_have(key, depth)
    }

    fn deep(&mut self, key: DeepKey<'_>) -> Want {
        let own = match self.made.in_output && key.depth == ITEM_DEPTH {
            true => self.made.of_item(key.raw),
            false => Want::Pass,
        };
        if own == Want::Pass { self.usage.deep(key) } else { own }
    }

    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        let own = match key.level {
            0 => self.at_top(key.raw),
            // The other keys of an item one of which was wanted.
            2 if self.made.in_output => Some(self.made.of_item(key.raw)).filter(|want| *want != Want::Pass),
            _ => None,
        };
        match own {
            Some(want) => Ok(want),
            None => self.usage.key(key),
        }
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        if self.made.here.is_some() {
            self.made.note(&value);
            return Ok(());
        }
        self.usage.value(value)
    }
}

//! A request, reduced to what its answer depends on, and the answer as bytes.
//!
//! Invariant: an [`Ask`] determines the answer's bytes but for the ids in them, so that answers can be rendered once
//! and sent many times. The ids of an answer all hold one number, written over [`MARK`].

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::Json;
use super::scenario::Step;
use super::script::{Script, Tokens};

/// Stands in rendered ids for the answer's number: 16 hexadecimal digits that no text holds by chance.
pub const MARK: &str = "5eed00c0ffee5eed";

/// What the simulated model thinks, where it shows it.
pub const THOUGHT: &str = "The user expects a short answer.";

/// The opaque proof of thinking that clients have to hand back unchanged: base64, of a realistic length.
pub const PROOF: &str = "c2ltdWxhdGVkIHByb29mIG9mIHRoaW5raW5nLCB3aGljaCBoYXMgdG8gY29tZSBiYWNrIGJ5\
    dGUgYnkgYnl0ZSBhbmQgaW4gdGhlIHNhbWUgcGxhY2U=";

/// What an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The model asked for.
    pub model: String,
    /// The form of the answer.
    pub form: Form,
    /// Whether it begins with thinking.
    pub thinking: Thinking,
    /// Chat: whether the stream tells its usage. Responses: whether reasoning is handed out encrypted.
    pub extra: bool,
    /// What the model does.
    pub step: Step,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// One JSON document.
    Json,
    /// Server-sent events.
    Events,
    /// Gemini's stream without `alt=sse`: one JSON array, element by element.
    Array,
}

/// How much of the model's thinking is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thinking {
    /// It does not think.
    Off,
    /// It thinks, and shows only the proof.
    Hidden,
    /// It thinks aloud.
    Shown,
}

/// All that a dialect needs to word an answer.
#[derive(Debug)]
pub struct Reply<'a> {
    /// What was asked.
    pub ask: &'a Ask,
    /// The model named in the answer.
    pub model: &'a str,
    /// The text, where the step is one.
    pub text: &'a str,
    /// How its parts are cut into deltas.
    pub script: &'a Script,
    /// The tokens to report; none: no usage is reported.
    pub usage: Option<&'a Tokens>,
    /// Seconds since 1970.
    pub created: u64,
}

/// A rendered answer.
#[derive(Debug)]
pub struct Rendered {
    bytes: Vec<u8>,
    /// The end of every event.
    pub ends: Arc<[usize]>,
    /// Where every [`MARK`] is.
    marks: Vec<usize>,
}

impl Rendered {
    /// From its events, each with its framing.
    pub fn new(events: &[String]) -> Self {
        let bytes = events.concat().into_bytes();
        let mut end = 0;
        let ends = events.iter().map(|event| {
            end += event.len();
            end
        });
        let marks = memchr::memmem::find_iter(&bytes, MARK).collect();
        Self { ends: ends.collect(), marks, bytes }
    }

    /// The bytes of one answer, its ids holding `number`.
    pub fn numbered(&self, number: u64) -> Bytes {
        let mut bytes = self.bytes.clone();
        let digits = format!("{number:016x}");
        for &mark in &self.marks {
            bytes[mark..mark + MARK.len()].copy_from_slice(digits.as_bytes());
        }
        bytes.into()
    }
}

/// An id that holds the answer's number.
pub fn id(prefix: &str) -> String {
    format!("{prefix}{MARK}")
}

/// A server-sent event without a name.
pub fn data(json: &Json) -> String {
    format!("data: {}\n\n", json.as_str())
}

/// A server-sent event with a name.
pub fn event(name: &str, json: &Json) -> String {
    format!("event: {name}\ndata: {}\n\n", json.as_str())
}

/// A part of a request that is looked at only where it matters; `null` if it is not there or broken.
pub fn open(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// The elements of a JSON array; none if it is something else.
pub fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A string field.
pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

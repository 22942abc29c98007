//! OpenAI Chat Completions (<https://platform.openai.com/docs/api-reference/chat-streaming>).
//!
//! Invariant: a chunk is parsed only when it may carry usage or an error, or while content has not begun. Both keys are
//! looked for with their quotes, which cannot stand unescaped inside a JSON string, so what a model says never looks like
//! them; a hit deeper inside (in a tool's arguments) only costs the parse. A chunk that differs from one already looked
//! through only inside its delta is not looked through again (`shape`).

use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Progress;
use super::recent::Recent;
use super::served::Served;
use super::shape::Shape;
use super::watch::UsageWatch;
use crate::protocol::Dialect;
use crate::protocol::estimate::Heard;
use crate::protocol::sse::Event;
use crate::protocol::usage::Usage;
use crate::protocol::withhold::is_usage_chunk;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finish_reason\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));

/// Usage comes in one late chunk; Groq's older servers put it below `x_groq`.
#[derive(Debug)]
pub struct Reader {
    watch: UsageWatch,
    recent: Recent,
    shape: Shape,
    pub heard: Heard,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            watch: UsageWatch::new(Dialect::Chat),
            recent: Recent::default(),
            shape: Shape::default(),
            heard: Heard::default(),
        }
    }
}

impl Reader {
    pub fn served(&self) -> Served {
        self.watch.served
    }

    pub fn usage(&self) -> Option<Usage> {
        self.watch.usage()
    }
}

impl Reader {
    /// Whether the model has said why it stopped.
    pub fn finished(&self) -> bool {
        self.recent.any(|event| has_value(&FINISH, event))
    }
}

impl super::Reader for Reader {
    #[inline]
    fn event(&mut self, event: Event<'_>, progress: &mut Progress) {
        let data = event.data;
        if data.starts_with(b"[DONE]") {
            progress.terminal = true;
            return;
        }
        self.heard.hear(data);
        if self.shape.fits(data) && event.name.is_empty() {
            return;
        }
        if !progress.content {
            progress.content = has_content(data);
        }
        self.recent.push(data);
        if has_value(&USAGE, data) || has_value(&ERROR, data) {
            self.watch.read(data);
            progress.usage_chunk |= event.name.is_empty() && is_usage_chunk(data);
            progress.failed |= self.watch.failed;
        } else if progress.content {
            self.shape.learn(data);
        }
        progress.failed |= event.name == b"error";
    }
}

/// Whether the key may be there with another value than `null`.
#[inline]
fn has_value(key: &Finder<'_>, data: &[u8]) -> bool {
    let mut rest = data;
    while let Some(at) = key.find(rest) {
        rest = &rest[at + key.needle().len()..];
        // `"usage":null` is on every chunk of a stream that was asked for its usage.
        if !rest.starts_with(b":null") && !rest.starts_with(b": null") {
            return true;
        }
    }
    false
}

fn has_content(data: &[u8]) -> bool {
    serde_json::from_slice::<Chunk>(data)
        .is_ok_and(|chunk| chunk.choices.iter().flatten().any(|choice| choice.delta.is_some_and(Delta::says_something)))
}

#[derive(serde::Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
}

#[derive(serde::Deserialize)]
struct Choice {
    delta: Option<Delta>,
}

/// The role is not content; everything else that a model can say is. Providers beyond OpenAI call reasoning by three names.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(default)]
struct Delta {
    content: Filled,
    refusal: Filled,
    reasoning_content: Filled,
    reasoning: Filled,
    reasoning_details: Filled,
    tool_calls: Filled,
    function_call: Filled,
    audio: Filled,
}

impl Delta {
    fn says_something(self) -> bool {
        let said = [
            self.content,
            self.refusal,
            self.reasoning_content,
            self.reasoning,
            self.reasoning_details,
            self.tool_calls,
            self.function_call,
            self.audio,
        ];
        said.iter().any(|field| field.0)
    }
}

/// Whether a value is more than `null`, `""` or `[]`.
#[derive(Clone, Copy, Default)]
struct Filled(bool);

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Filled(false))
    }
}

impl<'de> Visitor<'de> for Filled {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self, E> {
        Ok(Self(!text.is_empty()))
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self(false))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self, E> {
        Ok(Self(value))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self(true))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self(true))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self(true))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        let mut filled = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            filled = true;
        }
        Ok(Self(filled))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut filled = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            filled = true;
        }
        Ok(Self(filled))
    }
}

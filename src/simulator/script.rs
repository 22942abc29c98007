//! What the simulated provider does, as data: written in Rust by tests, in TOML or JSON by people.
//!
//! Invariant: everything here is valid by construction (header names, sizes, dialect names), so that taking over a
//! script cannot fail; what is unknown is an error, not ignored.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::fault::Fault;

/// Most bytes of answer text; what a script asks for beyond it is left out.
pub const MAX_TEXT: usize = 16 * 1024 * 1024;

/// What the simulated provider does. The default answers like a model that has little to say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// What is answered when the request calls for nothing else.
    pub text: String,
    /// How many pieces a streamed text comes in.
    pub chunks: Option<NonZeroU32>,
    /// Bytes in a piece. Together with `chunks` it sets the length of the answer: the text is repeated until it fills
    /// `chunks * chunk_bytes` bytes.
    pub chunk_bytes: Option<NonZeroU32>,
    /// Milliseconds before the response head of an answer; what goes wrong goes wrong at once.
    pub first_byte_ms: u64,
    /// Milliseconds between two chunks of a streamed answer.
    pub gap_ms: u64,
    /// The tokens that every answer reports.
    pub usage: Tokens,
    /// Whether answers report usage at all.
    pub report_usage: bool,
    /// What is done with the tools that a request offers.
    pub tools: Tools,
    /// The model named in answers; none: the one that was asked for.
    pub model: Option<String>,
    /// What `GET …/models` lists.
    pub models: Vec<String>,
    /// Further response headers.
    pub headers: Headers,
    /// How a streamed answer is cut into HTTP chunks, and a JSON answer into writes.
    pub chunking: Chunking,
    /// Requests that show another key than this one are refused with 401.
    pub key: Option<String>,
    /// Whether requests are kept for [`super::Counts::recorded`].
    pub record: bool,
    /// Every answer carries the same ids and times, so that two answers to one request are the same bytes.
    pub fixed_ids: bool,
    /// For load: bodies are not kept and not read, only searched for `"stream":true` (spaces allowed after the colon); the
    /// model is `model`, and tools are ignored. A tenth of the work on large requests.
    pub skim: bool,
    /// What goes wrong. A request meets the first fault that wants it; later ones do not see it.
    pub faults: Vec<Fault>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            text: "This is Tollgate's simulated provider speaking, not a model. Put a provider's key into the \
                   environment and start Tollgate again to reach a real one."
                .to_owned(),
            chunks: None,
            chunk_bytes: None,
            first_byte_ms: 0,
            gap_ms: 0,
            usage: Tokens::default(),
            report_usage: true,
            tools: Tools::default(),
            model: None,
            models: ["claude-sonnet-4-5", "gpt-5.5", "gemini-2.5-pro"].map(str::to_owned).into(),
            headers: Headers::default(),
            chunking: Chunking::default(),
            key: None,
            record: false,
            fixed_ids: false,
            skim: false,
            faults: Vec::new(),
        }
    }
}

impl Script {
    /// Time before the response head.
    #[must_use]
    pub const fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    /// Time between two chunks.
    #[must_use]
    pub const fn gap(&self) -> Duration {
        Duration::from_millis(self.gap_ms)
    }

    /// With one more fault.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The text of an answer that nothing else determines.
    #[must_use]
    pub fn answer(&self) -> String {
        let (Some(chunks), Some(bytes)) = (self.chunks, self.chunk_bytes) else {
            return self.text.clone();
        };
        let length =
            usize::try_from(u64::from(chunks.get()) * u64::from(bytes.get())).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        let mut text = String::with_capacity(length + self.text.len() + 1);
        while text.len() < length {
            text.push_str(&self.text);
            text.push(' ');
        }
        let end = text.floor_char_boundary(length);
        text.truncate(end);
        while text.len() < length {
            text.push(' ');
        }
        text
    }

    /// A text in the pieces in which it is streamed, cut between characters. At least one piece.
    #[must_use]
    pub fn pieces<'t>(&self, text: &'t str) -> Vec<&'t str> {
        const PIECES: usize = 8;
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let size = match (self.chunk_bytes, self.chunks) {
                (Some(bytes), _) => bytes.get() as usize,
                (None, chunks) => {
                    let wanted = chunks.map_or(PIECES, |chunks| chunks.get() as usize);
                    rest.len() / wanted.saturating_sub(pieces.len()).max(1)
                }
            };
            // A character that is longer than a piece still needs a place.
            let first = rest.chars().next().map_or(1, char::len_utf8);
            let (piece, more) = rest.split_at(rest.floor_char_boundary(size).max(first));
            pieces.push(piece);
            rest = more;
        }
        if pieces.is_empty() {
            pieces.push("");
        }
        pieces
    }
}

/// Tokens by kind, in the form of [`crate::protocol::usage::Usage`]: the kinds do not overlap, `output` includes
/// `reasoning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// Input neither read from nor written to a cache.
    pub input: u64,
    /// Input read from a prompt cache.
    pub cache_read: u64,
    /// Input written to a prompt cache for five minutes.
    pub cache_write_5m: u64,
    /// Input written to a prompt cache for an hour.
    pub cache_write_1h: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { input: 1000, cache_read: 300, cache_write_5m: 20, cache_write_1h: 0, output: 40, reasoning: 10 }
    }
}

impl Tokens {
    /// Written to a prompt cache, for any time.
    #[must_use]
    pub const fn cache_write(&self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }

    /// All input, cached or not.
    #[must_use]
    pub const fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write())
    }

    /// Everything.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.prompt().saturating_add(self.output)
    }
}

/// What is done with the tools that a request offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tools {
    /// A user who says ``run `COMMAND` `` gets a call of the request's shell tool, and then what it printed.
    #[default]
    Use,
    /// Nothing: every request gets the script's text.
    Ignore,
}

/// How a streamed answer is cut into HTTP chunks, each flushed on its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chunking {
    /// One chunk per event.
    #[default]
    PerEvent,
    /// Chunks of so many bytes, across events; 0 counts as 1.
    Bytes(usize),
    /// Chunks of 1 to 97 bytes, across events; the same ones for the same seed.
    Random(u64),
    /// One chunk.
    Whole,
}

impl Chunking {
    /// Where an answer is cut: the end of every chunk, given the end of every event. The last one is the answer's end.
    #[must_use]
    pub fn cuts(self, events: &[usize]) -> Vec<usize> {
        let Some(&end) = events.last() else { return Vec::new() };
        match self {
            Self::PerEvent => events.to_vec(),
            Self::Whole => vec![end],
            Self::Bytes(size) => {
                let mut cuts: Vec<usize> = (0..end).step_by(size.max(1)).skip(1).collect();
                cuts.push(end);
                cuts
            }
            Self::Random(seed) => {
                let (mut cuts, mut at, mut state) = (Vec::new(), 0, seed);
                while at < end {
                    at = (at + 1 + split_mix(&mut state) as usize % 97).min(end);
                    cuts.push(at);
                }
                cuts
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): every seed is a good one, and the sequence never changes under our tests.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Response headers; written as a table of name and value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Headers(pub Vec<(HeaderName, HeaderValue)>);

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = String;

    fn try_from(table: BTreeMap<String, String>) -> Result<Self, String> {
        let parse = |(name, value): (String, String)| {
            let header = name.parse::<HeaderName>().map_err(|_| format!("`{name}` is no header name"))?;
            let value =
                HeaderValue::try_from(value).map_err(|_| format!("the value of header `{name}` is not valid"))?;
            Ok((header, value))
        };
        table.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_their_size_set_the_answers_length() {
        let script = Script {
            text: "näh".into(),
            chunks: NonZeroU32::new(7),
            chunk_bytes: NonZeroU32::new(5),
            ..Script::default()
        };
        let text = script.answer();
        assert_eq!(text.len(), 35);
        assert_eq!(script.pieces(&text).concat(), text);
    }

    #[test]
    fn pieces_lose_nothing() {
        for (text, chunks, bytes) in
            [("", None, None), ("äöü€", None, Some(1)), ("hello", Some(2), None), ("hello", Some(9), None)]
        {
            let script = Script {
                chunks: chunks.and_then(NonZeroU32::new),
                chunk_bytes: bytes.and_then(NonZeroU32::new),
                ..Script::default()
            };
            let pieces = script.pieces(text);
            assert_eq!(pieces.concat(), text);
            assert!(!pieces.is_empty());
        }
    }

    #[test]
    fn a_text_comes_in_as_many_pieces_as_asked() {
        for chunks in 1..=11 {
            let script = Script { chunks: NonZeroU32::new(chunks), ..Script::default() };
            assert_eq!(script.pieces("hello there").len(), chunks as usize);
        }
    }

    #[test]
    fn every_chunking_ends_where_the_events_end() {
        let events = [10, 300, 301, 1000];
        for chunking in
            [Chunking::PerEvent, Chunking::Whole, Chunking::Bytes(7), Chunking::Bytes(0), Chunking::Random(3)]
        {
            let cuts = chunking.cuts(&events);
            assert_eq!(cuts.last(), Some(&1000), "{chunking:?}");
            assert!(cuts.windows(2).all(|w| w[0] < w[1]), "{chunking:?}");
        }
        assert_eq!(Chunking::Bytes(400).cuts(&events), [400, 800, 1000]);
        assert_eq!(Chunking::Random(1).cuts(&events), Chunking::Random(1).cuts(&events));
    }

    #[test]
    fn toml_and_json_mean_the_same() {
        let from_toml: Script = toml::from_str(
            "text = 'hi'\nchunks = 3\nchunking = { bytes = 7 }\nusage = { input = 5 }\nheaders = { x-a = 'b' }\n\
             [[faults]]\ndialect = 'chat'\ncount = 2\n\
             effect = { status = { code = 529, headers = { retry-after = '2' } } }",
        )
        .unwrap();
        let from_json: Script = serde_json::from_str(
            r#"{"text":"hi","chunks":3,"chunking":{"bytes":7},"usage":{"input":5},"headers":{"x-a":"b"},"faults":[
                {"dialect":"chat","count":2,"effect":{"status":{"code":529,"headers":{"retry-after":"2"}}}}]}"#,
        )
        .unwrap();
        assert_eq!(from_toml, from_json);
        assert_eq!(from_toml.usage, Tokens { input: 5, ..Tokens::default() });
    }

    #[test]
    fn what_is_unknown_or_invalid_is_an_error() {
        for bad in [
            r#"{"txt":"hi"}"#,
            r#"{"chunks":0}"#,
            r#"{"headers":{"a b":"c"}}"#,
            r#"{"headers":{"a":"\n"}}"#,
            r#"{"faults":[{"dialect":"klingon","effect":"reset"}]}"#,
            r#"{"faults":[{"effect":"explode"}]}"#,
            r#"{"faults":[{"every":0,"effect":"reset"}]}"#,
            r#"{"faults":[{"effect":{"status":{"code":99}}}]}"#,
        ] {
            assert!(serde_json::from_str::<Script>(bad).is_err(), "{bad}");
        }
    }
}

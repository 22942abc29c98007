//! What a request body says about itself, read while it arrives.
//!
//! Invariant: no other value is read than the provider reads. A top-level key that we act on, and that is there twice or is
//! spelled with escapes, is refused (parsers differ in which one wins); so are a `null` model and a cap that is no
//! non-negative integer. Keys are case-sensitive. Everything else passes untouched, duplicates included; the grammar
//! is checked by [`super::json`], whose module names the leniencies.
//!
//! Which keys are acted on depends on the endpoint ([`Endpoint`]): a Gemini body's `model` is nothing to us, its model
//! stands in the path. Nothing is allocated but the model's name and the session, unless a value that we read lies on a
//! chunk border.

mod ask;
mod number;
mod session;
mod suspect;
mod terms;

#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::Deserialize;

use super::Endpoint;
use super::json::{DeepKey, Key, MAX_KEY, Root, Scanner, Value, Want, Watch};
use crate::error::BodyError;
use ask::Options;
use suspect::{Late, Suspect};

pub use ask::Asking;
pub use terms::{Hosted, Terms};

/// Longest model name, in bytes.
pub const MAX_MODEL: usize = 256;

/// Longest spelling of a model name: every byte an escape sequence of six, and the quotes.
const MODEL_RAW: usize = MAX_MODEL * 6 + 2;
/// Longest spelling of a number or literal that is read.
const SCALAR_RAW: usize = 64;
/// Longest spelling of an id, or of the object around one, that is read.
const ID_RAW: usize = 2048;
/// Longest `stream_options` that are read, in bytes.
const OPTIONS_RAW: usize = 4096;

/// What a body said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peeked {
    /// Always there where the endpoint has its model in the body.
    pub model: Option<ModelField>,
    /// `"stream": true`.
    pub stream: bool,
    /// The dearest of the output caps that are there, in tokens.
    pub max_output: Option<u64>,
    /// Answers asked for (`n`, Gemini's `candidateCount`).
    pub n: Option<u64>,
    /// Chat's `stream_options.include_usage`.
    pub include_usage: Option<bool>,
    /// How to ask for the usage of a Chat stream that does not.
    pub asking: Option<Asking>,
    /// The stored response that it goes on from (`previous_response_id`).
    pub previous: Option<Box<str>>,
    /// The stored conversation that it belongs to (`conversation`, or its `id`).
    pub conversation: Option<Box<str>>,
    /// `"store": false`: its answer cannot be asked for again. A hint: nothing is granted by it.
    pub unstored: bool,
    /// It may name further stored things: whoever lets it pass asks [`super::named`] which.
    pub names: bool,
    /// What changes what its answer may cost.
    pub terms: Terms,
    /// The conversation, in the agent's words: printable ASCII, at most 128 bytes. A claim, never an authority.
    pub session: Option<Box<str>>,
}

/// The model in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelField {
    /// Decoded.
    pub name: Box<str>,
    /// Bytes of the value in the whole body, quotes included.
    pub value: Range<usize>,
}

/// Reads one body. See the module.
#[derive(Debug)]
pub struct Peek {
    scanner: Scanner,
    watcher: Watcher,
}

impl Peek {
    /// At the start of a body for this endpoint.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            scanner: Scanner::new(Root::Object),
            watcher: Watcher {
                api: Api::of(endpoint),
                seen: 0,
                current: None,
                outer: None,
                stream_end: 0,
                options: None,
                suspect: Suspect::of(endpoint),
                found: Peeked::default(),
            },
        }
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// Everything in [`BodyError`] that a body can say of itself. After an error the rest is not read.
    pub fn feed(&mut self, frame: &[u8]) -> Result<(), BodyError> {
        if self.watcher.api == Api::Stored {
            return Ok(());
        }
        self.scanner.feed(frame, &mut self.watcher)
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`BodyError::Broken`] when it is cut short or empty, [`BodyError::FieldMissing`] without a model where there must be
    /// one.
    pub fn finish(self) -> Result<Peeked, BodyError> {
        if self.watcher.api == Api::Stored {
            return Ok(Peeked::default());
        }
        self.scanner.finish()?;
        let Watcher { api, mut found, suspect, stream_end, options, .. } = self.watcher;
        if api == Api::Chat && found.stream {
            found.asking = options.map_or_else(|| Some(ask::behind(stream_end)), |options| options.asking);
        }
        found.terms.media = suspect.media;
        // What is said of all tools at the top was noted here.
        found.terms.tools = found.terms.tools.with(suspect.tools);
        found.names = suspect.finish();
        if found.model.is_none() && api.acts_on(Field::Model) {
            return Err(BodyError::FieldMissing { field: Field::Model.name() });
        }
        Ok(found)
    }
}

/// The keys that mean something to us somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Stream,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    N,
    StreamOptions,
    GenerationConfig,
    GeminiMaxOutput,
    CandidateCount,
    Metadata,
    UserId,
    PromptCacheKey,
    Previous,
    Conversation,
    Store,
    ServiceTier,
    Speed,
    InferenceGeo,
    MaxToolCalls,
    WebSearchOptions,
    /// Of a tool.
    ToolType,
    /// Of a tool.
    ToolUses,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxOutputTokens => "max_output_tokens",
            Self::N => "n",
            Self::StreamOptions => "stream_options",
            Self::GenerationConfig => "generationConfig",
            Self::GeminiMaxOutput => "generationConfig.maxOutputTokens",
            Self::CandidateCount => "generationConfig.candidateCount",
            Self::Metadata => "metadata",
            Self::UserId => "metadata.user_id",
            Self::PromptCacheKey => "prompt_cache_key",
            Self::Previous => "previous_response_id",
            Self::Conversation => "conversation",
            Self::Store => "store",
            Self::ServiceTier => "service_tier",
            Self::Speed => "speed",
            Self::InferenceGeo => "inference_geo",
            Self::MaxToolCalls => "max_tool_calls",
            Self::WebSearchOptions => "web_search_options",
            Self::ToolType => "tools.type",
            Self::ToolUses => "tools.max_uses",
        }
    }

    /// Only sessions are read from these, and whether an id is worth keeping: neither decides anything that a second spelling
    /// could subvert.
    fn is_hint(self) -> bool {
        matches!(self, Self::Metadata | Self::UserId | Self::PromptCacheKey | Self::Store)
    }

    /// What is wanted of its value.
    fn want(self) -> Want {
        match self {
            Self::Model => Want::Value { limit: MODEL_RAW },
            Self::UserId | Self::PromptCacheKey => Want::Value { limit: session::MAX_RAW },
            Self::Previous | Self::Conversation => Want::Value { limit: ID_RAW },
            Self::StreamOptions => Want::Value { limit: OPTIONS_RAW },
            Self::GenerationConfig | Self::Metadata => Want::Enter,
            Self::Stream
            | Self::MaxTokens
            | Self::MaxCompletionTokens
            | Self::MaxOutputTokens
            | Self::N
            | Self::GeminiMaxOutput
            | Self::CandidateCount
            | Self::Store
            | Self::ServiceTier
            | Self::Speed
            | Self::InferenceGeo
            | Self::MaxToolCalls
            | Self::WebSearchOptions
            | Self::ToolType
            | Self::ToolUses => Want::Value { limit: SCALAR_RAW },
        }
    }
}

/// The endpoints, as far as their bodies differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Messages,
    Chat,
    /// Nothing but the model: what is embedded has no answer of a length to bound, and no stream.
    Embeddings,
    Responses,
    Gemini,
    /// No body of theirs says anything to us.
    Other,
    /// They need no body: whatever there is, is not read.
    Stored,
}

impl Api {
    fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Messages | Endpoint::CountTokens => Self::Messages,
            Endpoint::ChatCompletions => Self::Chat,
            Endpoint::Embeddings => Self::Embeddings,
            Endpoint::Responses | Endpoint::Compact | Endpoint::InputTokens => Self::Responses,
            Endpoint::Generate | Endpoint::StreamGenerate | Endpoint::GeminiCountTokens => Self::Gemini,
            Endpoint::Response
            | Endpoint::DeleteResponse
            | Endpoint::CancelResponse
            | Endpoint::ResponseItems
            | Endpoint::Unmetered(_) => Self::Stored,
            Endpoint::EmbedContent | Endpoint::BatchEmbedContents => Self::Other,
            Endpoint::Models | Endpoint::Model | Endpoint::Usage | Endpoint::Hello => Self::Other,
        }
    }

    fn acts_on(self, field: Field) -> bool {
        match field {
            Field::Model => matches!(self, Self::Messages | Self::Chat | Self::Embeddings | Self::Responses),
            Field::Stream => matches!(self, Self::Messages | Self::Chat | Self::Responses),
            Field::MaxTokens => matches!(self, Self::Messages | Self::Chat),
            Field::MaxCompletionTokens | Field::N | Field::StreamOptions => self == Self::Chat,
            Field::MaxOutputTokens | Field::Previous | Field::Conversation | Field::Store => self == Self::Responses,
            Field::GenerationConfig | Field::GeminiMaxOutput | Field::CandidateCount => self == Self::Gemini,
            Field::Metadata | Field::UserId => self == Self::Messages,
            Field::PromptCacheKey => matches!(self, Self::Chat | Self::Responses),
            Field::ServiceTier => matches!(self, Self::Messages | Self::Chat | Self::Responses | Self::Gemini),
            Field::Speed | Field::InferenceGeo => self == Self::Messages,
            Field::MaxToolCalls => self == Self::Responses,
            Field::WebSearchOptions => self == Self::Chat,
            Field::ToolType | Field::ToolUses => false,
        }
    }

    /// The field behind a key, spelled without escapes. Gemini's JSON is protobuf's: camelCase and snake_case name the same
    /// field (<https://protobuf.dev/programming-guides/json/>).
    fn field(self, outer: Option<Field>, key: &[u8]) -> Option<Field> {
        let field = match (outer, key) {
            (None, b"model") => Field::Model,
            (None, b"stream") => Field::Stream,
            (None, b"max_tokens") => Field::MaxTokens,
            (None, b"max_completion_tokens") => Field::MaxCompletionTokens,
            (None, b"max_output_tokens") => Field::MaxOutputTokens,
            (None, b"n") => Field::N,
            (None, b"stream_options") => Field::StreamOptions,
            (None, b"generationConfig" | b"generation_config") => Field::GenerationConfig,
            (None, b"metadata") => Field::Metadata,
            (None, b"prompt_cache_key") => Field::PromptCacheKey,
            (None, b"previous_response_id") => Field::Previous,
            (None, b"conversation") => Field::Conversation,
            (None, b"store") => Field::Store,
            (None, b"service_tier") => Field::ServiceTier,
            (None, b"serviceTier") if self == Self::Gemini => Field::ServiceTier,
            (None, b"speed") => Field::Speed,
            (None, b"inference_geo") => Field::InferenceGeo,
            (None, b"max_tool_calls") => Field::MaxToolCalls,
            (None, b"web_search_options") => Field::WebSearchOptions,
            (Some(Field::GenerationConfig), b"maxOutputTokens" | b"max_output_tokens") => Field::GeminiMaxOutput,
            (Some(Field::GenerationConfig), b"candidateCount" | b"candidate_count") => Field::CandidateCount,
            (Some(Field::Metadata), b"user_id") => Field::UserId,
            _ => return None,
        };
        self.acts_on(field).then_some(field)
    }
}

#[derive(Debug)]
struct Watcher {
    api: Api,
    /// A bit for each [`Field`] that was there.
    seen: u32,
    /// The field whose value comes.
    current: Option<Field>,
    /// The field whose object we are in.
    outer: Option<Field>,
    /// The place behind the value of `stream`.
    stream_end: usize,
    options: Option<Options>,
    suspect: Suspect,
    found: Peeked,
}

impl Watcher {
    fn wait_for(&mut self, late: Option<(Late, Want)>) -> Want {
        let Some((late, want)) = late else { return Want::Pass };
        self.current = Some(match late {
            Late::Type => Field::ToolType,
            Late::MaxUses => Field::ToolUses,
        });
        want
    }

    /// A key at a watched level, without escapes; empty if it is none that could be ours.
    #[inline]
    fn told(&mut self, name: &[u8], escaped: bool, level: usize) -> Result<Want, BodyError> {
        match level {
            0 => self.suspect.top(name),
            _ => self.suspect.nested(name),
        }
        let Some(field) = self.api.field(self.outer, name) else { return Ok(Want::Pass) };
        if !field.is_hint() {
            if escaped {
                return Err(BodyError::FieldEscaped { field: field.name() });
            }
            let bit = 1 << field as u32;
            if self.seen & bit != 0 {
                return Err(BodyError::FieldDuplicated { field: field.name() });
            }
            self.seen |= bit;
        }
        if field.want() == Want::Enter {
            self.outer = Some(field);
        }
        self.current = Some(field);
        Ok(field.want())
    }
}

impl Watch for Watcher {
    const DEEP: bool = true;

    #[inline]
    fn may_begin(&self, first: u8, depth: usize) -> bool {
        self.suspect.may_begin(first, depth)
    }

    #[inline]
    fn may_have(&self, key: &[u8], depth: usize) -> bool {
        self.suspect.may_have(key, depth)
    }

    fn deep(&mut self, key: DeepKey<'_>) -> Want {
        let late = self.suspect.deep(key);
        self.wait_for(late)
    }

    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        if key.level == 0 {
            self.outer = None;
        } else if key.level > 1 {
            // Nothing is entered so deep: a tool of which a value was wanted.
            let late = self.suspect.tool_key(key.raw);
            return Ok(self.wait_for(late));
        }
        if key.raw.contains(&b'\\') {
            let mut plain = [0; MAX_KEY];
            return self.told(decode(key.raw, &mut plain).unwrap_or_default(), true, key.level);
        }
        self.told(key.raw, false, key.level)
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        let Some(field) = self.current.take() else { return Ok(()) };
        let name = field.name();
        match field {
            Field::Model => self.found.model = Some(model(&value)?),
            Field::Stream => {
                self.found.stream = boolean(name, &value)?.unwrap_or(false);
                self.stream_end = value.at.end;
            }
            Field::StreamOptions => {
                let options = Options::read(&value)?;
                self.found.include_usage = options.include_usage;
                self.options = Some(options);
            }
            Field::N | Field::CandidateCount => self.found.n = integer(name, &value)?,
            Field::MaxTokens | Field::MaxCompletionTokens | Field::MaxOutputTokens | Field::GeminiMaxOutput => {
                self.found.max_output = self.found.max_output.max(integer(name, &value)?);
            }
            Field::UserId => self.found.session = value.raw.and_then(session::of_user_id),
            Field::PromptCacheKey => self.found.session = value.raw.and_then(session::of_cache_key),
            Field::Previous => self.found.previous = id(name, &value)?,
            Field::Conversation => self.found.conversation = id(name, &value)?,
            Field::Store => self.found.unstored = value.raw == Some(b"false"),
            Field::ServiceTier => self.found.terms.tier = terms::tier(value.raw),
            Field::Speed => self.found.terms.fast = !matches!(value.raw, Some(b"null" | br#""standard""#)),
            Field::InferenceGeo => {
                self.found.terms.us = match value.raw {
                    Some(b"null") => None,
                    raw => Some(raw != Some(br#""global""#)),
                };
            }
            Field::MaxToolCalls => self.found.terms.tools.bound_all(integer(name, &value)?),
            Field::WebSearchOptions if value.raw == Some(b"null") => {}
            Field::WebSearchOptions => self.found.terms.tools.add(terms::Hosting::WebSearch),
            Field::ToolType => self.suspect.late(Late::Type, value.raw),
            Field::ToolUses => self.suspect.late(Late::MaxUses, value.raw),
            Field::GenerationConfig | Field::Metadata => {}
        }
        Ok(())
    }
}

/// A key without its escapes, as far as it could be one of ours: ASCII.
pub(super) fn decode<'a>(raw: &[u8], plain: &'a mut [u8; MAX_KEY]) -> Option<&'a [u8]> {
    let mut len = 0;
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        (plain[len], rest) = match (byte, tail) {
            (b'\\', [b'u', a, b, c, d, tail @ ..]) => {
                let digits = [*a, *b, *c, *d];
                let code = u32::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
                (u8::try_from(code).ok().filter(u8::is_ascii)?, tail)
            }
            // These stand for characters that none of our keys has.
            (b'\\', [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] | []) => return None,
            // No escape sequence at all, but a careless parser takes the byte for itself.
            (b'\\', [byte, tail @ ..]) => (*byte, tail),
            _ => (*byte, tail),
        };
        len += 1;
    }
    Some(&plain[..len])
}

fn model(value: &Value<'_>) -> Result<ModelField, BodyError> {
    let invalid = BodyError::FieldInvalid {
        field: Field::Model.name(),
        want: "a string of 1 to 256 bytes without control characters",
    };
    let name: Box<str> = match value.raw {
        Some([b'"', inner @ .., b'"']) if !inner.contains(&b'\\') => match std::str::from_utf8(inner) {
            Ok(name) if !name.is_empty() && name.len() <= MAX_MODEL => name.into(),
            _ => return Err(invalid),
        },
        Some(raw @ [b'"', ..]) => match serde_json::from_slice::<Box<str>>(raw) {
            Ok(name) if !name.is_empty() && name.len() <= MAX_MODEL => name,
            _ => return Err(invalid),
        },
        _ => return Err(invalid),
    };
    if name.chars().any(char::is_control) {
        return Err(invalid);
    }
    Ok(ModelField { name, value: value.at.clone() })
}

/// A text, or an object with one as its `id`. `null` is as good as absent.
fn id(field: &'static str, value: &Value<'_>) -> Result<Option<Box<str>>, BodyError> {
    /// A second `id` is an error of its reader.
    #[derive(Deserialize)]
    struct Named {
        id: Box<str>,
    }
    let read = match value.raw {
        Some(b"null") => return Ok(None),
        Some(raw @ [b'"', ..]) => serde_json::from_slice::<Box<str>>(raw).ok(),
        Some(raw @ [b'{', ..]) if field == Field::Conversation.name() => {
            serde_json::from_slice::<Named>(raw).ok().map(|named| named.id)
        }
        _ => None,
    };
    read.map(Some).ok_or(BodyError::FieldInvalid { field, want: "an id" })
}

/// `null` is as good as absent.
fn boolean(field: &'static str, value: &Value<'_>) -> Result<Option<bool>, BodyError> {
    match value.raw {
        Some(b"true") => Ok(Some(true)),
        Some(b"false") => Ok(Some(false)),
        Some(b"null") => Ok(None),
        _ => Err(BodyError::FieldInvalid { field, want: "true or false" }),
    }
}

/// `null` is as good as absent.
fn integer(field: &'static str, value: &Value<'_>) -> Result<Option<u64>, BodyError> {
    if value.raw == Some(b"null") {
        return Ok(None);
    }
    match value.raw.and_then(number::integral) {
        Some(n) => Ok(Some(n)),
        None => Err(BodyError::FieldInvalid { field, want: "a non-negative integer" }),
    }
}

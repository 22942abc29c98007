//! What goes wrong, and for which requests.
//!
//! A fault is written as a table in a script (`effect = { cut = { after = 5, how = "reset" } }`) or as words on a
//! command line (`cut=5,how=reset,count=3`); both make the same [`Fault`].

use std::num::NonZeroU64;
use std::str::FromStr;

use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Deserializer, de};

use super::script::Headers;
use crate::protocol::Dialect;

/// One thing that goes wrong. Without a restriction it happens to every call for an answer.
///
/// `skip`, `nth`, `every` and `count` work together: of the requests that match, the first `skip` go well, of the
/// others only the `nth` or every `every`-th fails, until `count` have failed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests whose path and query contain this. Only with it may other calls than those for an answer fail.
    #[serde(default)]
    pub path: Option<String>,
    /// Only this dialect.
    #[serde(default, deserialize_with = "dialect")]
    pub dialect: Option<Dialect>,
    /// Only streamed answers, or only those that are not.
    #[serde(default)]
    pub stream: Option<bool>,
    /// Only requests in whose body this stands, as it is written there.
    #[serde(default)]
    pub says: Option<String>,
    /// So many matching requests go well first.
    #[serde(default)]
    pub skip: u64,
    /// Only this one, counted from 1.
    #[serde(default)]
    pub nth: Option<NonZeroU64>,
    /// Only every so-manieth.
    #[serde(default)]
    pub every: Option<NonZeroU64>,
    /// At most so many.
    #[serde(default)]
    pub count: Option<u64>,
    /// What happens.
    pub effect: Effect,
}

/// What happens to a request.
///
/// Events are counted in a stream; a JSON answer has two, its halves.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A response with this status instead of an answer.
    Status(Refusal),
    /// The connection is reset before a response head.
    Reset,
    /// The connection is closed before a response head.
    Close,
    /// Nothing is ever said.
    Hang,
    /// What comes is not HTTP; then the connection closes.
    Garbage,
    /// After so many events the answer stops. After none, only the head has been sent.
    Cut(Cut),
    /// After so many events, an error in the form that the dialect has for the middle of a stream; then a clean end. A
    /// JSON answer becomes a response with the error's status.
    Error(MidStream),
    /// After so many events, nothing more; the connection stays open.
    Silence(u64),
    /// After so many events, nothing for a while; then the rest, in one piece.
    Pause(Pause),
    /// A complete answer that does not end: the connection stays open after the last event.
    Hold,
}

/// A status instead of an answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// 200 to 999.
    #[serde(deserialize_with = "status")]
    pub code: StatusCode,
    /// Further headers; a `content-type` replaces the usual one.
    #[serde(default)]
    pub headers: Headers,
    /// The body; none: the dialect's own error object.
    #[serde(default)]
    pub body: Option<String>,
    /// The sentence in the dialect's error object.
    #[serde(default)]
    pub message: Option<String>,
}

/// Where and how an answer stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Events before it.
    pub after: u64,
    /// How.
    #[serde(default)]
    pub how: How,
}

/// A silence in the middle of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Events before it.
    pub after: u64,
    /// Milliseconds.
    pub ms: u64,
}

/// How an answer stops early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The connection is reset.
    #[default]
    Reset,
    /// The connection closes in the middle of the framing.
    Close,
    /// The response ends as if it were complete.
    Clean,
}

/// An error in the middle of a stream.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MidStream {
    /// Events before it.
    pub after: u64,
    /// The status whose error type is told.
    #[serde(default = "overloaded", deserialize_with = "status")]
    pub code: StatusCode,
    /// The sentence in it.
    #[serde(default)]
    pub message: Option<String>,
}

impl Fault {
    /// Happens to every call for an answer.
    #[must_use]
    pub const fn always(effect: Effect) -> Self {
        Self {
            path: None,
            dialect: None,
            stream: None,
            says: None,
            skip: 0,
            nth: None,
            every: None,
            count: None,
            effect,
        }
    }

    /// Happens to the first `count` calls for an answer.
    #[must_use]
    pub fn first(count: u64, effect: Effect) -> Self {
        Self { count: Some(count), ..Self::always(effect) }
    }

    /// Whether it wants the request that is the `nth` (from 1) of those that match and after `hits` that it took.
    #[must_use]
    pub fn wants(&self, nth: u64, hits: u64) -> bool {
        let Some(nth) = nth.checked_sub(self.skip).filter(|n| *n > 0) else { return false };
        self.nth.is_none_or(|only| nth == only.get())
            && self.every.is_none_or(|k| nth.is_multiple_of(k.get()))
            && self.count.is_none_or(|most| hits < most)
    }
}

impl Effect {
    /// A status with the dialect's own error object.
    #[must_use]
    pub fn status(code: u16) -> Self {
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::Status(Refusal { code, headers: Headers::default(), body: None, message: None })
    }

    /// An answer that stops after so many events.
    #[must_use]
    pub const fn cut(after: u64, how: How) -> Self {
        Self::Cut(Cut { after, how })
    }

    /// An error after so many events.
    #[must_use]
    pub fn error(after: u64) -> Self {
        Self::Error(MidStream { after, code: overloaded(), message: None })
    }
}

/// 529 is Anthropic's "overloaded"; the other dialects word it in their own way.
fn overloaded() -> StatusCode {
    StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

fn status<'de, D: Deserializer<'de>>(from: D) -> Result<StatusCode, D::Error> {
    final_status(u16::deserialize(from)?).ok_or_else(|| de::Error::custom("a status is a number from 200 to 999"))
}

/// Interim statuses (1xx) are not answers: RFC 9110 section 15.2.
fn final_status(code: u16) -> Option<StatusCode> {
    StatusCode::from_u16(code).ok().filter(|code| !code.is_informational())
}

fn dialect<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Dialect>, D::Error> {
    let Some(name) = Option::<String>::deserialize(from)? else { return Ok(None) };
    named(&name).map(Some).map_err(de::Error::custom)
}

fn named(name: &str) -> Result<Dialect, String> {
    let found = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name);
    found.ok_or_else(|| format!("`{name}` is no dialect: anthropic, chat, responses or gemini"))
}

const EFFECTS: &str = "status=CODE, cut=EVENTS, error=EVENTS, silence=EVENTS, pause=EVENTS, reset, close, hang, garbage, headers-then-reset or hold";

/// Words with commas between them; the first says what happens.
impl FromStr for Fault {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let mut words = words.split(',').map(str::trim);
        let mut fault = Self::always(effect(words.next().unwrap_or_default())?);
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` wants a value: {word}=…"))?;
            match name {
                "path" => fault.path = Some(value.to_owned()),
                "dialect" => fault.dialect = Some(named(value)?),
                "stream" => fault.stream = Some(yes_or_no(value)?),
                "says" => fault.says = Some(value.to_owned()),
                "skip" => fault.skip = number(name, value)?,
                "nth" => fault.nth = Some(number(name, value)?),
                "every" => fault.every = Some(number(name, value)?),
                "count" => fault.count = Some(number(name, value)?),
                _ => fault.effect.detail(name, value)?,
            }
        }
        Ok(fault)
    }
}

fn effect(word: &str) -> Result<Effect, String> {
    Ok(match word.split_once('=') {
        None => match word {
            "reset" => Effect::Reset,
            "close" => Effect::Close,
            "hang" => Effect::Hang,
            "garbage" => Effect::Garbage,
            "headers-then-reset" => Effect::cut(0, How::Reset),
            "hold" => Effect::Hold,
            _ => return Err(format!("a fault begins with what happens: {EFFECTS}; not `{word}`")),
        },
        Some(("status", code)) => Effect::status(code_of(code)?),
        Some(("cut", after)) => Effect::cut(number("cut", after)?, How::Reset),
        Some(("error", after)) => Effect::error(number("error", after)?),
        Some(("silence", after)) => Effect::Silence(number("silence", after)?),
        Some(("pause", after)) => Effect::Pause(Pause { after: number("pause", after)?, ms: 1000 }),
        Some(_) => return Err(format!("a fault begins with what happens: {EFFECTS}; not `{word}`")),
    })
}

impl Effect {
    /// What only some effects have.
    fn detail(&mut self, name: &str, value: &str) -> Result<(), String> {
        match (self, name) {
            (Self::Status(refusal), "retry-after") => {
                let value =
                    HeaderValue::try_from(value).map_err(|_| format!("`{value}` cannot be a header's value"))?;
                refusal.headers.0.push((header::RETRY_AFTER, value));
            }
            (Self::Status(refusal), "message") => refusal.message = Some(value.to_owned()),
            (Self::Status(refusal), "body") => refusal.body = Some(value.to_owned()),
            (Self::Error(error), "message") => error.message = Some(value.to_owned()),
            (Self::Error(error), "code") => {
                error.code = StatusCode::from_u16(code_of(value)?).map_err(|e| e.to_string())?;
            }
            (Self::Pause(pause), "ms") => pause.ms = number(name, value)?,
            (Self::Cut(cut), "how") => {
                cut.how = match value {
                    "reset" => How::Reset,
                    "close" => How::Close,
                    "clean" => How::Clean,
                    _ => return Err(format!("how=`{value}`: reset, close or clean")),
                };
            }
            _ => {
                return Err(format!(
                    "`{name}` does not go here. Which requests: path, dialect, stream, says, skip, nth, every, \
                     count. With status: retry-after, message, body. With cut: how. With error: code, message. With pause: ms"
                ));
            }
        }
        Ok(())
    }
}

fn code_of(text: &str) -> Result<u16, String> {
    let code = text.parse().ok().and_then(final_status);
    code.map(|code| code.as_u16()).ok_or_else(|| format!("`{text}` is no status: a number from 200 to 999"))
}

fn number<N: FromStr>(name: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| {
        format!("{name}=`{value}`: a whole number{}", if matches!(name, "nth" | "every") { " from 1" } else { "" })
    })
}

fn yes_or_no(value: &str) -> Result<bool, String> {
    match value {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("stream=`{value}`: yes or no")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn taken(words: &str, want: &[u64]) {
        let fault: Fault = words.parse().unwrap();
        let mut taken = Vec::new();
        for nth in 1..=12 {
            if fault.wants(nth, taken.len() as u64) {
                taken.push(nth);
            }
        }
        assert_eq!(taken, want, "{words}");
    }

    #[test]
    fn which_requests_fail() {
        taken("reset", &(1..=12).collect::<Vec<_>>());
        taken("reset,count=2", &[1, 2]);
        taken("reset,nth=3", &[3]);
        taken("reset,every=5", &[5, 10]);
        taken("reset,every=5,count=1", &[5]);
        taken("reset,skip=2,count=3", &[3, 4, 5]);
        taken("reset,skip=2,every=4", &[6, 10]);
        taken("reset,count=0", &[]);
    }

    #[test]
    fn words_make_the_fault_that_a_table_makes() {
        for (words, table) in [
            ("hold", r#"{"effect":"hold"}"#),
            ("headers-then-reset", r#"{"effect":{"cut":{"after":0}}}"#),
            (
                "cut=5,how=close,path=/v1/,stream=yes",
                r#"{"effect":{"cut":{"after":5,"how":"close"}},"path":"/v1/","stream":true}"#,
            ),
            ("silence=3,nth=2,dialect=gemini", r#"{"effect":{"silence":3},"nth":2,"dialect":"gemini"}"#),
            ("error=2,code=500,message=no", r#"{"effect":{"error":{"after":2,"code":500,"message":"no"}}}"#),
            ("error=2", r#"{"effect":{"error":{"after":2,"code":529}}}"#),
            ("pause=2,ms=30,says=be still", r#"{"effect":{"pause":{"after":2,"ms":30}},"says":"be still"}"#),
            (
                "status=429,retry-after=7,count=3",
                r#"{"effect":{"status":{"code":429,"headers":{"retry-after":"7"}}},"count":3}"#,
            ),
        ] {
            assert_eq!(words.parse::<Fault>().unwrap(), serde_json::from_str(table).unwrap(), "{words}");
        }
    }

    #[test]
    fn a_bad_word_is_named() {
        for (words, named) in [
            ("", "status=CODE"),
            ("explode", "explode"),
            ("status=99", "99"),
            ("status=101", "101"),
            ("cut=x", "cut=`x`"),
            ("reset,count=x", "count=`x`"),
            ("reset,every=0", "from 1"),
            ("reset,how=close", "`how`"),
            ("pause=1,ms=x", "ms=`x`"),
            ("silence=1,ms=5", "`ms`"),
            ("reset,retry-after=2", "`retry-after`"),
            ("cut=1,how=softly", "softly"),
            ("reset,dialect=klingon", "klingon"),
            ("reset,stream=maybe", "maybe"),
            ("reset,loudly", "loudly=…"),
        ] {
            let error = words.parse::<Fault>().unwrap_err();
            assert!(error.contains(named), "{words}: {error}");
        }
    }
}

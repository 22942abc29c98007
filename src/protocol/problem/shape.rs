//! The three error objects, written straight into one buffer.
//!
//! Sources: <https://docs.anthropic.com/en/api/errors>, <https://platform.openai.com/docs/guides/error-codes>,
//! <https://cloud.google.com/apis/design/errors>.
//!
//! Invariant: whatever a name or a path holds, the body is one JSON object and its message one line. A refusal is the
//! cheapest answer there is, since whoever storms gets nothing else: no tree, no formatting machinery, one allocation.

use super::table::{Face, Stop};
use super::wording;
use crate::error::Error;
use crate::protocol::Dialect;

/// Longest name or path that is repeated to the client, in bytes.
const MAX_QUOTE: usize = 160;

/// The body. `request_id` is shown where the dialect has a place for it.
pub fn body(dialect: Dialect, face: &Face, error: &Error, request_id: &str) -> Vec<u8> {
    // The longest of our sentences with two quoted names fits.
    let mut out = Writer(Vec::with_capacity(768));
    match dialect {
        Dialect::Anthropic => {
            out.say(r#"{"type":"error","error":{"type":""#);
            out.say(face.cell.code);
            out.say(r#"","message":""#);
            wording::message(&mut out, dialect, error, face.retry_after, request_id);
            out.say(if face.cell.stop == Stop::Details {
                r#"","details":{"error_code":"dlp_request_denied"}}"#
            } else {
                r#""}"#
            });
            out.say(r#","request_id":""#);
            out.text(request_id);
            out.say(r#""}"#);
        }
        Dialect::Chat | Dialect::Responses => {
            out.say(r#"{"error":{"message":""#);
            wording::message(&mut out, dialect, error, face.retry_after, request_id);
            out.say(r#"","type":""#);
            out.say(openai_type(face.cell.status));
            out.say(r#"","param":null,"code":"#);
            if face.cell.code.is_empty() {
                out.say("null}}");
            } else {
                out.say("\"");
                out.say(face.cell.code);
                out.say("\"}}");
            }
        }
        Dialect::Gemini => {
            out.say(r#"{"error":{"code":"#);
            out.number(u64::from(face.cell.status));
            out.say(r#","message":""#);
            wording::message(&mut out, dialect, error, face.retry_after, request_id);
            out.say(r#"","status":""#);
            out.say(face.cell.code);
            out.say("\"");
            if let Some(seconds) = face.retry_after {
                out.say(r#","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":""#);
                out.number(u64::from(seconds));
                out.say(r#"s"}]"#);
            }
            out.say("}}");
        }
    }
    out.0
}

/// Never `server_error`: OpenCode repeats anything of that type for ever.
fn openai_type(status: u16) -> &'static str {
    match status {
        402 => "insufficient_quota",
        429 => "rate_limit_error",
        500 => "api_error",
        503 => "service_unavailable_error",
        _ => "invalid_request_error",
    }
}

/// Appends to a JSON string.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// All of it.
    #[cfg(test)]
    pub fn written(self) -> String {
        String::from_utf8(self.0).expect("text")
    }

    /// Text of ours, which needs no escapes: the tests parse every sentence.
    pub fn say(&mut self, text: &'static str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A name, between quotation marks that survive a raw dump of the JSON.
    pub fn quote(&mut self, name: &str) {
        self.0.push(b'\'');
        self.text(name);
        self.0.push(b'\'');
    }

    /// Text of anybody's: cut, escaped (RFC 8259 section 7), on one line.
    pub fn text(&mut self, text: &str) {
        let shown = &text[..text.floor_char_boundary(MAX_QUOTE)];
        // Nearly every name is plain; a multi-byte character could be a line separator.
        if shown.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.0.extend_from_slice(shown.as_bytes());
        } else {
            for c in shown.chars() {
                match c {
                    '"' => self.0.extend_from_slice(b"\\\""),
                    '\\' => self.0.extend_from_slice(b"\\\\"),
                    '\u{2028}' | '\u{2029}' => self.0.push(b' '),
                    c if c.is_control() => self.0.push(b' '),
                    c => self.0.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
        }
        if shown.len() < text.len() {
            self.0.extend_from_slice("…".as_bytes());
        }
    }

    /// In decimal.
    pub fn number(&mut self, n: u64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    /// Money in micro-dollars, as dollars: cents, and more places only where they say something.
    pub fn dollars(&mut self, micros: u64) {
        self.say("$");
        self.number(micros / 1_000_000);
        let fraction = format!("{:06}", micros % 1_000_000);
        let shown = fraction.trim_end_matches('0').len().max(2);
        self.0.push(b'.');
        self.0.extend_from_slice(&fraction.as_bytes()[..shown]);
    }

    /// A time in seconds, in the two largest units that say something.
    pub fn span(&mut self, seconds: u64) {
        let units = [(86_400, " d"), (3_600, " h"), (60, " min"), (1, " s")];
        let largest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(3);
        let (unit, name) = units[largest];
        self.number(seconds / unit);
        self.say(name);
        if let Some((smaller, name)) = units.get(largest + 1)
            && seconds % unit / smaller > 0
        {
            self.say(" ");
            self.number(seconds % unit / smaller);
            self.say(name);
        }
    }

    /// A number of bytes, in the largest unit that divides it.
    pub fn size(&mut self, bytes: u64) {
        let (n, unit) = match bytes {
            0 => (0, " bytes"),
            n if n.is_multiple_of(1 << 20) => (n >> 20, " MiB"),
            n if n.is_multiple_of(1 << 10) => (n >> 10, " KiB"),
            n => (n, " bytes"),
        };
        self.number(n);
        self.say(unit);
    }
}

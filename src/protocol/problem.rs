//! An [`Error`] as a client sees it: the only place that words one.
//!
//! Three decisions, a file each: which status, code and headers ([`table`]), in which words ([`wording`]), in which shape
//! ([`shape`]). They were chosen by measuring what each agent does with them: the agent shows our sentence to its user,
//! once, and does not storm.
//!
//! Invariant: no answer holds a secret, a URL or a provider's account; every body is one JSON object in the client's
//! dialect. Deliberately not here: providers' own errors, which pass untouched where the dialect is theirs.

mod limits;
mod shape;
mod table;
mod wording;

use bytes::Bytes;
use http::StatusCode;

use super::Dialect;
use crate::agent::Agent;
use crate::error::{Error, LimitError};
use crate::message::name::{CONNECTION, CONTENT_TYPE};
use crate::message::{Fields, Name, Response};

/// Read by Anthropic's and OpenAI's SDKs: whether to try again, whatever the status suggests.
const X_SHOULD_RETRY: Name = Name::new("x-should-retry");
/// Where Anthropic's SDKs look for the id to show.
const REQUEST_ID: Name = Name::new("request-id");
/// Where OpenAI's SDKs and Codex look for it.
const X_REQUEST_ID: Name = Name::new("x-request-id");
const RETRY_AFTER: Name = Name::new("retry-after");
const ALLOW: Name = Name::new("allow");

/// The refusal: status, headers and body. Framing (`content-length`) is the server's.
#[must_use]
pub fn problem(dialect: Dialect, agent: Agent, error: &Error, request_id: &str) -> Response<Bytes> {
    let face = table::face(dialect, agent, error);
    Response {
        // Every status is a literal of the table; the tests walk through all of them.
        status: StatusCode::from_u16(face.cell.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        fields: fields(dialect, &face, error, request_id),
        body: Bytes::from(shape::body(dialect, &face, error, request_id)),
    }
}

fn fields(dialect: Dialect, face: &table::Face, error: &Error, request_id: &str) -> Fields {
    let mut fields = Fields::with_capacity(8, 256);
    fields.add(CONTENT_TYPE, b"application/json");
    fields.add(if dialect == Dialect::Anthropic { REQUEST_ID } else { X_REQUEST_ID }, request_id.as_bytes());
    if let Some(seconds) = face.retry_after {
        fields.add(RETRY_AFTER, itoa::Buffer::new().format(seconds).as_bytes());
    }
    if face.cell.stop == table::Stop::Header {
        fields.add(X_SHOULD_RETRY, b"false");
    }
    if let Some(allow) = face.allow {
        fields.add(ALLOW, allow.as_bytes());
    }
    if face.close {
        fields.add(CONNECTION, b"close");
    }
    if let Error::Limit(LimitError::Full(full)) = error {
        limits::add(&mut fields, dialect, full);
    }
    fields
}

/// How a stream ends that broke after content had reached the client.
///
/// Never cleanly: some agents take a clean early end for the whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The connection (HTTP/1.1) or the stream (HTTP/2) is reset.
    Abort,
    /// These bytes, not as an event and in a flush of their own; then a clean end.
    Object(Bytes),
}

/// How a broken stream ends in a dialect.
///
/// Agents of Anthropic's and OpenAI's dialects ask again after an abort. Gemini CLI dies of it, takes an error *event* after
/// text for the end of the answer, and asks again only after a bare error object.
#[must_use]
pub fn in_stream(dialect: Dialect, error: &Error) -> Ending {
    match dialect {
        Dialect::Anthropic | Dialect::Chat | Dialect::Responses => Ending::Abort,
        Dialect::Gemini => Ending::Object(Bytes::from(shape::body(dialect, &table::Face::BROKEN_STREAM, error, ""))),
    }
}

#[cfg(test)]
mod tests;

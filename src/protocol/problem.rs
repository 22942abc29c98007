//! An [`Error`] as a client sees it: the only place that words one.
//!
//! Three decisions, a file each: which status, code and headers ([`table`]), in which words ([`wording`]), in which shape
//! ([`shape`]). They were chosen by measuring what each agent does with them: the agent shows our sentence to its user,
//! once, and does not storm.
//!
//! Invariant: no answer holds a secret, a URL or a provider's account; every body is one JSON object in the client's
//! dialect. Deliberately not here: providers' own errors, which pass untouched where the dialect is theirs.

mod shape;
mod table;
mod wording;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::Dialect;
use crate::agent::Agent;
use crate::error::Error;

/// Read by Anthropic's and OpenAI's SDKs: whether to try again, whatever the status suggests.
static X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Where Anthropic's SDKs look for the id to show.
static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Where OpenAI's SDKs and Codex look for it.
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The refusal: status, headers and body. Framing (`content-length`) is the server's.
#[must_use]
pub fn problem(dialect: Dialect, agent: Agent, error: &Error, request_id: &str) -> Response<Bytes> {
    let face = table::face(dialect, agent, error);
    let mut response = Response::new(Bytes::from(shape::body(dialect, &face, error, request_id)));
    // Every status is a literal of the table; the tests walk through all of them.
    *response.status_mut() = StatusCode::from_u16(face.cell.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers(dialect, &face, request_id);
    response
}

fn headers(dialect: Dialect, face: &table::Face, request_id: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        let name = if dialect == Dialect::Anthropic { &REQUEST_ID } else { &X_REQUEST_ID };
        headers.insert(name, id);
    }
    if let Some(seconds) = face.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if face.cell.stop == table::Stop::Header {
        headers.insert(&X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(allow) = face.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if face.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers
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

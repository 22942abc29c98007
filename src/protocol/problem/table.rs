//! Reason × dialect × agent -> status, code, headers.
//!
//! Measured with Claude Code 2.1, Codex 0.169, Gemini CLI 0.61, OpenCode 1.18 and Qwen Code 0.24 in November 2026. What the
//! agents do decides, not what a status means in general:
//!
//! - Claude Code repeats a 400 up to six times, and replaces our sentence by its own on some statuses, unless the error has
//!   the details of a policy block ([`Stop::Details`]). It repeats a 401 for ever without `x-should-retry: false`.
//! - Codex repeats every 4xx but 400, 403 and 404 `model_not_found`, and 403 `inference_hook_denied`. It is the only agent
//!   with cases of its own.
//! - OpenCode repeats every 5xx and anything of type `server_error`.
//! - Gemini CLI shows the bare sentence on 404 only, and reads the wait from the body only; everybody else from the header.
//!
//! Invariant: a wait is true, at least 1 s and at most 60 s; no code that means "again" stands on what will not pass.

use std::time::Duration;

use crate::error::limit::Full;

use crate::agent::Agent;
use crate::error::{BodyError, Error, GatewayError, KeyError, LimitError, ModelError, RequestError, UpstreamError};
use crate::protocol::Dialect;

/// Longest wait that is said.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The outside of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// Status and what goes with it.
    pub cell: Cell,
    /// Seconds after which to try again, in the header and (Gemini) in the body.
    pub retry_after: Option<u32>,
    /// `connection: close`.
    pub close: bool,
    /// `allow` (RFC 9110 section 15.5.6: required with 405).
    pub allow: Option<&'static str>,
}

/// What one kind of client gets for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Status.
    pub status: u16,
    /// Anthropic's `error.type`, OpenAI's `error.code`, Google's `error.status`. Empty: OpenAI's `null`.
    pub code: &'static str,
    /// How the client is told to stop, beyond the status.
    pub stop: Stop,
}

/// See [`Cell::stop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The status says it all.
    Plain,
    /// The details of a policy block in the body: Claude Code shows the message as it is and stops.
    Details,
    /// `x-should-retry: false`.
    Header,
}

/// The row and column for an error.
pub fn face(dialect: Dialect, agent: Agent, error: &Error) -> Face {
    let row = row(error);
    let cell = match dialect {
        Dialect::Anthropic => row.anthropic,
        Dialect::Chat | Dialect::Responses if agent == Agent::Codex => row.codex,
        Dialect::Chat => row.chat,
        Dialect::Responses => row.responses,
        Dialect::Gemini => row.gemini,
    };
    let (mut retry_after, mut allow) = (row.wait, None);
    match error {
        Error::Gateway(
            GatewayError::BodiesFull { retry_after: wait }
            | GatewayError::Overloaded { retry_after: wait }
            | GatewayError::LedgerFull { retry_after: wait },
        )
        | Error::Key(KeyError::TooManyFailed { retry_after: wait }) => retry_after = Some(seconds(*wait)),
        Error::Request(RequestError::MethodNotAllowed { allow: method }) => allow = Some(*method),
        Error::Limit(LimitError::Full(full)) if passes_soon(full) => retry_after = full.retry_after.map(seconds),
        _ => {}
    }
    Face { cell, retry_after, close: row.close, allow }
}

impl Face {
    /// A Gemini stream that broke: the one body that makes Gemini CLI ask again.
    pub const BROKEN_STREAM: Self = Self { cell: UNAVAILABLE_2S.gemini, retry_after: None, close: false, allow: None };
}

/// The row that an error belongs to.
fn row(error: &Error) -> &'static Row {
    match error {
        Error::Key(e) => match e {
            KeyError::Missing | KeyError::Unknown { .. } | KeyError::Expired { .. } => &KEY_REFUSED,
            KeyError::Conflict => &BAD_REQUEST,
            KeyError::AgentNotAllowed { .. } => &AGENT_REFUSED,
            KeyError::TooManyFailed { .. } => &TOO_MANY,
        },
        Error::Request(e) => match e {
            RequestError::PathUnknown { .. } => &PATH_UNKNOWN,
            RequestError::Unmetered { .. } | RequestError::ListingRefused { .. } | RequestError::UploadRefused => {
                &UNMETERED
            }
            RequestError::UnmeteredUnserved { .. } => &PATH_UNKNOWN,
            RequestError::MethodNotAllowed { .. } => &METHOD_NOT_ALLOWED,
            RequestError::HostInvalid => &BAD_REQUEST,
            RequestError::UpgradeRefused => &UPGRADE_REFUSED,
            RequestError::ObjectUnknown { field, .. } => match field {
                Some("previous_response_id" | "conversation" | "item_reference") => &PREVIOUS_UNKNOWN,
                Some(_) | None => &OBJECT_UNKNOWN,
            },
            RequestError::EncodingUnsupported { .. } => &ENCODING_UNSUPPORTED,
        },
        Error::Body(e) => match e {
            BodyError::TooLarge { .. } => &BODY_TOO_LARGE,
            BodyError::Broken { .. }
            | BodyError::Undecodable { .. }
            | BodyError::TooDeep
            | BodyError::FieldMissing { .. }
            | BodyError::FieldInvalid { .. }
            | BodyError::FieldDuplicated { .. }
            | BodyError::FieldEscaped { .. } => &BAD_REQUEST,
            // Nobody reads the answer to a client that left.
            BodyError::Stalled | BodyError::Incomplete => &BODY_STALLED,
        },
        Error::Model(e) => match e {
            ModelError::Unknown { .. } | ModelError::DialectUnserved { .. } => &MODEL_UNKNOWN,
            ModelError::NotAllowed { .. } => &MODEL_REFUSED,
        },
        Error::Limit(e) => match e {
            LimitError::Full(full) if passes_soon(full) => &TOO_MANY,
            LimitError::Full(_) | LimitError::BudgetSpent(_) | LimitError::UsedUp => &BUDGET_SPENT,
            LimitError::Unpriced { .. } => &FORBIDDEN_CALL,
            LimitError::Repeated { .. } => &BAD_REQUEST,
        },
        Error::Upstream(e) => match e {
            UpstreamError::ConnectFailed { .. }
            | UpstreamError::HungUp { .. }
            | UpstreamError::Garbage { .. }
            | UpstreamError::BrokenOff { .. } => &UNAVAILABLE,
            UpstreamError::Silent { .. } | UpstreamError::Overloaded { .. } => &OVERLOADED,
            UpstreamError::Saturated { .. } => &UNAVAILABLE,
            UpstreamError::CredentialRefused { .. } => &CREDENTIAL_REFUSED,
        },
        Error::Gateway(e) => match e {
            GatewayError::Draining | GatewayError::BodiesFull { .. } | GatewayError::Overloaded { .. } => &TURNED_AWAY,
            GatewayError::LedgerFull { .. } => &UNAVAILABLE,
            GatewayError::Internal { .. } => &INTERNAL,
        },
    }
}

/// One reason, for every kind of client.
struct Row {
    anthropic: Cell,
    chat: Cell,
    responses: Cell,
    /// In place of the two before it.
    codex: Cell,
    gemini: Cell,
    /// Seconds.
    wait: Option<u32>,
    close: bool,
}

const fn cell(status: u16, code: &'static str) -> Cell {
    Cell { status, code, stop: Stop::Plain }
}

const fn details(status: u16, code: &'static str) -> Cell {
    Cell { status, code, stop: Stop::Details }
}

/// Whatever is true of most rows.
const PLAIN: Row = Row {
    anthropic: details(400, "invalid_request_error"),
    chat: cell(400, ""),
    responses: cell(400, "invalid_prompt"),
    codex: cell(400, "invalid_prompt"),
    gemini: cell(400, "INVALID_ARGUMENT"),
    wait: None,
    close: false,
};

static BAD_REQUEST: Row = PLAIN;

static KEY_REFUSED: Row = Row {
    anthropic: Cell { status: 401, code: "authentication_error", stop: Stop::Header },
    chat: cell(401, "invalid_api_key"),
    responses: cell(401, "invalid_api_key"),
    codex: cell(403, "inference_hook_denied"),
    gemini: cell(401, "UNAUTHENTICATED"),
    ..PLAIN
};

/// The wait is the error's own.
static TOO_MANY: Row = Row {
    anthropic: cell(429, "rate_limit_error"),
    chat: cell(429, "rate_limit_exceeded"),
    responses: cell(429, "rate_limit_exceeded"),
    codex: cell(429, "rate_limit_exceeded"),
    gemini: cell(429, "RESOURCE_EXHAUSTED"),
    ..PLAIN
};

/// Responses gets Codex's cell: the client may be a Codex that calls itself something else.
const FORBIDDEN: Row = Row {
    anthropic: details(403, "permission_error"),
    chat: cell(403, "permission_denied"),
    responses: cell(403, "inference_hook_denied"),
    codex: cell(403, "inference_hook_denied"),
    gemini: cell(403, "PERMISSION_DENIED"),
    ..PLAIN
};

static AGENT_REFUSED: Row = FORBIDDEN;

static FORBIDDEN_CALL: Row = FORBIDDEN;

/// What will not pass for a while must not look as if it would: agents repeat a 429, or sleep through it without a word.
/// Codex repeats a 402, and would put its own words around a 429 of its own kind. Gemini CLI shows the bare sentence only if
/// that ends with a wait of more than five minutes (see the wording).
static BUDGET_SPENT: Row = Row {
    anthropic: cell(402, "billing_error"),
    chat: cell(402, "insufficient_quota"),
    responses: cell(402, "insufficient_quota"),
    codex: cell(403, "inference_hook_denied"),
    gemini: cell(403, "PERMISSION_DENIED"),
    ..PLAIN
};

static UNMETERED: Row = FORBIDDEN;

static MODEL_REFUSED: Row = Row {
    anthropic: details(403, "permission_error"),
    chat: cell(403, "permission_denied"),
    responses: cell(403, "model_not_found"),
    codex: cell(403, "model_not_found"),
    gemini: cell(404, "NOT_FOUND"),
    ..PLAIN
};

static MODEL_UNKNOWN: Row = Row {
    anthropic: details(404, "not_found_error"),
    chat: cell(404, "model_not_found"),
    responses: cell(404, "model_not_found"),
    codex: cell(404, "model_not_found"),
    gemini: cell(404, "NOT_FOUND"),
    ..PLAIN
};

static PATH_UNKNOWN: Row = Row {
    anthropic: details(404, "not_found_error"),
    chat: cell(404, "unknown_url"),
    responses: cell(404, "unknown_url"),
    codex: cell(404, "model_not_found"),
    gemini: cell(404, "NOT_FOUND"),
    ..PLAIN
};

static METHOD_NOT_ALLOWED: Row = Row {
    anthropic: cell(405, "invalid_request_error"),
    chat: cell(405, "method_not_supported"),
    responses: cell(405, "method_not_supported"),
    codex: cell(405, "method_not_supported"),
    gemini: cell(405, "INVALID_ARGUMENT"),
    ..PLAIN
};

/// Codex goes on with plain HTTP at once on 426, and on nothing else. RFC 9110 section 15.5.22 wants an `upgrade` header
/// beside it; there is no protocol that we would name there.
static UPGRADE_REFUSED: Row = Row {
    anthropic: cell(426, "invalid_request_error"),
    chat: cell(426, "websocket_not_supported"),
    responses: cell(426, "websocket_not_supported"),
    codex: cell(426, "websocket_not_supported"),
    gemini: cell(426, "FAILED_PRECONDITION"),
    ..PLAIN
};

/// One face for what never was and what is somebody else's. Codex stops at no other code.
const OBJECT_UNKNOWN: Row = Row {
    anthropic: details(404, "not_found_error"),
    chat: cell(404, ""),
    responses: cell(404, ""),
    codex: cell(404, "model_not_found"),
    gemini: cell(404, "NOT_FOUND"),
    ..PLAIN
};

/// The code by which clients know that they have to send the whole conversation.
static PREVIOUS_UNKNOWN: Row = Row { responses: cell(404, "previous_response_not_found"), ..OBJECT_UNKNOWN };

static ENCODING_UNSUPPORTED: Row = Row {
    anthropic: cell(415, "invalid_request_error"),
    chat: cell(415, "unsupported_content_encoding"),
    responses: cell(415, "unsupported_content_encoding"),
    gemini: cell(415, "INVALID_ARGUMENT"),
    ..PLAIN
};

/// 413 makes OpenCode compact the conversation, which may save it; Responses cannot have it, for Codex repeats it.
static BODY_TOO_LARGE: Row =
    Row { anthropic: details(413, "request_too_large"), chat: cell(413, ""), gemini: cell(413, "INTERNAL"), ..PLAIN };

/// Closes: the rest of the body may still come, and would be taken for the next request.
static BODY_STALLED: Row = Row {
    anthropic: cell(408, "timeout_error"),
    chat: cell(408, "request_timeout"),
    responses: cell(408, "request_timeout"),
    codex: cell(408, "request_timeout"),
    gemini: cell(408, "DEADLINE_EXCEEDED"),
    close: true,
    ..PLAIN
};

/// Never the provider's own 401: the client would be told that its key is wrong.
static CREDENTIAL_REFUSED: Row = Row {
    anthropic: cell(424, "api_error"),
    chat: cell(424, "upstream_auth"),
    gemini: cell(424, "FAILED_PRECONDITION"),
    ..PLAIN
};

/// Not Anthropic's `overloaded_error`: Claude Code gives up on that after three requests, with a text of its own.
///
/// Two seconds: a restart or a lost route is over by then, or lasts longer than any wait.
const UNAVAILABLE_2S: Row = Row {
    anthropic: cell(503, "api_error"),
    chat: cell(503, "overloaded"),
    responses: cell(503, "overloaded"),
    codex: cell(503, "overloaded"),
    gemini: cell(503, "UNAVAILABLE"),
    wait: Some(2),
    ..PLAIN
};

static UNAVAILABLE: Row = UNAVAILABLE_2S;

/// A provider that says so, or keeps silent; hurrying makes it worse.
static OVERLOADED: Row = Row { wait: Some(5), ..UNAVAILABLE_2S };

/// The next process or node listens by then. Closes, so that the client's next call goes there.
static TURNED_AWAY: Row = Row { close: true, ..UNAVAILABLE_2S };

/// Long enough that nobody storms, short enough that a chance defect is passed over.
static INTERNAL: Row = Row {
    anthropic: cell(500, "api_error"),
    chat: cell(500, "internal_error"),
    responses: cell(500, "internal_error"),
    codex: cell(500, "internal_error"),
    gemini: cell(500, "INTERNAL"),
    wait: Some(5),
    ..PLAIN
};

/// Whether a full window is worth waiting for: beyond a minute it is as good as a budget that is used up, since agents stop
/// or sleep silently.
pub fn passes_soon(full: &Full) -> bool {
    full.retry_after.is_some_and(|wait| wait <= LONGEST_WAIT)
}

/// Whole seconds, rounded up (a client that comes a moment early is refused again), and at most a minute: beyond that,
/// agents stop or sleep silently.
fn seconds(wait: Duration) -> u32 {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(whole.clamp(1, 60)).unwrap_or(1)
}

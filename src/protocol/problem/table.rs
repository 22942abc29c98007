//! Reason × dialect × agent -> status, code, headers.
//!
//! Measured with Claude Code 2.1, Codex 0.169, Gemini CLI 0.61, OpenCode 1.18 and Qwen Code 0.24 in November 2026. What the
//! agents do decides, not what a status means in general:
//!
//! - Claude Code repeats a 400 up to six times, and replaces our sentence by its own on some statuses, unless the error has
//!   the details of a policy block ([`Face::terminal`]). It repeats a 401 for ever without `x-should-retry: false`.
//! - Codex repeats every 4xx but 400, 403 and 404 `model_not_found`, and 403 `inference_hook_denied`. It is the only agent
//!   with cases of its own.
//! - OpenCode repeats every 5xx and anything of type `server_error`.
//! - Gemini CLI shows the bare sentence on 404 only, and reads the wait from the body only; everybody else from the header.
//!
//! Invariant: a wait is true, at least 1 s and at most 60 s; no code that means "again" stands on what will not pass.

use http::StatusCode;

use crate::agent::Agent;
use crate::error::{BodyError, Error, GatewayError, KeyError, ModelError, RequestError, UpstreamError};
use crate::protocol::Dialect;

/// The outside of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// Status.
    pub status: StatusCode,
    /// Anthropic's `error.type`, OpenAI's `error.code`, Google's `error.status`.
    pub code: Option<&'static str>,
    /// Anthropic only: adds the details that make Claude Code show the message as it is and stop.
    pub terminal: bool,
    /// Seconds after which to try again, in the header and (Gemini) in the body.
    pub retry_after: Option<u32>,
    /// `x-should-retry: false`.
    pub never_retry: bool,
    /// `connection: close`.
    pub close: bool,
    /// `allow` (RFC 9110 section 15.5.6: required with 405).
    pub allow: Option<&'static str>,
}

/// Longest wait that is a wait; beyond it agents stop or sleep silently.
const MAX_WAIT: u64 = 60;
/// A provider that cannot be reached, or hung up: a restart or a lost route is over soon, or lasts longer than any wait.
const WAIT_UNREACHABLE: u32 = 2;
/// A provider that keeps silent is overloaded; hurrying makes that worse.
const WAIT_SILENT: u32 = 5;
/// The next process or node listens by then.
const WAIT_DRAINING: u32 = 2;
/// After a defect: long enough that nobody storms, short enough that a chance defect is passed over.
const WAIT_INTERNAL: u32 = 5;

/// Rows of the table: what has one answer per dialect.
enum Reason {
    KeyRefused,
    AgentRefused,
    ModelRefused,
    ModelUnknown,
    NoSuchPath,
    WrongMethod(&'static str),
    Upgrade,
    Encoding,
    TooLarge,
    BadRequest,
    Stalled,
    CredentialRefused,
    Unavailable(u32),
    TurnedAway(u32),
    Internal,
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::Key(e) => match e {
            KeyError::Missing | KeyError::Unknown { .. } | KeyError::Expired { .. } => Reason::KeyRefused,
            KeyError::Conflict => Reason::BadRequest,
            KeyError::AgentNotAllowed { .. } => Reason::AgentRefused,
        },
        Error::Request(e) => match e {
            RequestError::PathUnknown { .. } => Reason::NoSuchPath,
            RequestError::MethodNotAllowed { allow } => Reason::WrongMethod(allow),
            RequestError::UpgradeRefused => Reason::Upgrade,
            RequestError::EncodingUnsupported { .. } => Reason::Encoding,
        },
        Error::Body(e) => match e {
            BodyError::TooLarge { .. } => Reason::TooLarge,
            BodyError::Broken { .. }
            | BodyError::TooDeep
            | BodyError::FieldMissing { .. }
            | BodyError::FieldInvalid { .. }
            | BodyError::FieldDuplicated { .. }
            | BodyError::FieldEscaped { .. } => Reason::BadRequest,
            // Nobody reads the answer to a client that left.
            BodyError::Stalled | BodyError::Incomplete => Reason::Stalled,
        },
        Error::Model(e) => match e {
            ModelError::Unknown { .. } | ModelError::DialectUnserved { .. } => Reason::ModelUnknown,
            ModelError::NotAllowed { .. } => Reason::ModelRefused,
        },
        Error::Upstream(e) => match e {
            UpstreamError::ConnectFailed { .. }
            | UpstreamError::HungUp { .. }
            | UpstreamError::Garbage { .. }
            | UpstreamError::BrokenOff { .. } => Reason::Unavailable(WAIT_UNREACHABLE),
            UpstreamError::Silent { .. } | UpstreamError::Overloaded { .. } => Reason::Unavailable(WAIT_SILENT),
            UpstreamError::CredentialRefused { .. } => Reason::CredentialRefused,
        },
        Error::Gateway(e) => match e {
            GatewayError::Draining => Reason::TurnedAway(WAIT_DRAINING),
            GatewayError::BodiesFull { retry_after } => Reason::TurnedAway(seconds(*retry_after)),
            GatewayError::Internal { .. } => Reason::Internal,
        },
    }
}

/// The row for an error, and the column for who asks.
pub fn face(dialect: Dialect, agent: Agent, error: &Error) -> Face {
    use Dialect::{Anthropic, Chat, Gemini, Responses};
    let codex = agent == Agent::Codex;
    match reason(error) {
        Reason::KeyRefused => match dialect {
            Anthropic => Face { never_retry: true, ..Face::new(401, "authentication_error") },
            Chat | Responses if codex => Face::new(403, "inference_hook_denied"),
            Chat | Responses => Face::new(401, "invalid_api_key"),
            Gemini => Face::new(401, "UNAUTHENTICATED"),
        },
        Reason::AgentRefused => match dialect {
            Anthropic => Face::terminal(403, "permission_error"),
            // Also for an agent that only pretends not to be Codex.
            Responses => Face::new(403, "inference_hook_denied"),
            Chat if codex => Face::new(403, "inference_hook_denied"),
            Chat => Face::new(403, "permission_denied"),
            Gemini => Face::new(403, "PERMISSION_DENIED"),
        },
        Reason::ModelRefused => match dialect {
            Anthropic => Face::terminal(403, "permission_error"),
            Responses => Face::new(403, "model_not_found"),
            Chat if codex => Face::new(403, "model_not_found"),
            Chat => Face::new(403, "permission_denied"),
            Gemini => Face::new(404, "NOT_FOUND"),
        },
        Reason::ModelUnknown => match dialect {
            Anthropic => Face::terminal(404, "not_found_error"),
            Chat | Responses => Face::new(404, "model_not_found"),
            Gemini => Face::new(404, "NOT_FOUND"),
        },
        Reason::NoSuchPath => match dialect {
            Anthropic => Face::terminal(404, "not_found_error"),
            Chat | Responses if codex => Face::new(404, "model_not_found"),
            Chat | Responses => Face::new(404, "unknown_url"),
            Gemini => Face::new(404, "NOT_FOUND"),
        },
        Reason::WrongMethod(allow) => {
            let face = match dialect {
                Anthropic => Face::new(405, "invalid_request_error"),
                Chat | Responses => Face::new(405, "method_not_supported"),
                Gemini => Face::new(405, "INVALID_ARGUMENT"),
            };
            Face { allow: Some(allow), ..face }
        }
        // Codex goes on with HTTP at once on 426, and on nothing else. RFC 9110 section 15.5.22 wants an `upgrade` header
        // here; there is no protocol that we would name in it.
        Reason::Upgrade => match dialect {
            Anthropic => Face::new(426, "invalid_request_error"),
            Chat | Responses => Face::new(426, "websocket_not_supported"),
            Gemini => Face::new(426, "FAILED_PRECONDITION"),
        },
        Reason::Encoding => match dialect {
            Anthropic => Face::new(415, "invalid_request_error"),
            Chat | Responses if codex => Face::new(400, "invalid_prompt"),
            Chat | Responses => Face::new(415, "unsupported_content_encoding"),
            Gemini => Face::new(415, "INVALID_ARGUMENT"),
        },
        // 413 makes OpenCode compact the conversation, which may save it.
        Reason::TooLarge => match dialect {
            Anthropic => Face::terminal(413, "request_too_large"),
            Responses => Face::new(400, "invalid_prompt"),
            Chat if codex => Face::new(400, "invalid_prompt"),
            Chat => Face { code: None, ..Face::new(413, "") },
            Gemini => Face::new(413, "INTERNAL"),
        },
        Reason::BadRequest => match dialect {
            Anthropic => Face::terminal(400, "invalid_request_error"),
            Responses => Face::new(400, "invalid_prompt"),
            Chat if codex => Face::new(400, "invalid_prompt"),
            Chat => Face { code: None, ..Face::new(400, "") },
            Gemini => Face::new(400, "INVALID_ARGUMENT"),
        },
        // The rest of the body may still come, and would be taken for the next request.
        Reason::Stalled => {
            let face = match dialect {
                Anthropic => Face::new(408, "timeout_error"),
                Chat | Responses => Face::new(408, "request_timeout"),
                Gemini => Face::new(408, "DEADLINE_EXCEEDED"),
            };
            Face { close: true, ..face }
        }
        // Never the provider's own 401: the client would be told that its key is wrong.
        Reason::CredentialRefused => match dialect {
            Anthropic => Face::new(424, "api_error"),
            Responses => Face::new(400, "invalid_prompt"),
            Chat if codex => Face::new(400, "invalid_prompt"),
            Chat => Face::new(424, "upstream_auth"),
            Gemini => Face::new(424, "FAILED_PRECONDITION"),
        },
        Reason::Unavailable(wait) => Face::unavailable(dialect, wait),
        Reason::TurnedAway(wait) => Face { close: true, ..Face::unavailable(dialect, wait) },
        Reason::Internal => {
            let face = match dialect {
                Anthropic => Face::new(500, "api_error"),
                Chat | Responses => Face::new(500, "internal_error"),
                Gemini => Face::new(500, "INTERNAL"),
            };
            Face { retry_after: Some(WAIT_INTERNAL), ..face }
        }
    }
}

impl Face {
    /// A Gemini stream that broke: the one body that makes Gemini CLI ask again.
    pub const BROKEN_STREAM: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: Some("UNAVAILABLE"),
        terminal: false,
        retry_after: None,
        never_retry: false,
        close: false,
        allow: None,
    };

    fn new(status: u16, code: &'static str) -> Self {
        // Every status above is a literal; the tests walk through all of them.
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: Some(code), ..Self::BROKEN_STREAM }
    }

    fn terminal(status: u16, code: &'static str) -> Self {
        Self { terminal: true, ..Self::new(status, code) }
    }

    /// Anthropic's `overloaded_error` would make Claude Code give up after three requests, with a text of its own.
    fn unavailable(dialect: Dialect, wait: u32) -> Self {
        let code = match dialect {
            Dialect::Anthropic => "api_error",
            Dialect::Chat | Dialect::Responses => "overloaded",
            Dialect::Gemini => "UNAVAILABLE",
        };
        Self { retry_after: Some(wait), ..Self::new(503, code) }
    }
}

/// Whole seconds, rounded up: a client that comes a moment early is refused again.
fn seconds(wait: std::time::Duration) -> u32 {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(whole.clamp(1, MAX_WAIT)).unwrap_or(1)
}

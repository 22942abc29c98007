//! Errors in the words of each provider, before an answer and in the middle of one.
//!
//! Shapes and types: <https://platform.claude.com/docs/en/api/errors>,
//! <https://platform.openai.com/docs/guides/error-codes>, <https://ai.google.dev/gemini-api/docs/troubleshooting>.

use http::StatusCode;

use super::answer::{Form, data, event};
use super::json::{Json, object};
use crate::protocol::Dialect;

/// The body of a refusal.
pub fn body(dialect: Dialect, status: StatusCode, message: &str) -> Json {
    let code = status.as_u16();
    match dialect {
        Dialect::Anthropic => anthropic(code, message),
        Dialect::Chat | Dialect::Responses => object! { "error": openai(code, message) },
        Dialect::Gemini => gemini(code, message),
    }
}

/// The event that tells of an error in the middle of a stream, framed. The dialects that may close their stream after
/// it send nothing more.
pub fn in_stream(dialect: Dialect, form: Form, sequence: u64, status: StatusCode, message: &str) -> String {
    let code = status.as_u16();
    match (dialect, form) {
        (Dialect::Anthropic, _) => event("error", &anthropic(code, message)),
        (Dialect::Chat, _) => data(&object! { "error": openai(code, message) }),
        (Dialect::Responses, _) => {
            let (_, word) = openai_words(code);
            let error = object! { "code": word.unwrap_or("server_error"), "message": message };
            let response = object! {
                "id": super::answer::id("resp_"),
                "object": "response",
                "status": "failed",
                "error": error,
                "output": Json::array(&[]),
                "usage": Json::null(),
            };
            let failed = object! { "type": "response.failed", "sequence_number": sequence, "response": response };
            event("response.failed", &failed)
        }
        (Dialect::Gemini, Form::Events) => format!("data: {}\r\n\r\n", gemini(code, message).as_str()),
        (Dialect::Gemini, _) => {
            let opening = if sequence == 0 { "[" } else { "\n,\n" };
            format!("{opening}{}]", gemini(code, message).as_str())
        }
    }
}

fn anthropic(code: u16, message: &str) -> Json {
    let kind = match code {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    let error = object! { "type": kind, "message": message };
    object! { "type": "error", "error": error, "request_id": super::answer::id("req_") }
}

fn openai(code: u16, message: &str) -> Json {
    let (kind, word) = openai_words(code);
    let word = word.map_or_else(Json::null, Json::from);
    object! { "message": message, "type": kind, "param": Json::null(), "code": word }
}

const fn openai_words(code: u16) -> (&'static str, Option<&'static str>) {
    match code {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        402 => ("insufficient_quota", Some("insufficient_quota")),
        403 => ("invalid_request_error", Some("permission_denied")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        503 | 529 => ("server_error", Some("server_is_overloaded")),
        _ => ("server_error", None),
    }
}

fn gemini(code: u16, message: &str) -> Json {
    let status = match code {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        // Google has no 529; its overload is a 503.
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    let code = if code == 529 { 503 } else { code };
    object! { "error": object! { "code": code, "message": message, "status": status } }
}

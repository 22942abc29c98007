//! What each provider sends beside its answers.

use crate::protocol::Dialect;

/// What each provider sends beside its answers, also what names the account: a gateway has to know what to pass on.
pub const fn usual(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::Anthropic => &[
            ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
            ("anthropic-ratelimit-requests-limit", "1000"),
            ("anthropic-ratelimit-requests-remaining", "999"),
            ("anthropic-ratelimit-tokens-limit", "100000"),
            ("anthropic-ratelimit-tokens-remaining", "99000"),
        ],
        Dialect::Chat | Dialect::Responses => &[
            ("openai-organization", "org-simulated"),
            ("openai-processing-ms", "12"),
            ("openai-version", "2020-10-01"),
            ("x-ratelimit-limit-requests", "1000"),
            ("x-ratelimit-remaining-requests", "999"),
            ("x-ratelimit-reset-requests", "6ms"),
        ],
        Dialect::Gemini => &[("server-timing", "gfet4t7; dur=12")],
    }
}

/// The header in which it names the request.
pub const fn request_id(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::Anthropic => Some("request-id"),
        Dialect::Chat | Dialect::Responses => Some("x-request-id"),
        Dialect::Gemini => None,
    }
}

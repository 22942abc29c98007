//! The rate-limit headers of a dialect beside a refusal: how many there may be, how many are left, when there are more.
//!
//! Sources: <https://platform.claude.com/docs/en/api/rate-limits> (resets as RFC 3339) and
//! <https://platform.openai.com/docs/guides/rate-limits> (resets as a span). Gemini has none. Calls under way have none
//! anywhere.

use crate::error::limit::{Full, Measure};
use crate::message::{Fields, Name};
use crate::protocol::Dialect;

/// Adds them.
pub(super) fn add(fields: &mut Fields, dialect: Dialect, full: &Full) {
    let Some([limit, left, reset]) = names(dialect, full.measure) else { return };
    fields.add(limit, itoa::Buffer::new().format(full.limit).as_bytes());
    fields.add(left, itoa::Buffer::new().format(full.left).as_bytes());
    let reset_value = match dialect {
        Dialect::Anthropic => {
            let at = full.resets_at.and_then(|at| jiff::Timestamp::from_second(i64::try_from(at).ok()?).ok());
            at.map(|at| at.to_string())
        }
        _ => full.retry_after.map(|wait| format!("{}s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0))),
    };
    if let Some(value) = reset_value {
        fields.add(reset, value.as_bytes());
    }
}

fn names(dialect: Dialect, measure: Measure) -> Option<[Name; 3]> {
    match (dialect, measure) {
        (Dialect::Gemini, _) | (_, Measure::Concurrent) => None,
        (Dialect::Anthropic, Measure::Requests) => Some(ANTHROPIC_REQUESTS),
        (Dialect::Anthropic, Measure::InputTokens) => Some(ANTHROPIC_INPUT),
        (Dialect::Anthropic, Measure::OutputTokens) => Some(ANTHROPIC_OUTPUT),
        (Dialect::Anthropic, Measure::Tokens) => Some(ANTHROPIC_TOKENS),
        (Dialect::Chat | Dialect::Responses, Measure::Requests) => Some(OPENAI_REQUESTS),
        (Dialect::Chat | Dialect::Responses, _) => Some(OPENAI_TOKENS),
    }
}

const ANTHROPIC_REQUESTS: [Name; 3] = [
    Name::new("anthropic-ratelimit-requests-limit"),
    Name::new("anthropic-ratelimit-requests-remaining"),
    Name::new("anthropic-ratelimit-requests-reset"),
];
const ANTHROPIC_TOKENS: [Name; 3] = [
    Name::new("anthropic-ratelimit-tokens-limit"),
    Name::new("anthropic-ratelimit-tokens-remaining"),
    Name::new("anthropic-ratelimit-tokens-reset"),
];
const ANTHROPIC_INPUT: [Name; 3] = [
    Name::new("anthropic-ratelimit-input-tokens-limit"),
    Name::new("anthropic-ratelimit-input-tokens-remaining"),
    Name::new("anthropic-ratelimit-input-tokens-reset"),
];
const ANTHROPIC_OUTPUT: [Name; 3] = [
    Name::new("anthropic-ratelimit-output-tokens-limit"),
    Name::new("anthropic-ratelimit-output-tokens-remaining"),
    Name::new("anthropic-ratelimit-output-tokens-reset"),
];
const OPENAI_REQUESTS: [Name; 3] = [
    Name::new("x-ratelimit-limit-requests"),
    Name::new("x-ratelimit-remaining-requests"),
    Name::new("x-ratelimit-reset-requests"),
];
const OPENAI_TOKENS: [Name; 3] = [
    Name::new("x-ratelimit-limit-tokens"),
    Name::new("x-ratelimit-remaining-tokens"),
    Name::new("x-ratelimit-reset-tokens"),
];

//! Which agent calls, in which session, for whom, by what the agents do send.
//!
//! All of it is a claim that any client can make: it labels, and it may narrow what a key allows, but it never opens
//! anything. A user agent alone does not prove Claude Code, since other agents send `claude-cli/…` to providers that expect
//! it; the session header does.
//!
//! Invariant: whatever is returned is bounded and printable, so it may be logged and stored as it is.

use http::{HeaderMap, HeaderName, header};

use super::Agent;
use crate::protocol::Dialect;

/// Longest session id or user claim that is taken, in bytes; a longer one is as good as none.
const MAX_ID: usize = 128;

static CLAUDE_SESSION: HeaderName = HeaderName::from_static("x-claude-code-session-id");
static ORIGINATOR: HeaderName = HeaderName::from_static("originator");
static CODEX_SESSION: HeaderName = HeaderName::from_static("session-id");
/// Spelled so by older Codex.
static CODEX_SESSION_OLD: HeaderName = HeaderName::from_static("session_id");
static SESSION: HeaderName = HeaderName::from_static("x-session-id");
static USER: HeaderName = HeaderName::from_static("x-tollgate-user");

/// Which agent sent these headers. Costs one probe and, where the user agent leaves it open, a second one.
#[must_use]
pub fn detect(headers: &HeaderMap, dialect: Dialect) -> Agent {
    let user_agent = headers.get(header::USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    for (prefix, agent) in USER_AGENTS {
        if user_agent.starts_with(prefix) {
            return *agent;
        }
    }
    if user_agent.starts_with(b"claude-cli/") {
        return if headers.contains_key(&CLAUDE_SESSION) { Agent::ClaudeCode } else { Agent::Other };
    }
    // Codex's user agent begins with its originator, which every embedding of it chooses; the header is what stays. It
    // speaks nothing but OpenAI's dialects.
    let speaks_openai = matches!(dialect, Dialect::Responses | Dialect::Chat);
    if speaks_openai && headers.get(&ORIGINATOR).is_some_and(|value| value.as_bytes().starts_with(b"codex_")) {
        return Agent::Codex;
    }
    Agent::Other
}

/// User agents that nobody else borrows.
const USER_AGENTS: &[(&[u8], Agent)] = &[
    // Claude Code's model discovery, which comes before there is a session.
    (b"claude-code/", Agent::ClaudeCode),
    (b"GeminiCLI", Agent::GeminiCli),
    (b"opencode/", Agent::OpenCode),
    (b"QwenCode/", Agent::QwenCode),
];

/// The session that an agent names in its headers. Gemini CLI and Qwen Code name none.
#[must_use]
pub fn session(headers: &HeaderMap, agent: Agent) -> Option<&str> {
    match agent {
        Agent::ClaudeCode => id(headers, &CLAUDE_SESSION),
        Agent::Codex => id(headers, &CODEX_SESSION).or_else(|| id(headers, &CODEX_SESSION_OLD)),
        Agent::OpenCode | Agent::Other => id(headers, &SESSION),
        Agent::GeminiCli | Agent::QwenCode => None,
    }
}

/// The user that the client says it calls for: `x-tollgate-user`. Recorded, never believed.
#[must_use]
pub fn user_claim(headers: &HeaderMap) -> Option<&str> {
    id(headers, &USER)
}

/// Printable ASCII, blanks inside included (a user may be "Ada L."), 1 to [`MAX_ID`] bytes.
fn id<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let value = headers.get(name)?.as_bytes().trim_ascii();
    let text = std::str::from_utf8(value).ok()?;
    let fits = !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    fits.then_some(text)
}

#[cfg(test)]
mod tests;

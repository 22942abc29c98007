//! Which agent calls, in which session, for whom, by what the agents do send.
//!
//! All of it is a claim that any client can make: it labels, and it may narrow what a key allows, but it never opens
//! anything. A user agent alone does not prove Claude Code, since other agents send `claude-cli/…` to providers that expect
//! it; the session header does.
//!
//! Invariant: whatever is returned is bounded and printable, so it may be logged and stored as it is.

use super::Agent;
use crate::message::{Fields, Name};
use crate::protocol::Dialect;

/// Longest session id or user claim that is taken, in bytes; a longer one is as good as none.
const MAX_ID: usize = 128;

const USER_AGENT: Name = Name::new("user-agent");
const CLAUDE_SESSION: Name = Name::new("x-claude-code-session-id");
const ORIGINATOR: Name = Name::new("originator");
const CODEX_SESSION: Name = Name::new("session-id");
/// Spelled so by older Codex.
const CODEX_SESSION_OLD: Name = Name::new("session_id");
const SESSION: Name = Name::new("x-session-id");
const USER: Name = Name::new("x-tollgate-user");

/// Which agent sent these headers. Costs one probe and, where the user agent leaves it open, a second one.
#[must_use]
pub fn detect(fields: &Fields, dialect: Dialect) -> Agent {
    let user_agent = fields.get(USER_AGENT).unwrap_or_default();
    for (prefix, agent) in USER_AGENTS {
        if user_agent.starts_with(prefix) {
            return *agent;
        }
    }
    if user_agent.starts_with(b"claude-cli/") {
        return if fields.contains(CLAUDE_SESSION) { Agent::ClaudeCode } else { Agent::Other };
    }
    // Codex's user agent begins with its originator, which every embedding of it chooses; the header is what stays. It
    // speaks nothing but OpenAI's dialects.
    let speaks_openai = matches!(dialect, Dialect::Responses | Dialect::Chat);
    if speaks_openai && fields.get(ORIGINATOR).is_some_and(|value| value.starts_with(b"codex_")) {
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
pub fn session(fields: &Fields, agent: Agent) -> Option<&str> {
    match agent {
        Agent::ClaudeCode => id(fields, CLAUDE_SESSION),
        Agent::Codex => id(fields, CODEX_SESSION).or_else(|| id(fields, CODEX_SESSION_OLD)),
        Agent::OpenCode | Agent::Other => id(fields, SESSION),
        Agent::GeminiCli | Agent::QwenCode => None,
    }
}

/// The user that the client says it calls for: `x-tollgate-user`. Recorded, never believed.
#[must_use]
pub fn user_claim(fields: &Fields) -> Option<&str> {
    id(fields, USER)
}

/// Printable ASCII, blanks inside included (a user may be "Ada L."), 1 to [`MAX_ID`] bytes.
fn id(fields: &Fields, name: Name) -> Option<&str> {
    let value = fields.get(name)?.trim_ascii();
    let text = std::str::from_utf8(value).ok()?;
    let fits = !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    fits.then_some(text)
}

#[cfg(test)]
mod tests;

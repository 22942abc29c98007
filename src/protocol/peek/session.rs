//! The conversation's id, where agents put it into the body.
//!
//! Invariant: never fails; what is not printable ASCII of at most [`MAX_SESSION`] bytes is ignored. It is a claim of the
//! client's: good for stickiness and for records, not for authority.

use serde::Deserialize;

/// Longest session, in bytes.
const MAX_SESSION: usize = 128;
/// Longest raw value that is looked at: Claude Code's takes about 250 bytes.
pub const MAX_RAW: usize = 1024;

/// What Claude Code spells as a JSON string inside `metadata.user_id` (measured on 2.1.330).
#[derive(Deserialize)]
struct ClaudeCode {
    session_id: Option<Box<str>>,
}

/// From the raw value of `metadata.user_id`. Claude Code's newer versions write
/// `{"device_id":…,"account_uuid":…,"session_id":…}` there, as a string; older ones `user_…_account_…_session_…`. Any other
/// value is taken whole: one user at a time is the best grouping there is.
pub fn of_user_id(raw: &[u8]) -> Option<Box<str>> {
    let text: Box<str> = serde_json::from_slice(raw).ok()?;
    if text.starts_with('{') {
        return serde_json::from_str::<ClaudeCode>(&text).ok()?.session_id.filter(|id| is_sound(id));
    }
    let id = text.rsplit_once("_session_").map_or(&*text, |(_, id)| id);
    is_sound(id).then(|| id.into())
}

/// From the raw value of `prompt_cache_key`.
pub fn of_cache_key(raw: &[u8]) -> Option<Box<str>> {
    serde_json::from_slice::<Box<str>>(raw).ok().filter(|id| is_sound(id))
}

fn is_sound(id: &str) -> bool {
    (1..=MAX_SESSION).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a table reads best without references")]
    fn row(name: &str, got: Option<Box<str>>, want: Option<&str>) {
        assert_eq!(got.as_deref(), want, "{name}");
    }

    #[test]
    fn sessions() {
        let user = |raw: &str| of_user_id(raw.as_bytes());
        let key = |raw: &str| of_cache_key(raw.as_bytes());
        row(
            "claude code",
            user(r#""{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"s-1\"}""#),
            Some("s-1"),
        );
        row("claude code without a session", user(r#""{\"device_id\":\"d\"}""#), None);
        row("claude code, broken", user(r#""{\"session_id\":""#), None);
        row("claude code, older", user(r#""user_ab_account_cd_session_0b-1""#), Some("0b-1"));
        row("plain", user(r#""alice""#), Some("alice"));
        row("no string", user("7"), None);
        row("null", user("null"), None);
        row("empty", user(r#""""#), None);
        row("not ascii", user(r#""älice""#), None);
        row("cache key", key(r#""01a2-b""#), Some("01a2-b"));
        row("control character", key(r#""a\nb""#), None);
        row("128 bytes", key(&format!("{:?}", "a".repeat(128))), Some(&"a".repeat(128)));
        row("129 bytes", key(&format!("{:?}", "a".repeat(129))), None);
    }
}

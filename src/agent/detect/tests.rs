//! Heads as the agents send them, cut to what tells them apart.

use super::*;
use Agent::{ClaudeCode, Codex, GeminiCli, OpenCode, Other, QwenCode};
use Dialect::{Anthropic, Chat, Gemini, Responses};

fn map(rows: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    rows.iter().for_each(|(name, value)| fields.push(name, value.as_bytes()));
    fields
}

#[test]
fn agents() {
    type Row = (&'static str, Dialect, &'static [(&'static str, &'static str)], Agent);
    let rows: &[Row] = &[
        (
            "Claude Code",
            Anthropic,
            &[("user-agent", "claude-cli/2.1.330 (external, sdk-cli)"), ("x-claude-code-session-id", "57658c8d")],
            ClaudeCode,
        ),
        ("Claude Code looks for models", Chat, &[("user-agent", "claude-code/2.1.330")], ClaudeCode),
        ("Claude Code's probe", Anthropic, &[("user-agent", "Bun/1.4.4")], Other),
        (
            "Qwen Code as claude-cli",
            Anthropic,
            &[("user-agent", "claude-cli/0.24.4 (external, cli)"), ("x-app", "cli")],
            Other,
        ),
        ("only the session header", Anthropic, &[("x-claude-code-session-id", "57658c8d")], Other),
        (
            "Codex",
            Responses,
            &[("user-agent", "codex_exec/0.169.0 (Debian 12.0.0; x86_64) dumb"), ("originator", "codex_exec")],
            Codex,
        ),
        ("Codex in an editor", Responses, &[("user-agent", "Code/1"), ("originator", "codex_vscode")], Codex),
        ("Codex looks for models", Chat, &[("originator", "codex_cli_rs")], Codex),
        ("Codex speaks no Messages", Anthropic, &[("originator", "codex_exec")], Other),
        ("another originator", Responses, &[("originator", "not_codex_exec")], Other),
        ("only Codex's user agent", Responses, &[("user-agent", "codex_exec/0.169.0")], Other),
        (
            "Gemini CLI",
            Gemini,
            &[("user-agent", "GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)")],
            GeminiCli,
        ),
        ("Gemini CLI, headless", Gemini, &[("user-agent", "GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64)")], GeminiCli),
        ("OpenCode", Chat, &[("user-agent", "opencode/1.18.33 ai-sdk/provider-utils/4.0.23")], OpenCode),
        (
            "OpenCode, Anthropic",
            Anthropic,
            &[("user-agent", "opencode/1.18.33 ai-sdk/provider-utils/4.0.23")],
            OpenCode,
        ),
        ("Qwen Code", Chat, &[("user-agent", "QwenCode/0.24.4 (linux; x64)")], QwenCode),
        ("an SDK", Chat, &[("user-agent", "OpenAI/JS 5.11.0")], Other),
        ("a name inside", Chat, &[("user-agent", "my opencode/1")], Other),
        ("nothing", Chat, &[], Other),
    ];
    for (name, dialect, headers, agent) in rows {
        assert_eq!(detect(&map(headers), *dialect), *agent, "{name}");
    }
    let mut bytes = Fields::default();
    bytes.push("user-agent", b"opencode/\xff");
    assert_eq!(detect(&bytes, Chat), OpenCode);
}

#[test]
fn sessions() {
    let all = map(&[
        ("x-claude-code-session-id", "claude"),
        ("session-id", "codex"),
        ("session_id", "codex-old"),
        ("x-session-id", "ses_1"),
    ]);
    let rows = [
        (ClaudeCode, Some("claude")),
        (Codex, Some("codex")),
        (OpenCode, Some("ses_1")),
        (Other, Some("ses_1")),
        (GeminiCli, None),
        (QwenCode, None),
    ];
    for (agent, want) in rows {
        assert_eq!(session(&all, agent), want, "{}", agent.name());
        assert_eq!(session(&Fields::default(), agent), None, "{}", agent.name());
    }
    assert_eq!(session(&map(&[("session_id", "codex-old")]), Codex), Some("codex-old"));
}

#[test]
fn ids_are_bounded_and_printable() {
    let (fits, long) = ("i".repeat(MAX_ID), "i".repeat(MAX_ID + 1));
    let rows: &[(&[u8], Option<&str>)] = &[
        (b"alice", Some("alice")),
        (b"Ada L. <ada@example.com>", Some("Ada L. <ada@example.com>")),
        (b"  alice  ", Some("alice")),
        (fits.as_bytes(), Some(&fits)),
        (long.as_bytes(), None),
        (b"", None),
        (b"   ", None),
        (b"a\tb", None),
        (b"a\xffb", None),
        ("zoë".as_bytes(), None),
    ];
    for (value, want) in rows {
        let mut headers = Fields::default();
        headers.push(USER.text(), value);
        assert_eq!(user_claim(&headers), *want, "{}", value.escape_ascii());
    }
    assert_eq!(user_claim(&Fields::default()), None);
}

//! Everything we know about each coding agent.
//!
//! Invariant: [`Agent`] is a closed set, so it may be a label; whatever is not recognised is [`Agent::Other`].

pub mod detect;

/// A coding agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agent {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// OpenAI's Codex CLI.
    Codex,
    /// Google's Gemini CLI.
    GeminiCli,
    /// OpenCode.
    OpenCode,
    /// Qwen Code.
    QwenCode,
    /// Anything else.
    Other,
}

impl Agent {
    /// Every agent, in the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::ClaudeCode, Self::Codex, Self::GeminiCli, Self::OpenCode, Self::QwenCode, Self::Other];

    /// As written in the configuration, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::GeminiCli => "gemini-cli",
            Self::OpenCode => "opencode",
            Self::QwenCode => "qwen-code",
            Self::Other => "other",
        }
    }

    /// Position in [`Agent::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

//! What the first minute prints: what is on, the key, and lines to paste into a shell.
//!
//! Invariant: every line that begins with a command works as it stands, against this process, with what is enabled; an
//! agent whose API nobody speaks gets no line. Providers' secrets are not known here.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::Path;

use super::keep::Kept;
use super::offers::{self, Found, Offer, SIMULATOR};
use crate::protocol::Dialect;

/// See the module.
#[derive(Debug)]
pub struct Banner<'b> {
    /// What is on.
    pub found: &'b Found,
    /// The key.
    pub kept: &'b Kept,
    /// Where agents connect to.
    pub agents: SocketAddr,
    /// Where operators connect to.
    pub operators: SocketAddr,
}

impl Banner<'_> {
    fn offers(&self) -> impl Iterator<Item = &'static Offer> {
        let simulator = self.found.offers.is_empty().then_some(&SIMULATOR);
        self.found.offers.iter().map(|(offer, _)| *offer).chain(simulator)
    }

    /// How an agent that asks for `usual` unless told otherwise has to ask in this dialect: `Some(None)` if as usual.
    fn model(&self, dialect: Dialect, usual: &str) -> Option<Option<&'static str>> {
        if self.offers().any(|offer| offer.serves(dialect, usual)) {
            return Some(None);
        }
        self.offers().find_map(|offer| offer.example(dialect)).map(Some)
    }

    fn providers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (offer, variable) in &self.found.offers {
            writeln!(f, "  {:<11} {} (key from {variable})", offer.name, offer.models.join(" "))?;
        }
        for variable in &self.found.ours {
            writeln!(f, "  not used: {variable} holds a key of Tollgate's, not of a provider")?;
        }
        if self.found.offers.is_empty() {
            writeln!(f, "  {:<11} every model name; it only plays a model, and costs nothing", SIMULATOR.name)?;
            let variables: Vec<_> = offers::variables().collect();
            writeln!(f, "To reach a real provider set one of these and start again:\n  {}", variables.join(" "))?;
        }
        Ok(())
    }

    /// One call in the first dialect of the first provider.
    fn curl(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((dialect, model)) = self.offers().find_map(|offer| offer.speaks.first()) else { return Ok(()) };
        let path = match dialect {
            Dialect::Anthropic => "v1/messages".to_owned(),
            Dialect::Chat => "v1/chat/completions".to_owned(),
            Dialect::Responses => "v1/responses".to_owned(),
            Dialect::Gemini => format!("v1beta/models/{model}:generateContent"),
        };
        let body = match dialect {
            Dialect::Anthropic => {
                format!(r#"{{"model":"{model}","max_tokens":100,"messages":[{{"role":"user","content":"Hello"}}]}}"#)
            }
            Dialect::Chat => format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#),
            Dialect::Responses => format!(r#"{{"model":"{model}","input":"Hello"}}"#),
            Dialect::Gemini => r#"{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}"#.to_owned(),
        };
        let version = if *dialect == Dialect::Anthropic { " -H 'anthropic-version: 2023-06-01'" } else { "" };
        let (agents, key) = (self.agents, self.kept.key.expose());
        writeln!(
            f,
            "curl\n  curl http://{agents}/{path} -H 'authorization: Bearer {key}' -H 'content-type: application/json'{version} -d '{body}'"
        )
    }

    fn claude_code(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(model) = self.model(Dialect::Anthropic, "claude-sonnet-4-5") else { return Ok(()) };
        let (agents, key) = (self.agents, self.kept.key.expose());
        // Emptied, because Claude Code would send the provider's key beside ours.
        write!(f, "Claude Code\n  ANTHROPIC_BASE_URL=http://{agents} ANTHROPIC_AUTH_TOKEN={key} ANTHROPIC_API_KEY= ")?;
        if let Some(model) = model {
            write!(f, "ANTHROPIC_MODEL={model} ANTHROPIC_DEFAULT_HAIKU_MODEL={model} ")?;
        }
        writeln!(f, "claude")
    }

    fn codex(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(model) = self.model(Dialect::Responses, "gpt-5.5") else { return Ok(()) };
        let (agents, key) = (self.agents, self.kept.key.expose());
        let model = model.map(|model| format!(" -m {model}")).unwrap_or_default();
        writeln!(
            f,
            "Codex CLI\n  TOLLGATE_KEY={key} codex{model} -c model_provider=tollgate -c \
             'model_providers.tollgate={{name=\"Tollgate\",base_url=\"http://{agents}/v1\",env_key=\"TOLLGATE_KEY\",wire_api=\"responses\"}}'"
        )
    }

    fn gemini_cli(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(model) = self.model(Dialect::Gemini, "gemini-2.5-pro") else { return Ok(()) };
        let (agents, key) = (self.agents, self.kept.key.expose());
        let model = model.map(|model| format!(" -m {model}")).unwrap_or_default();
        // With a base URL in the environment, Gemini CLI takes a key only if its settings say so. A home of its own leaves
        // alone what the user chose in theirs, which may be a login that never asks us.
        let home = word(&self.kept.file.with_file_name("gemini-cli"));
        writeln!(
            f,
            "Gemini CLI (two lines: the first makes a home for it, so that its usual settings stay as they are)"
        )?;
        writeln!(
            f,
            "  mkdir -p {home}/.gemini && echo '{{\"security\":{{\"auth\":{{\"selectedType\":\"gemini-api-key\"}}}}}}' > {home}/.gemini/settings.json"
        )?;
        writeln!(
            f,
            "  GEMINI_CLI_HOME={home} GEMINI_API_KEY={key} GOOGLE_GEMINI_BASE_URL=http://{agents} gemini{model}"
        )
    }

    fn opencode(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            (Dialect::Chat, "@ai-sdk/openai-compatible", "v1"),
            (Dialect::Anthropic, "@ai-sdk/anthropic", "v1"),
            (Dialect::Gemini, "@ai-sdk/google", "v1beta"),
        ];
        let fitting = known.into_iter().find_map(|(dialect, sdk, version)| {
            let model = self.offers().find_map(|offer| offer.example(dialect))?;
            Some((sdk, version, model))
        });
        let Some((sdk, version, model)) = fitting else { return Ok(()) };
        let (agents, key) = (self.agents, self.kept.key.expose());
        writeln!(
            f,
            "OpenCode\n  OPENCODE_CONFIG_CONTENT='{{\"provider\":{{\"tollgate\":{{\"npm\":\"{sdk}\",\"name\":\"Tollgate\",\
             \"options\":{{\"baseURL\":\"http://{agents}/{version}\",\"apiKey\":\"{key}\"}},\"models\":{{\"{model}\":{{}}}}}}}},\
             \"model\":\"tollgate/{model}\",\"small_model\":\"tollgate/{model}\"}}' opencode"
        )
    }
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, agents, operators, .. } = self;
        writeln!(f, "Tollgate {}, without a configuration: for this machine only.\n", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "Providers")?;
        self.providers(f)?;
        writeln!(f, "For agents\n  http://{agents}")?;
        writeln!(f, "Key\n  {}\n  kept in {}\n", kept.key.expose(), kept.file.display())?;
        self.curl(f)?;
        self.claude_code(f)?;
        self.codex(f)?;
        self.gemini_cli(f)?;
        self.opencode(f)?;
        writeln!(f, "Health and metrics\n  curl http://{operators}/ready\n  curl http://{operators}/metrics\n")?;
        write!(f, "Ctrl-C stops it. `tollgate --help` says how to give it a configuration.")
    }
}

/// A path as one word of a POSIX shell.
fn word(path: &Path) -> String {
    let path = path.to_string_lossy();
    if path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b)) {
        return path.into_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

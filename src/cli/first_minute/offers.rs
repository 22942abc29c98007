//! Which providers the environment has keys for, and the rules that follow from them, as a configuration's text.
//!
//! Invariant: the text names places of secrets, never a secret, and listens on loopback only. Variables that move an
//! agent's base URL (`ANTHROPIC_BASE_URL`, `OPENAI_BASE_URL`, `GOOGLE_GEMINI_BASE_URL`) are deliberately not read: in the
//! shell that starts an agent they point at Tollgate itself.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use crate::config::Env;
use crate::protocol::Dialect::{self, Anthropic, Chat, Gemini, Responses};
use crate::snapshot::key;
use crate::snapshot::routes::Pattern;

/// Where the first minute listens for agents.
pub const AGENTS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where the first minute listens for operators.
pub const OPERATORS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// A provider that needs nothing but a key.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name here.
    pub name: &'static str,
    /// Where its key usually is; the first that is set counts.
    pub variables: &'static [&'static str],
    /// `kind`, or `base_url` and `auth`: lines for its `[[provider]]`.
    lines: &'static str,
    /// The APIs it speaks, and a model for a first try in each.
    pub speaks: &'static [(Dialect, &'static str)],
    /// Patterns (and names) that lead to it.
    pub models: &'static [&'static str],
    /// What the pattern's `*` stands for goes upstream alone: the text in front of it only chooses the provider.
    strips: bool,
}

/// What is there when no variable is set.
pub static SIMULATOR: Offer = Offer {
    name: "simulator",
    variables: &[],
    lines: "",
    speaks: &[(Anthropic, "claude-sonnet-4-5"), (Chat, "gpt-5.5"), (Responses, "gpt-5.5"), (Gemini, "gemini-2.5-pro")],
    // The exact names are there for `GET /v1/models`, which cannot list a pattern.
    models: &["claude-sonnet-4-5", "gpt-5.5", "gemini-2.5-pro", "*"],
    strips: false,
};

/// In the order in which the banner looks for an example.
static OFFERS: [Offer; 8] = [
    Offer {
        name: "anthropic",
        variables: &["ANTHROPIC_API_KEY"],
        lines: "kind = \"anthropic\"\n",
        speaks: &[(Anthropic, "claude-haiku-4-5")],
        models: &["claude-*"],
        strips: false,
    },
    Offer {
        name: "openai",
        variables: &["OPENAI_API_KEY"],
        lines: "kind = \"openai\"\n",
        speaks: &[(Chat, "gpt-5-mini"), (Responses, "gpt-5-mini")],
        models: &["gpt-*", "o1*", "o3*", "o4*", "codex-*", "chatgpt-*"],
        strips: false,
    },
    Offer {
        name: "gemini",
        variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        lines: "kind = \"gemini\"\n",
        speaks: &[(Gemini, "gemini-2.5-flash")],
        models: &["gemini-*"],
        strips: false,
    },
    Offer {
        name: "openrouter",
        variables: &["OPENROUTER_API_KEY"],
        lines: "base_url = \"https://openrouter.ai/api\"\nauth = \"bearer\"\n",
        speaks: &[
            (Chat, "openrouter/openai/gpt-5-mini"),
            (Responses, "openrouter/openai/gpt-5-mini"),
            (Anthropic, "openrouter/anthropic/claude-haiku-4.5"),
        ],
        models: &["openrouter/*"],
        strips: true,
    },
    Offer {
        name: "groq",
        variables: &["GROQ_API_KEY"],
        lines: "base_url = \"https://api.groq.com/openai\"\n",
        speaks: &[(Chat, "groq/openai/gpt-oss-120b"), (Responses, "groq/openai/gpt-oss-120b")],
        models: &["groq/*"],
        strips: true,
    },
    Offer {
        name: "mistral",
        variables: &["MISTRAL_API_KEY"],
        lines: "base_url = \"https://api.mistral.ai\"\n",
        speaks: &[(Chat, "mistral-medium-latest")],
        models: &["mistral-*", "ministral-*", "codestral-*", "devstral-*", "magistral-*"],
        strips: false,
    },
    Offer {
        name: "deepseek",
        variables: &["DEEPSEEK_API_KEY"],
        lines: "base_url = \"https://api.deepseek.com\"\n",
        speaks: &[(Chat, "deepseek-chat")],
        models: &["deepseek-*"],
        strips: false,
    },
    Offer {
        name: "xai",
        variables: &["XAI_API_KEY"],
        lines: "base_url = \"https://api.x.ai\"\n",
        speaks: &[(Chat, "grok-4.5"), (Responses, "grok-4.5")],
        models: &["grok-*"],
        strips: false,
    },
];

impl Offer {
    /// Whether a call for this model in this dialect goes here.
    #[must_use]
    pub fn serves(&self, dialect: Dialect, model: &str) -> bool {
        self.example(dialect).is_some()
            && self.models.iter().any(|name| Pattern::parse(name).is_some_and(|p| p.capture(model).is_some()))
    }

    /// A model to try, if this dialect is spoken.
    #[must_use]
    pub fn example(&self, dialect: Dialect) -> Option<&'static str> {
        self.speaks.iter().find(|(spoken, _)| *spoken == dialect).map(|(_, model)| *model)
    }
}

/// What the environment offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Each with the variable that holds its key. Empty: the simulator has to do.
    pub offers: Vec<(&'static Offer, &'static str)>,
    /// Variables that hold a key of Tollgate's, meant for an agent: a provider would only refuse it.
    pub ours: Vec<&'static str>,
}

/// Looks into the environment. An empty variable counts as not set.
#[must_use]
pub fn find(env: &Env<'_>) -> Found {
    let mut found = Found::default();
    for offer in &OFFERS {
        for variable in offer.variables {
            let Some(secret) = env(variable).filter(|secret| !secret.is_empty()).map(zeroize::Zeroizing::new) else {
                continue;
            };
            if key::checksum_holds(&secret).is_some() {
                found.ours.push(variable);
                continue;
            }
            found.offers.push((offer, variable));
            break;
        }
    }
    found
}

/// Every variable that is looked at.
pub fn variables() -> impl Iterator<Item = &'static str> {
    OFFERS.iter().flat_map(|offer| offer.variables).copied()
}

/// The configuration that an operator would have written.
///
/// `key_sha256` is in hex; `simulator` is the base URL of the built-in one, where that is needed.
#[must_use]
pub fn rules(found: &Found, key_sha256: &str, simulator: Option<&str>) -> String {
    let mut text = format!("version = 1\n[listen]\naddress = \"{AGENTS}\"\nadmin = \"{OPERATORS}\"\n");
    let mut add = |offer: &Offer, place: &str| {
        let speaks: Vec<_> = offer.speaks.iter().map(|(dialect, _)| format!("\"{}\"", dialect.name())).collect();
        let _ = writeln!(text, "[[provider]]\nname = \"{}\"\nspeaks = [{}]", offer.name, speaks.join(", "));
        let _ = write!(text, "{}{place}", offer.lines);
        for model in offer.models {
            let _ = writeln!(text, "[[model]]\nname = \"{model}\"\nprovider = \"{}\"", offer.name);
            if offer.strips {
                text.push_str("upstream_model = \"*\"\n");
            }
        }
    };
    for (offer, variable) in &found.offers {
        add(offer, &format!("credential = {{ env = \"{variable}\" }}\n"));
    }
    if let Some(url) = simulator {
        add(&SIMULATOR, &format!("base_url = \"{url}\"\n"));
    }
    let _ = writeln!(text, "[[key]]\nname = \"first\"\nsha256 = \"{key_sha256}\"");
    text
}

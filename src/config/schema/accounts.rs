//! Who is held to which limits and budgets.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::AgentName;
use crate::config::units::{At, Dollars, HeaderText, Secret, Time};

/// A bound on what is used: one count, and within which time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Requests admitted within `per`.
    pub requests: Option<At<u64>>,
    /// Tokens of prompts, cached ones included, within `per`.
    pub input_tokens: Option<At<u64>>,
    /// Tokens of answers, reasoning included, within `per`.
    pub output_tokens: Option<At<u64>>,
    /// Both together, within `per`.
    pub tokens: Option<At<u64>>,
    /// Calls under way at one time, without `per`.
    pub concurrent: Option<At<u64>>,
    /// Within which time, 1s to 31d: in every stretch of this length, wherever it begins, no more are admitted.
    pub per: Option<At<Time>>,
}

/// Money for a period.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How much, in US dollars.
    pub dollars: At<Dollars>,
    /// For how long: "day", "week" (from Monday), "month", "total" (for ever), or a time such as "5h" that has just passed.
    #[schemars(regex(pattern = "^(day|week|month|total|[0-9]+ ?(s|m|h|d))$"))]
    pub per: At<String>,
    /// Where days begin, as in "Europe/Berlin". Default: `budget.time_zone`.
    pub time_zone: Option<At<String>>,
    /// What is held for a call whose cost nobody knows yet. Default: `budget.mode`.
    pub mode: Option<At<Mode>>,
    /// From which part of it on a warning is due, in percent; 100: none. Default: `budget.warn_at`.
    pub warn_at: Option<At<u64>>,
}

/// What is held for a call whose cost nobody knows yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What 99 of 100 such calls of this agent and model really cost; a rare one must find room beside it. A stream is cut when
    /// the last of the budget is used up. May be passed by at most about one percent.
    Learned,
    /// The most that the call can cost. Never passed, and much is held for calls that turn out cheap.
    Strict,
}

/// What all budgets have alike where they do not say otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetDefaults {
    /// Default: learned.
    pub mode: Option<At<Mode>>,
    /// Where days begin, as in "Europe/Berlin". Default: UTC.
    pub time_zone: Option<At<String>>,
    /// From which part of a budget on a warning is due, in percent; 100: none. Default: 80.
    pub warn_at: Option<At<u64>>,
    /// Who is told of each warning. Default: the log and the metrics alone.
    pub webhook: Option<At<Webhook>>,
}

/// Who is told of warnings: a receiver of webhooks (<https://www.standardwebhooks.com>).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where each is posted, as in "<https://alerts.example/tollgate>"; http:// only on this machine. Where knowing the URL is
    /// all that it takes to post there, it is a secret, { env = "NAME" } or { file = "path" }.
    pub url: At<HeaderText>,
    /// Where the secret is that each is signed with: whsec_ and 24 to 64 bytes in base64. Default: they are not signed.
    pub secret: Option<At<Secret>>,
    /// PEM file with certificate authorities to trust for it, besides the public ones.
    #[schemars(with = "Option<PathBuf>")]
    pub ca_file: Option<At<PathBuf>>,
    /// The proxy on the way there, whatever [upstream] and the environment say; "none": connect directly.
    pub proxy: Option<At<HeaderText>>,
}

/// A developer, with limits and budgets over all keys that name it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// As the keys name it.
    pub name: At<String>,
    /// Bounds on use.
    #[serde(default)]
    pub limits: Vec<At<Limit>>,
    /// Money.
    #[serde(default)]
    pub budgets: Vec<At<Budget>>,
}

/// A team, with limits and budgets over all keys that name it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// As the keys name it.
    pub name: At<String>,
    /// The organisation it belongs to.
    pub organisation: Option<At<String>>,
    /// Bounds on use.
    #[serde(default)]
    pub limits: Vec<At<Limit>>,
    /// Money.
    #[serde(default)]
    pub budgets: Vec<At<Budget>>,
    /// What single agents have of it.
    #[serde(default)]
    pub agent: Vec<At<TeamAgent>>,
}

/// An agent within a team.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamAgent {
    /// Which one.
    pub name: At<AgentName>,
    /// Bounds on use.
    #[serde(default)]
    pub limits: Vec<At<Limit>>,
    /// Money.
    #[serde(default)]
    pub budgets: Vec<At<Budget>>,
}

/// An organisation, with limits and budgets over all its teams.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// As the teams name it.
    pub name: At<String>,
    /// Bounds on use.
    #[serde(default)]
    pub limits: Vec<At<Limit>>,
    /// Money.
    #[serde(default)]
    pub budgets: Vec<At<Budget>>,
}

//! What the configuration says about one account: its limits and its budgets.
//!
//! Invariant: rules only say; what has been used is the account's, which outlives them. A limit of zero is none that was
//! written, for compiling refuses it.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::error::limit::{Measure, Period};
use crate::money::Pico;

/// All rules of one account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Bounds on what is used within a time.
    pub windows: Vec<WindowRule>,
    /// Calls that may be under way at one time.
    pub concurrent: Option<u64>,
    /// Money, each for a period of its own.
    pub budgets: Vec<BudgetRule>,
}

/// In every window of this length at most so many are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRule {
    /// What is counted; never [`Measure::Concurrent`].
    pub measure: Measure,
    /// How many.
    pub limit: u64,
    /// Within which time: at least a second, at most 31 days.
    pub window: Duration,
}

/// So much money for a period.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetRule {
    /// All of it.
    pub cap: Pico,
    /// For how long.
    pub period: Period,
    /// Where days begin.
    pub zone: TimeZone,
    /// What is held for a call whose cost nobody knows yet.
    pub mode: Mode,
    /// The part, in percent of the cap, from which on a warning is due; 100: none.
    pub warn_at: u8,
}

/// What is held for a call whose cost nobody knows yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// What nearly all such calls of this agent and model really cost; a stream is cut at the last free micro-dollar. May be
    /// passed by the calls under way whose truth exceeded their hold.
    #[default]
    Learned,
    /// The most that the call can cost. Never passed.
    Strict,
}

impl Mode {
    /// As written in the configuration, metrics and answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Learned => "learned",
            Self::Strict => "strict",
        }
    }
}

impl Rules {
    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.concurrent.is_none() && self.budgets.is_empty()
    }
}

//! A limit or a budget stands in the way: whose, which, and until when.
//!
//! Invariant: whoever reads one knows what was asked of whom, what there was, and when there will be more. No variant knows
//! HTTP, and money is whole micro-dollars.

use std::fmt;
use std::time::Duration;

/// Whom a limit or a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// One virtual key.
    Key,
    /// A developer, over all keys.
    Owner,
    /// A team.
    Team,
    /// One agent within a team.
    Agent,
    /// An organisation, over all its teams.
    Organisation,
    /// A configured model, whoever asks.
    Model,
}

impl Level {
    /// Every level, from the narrowest to the widest, in the order of their discriminants.
    pub const ALL: [Self; 6] = [Self::Key, Self::Owner, Self::Team, Self::Agent, Self::Organisation, Self::Model];

    /// Position in [`Level::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As written in metrics, logs and records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Owner => "owner",
            Self::Team => "team",
            Self::Agent => "agent",
            Self::Organisation => "organisation",
            Self::Model => "model",
        }
    }
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// Requests admitted within a window.
    Requests,
    /// Tokens of prompts, cached ones included, within a window.
    InputTokens,
    /// Tokens of answers, reasoning included, within a window.
    OutputTokens,
    /// Both together.
    Tokens,
    /// Calls under way at one time.
    Concurrent,
}

impl Measure {
    /// Every measure, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Requests, Self::InputTokens, Self::OutputTokens, Self::Tokens, Self::Concurrent];

    /// Position in [`Measure::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As written in the configuration, metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Tokens => "tokens",
            Self::Concurrent => "concurrent",
        }
    }
}

/// How long a budget lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar week, from Monday.
    Week,
    /// A calendar month.
    Month,
    /// The last so many seconds.
    Rolling(u64),
    /// For ever.
    Total,
}

/// As written in metrics and answers: as in the configuration, but for rolling periods, which are so many seconds.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
            Self::Rolling(seconds) => return write!(f, "{seconds}s"),
        })
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitError {
    /// A window is full, or as many calls are under way as may be.
    Full(Box<Full>),
    /// A budget has less left than the call may cost.
    BudgetSpent(Box<BudgetSpent>),
    /// Nobody knows what the call will cost, and it would be paid from a budget.
    Unpriced {
        /// The model, or the tool that the provider runs.
        what: Box<str>,
        /// It is a tool that has no price.
        tool: bool,
    },
    /// A budget was used up while the answer was under way.
    UsedUp,
    /// The same session has sent the same body again and again.
    Repeated {
        /// How often within a minute, this one included.
        times: u32,
    },
}

/// See [`LimitError::Full`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// Whose limit.
    pub level: Level,
    /// By name.
    pub name: Box<str>,
    /// What it counts.
    pub measure: Measure,
    /// How many there may be.
    pub limit: u64,
    /// How many more would pass now.
    pub left: u64,
    /// How many the call asked for.
    pub wanted: u64,
    /// Within which time; zero where calls under way are counted.
    pub window: Duration,
    /// After which the same call would pass, if nobody else came. `None`: never, since it asks for more than the whole limit.
    pub retry_after: Option<Duration>,
    /// The same as a moment: seconds since 1970.
    pub resets_at: Option<u64>,
}

/// See [`LimitError::BudgetSpent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSpent {
    /// Whose budget.
    pub level: Level,
    /// By name.
    pub name: Box<str>,
    /// How long it lasts.
    pub period: Period,
    /// All of it, in micro-dollars.
    pub cap: u64,
    /// What is neither spent nor held, in micro-dollars.
    pub left: u64,
    /// What the call may cost, in micro-dollars.
    pub wanted: u64,
    /// When there will be more, in words (RFC 3339, in the budget's time zone), and in how long. `None`: never.
    pub resets: Option<(Box<str>, Duration)>,
}

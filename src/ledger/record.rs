//! What is written down of a call: an [`Intent`] before the provider hears of it, a [`Final`] before the client sees its end.
//!
//! Plain values, borrowed, without an allocation. `N` is how a name is said: a [`Name`] of this process where it is written,
//! a number of one journal file where it is read again. Invariant: a final says everything that its intent said, so that it
//! means something alone. Times of day are milliseconds since 1970.

use super::name::Name;
use crate::agent::Agent;
use crate::money::Pico;
use crate::protocol::Dialect;
use crate::protocol::usage::Usage;

/// Who calls, for what, and how much is held for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent<'a, N = Name> {
    /// The call: the number inside its request id. Unique within a run of the process.
    pub call: u64,
    /// When it was admitted: the time that decides into which window its cost falls.
    pub at: u64,
    /// The virtual key.
    pub key: N,
    /// Whose key it is.
    pub owner: N,
    /// The owner's team.
    pub team: N,
    /// The team's organisation.
    pub organisation: N,
    /// Who the caller is, of a closed set.
    pub agent: Said<Agent, N>,
    /// What it speaks.
    pub dialect: Said<Dialect, N>,
    /// The conversation, as the agent says it; kept up to 64 bytes.
    pub session: &'a str,
    /// Whom it claims to come from; kept up to 64 bytes. Recorded, never trusted.
    pub user: &'a str,
    /// The model asked for; kept up to 128 bytes.
    pub asked: &'a str,
    /// What is reserved.
    pub hold: Pico,
    /// What it costs for sure, should nothing more be heard of it: the cost of an interrupted call without progress.
    pub known: Pico,
}

/// A member of a closed set where it is written, its name where it is read: numbers of such sets may differ between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<T, N> {
    /// As this process knows it.
    Here(T),
    /// As it was written.
    Read(N),
}

/// How a long answer stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it has cost so far.
    pub cost: Pico,
    /// Input tokens of all kinds so far.
    pub input: u64,
    /// Output tokens so far.
    pub output: u64,
}

/// How a call, or one attempt of it, went and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Final<'a, N = Name> {
    /// What was said before.
    pub intent: Intent<'a, N>,
    /// Who answered, or failed to.
    pub provider: N,
    /// With which credential.
    pub credential: N,
    /// Which prices were applied.
    pub prices: N,
    /// The model at the provider; kept up to 128 bytes.
    pub served: &'a str,
    /// Tokens by kind; zeros where none were counted.
    pub usage: Usage,
    /// What it cost.
    pub cost: Pico,
    /// HTTP status that the client saw; 0 where it saw none.
    pub status: u16,
    /// How it ended.
    pub end: End,
    /// Attempts made; for a failed attempt, which one it was, from 1.
    pub attempts: u16,
    /// From the complete head of the request to the end, in milliseconds.
    pub latency: u32,
    /// To the first content, in milliseconds.
    pub first: Option<u32>,
    /// What else is to be known.
    pub flags: Flags,
}

/// How a call ended. The numbers are on disk: they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum End {
    /// Whole.
    Complete = 1,
    /// The client left before the end.
    ClientLeft = 2,
    /// The provider's connection broke.
    UpstreamCut = 3,
    /// The provider said nothing for too long.
    UpstreamIdle = 4,
    /// A stream ended in good order but without its terminal event.
    Unfinished = 5,
    /// Every target failed, or this attempt did.
    Failed = 6,
    /// We cut it: a budget was used up.
    Cut = 7,
    /// The process died, or the call was dropped, before anything else was known.
    Interrupted = 8,
}

impl End {
    /// Every end.
    pub const ALL: [Self; 8] = [
        Self::Complete,
        Self::ClientLeft,
        Self::UpstreamCut,
        Self::UpstreamIdle,
        Self::Unfinished,
        Self::Failed,
        Self::Cut,
        Self::Interrupted,
    ];

    /// Read back from its number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|end| *end as u8 == number)
    }

    /// As written in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientLeft => "client_left",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamIdle => "upstream_idle",
            Self::Unfinished => "unfinished",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Facts that are true or not. The bits are on disk: they never change their meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// The provider sent no usage: tokens and cost are our estimate.
    pub const ESTIMATED: Self = Self(1);
    /// The call's end was never seen; the cost is the last that was known.
    pub const INTERRUPTED: Self = Self(1 << 1);
    /// Something of it has no price.
    pub const UNPRICED: Self = Self(1 << 2);
    /// A budget cut it off.
    pub const CUT_BY_BUDGET: Self = Self(1 << 3);
    /// An attempt that failed: recorded, and not charged to the key.
    pub const FAILED_ATTEMPT: Self = Self(1 << 4);
    /// Answered without a provider: what it cost was saved.
    pub const CACHED: Self = Self(1 << 5);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has all of these.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// `flag` if `is`, else none.
    #[must_use]
    pub const fn when(is: bool, flag: Self) -> Self {
        if is { flag } else { Self(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_survive_their_number_and_numbers_are_fixed() {
        for end in End::ALL {
            assert_eq!(End::from_number(end as u8), Some(end));
        }
        assert_eq!([0, 9, 255].map(End::from_number), [None; 3]);
        assert_eq!(End::ALL.map(|end| end as u8), [1, 2, 3, 4, 5, 6, 7, 8], "what is on disk keeps its meaning");
    }

    #[test]
    fn flags_add_up() {
        let both = Flags::ESTIMATED.and(Flags::CUT_BY_BUDGET);
        assert!(both.has(Flags::ESTIMATED) && both.has(both) && !both.has(Flags::UNPRICED));
        assert!(!Flags::ESTIMATED.has(both));
        assert_eq!(Flags::when(false, both), Flags::default());
    }
}

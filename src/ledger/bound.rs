//! What one call may take of one thing, money or tokens: what is known before anything is.
//!
//! Pure numbers. Invariant: `mean <= usual <= rare <= ceiling` is not needed by whoever reads one, but that the ceiling is one
//! is: with it, and only with it, `strict` never overshoots.

/// See the module. In pico-dollars, or in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// What such calls take on average.
    pub mean: u64,
    /// What nearly all such calls take at most: held while the call is under way.
    pub usual: u64,
    /// What hardly any takes more of: must be free when it begins.
    pub rare: u64,
    /// What it cannot pass.
    pub ceiling: u64,
    /// Whether the first three come from such calls, and not from a rule of thumb.
    pub learnt: bool,
}

impl Bound {
    /// Known beforehand.
    #[must_use]
    pub const fn exact(amount: u64) -> Self {
        Self { mean: amount, usual: amount, rare: amount, ceiling: amount, learnt: true }
    }

    /// Nothing is known but what it cannot pass, and what is thought usual.
    #[must_use]
    pub const fn guess(usual: u64, ceiling: u64) -> Self {
        let usual = if usual < ceiling { usual } else { ceiling };
        Self { mean: usual, usual, rare: ceiling, ceiling, learnt: false }
    }

    /// One call's input and output together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            mean: self.mean.saturating_add(other.mean),
            usual: self.usual.saturating_add(other.usual),
            rare: self.rare.saturating_add(other.rare),
            ceiling: self.ceiling.saturating_add(other.ceiling),
            learnt: self.learnt && other.learnt,
        }
    }

    /// How much must be free for it in a learned cap of this size.
    ///
    /// Its rare case; but at least [`FLOOR`], for the calls under way may need it, and at most [`GATE`] of the cap, for else a
    /// small cap would be of no use.
    #[must_use]
    pub(super) fn gate(self, cap: u64) -> u64 {
        self.rare.max(part(cap, FLOOR)).min(part(cap, GATE)).max(self.usual)
    }
}

/// The part of a learned cap that is left free for the surprises of calls under way, in percent, as long as their ceilings
/// do not all fit.
const FLOOR: u64 = 4;
/// The part of a learned cap that may at most be asked to be free, in percent.
const GATE: u64 = 5;

/// So many percent, rounded down.
pub(super) const fn part(of: u64, percent: u64) -> u64 {
    of / 100 * percent + of % 100 * percent / 100
}

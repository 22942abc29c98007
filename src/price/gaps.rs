//! What could not be priced.
//!
//! Invariant: a set of facts in one word, so that it costs nothing to carry into a usage record; its text is a closed set of
//! names, so it may be a label.

use std::fmt;

use super::kind::{Kind, Tool};

/// What of an answer had no price of its own. Empty: the cost is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Gaps(u32);

impl Gaps {
    /// Everything had a price.
    pub const NONE: Self = Self(0);
    /// No price is known for the model, so the cost is nothing: which is not what it cost.
    pub const MODEL: Self = Self(1 << 31);
    /// The answer says a price class that the list does not have; counted as the standard one.
    pub const SERVICE: Self = Self(1 << 30);
    /// The answer says that it was made faster, and the list does not say what that costs; counted as usual.
    pub const FAST: Self = Self(1 << 29);
    /// The answer says that it was made in the US, and the list does not say what that costs; counted as usual.
    pub const US: Self = Self(1 << 28);
    /// The cost is more than the largest amount, and counted as that.
    pub const OVERFLOW: Self = Self(1 << 27);

    /// Tokens of that kind; counted as input or output.
    #[must_use]
    pub const fn kind(kind: Kind) -> Self {
        Self(1 << kind as u32)
    }

    /// Uses of that tool; not counted.
    #[must_use]
    pub const fn tool(tool: Tool) -> Self {
        Self(1 << (Kind::ALL.len() as u32 + tool as u32))
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether everything had a price.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// As a number, to be stored; its meaning stays what it is.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// What was stored.
    #[must_use]
    pub const fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// What is in it, by name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let kinds = Kind::ALL.into_iter().map(|kind| (Self::kind(kind), kind.name()));
        let tools = Tool::ALL.into_iter().map(|tool| (Self::tool(tool), tool.name()));
        let others = [
            (Self::MODEL, "model"),
            (Self::SERVICE, "service_tier"),
            (Self::FAST, "fast"),
            (Self::US, "us"),
            (Self::OVERFLOW, "overflow"),
        ];
        kinds.chain(tools).chain(others).filter(move |(gap, _)| self.has(*gap)).map(|(_, name)| name)
    }
}

/// `web_search, service_tier`; nothing where there is none.
impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            f.write_str(if i > 0 { ", " } else { "" })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

//! Tokens, in one normal form for every dialect.
//!
//! Invariant: the kinds do not overlap, so a price per kind adds up. `input` excludes what was read from or written to a
//! prompt cache; `output` includes reasoning, and `reasoning` says how much of it that was.

/// Tokens of one answer, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input neither read from nor written to a cache.
    pub input: u64,
    /// Input read from a prompt cache.
    pub cache_read: u64,
    /// Input written to a prompt cache for five minutes, or for a time that the provider does not name.
    pub cache_write: u64,
    /// Input written to a prompt cache for an hour.
    pub cache_write_1h: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
}

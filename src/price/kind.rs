//! What has a price: kinds of tokens, uses of server tools; and the factors on prices.
//!
//! Invariant: a price per token is a whole number of pico-dollars, which is a millionth of a dollar per million tokens: the
//! finest step that price lists have. Which price applies is not decided here.

use std::fmt;
use std::ops::{Index, IndexMut};

use crate::money::Pico;
use crate::protocol::usage::Usage;

/// A kind of token with a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Input that no cache knew, without sound.
    Input,
    /// Input from a prompt cache.
    CacheRead,
    /// Input to a prompt cache, for the vendor's shortest time.
    CacheWrite,
    /// Input to a prompt cache, for an hour.
    CacheWrite1h,
    /// Input to a prompt cache, for twelve hours.
    CacheWrite12h,
    /// Output that is none of the others.
    Output,
    /// Hidden thought.
    Reasoning,
    /// Sound that went in.
    AudioInput,
    /// Sound that came out.
    AudioOutput,
    /// Images that came out.
    ImageOutput,
}

impl Kind {
    /// All, in the order in which prices are kept and shown.
    pub const ALL: [Self; 10] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::CacheWrite12h,
        Self::Output,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ImageOutput,
    ];

    /// As the table, the configuration and the command line spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::CacheWrite1h => "cache_write_1h",
            Self::CacheWrite12h => "cache_write_12h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::ImageOutput => "image_output",
        }
    }

    /// Whether it goes in.
    #[must_use]
    pub const fn is_input(self) -> bool {
        !matches!(self, Self::Output | Self::Reasoning | Self::AudioOutput | Self::ImageOutput)
    }

    /// Whether it is written to a cache.
    #[must_use]
    pub const fn is_cache_write(self) -> bool {
        matches!(self, Self::CacheWrite | Self::CacheWrite1h | Self::CacheWrite12h)
    }

    /// The kind that it is a variety of: input or output.
    #[must_use]
    pub const fn whole(self) -> Self {
        if self.is_input() { Self::Input } else { Self::Output }
    }

    /// How many tokens of each kind an answer took, none of them counted twice.
    #[must_use]
    pub const fn counts(usage: &Usage) -> [u64; Self::ALL.len()] {
        // Readers of usage keep parts within their wholes; a record from elsewhere may not.
        let varieties = usage.reasoning.saturating_add(usage.audio_output).saturating_add(usage.image_output);
        [
            usage.input.saturating_sub(usage.audio_input),
            usage.cache_read,
            usage.cache_write,
            usage.cache_write_1h,
            usage.cache_write_12h,
            usage.output.saturating_sub(varieties),
            usage.reasoning,
            usage.audio_input,
            usage.audio_output,
            usage.image_output,
        ]
    }
}

/// What a price list says of each kind, in pico-dollars per token; `None` where it is silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prices([Option<u64>; Kind::ALL.len()]);

impl Prices {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Reads a price per million tokens. `None` if it is finer than a millionth of a dollar.
    #[must_use]
    pub const fn per_token(per_million: Pico) -> Option<u64> {
        if per_million.pico().is_multiple_of(1_000_000) { Some(per_million.pico() / 1_000_000) } else { None }
    }
}

impl Index<Kind> for Prices {
    type Output = Option<u64>;

    fn index(&self, kind: Kind) -> &Option<u64> {
        &self.0[kind as usize]
    }
}

impl IndexMut<Kind> for Prices {
    fn index_mut(&mut self, kind: Kind) -> &mut Option<u64> {
        &mut self.0[kind as usize]
    }
}

/// A factor on prices, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// Above the line.
    pub times: u64,
    /// Below it; never zero.
    pub over: u64,
}

impl Ratio {
    /// No change.
    pub const ONE: Self = Self { times: 1, over: 1 };

    /// Reads `1.1`: at most six decimals, above zero and at most 1,000.
    #[must_use]
    pub fn of(written: Pico) -> Option<Self> {
        let (mut times, mut over) = (Prices::per_token(written)?, 1_000_000);
        if times == 0 || times > 1000 * over {
            return None;
        }
        while over > 1 && times % 10 == 0 {
            (times, over) = (times / 10, over / 10);
        }
        Some(Self { times, over })
    }
}

/// As it was written: `1.1`, `2`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.times / self.over, self.times % self.over);
        let digits = self.over.ilog10() as usize;
        if rest == 0 { write!(f, "{whole}") } else { write!(f, "{whole}.{rest:0digits$}") }
    }
}

/// Something that a provider does for a model, and bills by use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    /// Searches in the web.
    WebSearch,
    /// Fetches pages.
    WebFetch,
    /// Searches on a map.
    MapSearch,
    /// Searches in stored files.
    FileSearch,
    /// Runs code.
    CodeExecution,
    /// Makes images.
    ImageGeneration,
    /// None of these: no list has a price for it, only an operator.
    Other,
}

impl Tool {
    /// All, in the order of [`Tools`].
    pub const ALL: [Self; 7] = [
        Self::WebSearch,
        Self::WebFetch,
        Self::MapSearch,
        Self::FileSearch,
        Self::CodeExecution,
        Self::ImageGeneration,
        Self::Other,
    ];

    /// As the table, the configuration and the command line spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSearch => "web_search",
            Self::WebFetch => "web_fetch",
            Self::MapSearch => "map_search",
            Self::FileSearch => "file_search",
            Self::CodeExecution => "code_execution",
            Self::ImageGeneration => "image_generation",
            Self::Other => "other_tools",
        }
    }

    /// How often an answer used each.
    #[must_use]
    pub const fn counts(usage: &Usage) -> [u32; Self::ALL.len()] {
        [
            usage.web_search,
            usage.web_fetch,
            usage.map_search,
            usage.file_search,
            usage.code_execution,
            usage.image_generation,
            usage.other_tools,
        ]
    }
}

/// What a tool costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolPrice {
    /// So much.
    pub each: Pico,
    /// Once for an answer that used it, however often; otherwise for each use.
    pub once: bool,
}

/// What each tool costs; `None` where no price is known, which is not the same as free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tools([Option<ToolPrice>; Tool::ALL.len()]);

impl Tools {
    /// Where this is silent, what `other` says.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.or(theirs);
        }
        self
    }

    /// Whether no tool has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

impl Index<Tool> for Tools {
    type Output = Option<ToolPrice>;

    fn index(&self, tool: Tool) -> &Option<ToolPrice> {
        &self.0[tool as usize]
    }
}

impl IndexMut<Tool> for Tools {
    fn index_mut(&mut self, tool: Tool) -> &mut Option<ToolPrice> {
        &mut self.0[tool as usize]
    }
}

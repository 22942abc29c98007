//! What a request says that changes what its answer may cost, beside its length: the tools that the provider runs, the price
//! class, images and files.
//!
//! Invariant: a few integers, so that a call carries them for nothing. A tool whose type is not known is one that nobody has
//! a price for; only those that the client runs are none.

use crate::protocol::usage::{Tier, Usage};

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Tools that the provider runs.
    pub tools: Hosted,
    /// The service tier asked for.
    pub tier: Tier,
    /// Anthropic's `speed`, other than the usual.
    pub fast: bool,
    /// Anthropic's `inference_geo`: whether it says the US; `None` where it says nothing, and the account's own place holds.
    pub us: Option<bool>,
    /// It holds or names something that is no text, whose tokens its bytes do not bound: an image, a file, sound.
    pub media: bool,
}

/// Tools that the provider runs, and how often at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hosted {
    kinds: u8,
    /// The most that one of the tools says, of those that say it.
    said: u32,
    /// Of those with a price, so many do not say how often they may be used.
    open: i32,
    /// What all together may be used at most (`max_tool_calls`).
    all: Option<u32>,
}

/// A kind of tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosting {
    WebSearch,
    WebFetch,
    MapSearch,
    FileSearch,
    CodeExecution,
    ImageGeneration,
    Other,
    /// Costs nothing but tokens, which it brings into the prompt.
    Tokens,
}

impl Hosted {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.kinds == 0
    }

    /// So many uses of each at most; `unbounded`: where the request bounds none.
    #[must_use]
    pub fn usage(&self, unbounded: u32) -> Usage {
        let most = if self.open > 0 { unbounded.max(self.said) } else { self.said };
        let most = self.all.map_or(most, |all| all.min(most));
        let of = |kind: Hosting| if self.kinds >> kind as u32 & 1 == 0 { 0 } else { most };
        Usage {
            web_search: of(Hosting::WebSearch),
            web_fetch: of(Hosting::WebFetch),
            map_search: of(Hosting::MapSearch),
            file_search: of(Hosting::FileSearch),
            code_execution: of(Hosting::CodeExecution),
            image_generation: of(Hosting::ImageGeneration),
            other_tools: of(Hosting::Other),
            ..Usage::default()
        }
    }

    pub(super) fn add(&mut self, kind: Hosting) {
        self.kinds |= 1 << kind as u8;
        self.open = self.open.saturating_add(i32::from(kind != Hosting::Tokens));
    }

    /// One of the tools that were added says how often it may be used at most.
    pub(super) fn bound(&mut self, uses: u64) {
        self.said = self.said.max(u32::try_from(uses).unwrap_or(u32::MAX));
        self.open = self.open.saturating_sub(1);
    }

    /// Both together.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            kinds: self.kinds | other.kinds,
            said: self.said.max(other.said),
            open: self.open.saturating_add(other.open),
            all: self.all.or(other.all),
        }
    }

    pub(super) fn bound_all(&mut self, calls: Option<u64>) {
        self.all = calls.map(|calls| u32::try_from(calls).unwrap_or(u32::MAX));
    }
}

/// What `service_tier` asks for. `auto` leaves it to the account, as silence does.
pub(super) fn tier(raw: Option<&[u8]>) -> Tier {
    match raw {
        Some(b"null") => Tier::Unsaid,
        Some([b'"', name @ .., b'"']) => match std::str::from_utf8(name) {
            Ok("standard_only") => Tier::Standard,
            Ok(name) => Tier::from(name),
            Err(_) => Tier::Other,
        },
        _ => Tier::Other,
    }
}

/// An element of Anthropic's `tools` by its type, which ends with a date
/// (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview>).
pub(super) fn anthropic(kind: &[u8]) -> Option<Hosting> {
    const CLIENTS: [&[u8]; 7] =
        // The last one looks for tools that are in the request.
        [b"custom", b"bash_", b"text_editor_", b"memory_", b"computer_", b"browser_toolset_", b"tool_search_tool_"];
    match kind {
        _ if CLIENTS.iter().any(|client| kind.starts_with(client)) => None,
        b"mcp_toolset" => Some(Hosting::Tokens),
        _ if kind.starts_with(b"web_search_") => Some(Hosting::WebSearch),
        _ if kind.starts_with(b"web_fetch_") => Some(Hosting::WebFetch),
        _ if kind.starts_with(b"code_execution_") => Some(Hosting::CodeExecution),
        _ => Some(Hosting::Other),
    }
}

/// An element of OpenAI's `tools` by its type (<https://platform.openai.com/docs/api-reference/responses/create>), and of the
/// same in Chat, where some servers run tools of their own.
pub(super) fn openai(kind: &[u8]) -> Option<Hosting> {
    Some(match kind {
        b"function"
        | b"custom"
        | b"namespace"
        | b"local_shell"
        | b"apply_patch"
        | b"computer"
        | b"computer_use_preview"
        | b"computer-preview"
        | b"tool_search" => return None,
        b"mcp" | b"programmatic_tool_calling" => Hosting::Tokens,
        b"file_search" => Hosting::FileSearch,
        // A shell may run in a container of the provider's, which costs what one for code does.
        b"code_interpreter" | b"shell" => Hosting::CodeExecution,
        b"image_generation" => Hosting::ImageGeneration,
        _ if kind.starts_with(b"web_search") => Hosting::WebSearch,
        _ => Hosting::Other,
    })
}

/// A key of an element of Gemini's `tools` (<https://ai.google.dev/api/caching#Tool>), in both spellings. Pages, stored files and
/// code cost what their tokens cost (<https://ai.google.dev/gemini-api/docs/pricing>).
pub(super) fn gemini(key: &[u8]) -> Option<Hosting> {
    Some(match key {
        b"googleSearch"
        | b"google_search"
        | b"googleSearchRetrieval"
        | b"google_search_retrieval"
        | b"enterpriseWebSearch"
        | b"enterprise_web_search" => Hosting::WebSearch,
        b"googleMaps" | b"google_maps" => Hosting::MapSearch,
        b"urlContext" | b"url_context" | b"fileSearch" | b"file_search" | b"codeExecution" | b"code_execution"
        | b"mcpServers" | b"mcp_servers" => Hosting::Tokens,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

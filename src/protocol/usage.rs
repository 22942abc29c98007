//! Tokens, in one normal form for every dialect.
//!
//! Invariant: the kinds do not overlap, so a price per kind adds up. `input` excludes what was read from or written to a
//! prompt cache; `output` includes reasoning, and `reasoning` says how much of it that was.
//!
//! The readers take the usage object's bytes, know only the fields they act on, saturate, and never fail over one that is
//! missing, `null` or of another type: what cannot be read counts as absent. An object without any of its two main counts is
//! no usage at all (`None`): a zero is never made up. What a provider did not say is estimated elsewhere.

mod lenient;

#[cfg(test)]
mod tests;

use serde::Deserialize;

use lenient::{Count, Object};

/// What one answer used, by kind, and what it says of its price class.
///
/// The kinds of tokens add up: `input + cache_read + cache_write + cache_write_1h + cache_write_12h` is all that went in,
/// `output` all that came out. What is called a part is inside its whole, and never more than it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input neither read from nor written to a cache.
    pub input: u64,
    /// Input read from a prompt cache.
    pub cache_read: u64,
    /// Input written to a prompt cache for the provider's shortest time (Anthropic 5 minutes, OpenAI 30), or for one that it
    /// does not name.
    pub cache_write: u64,
    /// Input written to a prompt cache for an hour (Anthropic).
    pub cache_write_1h: u64,
    /// Input written to a prompt cache for twelve hours (OpenAI).
    pub cache_write_12h: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
    /// The part of `input` that was sound.
    pub audio_input: u64,
    /// The part of `output` that was sound.
    pub audio_output: u64,
    /// The part of `output` that was images.
    pub image_output: u64,
    /// Searches in the web (Gemini: queries, or one for a prompt grounded otherwise).
    pub web_search: u32,
    /// Pages fetched.
    pub web_fetch: u32,
    /// Searches on a map (Gemini).
    pub map_search: u32,
    /// Searches in stored files.
    pub file_search: u32,
    /// Runs of code at the provider.
    pub code_execution: u32,
    /// Images that a tool made.
    pub image_generation: u32,
    /// Uses of server tools that are none of these.
    pub other_tools: u32,
    /// The price class.
    pub tier: Tier,
    /// Anthropic's `speed: "fast"`.
    pub fast: bool,
    /// Anthropic's `inference_geo: "us"`.
    pub us: bool,
}

/// In which price class an answer was made, as it says itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Nothing said.
    #[default]
    Unsaid,
    /// What everybody gets.
    Standard,
    /// Later and cheaper.
    Batch,
    /// Cheaper, when there is room.
    Flex,
    /// Dearer, and sooner.
    Priority,
    /// One that we do not know.
    Other,
}

/// Anthropic's `usage`, as far as it is known: a stream tells it in pieces.
///
/// Source: <https://platform.claude.com/docs/en/api/messages> (`usage`) and
/// <https://platform.claude.com/docs/en/build-with-claude/streaming>: the counts in `message_delta` are cumulative.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct AnthropicUsage {
    input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Object<AnthropicCacheCreation>,
    output_tokens: Count,
    output_tokens_details: Object<AnthropicOutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct AnthropicCacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct AnthropicOutputDetails {
    thinking_tokens: Count,
}

impl AnthropicUsage {
    /// A later report: what it says replaces what was known, what it leaves out stays.
    pub fn update(&mut self, raw: &[u8]) {
        let Ok(later) = serde_json::from_slice::<Self>(raw) else { return };
        let creation = later.cache_creation.0;
        self.input_tokens.update(later.input_tokens);
        self.cache_read_input_tokens.update(later.cache_read_input_tokens);
        self.cache_creation_input_tokens.update(later.cache_creation_input_tokens);
        self.cache_creation.0.ephemeral_5m_input_tokens.update(creation.ephemeral_5m_input_tokens);
        self.cache_creation.0.ephemeral_1h_input_tokens.update(creation.ephemeral_1h_input_tokens);
        self.output_tokens.update(later.output_tokens);
        self.output_tokens_details.0.thinking_tokens.update(later.output_tokens_details.0.thinking_tokens);
    }

    /// In the normal form. Anthropic's `input_tokens` excludes both cache kinds, `output_tokens` includes thinking.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        if self.input_tokens.0.is_none() && self.output_tokens.0.is_none() {
            return None;
        }
        let creation = self.cache_creation.0;
        let short = creation.ephemeral_5m_input_tokens.or_zero();
        let hour = creation.ephemeral_1h_input_tokens.or_zero();
        // The total may be newer than the breakdown; the breakdown may be all there is.
        let written = self.cache_creation_input_tokens.0.unwrap_or_else(|| short.saturating_add(hour));
        let cache_write_1h = hour.min(written);
        let output = self.output_tokens.or_zero();
        Some(Usage {
            input: self.input_tokens.or_zero(),
            cache_read: self.cache_read_input_tokens.or_zero(),
            cache_write: written - cache_write_1h,
            cache_write_1h,
            output,
            reasoning: self.output_tokens_details.0.thinking_tokens.or_zero().min(output),
            ..Usage::default()
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ChatUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Object<InputDetails>,
    completion_tokens_details: Object<OutputDetails>,
    prompt_cache_hit_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponsesUsage {
    input_tokens: Count,
    output_tokens: Count,
    input_tokens_details: Object<InputDetails>,
    output_tokens_details: Object<OutputDetails>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GeminiUsage {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
}

impl Usage {
    /// From the `usage` of a Chat completion or chunk (<https://platform.openai.com/docs/api-reference/chat/object>).
    ///
    /// `prompt_tokens` includes what the cache gave and took. DeepSeek names the cached part `prompt_cache_hit_tokens`
    /// (<https://api-docs.deepseek.com/api/create-chat-completion>). xAI leaves reasoning out of `completion_tokens`: seen by
    /// its total, or by more reasoning than completion, which is impossible otherwise.
    #[must_use]
    pub fn of_chat(raw: &[u8]) -> Option<Self> {
        let read: ChatUsage = serde_json::from_slice(raw).ok()?;
        if read.prompt_tokens.0.is_none() && read.completion_tokens.0.is_none() {
            return None;
        }
        let prompt = read.prompt_tokens.or_zero();
        let completion = read.completion_tokens.or_zero();
        let reasoning = read.completion_tokens_details.0.reasoning_tokens.or_zero();
        let apart = prompt.saturating_add(completion).saturating_add(reasoning);
        let left_out = reasoning > completion || (reasoning > 0 && read.total_tokens.0 == Some(apart));
        let output = if left_out { completion.saturating_add(reasoning) } else { completion };
        let InputDetails { cached_tokens, cache_write_tokens } = read.prompt_tokens_details.0;
        let cached = cached_tokens.or_zero().max(read.prompt_cache_hit_tokens.or_zero());
        Some(Self::inclusive(prompt, cached, cache_write_tokens.or_zero(), output, reasoning))
    }

    /// From the `usage` of a Responses object (<https://platform.openai.com/docs/api-reference/responses/object>):
    /// `input_tokens` includes what the cache gave and took, `output_tokens` includes reasoning.
    #[must_use]
    pub fn of_responses(raw: &[u8]) -> Option<Self> {
        let read: ResponsesUsage = serde_json::from_slice(raw).ok()?;
        if read.input_tokens.0.is_none() && read.output_tokens.0.is_none() {
            return None;
        }
        let InputDetails { cached_tokens, cache_write_tokens } = read.input_tokens_details.0;
        let output = read.output_tokens.or_zero();
        let reasoning = read.output_tokens_details.0.reasoning_tokens.or_zero().min(output);
        Some(Self::inclusive(
            read.input_tokens.or_zero(),
            cached_tokens.or_zero(),
            cache_write_tokens.or_zero(),
            output,
            reasoning,
        ))
    }

    /// From Gemini's `usageMetadata` (<https://ai.google.dev/api/generate-content#UsageMetadata>): the prompt includes what
    /// the cache gave, the candidates exclude thoughts.
    #[must_use]
    pub fn of_gemini(raw: &[u8]) -> Option<Self> {
        let read: GeminiUsage = serde_json::from_slice(raw).ok()?;
        if read.prompt_token_count.0.is_none() && read.candidates_token_count.0.is_none() {
            return None;
        }
        let prompt = read.prompt_token_count.or_zero().saturating_add(read.tool_use_prompt_token_count.or_zero());
        let reasoning = read.thoughts_token_count.or_zero();
        let output = read.candidates_token_count.or_zero().saturating_add(reasoning);
        Some(Self::inclusive(prompt, read.cached_content_token_count.or_zero(), 0, output, reasoning))
    }

    /// `prompt` includes the cache kinds.
    fn inclusive(prompt: u64, cache_read: u64, cache_write: u64, output: u64, reasoning: u64) -> Self {
        let input = prompt.saturating_sub(cache_read).saturating_sub(cache_write);
        Self { input, cache_read, cache_write, output, reasoning, ..Self::default() }
    }
}

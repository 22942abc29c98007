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

use lenient::{Count, Modalities, Object, Word};

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

impl Usage {
    /// Counts uses of tools that were counted elsewhere than in the usage object; of two counts of one kind the larger one.
    pub fn add_uses(&mut self, uses: &Uses) {
        self.web_search = self.web_search.max(uses.web_search);
        self.map_search = self.map_search.max(uses.map_search);
        self.file_search = self.file_search.max(uses.file_search);
        self.code_execution = self.code_execution.max(uses.code_execution);
        self.image_generation = self.image_generation.max(uses.image_generation);
        self.other_tools = self.other_tools.max(uses.other_tools);
    }
}

/// Uses of server tools that an answer shows but does not add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// As in [`Usage`].
    pub web_search: u32,
    /// As in [`Usage`].
    pub map_search: u32,
    /// As in [`Usage`].
    pub file_search: u32,
    /// As in [`Usage`].
    pub code_execution: u32,
    /// As in [`Usage`].
    pub image_generation: u32,
    /// As in [`Usage`].
    pub other_tools: u32,
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

impl From<&str> for Tier {
    /// As OpenAI, Anthropic, Groq and Gemini (`trafficType` too) spell it; `auto` says what was asked, not what was served.
    fn from(name: &str) -> Self {
        match name {
            "auto" | "TRAFFIC_TYPE_UNSPECIFIED" => Self::Unsaid,
            "standard" | "default" | "on_demand" | "ON_DEMAND" | "STANDARD" => Self::Standard,
            "batch" | "BATCH" => Self::Batch,
            "flex" | "FLEX" | "ON_DEMAND_FLEX" => Self::Flex,
            "priority" | "PRIORITY" | "ON_DEMAND_PRIORITY" => Self::Priority,
            _ => Self::Other,
        }
    }
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
    server_tool_use: Object<ServerTools>,
    service_tier: Word<Tier>,
    speed: Word<Fast>,
    inference_geo: Word<InUs>,
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

/// Anthropic's, and OpenRouter's in Chat.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct ServerTools {
    web_search_requests: Count,
    web_fetch_requests: Count,
    code_execution_requests: Count,
}

#[derive(Debug, Clone, Copy, Default)]
struct Fast(bool);

impl From<&str> for Fast {
    fn from(speed: &str) -> Self {
        Self(speed == "fast")
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct InUs(bool);

impl From<&str> for InUs {
    fn from(place: &str) -> Self {
        Self(place == "us")
    }
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
        let (tools, later_tools) = (&mut self.server_tool_use.0, later.server_tool_use.0);
        tools.web_search_requests.update(later_tools.web_search_requests);
        tools.web_fetch_requests.update(later_tools.web_fetch_requests);
        tools.code_execution_requests.update(later_tools.code_execution_requests);
        self.service_tier.update(later.service_tier);
        self.speed.update(later.speed);
        self.inference_geo.update(later.inference_geo);
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
        let tools = self.server_tool_use.0;
        Some(Usage {
            input: self.input_tokens.or_zero(),
            cache_read: self.cache_read_input_tokens.or_zero(),
            cache_write: written - cache_write_1h,
            cache_write_1h,
            output,
            reasoning: self.output_tokens_details.0.thinking_tokens.or_zero().min(output),
            web_search: tools.web_search_requests.uses(),
            web_fetch: tools.web_fetch_requests.uses(),
            code_execution: tools.code_execution_requests.uses(),
            tier: self.service_tier.0.unwrap_or_default(),
            fast: self.speed.0.is_some_and(|speed| speed.0),
            us: self.inference_geo.0.is_some_and(|place| place.0),
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
    cached_tokens: Count,
    num_sources_used: Count,
    server_tool_use: Object<ServerTools>,
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
    cache_write_tokens_details: Object<OpenAiCacheWrites>,
    audio_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OpenAiCacheWrites {
    ttl_30m_tokens: Count,
    ttl_12h_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GeminiUsage {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    cached_content_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    prompt_tokens_details: Modalities,
    cache_tokens_details: Modalities,
    tool_use_prompt_tokens_details: Modalities,
    candidates_tokens_details: Modalities,
    traffic_type: Word<Tier>,
    service_tier: Word<Tier>,
}

/// Counts of which some include others: `prompt` what the cache gave and took, the details their whole.
#[derive(Default)]
struct Inclusive {
    prompt: u64,
    input: InputDetails,
    output: u64,
    reasoning: u64,
    details: OutputDetails,
}

impl Inclusive {
    fn usage(self) -> Usage {
        let Self { prompt, input: details, output, reasoning, details: made } = self;
        let cache_read = details.cached_tokens.or_zero();
        let OpenAiCacheWrites { ttl_30m_tokens: short, ttl_12h_tokens: long } = details.cache_write_tokens_details.0;
        // As with Anthropic: the breakdown may be all there is.
        let apart = short.or_zero().saturating_add(long.or_zero());
        let written = details.cache_write_tokens.0.unwrap_or(apart);
        let cache_write_12h = long.or_zero().min(written);
        let input = prompt.saturating_sub(cache_read).saturating_sub(written);
        let audio_output = made.audio_tokens.or_zero().min(output);
        Usage {
            input,
            cache_read,
            cache_write: written - cache_write_12h,
            cache_write_12h,
            output,
            reasoning,
            audio_input: details.audio_tokens.or_zero().min(input),
            audio_output,
            image_output: made.image_tokens.or_zero().min(output - audio_output),
            ..Usage::default()
        }
    }
}

impl Usage {
    /// From the `usage` of a Chat completion or chunk (<https://platform.openai.com/docs/api-reference/chat/object>).
    ///
    /// `prompt_tokens` includes what the cache gave and took. DeepSeek names the cached part `prompt_cache_hit_tokens`
    /// (<https://api-docs.deepseek.com/api/create-chat-completion>), Moonshot has it outside of the details
    /// (<https://platform.moonshot.ai/docs/api/chat>). xAI leaves reasoning out of `completion_tokens`: seen by its total, or
    /// by more reasoning than completion, which is impossible otherwise; it counts sources instead of searches
    /// (<https://docs.x.ai/docs/guides/live-search>).
    #[must_use]
    pub fn of_chat(raw: &[u8]) -> Option<Self> {
        let read: ChatUsage = serde_json::from_slice(raw).ok()?;
        if read.prompt_tokens.0.is_none() && read.completion_tokens.0.is_none() {
            return None;
        }
        let prompt = read.prompt_tokens.or_zero();
        let completion = read.completion_tokens.or_zero();
        let details = read.completion_tokens_details.0;
        let reasoning = details.reasoning_tokens.or_zero();
        let apart = prompt.saturating_add(completion).saturating_add(reasoning);
        let left_out = reasoning > completion || (reasoning > 0 && read.total_tokens.0 == Some(apart));
        let output = if left_out { completion.saturating_add(reasoning) } else { completion };
        let mut input = read.prompt_tokens_details.0;
        let elsewhere = read.prompt_cache_hit_tokens.0.max(read.cached_tokens.0);
        input.cached_tokens.0 = input.cached_tokens.0.max(elsewhere);
        let tools = read.server_tool_use.0;
        Some(Self {
            web_search: tools.web_search_requests.uses().max(read.num_sources_used.uses()),
            web_fetch: tools.web_fetch_requests.uses(),
            code_execution: tools.code_execution_requests.uses(),
            ..Inclusive { prompt, input, output, reasoning, details }.usage()
        })
    }

    /// From the `usage` of a Responses object (<https://platform.openai.com/docs/api-reference/responses/object>):
    /// `input_tokens` includes what the cache gave and took, `output_tokens` includes reasoning.
    #[must_use]
    pub fn of_responses(raw: &[u8]) -> Option<Self> {
        let read: ResponsesUsage = serde_json::from_slice(raw).ok()?;
        if read.input_tokens.0.is_none() && read.output_tokens.0.is_none() {
            return None;
        }
        let output = read.output_tokens.or_zero();
        let details = read.output_tokens_details.0;
        let reasoning = details.reasoning_tokens.or_zero().min(output);
        let prompt = read.input_tokens.or_zero();
        Some(Inclusive { prompt, input: read.input_tokens_details.0, output, reasoning, details }.usage())
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
        let heard = read.prompt_tokens_details.audio.saturating_add(read.tool_use_prompt_tokens_details.audio);
        let input = InputDetails {
            cached_tokens: read.cached_content_token_count,
            audio_tokens: Count(Some(heard.saturating_sub(read.cache_tokens_details.audio))),
            ..InputDetails::default()
        };
        let Modalities { audio, image } = read.candidates_tokens_details;
        let details = OutputDetails {
            audio_tokens: Count(Some(audio)),
            image_tokens: Count(Some(image)),
            ..OutputDetails::default()
        };
        let tier = read.traffic_type.0.or(read.service_tier.0).unwrap_or_default();
        Some(Self { tier, ..Inclusive { prompt, input, output, reasoning, details }.usage() })
    }
}

//! Tests of the usage readers: one row per thing that a provider does differently.

use proptest::prelude::*;

use super::*;

fn usage(
    input: u64,
    cache_read: u64,
    cache_write: u64,
    cache_write_1h: u64,
    output: u64,
    reasoning: u64,
) -> Option<Usage> {
    Some(Usage { input, cache_read, cache_write, cache_write_1h, output, reasoning, ..Usage::default() })
}

fn anthropic(reports: &[&str]) -> Option<Usage> {
    let mut known = AnthropicUsage::default();
    reports.iter().for_each(|report| known.update(report.as_bytes()));
    known.usage()
}

#[track_caller]
fn row(name: &str, got: impl Into<Option<Usage>>, want: Option<Usage>) {
    assert_eq!(got.into(), want, "{name}");
}

#[test]
fn anthropic_usage() {
    row("plain", anthropic(&[r#"{"input_tokens":10,"output_tokens":5}"#]), usage(10, 0, 0, 0, 5, 0));
    let full = r#"{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":300,"service_tier":"standard",
        "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":50,
        "output_tokens_details":{"thinking_tokens":40},"server_tool_use":{"web_search_requests":1}}"#;
    let standard = |web_search| Usage { web_search, tier: Tier::Standard, ..usage(10, 300, 20, 10, 50, 40).unwrap() };
    row("everything", anthropic(&[full]), Some(standard(1)));
    let tools = r#"{"server_tool_use":{"web_search_requests":3,"web_fetch_requests":2,"code_execution_requests":1}}"#;
    let want = Usage { web_fetch: 2, code_execution: 1, ..standard(3) };
    row("server tools, cumulatively", anthropic(&[full, tools, r#"{"output_tokens":50}"#]), Some(want));
    let classes = r#"{"input_tokens":1,"output_tokens":2,"service_tier":"batch","speed":"fast","inference_geo":"us"}"#;
    let want = Usage { tier: Tier::Batch, fast: true, us: true, ..usage(1, 0, 0, 0, 2, 0).unwrap() };
    row("dearer, cheaper", anthropic(&[classes, r#"{"service_tier":null,"speed":7}"#]), Some(want));
    let classes =
        r#"{"input_tokens":1,"output_tokens":2,"service_tier":"golden","speed":"standard","inference_geo":"not_us"}"#;
    row("unknown", anthropic(&[classes]), Some(Usage { tier: Tier::Other, ..usage(1, 0, 0, 0, 2, 0).unwrap() }));
    let start = r#"{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":300,"output_tokens":1,
        "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10}}"#;
    row("the start alone", anthropic(&[start]), usage(10, 300, 20, 10, 1, 0));
    row("the delta adds the output", anthropic(&[start, r#"{"output_tokens":40}"#]), usage(10, 300, 20, 10, 40, 0));
    let later =
        r#"{"input_tokens":25,"cache_creation_input_tokens":35,"cache_read_input_tokens":310,"output_tokens":44}"#;
    row(
        "the delta replaces, cumulatively",
        anthropic(&[start, r#"{"output_tokens":9}"#, later]),
        usage(25, 310, 25, 10, 44, 0),
    );
    row(
        "null is not said",
        anthropic(&[start, r#"{"input_tokens":null,"output_tokens":7}"#]),
        usage(10, 300, 20, 10, 7, 0),
    );
    let split = r#"{"input_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":8}}"#;
    row("the breakdown is all there is", anthropic(&[split]), usage(1, 0, 0, 8, 0, 0));
    let odd = r#"{"input_tokens":1,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":8}}"#;
    row("the breakdown exceeds the total", anthropic(&[odd]), usage(1, 0, 0, 5, 0, 0));
    row("none", anthropic(&["{}", "null", "[]", "", "{", r#"{"cache_read_input_tokens":5}"#]), None);
}

#[test]
fn chat_usage() {
    let chat = |raw: &str| Usage::of_chat(raw.as_bytes());
    row("plain", chat(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#), usage(10, 0, 0, 0, 5, 0));
    let full = r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
        "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10,"audio_tokens":0},
        "completion_tokens_details":{"reasoning_tokens":40,"accepted_prediction_tokens":0}}"#;
    row("everything", chat(full), usage(30, 60, 10, 0, 50, 40));
    let sound = r#"{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":90,"audio_tokens":40,"image_tokens":3},
        "completion_tokens_details":{"audio_tokens":30,"image_tokens":40}}"#;
    let parts = Usage { audio_input: 10, audio_output: 30, image_output: 20, ..usage(10, 90, 0, 0, 50, 0).unwrap() };
    row("parts are never more than their whole", chat(sound), Some(parts));
    let moonshot = r#"{"prompt_tokens":100,"completion_tokens":5,"cached_tokens":64}"#;
    row("moonshot", chat(moonshot), usage(36, 64, 0, 0, 5, 0));
    let sources = r#"{"prompt_tokens":1,"completion_tokens":5,"num_sources_used":4}"#;
    row("xai, sources", chat(sources), Some(Usage { web_search: 4, ..usage(1, 0, 0, 0, 5, 0).unwrap() }));
    let openrouter =
        r#"{"prompt_tokens":1,"completion_tokens":5,"server_tool_use":{"web_search_requests":99999999999}}"#;
    row("openrouter", chat(openrouter), Some(Usage { web_search: u32::MAX, ..usage(1, 0, 0, 0, 5, 0).unwrap() }));
    row("embeddings", chat(r#"{"prompt_tokens":8,"total_tokens":8}"#), usage(8, 0, 0, 0, 0, 0));
    let deepseek =
        r#"{"prompt_tokens":100,"completion_tokens":5,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}"#;
    row("deepseek", chat(deepseek), usage(36, 64, 0, 0, 5, 0));
    let both = r#"{"prompt_tokens":100,"completion_tokens":5,"prompt_cache_hit_tokens":64,"prompt_tokens_details":{"cached_tokens":64}}"#;
    row("deepseek, said twice", chat(both), usage(36, 64, 0, 0, 5, 0));
    let xai = r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}"#;
    row("xai", chat(xai), usage(32, 0, 0, 0, 103, 94));
    let xai = r#"{"prompt_tokens":32,"completion_tokens":100,"total_tokens":226,"completion_tokens_details":{"reasoning_tokens":94}}"#;
    row("xai, long answer", chat(xai), usage(32, 0, 0, 0, 194, 94));
    let xai = r#"{"prompt_tokens":32,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":94}}"#;
    row("xai, no total", chat(xai), usage(32, 0, 0, 0, 103, 94));
    let over = r#"{"prompt_tokens":10,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":12}}"#;
    row("more cached than prompt", chat(over), usage(0, 12, 0, 0, 0, 0));
    let odd =
        r#"{"prompt_tokens":12.0,"completion_tokens":-3,"prompt_tokens_details":"x","completion_tokens_details":null}"#;
    row("odd types", chat(odd), usage(12, 0, 0, 0, 0, 0));
    let odd = r#"{"prompt_tokens":"12","completion_tokens":3,"prompt_tokens_details":[1],"completion_tokens_details":{"reasoning_tokens":{"a":[]}}}"#;
    row("odder types", chat(odd), usage(0, 0, 0, 0, 3, 0));
    let huge = r#"{"prompt_tokens":1e300,"completion_tokens":18446744073709551615,"completion_tokens_details":{"reasoning_tokens":18446744073709551615}}"#;
    row("huge", chat(huge), usage(u64::MAX, 0, 0, 0, u64::MAX, u64::MAX));
    row("none", chat("{}"), None);
    row("null", chat("null"), None);
    row("another dialect", chat(r#"{"input_tokens":3}"#), None);
}

#[test]
fn responses_usage() {
    let responses = |raw: &str| Usage::of_responses(raw.as_bytes());
    let full = r#"{"input_tokens":1000,"input_tokens_details":{"cached_tokens":300,"cache_write_tokens":100},"output_tokens":40,
        "output_tokens_details":{"reasoning_tokens":30},"total_tokens":1040}"#;
    row("everything", responses(full), usage(600, 300, 100, 0, 40, 30));
    let split = r#"{"input_tokens":100,"output_tokens":1,"input_tokens_details":{"cached_tokens":10,"cache_write_tokens":50,
        "cache_write_tokens_details":{"ttl_30m_tokens":20,"ttl_12h_tokens":30}}}"#;
    row("writes", responses(split), Some(Usage { cache_write_12h: 30, ..usage(40, 10, 20, 0, 1, 0).unwrap() }));
    let split = r#"{"input_tokens":100,"output_tokens":1,"input_tokens_details":{
        "cache_write_tokens_details":{"ttl_30m_tokens":20,"ttl_12h_tokens":30}}}"#;
    row(
        "no total of writes",
        responses(split),
        Some(Usage { cache_write_12h: 30, ..usage(50, 0, 20, 0, 1, 0).unwrap() }),
    );
    row("bare", responses(r#"{"input_tokens":1,"output_tokens":2}"#), usage(1, 0, 0, 0, 2, 0));
    let odd = r#"{"output_tokens":2,"output_tokens_details":{"reasoning_tokens":3}}"#;
    row("more reasoning than output", responses(odd), usage(0, 0, 0, 0, 2, 2));
    row("none", responses(r#"{"total_tokens":3}"#), None);
}

#[test]
fn gemini_usage() {
    let gemini = |raw: &str| Usage::of_gemini(raw.as_bytes());
    let full = r#"{"promptTokenCount":1000,"cachedContentTokenCount":300,"candidatesTokenCount":40,"thoughtsTokenCount":60,
        "toolUsePromptTokenCount":50,"totalTokenCount":1150,"promptTokensDetails":[{"modality":"TEXT","tokenCount":1000}]}"#;
    row("everything", gemini(full), usage(750, 300, 0, 0, 100, 60));
    let kinds = r#"{"promptTokenCount":100,"cachedContentTokenCount":30,"candidatesTokenCount":40,"thoughtsTokenCount":5,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":40},{"modality":"AUDIO","tokenCount":50},7,{"tokenCount":1}],
        "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":20}],"toolUsePromptTokensDetails":null,
        "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":11},{"modality":"IMAGE","tokenCount":12}],"trafficType":"ON_DEMAND_FLEX"}"#;
    let want = Usage {
        audio_input: 30,
        audio_output: 11,
        image_output: 12,
        tier: Tier::Flex,
        ..usage(70, 30, 0, 0, 45, 5).unwrap()
    };
    row("modalities", gemini(kinds), Some(want));
    let class = r#"{"promptTokenCount":7,"serviceTier":"priority"}"#;
    row("class", gemini(class), Some(Usage { tier: Tier::Priority, ..usage(7, 0, 0, 0, 0, 0).unwrap() }));
    row("thinking so far", gemini(r#"{"promptTokenCount":7,"thoughtsTokenCount":9}"#), usage(7, 0, 0, 0, 9, 9));
    row("a blocked prompt", gemini(r#"{"promptTokenCount":7,"totalTokenCount":7}"#), usage(7, 0, 0, 0, 0, 0));
    row("none", gemini(r#"{"totalTokenCount":7}"#), None);
}

proptest! {
    #[test]
    fn kinds_add_up_to_what_was_said(prompt in any::<u64>(), completion in 0u64..1 << 40, cached in any::<u64>(), reasoning in 0u64..1 << 40) {
        let details = format!(r#""prompt_tokens_details":{{"cached_tokens":{cached}}},"completion_tokens_details":{{"reasoning_tokens":{reasoning}}}"#);
        let raw = format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},{details}}}"#);
        let usage = Usage::of_chat(raw.as_bytes()).unwrap();
        prop_assert_eq!(usage.input.saturating_add(usage.cache_read), prompt.max(cached));
        prop_assert!(usage.reasoning <= usage.output);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(raw in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(Usage::of_chat(&raw), None);
        prop_assert_eq!(Usage::of_responses(&raw), None);
        prop_assert_eq!(Usage::of_gemini(&raw), None);
        let mut known = AnthropicUsage::default();
        known.update(&raw);
        prop_assert_eq!(known.usage(), None);
    }
}

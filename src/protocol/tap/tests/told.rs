//! Tests of what a tap says was used: tools and price classes beside the tokens, and estimates where nothing is told.

use super::*;
use crate::protocol::usage::Tier;

/// Every part of it once in one piece, and at every border.
#[track_caller]
fn json_usage(dialect: Dialect, text: &str, things: bool) -> Option<Usage> {
    let tap = || {
        let mut tap = Tap::json(dialect);
        if things {
            tap.find_things();
        }
        tap
    };
    let total = run(tap(), &[text.as_bytes()]);
    for at in 1..text.len() {
        let (before, after) = text.as_bytes().split_at(at);
        assert_eq!(run(tap(), &[before, after]), total, "split at {at}");
    }
    total.usage
}

const ITEMS: &str = r#"[{"id":"ws_1","type":"web_search_call","action":{"type":"search","query":"x"}},
    {"type":"web_search_call","action":{"url":"x","type":"open_page"}},{"type":"web_search_call"},
    {"type":"reasoning","summary":[{"type":"web_search_call"}]},{"type":"code_interpreter_call","outputs":[]},
    {"arguments":"{\"type\":\"web_search_call\"}","type":"function_call"},{"type":"image_generation_call"},
    {"type":"message","content":[{"type":"output_text","text":"\"type\":\"web_search_call\""}]},{"type":"file_search_call"}]"#;

fn with_items() -> Option<Usage> {
    let uses = Usage { web_search: 2, code_execution: 1, image_generation: 1, file_search: 1, ..Usage::default() };
    Some(Usage { input: 5, output: 6, tier: Tier::Flex, ..uses })
}

#[test]
fn server_tools_of_responses() {
    let response = format!(
        r#"{{"id":"r","service_tier":"flex","output":{ITEMS},"tools":[{{"type":"web_search_call"}}],"usage":{{"input_tokens":5,"output_tokens":6}}}}"#
    );
    assert_eq!(json_usage(Dialect::Responses, &response, false), with_items());
    assert_eq!(json_usage(Dialect::Responses, &response, true), with_items());
    let flat = |text: &str| text.replace('\n', " ");
    let items: Vec<serde_json::Value> = serde_json::from_str(ITEMS).unwrap();
    let done: Vec<String> = items
        .iter()
        .map(|item| {
            let event = serde_json::json!({ "type": "response.output_item.done", "item": item });
            format!("event: response.output_item.done\ndata: {event}\n\n")
        })
        .collect();
    let end = |response: &str, kind: &str| {
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"response\":{}}}\n\n", flat(response))
    };
    let told = |last: String| {
        let events: Vec<&str> = done.iter().map(String::as_str).chain([&*last]).collect();
        stream(Dialect::Responses, &events).2.usage
    };
    assert_eq!(told(end(&response, "response.completed")), with_items(), "told twice, counted once");
    let empty = response.replace(ITEMS, "[]");
    assert_eq!(told(end(&empty, "response.incomplete")), with_items(), "the end lists nothing");
    assert_eq!(stream(Dialect::Responses, &[&end(&response, "response.failed")]).2.usage, with_items(), "only the end");
}

#[test]
fn the_price_class_of_chat() {
    let answer =
        |tier: &str| format!(r#"{{"service_tier":{tier},"usage":{{"prompt_tokens":5,"completion_tokens":6}}}}"#);
    let of = |tier: &str| json_usage(Dialect::Chat, &answer(tier), false).unwrap().tier;
    assert_eq!(of("\"default\""), Tier::Standard);
    assert_eq!(of("\"priority\""), Tier::Priority);
    assert_eq!(of("\"scale\""), Tier::Other);
    assert_eq!(of("null"), Tier::Unsaid);
    let chunk =
        "data: {\"choices\":[],\"service_tier\":\"flex\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}\n\n";
    assert_eq!(stream(Dialect::Chat, &[ROLE, chunk]).2.usage.unwrap().tier, Tier::Flex);
}

#[test]
fn what_is_not_told_is_estimated_and_what_is_told_is_not() {
    let used = |dialect, events: &[&str], asked| {
        let mut tap = Tap::stream(dialect);
        events.iter().for_each(|event| {
            tap.feed(event.as_bytes());
        });
        tap.used(asked)
    };
    let told = |usage: Option<Usage>| usage.map(|usage| Used { usage, estimated: false });
    assert_eq!(used(Dialect::Anthropic, &ANTHROPIC, 4000), told(usage(10, 300, 9, 0)), "all is told");
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"one two three four \"}}\n\n";
    let signature = format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"signature_delta\",\"signature\":\"{}\"}}}}\n\n",
        "Eq".repeat(900)
    );
    let cut = used(Dialect::Anthropic, &[ANTHROPIC[0], ANTHROPIC[2], delta, delta, &signature], 4000).unwrap();
    assert!(cut.estimated);
    assert_eq!((cut.usage.input, cut.usage.cache_read), (10, 300), "the input was told");
    assert!((7..=9).contains(&cut.usage.output), "{cut:?}");

    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two three four \"},\"finish_reason\":null}]}\n\n";
    let last = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";
    assert_eq!(used(Dialect::Chat, &[ROLE, text, last], 4000), told(usage(9, 0, 2, 0)));
    let silent = used(Dialect::Chat, &[ROLE, text, text, text], 4000).unwrap();
    assert!(silent.estimated && (10..=14).contains(&silent.usage.output), "{silent:?}");
    assert_eq!(silent.usage.input, 1000);
    assert_eq!(used(Dialect::Chat, &["data: {\"error\":{\"code\":502}}\n\n"], 4000), None, "nobody pays for that");

    let done = "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"web_search_call\"}}\n\n";
    let searched = used(Dialect::Responses, &[done], 40).unwrap();
    assert_eq!((searched.estimated, searched.usage.web_search), (true, 1), "a search is paid, whatever comes then");

    let mut tap = Tap::json(Dialect::Gemini);
    tap.feed(&[b'x'; 400]);
    let json = tap.used(0).unwrap();
    assert_eq!((json.estimated, json.usage.output), (true, 100));
    assert_eq!(Tap::blind().used(4000), None);
}

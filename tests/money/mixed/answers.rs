//! The answers of the provider: bodies and streams as the four APIs have them, with all that a case used.

use std::time::Duration;

use serde_json::{Value, json};

use super::bill::{Tier, Used};
use super::{Case, Dialect, Fate};
use crate::Dice;
use crate::provider::{End, Reply};

/// A text whose tokens are known: what it is, itself, and the count of `o200k_base`.
const SAMPLES: &[(&str, &str, u64)] = &[
    ("tool arguments", include_str!("../../../src/protocol/estimate/samples/arguments.txt"), 178),
    ("chinese", include_str!("../../../src/protocol/estimate/samples/chinese.txt"), 87),
    ("english", include_str!("../../../src/protocol/estimate/samples/english.txt"), 132),
    ("german", include_str!("../../../src/protocol/estimate/samples/german.txt"), 108),
    ("markdown", include_str!("../../../src/protocol/estimate/samples/markdown.txt"), 151),
    ("python", include_str!("../../../src/protocol/estimate/samples/python.txt"), 200),
    ("rust", include_str!("../../../src/protocol/estimate/samples/rust.txt"), 187),
    ("a shell's output", include_str!("../../../src/protocol/estimate/samples/shell.txt"), 174),
    ("typescript", include_str!("../../../src/protocol/estimate/samples/typescript.txt"), 142),
];

/// See [`SAMPLES`].
#[derive(Debug, Clone)]
pub struct Text {
    pub name: &'static str,
    pub text: String,
    pub tokens: u64,
}

impl Text {
    /// One of them, some times over.
    pub fn roll(dice: &mut Dice) -> Self {
        let (name, text, tokens) = SAMPLES[dice.below(SAMPLES.len() as u64) as usize];
        let times = 1 + dice.below(8);
        Self { name, text: text.repeat(times as usize), tokens: tokens * times }
    }

    /// As models let go of it: whole words with the blanks behind them, one to three at a time.
    fn pieces(&self) -> Vec<String> {
        let words: Vec<&str> = self.text.split_inclusive(char::is_whitespace).collect();
        let (mut pieces, mut at) = (Vec::new(), 0);
        while at < words.len() {
            let end = words.len().min(at + 1 + pieces.len() % 3);
            pieces.push(words[at..end].concat());
            at = end;
        }
        pieces
    }
}

/// Bytes of a stream that a client sees before it leaves: all that is sent to it.
pub fn visible(case: &Case) -> usize {
    events(case).0.iter().filter(|event| case.asks || !event.contains("prompt_tokens")).map(String::len).sum()
}

pub fn reply(case: &Case) -> Reply {
    if let Fate::Refused(status) = case.fate {
        let message = json!({"message": "no", "type": "invalid_request_error", "code": status});
        return Reply::json(status, json!({"type": "error", "error": message}).to_string());
    }
    if !case.stream {
        return Reply::json(200, whole(case).to_string());
    }
    let (mut events, end) = events(case);
    let how = match case.fate {
        Fate::Cut => End::Cut,
        Fate::Left | Fate::LeftLate => End::Never,
        Fate::Whole | Fate::Silent | Fate::Refused(_) => {
            events.extend(end);
            End::Well
        }
    };
    Reply::stream(events, Duration::ZERO, how)
}

fn tells(case: &Case) -> bool {
    case.fate != Fate::Silent
}

const fn openai_tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Standard => "default",
        Tier::Batch => "batch",
        Tier::Flex => "flex",
        Tier::Priority => "priority",
    }
}

fn anthropic_usage(used: &Used, output: u64) -> Value {
    let mut usage = json!({
        "input_tokens": used.input, "cache_read_input_tokens": used.read,
        "cache_creation_input_tokens": used.write + used.write_long,
        "cache_creation": {"ephemeral_5m_input_tokens": used.write, "ephemeral_1h_input_tokens": used.write_long},
        "output_tokens": output, "service_tier": if used.tier == Tier::Batch { "batch" } else { "standard" },
        "inference_geo": if used.us { "us" } else { "global" },
    });
    match used.tier {
        Tier::Priority => usage["service_tier"] = json!("priority"),
        Tier::Standard | Tier::Batch | Tier::Flex => {}
    }
    if used.fast {
        usage["speed"] = json!("fast");
    }
    usage
}

/// What is added at the end.
fn anthropic_end(used: &Used) -> Value {
    json!({"output_tokens": used.output, "output_tokens_details": {"thinking_tokens": used.reasoning},
        "server_tool_use": {"web_search_requests": used.web_search, "web_fetch_requests": 0}})
}

fn chat_usage(used: &Used) -> Value {
    let prompt = used.input + used.read + used.write + used.write_long;
    json!({
        "prompt_tokens": prompt, "completion_tokens": used.output, "total_tokens": prompt + used.output,
        "prompt_tokens_details": {"cached_tokens": used.read, "audio_tokens": used.audio_in,
            "cache_write_tokens": used.write + used.write_long,
            "cache_write_tokens_details": {"ttl_30m_tokens": used.write, "ttl_12h_tokens": used.write_long}},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning, "audio_tokens": used.audio_out,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

fn responses_usage(used: &Used) -> Value {
    let input = used.input + used.read + used.write + used.write_long;
    json!({
        "input_tokens": input, "output_tokens": used.output, "total_tokens": input + used.output,
        "input_tokens_details": {"cached_tokens": used.read, "cache_write_tokens": used.write + used.write_long,
            "cache_write_tokens_details": {"ttl_30m_tokens": used.write, "ttl_12h_tokens": used.write_long}},
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
    })
}

fn gemini_usage(used: &Used) -> Value {
    let prompt = used.input + used.read;
    let text = prompt - used.audio_in;
    let mut usage = json!({
        "promptTokenCount": prompt, "cachedContentTokenCount": used.read,
        "candidatesTokenCount": used.output - used.reasoning, "thoughtsTokenCount": used.reasoning,
        "totalTokenCount": prompt + used.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": text}, {"modality": "AUDIO", "tokenCount": used.audio_in}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": used.audio_out}],
    });
    usage["trafficType"] = json!(match used.tier {
        Tier::Standard => "ON_DEMAND",
        Tier::Batch => "BATCH",
        Tier::Flex => "ON_DEMAND_FLEX",
        Tier::Priority => "ON_DEMAND_PRIORITY",
    });
    usage
}

/// An answer in one piece.
fn whole(case: &Case) -> Value {
    let (text, used) = (&case.said.text, &case.used);
    let mut answer = match case.dialect {
        Dialect::Anthropic => {
            let mut usage = anthropic_usage(used, used.output);
            usage.as_object_mut().unwrap().extend(anthropic_end(used).as_object().unwrap().clone());
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": case.model.name,
                "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage})
        }
        Dialect::Chat => json!({"id": "chatcmpl-1", "object": "chat.completion", "model": case.model.name,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "service_tier": openai_tier(used.tier), "usage": chat_usage(used)}),
        Dialect::Responses => response(case),
        Dialect::Gemini => json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]},
            "finishReason": "STOP", "index": 0}], "modelVersion": case.model.name, "usageMetadata": gemini_usage(used)}),
    };
    if !tells(case) {
        answer.as_object_mut().unwrap().remove("usage");
    }
    answer
}

fn searches(used: &Used) -> Vec<Value> {
    let one = |n: u64| {
        json!({"id": format!("ws_{n}"), "type": "web_search_call", "status": "completed",
        "action": {"type": "search", "query": "tolls"}})
    };
    // A page that is opened is no search.
    let opened = json!({"id": "ws_o", "type": "web_search_call", "status": "completed",
        "action": {"type": "open_page", "url": "https://example.test"}});
    (0..used.web_search).map(one).chain((used.web_search > 0).then_some(opened)).collect()
}

fn response(case: &Case) -> Value {
    let mut output = searches(&case.used);
    output.push(json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": case.said.text, "annotations": []}]}));
    json!({"id": "resp_1", "object": "response", "status": "completed", "model": case.model.name, "output": output,
        "service_tier": openai_tier(case.used.tier), "usage": responses_usage(&case.used), "store": false})
}

/// A stream's events, and those that end it.
fn events(case: &Case) -> (Vec<String>, Vec<String>) {
    let named = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    let bare = |event: &Value| format!("data: {event}\n\n");
    // All but the very end, or only what the model says.
    let late = !matches!(case.fate, Fate::Cut | Fate::Left);
    match case.dialect {
        Dialect::Anthropic => {
            let (events, told, end) = anthropic_events(case);
            let told = told.iter().filter(|_| late && tells(case));
            (events.iter().chain(told).map(named).collect(), vec![named(&end)])
        }
        Dialect::Chat => {
            let (events, told) = chat_events(case);
            let told = told.iter().filter(|_| late && tells(case));
            (events.iter().chain(told).map(bare).collect(), vec!["data: [DONE]\n\n".to_owned()])
        }
        Dialect::Responses => {
            let (events, mut end) = responses_events(case);
            if !tells(case) {
                end["response"].as_object_mut().unwrap().remove("usage");
            }
            let mut events: Vec<String> = events.iter().map(named).collect();
            // Its terminal event tells the usage: nothing comes between.
            if case.fate == Fate::LeftLate {
                events.push(named(&end));
            }
            (events, vec![named(&end)])
        }
        Dialect::Gemini => {
            (gemini_events(case).iter().map(|event| format!("data: {event}\r\n\r\n")).collect(), Vec::new())
        }
    }
}

fn anthropic_events(case: &Case) -> (Vec<Value>, Vec<Value>, Value) {
    let used = &case.used;
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [],
            "model": case.model.name, "stop_reason": null, "usage": anthropic_usage(used, 1)}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(case.said.pieces().iter().map(
        |piece| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
    ));
    let told = vec![
        json!({"type": "content_block_stop", "index": 0}),
        // Cumulative: told again, and more.
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": used.output / 2}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": anthropic_end(used)}),
    ];
    (events, told, json!({"type": "message_stop"}))
}

fn chat_events(case: &Case) -> (Vec<Value>, Vec<Value>) {
    let tier = openai_tier(case.used.tier);
    let chunk = |choices: Value, usage: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": case.model.name,
            "choices": choices, "service_tier": tier, "usage": usage})
    };
    let delta = |delta: Value, reason: Value| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": reason}]), Value::Null)
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}), Value::Null)];
    events.extend(case.said.pieces().iter().map(|piece| delta(json!({"content": piece}), Value::Null)));
    let mut told = vec![delta(json!({}), json!("stop")), chunk(json!([]), chat_usage(&case.used))];
    if case.fate == Fate::Silent {
        events.push(told.remove(0));
    }
    (events, told)
}

fn responses_events(case: &Case) -> (Vec<Value>, Value) {
    let mut events = vec![json!({"type": "response.created", "sequence_number": 0,
        "response": {"id": "resp_1", "object": "response", "status": "in_progress", "output": [], "usage": null}})];
    events.extend(
        searches(&case.used)
            .iter()
            .filter(|_| matches!(case.fate, Fate::Whole | Fate::LeftLate))
            .map(|item| json!({"type": "response.output_item.done", "output_index": 0, "item": item})),
    );
    events.push(json!({"type": "response.output_item.added", "output_index": 1,
        "item": {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}}));
    events.extend(case.said.pieces().iter().enumerate().map(|(n, piece)| {
        json!({"type": "response.output_text.delta", "sequence_number": n + 2, "item_id": "msg_1", "output_index": 1,
            "content_index": 0, "delta": piece, "logprobs": [], "obfuscation": "k3JfXw"})
    }));
    let mut end = json!({"type": "response.completed", "response": response(case)});
    if case.fate == Fate::Silent {
        // Nor are there uses of tools that nobody could know.
        let message = end["response"]["output"].as_array_mut().unwrap().pop().unwrap();
        end["response"]["output"] = json!([message]);
    }
    (events, end)
}

/// The last chunk that comes has all that counts, whatever fate lets come.
fn gemini_events(case: &Case) -> Vec<Value> {
    let (used, pieces) = (&case.used, case.said.pieces());
    let last = pieces.len() - 1;
    let finished = !matches!(case.fate, Fate::Cut | Fate::Left | Fate::LeftLate);
    let chunk = |(n, piece): (usize, &String)| {
        let (mut usage, mut candidate) =
            (gemini_usage(used), json!({"content": {"role": "model", "parts": [{"text": piece}]}, "index": 0}));
        if n < last {
            usage["candidatesTokenCount"] = json!(n);
        } else if finished {
            candidate["finishReason"] = json!("STOP");
        }
        json!({"candidates": [candidate], "modelVersion": case.model.name, "usageMetadata": usage})
    };
    pieces.iter().enumerate().map(chunk).collect()
}

//! Anthropic Messages: <https://platform.claude.com/docs/en/api/messages> and `…/streaming`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::simulator::answer::{Ask, Form, PROOF, Reply, THOUGHT, Thinking, each, event, id, open, text};
use crate::simulator::json::{Json, object};
use crate::simulator::scenario::{self, Input, Step, Tool, Turn, flat};
use crate::simulator::script::Tokens;

#[derive(Deserialize)]
struct Request<'b> {
    #[serde(default, borrow)]
    model: Cow<'b, str>,
    stream: Option<bool>,
    #[serde(borrow)]
    messages: Option<&'b RawValue>,
    #[serde(borrow)]
    tools: Option<&'b RawValue>,
    #[serde(borrow)]
    thinking: Option<&'b RawValue>,
    #[serde(borrow)]
    output_config: Option<&'b RawValue>,
    #[serde(borrow)]
    output_format: Option<&'b RawValue>,
}

/// What a request asks for.
pub fn read(body: &[u8]) -> serde_json::Result<Ask> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    let config = open(request.output_config);
    let format = config.get("format").cloned().unwrap_or_else(|| open(request.output_format));
    let turns = request.messages.filter(|m| scenario::is_worth_reading(m.get(), &["tool_result"])).map(turns);
    let tools = || each(&open(request.tools)).map(tool).collect();
    let thinking = open(request.thinking);
    Ok(Ask {
        form: if request.stream == Some(true) { Form::Events } else { Form::Json },
        thinking: match (text(&thinking, "type"), text(&thinking, "display")) {
            ("enabled" | "adaptive", "omitted") => Thinking::Hidden,
            ("enabled" | "adaptive", _) => Thinking::Shown,
            _ => Thinking::Off,
        },
        extra: false,
        step: scenario::decide(&turns.unwrap_or_default(), format.get("schema"), tools),
        model: request.model.into_owned(),
    })
}

fn turns(messages: &RawValue) -> Vec<Turn> {
    let mut turns = Vec::new();
    for message in each(&open(Some(messages))).filter(|message| text(message, "role") == "user") {
        let content = &message["content"];
        let results = each(content).filter(|block| text(block, "type") == "tool_result");
        let results: Vec<Turn> = results.map(|block| Turn::Result(flat(&block["content"]))).collect();
        // What stands beside a result was put there by the client, not said by the user.
        if results.is_empty() {
            turns.extend(content.as_str().map(|said| Turn::Said(said.to_owned())));
            turns.extend(each(content).map(|block| Turn::Said(text(block, "text").to_owned())));
        }
        turns.extend(results);
    }
    turns
}

fn tool(tool: &serde_json::Value) -> Tool {
    Tool { name: text(tool, "name").to_owned(), schema: Some(tool["input_schema"].clone()) }
}

/// A content block: as it stands in the finished message, as it starts, and the deltas between.
struct Block {
    whole: Json,
    start: Json,
    deltas: Vec<Json>,
}

/// The events of an answer.
pub fn write(reply: &Reply<'_>) -> Vec<String> {
    let blocks = blocks(reply);
    let stop = if matches!(reply.ask.step, Step::Call { .. }) { "tool_use" } else { "end_turn" };
    if reply.ask.form == Form::Json {
        let content: Vec<Json> = blocks.into_iter().map(|block| block.whole).collect();
        return vec![message(reply, &Json::array(&content), stop.into(), reply.usage.map(usage)).as_str().to_owned()];
    }

    let start = message(
        reply,
        &Json::array(&[]),
        Json::null(),
        reply.usage.map(|tokens| usage(&Tokens { output: 1, reasoning: 0, ..*tokens })),
    );
    let mut events = vec![
        event("message_start", &object! { "type": "message_start", "message": start }),
        event("ping", &object! { "type": "ping" }),
    ];
    for (index, block) in blocks.iter().enumerate() {
        let start = object! { "type": "content_block_start", "index": index, "content_block": &block.start };
        events.push(event("content_block_start", &start));
        events.extend(block.deltas.iter().map(|delta| {
            event("content_block_delta", &object! { "type": "content_block_delta", "index": index, "delta": delta })
        }));
        events.push(event("content_block_stop", &object! { "type": "content_block_stop", "index": index }));
    }
    let delta = object! { "stop_reason": stop, "stop_sequence": Json::null() };
    let end = match reply.usage {
        Some(tokens) => object! { "type": "message_delta", "delta": delta, "usage": final_usage(tokens) },
        None => object! { "type": "message_delta", "delta": delta },
    };
    events.push(event("message_delta", &end));
    events.push(event("message_stop", &object! { "type": "message_stop" }));
    events
}

fn message(reply: &Reply<'_>, content: &Json, stop: Json, usage: Option<Json>) -> Json {
    let mut fields = vec![
        ("id", Json::from(id("msg_"))),
        ("type", "message".into()),
        ("role", "assistant".into()),
        ("model", reply.model.into()),
        ("content", content.clone()),
        ("stop_reason", stop),
        ("stop_sequence", Json::null()),
    ];
    fields.extend(usage.map(|usage| ("usage", usage)));
    Json::fields(&fields)
}

/// In `message_start` and in JSON answers.
fn usage(tokens: &Tokens) -> Json {
    object! {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write(),
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": object! {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": object! { "thinking_tokens": tokens.reasoning },
        "service_tier": "standard",
    }
}

/// In `message_delta`: cumulative, and without the split of cache writes.
fn final_usage(tokens: &Tokens) -> Json {
    object! {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write(),
        "cache_read_input_tokens": tokens.cache_read,
        "output_tokens": tokens.output,
        "output_tokens_details": object! { "thinking_tokens": tokens.reasoning },
    }
}

fn blocks(reply: &Reply<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    match reply.ask.thinking {
        Thinking::Off => {}
        Thinking::Hidden => blocks.push(thinking(reply, "")),
        Thinking::Shown => blocks.push(thinking(reply, THOUGHT)),
    }
    match &reply.ask.step {
        Step::Script | Step::Say(_) => blocks.push(said(reply, reply.text)),
        Step::Call { tool, input } => {
            blocks.push(said(reply, "I will run it."));
            blocks.push(called(reply, tool, input));
        }
    }
    blocks
}

fn thinking(reply: &Reply<'_>, thought: &str) -> Block {
    let pieces = reply.script.pieces(thought).into_iter().filter(|piece| !piece.is_empty());
    let mut deltas: Vec<Json> = pieces.map(|piece| object! { "type": "thinking_delta", "thinking": piece }).collect();
    deltas.push(object! { "type": "signature_delta", "signature": PROOF });
    Block {
        whole: object! { "type": "thinking", "thinking": thought, "signature": PROOF },
        start: object! { "type": "thinking", "thinking": "", "signature": "" },
        deltas,
    }
}

fn said(reply: &Reply<'_>, said: &str) -> Block {
    let pieces = reply.script.pieces(said).into_iter();
    Block {
        whole: object! { "type": "text", "text": said },
        start: object! { "type": "text", "text": "" },
        deltas: pieces.map(|piece| object! { "type": "text_delta", "text": piece }).collect(),
    }
}

fn called(reply: &Reply<'_>, tool: &str, input: &Input) -> Block {
    let arguments = match input {
        Input::Arguments(arguments) => arguments.to_string(),
        Input::Text(text) => object! { "input": text }.as_str().to_owned(),
    };
    let block = |input: Json| object! { "type": "tool_use", "id": id("toolu_"), "name": tool, "input": input };
    // The first delta of a call is empty on the wire.
    let pieces = std::iter::once("").chain(reply.script.pieces(&arguments));
    let deltas = pieces.map(|piece| object! { "type": "input_json_delta", "partial_json": piece }).collect();
    let whole: serde_json::Value = serde_json::from_str(&arguments).unwrap_or_default();
    Block { whole: block(Json::from(&whole)), start: block(object! {}), deltas }
}

//! OpenAI Chat Completions: <https://platform.openai.com/docs/api-reference/chat> and `…/chat-streaming`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::simulator::answer::{Ask, Form, Reply, Thinking, data, each, id, open, text};
use crate::simulator::json::{Json, object};
use crate::simulator::scenario::{self, Input, Step, Tool, Turn, flat};
use crate::simulator::script::Tokens;

#[derive(Deserialize)]
struct Request<'b> {
    #[serde(default, borrow)]
    model: Cow<'b, str>,
    stream: Option<bool>,
    #[serde(borrow)]
    stream_options: Option<&'b RawValue>,
    #[serde(borrow)]
    messages: Option<&'b RawValue>,
    #[serde(borrow)]
    tools: Option<&'b RawValue>,
    #[serde(borrow)]
    response_format: Option<&'b RawValue>,
}

/// What a request asks for.
pub fn read(body: &[u8]) -> serde_json::Result<Ask> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    let format = open(request.response_format);
    let schema = match text(&format, "type") {
        "json_schema" => format["json_schema"].get("schema").cloned(),
        "json_object" => Some(json!({})),
        _ => None,
    };
    let turns = request.messages.filter(|m| scenario::is_worth_reading(m.get(), &["\"tool\""])).map(turns);
    let tools = || each(&open(request.tools)).filter(|tool| text(tool, "type") == "function").map(tool).collect();
    Ok(Ask {
        form: if request.stream == Some(true) { Form::Events } else { Form::Json },
        thinking: Thinking::Off,
        extra: open(request.stream_options)["include_usage"] == true,
        step: scenario::decide(&turns.unwrap_or_default(), schema.as_ref(), tools),
        model: request.model.into_owned(),
    })
}

fn turns(messages: &RawValue) -> Vec<Turn> {
    let mut turns = Vec::new();
    for message in each(&open(Some(messages))) {
        let content = &message["content"];
        match text(message, "role") {
            "tool" => turns.push(Turn::Result(flat(content))),
            "user" => match content.as_array() {
                Some(parts) => turns.extend(parts.iter().map(|part| Turn::Said(text(part, "text").to_owned()))),
                None => turns.push(Turn::Said(flat(content))),
            },
            _ => {}
        }
    }
    turns
}

fn tool(tool: &Value) -> Tool {
    let function = &tool["function"];
    Tool { name: text(function, "name").to_owned(), schema: Some(function["parameters"].clone()) }
}

/// The events of an answer.
pub fn write(reply: &Reply<'_>) -> Vec<String> {
    let (content, call) = match &reply.ask.step {
        Step::Script | Step::Say(_) => (Json::from(reply.text), None),
        Step::Call { tool, input } => (Json::null(), Some((tool.as_str(), arguments(input)))),
    };
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    if reply.ask.form == Form::Json {
        return vec![completion(reply, content, call, finish).as_str().to_owned()];
    }

    let mut events = Vec::new();
    let mut push = |delta: Json, finish: Json| {
        let choice = object! { "index": 0u64, "delta": delta, "logprobs": Json::null(), "finish_reason": finish };
        let usage = reply.ask.extra.then(Json::null);
        events.push(data(&envelope(reply, "chat.completion.chunk", &Json::array(&[choice]), usage)));
    };
    let opening = if call.is_some() { Json::null() } else { "".into() };
    push(object! { "role": "assistant", "content": opening, "refusal": Json::null() }, Json::null());
    match &call {
        None => {
            for piece in reply.script.pieces(reply.text) {
                push(object! { "content": piece }, Json::null());
            }
        }
        Some((tool, arguments)) => {
            let first = object! {
                "index": 0u64,
                "id": id("call_"),
                "type": "function",
                "function": object! { "name": *tool, "arguments": "" },
            };
            push(object! { "tool_calls": Json::array(&[first]) }, Json::null());
            for piece in reply.script.pieces(arguments) {
                let more = object! { "index": 0u64, "function": object! { "arguments": piece } };
                push(object! { "tool_calls": Json::array(&[more]) }, Json::null());
            }
        }
    }
    push(object! {}, finish.into());
    if let (true, Some(tokens)) = (reply.ask.extra, reply.usage) {
        events.push(data(&envelope(reply, "chat.completion.chunk", &Json::array(&[]), Some(usage(tokens)))));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn arguments(input: &Input) -> String {
    match input {
        Input::Arguments(arguments) => arguments.to_string(),
        Input::Text(text) => object! { "input": text }.as_str().to_owned(),
    }
}

fn completion(reply: &Reply<'_>, content: Json, call: Option<(&str, String)>, finish: &str) -> Json {
    let mut message = vec![("role", Json::from("assistant")), ("content", content)];
    if let Some((tool, arguments)) = call {
        let function = object! { "name": tool, "arguments": arguments };
        let call = object! { "id": id("call_"), "type": "function", "function": function };
        message.push(("tool_calls", Json::array(&[call])));
    }
    message.push(("refusal", Json::null()));
    message.push(("annotations", Json::array(&[])));
    let choice = object! {
        "index": 0u64, "message": Json::fields(&message), "logprobs": Json::null(), "finish_reason": finish,
    };
    envelope(reply, "chat.completion", &Json::array(&[choice]), reply.usage.map(usage))
}

fn envelope(reply: &Reply<'_>, kind: &str, choices: &Json, usage: Option<Json>) -> Json {
    let mut fields = vec![
        ("id", Json::from(id("chatcmpl-"))),
        ("object", kind.into()),
        ("created", reply.created.into()),
        ("model", reply.model.into()),
        ("service_tier", "default".into()),
        ("system_fingerprint", "fp_simulated".into()),
        ("choices", choices.clone()),
    ];
    fields.extend(usage.map(|usage| ("usage", usage)));
    Json::fields(&fields)
}

fn usage(tokens: &Tokens) -> Json {
    object! {
        "prompt_tokens": tokens.prompt(),
        "completion_tokens": tokens.output,
        "total_tokens": tokens.total(),
        "prompt_tokens_details": object! {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write(),
            "audio_tokens": 0u64,
        },
        "completion_tokens_details": object! {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0u64,
            "accepted_prediction_tokens": 0u64,
            "rejected_prediction_tokens": 0u64,
        },
    }
}

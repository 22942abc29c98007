//! OpenAI Responses: <https://platform.openai.com/docs/api-reference/responses> and `…/responses-streaming`.
//!
//! Also what Codex needs: tools inside namespaces and inside an input item, and the freeform `exec` tool.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

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
    input: Option<&'b RawValue>,
    #[serde(borrow)]
    tools: Option<&'b RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'b RawValue>,
    #[serde(borrow)]
    include: Option<&'b RawValue>,
    #[serde(borrow)]
    text: Option<&'b RawValue>,
}

/// What a request asks for.
pub fn read(body: &[u8]) -> serde_json::Result<Ask> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    let format = open(request.text)["format"].clone();
    let schema = match text(&format, "type") {
        "json_schema" => format.get("schema").cloned(),
        "json_object" => Some(json!({})),
        _ => None,
    };
    let input = request.input.filter(|input| scenario::is_worth_reading(input.get(), &["call_output"]));
    let input = open(input);
    let tools = || {
        let mut offered = Vec::new();
        collect(&open(request.tools), &mut offered);
        // Codex's newest models are given their tools as an input item.
        let items = each(&input).filter(|item| text(item, "type") == "additional_tools");
        items.for_each(|item| collect(&item["tools"], &mut offered));
        offered
    };
    let reasoning = open(request.reasoning);
    Ok(Ask {
        form: if request.stream == Some(true) { Form::Events } else { Form::Json },
        thinking: match &reasoning {
            Value::Object(fields) if fields.get("summary").is_some_and(Value::is_string) => Thinking::Shown,
            Value::Object(_) => Thinking::Hidden,
            _ => Thinking::Off,
        },
        extra: each(&open(request.include)).any(|what| what == "reasoning.encrypted_content"),
        step: scenario::decide(&turns(&input), schema.as_ref(), tools),
        model: request.model.into_owned(),
    })
}

fn turns(input: &Value) -> Vec<Turn> {
    let mut turns: Vec<Turn> = input.as_str().map(|said| Turn::Said(said.to_owned())).into_iter().collect();
    for item in each(input) {
        match text(item, "type") {
            "function_call_output" | "custom_tool_call_output" | "local_shell_call_output" | "shell_call_output" => {
                turns.push(Turn::Result(flat(&item["output"])));
            }
            "message" | "" if text(item, "role") == "user" => match item["content"].as_array() {
                Some(parts) => turns.extend(parts.iter().map(|part| Turn::Said(text(part, "text").to_owned()))),
                None => turns.push(Turn::Said(flat(&item["content"]))),
            },
            _ => {}
        }
    }
    turns
}

/// Function tools, and of the freeform ones the one that takes a program; a namespace holds more of both.
fn collect(tools: &Value, offered: &mut Vec<Tool>) {
    for tool in each(tools) {
        let name = || text(tool, "name").to_owned();
        match text(tool, "type") {
            "namespace" => each(&tool["tools"]).for_each(|inner| collect(&json!([inner]), offered)),
            "function" => offered.push(Tool { name: name(), schema: Some(tool["parameters"].clone()) }),
            "custom" if text(tool, "name") == "exec" => offered.push(Tool { name: name(), schema: None }),
            _ => {}
        }
    }
}

/// An output item: as it is added, as it is done, and the events between without their common fields.
struct Item {
    id: String,
    added: Json,
    done: Json,
    between: Vec<(&'static str, Vec<(&'static str, Json)>)>,
}

/// The events of an answer.
pub fn write(reply: &Reply<'_>) -> Vec<String> {
    let items = items(reply);
    let output: Vec<Json> = items.iter().map(|item| item.done.clone()).collect();
    let done = response(reply, "completed", &Json::array(&output), reply.usage.map_or_else(Json::null, usage));
    if reply.ask.form == Form::Json {
        return vec![done.as_str().to_owned()];
    }

    let begun = response(reply, "in_progress", &Json::array(&[]), Json::null());
    let mut events = Vec::new();
    let mut push = |name: &str, fields: &[(&str, Json)]| {
        let mut all = vec![("type", name.into()), ("sequence_number", events.len().into())];
        all.extend_from_slice(fields);
        events.push(event(name, &Json::fields(&all)));
    };
    push("response.created", &[("response", begun.clone())]);
    push("response.in_progress", &[("response", begun)]);
    for (index, item) in items.iter().enumerate() {
        push("response.output_item.added", &[("output_index", index.into()), ("item", item.added.clone())]);
        for (name, fields) in &item.between {
            let mut all = vec![("item_id", Json::from(&item.id)), ("output_index", index.into())];
            all.extend_from_slice(fields);
            push(name, &all);
        }
        push("response.output_item.done", &[("output_index", index.into()), ("item", item.done.clone())]);
    }
    push("response.completed", &[("response", done)]);
    events
}

fn response(reply: &Reply<'_>, status: &str, output: &Json, usage: Json) -> Json {
    object! {
        "id": id("resp_"),
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "background": false,
        "error": Json::null(),
        "incomplete_details": Json::null(),
        "instructions": Json::null(),
        "max_output_tokens": Json::null(),
        "model": reply.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": Json::null(),
        "reasoning": object! { "effort": Json::null(), "summary": Json::null() },
        "service_tier": "default",
        "store": false,
        "temperature": 1.0,
        "text": object! { "format": object! { "type": "text" } },
        "tool_choice": "auto",
        "tools": Json::array(&[]),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": Json::null(),
        "metadata": object! {},
    }
}

/// Also of a compaction.
pub fn usage(tokens: &Tokens) -> Json {
    object! {
        "input_tokens": tokens.prompt(),
        "input_tokens_details": object! {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write(),
        },
        "output_tokens": tokens.output,
        "output_tokens_details": object! { "reasoning_tokens": tokens.reasoning },
        "total_tokens": tokens.total(),
    }
}

fn items(reply: &Reply<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    match reply.ask.thinking {
        Thinking::Off => {}
        Thinking::Hidden => items.push(reasoning(reply, None)),
        Thinking::Shown => items.push(reasoning(reply, Some(THOUGHT))),
    }
    items.push(match &reply.ask.step {
        Step::Script | Step::Say(_) => said(reply),
        Step::Call { tool, input: Input::Arguments(arguments) } => {
            called(reply, tool, "function_call", "arguments", &arguments.to_string())
        }
        Step::Call { tool, input: Input::Text(text) } => called(reply, tool, "custom_tool_call", "input", text),
    });
    items
}

fn reasoning(reply: &Reply<'_>, thought: Option<&str>) -> Item {
    let item = |summary: &[Json], proof: Option<&str>| {
        let mut fields =
            vec![("id", Json::from(id("rs_"))), ("type", "reasoning".into()), ("summary", Json::array(summary))];
        if reply.ask.extra {
            fields.push(("encrypted_content", proof.map_or_else(Json::null, Json::from)));
        }
        Json::fields(&fields)
    };
    let part = |text: &str| object! { "type": "summary_text", "text": text };
    let mut between = Vec::new();
    if let Some(thought) = thought {
        let at = || ("summary_index", Json::from(0u64));
        between.push(("response.reasoning_summary_part.added", vec![at(), ("part", part(""))]));
        for piece in reply.script.pieces(thought) {
            between.push(("response.reasoning_summary_text.delta", vec![at(), ("delta", piece.into())]));
        }
        between.push(("response.reasoning_summary_text.done", vec![at(), ("text", thought.into())]));
        between.push(("response.reasoning_summary_part.done", vec![at(), ("part", part(thought))]));
    }
    let summary: Vec<Json> = thought.map(part).into_iter().collect();
    Item { id: id("rs_"), added: item(&[], None), done: item(&summary, Some(PROOF)), between }
}

fn said(reply: &Reply<'_>) -> Item {
    let part = |text: &str| {
        object! { "type": "output_text", "annotations": Json::array(&[]), "logprobs": Json::array(&[]), "text": text }
    };
    let item = |status: &str, content: &[Json]| {
        object! {
            "id": id("msg_"), "type": "message", "status": status, "content": Json::array(content), "role": "assistant",
        }
    };
    let at = || ("content_index", Json::from(0u64));
    let mut between = vec![("response.content_part.added", vec![at(), ("part", part(""))])];
    for piece in reply.script.pieces(reply.text) {
        let delta = vec![at(), ("delta", piece.into()), ("logprobs", Json::array(&[]))];
        between.push(("response.output_text.delta", delta));
    }
    let done = vec![at(), ("text", reply.text.into()), ("logprobs", Json::array(&[]))];
    between.push(("response.output_text.done", done));
    between.push(("response.content_part.done", vec![at(), ("part", part(reply.text))]));
    Item { id: id("msg_"), added: item("in_progress", &[]), done: item("completed", &[part(reply.text)]), between }
}

/// A call; `field` is where its kind holds what the tool is given.
fn called(reply: &Reply<'_>, tool: &str, kind: &str, field: &'static str, given: &str) -> Item {
    let (prefix, delta, done) = if kind == "custom_tool_call" {
        ("ctc_", "response.custom_tool_call_input.delta", "response.custom_tool_call_input.done")
    } else {
        ("fc_", "response.function_call_arguments.delta", "response.function_call_arguments.done")
    };
    let item = |status: &str, given: &str| {
        Json::fields(&[
            ("id", id(prefix).into()),
            ("type", kind.into()),
            ("status", status.into()),
            (field, given.into()),
            ("call_id", id("call_").into()),
            ("name", tool.into()),
        ])
    };
    let pieces = reply.script.pieces(given).into_iter();
    let mut between: Vec<_> = pieces.map(|piece| (delta, vec![("delta", Json::from(piece))])).collect();
    between.push((done, vec![(field, given.into())]));
    Item { id: id(prefix), added: item("in_progress", ""), done: item("completed", given), between }
}

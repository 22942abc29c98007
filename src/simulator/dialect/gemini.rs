//! Gemini generateContent: <https://ai.google.dev/api/generate-content>.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::simulator::answer::{Ask, Form, PROOF, Reply, THOUGHT, Thinking, each, id, open, text};
use crate::simulator::json::{Json, object};
use crate::simulator::scenario::{self, Input, Step, Tool, Turn, flat};
use crate::simulator::script::Tokens;

/// Protobuf JSON is read in camel case and in snake case.
#[derive(Deserialize)]
struct Request<'b> {
    #[serde(borrow)]
    contents: Option<&'b RawValue>,
    #[serde(borrow)]
    tools: Option<&'b RawValue>,
    #[serde(borrow, rename = "generationConfig", alias = "generation_config")]
    config: Option<&'b RawValue>,
}

/// What a request asks for.
pub fn read(body: &[u8], model: &str, form: Form) -> serde_json::Result<Ask> {
    let request: Request<'_> = serde_json::from_slice(body)?;
    let config = open(request.config);
    let schema = ["responseJsonSchema", "response_json_schema", "responseSchema", "response_schema"];
    let schema = schema.iter().find_map(|name| config.get(*name));
    let marks = ["unctionResponse", "unction_response"];
    let turns = request.contents.filter(|c| scenario::is_worth_reading(c.get(), &marks)).map(turns);
    let tools = || {
        let offered = open(request.tools);
        let declared = |tool| each(either(tool, "functionDeclarations", "function_declarations")).map(function);
        each(&offered).flat_map(declared).collect()
    };
    let thinking = either(&config, "thinkingConfig", "thinking_config");
    let shown = either(thinking, "includeThoughts", "include_thoughts") == true;
    Ok(Ask {
        model: model.to_owned(),
        form,
        thinking: if shown { Thinking::Shown } else { Thinking::Off },
        extra: false,
        step: scenario::decide(&turns.unwrap_or_default(), schema, tools),
    })
}

fn either<'v>(value: &'v Value, camel: &str, snake: &str) -> &'v Value {
    value.get(camel).or_else(|| value.get(snake)).unwrap_or(&Value::Null)
}

fn turns(contents: &RawValue) -> Vec<Turn> {
    let mut turns = Vec::new();
    // A single content object stands for a list of one.
    let contents = match open(Some(contents)) {
        Value::Array(contents) => contents,
        content => vec![content],
    };
    for content in contents.iter().filter(|content| text(content, "role") != "model") {
        for part in each(&content["parts"]) {
            match either(part, "functionResponse", "function_response") {
                Value::Null => turns.push(Turn::Said(text(part, "text").to_owned())),
                result => turns.push(Turn::Result(flat(&result["response"]))),
            }
        }
    }
    turns
}

fn function(function: &Value) -> Tool {
    let schema = either(function, "parametersJsonSchema", "parameters_json_schema");
    let schema = if schema.is_null() { &function["parameters"] } else { schema };
    Tool { name: text(function, "name").to_owned(), schema: Some(schema.clone()) }
}

/// The chunks of an answer.
pub fn write(reply: &Reply<'_>) -> Vec<String> {
    let parts = parts(reply);
    if reply.ask.form == Form::Json {
        let parts: Vec<Json> = parts.into_iter().map(|part| part.whole).collect();
        return vec![
            chunk(reply, &parts, true, reply.usage.map(|tokens| usage(tokens, tokens.output))).as_str().to_owned(),
        ];
    }

    let pieces: Vec<Json> = parts.into_iter().flat_map(|part| part.pieces).collect();
    let last = pieces.len().saturating_sub(1);
    // Every chunk tells the usage so far; the last one counts.
    let so_far = |index: usize, tokens: &Tokens| {
        let output = if index == last { tokens.output } else { tokens.output / (last as u64 + 1) * (index as u64 + 1) };
        usage(tokens, output)
    };
    let chunks = pieces.iter().enumerate().map(|(index, piece)| {
        let usage = reply.usage.map(|tokens| so_far(index, tokens));
        chunk(reply, std::slice::from_ref(piece), index == last, usage)
    });
    let framed = chunks.enumerate().map(|(index, chunk)| match reply.ask.form {
        Form::Array if index == 0 && index == last => format!("[{}]", chunk.as_str()),
        Form::Array if index == 0 => format!("[{}", chunk.as_str()),
        Form::Array if index == last => format!("\n,\n{}]", chunk.as_str()),
        Form::Array => format!("\n,\n{}", chunk.as_str()),
        // Google ends its lines with CRLF.
        Form::Events | Form::Json => format!("data: {}\r\n\r\n", chunk.as_str()),
    });
    framed.collect()
}

fn chunk(reply: &Reply<'_>, parts: &[Json], last: bool, usage: Option<Json>) -> Json {
    let mut candidate = vec![("content", object! { "parts": Json::array(parts), "role": "model" })];
    if last {
        candidate.push(("finishReason", "STOP".into()));
    }
    candidate.push(("index", 0u64.into()));
    let mut fields = vec![("candidates", Json::array(&[Json::fields(&candidate)]))];
    fields.extend(usage.map(|usage| ("usageMetadata", usage)));
    fields.push(("modelVersion", reply.model.into()));
    fields.push(("responseId", id("").into()));
    Json::fields(&fields)
}

/// Candidates exclude thoughts, which come first.
fn usage(tokens: &Tokens, output: u64) -> Json {
    let thoughts = tokens.reasoning.min(output);
    object! {
        "promptTokenCount": tokens.prompt(),
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": tokens.prompt().saturating_add(output),
        "cachedContentTokenCount": tokens.cache_read,
        "promptTokensDetails": Json::array(&[object! { "modality": "TEXT", "tokenCount": tokens.prompt() }]),
        "thoughtsTokenCount": thoughts,
    }
}

/// A part: as it stands in a JSON answer, and in the pieces in which it is streamed.
struct Part {
    whole: Json,
    pieces: Vec<Json>,
}

fn parts(reply: &Reply<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let thinks = reply.ask.thinking == Thinking::Shown;
    if thinks {
        let thought = object! { "text": THOUGHT, "thought": true };
        parts.push(Part { whole: thought.clone(), pieces: vec![thought] });
    }
    parts.push(match &reply.ask.step {
        Step::Script | Step::Say(_) => said(reply, thinks),
        Step::Call { tool, input } => {
            let arguments = match input {
                Input::Arguments(arguments) => Json::from(arguments),
                Input::Text(text) => object! { "input": text },
            };
            let call = object! { "name": tool, "args": arguments, "id": id("") };
            // A call comes whole, in one part, with the proof beside it.
            let part = object! { "functionCall": call, "thoughtSignature": PROOF };
            Part { whole: part.clone(), pieces: vec![part] }
        }
    });
    parts
}

/// Where the model thought, the proof comes with the end of the text: streamed, in a last part without text.
fn said(reply: &Reply<'_>, thinks: bool) -> Part {
    let mut pieces: Vec<Json> =
        reply.script.pieces(reply.text).into_iter().map(|piece| object! { "text": piece }).collect();
    if thinks {
        pieces.push(object! { "text": "", "thoughtSignature": PROOF });
        return Part { whole: object! { "text": reply.text, "thoughtSignature": PROOF }, pieces };
    }
    Part { whole: object! { "text": reply.text }, pieces }
}

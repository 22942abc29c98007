//! Synthetic bodies and events of the shape and size that coding agents and providers send.
//!
//! Invariant: made in code, the same on every run; nothing in them comes from a recording.

use std::fmt::Write;

/// A request as Claude Code shapes it: system blocks, some thirty tool schemas, and a conversation of text, tool calls and
/// tool results with escaped newlines and quotes, until there are about `size` bytes.
pub fn agent(size: usize) -> Vec<u8> {
    let mut body = String::with_capacity(size + 4096);
    body.push_str(r#"{"model":"claude-opus-5-5","messages":["#);
    body.push_str(r#"{"role":"user","content":[{"type":"text","text":"Please find out why the build is slow."}]}"#);
    let tools = tools((size / 1800).clamp(1, 30));
    let mut turn = 0;
    while body.len() + tools.len() + 1500 < size {
        turn += 1;
        let _ = write!(
            body,
            concat!(
                r#",{{"role":"assistant","content":[{{"type":"text","text":"Let me look at step {turn}."}},"#,
                r#"{{"type":"tool_use","id":"toolu_{turn:06}","name":"Bash","input":{{"command":"cargo build --timings 2>&1 | tail -n {turn}","description":"Build with timings"}}}}]}},"#,
                r#"{{"role":"user","content":[{{"tool_use_id":"toolu_{turn:06}","type":"tool_result","content":"{output}","is_error":false}}]}}"#
            ),
            turn = turn,
            output = prose(1200 + turn % 7 * 300),
        );
    }
    let _ = write!(
        body,
        concat!(
            r#"],"system":[{{"type":"text","text":"You are a coding agent.\n{system}","cache_control":{{"type":"ephemeral"}}}}],"#,
            r#""tools":[{tools}],"metadata":{{"user_id":"{{\"device_id\":\"{id:064}\",\"account_uuid\":\"\",\"session_id\":\"00000000-0000-4000-8000-000000000000\"}}"}},"#,
            r#""max_tokens":32000,"thinking":{{"type":"adaptive"}},"output_config":{{"effort":"medium"}},"stream":true}}"#
        ),
        system = prose(600),
        tools = tools,
        id = 7,
    );
    body.into_bytes()
}

/// A request with one long prompt and nothing else.
pub fn prompt(size: usize) -> Vec<u8> {
    let text = prose(size);
    format!(r#"{{"model":"gpt-5.5","input":"{text}","max_output_tokens":4096,"stream":true}}"#).into_bytes()
}

/// A request of nothing but tool schemas: short keys and values, the most that a scanner can be asked to do.
pub fn tools_only(size: usize) -> Vec<u8> {
    let tools = tools(size / 1100);
    format!(r#"{{"model":"gpt-5.5","input":"hi","tools":[{tools}],"stream":true}}"#).into_bytes()
}

/// Escaped text of about `size` bytes, an escape every eighty: a newline, and now and then a quoted word.
pub fn prose(size: usize) -> String {
    let lines = [
        r"   Compiling a crate of the workspace with the profile that the file says now, at\n",
        r#"the second pass found no reason to rebuild what had been built, and said so \"as\" "#,
        r#"unchanged, which is what the test wanted to see before it went on to the other\n"#,
        r"half of the work: reading each file once, in order, and keeping only the count\n",
    ];
    lines.iter().cycle().scan(0, |len, line| (*len < size).then(|| (*len += line.len(), *line).1)).collect()
}

fn tools(count: usize) -> String {
    let one = |n: usize| {
        format!(
            concat!(
                r#"{{"name":"tool_{n}","description":"Runs the {n}th of the tools that this agent has.\n\nUsage:\n- The `path` must be absolute.\n- Prefer this tool to a shell command where both would do.","#,
                r#""input_schema":{{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{{"#,
                r#""path":{{"type":"string","description":"The absolute path of the file to work on"}},"#,
                r#""offset":{{"description":"The line to start at","type":"integer","minimum":0,"maximum":9007199254740991}},"#,
                r#""mode":{{"type":"string","enum":["content","files","count"],"default":"files"}},"#,
                r#""edits":{{"type":"array","items":{{"type":"object","properties":{{"old":{{"type":"string"}},"new":{{"type":"string"}}}},"required":["old","new"],"additionalProperties":false}}}},"#,
                r#""all":{{"description":"Whether to replace every occurrence","default":false,"type":"boolean"}}}},"#,
                r#""required":["path"],"additionalProperties":false}}}}"#
            ),
            n = n
        )
    };
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

/// A text delta of Anthropic Messages.
pub const ANTHROPIC_DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" and then it\"}}\n\n";

/// A text delta of Chat Completions, from a stream that was asked for its usage.
pub const CHAT_DELTA: &str = "data: {\"id\":\"chatcmpl-0000000000000000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-5.5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" and then it\"},\"finish_reason\":null}],\"usage\":null}\n\n";

/// A text delta of Responses.
pub const RESPONSES_DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":17,\"item_id\":\"msg_0000000000000001\",\"output_index\":0,\"content_index\":0,\"delta\":\" and then it\",\"logprobs\":[]}\n\n";

/// A text chunk of Gemini.
pub const GEMINI_CHUNK: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" and then it\"}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":1000,\"candidatesTokenCount\":40,\"totalTokenCount\":1040,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":1000}]},\"modelVersion\":\"gemini-3.8-flash\",\"responseId\":\"r\"}\r\n\r\n";

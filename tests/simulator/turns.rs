//! What an agent needs: tool calls, results, demanded objects.

use serde_json::{Value, json};
use tollgate::simulator::{Script, Tools};

use crate::raw::{ANSWERS, asking, exchange, joined, script, start};

/// A turn: the request with a command and the client's tools, the call at its place in the answer, then the request
/// that carries the result, and the place of the text that repeats it.
async fn turn(path: &str, [wish, result]: [Value; 2], (place, call): (&str, Value), text: &str) {
    let simulator = start(script("hello")).await;
    let answer = exchange(&simulator, &asking(path, wish)).await.json();
    assert_eq!(answer.pointer(place), Some(&call), "{path}: {answer}");
    let answer = exchange(&simulator, &asking(path, result)).await.json();
    assert_eq!(answer.pointer(text), Some(&json!("FINAL: the command printed: 42")), "{path}: {answer}");
}

const USER: &str = "run `printf 42` and tell me";

fn schema() -> Value {
    json!({"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]})
}

#[tokio::test]
async fn an_anthropic_turn() {
    let result = json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "42"}]});
    let requests = [
        json!({
            "messages": [{"role": "user", "content": USER}],
            "tools": [{"name": "Bash", "input_schema": schema()}],
        }),
        json!({"messages": [{"role": "user", "content": USER}, {"role": "user", "content": [result]}]}),
    ];
    let call = json!({
        "type": "tool_use", "id": "toolu_0000000000000000", "name": "Bash", "input": {"command": "printf 42"},
    });
    turn("/v1/messages", requests, ("/content/1", call), "/content/0/text").await;
}

#[tokio::test]
async fn a_chat_turn() {
    let said = json!({"role": "user", "content": [{"type": "text", "text": USER}]});
    let tool = json!({"type": "function", "function": {"name": "bash", "parameters": schema()}});
    let requests = [
        json!({"messages": [said], "tools": [tool]}),
        json!({"messages": [said, {"role": "tool", "tool_call_id": "t", "content": "42"}]}),
    ];
    let call = ("/choices/0/message/tool_calls/0/function", json!({"name": "bash", "arguments": ARGUMENTS}));
    turn("/v1/chat/completions", requests, call, "/choices/0/message/content").await;
}

const ARGUMENTS: &str = r#"{"command":"printf 42"}"#;

#[tokio::test]
async fn a_responses_turn_with_a_tool_in_a_namespace() {
    let tool = json!({"type": "function", "name": "exec_command", "parameters": {"properties": {"cmd": {}}}});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "42"});
    let requests = [
        json!({"input": USER, "tools": [{"type": "namespace", "name": "n", "tools": [tool]}]}),
        json!({"input": [{"role": "user", "content": USER}, result]}),
    ];
    let call = json!({
        "id": "fc_0000000000000000", "type": "function_call", "status": "completed",
        "call_id": "call_0000000000000000", "name": "exec_command", "arguments": r#"{"cmd":"printf 42"}"#,
    });
    turn("/v1/responses", requests, ("/output/0", call), "/output/0/content/0/text").await;
}

#[tokio::test]
async fn a_responses_turn_with_a_freeform_tool_in_an_input_item() {
    let said = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": USER}]});
    let printed = json!([{"type": "input_text", "text": "42"}]);
    let requests = [
        json!({"input": [{"type": "additional_tools", "tools": [{"type": "custom", "name": "exec"}]}, said]}),
        json!({"input": [said, {"type": "custom_tool_call_output", "call_id": "c", "output": printed}]}),
    ];
    let call = ("/output/0/type", json!("custom_tool_call"));
    turn("/v1/responses", requests, call, "/output/0/content/0/text").await;
}

#[tokio::test]
async fn a_gemini_turn() {
    let tool = json!({"name": "run_shell_command", "parametersJsonSchema": schema()});
    let result = json!({"functionResponse": {"name": "run_shell_command", "response": {"output": "42"}}});
    let requests = [
        json!({"contents": [{"parts": [{"text": USER}]}], "tools": [{"functionDeclarations": [tool]}]}),
        json!({"contents": [{"role": "user", "parts": [result]}]}),
    ];
    let call = json!({"name": "run_shell_command", "args": {"command": "printf 42"}, "id": "0000000000000000"});
    let place = "/candidates/0/content/parts/0/functionCall";
    turn("/v1beta/models/m:generateContent", requests, (place, call), "/candidates/0/content/parts/0/text").await;
}

/// The request, the pieces of the call's arguments joined, and what the stream says about its end.
#[tokio::test]
async fn a_streamed_call_says_what_the_json_call_says() {
    let simulator = start(script("hello")).await;
    let messages = json!([{"role": "user", "content": USER}]);
    let function = json!({"type": "function", "function": {"name": "bash", "parameters": schema()}});
    let rows = [
        (
            "/v1/messages",
            json!({"messages": messages, "tools": [{"name": "Bash", "input_schema": schema()}]}),
            ("/delta/partial_json", ARGUMENTS),
            ("/delta/stop_reason", "tool_use"),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": messages, "tools": [function]}),
            ("/choices/0/delta/tool_calls/0/function/arguments", ARGUMENTS),
            ("/choices/0/finish_reason", "tool_calls"),
        ),
        (
            "/v1/responses",
            json!({"input": USER, "tools": [{"type": "function", "name": "shell", "parameters": schema()}]}),
            ("/delta", ARGUMENTS),
            ("/response/status", "in_progressin_progresscompleted"),
        ),
        (
            ANSWERS[3],
            json!({
                "contents": [{"parts": [{"text": USER}]}],
                "tools": [{"functionDeclarations": [{"name": "run_shell_command", "parameters": schema()}]}],
            }),
            ("/candidates/0/content/parts/0/functionCall/args/command", "printf 42"),
            ("/candidates/0/finishReason", "STOP"),
        ),
    ];
    for (path, mut fields, (pieces, arguments), (finish, reason)) in rows {
        fields["stream"] = json!(true);
        let events = exchange(&simulator, &asking(path, fields)).await.events();
        assert_eq!(joined(&events, pieces), arguments, "{path}");
        assert_eq!(joined(&events, finish), reason, "{path}");
    }
}

#[tokio::test]
async fn a_demanded_object_is_given() {
    let simulator = start(script("hello")).await;
    let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]});
    let wrapped = json!({"type": "json_schema", "schema": schema});
    for (path, fields, text) in [
        ("/v1/messages", json!({"output_config": {"format": wrapped}}), "/content/0/text"),
        (
            "/v1/chat/completions",
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "t", "schema": schema}}}),
            "/choices/0/message/content",
        ),
        ("/v1/responses", json!({"text": {"format": wrapped}}), "/output/0/content/0/text"),
        (
            "/v1beta/models/m:generateContent",
            json!({"generationConfig": {"responseJsonSchema": schema}}),
            "/candidates/0/content/parts/0/text",
        ),
    ] {
        let answer = exchange(&simulator, &asking(path, fields)).await.json();
        assert_eq!(answer.pointer(text), Some(&json!(r#"{"title":"x"}"#)), "{path}: {answer}");
    }
}

#[tokio::test]
async fn tools_can_be_ignored() {
    let simulator = start(Script { tools: Tools::Ignore, ..script("hello") }).await;
    let fields =
        json!({"messages": [{"role": "user", "content": "run `ls`"}], "tools": [{"name": "Bash", "input_schema": {}}]});
    let answer = exchange(&simulator, &asking(ANSWERS[0], fields)).await.json();
    assert_eq!(answer["content"], json!([{"type": "text", "text": "hello"}]));
}

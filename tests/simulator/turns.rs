//! What an agent needs: tool calls, results, demanded objects.

use serde_json::json;
use tollgate::simulator::{Script, Tools};

use crate::raw::{ANSWERS, asking, exchange, joined, script, start};

/// A turn in each dialect: the request with a command and the client's tools, the place of the call's name and arguments
/// in the answer, and the request that carries the result.
#[tokio::test]
async fn a_command_is_run_and_reported() {
    let simulator = start(script("hello")).await;
    let user = "run `printf 42` and tell me";
    let schema = json!({"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]});
    let anthropic = json!([{"name": "Bash", "input_schema": schema}]);
    let chat = json!([{"type": "function", "function": {"name": "bash", "parameters": schema}}]);
    let nested = json!([{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "exec_command", "parameters": {"properties": {"cmd": {}}}}]}]);
    let gemini = json!([{"functionDeclarations": [{"name": "run_shell_command", "parametersJsonSchema": schema}]}]);
    let rows = [
        (
            "/v1/messages",
            json!({"messages": [{"role": "user", "content": user}], "tools": anthropic}),
            "/content/1",
            json!({"type": "tool_use", "id": "toolu_0000000000000000", "name": "Bash", "input": {"command": "printf 42"}}),
            json!({"messages": [{"role": "user", "content": user}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "42"}]}]}]}),
            "/content/0/text",
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": user}]}], "tools": chat}),
            "/choices/0/message/tool_calls/0/function",
            json!({"name": "bash", "arguments": r#"{"command":"printf 42"}"#}),
            json!({"messages": [{"role": "user", "content": user}, {"role": "tool", "tool_call_id": "t", "content": "42"}]}),
            "/choices/0/message/content",
        ),
        (
            "/v1/responses",
            json!({"input": user, "tools": nested}),
            "/output/0",
            json!({"id": "fc_0000000000000000", "type": "function_call", "status": "completed", "call_id": "call_0000000000000000", "name": "exec_command", "arguments": r#"{"cmd":"printf 42"}"#}),
            json!({"input": [{"role": "user", "content": user}, {"type": "function_call_output", "call_id": "c", "output": "42"}]}),
            "/output/0/content/0/text",
        ),
        (
            "/v1/responses",
            json!({"input": [{"type": "additional_tools", "tools": [{"type": "custom", "name": "exec"}]}, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": user}]}]}),
            "/output/0/type",
            json!("custom_tool_call"),
            json!({"input": [{"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "42"}]}]}),
            "/output/0/content/0/text",
        ),
        (
            "/v1beta/models/m:generateContent",
            json!({"contents": [{"parts": [{"text": user}]}], "tools": gemini}),
            "/candidates/0/content/parts/0/functionCall",
            json!({"name": "run_shell_command", "args": {"command": "printf 42"}, "id": "0000000000000000"}),
            json!({"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "run_shell_command", "response": {"output": "42"}}}]}]}),
            "/candidates/0/content/parts/0/text",
        ),
    ];
    for (path, first, place, call, second, text) in rows {
        let answer = exchange(&simulator, &asking(path, first)).await.json();
        assert_eq!(answer.pointer(place), Some(&call), "{path}: {answer}");
        let answer = exchange(&simulator, &asking(path, second)).await.json();
        assert_eq!(answer.pointer(text), Some(&json!("FINAL: the command printed: 42")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_streamed_call_says_what_the_json_call_says() {
    let simulator = start(script("hello")).await;
    let user = "run `printf 42`";
    let schema = json!({"type": "object", "properties": {"command": {"type": "string"}}});
    let rows = [
        (
            "/v1/messages",
            json!({"messages": [{"role": "user", "content": user}], "tools": [{"name": "Bash", "input_schema": schema}]}),
            "/delta/partial_json",
            "/delta/stop_reason",
            "tool_use",
        ),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": user}], "tools": [{"type": "function", "function": {"name": "bash", "parameters": schema}}]}),
            "/choices/0/delta/tool_calls/0/function/arguments",
            "/choices/0/finish_reason",
            "tool_calls",
        ),
        (
            "/v1/responses",
            json!({"input": user, "tools": [{"type": "function", "name": "shell", "parameters": schema}]}),
            "/delta",
            "/response/status",
            "in_progressin_progresscompleted",
        ),
    ];
    for (path, mut fields, pieces, finish, reason) in rows {
        fields["stream"] = json!(true);
        let events = exchange(&simulator, &asking(path, fields)).await.events();
        assert_eq!(joined(&events, pieces), r#"{"command":"printf 42"}"#, "{path}");
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

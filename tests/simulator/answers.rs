//! The shape of every dialect's answers, as one document and as a stream.

use serde_json::{Value, json};
use tollgate::simulator::Script;

use crate::raw::{ANSWERS, End, ask, asking, exchange, joined, request, script, start, with_tokens};

#[tokio::test]
async fn anthropic_json() {
    let simulator = start(with_tokens()).await;
    let raw = exchange(&simulator, &ask(ANSWERS[0], false)).await;
    let answer = raw.json();
    assert_eq!((raw.status(), raw.header("content-type")), (200, "application/json"));
    assert!(raw.header("request-id").starts_with("req_"));
    assert_eq!(answer["content"], json!([{"type": "text", "text": "hello there"}]));
    assert_eq!(
        (&answer["type"], &answer["role"], &answer["model"]),
        (&json!("message"), &json!("assistant"), &json!("m"))
    );
    assert_eq!(answer["stop_reason"], "end_turn");
    let usage = &answer["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cache_read_input_tokens"]), (&json!(1000), &json!(200)));
    assert_eq!(usage["cache_creation_input_tokens"], 34);
    let written = json!({"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 4});
    assert_eq!(usage["cache_creation"], written);
    assert_eq!((&usage["output_tokens"], &usage["output_tokens_details"]["thinking_tokens"]), (&json!(50), &json!(20)));
}

#[tokio::test]
async fn anthropic_stream() {
    let simulator = start(with_tokens()).await;
    let raw = exchange(&simulator, &ask(ANSWERS[0], true)).await;
    assert_eq!((raw.end, raw.header("content-type")), (End::Complete, "text/event-stream; charset=utf-8"));
    let events = raw.events();
    assert!(events.iter().all(|(name, data)| data["type"] == **name));
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    let grammar = [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, grammar);
    assert_eq!(joined(&events, "/delta/text"), "hello there");
    assert_eq!(events[0].1["message"]["usage"]["input_tokens"], 1000);
    assert_eq!(events[0].1["message"]["usage"]["output_tokens"], 1);
    let (_, end) = &events[events.len() - 2];
    assert_eq!((&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]), (&json!("end_turn"), &json!(50)));
    assert_eq!(end["usage"]["cache_creation_input_tokens"], 34);
}

#[tokio::test]
async fn anthropic_thinks_when_asked() {
    let simulator = start(script("hello")).await;
    for (thinking, thought) in [
        (json!({"type": "adaptive", "display": "omitted"}), false),
        (json!({"type": "enabled", "budget_tokens": 2000}), true),
    ] {
        let raw = exchange(&simulator, &asking(ANSWERS[0], json!({"stream": true, "thinking": thinking}))).await;
        let events = raw.events();
        assert_eq!(joined(&events, "/content_block/type"), "thinkingtext");
        assert_eq!(!joined(&events, "/delta/thinking").is_empty(), thought);
        let signature = joined(&events, "/delta/signature");
        assert!(signature.len() > 50);
        let whole = exchange(&simulator, &asking(ANSWERS[0], json!({"thinking": thinking}))).await.json();
        assert_eq!(whole["content"][0]["type"], "thinking");
        assert_eq!(whole["content"][0]["signature"], signature);
    }
}

#[tokio::test]
async fn chat_json() {
    let simulator = start(with_tokens()).await;
    let answer = exchange(&simulator, &ask(ANSWERS[1], false)).await.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "hello there");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let usage = &answer["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(1234), &json!(50)));
    assert_eq!(usage["total_tokens"], 1284);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 200);
    assert_eq!(usage["prompt_tokens_details"]["cache_write_tokens"], 34);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 20);
}

#[tokio::test]
async fn chat_stream() {
    let simulator = start(with_tokens()).await;
    let events = exchange(&simulator, &ask(ANSWERS[1], true)).await.events();
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!(last.1, "[DONE]");
    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!((&usage.1["choices"], &usage.1["usage"]["total_tokens"]), (&json!([]), &json!(1284)));
    assert!(chunks.iter().all(|(name, data)| name.is_empty() && data["object"] == "chat.completion.chunk"));
    assert!(chunks.iter().all(|(_, data)| data.get("usage") == Some(&Value::Null)));
    assert_eq!(chunks[0].1["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(joined(chunks, "/choices/0/delta/content"), "hello there");
    assert_eq!(chunks[chunks.len() - 1].1["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn chat_tells_no_usage_that_was_not_asked_for() {
    let simulator = start(with_tokens()).await;
    let raw = exchange(&simulator, &asking(ANSWERS[1], json!({"stream": true}))).await;
    assert!(!raw.text().contains("usage"));
    assert!(raw.text().ends_with("\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"));
}

#[tokio::test]
async fn responses_json() {
    let simulator = start(with_tokens()).await;
    let answer = exchange(&simulator, &ask(ANSWERS[2], false)).await.json();
    assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
    for needed in ["id", "created_at", "model", "parallel_tool_calls", "tool_choice", "tools"] {
        assert!(answer.get(needed).is_some(), "{needed}");
    }
    assert_eq!(answer["output"][0]["content"][0]["text"], "hello there");
    let usage = json!({
        "input_tokens": 1234, "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 34},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 20}, "total_tokens": 1284,
    });
    assert_eq!(answer["usage"], usage);
}

#[tokio::test]
async fn responses_stream() {
    let simulator = start(with_tokens()).await;
    let fields = json!({
        "stream": true, "input": "hello",
        "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"],
    });
    let events = exchange(&simulator, &asking(ANSWERS[2], fields)).await.events();
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["sequence_number"], &data["type"]), (&json!(number), &json!(name)));
    }
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.strip_prefix("response.").unwrap()).collect();
    names.dedup();
    let grammar = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names, grammar);
    let texts: Vec<_> = events.iter().filter(|(name, _)| name == "response.output_text.delta").cloned().collect();
    assert_eq!(joined(&texts, "/delta"), "hello there");
    let response = &events[events.len() - 1].1["response"];
    assert_eq!(response["usage"]["total_tokens"], 1284);
    assert!(response["output"][0]["encrypted_content"].as_str().is_some_and(|proof| proof.len() > 50));
    let done: Vec<_> =
        events.iter().filter(|(name, _)| name == "response.output_item.done").map(|(_, data)| &data["item"]).collect();
    assert_eq!(json!(done), response["output"]);
}

#[tokio::test]
async fn gemini_json_and_streams() {
    let simulator = start(with_tokens()).await;
    let answer = exchange(&simulator, &ask(ANSWERS[3], false)).await.json();
    let usage = json!({
        "promptTokenCount": 1234, "candidatesTokenCount": 30, "totalTokenCount": 1284, "cachedContentTokenCount": 200,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1234}], "thoughtsTokenCount": 20,
    });
    assert_eq!(answer["candidates"][0]["content"]["parts"], json!([{"text": "hello there"}]));
    assert_eq!((&answer["usageMetadata"], &answer["modelVersion"]), (&usage, &json!("m")));

    let raw = exchange(&simulator, &ask(ANSWERS[3], true)).await;
    assert!(raw.text().ends_with("}\r\n\r\n") && !raw.text().contains("event:"));
    let chunks: Vec<Value> = raw.events().into_iter().map(|(_, data)| data).collect();

    let array = request("POST", "/v1beta/models/m:streamGenerateContent", "", r#"{"contents":[]}"#);
    let raw = exchange(&simulator, &array).await;
    assert_eq!((raw.header("content-type"), raw.json()), ("application/json", json!(chunks)));

    let text = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(chunks.iter().map(text).collect::<String>(), "hello there");
    let finished = chunks.iter().filter(|chunk| chunk["candidates"][0]["finishReason"] == "STOP").count();
    assert_eq!((finished, &chunks[chunks.len() - 1]["usageMetadata"]), (1, &usage));
}

#[tokio::test]
async fn gemini_thinks_when_asked() {
    let simulator = start(script("hello")).await;
    let fields = json!({"contents": [], "generationConfig": {"thinkingConfig": {"includeThoughts": true}}});
    let events = exchange(&simulator, &asking(ANSWERS[3], fields.clone())).await.events();
    assert_eq!(events[0].1["candidates"][0]["content"]["parts"][0]["thought"], true);
    let signature = joined(&events, "/candidates/0/content/parts/0/thoughtSignature");
    assert!(signature.len() > 50);
    let whole = exchange(&simulator, &asking("/v1beta/models/m:generateContent", fields)).await.json();
    assert_eq!(whole["candidates"][0]["content"]["parts"][1]["thoughtSignature"], signature);
}

#[tokio::test]
async fn usage_can_be_withheld() {
    let simulator = start(Script { report_usage: false, ..script("hi") }).await;
    for path in ANSWERS {
        for stream in [false, true] {
            let raw = exchange(&simulator, &ask(path, stream)).await;
            assert!(
                raw.status() == 200 && !raw.text().contains("1320") && !raw.text().contains("1000"),
                "{path}: {raw:?}"
            );
        }
    }
}

//! Everything around an answer: other paths, refused bodies, keys, ids, headers.

use serde_json::{Value, json};
use tollgate::simulator::Script;

use crate::raw::{ANSWERS, ask, exchange, request, script, start, with_tokens};

#[tokio::test]
async fn without_a_model() {
    let simulator = start(with_tokens()).await;
    let rows = [
        ("POST", "/v1/messages/count_tokens", "", 200, "/input_tokens", json!(1234)),
        ("POST", "/v1/responses/input_tokens", "", 200, "/input_tokens", json!(1234)),
        ("POST", "/v1/responses/compact", "", 200, "/object", json!("response.compaction")),
        ("POST", "/v1beta/models/m:countTokens", "", 200, "/totalTokens", json!(1234)),
        ("GET", "/v1/models", "", 200, "/data/0/object", json!("model")),
        ("GET", "/v1/models", "anthropic-version: 2023-06-01\r\n", 200, "/data/0/type", json!("model")),
        ("GET", "/v1beta/models", "", 200, "/models/0/name", json!("models/claude-sonnet-4-5")),
        ("GET", "/v1/models/gpt-5.5", "", 200, "/id", json!("gpt-5.5")),
        ("GET", "/v1/models/none", "", 404, "/error/code", json!("model_not_found")),
        ("GET", "/other", "anthropic-version: 2023-06-01\r\n", 404, "/error/type", json!("not_found_error")),
        ("GET", "/v1/responses", "connection: upgrade\r\nupgrade: websocket\r\n", 426, "/error/param", Value::Null),
        ("DELETE", "/v1/messages", "", 404, "/error/type", json!("invalid_request_error")),
    ];
    for (method, path, headers, status, place, want) in rows {
        let raw = exchange(&simulator, &request(method, path, headers, "")).await;
        assert_eq!((raw.status(), raw.json().pointer(place)), (status, Some(&want)), "{method} {path}");
    }
    let content = r#"{"content":{"parts":[{"text":"a"}]}}"#;
    let rows = [
        ("/v1/embeddings", r#"{"model":"e","input":["a","b"]}"#, 200, "/data/1/index", json!(1)),
        ("/v1/embeddings", r#"{"model":"e","input":["a","b"]}"#, 200, "/usage/prompt_tokens", json!(1234)),
        ("/v1/embeddings", r#"{"input":"a"}"#, 400, "/error/type", json!("invalid_request_error")),
        ("/v1beta/models/e:embedContent", "{}", 400, "/error/status", json!("INVALID_ARGUMENT")),
    ];
    for (path, body, status, place, want) in rows {
        let raw = exchange(&simulator, &request("POST", path, "", body)).await;
        assert_eq!((raw.status(), raw.json().pointer(place)), (status, Some(&want)), "{path} {body}");
    }
    let raw = exchange(&simulator, &request("POST", "/v1beta/models/e:embedContent", "", content)).await;
    assert_eq!(raw.json()["embedding"]["values"].as_array().map(Vec::len), Some(16));
    let raw = exchange(&simulator, &request("GET", "/api/hello", "", "")).await;
    assert_eq!((raw.status(), raw.text().as_str()), (200, ""));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_dialects_shape() {
    let simulator = start(script("hello")).await;
    let rows = [
        ("/v1/messages", "/error/type", json!("invalid_request_error")),
        ("/v1/chat/completions", "/error/type", json!("invalid_request_error")),
        ("/v1/responses", "/error/type", json!("invalid_request_error")),
        ("/v1beta/models/m:generateContent", "/error/status", json!("INVALID_ARGUMENT")),
    ];
    for (path, place, want) in rows {
        for body in ["", "{", "[]", "3", "{\"model\":4,\"contents\":"] {
            let raw = exchange(&simulator, &request("POST", path, "", body)).await;
            assert_eq!((raw.status(), raw.json().pointer(place)), (400, Some(&want)), "{path} {body}");
        }
    }
    let raw = exchange(&simulator, &request("POST", "/v1/messages", "", "{}")).await;
    assert!(raw.status() == 400 && raw.text().contains("model"), "{raw:?}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let simulator = start(script("hello")).await;
    let padding = " ".repeat(65 * 1024 * 1024);
    let raw = exchange(&simulator, &request("POST", "/v1/messages", "", &padding)).await;
    assert_eq!((raw.status(), &raw.json()["error"]["type"]), (413, &json!("request_too_large")));
    assert_eq!(raw.header("connection"), "close");
}

#[tokio::test]
async fn a_key_can_be_required() {
    let simulator = start(Script { key: Some("sk-right".into()), ..script("hello") }).await;
    let rows = [
        ("", "", 401),
        ("", "x-api-key: sk-wrong\r\n", 401),
        ("", "authorization: sk-right\r\n", 401),
        ("", "x-api-key: sk-right\r\n", 200),
        ("", "authorization: Bearer sk-right\r\n", 200),
        ("", "x-goog-api-key: sk-right\r\n", 200),
        ("?alt=sse&key=sk-right", "", 200),
    ];
    for (query, headers, status) in rows {
        let raw =
            exchange(&simulator, &request("POST", &format!("/v1/messages{query}"), headers, r#"{"model":"m"}"#)).await;
        assert_eq!(raw.status(), status, "{query} {headers}");
    }
}

#[tokio::test]
async fn ids_differ_unless_fixed() {
    for fixed_ids in [false, true] {
        let simulator = start(Script { fixed_ids, ..script("hello") }).await;
        for path in ANSWERS {
            for stream in [false, true] {
                let one = exchange(&simulator, &ask(path, stream)).await.bytes();
                let other = exchange(&simulator, &ask(path, stream)).await.bytes();
                assert_eq!(one == other, fixed_ids, "{path}");
                assert_eq!(one.len(), other.len(), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn script_headers_and_model_are_in_every_answer() {
    let headers = serde_json::from_str(r#"{"x-mine":"1","openai-organization":"org-other"}"#).unwrap();
    let simulator = start(Script { headers, model: Some("other".into()), ..script("hello") }).await;
    let raw = exchange(&simulator, &ask(ANSWERS[1], false)).await;
    assert_eq!((raw.header("x-mine"), raw.header("openai-organization")), ("1", "org-other"));
    assert_eq!(raw.json()["model"], "other");
}

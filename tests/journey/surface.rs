//! The calls beside the four that every agent makes: embeddings, compaction, token counts.

use serde_json::Value;

use crate::scripted::{Act, Gateway, RULES, json, post, read};

async fn value(answer: crate::scripted::Answered) -> Value {
    let (body, whole) = read(answer.into_body()).await;
    assert!(whole);
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn unary_calls_reach_their_provider_under_their_name_and_are_metered() {
    const CHAT: &str = r#"{"object":"list","data":[],"model":"x","usage":{"prompt_tokens":11,"total_tokens":11}}"#;
    const COMPACT: &str =
        r#"{"id":"resp_1","object":"response.compaction","usage":{"input_tokens":11,"output_tokens":3}}"#;
    const GEMINI: &str = r#"{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":11}}"#;
    let model = r#"{"model":"alias","input":"a"}"#;
    let renamed = r#"{"model":"real-name","input":"a"}"#;
    let content = r#"{"content":{"parts":[{"text":"a"}]}}"#;
    for (path, body, answer, upstream, want) in [
        ("/v1/embeddings", model, CHAT, "/base/v1/embeddings", renamed),
        ("/openai/v1/embeddings", model, CHAT, "/base/v1/embeddings", renamed),
        ("/v1/responses/compact", model, COMPACT, "/base/v1/responses/compact", renamed),
        ("/backend-api/codex/responses/compact", model, COMPACT, "/base/v1/responses/compact", renamed),
        ("/v1/responses/input_tokens", model, COMPACT, "/base/v1/responses/input_tokens", renamed),
        ("/v1beta/models/alias:embedContent", content, GEMINI, "/base/v1beta/models/real-name:embedContent", content),
        (
            "/models/m:batchEmbedContents?key=tk-0123456789abcdef",
            "{}",
            GEMINI,
            "/base/v1beta/models/m:batchEmbedContents",
            "{}",
        ),
    ] {
        let gateway = Gateway::new(vec![json(200, answer)]);
        let got = gateway.ask(post(path, body)).await;
        assert_eq!(got.status(), 200, "{path}");
        assert_eq!(read(got.into_body()).await, (answer.as_bytes().to_vec(), true), "{path}");
        let seen = gateway.stage.seen.lock().unwrap();
        assert_eq!((&*seen[0].path, &*String::from_utf8_lossy(&seen[0].body)), (upstream, want), "{path}");
        let page = gateway.core.metrics.render();
        assert!(page.contains("kind=\"input\"} 11\n"), "{path}: {page}");
    }
}

#[tokio::test]
async fn unary_calls_are_refused_in_their_dialects_shape() {
    let limited = format!("{RULES}models = [\"m\"]\n[limits]\nrequest_body = 100\n");
    let long = format!(r#"{{"model":"m","input":"{}"}}"#, "a".repeat(100));
    for (what, path, body, status, place, word) in [
        ("not allowed", "/v1/embeddings", r#"{"model":"alias"}"#, 403, "/error/code", "permission_denied"),
        ("unknown path", "/v1/embeddings/x", "{}", 404, "/error/code", "unknown_url"),
        ("too large", "/v1/embeddings", &long, 413, "/error/type", "invalid_request_error"),
        ("no model", "/v1/responses/compact", "{}", 400, "/error/code", "invalid_prompt"),
        ("not allowed", "/v1/responses/compact", r#"{"model":"alias"}"#, 403, "/error/code", "model_not_found"),
        ("not allowed", "/v1beta/models/alias:embedContent", "{}", 404, "/error/status", "NOT_FOUND"),
        ("broken", "/v1beta/models/m:batchEmbedContents", "{", 400, "/error/status", "INVALID_ARGUMENT"),
    ] {
        let gateway = Gateway::with(&limited, vec![], 1);
        let answer = gateway.ask(post(path, body.to_owned())).await;
        assert_eq!(answer.status(), status, "{what} {path}");
        let body = value(answer).await;
        assert_eq!(body.pointer(place), Some(&Value::from(word)), "{what} {path}: {body}");
        assert!(gateway.attempts().is_empty(), "{what} {path}");
    }
    let gateway = Gateway::new(vec![]);
    for model in ["alias", "via/q"] {
        let path = format!("/v1beta/models/{model}:batchEmbedContents");
        let answer = gateway.ask(post(&path, format!(r#"{{"requests":[{{"model":"models/{model}"}}]}}"#))).await;
        assert_eq!(answer.status(), 400, "{model}");
        assert!(value(answer).await.to_string().contains("requests[].model"), "{model}: its inner names would stay");
    }
    let gateway = Gateway::new(vec![Act::Refuse]);
    assert_eq!(gateway.ask(post("/v1/embeddings", r#"{"model":"m"}"#)).await.status(), 503);
}

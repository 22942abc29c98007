//! Stored things that bodies name: in every dialect and every place, a team's own pass as they came, and no other team's do.

use http::{Method, Request};
use serde_json::Value;

use crate::scripted::{Answered, Gateway, KEY, RULES, Then, Upload, json, read};

const MORE: &str = r#"allow_unmetered = true
[[key]]
name = "mate"
team = "core"
secret = { env = "MATE" }
[[key]]
name = "rival"
team = "other"
allow_unmetered = true
secret = { env = "RIVAL" }
[[provider]]
name = "four"
speaks = ["responses"]
base_url = "http://four.test"
[[model]]
name = "r4"
provider = "four"
[unmetered]
anthropic = "one"
"#;
const MINE: &str = KEY;
const MATE: &str = "tk-mate-0123456789";
const RIVAL: &str = "tk-rival-0123456789";

/// What is made, and what the provider says.
const THINGS: &[(&str, &str)] = &[
    ("/v1/files", r#"{"id":"file-1"}"#),
    ("/anthropic/v1/files", r#"{"id":"file_1"}"#),
    ("/v1/vector_stores", r#"{"id":"vs_1"}"#),
    ("/v1/containers", r#"{"id":"cntr_1"}"#),
    ("/v1/conversations", r#"{"id":"conv_1"}"#),
    ("/upload/v1beta/files", r#"{"file":{"name":"files/gem-1"}}"#),
    ("/v1beta/cachedContents", r#"{"name":"cachedContents/cc-1"}"#),
];

fn rules() -> String {
    format!("{RULES}{MORE}")
}

async fn ask(gateway: &Gateway, key: &str, path: &str, kind: &str, body: &str) -> Answered {
    let request = Request::builder().method(Method::POST).uri(path).header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", kind).header("x-goog-upload-protocol", "multipart");
    let (head, tail) = body.split_at(body.len() / 2);
    let frames = [head.to_owned().into(), tail.to_owned().into()].into();
    gateway.ask(request.body(Upload { frames, then: Then::End }).unwrap()).await
}

async fn told(answer: Answered) -> (u16, Value) {
    let status = answer.status().as_u16();
    let mut body: Value = serde_json::from_slice(&read(answer.into_body()).await.0).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.remove("request_id");
    }
    (status, body)
}

/// With every kind of thing made, by one team.
async fn gateway() -> Gateway {
    let acts = THINGS.iter().map(|(_, answer)| json(200, answer)).collect();
    let gateway = Gateway::with(&rules(), acts, 1);
    for (path, _) in THINGS {
        let (kind, body) = if path.contains("files") {
            ("multipart/form-data; boundary=b", "--b--")
        } else {
            ("application/json", "{}")
        };
        assert_eq!(told(ask(&gateway, MINE, path, kind, body).await).await.0, 200, "{path}");
    }
    gateway
}

/// A path, a body that names something at ID, and what was made for one team.
const PLACES: &[(&str, &str, &str)] = &[
    (
        "/v1/messages",
        r#"{"model":"m","messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"ID"}}]}]}"#,
        "file_1",
    ),
    (
        "/v1/messages",
        r#"{"model":"m","messages":[{"content":[{"type":"container_upload","file_id":"ID"}]}]}"#,
        "file_1",
    ),
    (
        "/v1/messages",
        r#"{"model":"m","messages":[{"content":[{"source":{"type":"file","file\u005fid":"ID"}}]}]}"#,
        "file_1",
    ),
    ("/v1/messages/count_tokens", r#"{"model":"m","messages":[{"content":[{"source":{"file_id":"ID"}}]}]}"#, "file_1"),
    (
        "/v1/chat/completions",
        r#"{"model":"m","messages":[{"content":[{"type":"file","file":{"file_id":"ID"}}]}]}"#,
        "file-1",
    ),
    ("/v1/chat/completions", r#"{"messages":[{"content":[{"file":{"fil\u0065_id" : "ID"}}]}],"model":"m"}"#, "file-1"),
    (
        "/v1/responses",
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"ID"}]}]}"#,
        "file-1",
    ),
    (
        "/v1/responses/compact",
        r#"{"model":"m","input":[{"content":[{"type":"input_image","file_id":"ID"}]}]}"#,
        "file-1",
    ),
    ("/v1/responses/input_tokens", r#"{"model":"m","input":[{"content":[{"file_id":"ID"}]}]}"#, "file-1"),
    ("/v1/responses", r#"{"model":"m","input":"a","conversation":{"id":"ID"}}"#, "conv_1"),
    ("/v1/responses", r#"{"model":"m","input":"a","tools":[{"type":"code_interpreter","container":"ID"}]}"#, "cntr_1"),
    (
        "/v1/responses",
        r#"{"model":"m","tools":[{"container":{"type":"auto","file_ids":["ID"]}}],"input":"a"}"#,
        "file-1",
    ),
    (
        "/v1/responses",
        r#"{"model":"m","tools":[{"type":"file_search","vector_store_ids":["ID"]}],"input":"a"}"#,
        "vs_1",
    ),
    (
        "/v1/responses",
        r#"{"model":"m","tools":[{"type":"shell","environment":{"container_id":"ID"}}],"input":"a"}"#,
        "cntr_1",
    ),
    (
        "/v1beta/models/m:generateContent",
        r#"{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/ID"}}]}]}"#,
        "gem-1",
    ),
    (
        "/v1beta/models/m:streamGenerateContent",
        r#"{"contents":[{"parts":[{"file_data":{"file\u005furi":"files/ID"}}]}]}"#,
        "gem-1",
    ),
    ("/v1beta/models/m:generateContent", r#"{"contents":[],"cachedContent":"cachedContents/ID"}"#, "cc-1"),
    ("/v1beta/models/m:generateContent", r#"{"contents":[],"cached_content":"cachedContents\/ID"}"#, "cc-1"),
    ("/v1beta/models/m:countTokens", r#"{"generateContentRequest":{"cachedContent":"cachedContents/ID"}}"#, "cc-1"),
    ("/v1beta/models/m:embedContent", r#"{"content":{"parts":[{"fileData":{"fileUri":"files/ID"}}]}}"#, "gem-1"),
    ("/v1/vector_stores", r#"{"file_ids":["ID"]}"#, "file-1"),
    ("/v1/containers", r#"{"name":"c","file_ids":["ID"]}"#, "file-1"),
    ("/v1/containers/cntr_1/files", r#"{"file_id":"ID"}"#, "file-1"),
    ("/v1/vector_stores/vs_1/files", r#"{"file_\u0069d":"ID"}"#, "file-1"),
    ("/v1/vector_stores/vs_1/file_batches", r#"{"file_ids":["ID"]}"#, "file-1"),
    ("/v1/conversations/conv_1/items", r#"{"items":[{"content":[{"type":"input_file","file_id":"ID"}]}]}"#, "file-1"),
    ("/v1/images/edits", r#"{"images":[{"file_id":"ID"}],"prompt":"a cat"}"#, "file-1"),
    (
        "/v1/messages/batches",
        r#"{"requests":[{"params":{"messages":[{"content":[{"source":{"file_id":"ID"}}]}]}}]}"#,
        "file_1",
    ),
    ("/v1beta/cachedContents", r#"{"contents":[{"parts":[{"fileData":{"fileUri":"files/ID"}}]}]}"#, "gem-1"),
    (
        "/v1beta/models/m:batchGenerateContent",
        r#"{"batch":{"inputConfig":{"requests":{"requests":[{"request":{"cachedContent":"cachedContents/ID"}}]}}}}"#,
        "cc-1",
    ),
];

#[tokio::test]
async fn what_a_body_names_must_be_its_teams_own() {
    for (path, body, id) in PLACES {
        let gateway = gateway().await;
        let made = gateway.attempts().len();
        let (own, never) = (body.replace("ID", id), body.replace("ID", "id-0"));
        for key in [RIVAL, MINE] {
            let unknown = told(ask(&gateway, key, path, "application/json", &never).await).await;
            assert_eq!(unknown.0, 404, "{path} {never}: {}", unknown.1);
            assert!(key == RIVAL || unknown.1.to_string().contains("id-0"), "{path} {body}: {}", unknown.1);
        }
        let theirs = told(ask(&gateway, RIVAL, path, "application/json", &own).await).await;
        assert_eq!(theirs.0, 404, "{path} {own}");
        assert_eq!(gateway.attempts().len(), made, "{path} {body}: nothing has left");
        gateway.stage.acts.lock().unwrap().push_back(json(200, "{}"));
        assert_eq!(told(ask(&gateway, MINE, path, "application/json", &own).await).await.0, 200, "{path} {own}");
        let seen = gateway.stage.seen.lock().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.last().unwrap().body), own, "{path}: as it came");
    }
}

#[tokio::test]
async fn teammates_share_and_need_no_permission_to_name() {
    let gateway = gateway().await;
    gateway.stage.acts.lock().unwrap().push_back(json(200, "{}"));
    let body = r#"{"model":"m","input":[{"content":[{"file_id":"file-1"}]}]}"#;
    assert_eq!(told(ask(&gateway, MATE, "/v1/responses", "application/json", body).await).await.0, 200);
    // Another provider has never heard of it.
    let body = body.replace("\"m\"", "\"r4\"");
    assert_eq!(told(ask(&gateway, MATE, "/v1/responses", "application/json", &body).await).await.0, 404);
}

#[tokio::test]
async fn what_nobody_makes_here_is_nobodys() {
    let gateway = Gateway::with(&rules(), vec![], 1);
    for (path, body) in [
        ("/v1/responses", r#"{"model":"m","prompt":{"id":"pmpt_1"}}"#),
        ("/v1/responses", r#"{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}"#),
        ("/v1/responses", r#"{"model":"m","input":[{"id":"msg_1"}]}"#),
        ("/v1/responses", r#"{"model":"m","input":[{"type":"reasoning","id":"rs_1","summary":[]}]}"#),
        ("/v1/messages", r#"{"model":"m","container":"container_1"}"#),
        ("/v1/chat/completions", r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_1"}}]}"#),
        (
            "/v1beta/models/m:generateContent",
            r#"{"tools":[{"fileSearch":{"fileSearchStoreNames":["fileSearchStores/a"]}}]}"#,
        ),
    ] {
        assert_eq!(told(ask(&gateway, MINE, path, "application/json", body).await).await.0, 404, "{path} {body}");
    }
    assert!(gateway.attempts().is_empty());
}

#[tokio::test]
async fn what_agents_send_names_nothing() {
    for (path, body) in [
        (
            "/v1/messages",
            r#"{"model":"m","tools":[{"input_schema":{"properties":{"file_id":{"type":"string"}}}}],"messages":[{"content":[{"type":"tool_use","id":"t","input":{"file_id":"drive-1","container":"x"}}]}]}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"m","input":[{"type":"message","id":"msg_1","role":"assistant","content":[]},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"},{"type":"function_call","id":"fc_1","call_id":"c","name":"n","arguments":"{\"file_id\":\"x\"}"},{"type":"function_call_output","call_id":"c","output":"file_id"}]}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"m","tools":[{"function":{"parameters":{"properties":{"file_id":{}}}}}]}"#,
        ),
        (
            "/v1beta/models/m:generateContent",
            r#"{"contents":[{"parts":[{"functionCall":{"args":{"fileUri":"files/a"}}},{"fileData":{"fileUri":"https://www.youtube.com/watch?v=1"}}]}]}"#,
        ),
    ] {
        let gateway = Gateway::with(&rules(), vec![json(200, "{}")], 1);
        let (status, told) = told(ask(&gateway, MINE, path, "application/json", body).await).await;
        assert_eq!(status, 200, "{path} {body}: {told}");
    }
}

#[tokio::test]
async fn a_batch_is_made_of_calls_that_were_read() {
    let form = |file: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n{file}\r\n--b--\r\n"
        )
    };
    let call = |id: &str| format!(r#"{{"body":{{"model":"m","input":[{{"content":[{{"file_id":"{id}"}}]}}]}}}}"#);
    for (name, file, want) in [
        ("calls", format!("{}\n{}", call("file-1"), r#"{"body":{}}"#), 200),
        ("one names what is nobody's", format!("{}\n{}", call("file-1"), call("file-0")), 404),
        ("not calls", "{\"a\":1}, {}".to_owned(), 404),
    ] {
        let gateway = gateway().await;
        gateway.stage.acts.lock().unwrap().extend([json(200, r#"{"id":"file-2"}"#), json(200, r#"{"id":"batch_1"}"#)]);
        let kind = "multipart/form-data; boundary=b";
        assert_eq!(
            told(ask(&gateway, MINE, "/v1/files", kind, &form(&file)).await).await.0,
            200,
            "{name}: a file is a file"
        );
        let batch = r#"{"input_file_id":"file-2","endpoint":"/v1/responses"}"#;
        let (status, body) = told(ask(&gateway, MINE, "/v1/batches", "application/json", batch).await).await;
        assert_eq!(status, want, "{name}: {body}");
        assert_eq!(told(ask(&gateway, RIVAL, "/v1/batches", "application/json", batch).await).await.0, 404, "{name}");
    }
    let gateway = gateway().await;
    let batch = r#"{"input_file_id":"file-1"}"#;
    let (status, body) = told(ask(&gateway, MINE, "/v1/batches", "application/json", batch).await).await;
    assert_eq!(status, 404, "a file that was not read: {body}");
    assert!(body.to_string().contains("Upload it in one request"), "{body}");
}

#[tokio::test]
async fn a_body_that_two_could_read_differently_is_refused() {
    let gateway = gateway().await;
    let made = gateway.attempts().len();
    let form = "multipart/form-data; boundary=b";
    for (name, path, kind, body) in [
        ("a form for JSON", "/v1/vector_stores", form, r#"{"file_ids":[]}"#),
        (
            "a form that names a file",
            "/v1/images/edits",
            form,
            "--b\r\ncontent-disposition: form-data; name=\"image[file_id]\"\r\n\r\nfile-1\r\n--b--\r\n",
        ),
        (
            "a form with another spelling",
            "/v1/images/edits",
            form,
            "--b\r\ncontent-disposition: form-data; name*=utf-8''file%5Fid\r\n\r\nfile-1\r\n--b--\r\n",
        ),
        ("url-encoded", "/v1/vector_stores", "application/x-www-form-urlencoded", r#"{"a":"&file_ids[]=file-1"}"#),
        ("related", "/v1/batches", "multipart/related; boundary=b", "{}"),
        ("no JSON", "/v1/vector_stores", "application/json", "file_ids=file-1"),
        ("JSON twice", "/v1/vector_stores", "application/json", "{}{}"),
    ] {
        let (status, body) = told(ask(&gateway, MINE, path, kind, body).await).await;
        assert_eq!(status, 400, "{name}: {body}");
    }
    assert_eq!(gateway.attempts().len(), made);
}

#[tokio::test]
async fn items_and_containers_of_an_answer_are_its_teams() {
    let stored = r#"{"id":"resp_1","output":[{"type":"reasoning","id":"rs_1"},{"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1"}]}"#;
    let messages = r#"{"id":"msg_1","container":{"id":"container_1","expires_at":"x"}}"#;
    for (path, first, answer, then) in [
        (
            "/v1/responses",
            r#"{"model":"m","input":"a"}"#,
            stored,
            r#"{"model":"m","input":[{"type":"item_reference","id":"rs_1"}]}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"m","input":"a"}"#,
            stored,
            r#"{"model":"m","input":[{"type":"reasoning","id":"rs_1","summary":[]}]}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"m","input":"a","store":false,"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}"#,
            stored,
            r#"{"model":"m","input":[{"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1"}]}"#,
        ),
        ("/v1/messages", r#"{"model":"m"}"#, messages, r#"{"model":"m","container":"container_1"}"#),
    ] {
        let gateway = Gateway::with(&rules(), vec![json(200, answer), json(200, "{}")], 1);
        assert_eq!(told(ask(&gateway, MINE, path, "application/json", first).await).await.0, 200);
        assert_eq!(told(ask(&gateway, RIVAL, path, "application/json", then).await).await.0, 404, "{then}");
        assert_eq!(told(ask(&gateway, MATE, path, "application/json", then).await).await.0, 200, "{then}");
    }
    let gateway = Gateway::with(&rules(), vec![json(200, stored)], 1);
    let unstored = r#"{"model":"m","input":"a","store":false}"#;
    assert_eq!(told(ask(&gateway, MINE, "/v1/responses", "application/json", unstored).await).await.0, 200);
    let then = r#"{"model":"m","input":[{"type":"item_reference","id":"rs_1"}]}"#;
    let (status, body) = told(ask(&gateway, MINE, "/v1/responses", "application/json", then).await).await;
    assert_eq!((status, &body["error"]["code"]), (404, &Value::from("previous_response_not_found")));
}

//! What cannot be counted: who may call it, where it goes, and whose the things are that it makes.

use http::{Method, Request};
use serde_json::Value;

use crate::scripted::{Act, Answered, Gateway, KEY, RULES, Then, Upload, json, read};

/// Two more teams, and a provider that only a name chooses.
const MORE: &str = r#"allow_unmetered = true
[unmetered]
anthropic = "one"
[[provider]]
name = "four"
speaks = ["gemini"]
base_url = "http://four.test/base"
[[model]]
name = "g4"
provider = "four"
[[key]]
name = "mate"
team = "core"
allow_unmetered = true
secret = { env = "MATE" }
[[key]]
name = "rival"
team = "other"
allow_unmetered = true
secret = { env = "RIVAL" }
[[key]]
name = "plain"
team = "core"
secret = { env = "LONE" }
"#;
const MINE: &str = KEY;
const MATE: &str = "tk-mate-0123456789";
const RIVAL: &str = "tk-rival-0123456789";
const PLAIN: &str = "tk-lone-0123456789";

fn gateway(acts: Vec<Act>) -> Gateway {
    Gateway::with(&format!("{RULES}{MORE}"), acts, 1)
}

async fn ask(gateway: &Gateway, key: &str, method: Method, path: &str, body: &str) -> Answered {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    let request = match path.starts_with("/upload") {
        true => request.header("x-goog-upload-protocol", "multipart"),
        false => request,
    };
    let frames = [body.to_owned().into()].into();
    gateway.ask(request.body(Upload { frames, then: Then::End }).unwrap()).await
}

async fn told(answer: Answered) -> (u16, Value) {
    let status = answer.status().as_u16();
    let (body, whole) = read(answer.into_body()).await;
    assert!(whole);
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        object.remove("request_id");
    }
    (status, body)
}

/// How a kind of thing is made, what the provider says, and every way to it.
type Kind = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const KINDS: &[Kind] = &[
    (
        "/v1/files",
        r#"{"id":"ID","object":"file"}"#,
        &[("GET", "/v1/files/ID"), ("DELETE", "/v1/files/ID"), ("GET", "/v1/files/ID/content")],
    ),
    (
        "/anthropic/v1/files",
        r#"{"type":"file","id":"ID"}"#,
        &[
            ("GET", "/anthropic/v1/files/ID"),
            ("DELETE", "/anthropic/files/ID"),
            ("GET", "/anthropic/v1/files/ID/content"),
        ],
    ),
    (
        "/v1/messages/batches",
        r#"{"id":"ID","type":"message_batch"}"#,
        &[
            ("GET", "/v1/messages/batches/ID"),
            ("DELETE", "/v1/messages/batches/ID"),
            ("POST", "/v1/messages/batches/ID/cancel"),
            ("GET", "/v1/messages/batches/ID/results"),
        ],
    ),
    ("/v1/batches", r#"{"id":"ID"}"#, &[("GET", "/v1/batches/ID"), ("POST", "/v1/batches/ID/cancel")]),
    (
        "/v1/uploads",
        r#"{"id":"ID"}"#,
        &[("POST", "/v1/uploads/ID/parts"), ("POST", "/v1/uploads/ID/complete"), ("POST", "/v1/uploads/ID/cancel")],
    ),
    (
        "/v1/vector_stores",
        r#"{"id":"ID"}"#,
        &[
            ("GET", "/v1/vector_stores/ID"),
            ("POST", "/v1/vector_stores/ID"),
            ("DELETE", "/v1/vector_stores/ID"),
            ("POST", "/v1/vector_stores/ID/search"),
            ("GET", "/v1/vector_stores/ID/files?limit=9"),
            ("POST", "/v1/vector_stores/ID/files"),
            ("GET", "/v1/vector_stores/ID/files/file-1/content"),
            ("POST", "/v1/vector_stores/ID/file_batches"),
        ],
    ),
    (
        "/v1/containers",
        r#"{"id":"ID"}"#,
        &[("GET", "/v1/containers/ID"), ("GET", "/v1/containers/ID/files/f/content"), ("DELETE", "/v1/containers/ID")],
    ),
    (
        "/v1/conversations",
        r#"{"id":"ID"}"#,
        &[("GET", "/v1/conversations/ID"), ("GET", "/v1/conversations/ID/items"), ("DELETE", "/v1/conversations/ID")],
    ),
    ("/v1/videos", r#"{"id":"ID"}"#, &[("GET", "/v1/videos/ID/content"), ("POST", "/v1/videos/ID/remix")]),
    (
        "/upload/v1beta/files",
        r#"{"file":{"name":"files/ID"}}"#,
        &[("GET", "/v1beta/files/ID"), ("DELETE", "/v1beta/files/ID"), ("GET", "/v1beta/files/ID:download?alt=media")],
    ),
    (
        "/v1beta/cachedContents",
        r#"{"name":"cachedContents/ID"}"#,
        &[
            ("GET", "/v1beta/cachedContents/ID"),
            ("PATCH", "/v1beta/cachedContents/ID"),
            ("DELETE", "/v1beta/cachedContents/ID"),
        ],
    ),
    (
        "/v1beta/models/gemini-x:batchGenerateContent",
        r#"{"name":"batches/ID"}"#,
        &[("GET", "/v1beta/batches/ID"), ("POST", "/v1beta/batches/ID:cancel"), ("DELETE", "/v1beta/batches/ID")],
    ),
];

/// As the rules' own providers, with a name for Gemini's calls.
fn rules() -> String {
    format!("{RULES}{}", MORE.replace("anthropic = \"one\"", "anthropic = \"one\"\ngemini = \"one\""))
}

#[tokio::test]
async fn a_thing_is_its_teams_and_to_others_it_never_was() {
    for (make, answer, ways) in KINDS {
        let answer: &'static str = answer.replace("ID", "id-1").leak();
        let acts = std::iter::repeat_n(json(200, answer), 1 + ways.len()).collect();
        let gateway = Gateway::with(&rules(), acts, 1);
        let made = ask(&gateway, MINE, Method::POST, make, "{}").await;
        assert_eq!(
            (made.status().as_u16(), read(made.into_body()).await.0),
            (200, answer.as_bytes().to_vec()),
            "{make}"
        );
        for (method, way) in *ways {
            let method = || method.parse::<Method>().unwrap();
            let (way, nowhere) = (way.replace("ID", "id-1"), way.replace("ID", "id-0"));
            for key in [RIVAL, MATE] {
                let never = told(ask(&gateway, key, method(), &nowhere, "{}").await).await;
                assert_eq!(never.0, 404, "{nowhere}");
                if key == RIVAL {
                    let theirs = told(ask(&gateway, key, method(), &way, "{}").await).await;
                    let alike = (never.0, never.1.to_string().replace("id-0", "id-1"));
                    assert_eq!((theirs.0, theirs.1.to_string()), alike, "{way}: not a word differs");
                }
            }
            let sent = gateway.attempts().len();
            assert_eq!(told(ask(&gateway, MATE, method(), &way, "{}").await).await.0, 200, "{way}");
            assert_eq!(gateway.attempts().len(), sent + 1, "only the team's own calls leave");
            let seen = gateway.stage.seen.lock().unwrap();
            let last = seen.last().unwrap();
            assert_eq!((&*last.provider, last.method), ("one", method().as_str()), "{way}");
            let plain = way.trim_start_matches("/anthropic").trim_start_matches("/v1");
            assert!(last.path.starts_with("/base/v1") && last.path.ends_with(plain), "{way}: {}", last.path);
        }
    }
}

#[tokio::test]
async fn a_key_needs_the_permission_and_hears_of_none_before_it_is_known() {
    let gateway = gateway(vec![]);
    for (make, _, ways) in KINDS {
        for (method, path) in ways.iter().chain(&[("POST", *make)]) {
            let method = || method.parse::<Method>().unwrap();
            assert_eq!(ask(&gateway, "tk-nobody-0123456789", method(), path, "").await.status(), 401, "{path}");
            let (status, body) = told(ask(&gateway, PLAIN, method(), path, "").await).await;
            assert_eq!(status, 403, "{path}");
            assert!(body.to_string().contains("cannot be counted"), "{path}: {body}");
        }
    }
    assert!(gateway.attempts().is_empty());
    assert!(gateway.core.metrics.render().contains("reason=\"unmetered\""));
}

#[tokio::test]
async fn what_shows_everything_or_leads_around_us_is_refused() {
    let gateway = gateway(vec![]);
    for path in [
        "/v1/files",
        "/anthropic/v1/files?limit=1000",
        "/v1beta/files",
        "/v1/batches",
        "/v1/messages/batches",
        "/v1beta/batches",
        "/v1beta/cachedContents",
        "/v1/vector_stores",
        "/v1/containers",
        "/v1/videos",
    ] {
        let (status, body) = told(ask(&gateway, MINE, Method::GET, path, "").await).await;
        assert_eq!(status, 403, "{path}");
        assert!(body.to_string().contains("other teams"), "{path}: {body}");
    }
    for (what, headers) in [
        ("resumable", vec![("x-goog-upload-protocol", "resumable"), ("x-goog-upload-command", "start")]),
        ("both", vec![("x-goog-upload-protocol", "multipart"), ("x-goog-upload-command", "start")]),
        ("neither", vec![]),
    ] {
        let mut request = Request::post("/upload/v1beta/files").header("x-goog-api-key", MINE);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let (status, body) =
            told(gateway.ask(request.body(Upload { frames: [].into(), then: Then::End }).unwrap()).await).await;
        assert_eq!(status, 403, "{what}");
        assert!(body.to_string().contains("resumable upload"), "{what}: {body}");
    }
    for path in ["/v1/realtime", "/v1/fine_tuning/jobs", "/v1/files/file-1/x"] {
        assert_eq!(ask(&gateway, MINE, Method::GET, path, "").await.status(), 403, "{path}: allowed to nobody");
    }
    assert!(gateway.attempts().is_empty());
}

#[tokio::test]
async fn it_goes_where_the_rules_say_as_it_is_and_is_counted_by_team() {
    let body = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--b--\r\n";
    let gateway = gateway(vec![json(200, r#"{"id":"file-1","usage":{"input_tokens":7}}"#), json(500, "{}")]);
    let request = Request::post("/v1/files?key=tk-0123456789abcdef&a=b")
        .header("authorization", format!("Bearer {MINE}"))
        .header("content-type", "multipart/form-data; boundary=b");
    let frames = [body[..9].to_owned().into(), body[9..].to_owned().into()].into();
    let answer = gateway.ask(request.body(Upload { frames, then: Then::End }).unwrap()).await;
    assert_eq!(told(answer).await.0, 200);
    assert_eq!(told(ask(&gateway, RIVAL, Method::POST, "/v1/images/generations", "{}").await).await.0, 500);
    // Two providers speak gemini, and nobody said which.
    let (status, refusal) = told(ask(&gateway, MINE, Method::POST, "/v1beta/cachedContents", "{}").await).await;
    assert_eq!(status, 404);
    assert!(refusal.to_string().contains("[unmetered] gemini"), "{refusal}");
    let seen = gateway.stage.seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!((&*seen[0].provider, &*seen[0].path), ("one", "/base/v1/files?a=b"));
    assert_eq!(String::from_utf8_lossy(&seen[0].body), body);
    assert_eq!(seen[0].headers()["content-type"], "multipart/form-data; boundary=b");
    assert_eq!(seen[0].headers()["authorization"], "Bearer provider-secret");
    let page = gateway.core.metrics.render();
    for line in [
        r#"tollgate_unmetered_calls_total{team="core",agent="other",service="files"} 1"#,
        r#"tollgate_unmetered_calls_total{team="other",agent="other",service="images"} 1"#,
        r#"tollgate_requests_total{agent="other",dialect="chat",provider="one",model="unmetered",status="2xx"} 1"#,
    ] {
        assert!(page.contains(line), "{line} not in\n{page}");
    }
    assert!(!page.contains("tollgate_tokens_total{"), "no token is made up: {page}");
}

#[tokio::test]
async fn what_a_batch_has_written_is_its_teams_too() {
    let done = r#"{"id":"batch_1","output_file_id":"file-out","error_file_id":"file-err","metadata":{"output_file_id":"file-x"}}"#;
    let gateway = gateway(vec![json(200, r#"{"id":"batch_1"}"#), json(200, done), json(200, "{}"), json(200, "{}")]);
    for (method, path) in [(Method::POST, "/v1/batches"), (Method::GET, "/v1/batches/batch_1")] {
        assert_eq!(told(ask(&gateway, MINE, method, path, "{}").await).await.0, 200);
    }
    for (key, id, want) in
        [(RIVAL, "file-out", 404), (MATE, "file-out", 200), (MATE, "file-err", 200), (MATE, "file-x", 404)]
    {
        let path = format!("/v1/files/{id}/content");
        assert_eq!(told(ask(&gateway, key, Method::GET, &path, "").await).await.0, want, "{id}");
    }
}

#[tokio::test]
async fn what_was_not_made_is_not_kept() {
    for answer in [json(400, r#"{"id":"file-1"}"#), json(200, "[]"), json(200, r#"{"object":"file"}"#)] {
        let gateway = gateway(vec![answer]);
        let _ = told(ask(&gateway, MINE, Method::POST, "/v1/files", "{}").await).await;
        assert_eq!(ask(&gateway, MINE, Method::GET, "/v1/files/file-1", "").await.status(), 404);
    }
}

//! What a provider stores for one team, no other team reaches, by any road; and whoever may, reaches it where it is.

use http::{Method, Request};
use serde_json::Value;

use crate::scripted::{Act, Answered, Gateway, RULES, Step, Then, Upload, json, read, sse};

const MORE: &str = r#"
[[provider]]
name = "four"
speaks = ["responses"]
base_url = "http://four.test"
[[model]]
name = "r4"
provider = "four"
[[key]]
name = "mate"
team = "core"
models = ["nothing"]
secret = { env = "MATE" }
[[key]]
name = "rival"
team = "rivals"
secret = { env = "RIVAL" }
[[key]]
name = "core"
secret = { env = "LONE" }
[[key]]
name = "hermit"
secret = { env = "HERMIT" }
"#;
const MINE: &str = "tk-0123456789abcdef";
const MATE: &str = "tk-mate-0123456789";
const RIVAL: &str = "tk-rival-0123456789";
/// A key whose own name is that of a team.
const LONE: &str = "tk-lone-0123456789";
const HERMIT: &str = "tk-hermit-0123456789";

const ANSWER: &str = r#"{"id":"resp_1","object":"response","usage":{"input_tokens":3,"output_tokens":4}}"#;
const CREATED: &str =
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"output\":[]}}\n\n";
const DONE: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n";

fn gateway(acts: Vec<Act>) -> Gateway {
    Gateway::with(&format!("{RULES}{MORE}"), acts, 1)
}

async fn ask(gateway: &Gateway, key: &str, method: Method, path: &str, body: &str) -> Answered {
    let frames = [body.to_owned().into()].into();
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    gateway.ask(request.body(Upload { frames, then: Then::End }).unwrap()).await
}

async fn make(gateway: &Gateway, key: &str, body: &str) {
    let answer = ask(gateway, key, Method::POST, "/v1/responses", body).await;
    assert_eq!(answer.status(), 200);
    assert!(read(answer.into_body()).await.1);
}

/// Every road to something stored: method, path, body, and the field that names it.
fn roads(id: &str) -> Vec<(Method, String, String)> {
    let on = format!(r#"{{"model":"m","previous_response_id":"{id}","input":"x"}}"#);
    vec![
        (Method::GET, format!("/v1/responses/{id}"), String::new()),
        (Method::GET, format!("/openai/responses/{id}?stream=true&starting_after=3"), String::new()),
        (Method::DELETE, format!("/v1/responses/{id}"), String::new()),
        (Method::POST, format!("/v1/responses/{id}/cancel"), "{}".to_owned()),
        (Method::GET, format!("/v1/responses/{id}/input_items?limit=9"), String::new()),
        (Method::POST, "/v1/responses".to_owned(), on.clone()),
        (Method::POST, "/v1/responses/compact".to_owned(), on.clone()),
        (Method::POST, "/v1/responses/input_tokens".to_owned(), on),
    ]
}

#[tokio::test]
async fn no_road_leads_to_another_teams_response_nor_tells_that_there_is_one() {
    for made in [json(200, ANSWER), sse(&[CREATED, DONE])] {
        let gateway = gateway(vec![made]);
        make(&gateway, MINE, r#"{"model":"m"}"#).await;
        for key in [RIVAL, LONE, HERMIT] {
            for ((method, path, body), (_, nowhere, nothing)) in roads("resp_1").into_iter().zip(roads("resp_0")) {
                let theirs = ask(&gateway, key, method.clone(), &path, &body).await;
                let unknown = ask(&gateway, key, method, &nowhere, &nothing).await;
                assert_eq!((theirs.status(), unknown.status()), (404.try_into().unwrap(), theirs.status()), "{path}");
                let names = |answer: &Answered| {
                    let mut names: Vec<String> = answer.headers().keys().map(ToString::to_string).collect();
                    names.sort();
                    names
                };
                assert_eq!(names(&theirs), names(&unknown), "{path}");
                let (theirs, unknown) = (read(theirs.into_body()).await.0, read(unknown.into_body()).await.0);
                let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
                assert_eq!(text(theirs), text(unknown).replace("resp_0", "resp_1"), "{path}: not a word differs");
            }
        }
        assert_eq!(gateway.attempts(), ["one"], "nothing but the first call has left");
        let page = gateway.core.metrics.render();
        assert!(page.contains("reason=\"object_unknown\""), "{page}");
    }
}

#[tokio::test]
async fn a_team_reaches_its_own_where_it_was_made() {
    let acts = std::iter::once(json(200, ANSWER)).chain(roads("").iter().map(|_| json(200, ANSWER))).collect();
    let gateway = gateway(acts);
    make(&gateway, MINE, r#"{"model":"m"}"#).await;
    let own = roads("resp_1");
    for (method, path, body) in &own {
        // What is stored belongs to the team; which models a key may call is another question.
        let key = if body.contains("model") { MINE } else { MATE };
        let answer = ask(&gateway, key, method.clone(), path, body).await;
        assert_eq!(answer.status(), 200, "{method} {path}");
        assert_eq!(read(answer.into_body()).await, (ANSWER.as_bytes().to_vec(), true));
    }
    let seen = gateway.stage.seen.lock().unwrap();
    for (sent, (method, path, body)) in seen.iter().skip(1).zip(&own) {
        assert_eq!((&*sent.provider, sent.method), ("one", method.as_str()), "{path}");
        assert_eq!(sent.path, format!("/base/v1{}", path.trim_start_matches("/openai").trim_start_matches("/v1")));
        let body = if body.contains("model") { body } else { "" };
        assert_eq!(String::from_utf8_lossy(&sent.body), *body, "{path}");
        assert_eq!(sent.headers()["authorization"], "Bearer provider-secret", "{path}");
    }
    let page = gateway.core.metrics.render();
    let input =
        page.lines().find(|line| line.starts_with("tollgate_tokens_total") && line.contains("\"input\"")).unwrap();
    assert!(input.contains("model=\"m\"") && input.ends_with(" 12"), "four calls of a model are metered: {input}");
    assert!(!page.contains("kind=\"input\"} 15"), "what is read again is not counted again: {page}");
    assert!(page.contains("model=\"stored\""), "{page}");
}

#[tokio::test]
async fn a_stored_stream_is_replayed_whole_and_not_metered_again() {
    let gateway = gateway(vec![sse(&[CREATED, DONE]), sse(&[CREATED, DONE])]);
    make(&gateway, MINE, r#"{"model":"m","stream":true}"#).await;
    let answer = ask(&gateway, MINE, Method::GET, "/v1/responses/resp_1?stream=true", "").await;
    assert_eq!(read(answer.into_body()).await, ([CREATED, DONE].concat().into_bytes(), true));
    let page = gateway.core.metrics.render();
    assert!(page.contains("kind=\"input\"} 3\n"), "{page}");
    let counted = |line: &&str| line.starts_with("tollgate_tokens_total") && line.contains("kind=\"input\"");
    let again = page.lines().filter(counted).count();
    assert_eq!(again, 1, "{page}");
}

#[tokio::test]
async fn an_id_is_known_before_the_client_can_use_it() {
    let frames = vec![Step::Data(CREATED.into()), Step::Hang];
    let stream = Act::Answer { status: 200, kind: "text/event-stream", frames };
    let gateway = gateway(vec![stream, json(200, ANSWER)]);
    let answer = ask(&gateway, MINE, Method::POST, "/v1/responses", r#"{"model":"m","background":true}"#).await;
    let mut body = answer.into_body();
    http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    let cancelled = ask(&gateway, MINE, Method::POST, "/v1/responses/resp_1/cancel", "").await;
    assert_eq!(cancelled.status(), 200, "while the stream still runs");
}

#[tokio::test]
async fn a_call_goes_on_where_it_began_or_nowhere() {
    let gateway = gateway(vec![json(200, ANSWER)]);
    make(&gateway, MINE, r#"{"model":"r4"}"#).await;
    assert_eq!(gateway.attempts(), ["four"]);
    let on =
        ask(&gateway, MINE, Method::POST, "/v1/responses", r#"{"model":"m","previous_response_id":"resp_1"}"#).await;
    assert_eq!(on.status(), 404, "the provider of m has never heard of it");
    let body: Value = serde_json::from_slice(&read(on.into_body()).await.0).unwrap();
    assert_eq!(body["error"]["code"], "previous_response_not_found");
    assert_eq!(gateway.attempts(), ["four"]);
    gateway.stage.acts.lock().unwrap().push_back(json(200, ANSWER));
    let whole = ask(&gateway, MINE, Method::GET, "/v1/responses/resp_1", "").await;
    assert_eq!((whole.status().as_u16(), gateway.attempts()), (200, vec!["four".to_owned(), "four".to_owned()]));
}

#[tokio::test]
async fn what_is_not_stored_is_not_kept_and_a_conversation_is_nobodys_until_it_is_known() {
    let gateway = gateway(vec![json(200, ANSWER), json(400, ANSWER), json(200, ANSWER)]);
    make(&gateway, MINE, r#"{"model":"m","store":false}"#).await;
    let failed = ask(&gateway, MINE, Method::POST, "/v1/responses", r#"{"model":"m"}"#).await;
    assert_eq!(read(failed.into_body()).await.0, ANSWER.as_bytes());
    let compact = ask(&gateway, MINE, Method::POST, "/v1/responses/compact", r#"{"model":"m"}"#).await;
    assert_eq!(read(compact.into_body()).await.0, ANSWER.as_bytes());
    for (method, path, body) in [
        (Method::GET, "/v1/responses/resp_1", ""),
        (Method::POST, "/v1/responses", r#"{"model":"m","conversation":"resp_1"}"#),
        (Method::POST, "/v1/responses", r#"{"model":"m","conversation":{"id":"conv_1"}}"#),
    ] {
        assert_eq!(ask(&gateway, MINE, method, path, body).await.status(), 404, "{path} {body}");
    }
    assert_eq!(gateway.attempts().len(), 3);
}

#[tokio::test]
async fn the_key_comes_first_and_limits_hold() {
    let gateway = gateway(vec![]);
    for (method, path, body) in roads("resp_1") {
        assert_eq!(ask(&gateway, "tk-nobody-0123456789", method, &path, &body).await.status(), 401, "{path}");
    }
    let long = format!("/v1/responses/{}", "r".repeat(300));
    assert_eq!(ask(&gateway, MINE, Method::GET, &long, "").await.status(), 404);
    assert_eq!(ask(&gateway, MINE, Method::POST, "/v1/responses/resp_1", "").await.status(), 405);
    assert!(gateway.attempts().is_empty());
}

//! `GET /v1/usage`: a key asks how it stands.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::{Method, Request};
use serde_json::{Value, json};
use tollgate::journal::{self, Journal};
use tollgate::store::report::desk;
use tollgate::store::{self, Store};

use crate::scripted::{Answered, Gateway, RULES, Then, Upload, json as answer, post, read};

/// What `RULES` says of keys is replaced by a team with everything, and a stranger who shares nothing with it.
fn rules() -> String {
    let (before, _) = RULES.split_once("[[key]]").unwrap();
    format!(
        r#"{before}
[[price]]
fallback = true
input = 1
output = 10
[[key]]
name = "dev"
owner = "alice"
team = "core"
secret = {{ env = "KEY" }}
limits = [{{ requests = 3, per = "1m" }}, {{ concurrent = 2 }}]
[[key]]
name = "mate"
owner = "bob"
team = "core"
agents = ["codex"]
secret = {{ env = "MATE" }}
budgets = [{{ dollars = 7, per = "5h" }}]
[[key]]
name = "rival"
owner = "eve"
secret = {{ env = "RIVAL" }}
budgets = [{{ dollars = 1, per = "total" }}]
[[owner]]
name = "alice"
budgets = [{{ dollars = "2.5", per = "day", time_zone = "Asia/Kathmandu" }}]
[[team]]
name = "core"
organisation = "acme"
budgets = [{{ dollars = 100, per = "month" }}]
[[team.agent]]
name = "codex"
budgets = [{{ dollars = 20, per = "week" }}]
[[team.agent]]
name = "claude-code"
limits = [{{ tokens = 1000, per = "1h" }}]
[[organisation]]
name = "acme"
budgets = [{{ dollars = 1000, per = "month" }}]
"#
    )
}

fn request(method: Method, path: &str, key: &str) -> Request<Upload> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .body(Upload { frames: [].into(), then: Then::End })
        .unwrap()
}

async fn value(answer: Answered) -> Value {
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let (body, whole) = read(answer.into_body()).await;
    assert!(whole);
    serde_json::from_slice(&body).unwrap()
}

async fn standing(gateway: &Gateway, key: &str) -> Value {
    value(gateway.ask(request(Method::GET, "/v1/usage", key)).await).await
}

/// Level and name of each entry, in order.
fn whose<'v>(standing: &'v Value, list: &str) -> Vec<(&'v str, &'v str)> {
    let text = |value: &'v Value| value.as_str().unwrap();
    standing[list].as_array().unwrap().iter().map(|one| (text(&one["level"]), text(&one["name"]))).collect()
}

#[tokio::test]
async fn a_key_sees_what_it_is_charged_to_and_no_more() {
    let gateway = Gateway::with(&rules(), vec![], 1);
    let dev = standing(&gateway, crate::scripted::KEY).await;
    assert_eq!(
        (&dev["object"], &dev["key"], &dev["owner"], &dev["team"], &dev["organisation"]),
        (&json!("usage"), &json!("dev"), &json!("alice"), &json!("core"), &json!("acme"))
    );
    let budgets = [("owner", "alice"), ("team", "core"), ("organisation", "acme"), ("agent", "core/codex")];
    assert_eq!(whose(&dev, "budgets"), budgets);
    assert_eq!(whose(&dev, "limits"), [("key", "dev"), ("key", "dev"), ("agent", "core/claude-code")]);
    let mate = standing(&gateway, "tk-mate-0123456789").await;
    let budgets = [("key", "mate"), ("team", "core"), ("organisation", "acme"), ("agent", "core/codex")];
    assert_eq!(whose(&mate, "budgets"), budgets);
    assert!(whose(&mate, "limits").is_empty(), "it is bound to codex, and charges no other agent");
    let rival = standing(&gateway, "tk-rival-0123456789").await;
    assert_eq!(whose(&rival, "budgets"), [("key", "rival")]);
    assert_eq!((&rival["team"], &rival["organisation"]), (&Value::Null, &Value::Null));
    assert_eq!((&dev["today"], &dev["last_30_days"]), (&Value::Null, &Value::Null), "nobody keeps usage here");
    assert!(!rival.to_string().contains("core") && !mate.to_string().contains("alice"));
}

#[tokio::test]
async fn what_a_call_costs_is_spent_on_every_level_and_asking_costs_nothing() {
    const ANSWER: &str = r#"{"usage":{"input_tokens":1000,"output_tokens":100}}"#;
    let gateway = Gateway::with(&rules(), vec![answer(200, ANSWER), answer(200, ANSWER)], 1);
    for _ in 0..2 {
        let answered = gateway.ask(post("/v1/messages", r#"{"model":"m","max_tokens":9,"messages":[]}"#)).await;
        assert!(read(answered.into_body()).await.1);
    }
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(standing(&gateway, crate::scripted::KEY).await);
    }
    let dev = &seen[19];
    // 1,000 tokens in at $1 and 100 out at $10 a million, twice.
    let of = |budget: &Value| ["spent", "held", "left"].map(|field| budget[field].as_str().unwrap().to_owned());
    let budgets: Vec<_> = dev["budgets"].as_array().unwrap().iter().map(of).collect();
    let want = |spent: &str, left: &str| [spent.to_owned(), "0.000000".to_owned(), left.to_owned()];
    assert_eq!(
        budgets,
        [
            want("0.004000", "2.496000"),
            want("0.004000", "99.996000"),
            want("0.004000", "999.996000"),
            want("0.000000", "20.000000"),
        ]
    );
    let requests = &dev["limits"][0];
    assert_eq!((&requests["measure"], &requests["window_seconds"]), (&json!("requests"), &json!(60)));
    assert_eq!((&requests["cap"], &requests["used"], &requests["left"]), (&json!(3), &json!(2), &json!(1)));
    assert!((1..=61).contains(&requests["resets_in_seconds"].as_u64().unwrap()), "{requests}");
    let concurrent = &dev["limits"][1];
    assert_eq!((&concurrent["used"], &concurrent["window_seconds"]), (&json!(0), &Value::Null));
    assert_eq!(gateway.attempts().len(), 2, "nobody was asked for it");
    assert_eq!(gateway.receipts(), (0, 2, 0), "and nothing settled");
}

#[tokio::test]
async fn a_budget_says_when_it_begins_anew() {
    let gateway = Gateway::with(&rules(), vec![], 1);
    let dev = standing(&gateway, crate::scripted::KEY).await;
    let day = &dev["budgets"][0];
    assert_eq!((&day["period"], &day["cap"]), (&json!("day"), &json!("2.500000")));
    for field in ["begins", "resets"] {
        assert!(day[field].as_str().unwrap().ends_with("T00:00:00+05:45"), "a day of its own zone: {day}");
    }
    let seconds = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    let left = seconds(&day["resets"]) - seconds(&dev["at"]);
    assert_eq!(day["resets_in_seconds"], left);
    assert!((1..=86_400).contains(&left));
    let mate = standing(&gateway, "tk-mate-0123456789").await;
    let rolling = &mate["budgets"][0];
    assert_eq!((&rolling["period"], &rolling["resets"]), (&json!("18000s"), &Value::Null), "it has no beginning");
    let rival = standing(&gateway, "tk-rival-0123456789").await;
    assert_eq!((&rival["budgets"][0]["period"], &rival["budgets"][0]["resets"]), (&json!("total"), &Value::Null));
}

#[tokio::test]
async fn it_is_asked_like_anything_else() {
    let gateway = Gateway::with(&rules(), vec![], 1);
    for (method, path, key, status, allow) in [
        (Method::GET, "/v1/usage", "tk-nobody-0123456789", 401, None),
        (Method::POST, "/v1/usage", crate::scripted::KEY, 405, Some("GET")),
        (Method::DELETE, "/anthropic/v1/usage", crate::scripted::KEY, 405, Some("GET")),
        (Method::GET, "/v1/usage/team", crate::scripted::KEY, 404, None),
        (Method::GET, "/t/elsewhere/usage", crate::scripted::KEY, 200, None),
    ] {
        let answer = gateway.ask(request(method.clone(), path, key)).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(answer.headers().get("allow").map(|a| a.to_str().unwrap()), allow, "{method} {path}");
        let (body, _) = read(answer.into_body()).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let shape = if path.contains("anthropic") { "/type" } else { "/error/message" };
        assert_eq!(body.pointer(shape).is_some(), status != 200, "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn what_a_key_has_used_lately_is_its_own() {
    const ANSWER: &str = r#"{"usage":{"input_tokens":1000,"cache_read_input_tokens":7,"output_tokens":100}}"#;
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::start(journal::Settings::new(dir.path().join("journal")), 1).unwrap());
    let (path, retention) = (dir.path().join("usage.db"), Duration::from_secs(32 * 86_400));
    let store = Store::start(store::Settings { path: path.clone(), retention }, &journal).unwrap();
    desk::open(path, journal.questions().unwrap()).unwrap();
    assert!(journal.questions().is_none(), "somebody answers already");
    let acts = vec![answer(200, ANSWER), answer(200, ANSWER), answer(200, ANSWER)];
    let gateway = Gateway::writing(&rules(), acts, 1, journal.for_core(0).unwrap());
    for key in [crate::scripted::KEY, crate::scripted::KEY, "tk-rival-0123456789"] {
        let mut request = post("/v1/messages", r#"{"model":"m","max_tokens":9,"messages":[]}"#);
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        let answered = gateway.ask(request).await;
        assert!(read(answered.into_body()).await.1);
    }
    let begun = Instant::now();
    while journal.health().records.load(Relaxed) < 3 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", journal.health().last_error());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let dev = standing(&gateway, crate::scripted::KEY).await;
    for span in ["today", "last_30_days"] {
        let used = &dev[span];
        assert_eq!((&used["calls"], &used["cost"]), (&json!(2), &json!("0.004014")), "{span} {used}");
        assert_eq!((&used["tokens"]["input"], &used["tokens"]["cache_read"]), (&json!(2000), &json!(14)), "{used}");
        assert_eq!(used["estimated_cost"], "0.000000");
    }
    let seconds = |span: &str| dev[span]["since"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(seconds("today") - seconds("last_30_days"), 29 * 86_400);
    let mate = standing(&gateway, "tk-mate-0123456789").await;
    assert_eq!(mate["today"]["calls"], 0, "its team has used something, but not this key: {mate}");
    drop(store);
}

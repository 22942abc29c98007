//! The access log as an output: which fields a record has, in which order, and what it says of money.

use http::{Method, Request};
use serde_json::Value;
use tollgate::telemetry::access_log::Destination;

use crate::scripted::{Act, Gateway, KEY, RULES, Then, Upload, json, post, read, sse};
use crate::{BLOCK, START, TEXT};

const USED: &str = r#"{"usage":{"input_tokens":101,"cache_read_input_tokens":7,"output_tokens":3}}"#;
const ASK: &str = r#"{"model":"m","max_tokens":9,"messages":[]}"#;

/// The records of these requests, one each.
async fn records(acts: Vec<Act>, requests: Vec<Request<Upload>>) -> Vec<(Vec<String>, Value)> {
    let rules = format!(
        "{RULES}owner = \"alice\"\nlimits = [{{ requests = 1, per = \"50s\" }}]\n[[price]]\nmodel = \"m\"\ninput = 0.3\n\
         output = 0.7\ncache_read = 0.1\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let mut lines = Vec::new();
    for request in requests {
        let gateway = Gateway::logging(&rules, acts.clone(), 1, &Destination::File(file.clone()));
        let answer = gateway.ask(request).await;
        read(answer.into_body()).await;
        gateway.finish();
        lines = std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    }
    let fields = |line: &String| {
        // In their order, which a tree would lose.
        let names = line.split("\":").filter_map(|part| part.rsplit(['"', '{']).next().map(str::to_owned));
        let kinds = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"];
        let names = names.filter(|name| !name.is_empty() && !kinds.contains(&name.as_str()));
        let last = line.rsplit("\":").next().unwrap().rsplit(['"', '{']).next().unwrap().to_owned();
        (names.filter(|name| *name != last).collect(), serde_json::from_str(line).unwrap())
    };
    lines.iter().map(fields).collect()
}

const WHO: &[&str] = &["time", "request", "peer", "method", "path", "http", "dialect", "agent"];
const KEYED: &[&str] = &["key", "owner", "team"];

#[tokio::test]
async fn an_answered_call_says_who_what_and_how_much() {
    let records = records(vec![json(200, USED)], vec![post("/v1/messages", ASK)]).await;
    let [(fields, record)] = &records[..] else { panic!("{records:?}") };
    let asked = ["model", "stream", "bytes_in", "provider", "route", "attempts", "upstream_status", "status"];
    let went = ["outcome", "head_us", "content_us", "duration_us", "bytes_out", "events", "tokens", "cost"];
    assert_eq!(*fields, [WHO, KEYED, &asked, &went].concat());
    assert_eq!((&record["key"], &record["owner"], &record["team"]), (&"dev".into(), &"alice".into(), &"core".into()));
    // 101 x 0.3 + 7 x 0.1 + 3 x 0.7 = 33.1 millionths of a dollar.
    assert_eq!(record["cost"], 0.000_033_1);
    assert_eq!(record["tokens"]["input"], 101);
}

#[tokio::test]
async fn what_has_no_price_or_no_count_is_said_so() {
    let cut = post("/v1/messages", r#"{"model":"m","max_tokens":9,"stream":true,"messages":[]}"#);
    let unpriced = post("/v1/messages", r#"{"model":"alias","max_tokens":9,"messages":[]}"#);
    let found = records(vec![sse(&[START, BLOCK, TEXT])], vec![cut]).await;
    let (fields, record) = &found[0];
    assert_eq!((&record["outcome"], &record["estimated"]), (&"unfinished".into(), &true.into()), "{record}");
    assert!(record["cost"].as_f64().unwrap() > 0.0 && !fields.contains(&"unpriced".to_owned()), "{record}");
    let found = records(vec![json(200, USED)], vec![unpriced]).await;
    let (fields, record) = &found[0];
    assert_eq!((&record["cost"], &record["unpriced"]), (&0.into(), &true.into()), "{record}");
    assert!(!fields.contains(&"estimated".to_owned()));
}

#[tokio::test]
async fn what_reaches_no_provider_has_no_cost() {
    let usage =
        Request::builder().method(Method::GET).uri("/v1/usage").header("authorization", format!("Bearer {KEY}"));
    let usage = usage.body(Upload { frames: [].into(), then: Then::End }).unwrap();
    let unknown = post("/v1/messages", r#"{"model":"nobody","messages":[]}"#);
    let counted = post("/v1/messages/count_tokens", ASK);
    let records = records(vec![json(200, r#"{"input_tokens":5}"#)], vec![usage, unknown, counted]).await;
    let outcomes: Vec<_> = records.iter().map(|(_, record)| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["complete", "refused", "complete"]);
    for (fields, record) in &records {
        assert!(
            fields.starts_with(&WHO.iter().chain(KEYED).map(|f| (*f).to_owned()).collect::<Vec<_>>()),
            "{fields:?}"
        );
        assert!(record["cost"].is_null(), "{record}");
    }
    assert_eq!(records[1].1["reason"], "model_unknown");
}

//! The whole refusal table, row by row, and the rules that hold over all of it.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// As libraries see it.
fn problem(dialect: Dialect, agent: Agent, error: &Error, request_id: &str) -> http::Response<Bytes> {
    let refusal = super::problem(dialect, agent, error, request_id);
    let mut response = http::Response::new(refusal.body);
    *response.status_mut() = refusal.status;
    *response.headers_mut() = refusal.fields.to_map(|_| true);
    assert_eq!(response.headers().len(), refusal.fields.len(), "each field once");
    response
}
use crate::error::limit::{BudgetSpent, Full, Level, LimitError, Measure, Period};
use crate::error::{BodyError, GatewayError, KeyError, Kind, ModelError, RequestError, UpstreamError};

/// Every error, with names as an operator writes them.
fn errors() -> Vec<Error> {
    samples("alice-laptop", "gpt-9", "openai", "/v1/files")
}

fn samples(key: &str, model: &str, provider: &str, path: &str) -> Vec<Error> {
    let name = key;
    let (key, model, provider) = (|| key.into(), || model.into(), || provider.into());
    vec![
        KeyError::Missing.into(),
        KeyError::Unknown { malformed: false }.into(),
        KeyError::Unknown { malformed: true }.into(),
        KeyError::Expired { key: key(), at: "2026-11-24T00:00:00Z".into() }.into(),
        KeyError::Conflict.into(),
        KeyError::AgentNotAllowed { key: key(), agent: "codex" }.into(),
        RequestError::PathUnknown { path: path.into() }.into(),
        RequestError::Unmetered { what: "files" }.into(),
        RequestError::ListingRefused { what: "files" }.into(),
        RequestError::UploadRefused.into(),
        RequestError::UnmeteredUnserved { vendor: "openai" }.into(),
        RequestError::MethodNotAllowed { allow: "POST" }.into(),
        RequestError::HostInvalid.into(),
        RequestError::UpgradeRefused.into(),
        RequestError::ObjectUnknown { field: None, id: path.into() }.into(),
        RequestError::ObjectUnknown { field: Some("previous_response_id"), id: path.into() }.into(),
        RequestError::ObjectUnknown { field: Some("file_id"), id: path.into() }.into(),
        RequestError::ObjectUnknown { field: Some("input_file_id"), id: path.into() }.into(),
        RequestError::EncodingUnsupported { encoding: "br".into() }.into(),
        BodyError::TooLarge { limit: 32 << 20 }.into(),
        BodyError::Broken { what: "a comma or }", at: 17 }.into(),
        BodyError::Undecodable { coding: "zstd", what: "it ends too early" }.into(),
        BodyError::TooDeep.into(),
        BodyError::FieldMissing { field: "model" }.into(),
        BodyError::FieldInvalid { field: "stream", want: "true or false" }.into(),
        BodyError::FieldDuplicated { field: "model" }.into(),
        BodyError::FieldEscaped { field: "model" }.into(),
        BodyError::Stalled.into(),
        BodyError::Incomplete.into(),
        ModelError::Unknown { model: model() }.into(),
        ModelError::NotAllowed { model: model(), key: key() }.into(),
        ModelError::DialectUnserved { model: model(), provider: provider(), dialect: "chat" }.into(),
        full(name, Level::Key, Measure::Requests, Some(12)),
        full(name, Level::Team, Measure::InputTokens, Some(60)),
        full(name, Level::Owner, Measure::OutputTokens, Some(61)),
        full(name, Level::Organisation, Measure::Tokens, None),
        full(name, Level::Agent, Measure::Concurrent, Some(2)),
        spent(name, Level::Team, Period::Month, 0, Some("2026-12-01T00:00:00+01:00")),
        spent(name, Level::Key, Period::Rolling(5 * 3600), 120_000, Some("2026-11-25T03:00:00Z")),
        spent(name, Level::Model, Period::Total, 0, None),
        LimitError::Unpriced { what: model(), tool: false }.into(),
        LimitError::Unpriced { what: "web_search".into(), tool: true }.into(),
        LimitError::UsedUp.into(),
        LimitError::Repeated { times: 31 }.into(),
        UpstreamError::ConnectFailed { provider: provider(), why: "connection refused".into() }.into(),
        UpstreamError::HungUp { provider: provider(), reused: true }.into(),
        UpstreamError::Silent { provider: provider() }.into(),
        UpstreamError::Garbage { provider: provider() }.into(),
        UpstreamError::CredentialRefused { provider: provider(), status: 401 }.into(),
        UpstreamError::Overloaded { provider: provider(), status: 529 }.into(),
        UpstreamError::BrokenOff { provider: provider() }.into(),
        GatewayError::Draining.into(),
        GatewayError::BodiesFull { retry_after: Duration::from_millis(2500) }.into(),
        GatewayError::Overloaded { retry_after: Duration::from_secs(1) }.into(),
        KeyError::TooManyFailed { retry_after: Duration::from_secs(41) }.into(),
        UpstreamError::Saturated { provider: "acme".into() }.into(),
        GatewayError::LedgerFull { retry_after: Duration::from_secs(5) }.into(),
        GatewayError::Internal { what: "a secret of the log" }.into(),
    ]
}

fn full(name: &str, level: Level, measure: Measure, seconds: Option<u64>) -> Error {
    let window = Duration::from_secs(if measure == Measure::Concurrent { 0 } else { 90 * 60 });
    let left = u64::from(measure != Measure::Requests);
    let (retry_after, resets_at) = (seconds.map(Duration::from_secs), seconds.map(|wait| 1_795_564_800 + wait));
    let name = name.into();
    LimitError::Full(Box::new(Full {
        level,
        name,
        measure,
        limit: 500,
        left,
        wanted: 20,
        window,
        retry_after,
        resets_at,
    }))
    .into()
}

fn spent(name: &str, level: Level, period: Period, left: u64, resets: Option<&str>) -> Error {
    let resets = resets.map(|at| (at.into(), Duration::from_secs(7200)));
    let (name, cap, wanted) = (name.into(), 500_000_000, 800_001);
    LimitError::BudgetSpent(Box::new(BudgetSpent { level, name, period, cap, left, wanted, resets })).into()
}

#[test]
fn the_samples_cover_every_kind() {
    let kinds: BTreeSet<_> = errors().iter().map(|error| error.kind().label()).collect();
    let all: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.label()).collect();
    assert_eq!(kinds, all);
}

/// One line per cell: status, what the dialect calls it, and the headers that matter.
fn cell(response: &http::Response<Bytes>) -> String {
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    let error = &body["error"];
    let code = match (&error["status"], &error["code"], &error["type"]) {
        (Value::String(status), _, _) => status.clone(),
        (_, Value::String(code), _) => code.clone(),
        (_, Value::Null, Value::String(kind)) if body["type"] == "error" => kind.clone(),
        _ => "null".to_owned(),
    };
    let mut cell = format!("{} {code}", response.status().as_u16());
    if error["details"]["error_code"] == "dlp_request_denied" {
        cell.push_str(" +D");
    }
    if let Some(delay) = error["details"][0]["retryDelay"].as_str() {
        cell.push_str(&format!(" R({delay})"));
    }
    for name in ["retry-after", "x-should-retry", "allow", "connection"] {
        if let Some(value) = response.headers().get(name) {
            cell.push_str(&format!(" {name}: {}", value.to_str().unwrap()));
        }
    }
    cell
}

#[test]
fn the_table() {
    // Reason | Anthropic | Chat | Responses | Responses for Codex | Gemini
    let table = include_str!("table.txt");
    let mut rows = table.lines().filter(|line| !line.starts_with('#'));
    for error in errors() {
        let column = |dialect, agent| cell(&problem(dialect, agent, &error, "req_1"));
        let row = [
            error.kind().label().to_owned(),
            column(Dialect::Anthropic, Agent::ClaudeCode),
            column(Dialect::Chat, Agent::OpenCode),
            column(Dialect::Responses, Agent::OpenCode),
            column(Dialect::Responses, Agent::Codex),
            column(Dialect::Gemini, Agent::GeminiCli),
        ]
        .join(" | ");
        assert_eq!(Some(&*row), rows.next(), "{error:?}");
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn agents_but_codex_are_treated_alike() {
    for error in errors() {
        for dialect in Dialect::ALL {
            let reference = problem(dialect, Agent::Other, &error, "req_1");
            for agent in Agent::ALL.into_iter().filter(|agent| *agent != Agent::Codex) {
                let other = problem(dialect, agent, &error, "req_1");
                assert_eq!((other.status(), other.body()), (reference.status(), reference.body()), "{error:?}");
                assert_eq!(other.headers(), reference.headers(), "{error:?}");
            }
        }
    }
}

/// Nothing but the message differs from the dialect's own error object.
fn has_the_exact_shape(dialect: Dialect, response: &http::Response<Bytes>, id: &str) -> String {
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    let message = body["error"]["message"].as_str().expect("a message").to_owned();
    let error = &body["error"];
    let status = response.status().as_u16();
    let want = match dialect {
        Dialect::Anthropic => {
            let mut error = json!({"type": error["type"].as_str().expect("a type"), "message": message});
            if body["error"]["details"] != Value::Null {
                error["details"] = json!({"error_code": "dlp_request_denied"});
            }
            json!({"type": "error", "error": error, "request_id": id})
        }
        Dialect::Chat | Dialect::Responses => {
            assert!(error["code"].is_string() || error["code"].is_null());
            let kind = error["type"].as_str().expect("a type");
            json!({"error": {"message": message, "type": kind, "param": null, "code": error["code"]}})
        }
        Dialect::Gemini => {
            let name = error["status"].as_str().expect("a status");
            let mut error = json!({"code": status, "message": message, "status": name});
            if let Some(wait) = response.headers().get("retry-after") {
                let delay = format!("{}s", wait.to_str().unwrap());
                let info = "type.googleapis.com/google.rpc.RetryInfo";
                error["details"] = json!([{"@type": info, "retryDelay": delay}]);
            }
            json!({"error": error})
        }
    };
    assert_eq!(body, want);
    message
}

fn is_one_line(message: &str) -> bool {
    !message.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

/// Phrases by which agents recognise other failures.
const TRIGGERS: &[&str] =
    &["credit balance is too low", "limit: 0", "please retry in", "exhausted your capacity", "capacity exceeded"];

#[track_caller]
fn keeps_the_rules(dialect: Dialect, agent: Agent, error: &Error) {
    let response = problem(dialect, agent, error, "req_1");
    let (status, headers) = (response.status(), response.headers());
    let message = has_the_exact_shape(dialect, &response, "req_1");
    let cell = format!("{dialect:?} {agent:?} {error:?}: {status} {message}");

    assert!(message.starts_with("Tollgate") && message.ends_with('.'), "{cell}");
    assert!(is_one_line(&message), "{cell}");
    assert!(message.len() <= 600, "{cell}");
    let text = message.to_lowercase();
    // Gemini CLI is to stop at a budget, and does at a wait of more than five minutes.
    let bare = dialect == Dialect::Gemini && status == 403 && text.contains(" please retry in ");
    if bare {
        let wait = text.rsplit_once("please retry in ").unwrap().1.strip_suffix("s.").unwrap();
        assert!(wait.parse::<u64>().unwrap() > 300, "{cell}");
    }
    assert!(TRIGGERS.iter().all(|trigger| bare || !text.contains(trigger)), "{cell}");
    assert!(!text.contains("secret") && !text.contains("http://") && !text.contains("refused;"), "{cell}");

    assert_eq!(headers["content-type"], "application/json");
    let id = if dialect == Dialect::Anthropic { "request-id" } else { "x-request-id" };
    assert_eq!(headers[id], "req_1");

    let retry_after = headers.get("retry-after").map(|value| value.to_str().unwrap().parse::<u32>().unwrap());
    assert!(retry_after.is_none_or(|wait| (1..=60).contains(&wait)), "{cell}");
    // The sentence, the header and Google's details name the same wait; has_the_exact_shape compared the latter two.
    if let Some(wait) = retry_after {
        assert!(message.ends_with(&format!("; try again in {wait} s.")), "{cell}");
    }
    // A wait says that it will pass; what will pass says when.
    assert_eq!(status.is_server_error() || status.as_u16() == 429, retry_after.is_some(), "{cell}");
    let kind = serde_json::from_slice::<Value>(response.body()).unwrap()["error"]["type"].clone();
    assert_ne!(kind, "server_error", "{cell}");
    assert_ne!(kind, "overloaded_error", "{cell}");
    assert_eq!(status.as_u16() == 405, headers.contains_key("allow"), "{cell}");
}

#[test]
fn the_rules_hold_everywhere() {
    for error in errors() {
        for dialect in Dialect::ALL {
            for agent in Agent::ALL {
                keeps_the_rules(dialect, agent, &error);
            }
        }
    }
}

/// Codex repeats every 4xx but these; 405 and 426 answer a GET, which it does not repeat, and 408 is to be repeated.
#[test]
fn codex_stops() {
    for error in errors() {
        for dialect in [Dialect::Chat, Dialect::Responses] {
            let response = problem(dialect, Agent::Codex, &error, "req_1");
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            let stops = match (response.status().as_u16(), body["error"]["code"].as_str().unwrap_or_default()) {
                (400, "invalid_prompt") | (403, "inference_hook_denied") | (403 | 404, "model_not_found") => true,
                (405 | 408 | 426, _) => true,
                // Repeated when the wait is over, as it should be.
                (429, "rate_limit_exceeded") => response.headers().contains_key("retry-after"),
                (status, _) => status >= 500,
            };
            assert!(stops, "{error:?}: {}", cell(&response));
        }
    }
}

/// Claude Code repeats these statuses without the details, or without `x-should-retry: false` on 401.
#[test]
fn claude_code_stops() {
    for error in errors() {
        let response = problem(Dialect::Anthropic, Agent::ClaudeCode, &error, "req_1");
        let cell = cell(&response);
        match response.status().as_u16() {
            401 => assert!(cell.ends_with("x-should-retry: false"), "{error:?}: {cell}"),
            400 | 403 | 404 | 413 => assert!(cell.contains("+D"), "{error:?}: {cell}"),
            _ => assert!(!cell.contains("+D"), "{error:?}: {cell}"),
        }
    }
}

#[test]
fn sentences() {
    let sentences: Vec<String> = errors()
        .iter()
        .map(|error| has_the_exact_shape(Dialect::Chat, &problem(Dialect::Chat, Agent::Other, error, "req_1"), "req_1"))
        .collect();
    insta::assert_snapshot!(sentences.join("\n"));
}

#[test]
fn waits_are_whole_seconds_that_are_not_too_short() {
    let rows = [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3), (60_000, 60), (3_600_000, 60)];
    for (ms, seconds) in rows {
        let error = GatewayError::BodiesFull { retry_after: Duration::from_millis(ms) }.into();
        let response = problem(Dialect::Gemini, Agent::GeminiCli, &error, "r");
        assert_eq!(response.headers()["retry-after"], seconds.to_string(), "{ms} ms");
    }
}

#[test]
fn a_limit_has_the_headers_of_its_dialect() {
    let rows = [
        (Dialect::Anthropic, Measure::Requests, "anthropic-ratelimit-requests", "2026-11-25T00:00:12Z"),
        (Dialect::Anthropic, Measure::InputTokens, "anthropic-ratelimit-input-tokens", "2026-11-25T00:00:12Z"),
        (Dialect::Anthropic, Measure::OutputTokens, "anthropic-ratelimit-output-tokens", "2026-11-25T00:00:12Z"),
        (Dialect::Anthropic, Measure::Tokens, "anthropic-ratelimit-tokens", "2026-11-25T00:00:12Z"),
        (Dialect::Chat, Measure::Requests, "x-ratelimit-requests", "12s"),
        (Dialect::Responses, Measure::OutputTokens, "x-ratelimit-tokens", "12s"),
    ];
    for (dialect, measure, name, reset) in rows {
        let refusal = super::problem(dialect, Agent::Other, &full("a", Level::Key, measure, Some(12)), "r").fields;
        let value = |part: &str| {
            let name = match name.strip_prefix("x-ratelimit-") {
                Some(what) => format!("x-ratelimit-{part}-{what}"),
                None => format!("{name}-{part}"),
            };
            let found = refusal.iter().find(|field| field.name == name.as_bytes());
            found.map(|field| String::from_utf8(field.value.to_vec()).unwrap())
        };
        let left = if measure == Measure::Requests { "0" } else { "1" };
        assert_eq!(value("limit").as_deref(), Some("500"), "{dialect:?} {measure:?}");
        assert_eq!(value("remaining").as_deref(), Some(left), "{dialect:?} {measure:?}");
        assert_eq!(value("reset").as_deref(), Some(reset), "{dialect:?} {measure:?}");
    }
    for (dialect, measure) in [(Dialect::Gemini, Measure::Tokens), (Dialect::Chat, Measure::Concurrent)] {
        let refusal = super::problem(dialect, Agent::Other, &full("a", Level::Key, measure, Some(12)), "r").fields;
        assert!(refusal.iter().all(|field| !field.name.starts_with(b"x-ratelimit")), "{refusal:?}");
    }
}

#[test]
fn money_and_time_are_readable() {
    let rows = [(0, "$0.00"), (1, "$0.000001"), (500_000_000, "$500.00"), (1_230_000, "$1.23"), (999_999, "$0.999999")];
    for (micros, text) in rows {
        let mut out = shape::Writer::default();
        out.dollars(micros);
        assert_eq!(out.written(), text);
    }
    let rows = [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3_599, "59 min 59 s"),
        (5_400, "1 h 30 min"),
        (7_201, "2 h"),
        (90_000, "1 d 1 h"),
    ];
    for (seconds, text) in rows {
        let mut out = shape::Writer::default();
        out.span(seconds);
        assert_eq!(out.written(), text);
    }
}

#[test]
fn sizes_are_readable() {
    for (limit, text) in [(32 << 20, "32 MiB"), (1536 << 10, "1536 KiB"), (1000, "1000 bytes"), (0, "0 bytes")] {
        let response = problem(Dialect::Chat, Agent::Other, &BodyError::TooLarge { limit }.into(), "r");
        let message = has_the_exact_shape(Dialect::Chat, &response, "r");
        assert!(message.contains(&format!("the {text} that")), "{message}");
    }
}

#[test]
fn a_broken_stream_ends_the_way_its_agents_try_again() {
    for error in errors() {
        for dialect in [Dialect::Anthropic, Dialect::Chat, Dialect::Responses] {
            assert_eq!(in_stream(dialect, &error), Ending::Abort);
        }
        let Ending::Object(body) = in_stream(Dialect::Gemini, &error) else { panic!("aborted") };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        assert_eq!(body, json!({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}}));
        assert!(message.starts_with("Tollgate"));
    }
}

#[test]
fn a_refusal_costs_few_allocations() {
    let error = UpstreamError::ConnectFailed { provider: "openai".into(), why: "refused".into() }.into();
    let counted = allocation_counter::measure(|| {
        assert_eq!(super::problem(Dialect::Gemini, Agent::GeminiCli, &error, "req_1").status, 503);
    });
    // The body and its `Bytes`, the fields' text and list, the values that are not literals.
    assert!(counted.count_total <= 6, "{counted:?}");
}

proptest! {
    /// Whatever a name holds, the object stays an object and the sentence one line.
    #[test]
    fn names_cannot_break_out(
        key in "\\PC{0,20}", model: String, provider in "[\"\\\\\n\u{2028}a]{0,9}", path in ".{0,400}", id: String,
    ) {
        for error in samples(&key, &model, &provider, &path) {
            for dialect in Dialect::ALL {
                let response = problem(dialect, Agent::Other, &error, "req_1");
                let message = has_the_exact_shape(dialect, &response, "req_1");
                prop_assert!(is_one_line(&message));
                prop_assert!(message.len() < 900);
                let response = problem(dialect, Agent::Other, &error, &id);
                prop_assert!(serde_json::from_slice::<Value>(response.body()).is_ok());
            }
        }
    }
}

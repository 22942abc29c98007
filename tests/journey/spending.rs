//! What teams and owners use is counted by agent, to the micro-dollar, and so is whose limit refused what.

use http::Request;

use crate::scripted::{Act, Gateway, RULES, Upload, json, post, read, sse};
use crate::{STREAM, scripted};

const MATE: &str = "tk-mate-0123456789";
const LONE: &str = "tk-lone-0123456789";

/// Two keys of a team, one of nobody's, and prices whose products are no whole micro-dollars.
fn rules() -> String {
    format!(
        r#"{RULES}
owner = "alice"
[[key]]
name = "mate"
team = "core"
owner = "bob"
secret = {{ env = "MATE" }}
limits = [{{ requests = 2, per = "50s" }}]
[[key]]
name = "lone"
secret = {{ env = "LONE" }}
[[price]]
model = "m"
input = 0.3
output = 0.7
cache_read = 0.1
[[team]]
name = "core"
budgets = [{{ dollars = 5, per = "total" }}]
"#
    )
}

fn by(key: &str, agent: &str, body: &'static str) -> Request<Upload> {
    let mut request = post("/v1/messages", body);
    request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    if agent == "claude-code" {
        request.headers_mut().insert("user-agent", "claude-code/2.0.1".parse().unwrap());
    }
    request
}

const ASK: &str = r#"{"model":"m","max_tokens":9,"messages":[]}"#;
const UNPRICED: &str = r#"{"model":"alias","max_tokens":9,"messages":[]}"#;

async fn call(gateway: &Gateway, request: Request<Upload>) -> u16 {
    let answer = gateway.ask(request).await;
    let status = answer.status().as_u16();
    read(answer.into_body()).await;
    status
}

#[track_caller]
fn shows(gateway: &Gateway, lines: &[&str]) {
    let page = gateway.core.metrics.render();
    for line in lines {
        assert!(page.contains(&format!("\n{line}\n")), "{line} not in\n{page}");
    }
}

#[tokio::test]
async fn spending_is_told_by_team_owner_and_agent() {
    // 101 x 0.3 + 7 x 0.1 + 3 x 0.7 = 33.1 millionths of a dollar.
    const USED: &str = r#"{"usage":{"input_tokens":101,"cache_read_input_tokens":7,"output_tokens":3}}"#;
    let acts: Vec<Act> = (0..9).map(|_| json(200, USED)).chain([json(200, USED), sse(&STREAM[..4])]).collect();
    let gateway = Gateway::with(&rules(), acts, 1);
    for _ in 0..5 {
        assert_eq!(call(&gateway, by(scripted::KEY, "claude-code", ASK)).await, 200);
    }
    for _ in 0..2 {
        assert_eq!(call(&gateway, by(scripted::KEY, "other", ASK)).await, 200);
        assert_eq!(call(&gateway, by(MATE, "other", ASK)).await, 200);
    }
    assert_eq!(call(&gateway, by(MATE, "other", ASK)).await, 429, "its third within the minute");
    assert_eq!(
        call(&gateway, by(scripted::KEY, "claude-code", UNPRICED)).await,
        403,
        "a budget pays for no unknown price"
    );
    assert_eq!(call(&gateway, by(LONE, "other", UNPRICED)).await, 200);
    shows(
        &gateway,
        &[
            r#"tollgate_team_tokens_total{team="core",agent="claude-code",kind="input"} 505"#,
            r#"tollgate_team_tokens_total{team="core",agent="claude-code",kind="cache_read"} 35"#,
            r#"tollgate_team_tokens_total{team="core",agent="other",kind="output"} 12"#,
            // 5 x 33.1 and 4 x 33.1, each rounded once.
            r#"tollgate_team_cost_micro_dollars_total{team="core",agent="claude-code"} 166"#,
            r#"tollgate_team_cost_micro_dollars_total{team="core",agent="other"} 132"#,
            r#"tollgate_owner_cost_micro_dollars_total{owner="alice",agent="claude-code"} 166"#,
            r#"tollgate_owner_cost_micro_dollars_total{owner="alice",agent="other"} 66"#,
            r#"tollgate_owner_cost_micro_dollars_total{owner="bob",agent="other"} 66"#,
            r#"tollgate_team_calls_total{team="core",agent="other"} 4"#,
            r#"tollgate_team_limit_refusals_total{team="core",agent="other"} 1"#,
            r#"tollgate_team_limit_refusals_total{team="core",agent="claude-code"} 1"#,
            r#"tollgate_owner_limit_refusals_total{owner="bob",agent="other"} 1"#,
            r#"tollgate_limit_refusals_total{level="key",bound="requests"} 1"#,
            r#"tollgate_team_unpriced_calls_total{team="",agent="other"} 1"#,
            r#"tollgate_team_cost_micro_dollars_total{team="",agent="other"} 0"#,
            r#"tollgate_team_estimated_calls_total{team="core",agent="other"} 0"#,
        ],
    );
    // A stream that breaks off before it has told all.
    let streamed = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[]}"#;
    assert_eq!(call(&gateway, by(scripted::KEY, "other", streamed)).await, 200);
    shows(&gateway, &[r#"tollgate_team_calls_total{team="core",agent="other"} 5"#]);
}

/// A count beforehand is no call that is charged.
#[tokio::test]
async fn counting_beforehand_is_not_spending() {
    const COUNTED: &str = r#"{"input_tokens":11}"#;
    let gateway = Gateway::with(&rules(), vec![json(200, COUNTED)], 1);
    let mut request = post("/v1/messages/count_tokens", ASK);
    request.headers_mut().insert("authorization", format!("Bearer {LONE}").parse().unwrap());
    assert_eq!(call(&gateway, request).await, 200);
    assert!(!gateway.core.metrics.render().contains("tollgate_team_calls_total{"), "counting beforehand costs nothing");
}

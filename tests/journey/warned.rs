//! A budget that passes its mark is told of once, to whom the configuration names.

use crate::scripted::{Act, Gateway, RULES, json, post, read};

const ASK: &str = r#"{"model":"m","max_tokens":9,"messages":[]}"#;

/// A dollar for each token of the prompt; ten dollars, of which eight are the mark.
fn rules(hook: &str) -> String {
    format!(
        r#"{RULES}
[budget]
time_zone = "Europe/Berlin"
{hook}
[[price]]
model = "m"
input = 1_000_000
output = 0
cache_read = 0
[[team]]
name = "core"
budgets = [{{ dollars = 100, per = "month" }}, {{ dollars = 10, per = "day" }}]
"#
    )
}

const HOOK: &str = r#"webhook = { url = "https://alerts.example" }"#;

async fn call(gateway: &Gateway) -> u16 {
    let answer = gateway.ask(post("/v1/messages", ASK)).await;
    let status = answer.status().as_u16();
    read(answer.into_body()).await;
    status
}

fn threes(calls: usize) -> Vec<Act> {
    (0..calls).map(|_| json(200, r#"{"usage":{"input_tokens":3,"output_tokens":0}}"#)).collect()
}

#[track_caller]
fn shows(gateway: &Gateway, line: &str) {
    let page = gateway.core.metrics.render();
    assert!(page.contains(&format!("\n{line}\n")), "{line} not in\n{page}");
}

#[tokio::test]
async fn a_soft_limit_is_told_once_in_a_period() {
    let gateway = Gateway::with(&rules(HOOK), threes(9), 1);
    let mut told = Vec::new();
    for dollars in [3, 6, 9] {
        assert_eq!(call(&gateway).await, 200, "{dollars}");
        while let Ok(message) = gateway.told.lock().unwrap().try_recv() {
            told.push((dollars, message.warning.clone()));
        }
    }
    // Whatever comes then, passing or refused, it is told no second time.
    for _ in 0..3 {
        call(&gateway).await;
    }
    assert!(gateway.told.lock().unwrap().try_recv().is_err(), "told twice");
    let [(9, warning)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((warning.level.label(), &*warning.name, warning.warn_at), ("team", "core", 80));
    assert_eq!((warning.period.to_string(), warning.cap.to_string()), ("day".to_owned(), "10.000000".to_owned()));
    assert_eq!(warning.spent.exact().to_string(), "9.00");
    let (begin, end) = (warning.begin.unwrap(), warning.end.unwrap());
    assert!(begin < end && (23..=25).contains(&((end - begin) / 3_600)), "{begin} {end}");
    assert_eq!(warning.zone.iana_name(), Some("Europe/Berlin"));
    shows(&gateway, "tollgate_budget_warnings_total 1");
    shows(&gateway, r#"tollgate_webhook_messages_total{result="dropped"} 1"#);
}

#[tokio::test]
async fn where_nobody_is_named_nobody_is_told() {
    let gateway = Gateway::with(&rules(""), threes(3), 1);
    for _ in 0..3 {
        call(&gateway).await;
    }
    shows(&gateway, "tollgate_budget_warnings_total 1");
    assert!(gateway.told.lock().unwrap().try_recv().is_err());
    shows(&gateway, r#"tollgate_webhook_messages_total{result="dropped"} 0"#);
}

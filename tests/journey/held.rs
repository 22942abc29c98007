//! Many calls on the same accounts: nothing stays held, and together they pass no budget by much.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tollgate::error::limit::Level;
use tollgate::money::Pico;

use super::scripted::{Act, Gateway, RULES, Step, governed, json, post};
use super::{BLOCK, START, STREAM, TEXT, messages, sse};

const ACCOUNTS: [(Level, &str); 3] = [(Level::Key, "dev"), (Level::Owner, "ada"), (Level::Team, "core")];

/// Calls under way, and what is held and spent of each budget.
fn standing(gateway: &Gateway, level: Level, name: &str) -> (u64, Vec<(Pico, Pico)>) {
    let account = gateway.core.ledger.accounts.account(level, &Arc::from(name));
    let now = gateway.core.ledger.at(std::time::Instant::now(), tollgate::telemetry::clock::since_epoch());
    (account.under_way(), account.budgets(now).iter().map(|budget| (budget.held, budget.spent)).collect())
}

#[tokio::test(start_paused = true)]
async fn however_a_call_ends_nothing_stays_held_for_it_on_any_account() {
    let data = |event: &'static str| Step::Data(Bytes::from_static(event.as_bytes()));
    let stream = |frames: Vec<Step>| Act::Answer { status: 200, kind: "text/event-stream", frames };
    for (name, act, frames) in [
        ("whole", sse(&STREAM), usize::MAX),
        ("json", json(200, r#"{"usage":{"input_tokens":5,"output_tokens":7}}"#), usize::MAX),
        ("refused by the provider", json(429, "{}"), usize::MAX),
        ("our credential", json(401, "{}"), usize::MAX),
        ("nothing listens", Act::Refuse, usize::MAX),
        ("broken", stream(vec![data(START), data(BLOCK), data(TEXT), Step::Break]), usize::MAX),
        ("silent", stream(vec![data(START), data(TEXT), Step::Wait(Duration::from_secs(100_000))]), usize::MAX),
        ("the client leaves at once", sse(&STREAM), 0),
        ("the client leaves later", stream(vec![data(START), data(BLOCK), data(TEXT), Step::Hang]), 2),
    ] {
        let gateway = Gateway::with(&governed(), vec![act], 1);
        let mut body = gateway.ask(messages()).await.into_body();
        let mut read = 0;
        while read < frames && body.frame().await.is_some_and(|frame| frame.is_ok()) {
            read += 1;
        }
        drop(body);
        for (level, account) in ACCOUNTS {
            let (under_way, budgets) = standing(&gateway, level, account);
            assert_eq!(under_way, 0, "{name}: {account}");
            assert!(budgets.len() == 1 && budgets.iter().all(|(held, _)| held.is_zero()), "{name}: {account}");
        }
        let spent: Vec<_> = ACCOUNTS.map(|(level, account)| standing(&gateway, level, account).1[0].1).into();
        assert!(spent.iter().all(|one| *one == spent[0]), "{name}: all levels pay alike: {spent:?}");
    }
}

#[tokio::test]
async fn streams_that_share_a_budget_are_cut_where_it_ends_for_all_of_them() {
    const CALLS: usize = 8;
    let text = "ten ".repeat(20);
    let event = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
    );
    let frames: Vec<_> = (0..2_000).map(|_| Step::Data(Bytes::from(event.clone()))).collect();
    let long = Act::Answer { status: 200, kind: "text/event-stream", frames };
    // Ten thousand tokens for all; each would take forty thousand.
    let rules = format!("{RULES}\nbudgets = [{{ dollars = 0.1, per = \"day\" }}]\n[[price]]\ninput = 1\noutput = 10\n");
    let gateway = Gateway::with(&rules, vec![long; CALLS], 1);
    let mut bodies = Vec::new();
    for _ in 0..CALLS {
        let request = post("/v1/chat/completions", r#"{"model":"m","stream":true,"max_tokens":50000,"messages":[]}"#);
        let answer = gateway.ask(request).await;
        if answer.status() == 200 {
            bodies.push(answer.into_body());
        }
    }
    assert!(bodies.len() > 1, "some share it");
    // In turns, an event each.
    while !bodies.is_empty() {
        let mut left = Vec::new();
        for mut body in bodies {
            if body.frame().await.is_some_and(|frame| frame.is_ok()) {
                left.push(body);
            }
        }
        bodies = left;
    }
    let (under_way, budgets) = standing(&gateway, Level::Key, "dev");
    let (held, spent) = budgets[0];
    let cap: Pico = "0.1".parse().unwrap();
    assert_eq!((under_way, held), (0, Pico::ZERO));
    assert!(
        spent >= Pico::new(cap.pico() / 100 * 90) && spent <= Pico::new(cap.pico() / 100 * 105),
        "{spent} of {cap}"
    );
}

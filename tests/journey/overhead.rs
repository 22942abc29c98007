//! What counts as the gateway's own share of a call, and what does not: others' time is told apart by how long it is.

use std::time::Duration;

use bytes::Bytes;

use super::scripted::{Act, Gateway, RULES, Step, Then, Upload, read};
use super::{STOP, TEXT, messages, sse};
use http::Request;

/// Longer than the gateway takes for anything, however busy the machine is.
const LONG: Duration = Duration::from_millis(400);

const START: &str = super::START;

/// Seconds, and how many calls, of all targets together.
fn overhead(gateway: &Gateway) -> (f64, f64) {
    let page = gateway.core.metrics.render();
    let sum = |what: &str| -> f64 {
        let name = format!("tollgate_overhead_seconds_{what}{{");
        let lines = page.lines().filter(|line| line.starts_with(&name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    (sum("sum"), sum("count"))
}

fn slow() -> Act {
    let data = |s: &'static str| Step::Data(Bytes::from_static(s.as_bytes()));
    let frames = vec![data(START), Step::Wait(LONG), data(TEXT), data(STOP)];
    Act::Answer { status: 200, kind: "text/event-stream", frames }
}

#[track_caller]
fn is_ours(gateway: &Gateway, held_back: bool, name: &str) {
    let (seconds, calls) = overhead(gateway);
    assert!((calls - 1.0).abs() < 0.1, "{name}: {calls}");
    assert!(seconds > 0.0, "{name}");
    assert_eq!(seconds > LONG.as_secs_f64() * 0.9, held_back, "{name}: {seconds}");
}

#[tokio::test]
async fn waiting_for_others_is_not_ours() {
    let gateway = Gateway::new(vec![slow()]);
    read(gateway.ask(messages()).await.into_body()).await;
    is_ours(&gateway, false, "a provider that takes its time");

    let gateway = Gateway::new(vec![sse(&[START, TEXT, STOP])]);
    let mut request: Request<Upload> = messages();
    request.body_mut().then = Then::EndAt(tokio::time::Instant::now() + LONG);
    read(gateway.ask(request).await.into_body()).await;
    is_ours(&gateway, false, "a client that takes its time");

    let gateway = Gateway::with(RULES, vec![Act::HangUp { reused: false }, sse(&[START, TEXT, STOP])], 2);
    read(gateway.ask(messages()).await.into_body()).await;
    is_ours(&gateway, false, "a second attempt");
}

#[tokio::test]
async fn holding_an_answer_back_is_ours() {
    // There is another target, so that the beginning waits for content.
    let gateway = Gateway::with(RULES, vec![slow()], 2);
    read(gateway.ask(messages()).await.into_body()).await;
    is_ours(&gateway, true, "held back");
}

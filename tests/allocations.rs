//! Heap allocations on the way of a request, as exact numbers: one more is a decision, not an accident.
//!
//! Without sockets: what a connection allocates for heads is not in here, nor what the scripted upstream builds (it is
//! measured by itself and taken off).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

#[path = "journey/scripted.rs"]
#[expect(dead_code, reason = "shared with the journey's tests, which use more of it")]
mod scripted;

use bytes::Bytes;
use scripted::{Act, Gateway, Step, inbound, json, post};

const ASK: &str = r#"{"model":"m","stream":true,"messages":[]}"#;
const EVENT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sixty bytes of text, more or less\"}}]}\n\n";

fn stream(events: usize) -> Act {
    let data = |text: &'static str| Step::Data(Bytes::from_static(text.as_bytes()));
    let frames = std::iter::repeat_n(data(EVENT), events).chain([data("data: [DONE]\n\n")]).collect();
    Act::Answer { status: 200, kind: "text/event-stream", frames }
}

/// Allocations of the last of three equal calls: the first two pay for what happens once in a process.
fn allocations(act: &Act) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gateway = Gateway::new(vec![act.clone(), act.clone(), act.clone()]);
    let mut last = 0;
    for _ in 0..3 {
        let request = inbound(post("/v1/chat/completions", ASK));
        let info = allocation_counter::measure(|| {
            runtime.block_on(async {
                use http_body_util::BodyExt;
                let mut body = gateway.serve(request).await.unwrap().body;
                while let Some(frame) = body.frame().await {
                    assert!(frame.unwrap().is_data());
                }
            });
        });
        last = info.count_total;
    }
    last
}

#[test]
fn an_event_costs_no_allocation() {
    let (few, many) = (allocations(&stream(10)), allocations(&stream(1_010)));
    assert_eq!(many, few, "allocations of 1,000 more events");
}

#[test]
fn a_request_costs_a_known_number() {
    // The scripted upstream's own share: its future, the provider's name, the recorded request, the answer's headers.
    let got = allocations(&json(200, r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#));
    assert!(got <= REQUEST, "{got} allocations, the budget is {REQUEST}");
    assert!(got + 4 > REQUEST, "{got} allocations: lower the budget of {REQUEST} and keep the gain");
}

/// Raised only in a commit of its own, with a reason.
const REQUEST: u64 = 24;

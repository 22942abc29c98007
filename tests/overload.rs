//! Three times as many requests as may be under way, for seconds: what is served stays what can be served, and who is not
//! served hears it at once.
//!
//! An open loop: requests begin when they are due, whatever became of those before.

#![cfg(test)]

#[path = "faults/client.rs"]
mod client;
#[path = "faults/gateway.rs"]
mod gateway;

use std::time::{Duration, Instant};

use client::{exchange, request};
use gateway::Gateway;
use tollgate::simulator::{Script, Simulator};

/// How long the provider takes for an answer.
const TAKES: Duration = Duration::from_millis(400);
/// Requests that may be under way.
const AT_ONCE: u32 = 40;
/// Those that can be served in a second, and those that are asked for.
const CAPACITY: u32 = AT_ONCE * 1000 / 400;
const OFFERED: u32 = 3 * CAPACITY;
/// How long it goes on.
const LONG: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_cap_refusals_are_quick_and_goodput_stays() {
    let script = Script { first_byte_ms: u64::try_from(TAKES.as_millis()).unwrap(), ..Script::default() };
    let simulator = Simulator::start(script, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let limits = format!("[limits]\ninflight_requests = {AT_ONCE}");
    let mut gateway = Gateway::start(simulator.address(), "", &limits).await;
    let address = gateway.address;
    let ask = || request("/v1/messages", r#"{"model":"m","max_tokens":9,"messages":[]}"#);
    let before = gateway.holds().await;

    let began = tokio::time::Instant::now();
    let mut calls = Vec::new();
    for n in 0..OFFERED * LONG {
        tokio::time::sleep_until(began + Duration::from_secs(1) * n / OFFERED).await;
        let ask = ask();
        calls.push(tokio::spawn(async move {
            let began = Instant::now();
            (exchange(address, &ask).await, began.elapsed())
        }));
    }
    let (mut served, mut refusals) = (0, Vec::new());
    for call in calls {
        let (answer, took) = call.await.unwrap();
        match answer.status {
            200 => served += 1,
            503 => {
                assert!(answer.whole && answer.head.contains("retry-after: 1"), "{answer:?}");
                refusals.push(took);
            }
            _ => panic!("{answer:?}"),
        }
    }
    refusals.sort_unstable();
    let at = |percent: usize| refusals[refusals.len() * percent / 100];
    println!("{served} served, {} refused, half of them in {:?}, nine of ten in {:?}", refusals.len(), at(50), at(90));
    assert!(served * 10 >= CAPACITY * LONG * 9, "{served} were served, {} could have been", CAPACITY * LONG);
    assert!(at(90) < Duration::from_millis(50), "{:?}", at(90));

    // It is over at once.
    tokio::time::sleep(TAKES).await;
    for _ in 0..5 {
        assert_eq!(exchange(address, &ask()).await.status, 200);
    }
    gateway.settles(before, 24 * 1024).await;
    gateway.is_unharmed();
}

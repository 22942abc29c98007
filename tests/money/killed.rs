//! `kill -9` of the gateway under load, again and again: each call that reached the provider is recorded once, at its cost
//! where the client saw its end, and budgets go on where the records are.
//!
//! `TOLLGATE_CRASHES=50` sets how often it is killed.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{self, Asked};
use crate::gateway::{Gateway, KEY, pico, usage};
use crate::provider::{Reply, Request, provider};
use crate::{Dice, number};

const CLIENTS: u64 = 32;

/// Dollars for a million tokens: pico-dollars for one are a million times as many.
const PRICES: &str = "[[price]]\nmodel = '*'\ninput = 3\noutput = 15\n";

/// Every level has one or more budgets, none of which is ever in the way.
fn tables(provider: SocketAddr) -> String {
    let budgets =
        "[{ dollars = 1000, per = 'total' }, { dollars = 900, per = 'month' }, { dollars = 800, per = '72h' }]";
    format!(
        "[[provider]]\nname = 'p'\nspeaks = ['anthropic', 'chat']\nbase_url = 'http://{provider}'\n\
         [[model]]\nname = '*'\nprovider = 'p'\n{PRICES}\
         [[key]]\nname = 'k'\nowner = 'o'\nteam = 't'\nsecret = {{ env = 'KEY' }}\nbudgets = {budgets}\n\
         [[owner]]\nname = 'o'\nbudgets = {budgets}\n\
         [[team]]\nname = 't'\norganisation = 'g'\nbudgets = {budgets}\n\
         [[team.agent]]\nname = 'other'\nbudgets = {budgets}\n\
         [[organisation]]\nname = 'g'\nbudgets = {budgets}\n"
    )
}

/// What a call uses, told by its number alone, so that everybody can know it.
const fn tokens(call: u64) -> (u64, u64) {
    (100 + call % 1_009, 1 + call % 503)
}

const fn cost(call: u64) -> u64 {
    let (input, output) = tokens(call);
    (input * 3 + output * 15) * 1_000_000
}

/// Answers in all manners that take some time.
fn script(request: &Request) -> (u64, Reply) {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let call: u64 = body["messages"][0]["content"].as_str().unwrap().parse().unwrap();
    let (input, output) = tokens(call);
    let mut dice = Dice(call);
    let anthropic = request.path.ends_with("/messages");
    let stream = body["stream"] == true;
    let events: Vec<Value> = match (anthropic, stream) {
        (true, true) => vec![
            json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
                "model": "m", "usage": {"input_tokens": input, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "words"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output}}),
            json!({"type": "message_stop"}),
        ],
        (false, true) => vec![
            json!({"id": "c", "object": "chat.completion.chunk", "model": "m",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": "words"}}]}),
            json!({"id": "c", "object": "chat.completion.chunk", "model": "m",
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
            json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [],
                "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}}),
        ],
        (true, false) => vec![json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "words"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": input, "output_tokens": output}})],
        (false, false) => vec![json!({"id": "c", "object": "chat.completion", "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "words"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}})],
    };
    if !stream {
        let after = Duration::from_millis(dice.below(40));
        return (call, Reply { after, ..Reply::json(200, events[0].to_string()) });
    }
    let mut lines: Vec<String> = events
        .iter()
        .map(|event| match event["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        })
        .collect();
    if !anthropic {
        lines.push("data: [DONE]\n\n".to_owned());
    }
    (call, Reply::events(lines, Duration::from_millis(dice.below(12))))
}

fn asked(call: u64) -> Asked {
    let anthropic = call.is_multiple_of(2);
    let body = json!({"model": "m", "max_tokens": 600, "stream": call % 4 < 2,
        "messages": [{"role": "user", "content": call.to_string()}]});
    Asked {
        path: if anthropic { "/v1/messages" } else { "/v1/chat/completions" }.to_owned(),
        headers: vec![format!("authorization: Bearer {KEY}"), format!("x-tollgate-user: {call}")],
        body: body.to_string(),
        leaves_after: None,
    }
}

/// Calls until the gateway is gone; those whose end was seen.
async fn call_on(gateway: SocketAddr, next: Arc<AtomicU64>) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let call = next.fetch_add(1, Relaxed);
        let answer = client::ask(gateway, &asked(call)).await;
        if !answer.whole {
            return seen;
        }
        assert_eq!(answer.status, 200, "{call}: {}", answer.text());
        seen.push(call);
    }
}

/// What the records say of each call: how many there are, how many of them are interrupted, and the cost.
fn recorded(folder: &Path) -> HashMap<u64, (u64, u64, u64)> {
    let rows = usage(folder, &["--by", "user"]);
    let rows = rows["rows"].as_array().unwrap();
    let of = |row: &Value| {
        let count = |name: &str| row[name].as_u64().unwrap();
        (row["user"].as_str().unwrap().parse().unwrap(), (count("calls"), count("interrupted"), pico(row, "cost_pico")))
    };
    rows.iter().map(of).collect()
}

/// All budgets that were told their past stand where the records are, to the rounding of the page.
async fn budgets_agree(gateway: &Gateway, folder: &Path) {
    let spent = pico(&usage(folder, &[])["total"], "cost_pico");
    let micro = (spent + 500_000) / 1_000_000;
    let metrics = gateway.metrics().await;
    let family = "tollgate_budget_spent_micro_dollars";
    let series: Vec<_> = metrics.0.iter().filter(|(name, _)| name.starts_with(family)).collect();
    assert_eq!(series.len(), 5 * 3, "{series:?}");
    for (name, value) in series {
        assert!((*value as u64).abs_diff(micro) <= 1, "{name}: {value} of {micro}");
    }
    assert_eq!(metrics.sum("tollgate_budget_held_micro_dollars", &[]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_forgets_no_call_and_counts_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let reached: Arc<Mutex<HashMap<u64, u32>>> = Arc::default();
    let counting = Arc::clone(&reached);
    let upstream = provider(move |request| {
        let (call, reply) = script(request);
        *counting.lock().unwrap().entry(call).or_default() += 1;
        reply
    })
    .await;
    let mut dice = Dice(number("TOLLGATE_CRASH_SEED", u64::from(std::process::id())));
    let (next, mut seen) = (Arc::new(AtomicU64::new(1)), HashSet::new());
    for _ in 0..number("TOLLGATE_CRASHES", 3) {
        let gateway = Gateway::start(dir.path(), &tables(upstream)).await;
        if !seen.is_empty() {
            budgets_agree(&gateway, dir.path()).await;
        }
        let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(call_on(gateway.address, Arc::clone(&next)))).collect();
        tokio::time::sleep(Duration::from_millis(200 + dice.below(900))).await;
        gateway.kill();
        for client in clients {
            seen.extend(client.await.unwrap());
        }
    }
    let begun = Instant::now();
    let gateway = Gateway::start(dir.path(), &tables(upstream)).await;
    println!("up again after {:?}", begun.elapsed());
    budgets_agree(&gateway, dir.path()).await;
    let (recorded, reached) = (recorded(dir.path()), reached.lock().unwrap().clone());
    let mut interrupted = 0;
    for (call, times) in &reached {
        let there = recorded.get(call).copied().unwrap_or_default();
        let at = format!("call {call}, reached the provider {times} times, is {there:?}");
        assert_eq!((*times, there.0), (1, 1), "once; {at}");
        match seen.contains(call) {
            true => assert_eq!(there, (1, 0, cost(*call)), "its end was seen; {at}"),
            // Its end may have been written down, and the client not told any more.
            false => assert!(there.1 == 1 || there.2 == cost(*call), "{at}"),
        }
        interrupted += there.1;
    }
    for (call, (records, ..)) in &recorded {
        assert_eq!(*records, 1, "call {call}");
    }
    println!(
        "{} calls reached the provider, {} ends were seen, {} are recorded, {interrupted} as interrupted",
        reached.len(),
        seen.len(),
        recorded.len()
    );
    assert!(seen.len() > 100 && interrupted > 0 && recorded.len() >= reached.len());
}

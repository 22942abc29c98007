//! Sixty-four clients hammer one account whose calls' costs nobody knows before they end: log-normal, σ = 1.5, the ceiling 128
//! mean calls away.
//!
//! `TOLLGATE_HAMMER=10` makes every cap so many times as large (and the run as much longer).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{self, Asked};
use crate::gateway::{Gateway, KEY, Metrics};
use crate::provider::{Place, Reply, provider};
use crate::{Dice, number};

const CLIENTS: u64 = 64;
/// Tokens of output that a call has on average, and at most: what its request says.
const MEAN: u64 = 400;
const MOST: u64 = 128 * MEAN;
/// Tokens of each prompt.
const INPUT: u64 = 10;
/// Pico-dollars of a token of output, and of input.
const OUTPUT_PRICE: u64 = 10_000_000;
const INPUT_PRICE: u64 = 100_000;
/// Whoever was refused comes back so late, and gives up after so many times in a row.
const PAUSE: Duration = Duration::from_millis(200);
const TIMES: u32 = 5;

/// What the provider knows.
#[derive(Default)]
struct Truth {
    calls: AtomicU64,
    cost: AtomicU64,
    tokens: AtomicU64,
    under_way: Arc<AtomicU64>,
    most_under_way: AtomicU64,
}

/// What was seen of one account.
struct Seen {
    gateway: Gateway,
    truth: Arc<Truth>,
    /// Refusals, and those of them while 5 % of the money were neither spent nor held.
    refused: u64,
    refused_free: u64,
    _folder: tempfile::TempDir,
}

impl Seen {
    fn calls(&self) -> u64 {
        self.truth.calls.load(SeqCst)
    }

    /// Nothing is held a second after the last call has ended; what is spent is the truth.
    async fn settles(&self) -> Metrics {
        let held = |metrics: &Metrics| {
            metrics.sum("tollgate_budget_held_micro_dollars", &[]) == 0
                && metrics.sum("tollgate_calls_unsettled", &[]) == 0
        };
        self.gateway.until(Duration::from_secs(1), held).await
    }

    async fn spent_is_the_truth(&self, micro_cap: u64) -> u64 {
        let spent = self.settles().await.sum("tollgate_budget_spent_micro_dollars", &[]);
        let truth = self.truth.cost.load(SeqCst) / 1_000_000;
        assert!(spent.abs_diff(truth) <= 1, "{spent} of {truth}");
        let (calls, refused, free) = (self.calls(), self.refused, self.refused_free);
        println!("{calls} calls, {refused} refused, {free} while 5 % were free; {spent} of {micro_cap} micro-dollars");
        spent
    }
}

fn log_normal(dice: &mut Dice) -> u64 {
    let mut unit = || (dice.below(1 << 53) as f64 + 0.5) / (1_u64 << 53) as f64;
    let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
    let median = MEAN as f64 * (-1.5_f64 * 1.5 / 2.0).exp();
    ((median * (1.5 * normal).exp()) as u64).clamp(1, MOST)
}

/// Answers after some milliseconds, each with a cost of its own.
async fn blind_provider(truth: &Arc<Truth>) -> SocketAddr {
    let dice = Mutex::new(Dice(number("TOLLGATE_HAMMER_SEED", 7)));
    let truth = Arc::clone(truth);
    provider(move |_| {
        let (output, after) = {
            let mut dice = dice.lock().unwrap();
            (log_normal(&mut dice), Duration::from_millis(4 + dice.below(20)))
        };
        truth.calls.fetch_add(1, SeqCst);
        truth.cost.fetch_add(output * OUTPUT_PRICE + INPUT * INPUT_PRICE, SeqCst);
        truth.tokens.fetch_add(output + INPUT, SeqCst);
        let (place, now) = Place::take(&truth.under_way);
        truth.most_under_way.fetch_max(now, SeqCst);
        let usage = json!({"prompt_tokens": INPUT, "completion_tokens": output, "total_tokens": INPUT + output});
        let answer = json!({"id": "c", "object": "chat.completion", "model": "m", "usage": usage,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}]});
        Reply { after, place: Some(place), ..Reply::json(200, answer.to_string()) }
    })
    .await
}

async fn call_until_refused(gateway: SocketAddr, free: Arc<AtomicBool>) -> (u64, u64) {
    let body = json!({"model": "m", "max_completion_tokens": MOST, "messages": [{"role": "user", "content": "go on"}]});
    let asked = Asked {
        path: "/v1/chat/completions".to_owned(),
        headers: vec![format!("authorization: Bearer {KEY}")],
        body: body.to_string(),
        leaves_after: None,
    };
    let (mut refused, mut refused_free, mut in_a_row) = (0, 0, 0);
    while in_a_row < TIMES {
        let before = free.load(SeqCst);
        let answer = client::ask(gateway, &asked).await;
        assert!(answer.whole, "{answer:?}");
        match answer.status {
            200 => in_a_row = 0,
            402 | 429 => {
                in_a_row += 1;
                refused += 1;
                tokio::time::sleep(PAUSE).await;
                refused_free += u64::from(before && free.load(SeqCst));
            }
            _ => panic!("{}", answer.text()),
        }
    }
    (refused, refused_free)
}

/// Hammers a key that is held to `rules` until it is refused and refused again.
async fn hammer(rules: &str) -> Seen {
    let truth = Arc::new(Truth::default());
    let mock = blind_provider(&truth).await;
    let folder = tempfile::tempdir().unwrap();
    let tables = format!(
        "[[provider]]\nname = 'p'\nspeaks = ['chat']\nbase_url = 'http://{mock}'\n[[model]]\nname = 'm'\nprovider = 'p'\n\
         [[price]]\nmodel = 'm'\ninput = '0.1'\noutput = 10\n\
         [[key]]\nname = 'k'\nsecret = {{ env = 'KEY' }}\n{rules}\n"
    );
    let gateway = Gateway::start(folder.path(), &tables).await;
    let free = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(call_until_refused(gateway.address, Arc::clone(&free)))).collect();
    let (mut refused, mut refused_free) = (0, 0);
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        let metrics = gateway.metrics().await;
        let of = |what: &str| metrics.sum(&format!("tollgate_budget_{what}_micro_dollars"), &[]);
        free.store(of("remaining") * 20 >= of("cap"), SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for client in clients {
        let (of_it, while_free) = client.await.unwrap();
        refused += of_it;
        refused_free += while_free;
    }
    Seen { gateway, truth, refused, refused_free, _folder: folder }
}

/// So many mean calls' worth, in millionths of a dollar.
fn worth(calls: u64) -> u64 {
    calls * number("TOLLGATE_HAMMER", 1) * MEAN * OUTPUT_PRICE / 1_000_000
}

fn budget(micro: u64, mode: &str) -> String {
    let dollars = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    format!("budgets = [{{ dollars = '{dollars}', per = 'total', mode = '{mode}' }}]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_budget_is_never_passed() {
    let cap = worth(600);
    let seen = hammer(&budget(cap, "strict")).await;
    let spent = seen.spent_is_the_truth(cap).await;
    assert!(spent <= cap, "{spent} of {cap}");
    // Until one call more could pass it: its ceiling is 128 mean calls.
    assert!(spent + worth(1) * 130 >= cap && seen.refused > 0, "{spent} of {cap}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learned_budget_is_used_up_and_hardly_passed() {
    let cap = worth(3_000);
    let seen = hammer(&budget(cap, "learned")).await;
    let spent = seen.spent_is_the_truth(cap).await;
    assert!(spent * 100 <= cap * 101, "{spent} of {cap}");
    assert!(spent * 100 >= cap * 90, "it is there to be used: {spent} of {cap}");
    let all = seen.calls() + seen.refused;
    assert!(seen.refused_free * 100 <= all, "{} of {all}", seen.refused_free);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_tokens_is_hardly_passed() {
    let limit = 2_500 * MEAN * number("TOLLGATE_HAMMER", 1);
    let seen = hammer(&format!("limits = [{{ tokens = {limit}, per = '1h' }}]")).await;
    seen.settles().await;
    let (used, calls, refused) = (seen.truth.tokens.load(SeqCst), seen.calls(), seen.refused);
    println!("{calls} calls, {refused} refused; {used} of {limit} tokens");
    assert!(used * 100 <= limit * 101, "{used} of {limit}");
    assert!(used * 100 >= limit * 75, "it is there to be used: {used} of {limit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_tokens_beside_a_strict_budget_is_never_passed() {
    let limit = 600 * MEAN * number("TOLLGATE_HAMMER", 1);
    let rules = format!("{}\nlimits = [{{ tokens = {limit}, per = '1h' }}]", budget(worth(1_000_000), "strict"));
    let seen = hammer(&rules).await;
    seen.settles().await;
    let (used, calls, refused) = (seen.truth.tokens.load(SeqCst), seen.calls(), seen.refused);
    println!("{calls} calls, {refused} refused; {used} of {limit} tokens");
    assert!(used <= limit && used + 130 * MEAN >= limit, "{used} of {limit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_are_under_way_than_may_be() {
    let begun = Instant::now();
    let (cap, most) = (worth(600), 7);
    let seen = hammer(&format!("{}\nlimits = [{{ concurrent = {most} }}]", budget(cap, "learned"))).await;
    seen.settles().await;
    let there = seen.truth.most_under_way.load(SeqCst);
    println!("{} calls, {} refused, at most {there} under way, {:?}", seen.calls(), seen.refused, begun.elapsed());
    assert!(there <= most && there >= most - 1, "{there} of {most}");
}

//! Ten million calls of three months: how large the database gets, and how long a question takes. Ignored, since it takes
//! minutes; SQLite and our code must be optimised for the times to mean anything:
//!
//! ```text
//! cargo test --test ten_million --config 'profile.dev.package.libsqlite3-sys.opt-level=3' \
//!   --config 'profile.dev.package.tollgate.opt-level=3' -- --ignored --nocapture
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tollgate::agent::Agent;
use tollgate::journal::{self, Journal};
use tollgate::ledger::name::Name;
use tollgate::ledger::record::{End, Final, Flags, Intent, Said};
use tollgate::money::Pico;
use tollgate::protocol::Dialect;
use tollgate::protocol::usage::Usage;
use tollgate::store::report::{By, Query, ask};
use tollgate::store::sums::{Level, spent_by_all};
use tollgate::store::{self, Store};

const DAYS: u64 = 90;
const KEYS: u64 = 400;
const TEAMS: u64 = 40;
/// Of a developer's day.
const HOURS: u64 = 8;
/// 2026-08-25T00:00:00Z.
const BEGIN: u64 = 1_787_616_000_000;

struct Names {
    keys: Vec<Name>,
    owners: Vec<Name>,
    teams: Vec<Name>,
    rest: [Name; 4],
}

fn names() -> Names {
    let many = |what: &str, many: u64| (0..many).map(|n| Name::of(&format!("{what}-{n}"))).collect();
    let rest = ["organisation", "provider", "credential", "2026-11-24"].map(Name::of);
    Names { keys: many("key", KEYS), owners: many("owner", KEYS), teams: many("team", TEAMS), rest }
}

const MODELS: [&str; 6] = ["opus-4-5", "sonnet-5", "haiku-4-5", "gpt-5.5", "gpt-5.5-mini", "gemini-3-pro"];

/// The `n`th call of a key's hour.
fn call<'a>(names: &Names, call: u64, at: u64, key: u64, n: u64, session: &'a str) -> Final<'a> {
    let key_at = usize::try_from(key).unwrap();
    let model = MODELS[usize::try_from((key + n % 2) % 6).unwrap()];
    let dice = call.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    Final {
        intent: Intent {
            call: call.wrapping_mul(0xbf58_476d_1ce4_e5b9),
            at,
            key: names.keys[key_at],
            owner: names.owners[key_at],
            team: names.teams[usize::try_from(key % TEAMS).unwrap()],
            organisation: names.rest[0],
            agent: Said::Here(Agent::ALL[usize::try_from(key % 4).unwrap()]),
            dialect: Said::Here(Dialect::Anthropic),
            session,
            user: "",
            asked: model,
            hold: Pico::DOLLAR,
            known: Pico::ZERO,
        },
        provider: names.rest[1],
        credential: names.rest[2],
        prices: names.rest[3],
        served: model,
        usage: Usage {
            input: dice % 3000,
            cache_read: dice % 150_000,
            cache_write: dice % 9000,
            output: dice % 4000,
            reasoning: dice % 1000,
            ..Usage::default()
        },
        cost: Pico::new(dice % 900_000_000_000),
        status: 200,
        end: End::Complete,
        attempts: 1,
        latency: u32::try_from(dice % 60_000).unwrap(),
        first: Some(u32::try_from(dice % 5000).unwrap()),
        flags: Flags::when(dice.is_multiple_of(50), Flags::ESTIMATED),
    }
}

#[test]
#[ignore = "takes minutes; a measurement"]
fn ten_million_calls() {
    let total: u64 = std::env::var("TOLLGATE_CALLS").map_or(10_000_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::start(journal::Settings::new(dir.path().join("journal")), 1).unwrap());
    let path = dir.path().join("usage.db");
    let settings = store::Settings { path: path.clone(), retention: Duration::from_secs(1000 * 86_400) };
    let store = Store::start(settings, &journal).unwrap();
    let core = journal.for_core(0).unwrap();
    let names = names();
    let each = total / (DAYS * HOURS * KEYS);
    let (begun, mut made, mut writing) = (Instant::now(), 0_u64, Duration::ZERO);
    for day in 0..DAYS {
        for hour in 0..HOURS {
            let at = BEGIN + (day * 24 + 8 + hour) * 3_600_000;
            for key in 0..KEYS {
                let session = format!("{day:08x}-{hour:04x}-4a57-9f0c-{key:012x}");
                let began = Instant::now();
                for n in 0..each {
                    let record = call(&names, made, at + n * 100_000 + key * 7, key, n, &session);
                    core.intent(&record.intent).unwrap();
                    core.flush().unwrap();
                    core.finish(&record);
                    core.flush().unwrap();
                    made += 1;
                }
                writing += began.elapsed();
            }
            while journal.health().depth.load(Relaxed) > 200 << 20 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    core.flush().unwrap();
    journal.finish();
    store.finish();
    assert_eq!((journal.health().records.load(Relaxed), journal.health().lost.load(Relaxed)), (made, 0));
    let bytes = fs::metadata(&path).unwrap().len();
    println!(
        "{made} calls: {} ns each to write intent and final; {:.0} per second into the database; {:.1} bytes each",
        writing.as_nanos() / u128::from(made),
        made as f64 / begun.elapsed().as_secs_f64(),
        bytes as f64 / made as f64
    );
    let (from, to) = (Some(BEGIN as i64), Some((BEGIN + DAYS * 86_400_000) as i64));
    for by in [
        vec![By::Day],
        vec![By::Team],
        vec![By::Agent],
        vec![By::Model],
        vec![By::Day, By::Team, By::Agent, By::Model],
        vec![By::Key],
    ] {
        let query = Query { by, from, to, only: Vec::new() };
        let mut best = Duration::MAX;
        let mut lines = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            lines = ask(&path, &query).unwrap();
            best = best.min(began.elapsed());
        }
        let calls: u64 = lines.iter().map(|line| line.totals.calls).sum();
        assert_eq!(calls, made);
        println!("by {:?}: {} lines in {best:?}", query.by, lines.len());
    }
    let began = Instant::now();
    let sums = spent_by_all(&path, Level::Key, BEGIN + 60 * 86_400_000 + 1_800_000, u64::MAX).unwrap();
    println!("a month of all {} keys: {:?}", sums.len(), began.elapsed());
    assert!(bytes <= 250 * made, "{bytes} bytes");
}

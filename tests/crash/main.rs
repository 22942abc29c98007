//! `kill -9` under load, again and again: what had been promised is there, once, and nothing else.
//!
//! A child process works as the cores of a gateway do and says through a pipe what it has promised: `I call` once a request
//! may have gone upstream, `F call cost` once a client may have seen the end. It is killed at a moment of nobody's choosing;
//! then what it left on disk is held against what it said. `TOLLGATE_CRASHES=50` sets how often (default 5),
//! `TOLLGATE_CRASH_SEED` where the dice begin.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, also in its helpers")]

mod child;
mod dice;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dice::Dice;
use rusqlite::Connection;
use tollgate::journal::frame::Frame;
use tollgate::journal::run::Run;
use tollgate::journal::segment::Segment;
use tollgate::journal::{Journal, Settings};
use tollgate::ledger::record::End;
use tollgate::store::sums::{Level, spent_by_all};

/// What a child has said of one call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Promise {
    upstream: bool,
    cost: Option<u64>,
}

/// What is on disk of one call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Left {
    intents: u32,
    finals: u32,
    voids: u32,
    cost: u64,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Lets a child work in a folder for a while and kills it; what it has said until then.
fn work_and_die(mode: &str, folder: &Path, seed: u64, patience: Duration) -> HashMap<u64, Promise> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::works_until_it_is_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(child::FOLDER, folder)
        .env(child::MODE, mode)
        .env(child::SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let listening = std::thread::spawn(move || {
        let mut promises: HashMap<u64, Promise> = HashMap::new();
        let mut line = String::new();
        // A line without its end was not said.
        while said.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["I", call] => promises.entry(call.parse().unwrap()).or_default().upstream = true,
                ["F", call, cost] => {
                    promises.entry(call.parse().unwrap()).or_default().cost = Some(cost.parse().unwrap());
                }
                _ => {}
            }
            line.clear();
        }
        promises
    });
    std::thread::sleep(patience);
    assert_eq!(child.try_wait().unwrap(), None, "it works until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
    listening.join().unwrap()
}

/// What dead runs have left in the journal.
fn journal_left(folder: &Path) -> HashMap<u64, Left> {
    let mut left: HashMap<u64, Left> = HashMap::new();
    for run in Run::dead(folder).unwrap() {
        for (_, _, path) in run.files().unwrap() {
            let mut segment = Segment::open(&path, 0).unwrap();
            while let Some(parsed) = segment.next(true).unwrap() {
                match segment.frame(parsed).unwrap() {
                    Frame::Intent(intent) => left.entry(intent.call).or_default().intents += 1,
                    Frame::Final(record) => {
                        assert_eq!(segment.name(record.intent.team), "team", "names are in the file");
                        let left = left.entry(record.intent.call).or_default();
                        left.finals += 1;
                        left.cost = record.cost.pico();
                    }
                    Frame::Void(call) => left.entry(call).or_default().voids += 1,
                    _ => {}
                }
            }
        }
    }
    left
}

#[test]
fn the_journal_keeps_what_was_promised() {
    let seed = number("TOLLGATE_CRASH_SEED", u64::from(std::process::id()));
    let mut dice = Dice(seed);
    let (mut promised, mut ended) = (0, 0);
    for round in 0..number("TOLLGATE_CRASHES", 5) {
        let dir = tempfile::tempdir().unwrap();
        let promises = work_and_die("journal", dir.path(), dice.roll(), Duration::from_millis(30 + dice.below(400)));
        let left = journal_left(&dir.path().join("journal"));
        for (call, promise) in &promises {
            let at = format!("seed {seed}, round {round}, call {call}: {promise:?} {:?}", left.get(call));
            let there = left.get(call).copied().unwrap_or_default();
            assert!(!promise.upstream || there.intents == 1, "an intent before it goes upstream; {at}");
            assert!(promise.cost.is_none_or(|cost| (there.finals, there.cost) == (1, cost)), "a final; {at}");
        }
        for (call, there) in &left {
            let at = format!("seed {seed}, round {round}, call {call}: {there:?}");
            assert!(there.intents == 1 && there.finals + there.voids <= 1, "once; {at}");
            assert!(there.voids == 0 || !promises.contains_key(call), "{at}");
        }
        promised += promises.len();
        ended += promises.values().filter(|promise| promise.cost.is_some()).count();
    }
    println!("{promised} calls promised, of which {ended} ended");
    assert!(ended > 0 && promised > ended, "the children have worked, and some calls were under way");
}

/// What of each call is in the database: records, of which interrupted, and cost.
fn stored(folder: &Path) -> HashMap<u64, (u32, u32, u64)> {
    let database = Connection::open(folder.join("usage.db")).unwrap();
    let mut select = database.prepare("SELECT call, cost, ended FROM record").unwrap();
    let mut rows = select.query([]).unwrap();
    let mut found: HashMap<u64, (u32, u32, u64)> = HashMap::new();
    while let Some(row) = rows.next().unwrap() {
        let (call, cost, end): (i64, i64, u8) = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        let call = found.entry(call.cast_unsigned()).or_default();
        call.0 += 1;
        call.1 += u32::from(end == End::Interrupted as u8);
        call.2 += cost.cast_unsigned();
    }
    found
}

#[test]
fn the_store_counts_each_call_once_over_many_deaths() {
    let seed = number("TOLLGATE_CRASH_SEED", u64::from(std::process::id()));
    let mut dice = Dice(seed);
    // One folder for all: what one process leaves, the next one has to take over while it works itself.
    let dir = tempfile::tempdir().unwrap();
    let mut promises: HashMap<u64, Promise> = HashMap::new();
    for _ in 0..number("TOLLGATE_CRASHES", 5) {
        promises.extend(work_and_die("store", dir.path(), dice.roll(), Duration::from_millis(100 + dice.below(900))));
    }
    let journal = Arc::new(Journal::start(Settings::new(dir.path().join("journal")), 1).unwrap());
    child::store(dir.path(), &journal).finish();
    assert!(journal.health().is_well(), "{}", journal.health().last_error());
    let stored = stored(dir.path());
    for (call, promise) in &promises {
        let there = stored.get(call).copied().unwrap_or_default();
        let at = format!("seed {seed}, call {call}: {promise:?} {there:?}");
        match promise.cost {
            Some(cost) => assert_eq!(there, (1, 0, cost), "a final record; {at}"),
            // Its final may have been written and not been said.
            None => assert_eq!(there.0, 1, "a final record or an interrupted one; {at}"),
        }
    }
    assert!(stored.values().all(|(records, ..)| *records == 1), "no doubles");
    let interrupted = stored.values().filter(|(_, interrupted, _)| *interrupted > 0).count();
    // The sums are those of the records, whoever wrote which half of them.
    let total: u64 = stored.values().map(|(.., cost)| cost).sum();
    for level in [Level::Key, Level::Team, Level::AgentOfTeam] {
        let sums = spent_by_all(&dir.path().join("usage.db"), level, 0, u64::MAX).unwrap();
        assert_eq!(sums.values().map(|cost| cost.pico()).collect::<Vec<_>>(), [total], "{level:?}");
    }
    let left: Vec<_> = std::fs::read_dir(dir.path().join("journal")).unwrap().collect();
    assert!(left.is_empty(), "the journal is empty: {left:?}");
    println!("{} calls promised, {} records, of which {interrupted} interrupted", promises.len(), stored.len());
    assert!(interrupted > 0 && stored.len() >= promises.len());
}

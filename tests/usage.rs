//! `tollgate usage` with the real binary: what is shown of a database that is being written, and what is said of bad input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate::agent::Agent;
use tollgate::journal::{self, Journal};
use tollgate::ledger::name::Name;
use tollgate::ledger::record::{End, Final, Flags, Intent, Said};
use tollgate::money::Pico;
use tollgate::protocol::Dialect;
use tollgate::protocol::usage::Usage;
use tollgate::store::{self, Store};
use tollgate::telemetry::clock;

fn usage(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("usage").args(arguments).env_clear().current_dir(folder);
    command.output().unwrap()
}

/// A configuration that needs a secret which is not there, and usage in a place of its own.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = "version = 1\n[ledger]\npath = 'kept/usage.db'\n[[provider]]\nname = 'p'\nspeaks = ['chat']\n\
                base_url = 'http://127.0.0.1:1'\ncredential = { env = 'NOT_THERE' }\n";
    fs::write(dir.path().join("tollgate.toml"), text).unwrap();
    dir
}

fn record(call: u64, team: &str, cost: u64, flags: Flags) -> Final<'static> {
    let at = u64::try_from(clock::since_epoch().as_millis()).unwrap();
    Final {
        intent: Intent {
            call,
            at,
            key: Name::of("usage-key"),
            owner: Name::of("usage-owner"),
            team: Name::of(team),
            organisation: Name::NONE,
            agent: Said::Here(Agent::Codex),
            dialect: Said::Here(Dialect::Responses),
            session: "s-1",
            user: "",
            asked: "large",
            hold: Pico::ZERO,
            known: Pico::ZERO,
        },
        provider: Name::of("p"),
        credential: Name::NONE,
        prices: Name::NONE,
        served: "large",
        usage: Usage { input: 1000, output: 10, ..Usage::default() },
        cost: Pico::new(cost),
        status: 200,
        end: End::Complete,
        attempts: 1,
        latency: 1,
        first: None,
        flags,
    }
}

#[test]
fn what_was_used_is_shown_while_it_is_written() {
    let dir = folder();
    let journal = Arc::new(Journal::start(journal::Settings::new(dir.path().join("journal")), 1).unwrap());
    let (path, retention) = (dir.path().join("kept/usage.db"), Duration::from_secs(32 * 86_400));
    let store = Store::start(store::Settings { path, retention }, &journal).unwrap();
    let core = journal.for_core(0).unwrap();
    core.finish(&record(1, "red", 1_234_567_890_123, Flags::default()));
    core.finish(&record(2, "blue", 5, Flags::ESTIMATED));
    core.flush().unwrap();
    let begun = Instant::now();
    while journal.health().records.load(Relaxed) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", journal.health().last_error());
        std::thread::sleep(Duration::from_millis(10));
    }
    let text = |arguments: &[&str]| {
        let output = usage(dir.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = text(&[]);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["red", "codex", "1", "1,000", "0", "0", "10", "1.234568", "0.000000", "1.234568"], "{table}");
    let json: Value = serde_json::from_str(&text(&["--json", "--by", "team,day", "--last", "7d"])).unwrap();
    assert_eq!(json["rows"][0]["cost_pico"], "1234567890123");
    assert_eq!(json["rows"][1]["estimated_cost_pico"], "5");
    assert_eq!(json["total"]["calls"], 2);
    let csv = text(&["--csv", "--by", "session", "--team", "red"]);
    assert_eq!(csv.lines().nth(1).unwrap(), "s-1,1,1000,0,0,0,10,0,0,0,0,0,1234567890123,0,0,0");
    assert_eq!(text(&["--until", "2026-01-01"]).trim(), "nothing was used");
    drop(store);
}

#[test]
fn bad_input_is_told_and_nothing_is_made() {
    let dir = folder();
    let cases: &[(&[&str], &str)] = &[
        (&[], "nothing is recorded yet: there is no kept/usage.db"),
        (&["--by", "taem"], "did you mean team?"),
        (&["--by", "colour"], "it is none of day, hour, key"),
        (&["--by", "team,agent,team"], "--by names team twice"),
        (&["--last", "soon"], "write a whole number and h, d or w"),
        (&["--since", "yesterday"], "write a day or an hour"),
        (&["--since", "2026-11-01T09:30Z"], "it is no whole hour"),
        (&["--since", "2026-11-02", "--until", "2026-11-02"], "--since is not before --until"),
        (&["--since", "2026-11-02", "--last", "7d"], "cannot be used with"),
        (&["--json", "--csv"], "cannot be used with"),
        (&["--watch", "--json"], "cannot be used with"),
        (&["--config", "other.toml"], "the configuration other.toml cannot be read"),
    ];
    for (arguments, want) in cases {
        let output = usage(dir.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(want), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    fs::create_dir(dir.path().join("kept")).unwrap();
    fs::write(dir.path().join("kept/usage.db"), "no database".repeat(1000)).unwrap();
    let output = usage(dir.path(), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("kept/usage.db cannot be read"), "{output:?}");
    fs::write(dir.path().join("tollgate.toml"), "version = 1\n[ledger]\nretention = '7d'\non_ful = 'serve'\n").unwrap();
    let output = usage(dir.path(), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ledger.on_ful") || said.contains("on_ful"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing was made");
}

#[test]
fn nobody_of_that_name_is_told_from_nothing_used() {
    let dir = folder();
    let journal = Arc::new(Journal::start(journal::Settings::new(dir.path().join("journal")), 1).unwrap());
    let (path, retention) = (dir.path().join("kept/usage.db"), Duration::from_secs(32 * 86_400));
    Store::start(store::Settings { path, retention }, &journal).unwrap().finish();
    let output = usage(dir.path(), &["--team", "green"]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("nothing was ever used by a team \"green\""),
        "{output:?}"
    );
    assert!(usage(dir.path(), &[]).status.success());
}

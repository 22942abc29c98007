//! What the journal says is in the database once, whoever dies, breaks or locks what.

use std::fs;
use std::path::Path;

use super::report::{By, Line, Query, ask};
use super::sums::{Level, spent, spent_by_all};
use super::*;
use crate::agent::Agent;
use crate::journal::{CoreJournal, OnFull};
use crate::ledger::name::Name;
use crate::ledger::record::{End, Final, Flags, Intent, Progress, Said};
use crate::money::Pico;
use crate::protocol::Dialect;
use crate::protocol::usage::Usage;

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: u64 = 1_767_225_600_000;
const HOUR: u64 = 3_600_000;

fn intent(call: u64, at: u64, team: &str, agent: Agent) -> Intent<'static> {
    Intent {
        call,
        at,
        key: Name::of(&format!("{team}-key")),
        owner: Name::of("store-owner"),
        team: Name::of(team),
        organisation: Name::of("store-organisation"),
        agent: Said::Here(agent),
        dialect: Said::Here(Dialect::Chat),
        session: "s1",
        user: "",
        asked: "large",
        hold: Pico::new(500),
        known: Pico::new(50),
    }
}

fn ended(intent: Intent<'static>, cost: u64) -> Final<'static> {
    Final {
        intent,
        provider: Name::of("store-provider"),
        credential: Name::of("store-credential"),
        prices: Name::of("2026-01"),
        served: "large-1",
        usage: Usage { input: 10, cache_read: 20, output: 5, web_search: 2, ..Usage::default() },
        cost: Pico::new(cost),
        status: 200,
        end: End::Complete,
        attempts: 1,
        latency: 900,
        first: Some(100),
        flags: Flags::default(),
    }
}

/// A gateway's worth of journal and store in one folder.
struct Kept {
    journal: Arc<Journal>,
    core: CoreJournal,
    store: Store,
}

fn settings(folder: &Path) -> Settings {
    Settings { path: folder.join("usage.db"), retention: Duration::from_secs(100 * 365 * 86_400) }
}

fn kept(folder: &Path) -> Kept {
    kept_by(settings(folder), folder)
}

fn kept_by(settings: Settings, folder: &Path) -> Kept {
    let journal = crate::journal::Settings { segment: 4096, ..crate::journal::Settings::new(folder.join("journal")) };
    let journal = Arc::new(Journal::start(journal, 1).unwrap());
    let core = journal.for_core(0).unwrap();
    let store = Store::start(settings, &journal).unwrap();
    Kept { journal, core, store }
}

impl Kept {
    /// Stops in good order.
    fn finish(self) {
        self.core.flush().unwrap();
        self.journal.finish();
        self.store.finish();
    }

    #[track_caller]
    fn soon(&self, what: &str, is: impl Fn(&Health) -> bool) {
        let begun = Instant::now();
        while !is(self.journal.health()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:?}", self.journal.health());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[track_caller]
fn lines(folder: &Path, query: &Query) -> Vec<(Vec<String>, u64, u128)> {
    let lines = ask(&folder.join("usage.db"), query).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    lines.into_iter().map(|Line { of, totals }| (of, totals.calls, totals.cost)).collect()
}

fn all(folder: &Path) -> report::Totals {
    let lines = ask(&folder.join("usage.db"), &Query::default()).unwrap();
    lines.first().map(|line| line.totals).unwrap_or_default()
}

#[test]
fn records_become_sums_by_everything() {
    let dir = tempfile::tempdir().unwrap();
    let kept = kept(dir.path());
    let rows = [
        (1, NEW_YEAR, "red", Agent::Codex, 100),
        (2, NEW_YEAR + HOUR - 1, "red", Agent::Codex, 200),
        (3, NEW_YEAR + HOUR, "red", Agent::ClaudeCode, 300),
        (4, NEW_YEAR + 25 * HOUR, "blue", Agent::Codex, 400),
    ];
    for (call, at, team, agent, cost) in rows {
        let intent = intent(call, at, team, agent);
        kept.core.intent(&intent).unwrap();
        kept.core.finish(&ended(intent, cost));
    }
    kept.finish();
    let by = |by: &[By]| lines(dir.path(), &Query { by: by.to_vec(), ..Query::default() });
    let line = |of: &[&str], calls, cost| (of.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), calls, cost);
    assert_eq!(by(&[]), [line(&[], 4, 1000)]);
    assert_eq!(by(&[By::Team]), [line(&["red"], 3, 600), line(&["blue"], 1, 400)], "the dearest first");
    assert_eq!(by(&[By::Day]), [line(&["2026-01-01"], 3, 600), line(&["2026-01-02"], 1, 400)]);
    let hours = [("2026-01-01T00:00Z", 2, 300), ("2026-01-01T01:00Z", 1, 300), ("2026-01-02T01:00Z", 1, 400)];
    assert_eq!(by(&[By::Hour]), hours.map(|(hour, calls, cost)| line(&[hour], calls, cost)));
    assert_eq!(by(&[By::Key, By::Agent])[0], line(&["blue-key", "codex"], 1, 400));
    assert_eq!(by(&[By::Session, By::User]), [line(&["s1", ""], 4, 1000)]);
    assert_eq!(by(&[By::Day, By::Session])[1], line(&["2026-01-02", "s1"], 1, 400));
    for who in [By::Provider, By::Model, By::Owner, By::Organisation] {
        assert_eq!(by(&[who]).len(), 1, "{who:?}");
    }
    let only = |who, name: &str| Query { only: vec![(who, name.to_owned())], ..Query::default() };
    assert_eq!(lines(dir.path(), &only(By::Team, "blue")), [line(&[], 1, 400)]);
    assert_eq!(lines(dir.path(), &only(By::User, "")), [line(&[], 4, 1000)]);
    assert!(lines(dir.path(), &only(By::Session, "other")).is_empty());
    assert!(matches!(
        ask(&dir.path().join("usage.db"), &only(By::Team, "green")),
        Err(report::Wrong::Unknown(By::Team, _))
    ));
    // Whichever table is asked, the sums are the same.
    for end in [NEW_YEAR + 24 * HOUR, NEW_YEAR + 2 * HOUR, NEW_YEAR + 2 * HOUR + 1] {
        let query = Query { from: Some(NEW_YEAR as i64), to: Some(end as i64), ..Query::default() };
        assert_eq!(lines(dir.path(), &query), [line(&[], 3, 600)], "before {end}");
    }
}

#[test]
fn what_accounts_have_spent_is_exact_for_any_span() {
    let dir = tempfile::tempdir().unwrap();
    let kept = kept(dir.path());
    let mut at = NEW_YEAR + 17;
    let mut calls = Vec::new();
    for call in 0..600 {
        at += 7 * 60_000 + call % 11 * 1000;
        let (team, agent) =
            (["red", "blue"][usize::from(call % 3 == 0)], [Agent::Codex, Agent::ClaudeCode][(call % 2) as usize]);
        let cost = call * call * 1_000_003;
        let flags = match call % 10 {
            7 => Flags::FAILED_ATTEMPT,
            8 => Flags::CACHED,
            9 => Flags::ESTIMATED,
            _ => Flags::default(),
        };
        let charged = if call % 10 == 7 || call % 10 == 8 { 0 } else { cost };
        calls.push((at, team, agent, charged));
        kept.core.finish(&Final { flags, ..ended(intent(call, at, team, agent), cost) });
    }
    kept.finish();
    let path = dir.path().join("usage.db");
    let truth = |from: u64, to: u64, is: &dyn Fn(&str, Agent) -> bool| {
        let within = calls.iter().filter(|(at, team, agent, _)| (from..to).contains(at) && is(team, *agent));
        Pico::new(within.map(|(.., cost)| cost).sum())
    };
    let spans = [
        (0, u64::MAX),
        (NEW_YEAR, NEW_YEAR + 24 * HOUR),
        (NEW_YEAR + HOUR / 2, NEW_YEAR + 30 * HOUR + HOUR / 4),
        (NEW_YEAR + 5, NEW_YEAR + HOUR - 5),
        (calls[100].0, calls[200].0),
        (calls[300].0 + 1, calls[599].0 + 1),
        (at + 1, u64::MAX),
    ];
    for (from, to) in spans {
        let sum = |level, name, agent| spent(&path, level, name, agent, from, to).unwrap();
        assert_eq!(sum(Level::Team, "red", ""), truth(from, to, &|team, _| team == "red"), "{from}..{to}");
        assert_eq!(sum(Level::Key, "blue-key", ""), truth(from, to, &|team, _| team == "blue"), "{from}..{to}");
        assert_eq!(sum(Level::Owner, "store-owner", ""), truth(from, to, &|_, _| true), "{from}..{to}");
        assert_eq!(sum(Level::Organisation, "store-organisation", ""), truth(from, to, &|_, _| true));
        let codex = truth(from, to, &|team, agent| team == "red" && agent == Agent::Codex);
        assert_eq!(sum(Level::AgentOfTeam, "red", "codex"), codex, "{from}..{to}");
        let whole: Pico = spent_by_all(&path, Level::AgentOfTeam, from, to).unwrap().into_values().sum();
        assert_eq!(whole, truth(from, to, &|_, _| true), "{from}..{to}");
        assert_eq!(sum(Level::Team, "nobody", ""), Pico::ZERO);
    }
    let totals = all(dir.path());
    assert_eq!((totals.calls, totals.failed, totals.estimated), (540, 60, 60));
    assert!(
        totals.failed_cost > 0 && totals.saved > 0 && totals.estimated_cost > 0 && totals.estimated_cost < totals.cost
    );
}

#[test]
fn calls_of_a_dead_process_end_as_interrupted_at_their_last_known_cost() {
    let dir = tempfile::tempdir().unwrap();
    // A process that dies: its lock goes, and nothing else happens. The store of another one sees the middle of it.
    let journal = Arc::new(Journal::start(crate::journal::Settings::new(dir.path().join("journal")), 1).unwrap());
    let core = journal.for_core(0).unwrap();
    let store = Store::start(settings(dir.path()), &journal).unwrap();
    for call in 1..=4 {
        core.intent(&intent(call, NEW_YEAR, "red", Agent::Codex)).unwrap();
    }
    core.flush().unwrap();
    while journal.health().depth.load(Relaxed) > 0
        && Connection::open(dir.path().join("usage.db"))
            .and_then(|db| db.query_row("SELECT count(*) FROM open", [], |row| row.get::<_, i64>(0)))
            .unwrap_or(0)
            != 4
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    core.progress(1, &Progress { cost: Pico::new(77), input: 3, output: 4 });
    core.finish(&ended(intent(2, NEW_YEAR, "red", Agent::Codex), 1000));
    core.void(3);
    core.intent(&intent(5, NEW_YEAR, "red", Agent::Codex)).unwrap();
    core.finish(&ended(intent(5, NEW_YEAR, "red", Agent::Codex), 2000));
    core.flush().unwrap();
    drop((core, store, journal));
    // All of that is in; now one whose journal nobody has read.
    let journal = Journal::start(crate::journal::Settings::new(dir.path().join("journal")), 1).unwrap();
    let core = journal.for_core(0).unwrap();
    core.intent(&intent(6, NEW_YEAR, "red", Agent::Codex)).unwrap();
    core.flush().unwrap();
    drop((core, journal));
    let again = kept(dir.path());
    again.soon("taken over at the start", |health| health.interrupted.load(Relaxed) == 1);
    let totals = all(dir.path());
    assert_eq!((totals.calls, totals.interrupted, totals.estimated), (5, 3, 3));
    assert_eq!(
        totals.cost,
        77 + 1000 + 50 + 2000 + 50,
        "progress, final, known, final, known; nothing for the void one"
    );
    assert_eq!(totals.output, 4 + 5 + 5);
    again.finish();
    assert_eq!(fs::read_dir(dir.path().join("journal")).unwrap().count(), 0, "nothing is left of any run");
    assert_eq!(all(dir.path()), totals, "and nothing counts twice");
}

#[test]
fn a_locked_database_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let kept = kept(dir.path());
    let mut other = Connection::open(dir.path().join("usage.db")).unwrap();
    let lock = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    kept.core.finish(&ended(intent(1, NEW_YEAR, "red", Agent::Codex), 1000));
    kept.core.flush().unwrap();
    kept.soon("it is said", |health| health.store_failing.load(Relaxed) == 1 && health.store_errors.load(Relaxed) > 0);
    assert!(kept.journal.health().last_error().contains("locked"), "{}", kept.journal.health().last_error());
    assert!(!kept.journal.health().is_well());
    drop(lock);
    kept.soon("the rest follows by itself", |health| health.is_well() && health.records.load(Relaxed) == 1);
    kept.finish();
    assert_eq!(all(dir.path()).cost, 1000);
}

#[test]
fn a_broken_database_is_moved_aside_and_begun_anew_with_what_the_journal_has() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("usage.db"), "no database at all, and long enough to be seen as none".repeat(100))
        .unwrap();
    let kept = kept(dir.path());
    kept.core.finish(&ended(intent(1, NEW_YEAR, "red", Agent::Codex), 1000));
    kept.core.flush().unwrap();
    kept.soon("begun anew", |health| health.records.load(Relaxed) == 1 && health.is_well());
    assert_eq!(kept.journal.health().moved_aside.load(Relaxed), 1);
    kept.finish();
    assert_eq!(all(dir.path()).cost, 1000);
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("usage.db.broken-")).count(), 1);
}

#[test]
fn what_a_new_database_does_not_know_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::start(crate::journal::Settings::new(dir.path().join("journal")), 1).unwrap());
    let core = journal.for_core(0).unwrap();
    let mut writer = Writer::new(settings(dir.path()), &journal);
    for call in 0..3 {
        core.finish(&ended(intent(call, NEW_YEAR, "red", Agent::Codex), 1000));
    }
    core.flush().unwrap();
    assert!(writer.attempt(false));
    assert_eq!(all(dir.path()).calls, 3);
    // Its pages break while nobody has them in memory.
    writer.database = None;
    fs::write(dir.path().join("usage.db"), [7; 65_536]).unwrap();
    core.finish(&ended(intent(3, NEW_YEAR, "red", Agent::Codex), 1000));
    core.flush().unwrap();
    assert!(!writer.attempt(false), "it is said");
    assert!(writer.attempt(false), "and a new one is begun");
    assert_eq!(all(dir.path()).calls, 4, "the file that was still there is read once more");
    assert_eq!(journal.health().moved_aside.load(Relaxed), 1);
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let kept = kept(dir.path());
    kept.soon("it is said", |health| health.store_failing.load(Relaxed) == 1);
    assert!(kept.journal.health().last_error().contains("version 99"), "{}", kept.journal.health().last_error());
    kept.core.finish(&ended(intent(1, NEW_YEAR, "red", Agent::Codex), 1000));
    kept.finish();
    assert!(matches!(ask(&path, &Query::default()), Err(report::Wrong::Failure(Failure::Version(99)))));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 0).unwrap();
    self::kept(dir.path()).finish();
    assert_eq!(all(dir.path()).cost, 1000, "the journal had kept it");
}

#[test]
fn every_earlier_version_becomes_todays() {
    let form = |path: &Path| {
        let database = Connection::open(path).unwrap();
        let mut select = database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows =
            select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new.db");
    drop(schema::open(&new).unwrap());
    for version in 0..=schema::STEPS.len() {
        let old = dir.path().join(format!("{version}.db"));
        schema::upgrade(&mut Connection::open(&old).unwrap(), version).unwrap();
        drop(schema::open(&old).unwrap());
        assert_eq!(form(&old), form(&new), "from version {version}");
        drop(schema::open(&old).unwrap());
    }
}

#[test]
fn two_processes_write_one_database() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (kept(dir.path()), kept(dir.path()));
    for call in 0..2000 {
        for kept in [&one, &other] {
            kept.core
                .finish(&ended(intent(call, NEW_YEAR, if call % 2 == 0 { "red" } else { "blue" }, Agent::Codex), 10));
            kept.core.flush().unwrap();
        }
    }
    let errors = one.journal.health().store_errors.load(Relaxed) + other.journal.health().store_errors.load(Relaxed);
    one.finish();
    other.finish();
    assert_eq!((all(dir.path()).calls, errors), (4000, 0));
    let teams = lines(dir.path(), &Query { by: vec![By::Team], ..Query::default() });
    assert_eq!(teams.iter().map(|(_, calls, cost)| (*calls, *cost)).collect::<Vec<_>>(), [(2000, 20_000); 2]);
}

#[test]
fn a_file_that_nobody_can_read_is_kept_and_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::begin(&dir.path().join("journal")).unwrap();
    fs::write(run.file(0, 1), "of another version, say").unwrap();
    drop(run);
    kept(dir.path()).finish();
    let left: Vec<_> = fs::read_dir(dir.path().join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].extension().unwrap(), "left");
    assert_eq!(fs::read_to_string(left[0].join("0-00000001")).unwrap(), "of another version, say");
}

#[test]
fn an_attempt_that_failed_is_never_charged() {
    let dir = tempfile::tempdir().unwrap();
    let kept = kept(dir.path());
    let call = intent(1, NEW_YEAR, "red", Agent::Codex);
    kept.core.intent(&call).unwrap();
    kept.core.attempt(&ended(call, 7));
    kept.core.finish(&ended(call, 100));
    kept.finish();
    let totals = all(dir.path());
    assert_eq!((totals.calls, totals.cost, totals.failed, totals.failed_cost), (1, 100, 1, 7));
}

#[test]
fn old_records_go_and_their_sums_stay() {
    let dir = tempfile::tempdir().unwrap();
    let first = kept(dir.path());
    let now = u64::try_from(clock::since_epoch().as_millis()).unwrap();
    for call in 0..20 {
        let at = if call < 15 { NEW_YEAR - 365 * 24 * HOUR } else { now };
        first.core.finish(&ended(intent(call, at, "red", Agent::Codex), 10));
    }
    first.finish();
    let short = Settings { retention: Duration::from_secs(32 * 86_400), ..settings(dir.path()) };
    kept_by(short, dir.path()).finish();
    assert_eq!(lines(dir.path(), &Query { by: vec![By::Session], ..Query::default() })[0].1, 5);
    assert_eq!(all(dir.path()).calls, 20);
}

#[test]
fn files_that_cannot_be_made_cost_no_call_and_are_made_later() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    fs::write(&folder, "in the way").unwrap();
    let kept = kept(&folder);
    kept.core.finish(&ended(intent(1, NEW_YEAR, "red", Agent::Codex), 1000));
    kept.core.flush().unwrap();
    assert_eq!(kept.journal.settings().on_full, OnFull::Serve);
    kept.soon("it is said", |health| health.store_failing.load(Relaxed) == 1 && health.failing.load(Relaxed) == 1);
    fs::remove_file(&folder).unwrap();
    kept.soon("all of it is well", |health| health.is_well() && health.records.load(Relaxed) == 1);
    kept.finish();
    assert_eq!(all(&folder).cost, 1000);
}

//! What was flushed is there, in order, with its names, whatever the disk did in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use super::frame::Frame;
use super::segment::Segment;
use super::*;
use crate::agent::Agent;
use crate::ledger::name::Name;
use crate::ledger::record::{End, Flags, Said};
use crate::money::Pico;
use crate::protocol::Dialect;
use crate::protocol::usage::Usage;

fn intent(call: u64) -> Intent<'static> {
    Intent {
        call,
        at: 1_760_000_000_000 + call,
        key: Name::of("journal-key"),
        owner: Name::of("journal-owner"),
        team: Name::of("journal-team"),
        organisation: Name::NONE,
        agent: Said::Here(Agent::ClaudeCode),
        dialect: Said::Here(Dialect::Anthropic),
        session: "5b1c9a3e-0d8f-4a57-9f0c-2d5a3e7b9c11",
        user: "",
        asked: "claude-opus-4-5",
        hold: Pico::new(1_000_000),
        known: Pico::new(10),
    }
}

fn ended(call: u64) -> Final<'static> {
    Final {
        intent: intent(call),
        provider: Name::of("anthropic"),
        credential: Name::of("main"),
        prices: Name::of("2026-11"),
        served: "claude-opus-4-5-20251101",
        usage: Usage { input: 12, output: 345, ..Usage::default() },
        cost: Pico::new(call * 3),
        status: 200,
        end: End::Complete,
        attempts: 1,
        latency: 1234,
        first: Some(321),
        flags: Flags::default(),
    }
}

/// Every frame but names, as `kind call team`, of a file.
fn frames(path: &Path, over: bool) -> Vec<String> {
    let mut segment = Segment::open(path, 0).unwrap();
    let mut found = Vec::new();
    while let Some(parsed) = segment.next(over).unwrap() {
        match segment.frame(parsed).unwrap() {
            Frame::Intent(intent) => found.push(format!("intent {} {}", intent.call, segment.name(intent.team))),
            Frame::Final(record) => {
                found.push(format!("final {} {}", record.intent.call, segment.name(record.provider)));
            }
            Frame::Void(call) => found.push(format!("void {call}")),
            Frame::Progress(call, progress) => found.push(format!("progress {call} {}", progress.cost.pico())),
            Frame::Attempt(record) => found.push(format!("attempt {}", record.intent.call)),
            Frame::Name(..) | Frame::Unknown(_) => {}
        }
    }
    found
}

fn journal(folder: &Path) -> Journal {
    Journal::start(Settings::new(folder.join("journal")), 2).unwrap()
}

#[test]
fn what_is_flushed_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let core = journal.for_core(1).unwrap();
    assert!(journal.for_core(2).is_none());
    assert!(!dir.path().join("journal").exists(), "nothing to keep, no folder");
    core.intent(&intent(1)).unwrap();
    core.intent(&intent(2)).unwrap();
    core.flush().unwrap();
    let run = journal.run().unwrap();
    assert_eq!(frames(&run.file(1, 1), false), ["intent 1 journal-team", "intent 2 journal-team"]);
    core.progress(1, &Progress { cost: Pico::new(5), input: 1, output: 1 });
    core.attempt(&ended(1));
    core.finish(&ended(1));
    core.void(2);
    core.flush().unwrap();
    assert_eq!(
        frames(&run.file(1, 1), false)[2..],
        ["progress 1 5", "attempt 1", "final 1 anthropic", "void 2"].map(str::to_owned)
    );
    assert_eq!(journal.sequences(), [0, 1]);
    let depth = fs::metadata(run.file(1, 1)).unwrap().len();
    assert_eq!(journal.health().depth.load(Relaxed), depth);
    for (path, mode) in [(run.file(1, 1), 0o600), (run.folder.clone(), 0o700), (run.folder.join("lock"), 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn files_follow_one_another_and_each_has_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { segment: 4096, ..Settings::new(dir.path().to_owned()) };
    let journal = Journal::start(settings, 1).unwrap();
    let core = journal.for_core(0).unwrap();
    for call in 0..100 {
        core.intent(&intent(call)).unwrap();
        core.flush().unwrap();
    }
    let run = journal.run().unwrap();
    let files = run.files().unwrap();
    assert!(files.len() > 2, "{}", files.len());
    assert_eq!(files.iter().map(|file| file.1).collect::<Vec<_>>(), (1..=files.len() as u64).collect::<Vec<_>>());
    let all: Vec<_> = files.iter().flat_map(|(_, _, path)| frames(path, true)).collect();
    assert_eq!(all, (0..100).map(|call| format!("intent {call} journal-team")).collect::<Vec<_>>());
}

#[test]
fn a_torn_end_is_not_there_and_a_gap_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let core = journal.for_core(0).unwrap();
    for call in 0..3 {
        core.intent(&intent(call)).unwrap();
    }
    core.flush().unwrap();
    let path = journal.run().unwrap().file(0, 1);
    let whole = fs::read(&path).unwrap();
    let mut segment = Segment::open(&path, 0).unwrap();
    let mut ends = Vec::new();
    while segment.next(false).unwrap().is_some() {
        ends.push(usize::try_from(segment.position()).unwrap());
    }
    let copy = dir.path().join("copy");
    for cut in 0..whole.len() {
        fs::write(&copy, &whole[..cut]).unwrap();
        let there = ends.iter().filter(|end| **end <= cut).count();
        let mut segment = Segment::open(&copy, 0).unwrap();
        for over in [false, true] {
            let found = std::iter::from_fn(|| segment.next(over).unwrap()).count();
            assert_eq!(found, if over { 0 } else { there }, "cut at {cut}, {over}");
        }
    }
    // The page of the second intent never reached the disk.
    let mut holed = whole.clone();
    let (from, to) = (ends[ends.len() - 3], ends[ends.len() - 2]);
    holed[from..to].fill(0);
    fs::write(&copy, &holed).unwrap();
    assert_eq!(frames(&copy, true), ["intent 0 journal-team", "intent 2 journal-team"]);
    let mut segment = Segment::open(&copy, 0).unwrap();
    while segment.next(true).unwrap().is_some() {}
    assert_eq!(segment.damaged(), (to - from) as u64);
    // From the middle on, names are known all the same.
    let mut segment = Segment::open(&path, from as u64).unwrap();
    let parsed = segment.next(false).unwrap().unwrap();
    let Some(Frame::Intent(intent)) = segment.frame(parsed) else { panic!("no intent") };
    assert_eq!((intent.call, segment.name(intent.key)), (1, "journal-key"));
}

#[test]
fn another_form_is_refused_and_an_empty_file_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "something else that somebody has put here").unwrap();
    assert_eq!(Segment::open(&path, 0).unwrap_err().kind(), io::ErrorKind::InvalidData);
    fs::write(&path, "").unwrap();
    assert!(Segment::open(&path, 0).unwrap().next(true).unwrap().is_none());
}

/// A journal whose folder cannot be made, as long as the file stands there.
fn blocked(on_full: OnFull) -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("journal");
    fs::write(&folder, "in the way").unwrap();
    let journal = Journal::start(Settings { on_full, ..Settings::new(folder) }, 1).unwrap();
    (dir, journal)
}

#[track_caller]
fn soon(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn served_calls_wait_in_memory_and_are_written_without_hands() {
    let (dir, journal) = blocked(OnFull::Serve);
    let core = journal.for_core(0).unwrap();
    core.intent(&intent(1)).unwrap();
    core.flush().unwrap();
    core.finish(&ended(1));
    core.flush().unwrap();
    let health = journal.health();
    assert!(!health.is_well() && health.write_errors.load(Relaxed) >= 2, "it is said");
    assert!(health.last_error().contains("journal"), "{}", health.last_error());
    fs::remove_file(dir.path().join("journal")).unwrap();
    soon("written without another call", || health.is_well());
    let path = journal.run().unwrap().file(0, 1);
    assert_eq!(frames(&path, false), ["intent 1 journal-team", "final 1 anthropic"]);
    assert_eq!(health.lost.load(Relaxed), 0);
}

#[test]
fn refused_calls_hear_it_and_those_under_way_are_kept() {
    let (dir, journal) = blocked(OnFull::Refuse);
    let core = journal.for_core(0).unwrap();
    core.intent(&intent(1)).unwrap();
    assert_eq!(core.flush(), Err(Full), "before it goes upstream");
    core.void(1);
    assert_eq!(core.intent(&intent(2)), Err(Full), "not even begun");
    assert_eq!(journal.health().refused.load(Relaxed), 1);
    core.finish(&ended(3));
    fs::remove_file(dir.path().join("journal")).unwrap();
    soon("there is room again", || journal.health().is_well());
    core.intent(&intent(4)).unwrap();
    core.flush().unwrap();
    let path = journal.run().unwrap().file(0, 1);
    assert_eq!(frames(&path, false), ["intent 1 journal-team", "void 1", "final 3 anthropic", "intent 4 journal-team"]);
}

#[test]
fn what_finds_no_room_anywhere_is_counted_and_memory_is_bounded() {
    let (_dir, journal) = blocked(OnFull::Serve);
    let core = journal.for_core(0).unwrap();
    for call in 0..40_000 {
        core.finish(&ended(call));
    }
    assert!(journal.health().lost.load(Relaxed) > 0);
    assert_eq!(core.intent(&intent(1)), Ok(()), "served all the same");
}

#[test]
fn all_files_together_stay_within_their_bound() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        Settings { segment: 4096, max: 20_000, on_full: OnFull::Refuse, ..Settings::new(dir.path().to_owned()) };
    let journal = Journal::start(settings, 1).unwrap();
    let core = journal.for_core(0).unwrap();
    let written = (0..1000).take_while(|call| core.intent(&intent(*call)).and_then(|()| core.flush()).is_ok()).count();
    assert!((20..200).contains(&written), "{written}");
    let files = journal.run().unwrap().files().unwrap();
    let bytes: u64 = files.iter().map(|(_, _, path)| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes <= 20_000 && bytes == journal.health().depth.load(Relaxed), "{bytes}");
    Health::shrink(&journal.health().depth, 10_000);
    soon("the store has caught up", || journal.health().is_well());
    core.intent(&intent(7)).and_then(|()| core.flush()).unwrap();
}

#[test]
fn a_run_is_dead_once_its_lock_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let first = Run::begin(dir.path()).unwrap();
    let second = Run::begin(dir.path()).unwrap();
    assert_ne!(first.name, second.name);
    assert!(Run::dead(dir.path()).unwrap().is_empty(), "both live");
    let (name, folder) = (first.name.clone(), first.folder.clone());
    drop(first);
    let dead = Run::dead(dir.path()).unwrap();
    assert_eq!(dead.iter().map(|run| &run.name).collect::<Vec<_>>(), [&name]);
    assert!(Run::dead(dir.path()).unwrap().is_empty(), "taken over already");
    dead[0].remove();
    assert!(!folder.exists());
    assert!(Run::dead(&dir.path().join("nowhere")).unwrap().is_empty());
}

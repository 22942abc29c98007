//! Whose an id is, also after a restart, a torn line, a full disk and a second process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::*;

fn team(name: &str) -> Holder {
    Holder::Team(name.into())
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::default())
}

fn learn(owned: &Owned, id: &str, holder: Holder) {
    owned.learn(Object::Response, id, holder, &Arc::from("openai"));
}

#[track_caller]
fn has(owned: &Owned, id: &str, holder: &Holder, want: bool) {
    assert_eq!(owned.maker(Object::Response, id, holder).as_deref(), want.then_some("openai"), "{id} {holder:?}");
}

#[test]
fn only_the_holder_finds_it() {
    let owned = Owned::in_memory(9, &metrics());
    learn(&owned, "resp_1", team("a"));
    learn(&owned, "resp_2", Holder::Key("a".into()));
    has(&owned, "resp_1", &team("a"), true);
    has(&owned, "resp_1", &team("b"), false);
    has(&owned, "resp_1", &Holder::Key("a".into()), false);
    has(&owned, "resp_2", &Holder::Key("a".into()), true);
    has(&owned, "resp_2", &team("a"), false);
    has(&owned, "resp_3", &team("a"), false);
    assert_eq!(owned.maker(Object::Conversation, "resp_1", &team("a")), None, "another kind of thing");
}

#[test]
fn what_is_no_id_is_not_kept() {
    let owned = Owned::in_memory(9, &metrics());
    for id in ["", "a b", "a\tb", "a\nb", "ä", &"a".repeat(MAX_ID + 1)] {
        learn(&owned, id, team("a"));
        has(&owned, id, &team("a"), false);
    }
    assert_eq!(owned.shared.book().len(), 0);
}

#[test]
fn a_restart_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state").join("tollgate");
    let owned = Owned::kept_in(&folder, 9, &metrics());
    assert!(!folder.exists(), "nothing to keep, no folder");
    for n in 0..12 {
        learn(&owned, &format!("resp_{n}"), team(if n % 2 == 0 { "even" } else { "odd" }));
    }
    learn(&owned, "resp_11", team("even"));
    owned.finish();
    let file = folder.join("owned-ids");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let again = Owned::kept_in(&folder, 9, &metrics());
    has(&again, "resp_2", &team("even"), false);
    has(&again, "resp_4", &team("even"), true);
    has(&again, "resp_4", &team("odd"), false);
    has(&again, "resp_9", &team("odd"), true);
    for who in ["odd", "even"] {
        has(&again, "resp_11", &team(who), false);
    }
    assert_eq!(again.shared.metrics.owned.known.load(Relaxed), 9);
}

#[test]
fn a_torn_line_owns_nothing_and_spoils_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let owned = Owned::kept_in(dir.path(), 9, &metrics());
    learn(&owned, "resp_1", team("alpha"));
    learn(&owned, "resp_2", team("alphabet"));
    owned.finish();
    let file = dir.path().join("owned-ids");
    let whole = fs::read(&file).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        let owned = Owned::kept_in(dir.path(), 9, &metrics());
        has(&owned, "resp_1", &team("alpha"), true);
        for who in ["alpha", "alphabet"] {
            has(&owned, "resp_2", &team(who), false);
        }
        learn(&owned, "resp_3", team("b"));
        owned.finish();
        let again = Owned::kept_in(dir.path(), 9, &metrics());
        has(&again, "resp_1", &team("alpha"), true);
        has(&again, "resp_3", &team("b"), true);
    }
}

#[test]
fn the_file_stays_within_twice_what_lives() {
    let dir = tempfile::tempdir().unwrap();
    let owned = Owned::kept_in(dir.path(), 700, &metrics());
    for n in 0..5000 {
        learn(&owned, &format!("resp_{n}"), team("a"));
    }
    owned.finish();
    let lines = fs::read_to_string(dir.path().join("owned-ids")).unwrap().lines().count();
    assert!((700..=1400).contains(&lines), "{lines}");
    let again = Owned::kept_in(dir.path(), 700, &metrics());
    has(&again, "resp_4299", &team("a"), false);
    has(&again, "resp_4300", &team("a"), true);
    has(&again, "resp_4999", &team("a"), true);
}

/// Until the writer has noticed.
fn soon(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_disk_that_fails_costs_no_call_and_is_written_when_it_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state");
    fs::write(&folder, "a file where the folder should be").unwrap();
    let owned = Owned::kept_in(&folder, 9, &metrics());
    learn(&owned, "resp_1", team("a"));
    has(&owned, "resp_1", &team("a"), true);
    soon("the failure is counted", || owned.shared.metrics.owned.failures.load(Relaxed) > 0);
    fs::remove_file(&folder).unwrap();
    soon("it is written after all", || folder.join("owned-ids").exists());
    owned.finish();
    has(&Owned::kept_in(&folder, 9, &metrics()), "resp_1", &team("a"), true);
}

#[test]
fn a_successor_learns_what_its_predecessor_learnt_last() {
    let dir = tempfile::tempdir().unwrap();
    let old = Owned::kept_in(dir.path(), 9, &metrics());
    learn(&old, "resp_1", team("a"));
    soon("the old one has the file", || dir.path().join("owned-ids").exists());
    let new = Owned::kept_in(dir.path(), 9, &metrics());
    learn(&old, "resp_2", team("a"));
    old.finish();
    let finds = || new.maker(Object::Response, "resp_2", &team("a")).is_some();
    soon("the new one reads it, with nothing of its own to write", finds);
    new.finish();
}

#[test]
fn a_second_process_waits_for_the_first_and_loses_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = Owned::kept_in(dir.path(), 9, &metrics());
    learn(&first, "resp_1", team("a"));
    soon("the first has the file", || dir.path().join("owned-ids").exists());
    let second = Owned::kept_in(dir.path(), 9, &metrics());
    learn(&second, "resp_2", team("a"));
    soon("the second is told no", || second.shared.metrics.owned.failures.load(Relaxed) > 0);
    learn(&first, "resp_3", team("a"));
    first.finish();
    soon("the second goes on", || !second.shared.stale.load(Relaxed));
    second.finish();
    let third = Owned::kept_in(dir.path(), 9, &metrics());
    for id in ["resp_1", "resp_2", "resp_3"] {
        has(&third, id, &team("a"), true);
    }
}

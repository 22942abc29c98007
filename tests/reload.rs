//! Rules that change under a running gateway: what a request sees, what an operator hears, what stays in memory.

#![cfg(test)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tollgate::agent::Agent;
use tollgate::config::watch::{Contents, Watcher};
use tollgate::config::{self, Loaded};
use tollgate::protocol::Dialect;
use tollgate::snapshot::keyring::digest;
use tollgate::snapshot::live::{Follower, Live};
use tollgate::telemetry::metrics::Metrics;

/// A gateway's rules in a folder, without its sockets.
struct Rig {
    folder: TempDir,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    watcher: Arc<Watcher>,
}

impl Rig {
    /// In a folder that `fill` has filled; the configuration is its tollgate.toml.
    fn new(fill: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let path = folder.path().join("tollgate.toml");
        let metrics = Arc::new(Metrics::new(2));
        let Loaded { prepared, startup, watched, .. } = config::load(&path, &|_| None, &metrics).unwrap();
        let contents = Contents::of(watched.into_iter().collect());
        let live = Live::new(prepared);
        metrics.reload.generation.store(1, std::sync::atomic::Ordering::Relaxed);
        let watcher = Watcher::new(path, contents, startup, Arc::clone(&live), None, Arc::clone(&metrics));
        Self { folder, live, metrics, watcher }
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("tollgate.toml"), text).unwrap();
    }

    fn core(&self) -> Follower {
        Follower::new(Arc::clone(&self.live))
    }

    /// Waits for a generation that nobody asked for. A change is noticed after a tenth of a second; far more is a failure.
    async fn generation_by_itself(&self, want: u64) {
        let patience = Instant::now() + Duration::from_secs(10);
        while self.live.snapshot().generation < want {
            assert!(Instant::now() < patience, "generation {want} did not come: {:?}", self.watcher.status());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Rules with so many keys, named key-0, key-1, …
fn rules(keys: usize) -> String {
    let mut text = "version = 1\n[[provider]]\nname = \"p\"\nspeaks = [\"chat\"]\nbase_url = \"http://127.0.0.1:9\"\n\
                    [[model]]\nname = \"m\"\nprovider = \"p\"\n"
        .to_owned();
    for i in 0..keys {
        // A digest as keys have one: the keyring takes its first bytes for a hash, so counting would make one long chain.
        let sha256: String = digest(format!("key-{i}").as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = write!(text, "[[key]]\nname = \"key-{i}\"\nowner = \"dev-{i}\"\nteam = \"t\"\nsha256 = \"{sha256}\"\n");
    }
    text
}

/// Rules with one key, which is in the file `secret` beside them.
const BY_FILE: &str = "version = 1\n[[provider]]\nname = \"p\"\nspeaks = [\"chat\"]\nbase_url = \"http://127.0.0.1:9\"\n\
                       [[model]]\nname = \"m\"\nprovider = \"p\"\n[[key]]\nname = \"k\"\nsecret = { file = \"secret\" }\n";

fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_request_after_a_reload_sees_the_new_rules() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(1)).unwrap());
    let (core, idle) = (rig.core(), rig.core());
    for (round, keys) in [(2, 5), (3, 2), (4, 2)] {
        rig.write(&rules(keys));
        assert_eq!(rig.watcher.reload().await, Ok(round));
        let view = core.now();
        assert_eq!((view.generation, view.keyring.len()), (round, keys));
    }
    assert_eq!(idle.now().generation, 4);
    let status = rig.watcher.status();
    assert_eq!(status.generation, 4);
    assert!(status.last_success > 0 && status.last_failure.is_none());
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_rules_and_says_where() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(1)).unwrap());
    let core = rig.core();
    rig.write(&format!("{}[[model]]\nname = \"n\"\nprovider = \"q\"\n", rules(1)));
    rig.watcher.reload().await.unwrap_err();
    assert_eq!(core.now().generation, 1);
    let failure = rig.watcher.status().last_failure.expect("it failed");
    let file = rig.folder.path().join("tollgate.toml");
    let want = format!("{}:16:12: model[1].provider: no [[provider]] is named q", file.display());
    assert!(failure.problems.to_string().starts_with(&want), "want {want} in\n{}", failure.problems);
    assert!(rig.metrics.render().contains("tollgate_config_reloads_total{result=\"failed\"} 1\n"));

    fs::remove_file(&file).unwrap();
    rig.watcher.reload().await.unwrap_err();
    assert_eq!(core.now().keyring.len(), 1, "a file that is gone is no empty file");

    rig.write(&rules(2));
    assert_eq!(rig.watcher.reload().await, Ok(2), "failed attempts take no number");
    assert!(rig.watcher.status().last_failure.is_none());
}

#[tokio::test]
async fn an_edit_is_seen_and_a_mend_after_a_break_too() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(1)).unwrap());
    let follower = tokio::spawn(Arc::clone(&rig.watcher).follow());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.live.snapshot().generation, 1, "nothing changed, nothing happens");

    rig.write(&rules(2));
    rig.generation_by_itself(2).await;
    rig.write("version = ");
    while rig.watcher.status().last_failure.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // As editors do it: another file in the old one's place.
    let other = rig.folder.path().join(".tollgate.toml.swp");
    fs::write(&other, rules(3)).unwrap();
    fs::rename(&other, rig.folder.path().join("tollgate.toml")).unwrap();
    rig.generation_by_itself(3).await;
    assert_eq!(rig.live.snapshot().keyring.len(), 3);

    // Written anew with what it held: another time, another inode, the same content.
    fs::remove_file(rig.folder.path().join("tollgate.toml")).unwrap();
    rig.write(&rules(3));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.live.snapshot().generation, 3);
    follower.abort();
}

#[tokio::test]
async fn a_change_before_the_watch_began_is_seen() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(1)).unwrap());
    rig.write(&rules(2));
    let follower = tokio::spawn(Arc::clone(&rig.watcher).follow());
    rig.generation_by_itself(2).await;
    follower.abort();
}

#[tokio::test]
async fn a_volume_that_is_swapped_by_a_link_is_seen() {
    // As Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> ..1, and an update renames over ..data.
    fn volume(folder: &Path, version: &str, keys: usize) {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("tollgate.toml"), rules(keys)).unwrap();
        symlink(version, folder.join("..new")).unwrap();
        fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    }
    let rig = Rig::new(|folder| {
        volume(folder, "..1", 1);
        symlink(PathBuf::from("..data").join("tollgate.toml"), folder.join("tollgate.toml")).unwrap();
    });
    let follower = tokio::spawn(Arc::clone(&rig.watcher).follow());
    for round in 2..5 {
        volume(rig.folder.path(), &format!("..{round}"), round);
        fs::remove_dir_all(rig.folder.path().join(format!("..{}", round - 1))).unwrap();
        rig.generation_by_itself(round as u64).await;
        assert_eq!(rig.live.snapshot().keyring.len(), round);
    }
    follower.abort();
}

#[tokio::test]
async fn a_rotated_secret_is_seen_also_one_that_a_reload_brought() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(1)).unwrap());
    let follower = tokio::spawn(Arc::clone(&rig.watcher).follow());
    let core = rig.core();
    secret(&rig.folder.path().join("secret"), "first-secret-0000\n");
    rig.write(BY_FILE);
    rig.generation_by_itself(2).await;
    assert!(core.now().keyring.find(b"first-secret-0000").is_some());

    secret(&rig.folder.path().join("secret"), "other-secret-0000\n");
    rig.generation_by_itself(3).await;
    let view = core.now();
    assert!(view.keyring.find(b"other-secret-0000").is_some());
    assert!(view.keyring.find(b"first-secret-0000").is_none(), "a rotated secret stops at once");
    follower.abort();
}

#[tokio::test]
async fn old_rules_leave_memory() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(10)).unwrap());
    let (busy, idle) = (rig.core(), rig.core());
    let mut all = vec![Arc::downgrade(&rig.live.snapshot())];
    for _ in 0..100 {
        rig.watcher.reload().await.unwrap();
        drop(busy.now());
        all.push(Arc::downgrade(&rig.live.snapshot()));
    }
    let alive = |all: &[Weak<_>]| all.iter().filter(|s| s.strong_count() > 0).count();
    // In force, the one before it, and that of the core on which nothing has happened.
    assert!(alive(&all) <= 3, "{} of {} are alive", alive(&all), all.len());
    drop(idle.now());
    assert!(alive(&all) <= 2);
}

#[tokio::test]
async fn counters_survive() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(1)).unwrap());
    let core = rig.core();
    for _ in 0..3 {
        let view = core.now();
        let series = &view.routes.find(Dialect::Chat, "m").unwrap().route.targets[0].series;
        series.cells(Agent::Codex, Dialect::Chat, 0).answered(200);
        rig.watcher.reload().await.unwrap();
    }
    let page = rig.metrics.render();
    let line =
        "tollgate_requests_total{agent=\"codex\",dialect=\"chat\",provider=\"p\",model=\"m\",status=\"2xx\"} 3\n";
    assert!(page.contains(line), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_at_once_take_turns() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(10)).unwrap());
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let watcher = Arc::clone(&rig.watcher);
            tokio::spawn(async move { watcher.reload().await.unwrap() })
        })
        .collect();
    let mut generations = Vec::new();
    for call in calls {
        generations.push(call.await.unwrap());
    }
    generations.sort_unstable();
    assert_eq!(generations, (2..=21).collect::<Vec<u64>>(), "each publishes once, under a number of its own");
    assert_eq!(rig.live.snapshot().generation, 21);
}

/// How long it takes is measured on the running gateway (ARCHITECTURE.md), not by a test's clock.
#[tokio::test]
async fn a_reload_of_a_thousand_keys_publishes_every_one() {
    let rig = Rig::new(|folder| fs::write(folder.join("tollgate.toml"), rules(10)).unwrap());
    fs::write(rig.folder.path().join("tollgate.toml"), rules(1_000)).unwrap();
    rig.watcher.reload().await.unwrap();
    let rules = rig.live.snapshot();
    assert_eq!(rules.keyring.len(), 1_000);
    let names: std::collections::HashSet<_> = rules.keyring.iter().map(|key| key.name.to_string()).collect();
    assert_eq!(names.len(), 1_000);
}

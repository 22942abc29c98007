//! File change, signal or call -> load -> publish, or keep the old rules and say why.
//!
//! Invariant: one reload at a time, so generations are in the order of the files' contents; what failed to load leaves the
//! rules in force untouched; and no change is missed for longer than [`POLL`], whatever the file system tells. What only a
//! restart changes is named in the log and otherwise left alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::{Loaded, Problem, Problems, Startup};
use crate::snapshot::Snapshot;
use crate::snapshot::live::Live;
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;
use crate::tls::Served;

mod contents;
mod eyes;

pub use contents::Contents;
use eyes::{Eyes, Places};

/// Not every file system tells of changes (NFS, some container mounts), so the contents are compared this often anyway.
const POLL: Duration = Duration::from_secs(30);
/// Editors and deployments change files in several steps: wait until nothing has happened for so long,
const QUIET: Duration = Duration::from_millis(100);
/// but not longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// Loads per reload: a load that names further files is repeated with their contents known.
const ROUNDS: usize = 3;

/// Follows one configuration.
#[derive(Debug)]
pub struct Watcher {
    path: PathBuf,
    /// As the process was started with.
    startup: Startup,
    live: Arc<Live>,
    /// What agents are shown, where TLS is spoken.
    tls: Option<Arc<Served>>,
    metrics: Arc<Metrics>,
    turn: tokio::sync::Mutex<Turn>,
    last_failure: Mutex<Option<Failure>>,
}

/// What only the reload whose turn it is may touch.
#[derive(Debug)]
struct Turn {
    contents: Contents,
    /// The rules before these. Kept so that they are freed here: freeing 100,000 keys takes a core milliseconds.
    retired: Option<Arc<Snapshot>>,
}

/// How the rules stand.
#[derive(Debug, Clone)]
pub struct Status {
    /// Counts publications, from 1.
    pub generation: u64,
    /// Seconds since 1970 of the last publication.
    pub last_success: u64,
    /// The last reload, if it failed.
    pub last_failure: Option<Failure>,
}

/// A reload that kept the old rules.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Seconds since 1970.
    pub at: u64,
    /// Why.
    pub problems: Problems,
}

impl Watcher {
    /// For rules that were loaded from `path` and are live. `contents` were taken before they were loaded, so that a change
    /// since then is seen; `startup` is what the process runs by.
    #[must_use]
    pub fn new(
        path: PathBuf,
        contents: Contents,
        startup: Startup,
        live: Arc<Live>,
        tls: Option<Arc<Served>>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let turn = tokio::sync::Mutex::new(Turn { contents, retired: None });
        Arc::new(Self { path, startup, live, tls, metrics, turn, last_failure: Mutex::default() })
    }

    /// How the rules stand.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            generation: self.metrics.reload.generation.load(Relaxed),
            last_success: self.metrics.reload.last_success.load(Relaxed),
            last_failure: self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Loads and publishes, changed or not. When it has returned, every request that begins sees the new rules. Returns
    /// their generation.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file; the old rules are in force.
    pub async fn reload(&self) -> Result<u64, Problems> {
        self.load(&mut *self.turn.lock().await).await
    }

    /// Reloads whenever what the files hold has changed. Never returns.
    pub async fn follow(self: Arc<Self>) {
        let changed = Arc::new(Notify::new());
        let mut eyes = Eyes::default();
        loop {
            self.reload_if_changed().await;
            let places = Places::of(self.turn.lock().await.contents.files());
            if eyes.places != places {
                eyes = Eyes::open(places, &changed);
                // What changed before they were open is only found by looking.
                continue;
            }
            if timeout(POLL, changed.notified()).await.is_ok() {
                until_quiet(&changed).await;
            }
        }
    }

    async fn reload_if_changed(&self) {
        let mut turn = self.turn.lock().await;
        turn.retired = None;
        let files = turn.contents.files().map(Path::to_owned).collect();
        let now = tokio::task::spawn_blocking(move || Contents::of(files)).await;
        if now.is_ok_and(|now| now != turn.contents) {
            // What came of it is in the log and in the status.
            let _ = self.load(&mut turn).await;
        }
    }

    async fn load(&self, turn: &mut Turn) -> Result<u64, Problems> {
        let began = Instant::now();
        let (path, metrics) = (self.path.clone(), Arc::clone(&self.metrics));
        let files = turn.contents.files().map(Path::to_owned).collect();
        // On a thread of its own: the operators' listener answers meanwhile.
        let outcome = match tokio::task::spawn_blocking(move || read(&path, files, &metrics)).await {
            Ok((contents, outcome)) => {
                turn.contents = contents;
                outcome
            }
            Err(_) => Err(Problems {
                list: vec![Problem::with_file(&self.path, "reading it failed inside Tollgate; please report this")],
                watched: vec![self.path.clone()],
            }),
        };
        match outcome {
            Ok(loaded) => Ok(self.publish(turn, loaded, began)),
            Err(problems) => {
                self.metrics.reload.failed.fetch_add(1, Relaxed);
                error!(errors = problems.list.len(), "the old rules stay in force\n{problems}");
                let failure = Failure { at: clock::since_epoch().as_secs(), problems: problems.clone() };
                *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                Err(problems)
            }
        }
    }

    fn publish(&self, turn: &mut Turn, loaded: Loaded, began: Instant) -> u64 {
        let Loaded { prepared, startup, tls, warnings, books: _, watched: _ } = loaded;
        if let (Some(served), Some(tls)) = (&self.tls, tls) {
            served.replace(tls);
        }
        turn.retired = Some(self.live.snapshot());
        let generation = self.live.publish(prepared);
        let reload = &self.metrics.reload;
        reload.generation.store(generation, Relaxed);
        reload.last_success.store(clock::since_epoch().as_secs(), Relaxed);
        reload.succeeded.fetch_add(1, Relaxed);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for warning in warnings {
            warn!("{warning}");
        }
        let waiting = self.startup.changed(&startup);
        if !waiting.is_empty() {
            warn!(settings = waiting.join(", "), "changed settings wait for a restart");
        }
        info!(generation, took = ?began.elapsed(), "new rules are in force");
        generation
    }
}

/// Loads, and what the files held before that. Where the load names files whose contents were not taken, it is repeated: a
/// change between the reading of a file and the first look at its contents would be missed.
fn read(path: &Path, files: BTreeSet<PathBuf>, metrics: &Metrics) -> (Contents, Result<Loaded, Problems>) {
    let mut contents = Contents::of(files);
    let mut round = 1;
    loop {
        let outcome = super::load(path, &super::process_env, metrics);
        let watched = match &outcome {
            Ok(loaded) => &loaded.watched,
            Err(problems) => &problems.watched,
        };
        let watched: BTreeSet<PathBuf> = watched.iter().cloned().collect();
        if contents.narrow(&watched) || round == ROUNDS {
            return (contents, outcome);
        }
        contents = Contents::of(watched);
        round += 1;
    }
}

async fn until_quiet(changed: &Notify) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && timeout(QUIET, changed.notified()).await.is_ok() {}
}

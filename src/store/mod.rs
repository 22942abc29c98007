//! What was used, for good: SQLite behind the journal.
//!
//! A thread of its own moves what the journal holds into the database: records, roll-ups by hour and day, and calls that are
//! still open. Invariant: every frame counts exactly once, whoever dies when ([`tail`]); no call ever waits for the database.
//! While it is locked, full or broken, the journal grows and [`Health`] shouts; when it is well again, the rest follows by
//! itself. A broken database is moved aside, and a new one begins with what the journal still has.
//!
//! Deliberately not here: what a call costs (`ledger`, `price`), and other databases.

mod batch;
mod names;
pub mod report;
mod row;
mod schema;
pub mod sums;
mod tail;

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::journal::Journal;
use crate::journal::health::Health;
use crate::journal::run::Run;
use crate::telemetry::clock;
use tail::Tail;

/// How often the journal is looked at.
const TICK: Duration = Duration::from_millis(500);
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);
/// How often dead processes' journals are looked for: one that handed over to this one ends later.
const LOOK: Duration = Duration::from_secs(2);
/// How far the thread stands back behind the cores, as `nice` counts it.
const NICE: i32 = 10;
/// Old records that are deleted at one time, so that nobody waits long for it.
const STEP: u32 = 5_000;

/// How the store is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The database.
    pub path: PathBuf,
    /// How long single records are kept; roll-ups stay.
    pub retention: Duration,
}

/// What can go wrong with the database.
#[derive(Debug)]
pub enum Failure {
    /// SQLite says so.
    Database(rusqlite::Error),
    /// A file beside it.
    File(io::Error),
    /// It has a form that is not known here.
    Version(usize),
}

impl Failure {
    /// What it holds makes no sense any more, and trying again will not change that.
    fn is_corruption(&self) -> bool {
        let Self::Database(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
            Self::Version(found) => {
                write!(f, "the database has version {found}; this Tollgate knows version {}", schema::STEPS.len())
            }
        }
    }
}

impl std::error::Error for Failure {}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// The thread that writes the database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writing: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Store {
    /// Takes in what dead processes have left, then starts the thread. A database that does not work shows in the journal's
    /// health, not here, and is tried again by itself.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(settings: Settings, journal: &Arc<Journal>) -> io::Result<Self> {
        let path = settings.path.clone();
        let mut writer = Writer::new(settings, journal);
        writer.attempt(false);
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("usage-store".to_owned()).spawn(move || {
            give_way();
            let mut patience = TICK;
            while stopped.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                patience = if writer.attempt(false) { TICK } else { RETRY };
            }
            writer.attempt(true);
        })?;
        Ok(Self { path, writing: Mutex::new(Some((stop, thread))) })
    }

    /// The database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes in the rest and ends the thread. The cores must have ended, and the journal after them.
    pub fn finish(&self) {
        let running = self.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Writer {
    settings: Settings,
    journal: Arc<Journal>,
    health: Arc<Health>,
    database: Option<Connection>,
    tail: Tail,
    looked: Option<Instant>,
    tidied: Option<Instant>,
    /// When all was in the database last.
    well: Instant,
}

impl Writer {
    fn new(settings: Settings, journal: &Arc<Journal>) -> Self {
        let health = Arc::clone(journal.health());
        let (database, looked, tidied) = (None, None, None);
        let tail = Tail::default();
        Self { settings, journal: Arc::clone(journal), health, database, tail, looked, tidied, well: Instant::now() }
    }

    /// One round, with `over` the last one. Whether it went well.
    fn attempt(&mut self, over: bool) -> bool {
        let done = self.round(over);
        let was_failing = self.health.store_failing.swap(u64::from(done.is_err()), Relaxed) != 0;
        let Err(failure) = done else {
            self.well = Instant::now();
            self.health.lag.store(0, Relaxed);
            if was_failing {
                tracing::info!("the usage database is written again");
            }
            return true;
        };
        self.health.store_errors.fetch_add(1, Relaxed);
        self.health.lag.store(millis(self.well.elapsed()), Relaxed);
        self.health.note("the usage database", &failure);
        if !was_failing {
            let file = self.settings.path.display();
            tracing::error!(error = %failure, %file, "the usage database cannot be written; the journal keeps what is used");
        }
        // What is remembered may be of a transaction that never was.
        self.tail.forget();
        self.database = None;
        if failure.is_corruption() {
            self.move_aside();
        }
        false
    }

    fn round(&mut self, over: bool) -> Result<(), Failure> {
        let database = match &mut self.database {
            Some(database) => database,
            None => {
                if let Some(folder) = self.settings.path.parent() {
                    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Failure::File)?;
                }
                self.database.insert(schema::open(&self.settings.path)?)
            }
        };
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            for run in Run::dead(&self.journal.settings().folder).map_err(Failure::File)? {
                self.tail.bury(database, &run, &self.health, false)?;
            }
            self.looked = Some(Instant::now());
        }
        if let Some(run) = self.journal.run() {
            while self.tail.follow(database, run, &self.journal.sequences(), &self.health)? {
                self.health.lag.store(millis(self.well.elapsed()), Relaxed);
            }
            if over {
                self.tail.bury(database, run, &self.health, true)?;
            }
        }
        if self.tidied.is_none_or(|tidied| tidied.elapsed() >= Duration::from_secs(1)) {
            tidy(database, self.settings.retention)?;
            self.tidied = Some(Instant::now());
        }
        Ok(())
    }

    fn move_aside(&self) {
        let path = &self.settings.path;
        let now = clock::since_epoch().as_secs();
        let aside = with_end(path, &format!(".broken-{now}"));
        self.health.moved_aside.fetch_add(1, Relaxed);
        match fs::rename(path, &aside) {
            Ok(()) => {
                for end in ["-wal", "-shm"] {
                    let _ = fs::rename(with_end(path, end), with_end(&aside, end));
                }
                let kept = aside.display();
                tracing::error!(%kept, "the usage database is broken: moved aside; a new one begins with what the journal has");
            }
            Err(error) => tracing::error!(%error, "the usage database is broken, and cannot be moved aside"),
        }
    }
}

/// Where the cores need all of the machine, this thread gets a tenth of one core beside them: enough to follow, and no request
/// waits for it. Without leave to do so it is as it was.
fn give_way() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Deletes some of the records that are too old.
fn tidy(database: &Connection, retention: Duration) -> Result<(), Failure> {
    let oldest = clock::since_epoch().saturating_sub(retention).as_millis();
    let oldest = i64::try_from(oldest).unwrap_or(i64::MAX >> batch::SHIFT) << batch::SHIFT;
    database
        .prepare_cached("DELETE FROM record WHERE id IN (SELECT id FROM record WHERE id < ?1 ORDER BY id LIMIT ?2)")?
        .execute(rusqlite::params![oldest, STEP])?;
    Ok(())
}

#[cfg(test)]
mod tests;

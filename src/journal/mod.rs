//! The usage journal: what every call is and costs, on disk before the provider, and the client, may know.
//!
//! Append-only files per core in a folder per run. A call's intent is written before its request goes upstream, its final
//! before the client sees the end; the store reads both later and deletes the files. Invariant: what [`CoreJournal::flush`]
//! has written survives the death of the process, and within [`SYNC`] that of the machine. Nothing is dropped unseen: while
//! nothing can be written, calls are refused or frames wait in memory, as [`OnFull`] says, and what finds no room is counted.
//!
//! ```text
//! intent()  into the buffer    … stand back once …    flush()  one write for all     request goes upstream
//! finish()  into the buffer                           flush()                        last frame goes to the client
//! ```
//!
//! Deliberately not here: what any of it means (`ledger`), and the database (`store`).

pub mod core;
pub mod desk;
pub mod frame;
pub mod health;
pub mod run;
pub mod segment;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use self::core::Seat;
use self::desk::{Desk, Question};
use crate::ledger::record::{Final, Intent, Progress};
use health::Health;
use run::Run;

/// How often what was written is made to survive a power cut.
pub const SYNC: Duration = Duration::from_millis(100);

/// What happens to calls that cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// They are served. Their usage waits in memory, 4 MiB per core; what finds no room is lost, and counted.
    Serve,
    /// They are refused until there is room.
    Refuse,
}

/// How a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder of all runs.
    pub folder: PathBuf,
    /// A file is followed by another at this size, in bytes.
    pub segment: u64,
    /// All files together, in bytes; beyond it nothing is written until the store has caught up.
    pub max: u64,
    /// What happens then.
    pub on_full: OnFull,
}

impl Settings {
    /// With the usual sizes: files of 8 MiB, 1 GiB in all.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, segment: 8 << 20, max: 1 << 30, on_full: OnFull::Serve }
    }
}

/// The call cannot be written down, and so must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The journal of this process.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    syncing: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

/// What the cores and the threads share.
#[derive(Debug)]
pub struct Shared {
    settings: Settings,
    health: Arc<Health>,
    cores: Vec<Arc<Seat>>,
    /// Begun once there is something to write.
    run: OnceLock<Arc<Run>>,
    beginning: Mutex<()>,
    desk: OnceLock<Desk>,
}

impl Shared {
    /// This process' run, begun if it is not yet.
    fn run(&self) -> io::Result<&Arc<Run>> {
        let _one = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        if self.run.get().is_none() {
            let run = Run::begin(&self.settings.folder)?;
            let _ = self.run.set(Arc::new(run));
        }
        self.run.get().ok_or_else(|| io::Error::other("the run has not begun"))
    }
}

impl Journal {
    /// A journal for so many cores, and the thread that syncs it. The folder is made once there is something to keep; one
    /// that cannot be made shows in the health, not here.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(settings: Settings, cores: usize) -> io::Result<Self> {
        let cores = (0..cores).map(|index| Arc::new(Seat::new(index))).collect();
        let (run, beginning) = (OnceLock::new(), Mutex::default());
        let health = Arc::default();
        let shared = Arc::new(Shared { settings, health, cores, run, beginning, desk: OnceLock::new() });
        let (stop, stopped) = channel();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("journal-sync".to_owned()).spawn(move || {
            while stopped.recv_timeout(SYNC) == Err(RecvTimeoutError::Timeout) {
                sync(&theirs);
            }
            sync(&theirs);
        })?;
        Ok(Self { shared, syncing: Mutex::new(Some((stop, thread))) })
    }

    /// A core's end; `None` for a core beyond those it was started for.
    #[must_use]
    pub fn for_core(&self, index: usize) -> Option<CoreJournal> {
        let seat = Arc::clone(self.shared.cores.get(index)?);
        Some(CoreJournal { kept: Some((Arc::clone(&self.shared), seat)) })
    }

    /// Where questions about what was used will come in; `None` but for the first who asks, since somebody answers them.
    #[must_use]
    pub fn questions(&self) -> Option<mpsc::Receiver<Question>> {
        let (desk, questions) = Desk::new();
        self.shared.desk.set(desk).ok().map(|()| questions)
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.shared.health
    }

    /// Where all runs are.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// This process' run; `None` as long as nothing was written.
    #[must_use]
    pub fn run(&self) -> Option<&Arc<Run>> {
        self.shared.run.get()
    }

    /// Which file each core writes, from 1; 0: none yet. Those before it are complete.
    #[must_use]
    pub fn sequences(&self) -> Vec<u64> {
        self.shared.cores.iter().map(|core| core.sequence.load(SeqCst)).collect()
    }

    /// Writes and syncs what there is, and ends the thread. Cores may still write; then that waits for a flush of theirs.
    pub fn finish(&self) {
        let running = self.syncing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Tries again what could not be written, and makes what was survive a power cut.
fn sync(shared: &Shared) {
    for core in &shared.cores {
        let _ = core.flush(shared);
        for file in core.unsynced() {
            if let Err(error) = file.sync_data() {
                shared.health.write_errors.fetch_add(1, Relaxed);
                shared.health.note("the usage journal cannot be synced", error);
            }
        }
    }
}

/// One core's end of the journal. Its frames wait in a buffer until [`flush`](Self::flush).
#[derive(Debug, Clone)]
pub struct CoreJournal {
    kept: Option<(Arc<Shared>, Arc<Seat>)>,
}

impl CoreJournal {
    /// One that keeps nothing: where no folder is named, and in tests.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self { kept: None }
    }

    /// Whether it keeps nothing.
    #[must_use]
    pub const fn is_nowhere(&self) -> bool {
        self.kept.is_none()
    }

    /// Who knows what was used; `None`: nobody.
    #[must_use]
    pub fn desk(&self) -> Option<&Desk> {
        self.kept.as_ref()?.0.desk.get()
    }

    /// A call goes to a provider. To be flushed before its first byte does.
    ///
    /// # Errors
    /// It cannot be written down and must not be made.
    pub fn intent(&self, intent: &Intent<'_>) -> Result<(), Full> {
        self.kept.as_ref().map_or(Ok(()), |(shared, seat)| seat.intent(shared, intent))
    }

    /// How a long answer stands, now and then.
    pub fn progress(&self, call: u64, progress: &Progress) {
        if let Some((shared, seat)) = &self.kept {
            seat.progress(shared, call, progress);
        }
    }

    /// One attempt of a call has failed; the call goes on.
    pub fn attempt(&self, record: &Final<'_>) {
        if let Some((shared, seat)) = &self.kept {
            seat.record(shared, record, frame::attempt);
        }
    }

    /// The call is over. To be flushed before the client sees its end. Needs no intent before it.
    pub fn finish(&self, record: &Final<'_>) {
        if let Some((shared, seat)) = &self.kept {
            seat.record(shared, record, frame::finish);
        }
    }

    /// The call never got to a provider: its intent is taken back, and it leaves no record.
    pub fn void(&self, call: u64) {
        if let Some((shared, seat)) = &self.kept {
            seat.void(shared, call);
        }
    }

    /// Writes all that waits, in one go.
    ///
    /// # Errors
    /// It could not, and then calls are to be refused: [`void`](Self::void) the intent. It is tried again by itself.
    pub fn flush(&self) -> Result<(), Full> {
        self.kept.as_ref().map_or(Ok(()), |(shared, seat)| seat.flush(shared))
    }
}

#[cfg(test)]
mod tests;

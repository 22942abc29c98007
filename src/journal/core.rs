//! One core's end of the journal: frames into a buffer, the buffer into a file.
//!
//! Invariant: the bytes of a file are those of whole frames one after another, but for its end; what a write did not take
//! stays in the buffer, in order. A frame's names are in the same file before it. No record allocates: the buffer is made once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::frame::{self, Sets};
use super::health::Health;
use super::segment::MAGIC;
use super::{Full, OnFull, Shared};
use crate::ledger::name::Name;
use crate::ledger::record::{Final, Intent, Progress};

/// Made at once; as much as one tick of a busy core writes.
const USUAL: usize = 256 * 1024;
/// What a core keeps in memory while nothing can be written; what finds no room then is lost, and counted.
pub const MOST: usize = 4 << 20;
/// From here on no new calls are written down, so that those under way find room for their end.
const RESERVE: usize = 2 << 20;

/// Names of one record.
const NAMES: usize = 9;

/// See the module. Shared by a core and the thread that syncs.
#[derive(Debug)]
pub struct Seat {
    index: usize,
    /// Which file is being written, from 1; 0: none yet. What is in those before it is all there will be.
    pub sequence: AtomicU64,
    failing: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    buffer: Vec<u8>,
    file: Option<Arc<File>>,
    /// Bytes of the file so far.
    written: u64,
    /// A bit per name: whether it is in the file, or in the buffer for it.
    named: Vec<u64>,
    /// The names of the record before: most calls have the same.
    last: [Name; NAMES],
    /// Files that have something which may not have reached the disk.
    unsynced: Vec<Arc<File>>,
    dirty: bool,
    sets: Sets,
}

impl Seat {
    pub fn new(index: usize) -> Self {
        let inner = Inner {
            buffer: Vec::new(),
            file: None,
            written: 0,
            named: Vec::new(),
            last: [Name::NONE; NAMES],
            unsynced: Vec::new(),
            dirty: false,
            sets: Sets::default(),
        };
        Self { index, sequence: AtomicU64::new(0), failing: AtomicBool::new(false), inner: Mutex::new(inner) }
    }

    /// Uncontended but for the thread that syncs, which holds it to fetch a file.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn intent(&self, shared: &Shared, intent: &Intent<'_>) -> Result<(), Full> {
        let mut inner = self.inner();
        if inner.buffer.len() > RESERVE || (self.failing.load(Relaxed) && shared.settings.on_full == OnFull::Refuse) {
            if shared.settings.on_full == OnFull::Refuse {
                shared.health.refused.fetch_add(1, Relaxed);
                return Err(Full);
            }
            shared.health.lost.fetch_add(1, Relaxed);
            return Ok(());
        }
        let names = inner.sets.of_intent(intent);
        inner.append(shared, &names, |out, sets| frame::intent(out, sets, intent));
        Ok(())
    }

    pub fn progress(&self, shared: &Shared, call: u64, progress: &Progress) {
        let mut inner = self.inner();
        // The end says it all again, and needs the room more.
        if inner.buffer.len() <= RESERVE {
            inner.append(shared, &[], |out, _| frame::progress(out, call, progress));
        }
    }

    pub fn record(&self, shared: &Shared, record: &Final<'_>, write: fn(&mut Vec<u8>, &Sets, &Final<'_>)) {
        let mut inner = self.inner();
        let [key, owner, team, organisation, agent, dialect] = inner.sets.of_intent(&record.intent);
        let Final { provider, credential, prices, .. } = *record;
        let names = [key, owner, team, organisation, agent, dialect, provider, credential, prices];
        inner.append(shared, &names, |out, sets| write(out, sets, record));
    }

    pub fn void(&self, shared: &Shared, call: u64) {
        self.inner().append(shared, &[], |out, _| frame::void(out, call));
    }

    /// Writes what is in the buffer. An error is told once, and again when it is over.
    pub fn flush(&self, shared: &Shared) -> Result<(), Full> {
        let mut inner = self.inner();
        if inner.buffer.is_empty() {
            return Ok(());
        }
        let written = inner.write(self, shared);
        self.say(&shared.health, &written);
        match written {
            Err(_) if shared.settings.on_full == OnFull::Refuse => Err(Full),
            _ => Ok(()),
        }
    }

    fn say(&self, health: &Health, written: &io::Result<()>) {
        let failed = written.is_err();
        if let Err(error) = written {
            health.write_errors.fetch_add(1, Relaxed);
            if !self.failing.load(Relaxed) {
                health.note("the usage journal cannot be written", error);
                tracing::error!(%error, core = self.index, "the usage journal cannot be written");
            }
        }
        match (self.failing.swap(failed, Relaxed), failed) {
            (false, true) => {
                health.failing.fetch_add(1, Relaxed);
            }
            (true, false) => {
                health.failing.fetch_sub(1, Relaxed);
                tracing::info!(core = self.index, "the usage journal is written again");
            }
            _ => {}
        }
    }

    /// Files with something that may not have reached the disk.
    pub fn unsynced(&self) -> Vec<Arc<File>> {
        let mut inner = self.inner();
        let mut files = std::mem::take(&mut inner.unsynced);
        if std::mem::take(&mut inner.dirty) {
            files.extend(inner.file.clone());
        }
        files
    }
}

impl Inner {
    /// A frame behind those of its names that the file does not have.
    fn append(&mut self, shared: &Shared, names: &[Name], write: impl FnOnce(&mut Vec<u8>, &Sets)) {
        if self.buffer.len() >= MOST {
            shared.health.lost.fetch_add(1, Relaxed);
            return;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(USUAL);
        }
        if self.last.get(..names.len()) != Some(names) {
            for name in names {
                self.say(*name);
            }
            if let Some(last) = self.last.get_mut(..names.len()) {
                last.copy_from_slice(names);
            }
        }
        let Self { buffer, sets, .. } = self;
        write(buffer, sets);
    }

    fn say(&mut self, name: Name) {
        let (word, bit) = (name.number() as usize / 64, 1_u64 << (name.number() % 64));
        if self.named.get(word).is_some_and(|bits| bits & bit != 0) || name == Name::NONE {
            return;
        }
        let Some(text) = name.text() else { return };
        frame::name(&mut self.buffer, name, &text);
        if self.named.len() <= word {
            self.named.resize(word + 1, 0);
        }
        if let Some(bits) = self.named.get_mut(word) {
            *bits |= bit;
        }
    }

    fn write(&mut self, seat: &Seat, shared: &Shared) -> io::Result<()> {
        let depth = shared.health.depth.load(Relaxed).saturating_add(self.buffer.len() as u64);
        if depth > shared.settings.max {
            return Err(io::Error::other(format!(
                "it has grown to ledger.journal_max ({} bytes)",
                shared.settings.max
            )));
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => self.open(seat, shared)?,
        };
        let mut from = 0;
        let written = loop {
            let Some(rest) = self.buffer.get(from..).filter(|rest| !rest.is_empty()) else { break Ok(()) };
            match (&*file).write(rest) {
                Ok(0) => break Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(n) => from += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        // Whatever was taken is in the file, even of half a frame; its rest comes next.
        self.buffer.drain(..from);
        self.written += from as u64;
        self.dirty |= from > 0;
        shared.health.depth.fetch_add(from as u64, Relaxed);
        written?;
        if self.buffer.capacity() > USUAL {
            self.buffer.shrink_to(USUAL);
        }
        if self.written >= shared.settings.segment {
            self.turn(seat);
        }
        Ok(())
    }

    fn open(&mut self, seat: &Seat, shared: &Shared) -> io::Result<Arc<File>> {
        let run = shared.run()?;
        let sequence = seat.sequence.load(SeqCst).max(1);
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(run.file(seat.index, sequence))?;
        if file.metadata()?.len() == 0 {
            // Made whole or not at all: a file that has half of it would be none of ours.
            if (&file).write(MAGIC)? != MAGIC.len() {
                file.set_len(0)?;
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            shared.health.depth.fetch_add(MAGIC.len() as u64, Relaxed);
        }
        seat.sequence.store(sequence, SeqCst);
        self.written = MAGIC.len() as u64;
        Ok(Arc::clone(self.file.insert(Arc::new(file))))
    }

    /// The file is large enough: the next frame begins another, with names of its own.
    fn turn(&mut self, seat: &Seat) {
        self.unsynced.extend(self.file.take());
        self.dirty = false;
        self.named.fill(0);
        self.last = [Name::NONE; NAMES];
        seat.sequence.fetch_add(1, SeqCst);
    }
}

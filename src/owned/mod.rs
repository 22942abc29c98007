//! Ids that providers made, and whose they are.
//!
//! All teams share our credentials, so a provider would give any of them what any other has stored. Invariant: what was
//! made for a team (for a key, where it has no team) is found by that team only, and leads to the provider that made it; an
//! id that two owners were given is nobody's. Who has no right to an id cannot tell it from one that never was.
//!
//! Bounded: the oldest ids go first, those of responses apart from those of files and the like. Kept over restarts by a thread of its own ([`journal`]); a disk that fails costs a
//! warning and a counter, never a call. Deliberately not here: what is stored (the provider has it), and deletion: what the
//! provider has deleted, it says itself.

mod book;
mod journal;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::protocol::Object;
use crate::telemetry::metrics::Metrics;

use book::{Books, Owner};
use journal::Journal;

/// Longest id that is kept, in bytes. Providers' have about 60.
pub const MAX_ID: usize = 256;
/// Ids on their way to the disk. What finds no room is written when the whole file is next made anew.
const QUEUE: usize = 4096;

/// Who may use what was made for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Every key of this team.
    Team(Arc<str>),
    /// This key, which has no team.
    Key(Arc<str>),
}

/// All ids that are known. One for the process; each use holds its lock for a look-up, never over an await.
#[derive(Debug)]
pub struct Owned {
    shared: Arc<Shared>,
    journal: Mutex<Option<(SyncSender<String>, JoinHandle<()>)>>,
}

#[derive(Debug)]
struct Shared {
    book: Mutex<Books>,
    /// The file lacks something: it has to be made anew.
    stale: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Books> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owned {
    /// Room for so many ids of either sort (what every call leaves behind, and what lasts), kept in memory only.
    #[must_use]
    pub fn in_memory(max: usize, metrics: &Arc<Metrics>) -> Self {
        let shared = Shared {
            book: Mutex::new(Books::new(max, is_passing)),
            stale: AtomicBool::new(false),
            metrics: Arc::clone(metrics),
        };
        Self { shared: Arc::new(shared), journal: Mutex::default() }
    }

    /// The same, with what a folder remembers of earlier runs, and remembered there. The folder is made once there is
    /// something to keep.
    #[must_use]
    pub fn kept_in(folder: &Path, max: usize, metrics: &Arc<Metrics>) -> Self {
        let owned = Self::in_memory(max, metrics);
        let (sender, receiver) = sync_channel(QUEUE);
        let mut journal = Journal::new(folder, Arc::clone(&owned.shared));
        journal.load();
        // Then what the other one learns to its end is read once the file is ours.
        owned.shared.stale.store(journal.is_shared(), Relaxed);
        let thread = std::thread::Builder::new().name("owned-ids".to_owned());
        match thread.spawn(move || journal.run(&receiver)) {
            Ok(thread) => *owned.journal() = Some((sender, thread)),
            Err(error) => tracing::warn!(%error, "ids made by providers are not kept over a restart: no thread"),
        }
        owned
    }

    /// An answer said that `provider` made this for `holder`.
    pub fn learn(&self, object: Object, id: &str, holder: Holder, provider: &Arc<str>) {
        if !is_id(id) {
            return;
        }
        let owner = Owner { holder, provider: Arc::clone(provider) };
        let key = key(object, id);
        let line = {
            let mut book = self.shared.book();
            if !book.add(&key, Some(owner)) {
                return;
            }
            self.shared.metrics.owned.known.store(book.len() as u64, Relaxed);
            book.find(&key).map(|owner| journal::line(&key, owner))
        };
        if let (Some(line), Some((sender, _))) = (line, &*self.journal())
            && sender.try_send(line).is_err()
        {
            self.shared.stale.store(true, Relaxed);
        }
    }

    /// Who made this for `holder`; `None` if nobody did, which is all that anybody else learns.
    #[must_use]
    pub fn maker(&self, object: Object, id: &str, holder: &Holder) -> Option<Arc<str>> {
        if !is_id(id) {
            return None;
        }
        let key = key(object, id);
        let book = self.shared.book();
        let owner = book.find(&key)?.as_ref()?;
        (owner.holder == *holder).then(|| Arc::clone(&owner.provider))
    }

    /// Writes what is still to be written, and ends the writer.
    pub fn finish(&self) {
        let running = self.journal().take();
        if let Some((sender, thread)) = running {
            drop(sender);
            let _ = thread.join();
        }
    }

    fn journal(&self) -> MutexGuard<'_, Option<(SyncSender<String>, JoinHandle<()>)>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What providers call things: printable ASCII without blanks.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a key is of what every call leaves behind.
fn is_passing(key: &str) -> bool {
    let kinds = [Object::Response, Object::Item, Object::Container];
    let kind = key.split(' ').next().unwrap_or_default();
    kinds.iter().any(|object| object.name() == kind)
}

/// Ids of one kind are apart from those of another.
fn key(object: Object, id: &str) -> String {
    let mut key = String::with_capacity(object.name().len() + 1 + id.len());
    key.push_str(object.name());
    key.push(' ');
    key.push_str(id);
    key
}

#[cfg(test)]
mod tests;

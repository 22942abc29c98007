//! The folder of one run of the process: `<state>/journal/<run>/`, with a lock and a file per core and piece.
//!
//! Invariant: a run's folder never appears without its lock held, and the lock lives as long as the process does, however it
//! ends. So whoever gets the lock of a run knows that nobody writes there any more, and that what it left is his alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::telemetry::clock;

/// In a run's folder, beside its files.
const LOCK: &str = "lock";
/// Names that are tried for a folder: two processes may begin within one millisecond.
const TRIES: u64 = 1000;

/// A run that is ours: this process', or that of a dead one.
#[derive(Debug)]
pub struct Run {
    /// Unique among all runs whose traces are still there, and later than earlier ones by text.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Ours until it is closed, which the system does at the latest.
    _lock: File,
}

impl Run {
    /// Begins a run in the journal's folder, which is made where it is missing; only its owner may look into it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn begin(journal: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(journal)?;
        let now = u64::try_from(clock::since_epoch().as_millis()).unwrap_or(u64::MAX);
        for millis in now..now.saturating_add(TRIES) {
            let name = format!("{millis:012x}");
            // Made under a name that nobody looks at, so that it is locked before anybody sees it.
            let hidden = journal.join(format!(".{name}-{}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&hidden) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let lock =
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(hidden.join(LOCK))?;
            lock.try_lock().map_err(|error| io::Error::other(error.to_string()))?;
            let folder = journal.join(&name);
            // A folder is never put over one that holds something, and each holds its lock.
            match fs::rename(&hidden, &folder) {
                Ok(()) => return Ok(Self { name, folder, _lock: lock }),
                Err(_) if folder.exists() => remove(&hidden),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no name is left for this run's folder"))
    }

    /// Takes over the runs that nobody works on any more, the oldest first.
    ///
    /// # Errors
    /// The journal's folder cannot be listed. One that is not there has no runs.
    pub fn dead(journal: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(journal) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut runs = Vec::new();
        for entry in entries {
            let folder = entry?.path();
            let Some(name) = folder.file_name().and_then(|name| name.to_str()).filter(|name| is_run(name)) else {
                continue;
            };
            let Ok(lock) =
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(LOCK))
            else {
                continue;
            };
            if lock.try_lock().is_ok() {
                runs.push(Self { name: name.to_owned(), folder: folder.clone(), _lock: lock });
            }
        }
        runs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(runs)
    }

    /// The file of a core's `sequence`th piece.
    #[must_use]
    pub fn file(&self, core: usize, sequence: u64) -> PathBuf {
        self.folder.join(format!("{core}-{sequence:08}"))
    }

    /// Its files, in order: core, sequence, path.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn files(&self) -> io::Result<Vec<(usize, u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let parts = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('-'));
            if let Some((core, sequence)) = parts
                && let (Ok(core), Ok(sequence)) = (core.parse(), sequence.parse())
            {
                files.push((core, sequence, path));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Removes what is left of it: nothing but its lock, if all went well. What else lies there is kept, under a name that
    /// is no run's, so that nobody takes it over again and again.
    pub fn remove(&self) {
        remove(&self.folder);
        if self.folder.exists() {
            let kept = self.folder.with_extension("left");
            tracing::warn!(kept = %kept.display(), "a journal folder holds something that cannot be read");
            let _ = fs::rename(&self.folder, kept);
        }
    }
}

fn remove(folder: &Path) {
    // Whatever else lies there is not ours, and then the folder stays.
    let _ = fs::remove_file(folder.join(LOCK));
    let _ = fs::remove_dir(folder);
}

fn is_run(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

//! The book on disk: a line per id, appended by a thread of its own, made anew when it has grown to twice what lives.
//!
//! A line is `kind id TAB holder TAB provider TAB checksum`, the holder with a word in front of its name. Names hold no
//! control characters (`config::compile` refuses them), ids no blanks. Invariants: a line without a right checksum is not
//! there (a torn one, after a power cut), so half a name never owns anything; the file is its owner's alone (0600), and one
//! process writes it at a time; nothing here waits for, or fails, a call.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::book::Owner;
use super::{Holder, Shared};

/// Written in one go.
const BATCH: usize = 64 * 1024;
/// Longest line that can be one of ours: an id, two names, and what stands between.
const MAX_LINE: u64 = 1024;
/// After a failure, and while another process has the file.
const RETRY: Duration = Duration::from_secs(2);
/// A file of fewer lines is never worth making anew.
const SMALL: usize = 1024;
/// Beside the file, which is replaced now and then.
const LOCK: &str = "owned-ids.lock";
/// Ids that are copied under one lock.
const PAGE: usize = 512;

/// See the module.
pub struct Journal {
    folder: PathBuf,
    shared: Arc<Shared>,
    /// How much of the file has been read, in bytes.
    read: u64,
    /// Lines in the file.
    lines: usize,
}

/// The file while it is ours.
struct Open {
    /// Held while we write; a file of its own, since the other is replaced.
    _lock: File,
    file: File,
}

impl Journal {
    pub fn new(folder: &Path, shared: Arc<Shared>) -> Self {
        Self { folder: folder.to_owned(), shared, read: 0, lines: 0 }
    }

    /// Whether another process may be writing still: one that hands over to this one, say.
    pub fn is_shared(&self) -> bool {
        self.folder.join(LOCK).exists()
    }

    /// Reads what earlier runs have left, and what another process has written since.
    pub fn load(&mut self) {
        let mut broken = 0_usize;
        let read = File::open(self.path()).and_then(|mut file| {
            let size = file.metadata()?.len();
            if size < self.read {
                // Made anew by somebody else.
                (self.read, self.lines) = (0, 0);
            }
            file.seek(SeekFrom::Start(self.read))?;
            let mut file = BufReader::new(file.take(size - self.read));
            let mut line = Vec::new();
            loop {
                line.clear();
                let bytes = (&mut file).take(MAX_LINE).read_until(b'\n', &mut line)?;
                if bytes == 0 {
                    return Ok(());
                }
                self.read += bytes as u64;
                self.lines += 1;
                match std::str::from_utf8(&line).ok().and_then(parse) {
                    Some((id, owner)) => {
                        self.shared.book().add(id, owner);
                    }
                    None => broken += 1,
                }
            }
        });
        match read {
            Err(error) if error.kind() != ErrorKind::NotFound => self.failed("read", &error),
            _ => {}
        }
        if broken > 0 {
            tracing::warn!(lines = broken, file = %self.path().display(), "damaged lines are left out");
        }
        let known = self.shared.book().len();
        self.shared.metrics.owned.known.store(known as u64, Relaxed);
    }

    /// Writes until the sender is gone.
    pub fn run(mut self, lines: &Receiver<String>) {
        let mut open = None;
        let mut well = true;
        let mut batch = String::new();
        loop {
            let patience = if well && !self.shared.stale.load(Relaxed) { Duration::from_secs(3600) } else { RETRY };
            let next = lines.recv_timeout(patience);
            let over = matches!(next, Err(RecvTimeoutError::Disconnected));
            let mut count = 0;
            batch.clear();
            let mut next = next.ok();
            while let Some(line) = next {
                batch.push_str(&line);
                count += 1;
                next = if batch.len() < BATCH { lines.try_recv().ok() } else { None };
            }
            if count > 0 || self.shared.stale.load(Relaxed) {
                let written = self.write(&mut open, &batch, count);
                if let Err(error) = &written {
                    // Whatever of it was written or not: the book has it, and the file is made anew.
                    self.shared.stale.store(true, Relaxed);
                    open = None;
                    if well {
                        self.failed("written", error);
                    }
                }
                well = written.is_ok();
            }
            if over {
                return;
            }
        }
    }

    fn write(&mut self, open: &mut Option<Open>, batch: &str, count: usize) -> io::Result<()> {
        let there = match open {
            Some(there) => there,
            None => open.insert(self.open()?),
        };
        let live = self.shared.book().len();
        if self.shared.stale.swap(false, Relaxed) || self.lines + count > (2 * live).max(SMALL) {
            there.file = self.anew()?;
            return Ok(());
        }
        there.file.write_all(batch.as_bytes())?;
        self.lines += count;
        self.read += batch.len() as u64;
        Ok(())
    }

    fn open(&mut self) -> io::Result<Open> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let lock = options().open(self.folder.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("another Tollgate writes to this folder"),
        })?;
        // Whoever had it before may have written since we read it.
        self.load();
        let mut file = options().read(true).append(true).open(self.path())?;
        let end = file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if end > 0 {
            file.seek(SeekFrom::Start(end - 1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            // A torn line ends here, and the next one begins where it should.
            file.write_all(b"\n")?;
            self.read += 1;
        }
        Ok(Open { _lock: lock, file })
    }

    /// The whole book in a new file, which takes the place of the old one at once or not at all.
    fn anew(&mut self) -> io::Result<File> {
        let draft = self.path().with_extension("draft");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = options().append(true).create_new(true).open(&draft)?;
        let (mut from, mut lines, mut bytes, mut text) = (Some(0), 0, 0, String::new());
        while let Some(at) = from {
            text.clear();
            from = self.shared.book().page(at, PAGE, |id, owner| {
                text.push_str(&line(id, owner));
                lines += 1;
            });
            file.write_all(text.as_bytes())?;
            bytes += text.len() as u64;
        }
        file.sync_all()?;
        fs::rename(&draft, self.path())?;
        (self.lines, self.read) = (lines, bytes);
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("owned-ids")
    }

    fn failed(&self, what: &str, error: &io::Error) {
        self.shared.metrics.owned.failures.fetch_add(1, Relaxed);
        tracing::warn!(%error, folder = %self.folder.display(), "ids made by providers cannot be {what}; until then a restart forgets them");
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// One line, with its end.
pub fn line(id: &str, owner: &Option<Owner>) -> String {
    let mut line = String::with_capacity(id.len() + 64);
    line.push_str(id);
    match owner {
        Some(Owner { holder, provider }) => {
            let (kind, name) = match holder {
                Holder::Team(name) => ("team", name),
                Holder::Key(name) => ("key", name),
            };
            // Writing to a String cannot fail.
            let _ = write!(line, "\t{kind} {name}\t{provider}\t");
        }
        None => line.push_str("\tnobody\t\t"),
    }
    let sum = crc32fast::hash(line.as_bytes());
    let _ = writeln!(line, "{sum:08x}");
    line
}

fn parse(line: &str) -> Option<(&str, Option<Owner>)> {
    let (text, sum) = line.strip_suffix('\n')?.split_at_checked(line.len().checked_sub(9)?)?;
    if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(text.as_bytes()) {
        return None;
    }
    let mut parts = text.strip_suffix('\t')?.split('\t');
    let (id, holder, provider) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let owner = match holder.split_once(' ') {
        Some(("team", name)) => Some(Holder::Team(name.into())),
        Some(("key", name)) => Some(Holder::Key(name.into())),
        None if holder == "nobody" => None,
        _ => return None,
    };
    Some((id, owner.map(|holder| Owner { holder, provider: provider.into() })))
}

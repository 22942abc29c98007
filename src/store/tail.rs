//! Journal files into the database, each frame once.
//!
//! Invariant: how far a file was read is committed with what was read, and a file is deleted only once all of it is; so
//! whenever the process dies, the next one goes on where the last commit was. After a failure everything remembered is
//! forgotten: the database alone knows.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::Failure;
use super::batch::Batch;
use super::names::{Ids, Names};
use crate::journal::health::Health;
use crate::journal::run::Run;
use crate::journal::segment::Segment;

/// Frames of one transaction.
const BATCH: usize = 20_000;

/// A file that is being read.
struct Reading {
    segment: Segment,
    ids: Ids,
    /// How much of it was no frame when that was last told.
    damaged: u64,
}

/// See the module.
#[derive(Default)]
pub struct Tail {
    names: Names,
    /// By path.
    reading: HashMap<PathBuf, Reading>,
    /// Of the own run: which file of each core is next.
    next: HashMap<usize, u64>,
}

/// A file and where reading it stands.
struct Stand {
    core: usize,
    sequence: u64,
    path: PathBuf,
    position: u64,
    /// All of it was read, and no more will come.
    done: bool,
}

impl Tail {
    /// Forgets all, after a failure.
    pub fn forget(&mut self) {
        self.names.forget();
        self.reading.clear();
    }

    /// One transaction's worth of a living run. Whether there may be more.
    pub fn follow(
        &mut self,
        database: &mut Connection,
        run: &Run,
        sequences: &[u64],
        health: &Health,
    ) -> Result<bool, Failure> {
        let mut files = Vec::new();
        for (core, head) in sequences.iter().enumerate() {
            let next = self.next.get(&core).copied().unwrap_or(1);
            // What is before the head is complete: it was known to be before anything is read.
            files.extend((next..=*head).map(|sequence| (core, sequence, run.file(core, sequence), sequence < *head)));
        }
        let (stands, full) = self.transfer(database, &run.name, &files, false, health)?;
        for stand in stands.iter().filter(|stand| stand.done) {
            self.next.insert(stand.core, stand.sequence + 1);
        }
        self.remove(database, &run.name, &stands, health);
        Ok(full)
    }

    /// All of a run that is over; its open calls become interrupted ones, and its folder goes. `own`: its files were
    /// counted as they were written.
    pub fn bury(&mut self, database: &mut Connection, run: &Run, health: &Health, own: bool) -> Result<(), Failure> {
        if !own {
            let bytes: u64 = sizes(run).map_err(Failure::File)?;
            health.depth.fetch_add(bytes, Relaxed);
        }
        loop {
            let files: Vec<_> = run.files().map_err(Failure::File)?;
            let files: Vec<_> = files.into_iter().map(|(core, sequence, path)| (core, sequence, path, true)).collect();
            let buried = self.transfer(database, &run.name, &files, true, health);
            let (stands, full) = match buried {
                Ok(done) => done,
                Err(failure) => {
                    if !own {
                        // It will be counted again.
                        Health::shrink(&health.depth, sizes(run).unwrap_or_default());
                    }
                    return Err(failure);
                }
            };
            self.remove(database, &run.name, &stands, health);
            if !full {
                break;
            }
        }
        database.execute("DELETE FROM segment WHERE run = ?1", [&run.name])?;
        run.remove();
        Ok(())
    }

    /// Reads on in these files, in one transaction. How they stand, and whether the transaction was full.
    fn transfer(
        &mut self,
        database: &mut Connection,
        run: &str,
        files: &[(usize, u64, PathBuf, bool)],
        over: bool,
        health: &Health,
    ) -> Result<(Vec<Stand>, bool), Failure> {
        // Another process may write too (one that hands over): then a transaction that begins by reading could not go on.
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut batch = Batch::new(&transaction, &mut self.names, run);
        let (mut stands, mut room, mut damaged) = (Vec::new(), BATCH, 0);
        for (core, sequence, path, complete) in files {
            if room == 0 {
                break;
            }
            let Some(reading) = open(&mut self.reading, &transaction, run, (*core, *sequence), path)? else { continue };
            let Reading { segment, ids, damaged: told } = reading;
            let begun = segment.position();
            let mut ended = false;
            while room > 0 {
                let Some(parsed) = segment.next(*complete).map_err(Failure::File)? else {
                    ended = true;
                    break;
                };
                room -= 1;
                if !batch.take(segment, ids, segment.body(parsed))? {
                    segment.spoilt(parsed);
                }
            }
            batch.leave(segment, ids)?;
            let position = segment.position();
            damaged += segment.damaged() - std::mem::replace(told, segment.damaged());
            let done = ended && *complete;
            if position > begun || done {
                stands.push(Stand { core: *core, sequence: *sequence, path: path.clone(), position, done });
            }
        }
        let full = room == 0;
        if over && !full {
            batch.interrupt()?;
        }
        let (records, interrupted) = batch.finish()?;
        let mut stood = transaction.prepare_cached("INSERT OR REPLACE INTO segment VALUES (?1, ?2, ?3, ?4)")?;
        for stand in &stands {
            let numbers =
                [stand.core as u64, stand.sequence, stand.position].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            stood.execute(params![run, numbers[0], numbers[1], numbers[2]])?;
        }
        drop(stood);
        transaction.commit()?;
        health.records.fetch_add(records, Relaxed);
        health.interrupted.fetch_add(interrupted, Relaxed);
        if damaged > 0 {
            health.damaged.fetch_add(damaged, Relaxed);
            tracing::error!(bytes = damaged, run, "the usage journal is damaged; what can be read of it is kept");
        }
        Ok((stands, full))
    }

    /// Deletes what was read and committed. What cannot be deleted is read no further, and tried again when its run is over.
    fn remove(&mut self, database: &Connection, run: &str, stands: &[Stand], health: &Health) {
        for stand in stands.iter().filter(|stand| stand.done) {
            self.reading.remove(&stand.path);
            let bytes = fs::metadata(&stand.path).map_or(0, |data| data.len());
            match fs::remove_file(&stand.path) {
                Ok(()) => Health::shrink(&health.depth, bytes),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    health.note("a journal file cannot be deleted", &error);
                    continue;
                }
            }
            // Left behind by a death just now, it does no harm: no file has this name again.
            let _ = database.execute(
                "DELETE FROM segment WHERE run = ?1 AND core = ?2 AND sequence = ?3",
                params![run, i64::try_from(stand.core).unwrap_or(-1), i64::try_from(stand.sequence).unwrap_or(-1)],
            );
        }
    }
}

/// The file, from where it was last read; `None` where it is not there (yet), or none of ours.
fn open<'r>(
    reading: &'r mut HashMap<PathBuf, Reading>,
    database: &Connection,
    run: &str,
    (core, sequence): (usize, u64),
    path: &Path,
) -> Result<Option<&'r mut Reading>, Failure> {
    if !reading.contains_key(path) {
        let mut stood =
            database.prepare_cached("SELECT position FROM segment WHERE run = ?1 AND core = ?2 AND sequence = ?3")?;
        let numbers = (i64::try_from(core).unwrap_or(-1), i64::try_from(sequence).unwrap_or(-1));
        let position: Option<i64> = stood.query_row(params![run, numbers.0, numbers.1], |row| row.get(0)).optional()?;
        let position = position.and_then(|position| u64::try_from(position).ok()).unwrap_or_default();
        match Segment::open(path, position) {
            Ok(segment) => {
                let damaged = segment.damaged();
                reading.insert(path.to_owned(), Reading { segment, ids: Ids::default(), damaged });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                tracing::error!(%error, file = %path.display(), "left as it is");
                return Ok(None);
            }
            Err(error) => return Err(Failure::File(error)),
        }
    }
    Ok(reading.get_mut(path))
}

fn sizes(run: &Run) -> std::io::Result<u64> {
    Ok(run.files()?.iter().map(|(_, _, path)| fs::metadata(path).map_or(0, |data| data.len())).sum())
}

//! The database's form: how it is opened, and the steps that make an older one into today's.
//!
//! Invariant: a step that was released never changes; a new form is one more step. All of an upgrade happens or nothing of
//! it. A database of a later version is left alone.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::Failure;

/// A writer waits so long for another process' transaction.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of the write-ahead log, in bytes, between transactions.
pub const WAL: i64 = 64 << 20;

/// What a roll-up adds up. `cost` is what was charged; failed attempts and answers from a cache are apart.
macro_rules! sums {
    () => {
        "calls INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
         cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL, cost INTEGER NOT NULL,
         estimated INTEGER NOT NULL, estimated_cost INTEGER NOT NULL, unpriced INTEGER NOT NULL,
         interrupted INTEGER NOT NULL, failed INTEGER NOT NULL, failed_cost INTEGER NOT NULL, saved INTEGER NOT NULL"
    };
}

/// From each version to the next. The number of steps done is the database's `user_version`.
pub const STEPS: &[&str] = &[
    // 1: names once; who and where together as a scope, without the person as a circle; how as a manner; records in the order of
    // their time
    // (`id` is milliseconds since 1970 << 21, and a number); what dead processes may owe; how far each file was read.
    concat!(
        "CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
         CREATE TABLE scope (id INTEGER PRIMARY KEY, key INTEGER NOT NULL, owner INTEGER NOT NULL, team INTEGER NOT NULL,
             organisation INTEGER NOT NULL, agent INTEGER NOT NULL, provider INTEGER NOT NULL, model INTEGER NOT NULL,
             UNIQUE (key, owner, team, organisation, agent, provider, model));
         CREATE TABLE circle (id INTEGER PRIMARY KEY, team INTEGER NOT NULL, organisation INTEGER NOT NULL,
             agent INTEGER NOT NULL, provider INTEGER NOT NULL, model INTEGER NOT NULL,
             UNIQUE (team, organisation, agent, provider, model));
         CREATE TABLE manner (id INTEGER PRIMARY KEY, asked INTEGER NOT NULL, dialect INTEGER NOT NULL,
             credential INTEGER NOT NULL, prices INTEGER NOT NULL, class INTEGER NOT NULL,
             UNIQUE (asked, dialect, credential, prices, class));
         CREATE TABLE record (id INTEGER PRIMARY KEY, call INTEGER NOT NULL, scope INTEGER NOT NULL,
             manner INTEGER NOT NULL, session TEXT, user TEXT, input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
             cache_write INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL,
             reasoning INTEGER NOT NULL, more TEXT, cost INTEGER NOT NULL, status INTEGER NOT NULL,
             ended INTEGER NOT NULL, attempts INTEGER NOT NULL, latency INTEGER NOT NULL, first INTEGER,
             flags INTEGER NOT NULL);
         CREATE TABLE hourly (at INTEGER NOT NULL, scope INTEGER NOT NULL, ",
        sums!(),
        ", PRIMARY KEY (at, scope)) WITHOUT ROWID;
         CREATE TABLE daily (at INTEGER NOT NULL, scope INTEGER NOT NULL, ",
        sums!(),
        ", PRIMARY KEY (at, scope)) WITHOUT ROWID;
         CREATE TABLE daily_circle (at INTEGER NOT NULL, circle INTEGER NOT NULL, ",
        sums!(),
        ", PRIMARY KEY (at, circle)) WITHOUT ROWID;
         CREATE TABLE open (run TEXT NOT NULL, call INTEGER NOT NULL, at INTEGER NOT NULL, key INTEGER NOT NULL,
             owner INTEGER NOT NULL, team INTEGER NOT NULL, organisation INTEGER NOT NULL, agent INTEGER NOT NULL,
             dialect INTEGER NOT NULL, asked INTEGER NOT NULL, session TEXT, user TEXT, hold INTEGER NOT NULL,
             known INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
             PRIMARY KEY (run, call)) WITHOUT ROWID;
         CREATE TABLE segment (run TEXT NOT NULL, core INTEGER NOT NULL, sequence INTEGER NOT NULL,
             position INTEGER NOT NULL, PRIMARY KEY (run, core, sequence)) WITHOUT ROWID;"
    ),
];

/// Opens the database to be written, made where it is missing, brought to today's form. Its owner's alone (0600).
///
/// # Errors
/// As SQLite says; it is of a later version.
pub fn open(path: &Path) -> Result<Connection, Failure> {
    // SQLite gives the files beside it the same mode.
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(Failure::File)?;
    let mut database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    // A journal file is deleted once it is committed, so a commit must be on disk.
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update(None, "journal_size_limit", WAL)?;
    database.pragma_update(None, "cache_size", -16_384)?;
    database.set_prepared_statement_cache_capacity(64);
    upgrade(&mut database, STEPS.len())?;
    Ok(database)
}

/// Opens it to be read, beside a process that writes.
///
/// # Errors
/// It is not there, not a database, or not of today's form.
pub fn open_to_read(path: &Path) -> Result<Connection, Failure> {
    let database =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    database.busy_timeout(PATIENCE)?;
    let version = version(&database)?;
    if version == STEPS.len() { Ok(database) } else { Err(Failure::Version(version)) }
}

/// Takes the steps up to `to` that were not taken yet.
pub fn upgrade(database: &mut Connection, to: usize) -> Result<(), Failure> {
    let done = version(database)?;
    if done > to {
        return Err(Failure::Version(done));
    }
    if done == to {
        return Ok(());
    }
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it in the meantime.
    let done = version(&transaction)?;
    for step in STEPS.iter().take(to).skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(to).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(())
}

fn version(database: &Connection) -> Result<usize, Failure> {
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

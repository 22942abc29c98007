//! Texts and their combinations as numbers of the database.
//!
//! Invariant: a number that is remembered here is in the database; whoever rolls a transaction back forgets all of them. The
//! empty text is 0. Texts that come from requests (models) may not fill the table: beyond [`MOST`] they are `(other)`.

use foldhash::HashMap;
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::journal::frame::Local;
use crate::journal::segment::Segment;

/// Texts in the table, before those of requests are told apart no longer.
const MOST: i64 = 200_000;
/// Numbers that are remembered; then it begins anew.
const KEPT: usize = 200_000;

/// Who and where: everything that roll-ups are told apart by, as numbers of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub key: i64,
    pub owner: i64,
    pub team: i64,
    pub organisation: i64,
    pub agent: i64,
    pub provider: i64,
    pub model: i64,
}

/// How a call was made: what seldom differs from one to the next, as numbers of names, and the price class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Manner {
    pub asked: i64,
    pub dialect: i64,
    pub credential: i64,
    pub prices: i64,
    pub class: i64,
}

/// What the numbers of one file are in the database; 0: not asked yet.
#[derive(Debug, Default)]
pub struct Ids(Vec<i64>);

/// See the module.
#[derive(Debug, Default)]
pub struct Names {
    texts: HashMap<Box<str>, i64>,
    /// Scope -> its number, and its circle's.
    scopes: HashMap<Scope, (i64, i64)>,
    manners: HashMap<Manner, i64>,
}

impl Names {
    pub fn forget(&mut self) {
        self.texts.clear();
        self.scopes.clear();
        self.manners.clear();
    }

    /// The number of a name of the configuration, of an agent, and the like, by its number in a file.
    pub fn of(&mut self, database: &Connection, segment: &Segment, ids: &mut Ids, local: Local) -> Result<i64> {
        let at = local.0 as usize;
        if let Some(known) = ids.0.get(at).filter(|known| **known != 0) {
            return Ok(*known);
        }
        let text = segment.name(local);
        let id = self.number(database, text, false)?;
        // A text of the file's, so the list is no longer than the file's own.
        if !text.is_empty() {
            if ids.0.len() <= at {
                ids.0.resize(at + 1, 0);
            }
            if let Some(place) = ids.0.get_mut(at) {
                *place = id;
            }
        }
        Ok(id)
    }

    /// The number of what a request has brought.
    pub fn of_strange(&mut self, database: &Connection, text: &str) -> Result<i64> {
        self.number(database, text, true)
    }

    fn number(&mut self, database: &Connection, text: &str, strange: bool) -> Result<i64> {
        if text.is_empty() {
            return Ok(0);
        }
        if let Some(known) = self.texts.get(text) {
            return Ok(*known);
        }
        if self.texts.len() >= KEPT {
            self.texts.clear();
        }
        let mut find = database.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
        let id = match find.query_row([text], |row| row.get(0)).optional()? {
            Some(id) => id,
            None if strange && text != "(other)" && count(database)? >= MOST => {
                return self.number(database, "(other)", true);
            }
            None => {
                database.prepare_cached("INSERT INTO name (text) VALUES (?1)")?.execute([text])?;
                database.last_insert_rowid()
            }
        };
        self.texts.insert(text.into(), id);
        Ok(id)
    }

    /// The numbers of a scope and of its circle.
    pub fn scope(&mut self, database: &Connection, scope: Scope) -> Result<(i64, i64)> {
        if let Some(known) = self.scopes.get(&scope) {
            return Ok(*known);
        }
        if self.scopes.len() >= KEPT {
            self.scopes.clear();
        }
        let Scope { key, owner, team, organisation, agent, provider, model } = scope;
        let of_all = params![key, owner, team, organisation, agent, provider, model];
        database
            .prepare_cached(
                "INSERT OR IGNORE INTO scope (key, owner, team, organisation, agent, provider, model) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(of_all)?;
        let found = database
            .prepare_cached(
                "SELECT id FROM scope WHERE (key, owner, team, organisation, agent, provider, model) \
                 = (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .query_row(of_all, |row| row.get(0))?;
        let of_some = params![team, organisation, agent, provider, model];
        database
            .prepare_cached(
                "INSERT OR IGNORE INTO circle (team, organisation, agent, provider, model) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(of_some)?;
        let circle = database
            .prepare_cached(
                "SELECT id FROM circle WHERE (team, organisation, agent, provider, model) = (?1, ?2, ?3, ?4, ?5)",
            )?
            .query_row(of_some, |row| row.get(0))?;
        self.scopes.insert(scope, (found, circle));
        Ok((found, circle))
    }

    /// The number of a manner.
    pub fn manner(&mut self, database: &Connection, manner: Manner) -> Result<i64> {
        if let Some(known) = self.manners.get(&manner) {
            return Ok(*known);
        }
        if self.manners.len() >= KEPT {
            self.manners.clear();
        }
        let Manner { asked, dialect, credential, prices, class } = manner;
        let of_all = params![asked, dialect, credential, prices, class];
        database
            .prepare_cached(
                "INSERT OR IGNORE INTO manner (asked, dialect, credential, prices, class) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(of_all)?;
        let found = database
            .prepare_cached(
                "SELECT id FROM manner WHERE (asked, dialect, credential, prices, class) = (?1, ?2, ?3, ?4, ?5)",
            )?
            .query_row(of_all, |row| row.get(0))?;
        self.manners.insert(manner, found);
        Ok(found)
    }
}

fn count(database: &Connection) -> Result<i64> {
    // Names are never deleted, so the last number is how many there are.
    database.prepare_cached("SELECT coalesce(max(id), 0) FROM name")?.query_row([], |row| row.get(0))
}

//! One transaction: frames become records, roll-ups and open calls.
//!
//! Invariant: whatever a batch does, it does in one transaction, together with how far the files were read; so a frame counts
//! once, however often the process dies. A call that failed to begin leaves nothing.

use std::sync::LazyLock;

use foldhash::{HashMap, HashMapExt};
use rusqlite::{Connection, Result, Row, params};

use super::names::{Ids, Manner, Names, Scope};
use super::row::{self, Details, class};
use crate::journal::frame::{self, Frame, Local};
use crate::journal::segment::Segment;
use crate::ledger::record::{End, Final, Flags, Intent, Progress, Said};
use crate::money::Pico;
use crate::protocol::usage::Usage;

/// An hour and a day, in milliseconds.
pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 86_400_000;
/// A record's number is its time, shifted so far, and a number below.
pub const SHIFT: u32 = 21;

/// What a roll-up adds up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums(pub [i64; 15]);

/// The names of [`Sums`] in the database, in their order.
pub const COLUMNS: [&str; 15] = [
    "calls",
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "cost",
    "estimated",
    "estimated_cost",
    "unpriced",
    "interrupted",
    "failed",
    "failed_cost",
    "saved",
];

/// A call whose end was not seen yet, in numbers of the database.
#[derive(Debug, Clone)]
struct Open {
    at: i64,
    who: Scope,
    dialect: i64,
    asked: i64,
    session: Box<str>,
    user: Box<str>,
    hold: i64,
    known: i64,
    input: i64,
    output: i64,
}

/// A call that has begun in this batch.
enum Begun {
    /// The intent's frame, unread: most calls end before anybody asks.
    Frame(Box<[u8]>),
    /// In a file that has been left.
    Read(Box<Open>),
}

/// See the module.
pub struct Batch<'b> {
    database: &'b Connection,
    names: &'b mut Names,
    run: &'b str,
    /// Begun in this batch and still open, by call.
    open: HashMap<i64, Begun>,
    /// Of those, how many nobody has read.
    unread: usize,
    /// By hour and scope: the circle, and what there was.
    hourly: HashMap<(i64, i64), (i64, Sums)>,
    /// Records made.
    made: Vec<Details>,
    /// Of those, calls whose end nobody saw.
    interrupted: u64,
}

impl<'b> Batch<'b> {
    /// Of one run's files, in a transaction that has begun.
    pub fn new(database: &'b Connection, names: &'b mut Names, run: &'b str) -> Self {
        let (open, hourly, made) = (HashMap::new(), HashMap::new(), Vec::new());
        Self { database, names, run, open, unread: 0, made, hourly, interrupted: 0 }
    }

    /// What a frame of a file says, but for its head. Whether it is one.
    pub fn take(&mut self, segment: &Segment, ids: &mut Ids, body: &[u8]) -> Result<bool> {
        if let Some(call) = frame::begins(body) {
            self.unread += 1;
            self.open.insert(number(call), Begun::Frame(body.into()));
            return Ok(true);
        }
        let Some(frame) = frame::decode(body) else { return Ok(false) };
        match frame {
            Frame::Name(..) | Frame::Unknown(_) | Frame::Intent(_) => {}
            Frame::Progress(call, progress) => {
                self.leave(segment, ids)?;
                self.progress(call, progress)?;
            }
            Frame::Void(call) => self.close(call)?,
            // Never charged, whatever else is said of it.
            Frame::Attempt(record) => {
                self.record(segment, ids, &Final { flags: record.flags.and(Flags::FAILED_ATTEMPT), ..record })?;
            }
            Frame::Final(record) => {
                self.close(record.intent.call)?;
                self.record(segment, ids, &record)?;
            }
        }
        Ok(true)
    }

    /// Reads the intents of this file's calls that are still open: once it is left, nobody knows its names.
    pub fn leave(&mut self, segment: &Segment, ids: &mut Ids) -> Result<()> {
        if self.unread == 0 {
            return Ok(());
        }
        let mut open = std::mem::take(&mut self.open);
        for begun in open.values_mut() {
            let Begun::Frame(body) = begun else { continue };
            let Some(Frame::Intent(intent)) = frame::decode(body) else { continue };
            *begun = Begun::Read(Box::new(self.read(segment, ids, &intent)?));
        }
        open.retain(|_, begun| matches!(begun, Begun::Read(_)));
        (self.open, self.unread) = (open, 0);
        Ok(())
    }

    fn read(&mut self, segment: &Segment, ids: &mut Ids, intent: &Intent<'_, Local>) -> Result<Open> {
        Ok(Open {
            at: integer(intent.at),
            who: self.who(segment, ids, intent)?,
            dialect: self.said(segment, ids, intent.dialect)?,
            asked: self.names.of_strange(self.database, intent.asked)?,
            session: intent.session.into(),
            user: intent.user.into(),
            hold: money(intent.hold),
            known: money(intent.known),
            input: 0,
            output: 0,
        })
    }

    /// Who, without where.
    fn who(&mut self, segment: &Segment, ids: &mut Ids, intent: &Intent<'_, Local>) -> Result<Scope> {
        let mut of = |local| self.names.of(self.database, segment, ids, local);
        let Intent { key, owner, team, organisation, .. } = *intent;
        let (key, owner, team, organisation) = (of(key)?, of(owner)?, of(team)?, of(organisation)?);
        let agent = self.said(segment, ids, intent.agent)?;
        Ok(Scope { key, owner, team, organisation, agent, provider: 0, model: 0 })
    }

    fn said<T: Copy>(&mut self, segment: &Segment, ids: &mut Ids, said: Said<T, Local>) -> Result<i64> {
        match said {
            Said::Read(local) => self.names.of(self.database, segment, ids, local),
            Said::Here(_) => Ok(0),
        }
    }

    fn progress(&mut self, call: u64, progress: Progress) -> Result<()> {
        let Progress { cost, input, output } = progress;
        let (cost, input, output) = (money(cost), integer(input), integer(output));
        if let Some(Begun::Read(open)) = self.open.get_mut(&number(call)) {
            (open.known, open.input, open.output) = (cost, input, output);
            return Ok(());
        }
        self.database
            .prepare_cached("UPDATE open SET known = ?3, input = ?4, output = ?5 WHERE run = ?1 AND call = ?2")?
            .execute(params![self.run, number(call), cost, input, output])?;
        Ok(())
    }

    fn close(&mut self, call: u64) -> Result<()> {
        match self.open.remove(&number(call)) {
            Some(Begun::Frame(_)) => self.unread -= 1,
            Some(Begun::Read(_)) => {}
            None => {
                let mut delete = self.database.prepare_cached("DELETE FROM open WHERE run = ?1 AND call = ?2")?;
                delete.execute(params![self.run, number(call)])?;
            }
        }
        Ok(())
    }

    fn record(&mut self, segment: &Segment, ids: &mut Ids, record: &Final<'_, Local>) -> Result<()> {
        let intent = &record.intent;
        let mut who = self.who(segment, ids, intent)?;
        let asked = self.names.of_strange(self.database, intent.asked)?;
        who.provider = self.names.of(self.database, segment, ids, record.provider)?;
        who.model = match record.served {
            served if served.is_empty() || served == intent.asked => asked,
            served => self.names.of_strange(self.database, served)?,
        };
        let manner = Manner {
            asked,
            dialect: self.said(segment, ids, intent.dialect)?,
            credential: self.names.of(self.database, segment, ids, record.credential)?,
            prices: self.names.of(self.database, segment, ids, record.prices)?,
            class: class(&record.usage).into(),
        };
        self.insert(
            who,
            |scope| Details {
                call: number(intent.call),
                at: integer(intent.at),
                scope,
                manner: 0,
                session: intent.session.into(),
                user: intent.user.into(),
                usage: record.usage,
                cost: record.cost,
                status: record.status,
                end: record.end,
                attempts: record.attempts,
                latency: record.latency,
                first: record.first,
                flags: record.flags,
            },
            manner,
        )
    }

    fn insert(&mut self, who: Scope, record: impl FnOnce(i64) -> Details, manner: Manner) -> Result<()> {
        let (scope, circle) = self.names.scope(self.database, who)?;
        let record = Details { manner: self.names.manner(self.database, manner)?, ..record(scope) };
        let rolled = self.hourly.entry((record.at.div_euclid(HOUR), scope));
        rolled.or_insert((circle, Sums::default())).1.add(&record.sums());
        self.made.push(record);
        Ok(())
    }

    /// The run is over: what it left open was interrupted, at its last known cost.
    pub fn interrupt(&mut self) -> Result<()> {
        let mut calls: Vec<(i64, Open)> = Vec::new();
        for (call, begun) in std::mem::take(&mut self.open) {
            if let Begun::Read(open) = begun {
                calls.push((call, *open));
            }
        }
        let mut select = self.database.prepare_cached("SELECT * FROM open WHERE run = ?1")?;
        for open in select.query_map([self.run], opened)? {
            calls.push(open?);
        }
        self.database.prepare_cached("DELETE FROM open WHERE run = ?1")?.execute([self.run])?;
        for (call, open) in calls {
            let Open { at, mut who, dialect, asked, session, user, hold: _, known, input, output } = open;
            who.model = asked;
            let unsigned = |n: i64| u64::try_from(n).unwrap_or_default();
            let usage = Usage { input: unsigned(input), output: unsigned(output), ..Usage::default() };
            let manner = Manner { asked, dialect, credential: 0, prices: 0, class: 0 };
            self.insert(
                who,
                |scope| Details {
                    call,
                    at,
                    scope,
                    manner: 0,
                    session,
                    user,
                    usage,
                    cost: Pico::new(unsigned(known)),
                    status: 0,
                    end: End::Interrupted,
                    attempts: 0,
                    latency: 0,
                    first: None,
                    flags: Flags::INTERRUPTED.and(Flags::ESTIMATED),
                },
                manner,
            )?;
            self.interrupted += 1;
        }
        Ok(())
    }

    /// Writes what was gathered: records, roll-ups, and calls that are still open. Before the commit.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        row::keep(self.database, &mut self.made)?;
        for (call, begun) in &self.open {
            let Begun::Read(open) = begun else { continue };
            let Open { at, who, dialect, asked, session, user, hold, known, input, output } = &**open;
            self.database
                .prepare_cached(
                    "INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
                     ?15, ?16)",
                )?
                .execute(params![
                    self.run,
                    call,
                    at,
                    who.key,
                    who.owner,
                    who.team,
                    who.organisation,
                    who.agent,
                    dialect,
                    asked,
                    text(session),
                    text(user),
                    hold,
                    known,
                    input,
                    output,
                ])?;
        }
        let (mut daily, mut circles) = (HashMap::new(), HashMap::new());
        for ((hour, scope), (circle, sums)) in &self.hourly {
            let day = hour.div_euclid(DAY / HOUR);
            daily.entry((day, *scope)).or_insert_with(Sums::default).add(sums);
            circles.entry((day, *circle)).or_insert_with(Sums::default).add(sums);
        }
        roll(self.database, &HOURLY, self.hourly.iter().map(|(at, (_, sums))| (at, sums)))?;
        roll(self.database, &DAILY, daily.iter())?;
        roll(self.database, &CIRCLES, circles.iter())?;
        Ok((self.made.len() as u64, self.interrupted))
    }
}

static HOURLY: LazyLock<String> = LazyLock::new(|| adding("hourly", "scope"));
static DAILY: LazyLock<String> = LazyLock::new(|| adding("daily", "scope"));
static CIRCLES: LazyLock<String> = LazyLock::new(|| adding("daily_circle", "circle"));

/// The statement that adds to a roll-up.
fn adding(table: &str, what: &str) -> String {
    let added: Vec<String> = COLUMNS.iter().map(|name| format!("{name} = {name} + excluded.{name}")).collect();
    let places: Vec<String> = (1..=COLUMNS.len() + 2).map(|n| format!("?{n}")).collect();
    let (added, places) = (added.join(", "), places.join(", "));
    format!("INSERT INTO {table} VALUES ({places}) ON CONFLICT (at, {what}) DO UPDATE SET {added}")
}

fn roll<'s>(
    database: &Connection,
    adding: &str,
    rolled: impl Iterator<Item = (&'s (i64, i64), &'s Sums)>,
) -> Result<()> {
    let mut upsert = database.prepare_cached(adding)?;
    for ((at, id), Sums(sums)) in rolled {
        upsert.execute(rusqlite::params_from_iter([*at, *id].iter().chain(sums)))?;
    }
    Ok(())
}

impl Sums {
    fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }
}

fn opened(row: &Row<'_>) -> Result<(i64, Open)> {
    let who = Scope {
        key: row.get("key")?,
        owner: row.get("owner")?,
        team: row.get("team")?,
        organisation: row.get("organisation")?,
        agent: row.get("agent")?,
        provider: 0,
        model: 0,
    };
    let open = Open {
        at: row.get("at")?,
        who,
        dialect: row.get("dialect")?,
        asked: row.get("asked")?,
        session: row.get::<_, Option<String>>("session")?.unwrap_or_default().into(),
        user: row.get::<_, Option<String>>("user")?.unwrap_or_default().into(),
        hold: row.get("hold")?,
        known: row.get("known")?,
        input: row.get("input")?,
        output: row.get("output")?,
    };
    Ok((row.get("call")?, open))
}

pub(super) fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// SQLite's integers are signed; nothing that we count comes near.
pub(super) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn money(cost: Pico) -> i64 {
    integer(cost.pico())
}

/// A call's number: all its bits matter, and no order.
pub(super) const fn number(call: u64) -> i64 {
    call.cast_signed()
}

//! One transaction: frames become records, roll-ups and open calls.
//!
//! Invariant: whatever a batch does, it does in one transaction, together with how far the files were read; so a frame counts
//! once, however often the process dies. A call that failed to begin leaves nothing.

use std::collections::HashMap;

use rusqlite::{Connection, Result, Row, params};

use super::names::{Names, Scope};
use crate::journal::frame::{Frame, Local};
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

/// See the module.
pub struct Batch<'b> {
    database: &'b Connection,
    names: &'b mut Names,
    /// Begun in this batch and still open.
    open: HashMap<(Box<str>, i64), Open>,
    hourly: HashMap<(i64, i64), Sums>,
    daily: HashMap<(i64, i64), Sums>,
    circles: HashMap<(i64, i64), Sums>,
    /// Records made.
    pub records: u64,
    /// Of those, calls whose end nobody saw.
    pub interrupted: u64,
}

impl<'b> Batch<'b> {
    /// In a transaction that has begun.
    pub fn new(database: &'b Connection, names: &'b mut Names) -> Self {
        let (hourly, daily, circles) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { database, names, open: HashMap::new(), hourly, daily, circles, records: 0, interrupted: 0 }
    }

    /// A frame of a run's file.
    pub fn take(&mut self, run: &str, segment: &Segment, frame: Frame<'_>) -> Result<()> {
        match frame {
            Frame::Name(..) | Frame::Unknown(_) => Ok(()),
            Frame::Intent(intent) => self.begin(run, segment, &intent),
            Frame::Progress(call, progress) => self.progress(run, call, progress),
            Frame::Void(call) => self.close(run, call),
            // Never charged, whatever else is said of it.
            Frame::Attempt(record) => {
                self.record(segment, &Final { flags: record.flags.and(Flags::FAILED_ATTEMPT), ..record })
            }
            Frame::Final(record) => {
                self.close(run, record.intent.call)?;
                self.record(segment, &record)
            }
        }
    }

    fn begin(&mut self, run: &str, segment: &Segment, intent: &Intent<'_, Local>) -> Result<()> {
        let open = Open {
            at: integer(intent.at),
            who: self.who(segment, intent)?,
            dialect: self.said(segment, intent.dialect)?,
            asked: self.names.of_strange(self.database, intent.asked)?,
            session: intent.session.into(),
            user: intent.user.into(),
            hold: money(intent.hold),
            known: money(intent.known),
            input: 0,
            output: 0,
        };
        self.open.insert((run.into(), number(intent.call)), open);
        Ok(())
    }

    /// Who, without where.
    fn who(&mut self, segment: &Segment, intent: &Intent<'_, Local>) -> Result<Scope> {
        let mut of = |local| self.names.of(self.database, segment.name(local));
        let Intent { key, owner, team, organisation, .. } = *intent;
        let (key, owner, team, organisation) = (of(key)?, of(owner)?, of(team)?, of(organisation)?);
        let agent = self.said(segment, intent.agent)?;
        Ok(Scope { key, owner, team, organisation, agent, provider: 0, model: 0 })
    }

    fn said<T: Copy>(&mut self, segment: &Segment, said: Said<T, Local>) -> Result<i64> {
        match said {
            Said::Read(local) => self.names.of(self.database, segment.name(local)),
            Said::Here(_) => Ok(0),
        }
    }

    fn progress(&mut self, run: &str, call: u64, progress: Progress) -> Result<()> {
        let Progress { cost, input, output } = progress;
        let (cost, input, output) = (money(cost), integer(input), integer(output));
        if let Some(open) = self.open.get_mut(&(run.into(), number(call))) {
            (open.known, open.input, open.output) = (cost, input, output);
            return Ok(());
        }
        self.database
            .prepare_cached("UPDATE open SET known = ?3, input = ?4, output = ?5 WHERE run = ?1 AND call = ?2")?
            .execute(params![run, number(call), cost, input, output])?;
        Ok(())
    }

    fn close(&mut self, run: &str, call: u64) -> Result<()> {
        if self.open.remove(&(run.into(), number(call))).is_none() {
            let mut delete = self.database.prepare_cached("DELETE FROM open WHERE run = ?1 AND call = ?2")?;
            delete.execute(params![run, number(call)])?;
        }
        Ok(())
    }

    fn record(&mut self, segment: &Segment, record: &Final<'_, Local>) -> Result<()> {
        let intent = &record.intent;
        let mut who = self.who(segment, intent)?;
        who.provider = self.names.of(self.database, segment.name(record.provider))?;
        who.model = self
            .names
            .of_strange(self.database, if record.served.is_empty() { intent.asked } else { record.served })?;
        let details = Details {
            call: number(intent.call),
            at: integer(intent.at),
            asked: self.names.of_strange(self.database, intent.asked)?,
            dialect: self.said(segment, intent.dialect)?,
            credential: self.names.of(self.database, segment.name(record.credential))?,
            prices: self.names.of(self.database, segment.name(record.prices))?,
            session: intent.session,
            user: intent.user,
            usage: record.usage,
            cost: record.cost,
            status: record.status,
            end: record.end,
            attempts: record.attempts,
            latency: record.latency,
            first: record.first,
            flags: record.flags,
        };
        self.insert(who, &details)
    }

    fn insert(&mut self, who: Scope, record: &Details<'_>) -> Result<()> {
        let (scope, circle) = self.names.scope(self.database, who)?;
        self.keep(scope, record)?;
        let sums = record.sums();
        for (rolled, step, what) in
            [(&mut self.hourly, HOUR, scope), (&mut self.daily, DAY, scope), (&mut self.circles, DAY, circle)]
        {
            rolled.entry((record.at.div_euclid(step), what)).or_default().add(&sums);
        }
        self.records += 1;
        Ok(())
    }

    fn keep(&self, scope: i64, record: &Details<'_>) -> Result<()> {
        let Details { call, at, asked, dialect, credential, prices, usage, cost, .. } = *record;
        let Usage { input, cache_read, cache_write, cache_write_1h, output, reasoning, cache_write_12h, .. } = usage;
        let Usage { audio_input, audio_output, image_output, .. } = usage;
        let mut insert = self.database.prepare_cached(
            "INSERT OR IGNORE INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
             ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
        )?;
        // Two records of one millisecond may want one number: then the next free one.
        let mut id = at << SHIFT | call & ((1 << SHIFT) - 1);
        loop {
            let new = insert.execute(params![
                id,
                call,
                scope,
                asked,
                dialect,
                credential,
                prices,
                text(record.session),
                text(record.user),
                integer(input),
                integer(cache_read),
                integer(cache_write),
                integer(cache_write_1h),
                integer(output),
                integer(reasoning),
                integer(cache_write_12h),
                integer(audio_input),
                integer(audio_output),
                integer(image_output),
                tools(&usage),
                class(&usage),
                money(cost),
                record.status,
                record.end as u8,
                record.attempts,
                record.latency,
                record.first,
                record.flags.0,
            ])?;
            if new == 1 {
                return Ok(());
            }
            id = at << SHIFT | (id + 1) & ((1 << SHIFT) - 1);
        }
    }

    /// A run is over: what it left open was interrupted, at its last known cost.
    pub fn interrupt(&mut self, run: &str) -> Result<()> {
        let mut calls: Vec<(i64, Open)> = Vec::new();
        let here: Vec<_> = self.open.keys().filter(|(of, _)| &**of == run).cloned().collect();
        for key in here {
            calls.extend(self.open.remove(&key).map(|open| (key.1, open)));
        }
        let mut select = self.database.prepare_cached("SELECT * FROM open WHERE run = ?1")?;
        for open in select.query_map([run], opened)? {
            calls.push(open?);
        }
        self.database.prepare_cached("DELETE FROM open WHERE run = ?1")?.execute([run])?;
        for (call, open) in calls {
            let Open { at, mut who, dialect, asked, session, user, hold: _, known, input, output } = open;
            who.model = asked;
            let unsigned = |n: i64| u64::try_from(n).unwrap_or_default();
            let usage = Usage { input: unsigned(input), output: unsigned(output), ..Usage::default() };
            let details = Details {
                call,
                at,
                asked,
                dialect,
                credential: 0,
                prices: 0,
                session: &session,
                user: &user,
                usage,
                cost: Pico::new(unsigned(known)),
                status: 0,
                end: End::Interrupted,
                attempts: 0,
                latency: 0,
                first: None,
                flags: Flags::INTERRUPTED.and(Flags::ESTIMATED),
            };
            self.insert(who, &details)?;
            self.interrupted += 1;
        }
        Ok(())
    }

    /// Writes what was gathered: roll-ups, and calls that are still open. Before the commit.
    pub fn finish(self) -> Result<(u64, u64)> {
        for ((run, call), open) in &self.open {
            let Open { at, who, dialect, asked, session, user, hold, known, input, output } = open;
            self.database
                .prepare_cached(
                    "INSERT OR REPLACE INTO open VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
                     ?15, ?16)",
                )?
                .execute(params![
                    run,
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
        for (table, what, rolled) in [
            ("hourly", "scope", &self.hourly),
            ("daily", "scope", &self.daily),
            ("daily_circle", "circle", &self.circles),
        ] {
            let added: Vec<String> = COLUMNS.iter().map(|name| format!("{name} = {name} + excluded.{name}")).collect();
            let places: Vec<String> = (1..=COLUMNS.len() + 2).map(|n| format!("?{n}")).collect();
            let mut upsert = self.database.prepare_cached(&format!(
                "INSERT INTO {table} VALUES ({}) ON CONFLICT (at, {what}) DO UPDATE SET {}",
                places.join(", "),
                added.join(", ")
            ))?;
            for ((at, id), Sums(sums)) in rolled {
                upsert.execute(rusqlite::params_from_iter([*at, *id].iter().chain(sums)))?;
            }
        }
        Ok((self.records, self.interrupted))
    }
}

/// A record but for its scope, in numbers of the database.
struct Details<'d> {
    call: i64,
    at: i64,
    asked: i64,
    dialect: i64,
    credential: i64,
    prices: i64,
    session: &'d str,
    user: &'d str,
    usage: Usage,
    cost: Pico,
    status: u16,
    end: End,
    attempts: u16,
    latency: u32,
    first: Option<u32>,
    flags: Flags,
}

impl Details<'_> {
    fn sums(&self) -> Sums {
        let cost = money(self.cost);
        if self.flags.has(Flags::FAILED_ATTEMPT) {
            return Sums([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, cost, 0]);
        }
        let Usage { input, cache_read, cache_write, cache_write_1h, cache_write_12h, output, reasoning, .. } =
            self.usage;
        let is = |flag| i64::from(self.flags.has(flag));
        let (charged, saved) = if self.flags.has(Flags::CACHED) { (0, cost) } else { (cost, 0) };
        let estimated = is(Flags::ESTIMATED);
        Sums([
            1,
            integer(input),
            integer(cache_read),
            integer(cache_write.saturating_add(cache_write_12h)),
            integer(cache_write_1h),
            integer(output),
            integer(reasoning),
            charged,
            estimated,
            charged * estimated,
            is(Flags::UNPRICED),
            is(Flags::INTERRUPTED),
            0,
            0,
            saved,
        ])
    }
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

/// Uses of server tools, where there are any: few calls have some.
fn tools(usage: &Usage) -> Option<String> {
    let Usage { web_search, web_fetch, map_search, file_search, code_execution, image_generation, other_tools, .. } =
        *usage;
    let uses = [
        ("web_search", web_search),
        ("web_fetch", web_fetch),
        ("map_search", map_search),
        ("file_search", file_search),
        ("code_execution", code_execution),
        ("image_generation", image_generation),
        ("other", other_tools),
    ];
    let said: Vec<String> =
        uses.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name}={count}")).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// The price class: the tier, `+ 16` if fast, `+ 32` if in the US.
fn class(usage: &Usage) -> u8 {
    use crate::protocol::usage::Tier;
    let tier = match usage.tier {
        Tier::Unsaid => 0,
        Tier::Standard => 1,
        Tier::Batch => 2,
        Tier::Flex => 3,
        Tier::Priority => 4,
        Tier::Other => 5,
    };
    tier + 16 * u8::from(usage.fast) + 32 * u8::from(usage.us)
}

fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// SQLite's integers are signed; nothing that we count comes near.
fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn money(cost: Pico) -> i64 {
    integer(cost.pico())
}

/// A call's number: all its bits matter, and no order.
const fn number(call: u64) -> i64 {
    call.cast_signed()
}

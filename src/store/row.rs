//! One record into the table of records.
//!
//! Invariant: what a statement was given stays given until something else is, so a record costs the columns in which it
//! differs from the one before. Rows keep the order of their time: `id` is milliseconds since 1970 << [`SHIFT`], and a number.

use rusqlite::{CachedStatement, Connection, Result};

use super::batch::{SHIFT, Sums, integer, money, text};
use crate::ledger::record::{End, Flags};
use crate::money::Pico;
use crate::protocol::usage::Usage;

/// Columns of a record.
const COLUMNS: usize = 28;

/// A record but for its scope, in numbers of the database.
pub(super) struct Details<'d> {
    pub call: i64,
    pub at: i64,
    pub asked: i64,
    pub dialect: i64,
    pub credential: i64,
    pub prices: i64,
    pub session: &'d str,
    pub user: &'d str,
    pub usage: Usage,
    pub cost: Pico,
    pub status: u16,
    pub end: End,
    pub attempts: u16,
    pub latency: u32,
    pub first: Option<u32>,
    pub flags: Flags,
}

impl Details<'_> {
    /// What it adds to a roll-up.
    pub fn sums(&self) -> Sums {
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

/// Puts records into the database.
pub(super) struct Keeper<'b> {
    insert: CachedStatement<'b>,
    /// What the statement was given last, for each column that is a number.
    given: [Option<i64>; COLUMNS + 1],
    session: Given,
    user: Given,
    tools: Given,
}

/// A text that the statement was given last.
#[derive(Default)]
struct Given {
    known: bool,
    text: String,
}

impl<'b> Keeper<'b> {
    pub(super) fn new(database: &'b Connection) -> Result<Self> {
        let insert = database.prepare_cached(
            "INSERT OR IGNORE INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
             ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
        )?;
        let (session, user, tools) = (Given::default(), Given::default(), Given::default());
        Ok(Self { insert, given: [None; COLUMNS + 1], session, user, tools })
    }

    pub(super) fn keep(&mut self, scope: i64, record: &Details<'_>) -> Result<()> {
        let Details { call, at, asked, dialect, credential, prices, usage, cost, .. } = *record;
        let Usage { input, cache_read, cache_write, cache_write_1h, output, reasoning, cache_write_12h, .. } = usage;
        let Usage { audio_input, audio_output, image_output, .. } = usage;
        let numbers = [
            (2, call),
            (3, scope),
            (4, asked),
            (5, dialect),
            (6, credential),
            (7, prices),
            (10, integer(input)),
            (11, integer(cache_read)),
            (12, integer(cache_write)),
            (13, integer(cache_write_1h)),
            (14, integer(output)),
            (15, integer(reasoning)),
            (16, integer(cache_write_12h)),
            (17, integer(audio_input)),
            (18, integer(audio_output)),
            (19, integer(image_output)),
            (21, class(&usage).into()),
            (22, money(cost)),
            (23, record.status.into()),
            (24, i64::from(record.end as u8)),
            (25, record.attempts.into()),
            (26, record.latency.into()),
            (28, record.flags.0.into()),
        ];
        for (column, number) in numbers {
            self.give(column, number)?;
        }
        match record.first {
            Some(first) => self.give(27, first.into())?,
            None => {
                self.insert.raw_bind_parameter(27, None::<i64>)?;
                self.given[27] = None;
            }
        }
        self.session.give(&mut self.insert, 8, record.session)?;
        self.user.give(&mut self.insert, 9, record.user)?;
        self.tools.give(&mut self.insert, 20, &tools(&usage))?;
        // Two records of one millisecond may want one number: then the next free one.
        let mut id = at << SHIFT | call & ((1 << SHIFT) - 1);
        loop {
            self.insert.raw_bind_parameter(1, id)?;
            if self.insert.raw_execute()? == 1 {
                return Ok(());
            }
            id = at << SHIFT | (id + 1) & ((1 << SHIFT) - 1);
        }
    }

    fn give(&mut self, column: usize, number: i64) -> Result<()> {
        if let Some(given) = self.given.get_mut(column).filter(|given| **given != Some(number)) {
            self.insert.raw_bind_parameter(column, number)?;
            *given = Some(number);
        }
        Ok(())
    }
}

impl Given {
    /// Nothing for an empty text.
    fn give(&mut self, insert: &mut CachedStatement<'_>, column: usize, new: &str) -> Result<()> {
        if self.known && self.text == new {
            return Ok(());
        }
        insert.raw_bind_parameter(column, text(new))?;
        self.known = true;
        self.text.clear();
        self.text.push_str(new);
        Ok(())
    }
}

/// Uses of server tools, where there are any: few calls have some.
fn tools(usage: &Usage) -> String {
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
    said.join(" ")
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

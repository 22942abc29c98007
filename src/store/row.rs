//! Records into their table.
//!
//! Invariants: rows keep the order of their time, for `id` is milliseconds since 1970 << [`SHIFT`], and a number; those of one
//! batch go in sorted, so the table grows at its end. What a statement was given stays given until something else is: a record
//! costs the columns in which it differs from the one before.

use rusqlite::{CachedStatement, Connection, Result};

use super::batch::{SHIFT, Sums, integer, money, text};
use crate::ledger::record::{End, Flags};
use crate::money::Pico;
use crate::protocol::usage::Usage;

/// Columns of a record.
const COLUMNS: usize = 20;
/// Of a record's number, how many bits count the records of one millisecond and batch; those above tell batches apart.
const COUNTED: u32 = 11;
/// Odd, so that every number comes in turn, and large, so that it leaves a neighbourhood that is full.
const STRIDE: i64 = 1_299_709;

/// A record but for who and how, which are numbers of the database.
#[derive(Debug)]
pub(super) struct Details {
    pub call: i64,
    pub at: i64,
    pub scope: i64,
    pub manner: i64,
    pub session: Box<str>,
    pub user: Box<str>,
    pub usage: Usage,
    pub cost: Pico,
    pub status: u16,
    pub end: End,
    pub attempts: u16,
    pub latency: u32,
    pub first: Option<u32>,
    pub flags: Flags,
}

impl Details {
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

/// Puts a batch's records into the database.
pub(super) fn keep(database: &Connection, records: &mut [Details]) -> Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    let mine = first.call & ((1 << (SHIFT - COUNTED)) - 1);
    records.sort_by_key(|record| record.at);
    let mut keeper = Keeper::new(database)?;
    let mut counted = (i64::MIN, 0);
    for record in records {
        counted = if counted.0 == record.at { (record.at, counted.1 + 1) } else { (record.at, 0) };
        keeper.keep(mine << COUNTED | counted.1 & ((1 << COUNTED) - 1), record)?;
    }
    Ok(())
}

struct Keeper<'b> {
    insert: CachedStatement<'b>,
    /// What the statement was given last, for each column that is a number.
    given: [Option<i64>; COLUMNS + 1],
    session: Given,
    user: Given,
    more: Given,
}

/// A text that the statement was given last.
#[derive(Default)]
struct Given {
    known: bool,
    text: String,
}

impl<'b> Keeper<'b> {
    fn new(database: &'b Connection) -> Result<Self> {
        let insert = database.prepare_cached(
            "INSERT OR IGNORE INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
             ?17, ?18, ?19, ?20)",
        )?;
        let (session, user, more) = (Given::default(), Given::default(), Given::default());
        Ok(Self { insert, given: [None; COLUMNS + 1], session, user, more })
    }

    fn keep(&mut self, number: i64, record: &Details) -> Result<()> {
        let Usage { input, cache_read, cache_write, cache_write_1h, cache_write_12h, output, reasoning, .. } =
            record.usage;
        let numbers = [
            (2, record.call),
            (3, record.scope),
            (4, record.manner),
            (7, integer(input)),
            (8, integer(cache_read)),
            (9, integer(cache_write.saturating_add(cache_write_12h))),
            (10, integer(cache_write_1h)),
            (11, integer(output)),
            (12, integer(reasoning)),
            (14, money(record.cost)),
            (15, record.status.into()),
            (16, i64::from(record.end as u8)),
            (17, record.attempts.into()),
            (18, record.latency.into()),
            (20, record.flags.0.into()),
        ];
        for (column, number) in numbers {
            self.give(column, number)?;
        }
        match record.first {
            Some(first) => self.give(19, first.into())?,
            None => {
                self.insert.raw_bind_parameter(19, None::<i64>)?;
                self.given[19] = None;
            }
        }
        self.session.give(&mut self.insert, 5, &record.session)?;
        self.user.give(&mut self.insert, 6, &record.user)?;
        self.more.give(&mut self.insert, 13, &more(&record.usage))?;
        // Another batch may have had that number: then the next free one, by steps that reach them all.
        let mut number = number;
        loop {
            self.insert.raw_bind_parameter(1, record.at << SHIFT | number)?;
            if self.insert.raw_execute()? == 1 {
                return Ok(());
            }
            number = (number + STRIDE) & ((1 << SHIFT) - 1);
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

/// Kinds of tokens, and uses of server tools, that few calls have: `audio_input=12 web_search=1`. All are part of another
/// column's tokens, or none.
fn more(usage: &Usage) -> String {
    let Usage { cache_write_12h, audio_input, audio_output, image_output, .. } = *usage;
    let Usage { web_search, web_fetch, map_search, file_search, code_execution, image_generation, other_tools, .. } =
        *usage;
    let counts = [
        ("cache_write_12h", cache_write_12h),
        ("audio_input", audio_input),
        ("audio_output", audio_output),
        ("image_output", image_output),
        ("web_search", web_search.into()),
        ("web_fetch", web_fetch.into()),
        ("map_search", map_search.into()),
        ("file_search", file_search.into()),
        ("code_execution", code_execution.into()),
        ("image_generation", image_generation.into()),
        ("other", other_tools.into()),
    ];
    let mut text = String::new();
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        let space = if text.is_empty() { "" } else { " " };
        text.push_str(&format!("{space}{name}={count}"));
    }
    text
}

/// The price class: the tier, `+ 16` if fast, `+ 32` if in the US.
pub(super) fn class(usage: &Usage) -> u8 {
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

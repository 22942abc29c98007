//! What accounts have spent in a span of time: the numbers that budgets begin with after a start.
//!
//! Invariant: exact to the pico-dollar for any span within the retention of records: whole days and hours come from roll-ups,
//! the rest from the records themselves. A span's end is not part of it; the time of a call is when it was admitted. Attempts
//! that failed, and answers from a cache, cost an account nothing.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, params};

use super::Failure;
use super::batch::{DAY, HOUR, SHIFT};
use super::schema;
use crate::ledger::record::Flags;
use crate::money::Pico;

/// Whose account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// A virtual key's.
    Key,
    /// An owner's.
    Owner,
    /// A team's.
    Team,
    /// An organisation's.
    Organisation,
    /// An agent's within a team.
    AgentOfTeam,
}

impl Level {
    /// What it is told apart by.
    const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Key => ("key", "0"),
            Self::Owner => ("owner", "0"),
            Self::Team => ("team", "0"),
            Self::Organisation => ("organisation", "0"),
            Self::AgentOfTeam => ("team", "agent"),
        }
    }
}

/// Whose account: its name, and for [`Level::AgentOfTeam`] the agent's (else empty).
pub type Account = (Box<str>, Box<str>);

/// What every account of a level has spent from `from` to before `to` (milliseconds since 1970), one scan for all.
///
/// # Errors
/// The database is not there, or as SQLite says.
pub fn spent_by_all(database: &Path, level: Level, from: u64, to: u64) -> Result<BTreeMap<Account, Pico>, Failure> {
    let database = schema::open_to_read(database)?;
    all(&database, level, integer(from), integer(to))
}

/// What one account has spent; nothing if it is not known.
///
/// # Errors
/// As [`spent_by_all`].
pub fn spent(database: &Path, level: Level, name: &str, agent: &str, from: u64, to: u64) -> Result<Pico, Failure> {
    let all = spent_by_all(database, level, from, to)?;
    Ok(all.get(&(name.into(), agent.into())).copied().unwrap_or(Pico::ZERO))
}

fn all(database: &Connection, level: Level, from: i64, to: i64) -> Result<BTreeMap<Account, Pico>, Failure> {
    let (name, agent) = level.columns();
    let mut sums: BTreeMap<(i64, i64), u128> = BTreeMap::new();
    for (table, begin, end) in parts(from, to) {
        let (time, charged) = match table {
            // Nothing charged is left out, and what was not is.
            "record" => ("record.id", format!("WHERE flags & {} = 0", Flags::FAILED_ATTEMPT.and(Flags::CACHED).0)),
            _ => ("at", "WHERE 1".to_owned()),
        };
        // In two parts: a sum of pico-dollars may be more than SQLite's integers hold.
        let mut select = database.prepare(&format!(
            "SELECT {name}, {agent}, sum(cost / 1000000), sum(cost % 1000000) FROM {table} JOIN scope ON scope.id = scope \
             {charged} AND {time} >= ?1 AND {time} < ?2 GROUP BY 1, 2"
        ))?;
        let rows = select.query_map(params![begin, end], |row| {
            let (whole, rest): (i64, i64) = (row.get(2)?, row.get(3)?);
            Ok(((row.get(0)?, row.get(1)?), unsigned(whole) * 1_000_000 + unsigned(rest)))
        })?;
        for row in rows {
            let (account, cost) = row?;
            *sums.entry(account).or_default() += cost;
        }
    }
    let mut text = database.prepare("SELECT text FROM name WHERE id = ?1")?;
    let mut named = |id: i64| -> Result<Box<str>, Failure> {
        if id == 0 { Ok("".into()) } else { Ok(text.query_row([id], |row| row.get::<_, String>(0))?.into()) }
    };
    let mut found = BTreeMap::new();
    for ((name, agent), cost) in sums {
        let account = (named(name)?, named(agent)?);
        found.insert(account, Pico::new(u64::try_from(cost).unwrap_or(u64::MAX)));
    }
    Ok(found)
}

/// A span as parts of tables: whole days, whole hours beside them, and what is left at both ends. In each table's own units.
fn parts(from: i64, to: i64) -> Vec<(&'static str, i64, i64)> {
    let mut parts = Vec::new();
    if from >= to {
        return parts;
    }
    let (hours_from, hours_to) = (up(from, HOUR), to.div_euclid(HOUR));
    if hours_from >= hours_to {
        parts.push(("record", from << SHIFT, to << SHIFT));
        return parts;
    }
    parts.push(("record", from << SHIFT, (hours_from * HOUR) << SHIFT));
    parts.push(("record", (hours_to * HOUR) << SHIFT, to << SHIFT));
    let (days_from, days_to) = (up(from, DAY), to.div_euclid(DAY));
    if days_from >= days_to {
        parts.push(("hourly", hours_from, hours_to));
    } else {
        parts.push(("hourly", hours_from, days_from * 24));
        parts.push(("daily", days_from, days_to));
        parts.push(("hourly", days_to * 24, hours_to));
    }
    parts.retain(|(_, begin, end)| begin < end);
    parts
}

/// The first whole unit that begins at or after a time.
const fn up(time: i64, unit: i64) -> i64 {
    -((-time).div_euclid(unit))
}

/// Milliseconds, bounded so that a shift keeps them.
fn integer(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX).min(i64::MAX >> SHIFT)
}

fn unsigned(n: i64) -> u128 {
    u128::try_from(n).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_span_once() {
        for (from, to) in [
            (0, 1),
            (5, 5),
            (7, 3),
            (0, HOUR),
            (1, HOUR),
            (HOUR - 1, HOUR + 1),
            (1, 3 * HOUR),
            (0, DAY),
            (DAY - 1, 3 * DAY + 2 * HOUR + 7),
            (DAY + HOUR / 2, 40 * DAY + HOUR / 2),
        ] {
            let mut covered: Vec<(i64, i64)> = parts(from, to)
                .into_iter()
                .map(|(table, begin, end)| match table {
                    "record" => (begin >> SHIFT, end >> SHIFT),
                    "hourly" => (begin * HOUR, end * HOUR),
                    _ => (begin * DAY, end * DAY),
                })
                .collect();
            covered.sort_unstable();
            let mut at = from;
            for (begin, end) in covered {
                assert_eq!(begin, at, "{from}..{to}");
                at = end;
            }
            assert_eq!(at, to.max(from), "{from}..{to}");
        }
    }
}

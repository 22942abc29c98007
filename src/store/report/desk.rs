//! Answers what keys ask about themselves, on a thread of its own.
//!
//! Invariant: reads alone, beside the thread that writes; what is asked again within [`FRESH`] is answered from memory, so
//! whoever asks much costs little. A database that cannot be read answers nothing, and is opened anew for the next question.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tokio::sync::mpsc::Receiver;

use super::super::batch::DAY;
use super::super::{Failure, schema};
use crate::journal::desk::{Lately, Question, Used};
use crate::money::Pico;
use crate::telemetry::clock;

/// How long an answer is as good as new.
const FRESH: Duration = Duration::from_secs(1);
/// Answers that are remembered.
const MOST: usize = 1_024;
/// Days, with the present one.
const DAYS: i64 = 30;

/// Answers until nobody can ask any more.
///
/// # Errors
/// There can be no thread.
pub fn open(path: PathBuf, mut questions: Receiver<Question>) -> io::Result<()> {
    let mut clerk = Clerk { path, database: None, told: HashMap::new() };
    // Nobody waits for its end: it changes nothing.
    std::thread::Builder::new().name("usage-desk".to_owned()).spawn(move || {
        while let Some(Question { key, answer }) = questions.blocking_recv() {
            if answer.is_closed() {
                continue;
            }
            // Dropped, it is an answer too: nobody knows.
            if let Some(lately) = clerk.answer(&key) {
                let _ = answer.send(lately);
            }
        }
    })?;
    Ok(())
}

struct Clerk {
    path: PathBuf,
    database: Option<Connection>,
    told: HashMap<Arc<str>, (Instant, Lately)>,
}

impl Clerk {
    fn answer(&mut self, key: &Arc<str>) -> Option<Lately> {
        if let Some((at, lately)) = self.told.get(key)
            && at.elapsed() < FRESH
        {
            return Some(*lately);
        }
        let now = i64::try_from(clock::since_epoch().as_millis()).unwrap_or(i64::MAX);
        let lately = match self.ask(key, now.div_euclid(DAY)) {
            Ok(lately) => lately,
            Err(failure) => {
                self.database = None;
                tracing::debug!(%failure, "what a key has used cannot be read");
                return None;
            }
        };
        if self.told.len() >= MOST {
            self.told.clear();
        }
        self.told.insert(Arc::clone(key), (Instant::now(), lately));
        Some(lately)
    }

    fn ask(&mut self, key: &str, today: i64) -> Result<Lately, Failure> {
        let database = match &mut self.database {
            Some(database) => database,
            None => self.database.insert(schema::open_to_read(&self.path)?),
        };
        lately(database, key, today)
    }
}

/// Of one day, so that it is found by the whole of the table's key: a span of days would be read whole, with everybody in it.
/// Money in two parts: a sum of pico-dollars may be more than SQLite's integers hold.
const SELECT: &str = "SELECT sum(calls), sum(input), sum(cache_read), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning),
     sum(cost / 1000000), sum(cost % 1000000), sum(estimated_cost / 1000000), sum(estimated_cost % 1000000)
     FROM daily WHERE at = ?1
     AND scope IN (SELECT scope.id FROM scope JOIN name ON name.id = scope.key WHERE name.text = ?2)";

/// What a key has used up to a day, in days since 1970.
fn lately(database: &Connection, key: &str, today: i64) -> Result<Lately, Failure> {
    let mut lately = Lately { day: u64::try_from(today * (DAY / 1_000)).unwrap_or_default(), ..Lately::default() };
    let mut select = database.prepare_cached(SELECT)?;
    for day in today - DAYS + 1..=today {
        let used = select.query_row(params![day, key], |row| {
            // Of no rows the sum is nothing at all.
            let count = |n| Ok::<_, rusqlite::Error>(unsigned(row.get::<_, Option<i64>>(n)?.unwrap_or_default()));
            let money = |n| {
                Ok::<_, rusqlite::Error>(Pico::MICRO.saturating_mul(count(n)?).saturating_add(Pico::new(count(n + 1)?)))
            };
            Ok(Used {
                calls: count(0)?,
                input: count(1)?,
                cache_read: count(2)?,
                cache_write: count(3)?,
                cache_write_1h: count(4)?,
                output: count(5)?,
                reasoning: count(6)?,
                cost: money(7)?,
                estimated_cost: money(9)?,
            })
        })?;
        lately.thirty = plus(lately.thirty, used);
        if day == today {
            lately.today = used;
        }
    }
    Ok(lately)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

const fn plus(one: Used, other: Used) -> Used {
    Used {
        calls: one.calls + other.calls,
        input: one.input + other.input,
        cache_read: one.cache_read + other.cache_read,
        cache_write: one.cache_write + other.cache_write,
        cache_write_1h: one.cache_write_1h + other.cache_write_1h,
        output: one.output + other.output,
        reasoning: one.reasoning + other.reasoning,
        cost: one.cost.saturating_add(other.cost),
        estimated_cost: one.estimated_cost.saturating_add(other.estimated_cost),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TODAY: i64 = 20_000;

    fn database(dir: &Path) -> Connection {
        let database = schema::open(&dir.join("usage.db")).unwrap();
        database
            .execute_batch(
                "INSERT INTO name VALUES (1, 'mine'), (2, 'theirs');
                 INSERT INTO scope VALUES (1, 1, 0, 0, 0, 0, 0, 0), (2, 1, 0, 0, 0, 0, 0, 9), (3, 2, 0, 0, 0, 0, 0, 0);",
            )
            .unwrap();
        for (day, scope, calls, cost) in [
            (TODAY, 1, 1, 1_500_000),
            (TODAY, 2, 10, 7),
            (TODAY, 3, 100, 1),
            (TODAY - 29, 1, 1_000, i64::MAX),
            (TODAY - 29, 2, 1, i64::MAX),
            (TODAY - 30, 1, 10_000, 1),
            (TODAY + 1, 1, 100_000, 1),
        ] {
            database
                .execute(
                    "INSERT INTO daily VALUES (?1, ?2, ?3, 1, 2, 3, 4, 5, 6, ?4, 0, 8, 0, 0, 0, 0, 0)",
                    params![day, scope, calls, cost],
                )
                .unwrap();
        }
        database
    }

    #[test]
    fn a_keys_days_are_added_up_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(dir.path());
        let mine = lately(&database, "mine", TODAY).unwrap();
        assert_eq!(mine.day, 20_000 * 86_400);
        assert_eq!((mine.today.calls, mine.today.cost), (11, Pico::new(1_500_007)));
        let Used { input, cache_read, cache_write, cache_write_1h, output, reasoning, estimated_cost, .. } = mine.today;
        assert_eq!((input, cache_read, cache_write, cache_write_1h, output, reasoning), (2, 4, 6, 8, 10, 12));
        assert_eq!(estimated_cost, Pico::new(16));
        // Each row as much as a column holds: no sum wraps, or fails.
        assert_eq!((mine.thirty.calls, mine.thirty.cost), (1_012, Pico::MAX));
        assert_eq!(lately(&database, "nobody", TODAY).unwrap().thirty, Used::default());
    }

    /// Else a key that asks would read the days of all keys.
    #[test]
    fn each_day_is_found_by_the_whole_key_of_its_table() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(dir.path());
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {SELECT}")).unwrap();
        let steps: Vec<String> =
            plan.query_map(params![TODAY, "mine"], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(steps.iter().any(|step| step.contains("daily USING PRIMARY KEY (at=? AND scope=?)")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
    }
}

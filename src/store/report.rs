//! Usage, asked for: sums by whatever is asked, out of the smallest table that knows it.
//!
//! Invariant: all tables give the same sums, because each record is in all of them once. Spans of whole days need no more than
//! the daily roll-ups; only sessions, users and odd times are looked up in single records, as far back as those are kept.

pub mod desk;

use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::Failure;
use super::batch::{COLUMNS, DAY, HOUR, SHIFT};
use super::schema;

/// What usage is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The day, UTC.
    Day,
    /// The hour, UTC.
    Hour,
    /// The virtual key.
    Key,
    /// Whose key it is.
    Owner,
    /// The team.
    Team,
    /// The organisation.
    Organisation,
    /// The agent.
    Agent,
    /// Who answered.
    Provider,
    /// The model at the provider.
    Model,
    /// The conversation.
    Session,
    /// Whom it claims to come from.
    User,
}

impl By {
    /// Everything.
    pub const ALL: [Self; 11] = [
        Self::Day,
        Self::Hour,
        Self::Key,
        Self::Owner,
        Self::Team,
        Self::Organisation,
        Self::Agent,
        Self::Provider,
        Self::Model,
        Self::Session,
        Self::User,
    ];

    /// As it is asked for, and as its column is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Key => "key",
            Self::Owner => "owner",
            Self::Team => "team",
            Self::Organisation => "organisation",
            Self::Agent => "agent",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Session => "session",
            Self::User => "user",
        }
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Hour)
    }

    const fn is_text(self) -> bool {
        matches!(self, Self::Session | Self::User)
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Told apart by these, in this order; none: everything in one.
    pub by: Vec<By>,
    /// From this time on, in milliseconds since 1970.
    pub from: Option<i64>,
    /// Before this time.
    pub to: Option<i64>,
    /// Only what has these names; an empty one: what has none.
    pub only: Vec<(By, String)>,
}

/// What was used. Tokens as in [`crate::protocol::usage::Usage`]; money in pico-dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls.
    pub calls: u64,
    /// Neither from nor to a cache.
    pub input: u64,
    /// From a cache.
    pub cache_read: u64,
    /// To a cache, for any time but an hour.
    pub cache_write: u64,
    /// To a cache, for an hour.
    pub cache_write_1h: u64,
    /// Out of the model.
    pub output: u64,
    /// Of that, reasoning.
    pub reasoning: u64,
    /// Charged, estimates included.
    pub cost: u128,
    /// Calls whose tokens are estimated.
    pub estimated: u64,
    /// Of the cost, theirs.
    pub estimated_cost: u128,
    /// Calls of which something has no price.
    pub unpriced: u64,
    /// Calls whose end nobody saw.
    pub interrupted: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// What they cost; not charged.
    pub failed_cost: u128,
    /// What answers from a cache would have cost.
    pub saved: u128,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The names or times of what was asked for, in that order; empty where there is none.
    pub of: Vec<String>,
    /// The sums.
    pub totals: Totals,
}

/// What keeps a question from an answer.
#[derive(Debug)]
pub enum Wrong {
    /// The database.
    Failure(Failure),
    /// Nothing was ever used by somebody or something of that name.
    Unknown(By, String),
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failure(error.into())
    }
}

/// Asks the database, beside whoever writes it. Times in their order, then the dearest first.
///
/// # Errors
/// See [`Wrong`].
pub fn ask(database: &Path, query: &Query) -> Result<Vec<Line>, Wrong> {
    let database = schema::open_to_read(database).map_err(Wrong::Failure)?;
    answer(&database, query)
}

fn answer(database: &Connection, query: &Query) -> Result<Vec<Line>, Wrong> {
    let source = Source::of(query);
    let mut conditions = vec!["1".to_owned()];
    let mut values = Vec::new();
    for (by, name) in &query.only {
        let value = if by.is_text() {
            if name.is_empty() { Value::Null } else { name.clone().into() }
        } else {
            let mut find = database.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
            let id: Option<i64> =
                if name.is_empty() { Some(0) } else { find.query_row([name], |row| row.get(0)).optional()? };
            id.ok_or_else(|| Wrong::Unknown(*by, name.clone()))?.into()
        };
        values.push(value);
        conditions.push(format!("{} IS ?{}", by.name(), values.len()));
    }
    let mut columns: Vec<String> = query.by.iter().map(|by| source.column(*by)).collect();
    let groups: Vec<String> = (1..=columns.len()).map(|n| n.to_string()).collect();
    for name in COLUMNS {
        // Money may be more than SQLite's integers hold: summed in two parts.
        if is_money(name) {
            columns.extend([format!("sum({name} / {PART})"), format!("sum({name} % {PART})")]);
        } else {
            columns.push(format!("sum({name})"));
        }
    }
    let group = if groups.is_empty() { String::new() } else { format!("GROUP BY {}", groups.join(", ")) };
    let sql =
        format!("SELECT {} FROM {} WHERE {} {group}", columns.join(", "), source.from(query), conditions.join(" AND "));
    let mut select = database.prepare(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut lines: Vec<(Vec<i64>, Line)> = Vec::new();
    let mut names = Names::default();
    while let Some(row) = rows.next()? {
        let (mut of, mut times) = (Vec::new(), Vec::new());
        for (at, by) in query.by.iter().enumerate() {
            of.push(match row.get_ref(at)? {
                ValueRef::Integer(time) if by.is_time() => {
                    times.push(time);
                    moment(*by, time)
                }
                ValueRef::Integer(id) => names.text(database, id)?,
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                _ => String::new(),
            });
        }
        let mut at = query.by.len();
        let mut part = || -> rusqlite::Result<u128> {
            let part = row.get::<_, Option<i64>>(at)?.unwrap_or_default();
            at += 1;
            Ok(u128::try_from(part).unwrap_or_default())
        };
        let mut sums = [0_u128; COLUMNS.len()];
        for (sum, name) in sums.iter_mut().zip(COLUMNS) {
            *sum = if is_money(name) { part()? * PART + part()? } else { part()? };
        }
        lines.push((times, Line { of, totals: Totals::of(&sums) }));
    }
    lines.retain(|(_, line)| line.totals != Totals::default());
    lines.sort_by(|(a, one), (b, other)| {
        a.cmp(b).then(other.totals.cost.cmp(&one.totals.cost)).then_with(|| one.of.cmp(&other.of))
    });
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// Money is summed in whole ones of this, and what is left.
const PART: u128 = 1_000_000;

fn is_money(column: &str) -> bool {
    matches!(column, "cost" | "estimated_cost" | "failed_cost" | "saved")
}

impl Totals {
    fn of(sums: &[u128; COLUMNS.len()]) -> Self {
        let [calls, input, cache_read, cache_write, cache_write_1h, output, reasoning, ..] = *sums;
        let [.., cost, estimated, estimated_cost, unpriced, interrupted, failed, failed_cost, saved] = *sums;
        let count = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        Self {
            calls: count(calls),
            input: count(input),
            cache_read: count(cache_read),
            cache_write: count(cache_write),
            cache_write_1h: count(cache_write_1h),
            output: count(output),
            reasoning: count(reasoning),
            cost,
            estimated: count(estimated),
            estimated_cost,
            unpriced: count(unpriced),
            interrupted: count(interrupted),
            failed: count(failed),
            failed_cost,
            saved,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: &Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            input: self.input + other.input,
            cache_read: self.cache_read + other.cache_read,
            cache_write: self.cache_write + other.cache_write,
            cache_write_1h: self.cache_write_1h + other.cache_write_1h,
            output: self.output + other.output,
            reasoning: self.reasoning + other.reasoning,
            cost: self.cost + other.cost,
            estimated: self.estimated + other.estimated,
            estimated_cost: self.estimated_cost + other.estimated_cost,
            unpriced: self.unpriced + other.unpriced,
            interrupted: self.interrupted + other.interrupted,
            failed: self.failed + other.failed,
            failed_cost: self.failed_cost + other.failed_cost,
            saved: self.saved + other.saved,
        }
    }
}

/// The smallest table that knows all that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    DailyCircle,
    Daily,
    Hourly,
    Records,
}

impl Source {
    fn of(query: &Query) -> Self {
        let asks =
            |by: &[By]| query.by.iter().chain(query.only.iter().map(|(by, _)| by)).any(|asked| by.contains(asked));
        let whole = |unit| [query.from, query.to].into_iter().flatten().all(|time| time % unit == 0);
        if asks(&[By::Session, By::User]) || !whole(HOUR) {
            Self::Records
        } else if asks(&[By::Hour]) || !whole(DAY) {
            Self::Hourly
        } else if asks(&[By::Key, By::Owner]) {
            Self::Daily
        } else {
            Self::DailyCircle
        }
    }

    /// Of one row's time, in milliseconds.
    const fn unit(self) -> i64 {
        match self {
            Self::DailyCircle | Self::Daily => DAY,
            Self::Hourly => HOUR,
            Self::Records => 1,
        }
    }

    fn column(self, by: By) -> String {
        match by {
            By::Day => format!("at / {}", DAY / self.unit()),
            By::Hour => format!("at / {}", (HOUR / self.unit()).max(1)),
            by => by.name().to_owned(),
        }
    }

    fn from(self, query: &Query) -> String {
        let bound = |time: Option<i64>| time.map(|time| time.div_euclid(self.unit()));
        let (from, to) = (bound(query.from), bound(query.to));
        let within = |column: &str, shift: u32| {
            let from = from.map(|from| format!("{column} >= {}", from << shift));
            let to = to.map(|to| format!("{column} < {}", to << shift));
            let both: Vec<String> = from.into_iter().chain(to).collect();
            if both.is_empty() { "1".to_owned() } else { both.join(" AND ") }
        };
        match self {
            Self::DailyCircle => {
                format!("(SELECT * FROM daily_circle JOIN circle ON circle.id = circle WHERE {})", within("at", 0))
            }
            Self::Daily => format!("(SELECT * FROM daily JOIN scope ON scope.id = scope WHERE {})", within("at", 0)),
            Self::Hourly => format!("(SELECT * FROM hourly JOIN scope ON scope.id = scope WHERE {})", within("at", 0)),
            Self::Records => {
                let mut sums = String::new();
                for (name, sum) in COLUMNS.iter().zip(OF_RECORD) {
                    sums.push_str(&format!(", {sum} AS {name}"));
                }
                format!(
                    "(SELECT record.id >> {SHIFT} AS at, session, user, key, owner, team, organisation, agent, provider, \
                     model {sums} FROM record JOIN scope ON scope.id = scope WHERE {})",
                    within("record.id", SHIFT)
                )
            }
        }
    }
}

/// Of a single record, what a roll-up adds up. Flags: 1 estimated, 2 interrupted, 4 unpriced, 16 a failed attempt, 32 cached.
const OF_RECORD: [&str; COLUMNS.len()] = [
    "(flags & 16 = 0)",
    "(flags & 16 = 0) * input",
    "(flags & 16 = 0) * cache_read",
    "(flags & 16 = 0) * cache_write",
    "(flags & 16 = 0) * cache_write_1h",
    "(flags & 16 = 0) * output",
    "(flags & 16 = 0) * reasoning",
    "(flags & 48 = 0) * cost",
    "(flags & 17 = 1)",
    "(flags & 49 = 1) * cost",
    "(flags & 20 = 4)",
    "(flags & 18 = 2)",
    "(flags & 16 = 16)",
    "(flags & 16 = 16) * cost",
    "(flags & 48 = 32) * cost",
];

/// A day or an hour since 1970, as it is written.
fn moment(by: By, time: i64) -> String {
    let seconds = time.saturating_mul(if by == By::Day { DAY } else { HOUR } / 1000);
    let Ok(at) = jiff::Timestamp::from_second(seconds) else { return time.to_string() };
    let text = at.to_string();
    match by {
        By::Day => text.split('T').next().unwrap_or_default().to_owned(),
        _ => text.replace(":00:00Z", ":00Z"),
    }
}

/// Names by their numbers, looked up once.
#[derive(Default)]
struct Names(std::collections::HashMap<i64, String>);

impl Names {
    fn text(&mut self, database: &Connection, id: i64) -> rusqlite::Result<String> {
        if id == 0 {
            return Ok(String::new());
        }
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let mut find = database.prepare_cached("SELECT text FROM name WHERE id = ?1")?;
        let text: String = find.query_row([id], |row| row.get(0)).optional()?.unwrap_or_default();
        self.0.insert(id, text.clone());
        Ok(text)
    }
}

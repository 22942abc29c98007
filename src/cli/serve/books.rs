//! Where usage is kept while the gateway runs: the journal of every core, the store behind it, and what budgets begin with.
//!
//! Invariant: what dead processes left is in the store before a budget is told its past, and a budget is told it before the
//! first request. A store that cannot be read leaves budgets at zero and is said loudly: nobody is refused for a past that
//! nobody knows.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::config::startup;
use crate::error::limit::{Level, Period};
use crate::journal::health::Health;
use crate::journal::{self, Journal};
use crate::ledger::Ledger;
use crate::ledger::account::Account;
use crate::money::Pico;
use crate::snapshot::charter::Fresh;
use crate::snapshot::live::{Live, Past};
use crate::store::report::desk;
use crate::store::{self, Store, sums};
use crate::telemetry::clock;

/// Parts in which the past of a rolling budget is told, as many as it has slots.
const PARTS: u64 = 60;

/// See the module.
#[derive(Debug)]
pub struct Books {
    journal: Option<(Arc<Journal>, Option<Store>)>,
}

impl Books {
    /// Opens both, takes in what dead processes left, and tells budgets their past.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(settings: &startup::Ledger, cores: usize, live: &Live) -> std::io::Result<Self> {
        let Some(folder) = &settings.journal else {
            warn!("there is no place to keep usage: set state.directory or ledger.path, or it ends with this process");
            return Ok(Self { journal: None });
        };
        let usual = journal::Settings::new(folder.clone());
        let chosen = journal::Settings { max: settings.journal_max, on_full: settings.on_full, ..usual };
        let journal = Arc::new(Journal::start(chosen, cores)?);
        let Some(path) = &settings.database else { return Ok(Self { journal: Some((journal, None)) }) };
        let kept = store::Settings { path: path.clone(), retention: settings.retention };
        let store = Store::start(kept, &journal)?;
        if let Some(questions) = journal.questions() {
            desk::open(path.clone(), questions)?;
        }
        live.remember(Box::new(Told { database: path.clone(), ledger: Arc::clone(live.ledger()) }));
        Ok(Self { journal: Some((journal, Some(store))) })
    }

    /// For the cores.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref().map(|(journal, _)| &**journal)
    }

    /// How they are doing.
    pub fn health(&self) -> Option<Arc<Health>> {
        self.journal().map(|journal| Arc::clone(journal.health()))
    }

    /// The cores have ended: what they wrote is taken in.
    pub fn finish(self) {
        if let Some((journal, store)) = self.journal {
            journal.finish();
            if let Some(store) = store {
                store.finish();
            }
        }
    }
}

/// What the store knows of the past.
#[derive(Debug)]
struct Told {
    database: std::path::PathBuf,
    ledger: Arc<Ledger>,
}

impl Past for Told {
    fn tell(&self, fresh: &[Fresh]) {
        let mut asked = Asked { database: &self.database, now: clock::since_epoch().as_secs(), sums: HashMap::new() };
        for (account, period) in fresh {
            let standing = account.budgets(self.ledger.at(Instant::now(), Duration::from_secs(asked.now)));
            let Some(state) = standing.into_iter().find(|state| state.period == *period) else { continue };
            if let Err(failure) = asked.tell(account, *period, state.begin) {
                let (level, name) = (account.level().label(), &**account.name());
                error!(%failure, level, name, "what budgets have spent before cannot be read; this and others begin at zero");
                return;
            }
        }
    }
}

/// What the database was asked: there may be a hundred thousand budgets, and each sum is one scan for all of a level.
struct Asked<'t> {
    database: &'t Path,
    now: u64,
    sums: HashMap<(sums::Level, u64, u64), BTreeMap<sums::Account, Pico>>,
}

impl Asked<'_> {
    fn tell(&mut self, account: &Account, period: Period, begin: Option<i64>) -> Result<(), store::Failure> {
        let now = self.now;
        let begin = begin.and_then(|begin| u64::try_from(begin).ok()).unwrap_or_default();
        let (begin, part) = match period {
            Period::Rolling(length) => (now.saturating_sub(length), length.div_ceil(PARTS).max(1)),
            Period::Day | Period::Week | Period::Month | Period::Total => (begin, u64::MAX),
        };
        let mut from = begin;
        while from <= now {
            let to = from.saturating_add(part).min(now + 1);
            let cost = self.spent(account, from, to)?;
            if !cost.is_zero() {
                // At the end of the part: it is forgotten later rather than sooner.
                account.restore(period, i64::try_from(to - 1).unwrap_or(i64::MAX), cost);
            }
            from = to;
        }
        Ok(())
    }

    fn spent(&mut self, account: &Account, from: u64, to: u64) -> Result<Pico, store::Failure> {
        let name = &**account.name();
        let (level, name, agent) = match account.level() {
            Level::Key => (sums::Level::Key, name, ""),
            Level::Owner => (sums::Level::Owner, name, ""),
            Level::Team => (sums::Level::Team, name, ""),
            Level::Organisation => (sums::Level::Organisation, name, ""),
            Level::Agent => {
                let (team, agent) = name.rsplit_once('/').unwrap_or((name, ""));
                (sums::Level::AgentOfTeam, team, agent)
            }
            Level::Model => {
                warn!(model = name, "the store sums up no models: this budget begins at zero at every start");
                return Ok(Pico::ZERO);
            }
        };
        let known = match self.sums.entry((level, from, to)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let millis = |seconds: u64| seconds.saturating_mul(1_000);
                new.insert(sums::spent_by_all(self.database, level, millis(from), millis(to))?)
            }
        };
        Ok(known.get(&(name.into(), agent.into())).copied().unwrap_or(Pico::ZERO))
    }
}

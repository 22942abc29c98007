//! Every metric family, in one list.
//!
//! Invariant: a label is a closed enum or a name from the configuration, never text of a request. Each core counts in cells
//! of its own, which nobody else writes; a scrape adds them up. The cells of a target are bound when the rules are compiled
//! and live as long as the process, so a reload resets nothing.

pub(super) mod render;
mod spend;

pub use render::write_labels as labels;
pub use spend::{Spender, Spenders, Spent};

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::agent::Agent;
use crate::error::Kind;
use crate::error::limit::{Level, LimitError, Measure};
use crate::field;
use crate::money::Pico;
use crate::protocol::Dialect;
use crate::protocol::unmetered::{Operation, SERVICE_COUNT, service};
use crate::protocol::usage::Usage;
use crate::telemetry::access_log::Written;
use crate::telemetry::histogram::{Histogram, Ours, Scale};

/// Targets that get series of their own; what a reload adds beyond counts under `other`.
const MAX_ROUTES: usize = 10_000;
const VOICES: usize = Agent::ALL.len() * Dialect::ALL.len();

/// The kinds of tokens, as labels, in the order of [`Cells::tokens`].
pub const TOKEN_KINDS: [&str; 6] = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"];
/// How an answer ended, as labels, in the order of [`Cells::outcomes`].
pub const OUTCOMES: [&str; 6] =
    ["complete", "client_left", "upstream_cut", "upstream_idle", "unfinished", "budget_cut"];
/// What may be bounded, as labels: the measures of limits, then money.
const BOUNDS: [&str; Measure::ALL.len() + 1] = {
    let mut labels = ["budget"; Measure::ALL.len() + 1];
    let mut n = 0;
    while n < Measure::ALL.len() {
        labels[n] = Measure::ALL[n].label();
        n += 1;
    }
    labels
};
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All families of this process.
#[derive(Debug)]
pub struct Metrics {
    routes: Mutex<Vec<Arc<RouteSeries>>>,
    limited: Mutex<Vec<(Arc<str>, Arc<AtomicU64>)>>,
    unmetered: Mutex<Vec<Arc<UnmeteredSeries>>>,
    teams: Spenders,
    owners: Spenders,
    cores: Box<[CoreCells]>,
    /// The reload families.
    pub reload: Reload,
    /// Files that the process may have open; 0 until it is known.
    pub open_files_limit: AtomicU64,
    /// The ids that providers made.
    pub owned: OwnedIds,
    /// Who is told that a budget is nearly spent.
    pub webhooks: Webhooks,
}

/// What is counted of the messages to a webhook; a message is in one of the first four.
#[derive(Debug, Default)]
pub struct Webhooks {
    /// Neither delivered nor given up.
    pub pending: AtomicI64,
    /// Taken by the receiver.
    pub delivered: AtomicU64,
    /// Not taken, however often.
    pub failed: AtomicU64,
    /// Never sent, or not to the end: no room, nobody to send it to, or the process ended.
    pub dropped: AtomicU64,
    /// Attempts that the receiver did not take.
    pub attempts_failed: AtomicU64,
}

/// What is counted of the ids that providers made.
#[derive(Debug, Default)]
pub struct OwnedIds {
    /// Ids that are known.
    pub known: AtomicU64,
    /// Times that their file could not be read or written.
    pub failures: AtomicU64,
}

/// The calls of one team that were passed on without being counted. One for all cores: they are few.
#[derive(Debug)]
pub struct UnmeteredSeries {
    /// Label; empty for keys without a team.
    team: Arc<str>,
    calls: [[AtomicU64; SERVICE_COUNT]; Agent::ALL.len()],
}

impl UnmeteredSeries {
    /// One more.
    pub fn count(&self, agent: Agent, operation: Operation) {
        self.calls[agent.index()][operation.service()].fetch_add(1, Relaxed);
    }
}

/// What the config watcher reports.
#[derive(Debug, Default)]
pub struct Reload {
    /// Generation of the rules in force.
    pub generation: AtomicU64,
    /// Reloads that published.
    pub succeeded: AtomicU64,
    /// Reloads that kept the old rules.
    pub failed: AtomicU64,
    /// Seconds since 1970 of the last publication.
    pub last_success: AtomicU64,
}

/// What a core counts whatever the target.
#[repr(align(128))]
#[derive(Debug)]
pub struct CoreCells {
    /// Connections of clients that are open.
    pub connections: AtomicI64,
    /// Connections of clients accepted.
    pub accepted: AtomicU64,
    /// Connections of clients on which no TLS was agreed.
    pub handshakes_failed: AtomicU64,
    /// Requests under way.
    pub in_flight: AtomicI64,
    /// Connections opened to providers.
    pub upstream_connects: AtomicU64,
    /// Calls that travelled on a connection that had served before.
    pub upstream_reuses: AtomicU64,
    /// Connections to providers that are idle.
    pub upstream_idle: AtomicI64,
    /// Lines of the access log that found no room.
    pub log_dropped: AtomicU64,
    /// Calls that are not settled yet.
    pub debts: AtomicI64,
    /// Calls that were settled by an answer, to its end or not.
    pub settled: AtomicU64,
    /// Calls that were settled without one: every target failed, or the client left before.
    pub interrupted: AtomicU64,
    /// Money by which caps of budgets were passed, in pico-dollars.
    pub overshoot: AtomicU64,
    /// Budgets of which a warning was due.
    pub budget_warnings: AtomicU64,
    refusals: [[AtomicU64; Agent::ALL.len()]; Kind::ALL.len()],
    /// By what is bounded, with budgets last.
    limited: [[AtomicU64; BOUNDS.len()]; Level::ALL.len()],
}

/// The counters of one target: provider and configured model name.
#[derive(Debug)]
pub struct RouteSeries {
    /// Label.
    pub provider: Arc<str>,
    /// Label.
    pub model: Arc<str>,
    /// Both, as the access log has them.
    pub recorded: Written,
    cores: usize,
    // By agent and dialect; most pairs never occur, so they cost nothing until they do.
    voices: [OnceLock<Box<[Cells]>>; VOICES],
}

/// What one core counts for one target, agent and dialect.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Cells {
    /// Answers by class of status, 1xx to 5xx.
    pub requests: [AtomicU64; 5],
    /// Answers by how they ended.
    pub outcomes: [AtomicU64; OUTCOMES.len()],
    /// Attempts that brought no answer.
    pub failed_attempts: AtomicU64,
    /// Tokens by kind.
    pub tokens: [AtomicU64; TOKEN_KINDS.len()],
    /// Answers of status 200 whose provider did not say how many tokens they were.
    pub unmetered: AtomicU64,
    /// What they cost, in pico-dollars.
    pub cost: AtomicU64,
    /// Answers whose usage is our estimate.
    pub estimated: AtomicU64,
    /// Answers of which something has no price.
    pub unpriced: AtomicU64,
    /// What of it was ours: from a request's last byte to its sending, and answers held back.
    pub overhead: Histogram<Ours>,
    /// From a request's head to its answer's first content.
    pub first_content: Histogram,
    /// From a request's head to its answer's end.
    pub duration: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Metrics {
    /// For so many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let cores = (0..cores.max(1)).map(|_| CoreCells::default()).collect();
        Self {
            routes: Mutex::default(),
            limited: Mutex::default(),
            unmetered: Mutex::default(),
            teams: Spenders::default(),
            owners: Spenders::default(),
            cores,
            reload: Reload::default(),
            open_files_limit: AtomicU64::new(0),
            owned: OwnedIds::default(),
            webhooks: Webhooks::default(),
        }
    }

    /// What a core counts whatever the target.
    #[must_use]
    pub fn core(&self, core: usize) -> &CoreCells {
        &self.cores[core % self.cores.len()]
    }

    /// The counters of a target; the same ones for the same labels, so that a reload does not reset them.
    #[must_use]
    pub fn route(&self, provider: &Arc<str>, model: &Arc<str>) -> Arc<RouteSeries> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.iter().find(|r| r.provider == *provider && r.model == *model) {
            return Arc::clone(known);
        }
        let other = || -> Arc<str> { Arc::from("other") };
        let (provider, model) = match routes.len() {
            ..MAX_ROUTES => (Arc::clone(provider), Arc::clone(model)),
            MAX_ROUTES => (other(), other()),
            _ => return Arc::clone(&routes[MAX_ROUTES]),
        };
        let voices = [const { OnceLock::new() }; VOICES];
        let recorded = Written::texts([(field!("provider"), Some(&*provider)), (field!("route"), Some(&*model))]);
        let series = Arc::new(RouteSeries { provider, model, recorded, cores: self.cores.len(), voices });
        routes.push(Arc::clone(&series));
        series
    }

    /// Calls under way at a provider whose number is limited; the same counter for the same name.
    #[must_use]
    pub fn calls_at(&self, provider: &Arc<str>) -> Arc<AtomicU64> {
        let mut limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, calls)) = limited.iter().find(|(name, _)| name == provider) {
            return Arc::clone(calls);
        }
        let calls = Arc::<AtomicU64>::default();
        // Beyond the bound it still limits; it is only not shown, and forgets at a reload.
        if limited.len() < MAX_ROUTES {
            limited.push((Arc::clone(provider), Arc::clone(&calls)));
        }
        calls
    }

    /// The unmetered calls of a team; the same counters for the same name.
    #[must_use]
    pub fn unmetered(&self, team: &Arc<str>) -> Arc<UnmeteredSeries> {
        let mut teams = self.unmetered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = teams.iter().find(|series| series.team == *team) {
            return Arc::clone(known);
        }
        let team = match teams.len() {
            ..MAX_ROUTES => Arc::clone(team),
            MAX_ROUTES => Arc::from("other"),
            _ => return Arc::clone(&teams[MAX_ROUTES]),
        };
        let calls = [const { [const { AtomicU64::new(0) }; SERVICE_COUNT] }; Agent::ALL.len()];
        let series = Arc::new(UnmeteredSeries { team, calls });
        teams.push(Arc::clone(&series));
        series
    }

    /// What a team has used; the same counters for the same name, which is empty for keys without one.
    #[must_use]
    pub fn team(&self, name: &Arc<str>) -> Arc<Spender> {
        self.teams.named(name, self.cores.len())
    }

    /// What an owner has used; the same counters for the same name, which is empty for keys without one.
    #[must_use]
    pub fn owner(&self, name: &Arc<str>) -> Arc<Spender> {
        self.owners.named(name, self.cores.len())
    }

    /// How many cores there are.
    #[must_use]
    pub fn cores(&self) -> u64 {
        self.cores.len() as u64
    }

    /// Sum of one core counter.
    pub fn total(&self, counter: impl Fn(&CoreCells) -> u64) -> u64 {
        self.cores.iter().map(counter).sum()
    }
}

impl Default for CoreCells {
    fn default() -> Self {
        Self {
            connections: AtomicI64::new(0),
            accepted: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
            in_flight: AtomicI64::new(0),
            upstream_connects: AtomicU64::new(0),
            upstream_reuses: AtomicU64::new(0),
            upstream_idle: AtomicI64::new(0),
            log_dropped: AtomicU64::new(0),
            debts: AtomicI64::new(0),
            settled: AtomicU64::new(0),
            interrupted: AtomicU64::new(0),
            overshoot: AtomicU64::new(0),
            budget_warnings: AtomicU64::new(0),
            refusals: [const { [const { AtomicU64::new(0) }; Agent::ALL.len()] }; Kind::ALL.len()],
            limited: [const { [const { AtomicU64::new(0) }; BOUNDS.len()] }; Level::ALL.len()],
        }
    }
}

impl CoreCells {
    /// Counts a refusal.
    pub fn refused(&self, kind: Kind, agent: Agent) {
        self.refusals[kind.index()][agent.index()].fetch_add(1, Relaxed);
    }

    /// Counts whose limit or budget it was, where it was anybody's.
    pub fn limited(&self, by: &LimitError) {
        let (level, bound) = match by {
            LimitError::Full(full) => (full.level, full.measure.index()),
            LimitError::BudgetSpent(spent) => (spent.level, BOUNDS.len() - 1),
            LimitError::Unpriced { .. } | LimitError::UsedUp | LimitError::Repeated { .. } => return,
        };
        self.limited[level.index()][bound].fetch_add(1, Relaxed);
    }
}

impl RouteSeries {
    /// The cells of one core for one agent and dialect.
    #[must_use]
    pub fn cells(&self, agent: Agent, dialect: Dialect, core: usize) -> &Cells {
        let voice = &self.voices[agent.index() * Dialect::ALL.len() + dialect.index()];
        let cores = voice.get_or_init(|| (0..self.cores).map(|_| Cells::default()).collect());
        &cores[core % self.cores]
    }
}

impl Cells {
    /// Counts an answer's tokens.
    pub fn add_usage(&self, usage: &Usage) {
        add_tokens(&self.tokens, usage);
    }

    /// Counts an answer by its status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.requests[class].fetch_add(1, Relaxed);
    }
}

fn add_tokens(cells: &[AtomicU64; TOKEN_KINDS.len()], usage: &Usage) {
    let kinds = [usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output, usage.reasoning];
    for (cell, tokens) in cells.iter().zip(kinds) {
        if tokens > 0 {
            cell.fetch_add(tokens, Relaxed);
        }
    }
}

/// For the records of a call: saturating microseconds.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Saturating nanoseconds: six centuries fit.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_labels_same_series_and_cores_add_up() {
        let metrics = Metrics::new(2);
        let (p, m): (Arc<str>, Arc<str>) = (Arc::from("anthropic"), Arc::from("claude-\"*\""));
        let first = metrics.route(&p, &m);
        let again = metrics.route(&p, &m);
        assert!(Arc::ptr_eq(&first, &again), "a reload must find the counters of before");
        let usage = Usage { input: 3, output: 5, ..Usage::default() };
        first.cells(Agent::Codex, Dialect::Responses, 0).add_usage(&usage);
        again.cells(Agent::Codex, Dialect::Responses, 1).add_usage(&usage);
        let page = metrics.render();
        let labels = r#"agent="codex",dialect="responses",provider="anthropic",model="claude-\"*\"""#;
        for (kind, n) in [("input", 6), ("output", 10)] {
            let line = format!("tollgate_tokens_total{{{labels},kind=\"{kind}\"}} {n}\n");
            assert!(page.contains(&line), "{line} not in\n{page}");
        }
        assert!(!page.contains("kind=\"reasoning\""), "kinds that never occurred are not shown");
    }

    #[test]
    fn every_sample_has_help_and_type() {
        let metrics = Metrics::new(1);
        metrics.core(0).refused(Kind::KeyMissing, Agent::Codex);
        let series = metrics.route(&Arc::from("p"), &Arc::from("m"));
        series.cells(Agent::Other, Dialect::Chat, 0).answered(200);
        let page = metrics.render();
        for line in page.lines().filter(|l| !l.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
            let known = |f: &str| page.contains(&format!("# TYPE {f} ")) && page.contains(&format!("# HELP {f} "));
            assert!(known(family) || known(name), "{line}");
        }
    }
}

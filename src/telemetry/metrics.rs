//! Every metric family, in one list.
//!
//! Invariant: a label is a closed enum or a name from the configuration, never text of a request. Each core counts in cells
//! of its own, which nobody else writes; a scrape adds them up. The cells of a target are bound when the rules are compiled
//! and live as long as the process, so a reload resets nothing.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::agent::Agent;
use crate::error::Kind;
use crate::field;
use crate::protocol::Dialect;
use crate::protocol::unmetered::{Operation, SERVICE_COUNT, service};
use crate::protocol::usage::Usage;
use crate::telemetry::access_log::Written;
use crate::telemetry::histogram::Histogram;

/// Targets that get series of their own; what a reload adds beyond counts under `other`.
const MAX_ROUTES: usize = 10_000;
const VOICES: usize = Agent::ALL.len() * Dialect::ALL.len();

/// The kinds of tokens, as labels, in the order of [`Cells::tokens`].
pub const TOKEN_KINDS: [&str; 6] = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"];
/// How an answer ended, as labels, in the order of [`Cells::outcomes`].
pub const OUTCOMES: [&str; 5] = ["complete", "client_left", "upstream_cut", "upstream_idle", "unfinished"];
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All families of this process.
#[derive(Debug)]
pub struct Metrics {
    routes: Mutex<Vec<Arc<RouteSeries>>>,
    limited: Mutex<Vec<(Arc<str>, Arc<AtomicU64>)>>,
    unmetered: Mutex<Vec<Arc<UnmeteredSeries>>>,
    cores: Box<[CoreCells]>,
    /// The reload families.
    pub reload: Reload,
    /// Files that the process may have open; 0 until it is known.
    pub open_files_limit: AtomicU64,
    /// The ids that providers made.
    pub owned: OwnedIds,
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
    refusals: [[AtomicU64; Agent::ALL.len()]; Kind::ALL.len()],
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
            cores,
            reload: Reload::default(),
            open_files_limit: AtomicU64::new(0),
            owned: OwnedIds::default(),
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

    /// How many cores there are.
    #[must_use]
    pub fn cores(&self) -> u64 {
        self.cores.len() as u64
    }

    /// Sum of one core counter.
    pub fn total(&self, counter: impl Fn(&CoreCells) -> u64) -> u64 {
        self.cores.iter().map(counter).sum()
    }

    /// All families in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.render_process(&mut page);
        self.render_refusals(&mut page);
        page.family("tollgate_provider_calls", "gauge", "Calls under way at providers with a max_inflight.");
        for (provider, calls) in &*self.limited.lock().unwrap_or_else(PoisonError::into_inner) {
            page.line("tollgate_provider_calls", &[("provider", provider)], calls.load(Relaxed));
        }
        self.render_unmetered(&mut page);
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        render_routes(&mut page, &routes);
        page.text
    }

    fn render_process(&self, page: &mut Page) {
        page.family("tollgate_build_info", "gauge", "Always 1; the label says which version runs.");
        page.line("tollgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let gauge = |f: fn(&CoreCells) -> &AtomicI64| self.cores.iter().map(|c| f(c).load(Relaxed)).sum::<i64>().max(0);
        let count = |f: fn(&CoreCells) -> &AtomicU64| self.cores.iter().map(|c| f(c).load(Relaxed)).sum::<u64>();
        page.single(
            "tollgate_open_files_limit",
            "gauge",
            "Files that this process may have open (RLIMIT_NOFILE).",
            self.open_files_limit.load(Relaxed),
        );
        page.single("tollgate_client_connections", "gauge", "Open connections of clients.", gauge(|c| &c.connections));
        page.single(
            "tollgate_client_connections_accepted_total",
            "counter",
            "Connections accepted from clients.",
            count(|c| &c.accepted),
        );
        page.single(
            "tollgate_tls_handshakes_failed_total",
            "counter",
            "Connections of clients on which no TLS was agreed, or whose proxy did not name them.",
            count(|c| &c.handshakes_failed),
        );
        page.single("tollgate_requests_in_flight", "gauge", "Requests under way.", gauge(|c| &c.in_flight));
        page.single(
            "tollgate_upstream_connects_total",
            "counter",
            "Connections opened to providers.",
            count(|c| &c.upstream_connects),
        );
        page.single(
            "tollgate_upstream_reuses_total",
            "counter",
            "Calls on a provider connection that had served before.",
            count(|c| &c.upstream_reuses),
        );
        page.single(
            "tollgate_upstream_idle_connections",
            "gauge",
            "Idle connections to providers.",
            gauge(|c| &c.upstream_idle),
        );
        page.single(
            "tollgate_access_log_dropped_total",
            "counter",
            "Lines of the access log that were dropped because its file could not keep up.",
            count(|c| &c.log_dropped),
        );
        self.render_state(page);
    }

    /// What outlives a request.
    fn render_state(&self, page: &mut Page) {
        page.single(
            "tollgate_owned_ids",
            "gauge",
            "Ids that providers made and whose owner is known.",
            self.owned.known.load(Relaxed),
        );
        page.single(
            "tollgate_owned_ids_failures_total",
            "counter",
            "Times that the file of owned ids could not be read or written.",
            self.owned.failures.load(Relaxed),
        );
        let r = &self.reload;
        page.single("tollgate_config_generation", "gauge", "Generation of the rules.", r.generation.load(Relaxed));
        page.single(
            "tollgate_config_last_success_timestamp_seconds",
            "gauge",
            "When rules were last published, in seconds since 1970.",
            r.last_success.load(Relaxed),
        );
        page.family("tollgate_config_reloads_total", "counter", "Reloads by result; a failed one keeps the old rules.");
        page.line("tollgate_config_reloads_total", &[("result", "ok")], r.succeeded.load(Relaxed));
        page.line("tollgate_config_reloads_total", &[("result", "failed")], r.failed.load(Relaxed));
    }

    fn render_unmetered(&self, page: &mut Page) {
        const NAME: &str = "tollgate_unmetered_calls_total";
        page.family(NAME, "counter", "Calls that were passed on though they cannot be counted in tokens.");
        for series in &*self.unmetered.lock().unwrap_or_else(PoisonError::into_inner) {
            for (agent, calls) in Agent::ALL.iter().zip(&series.calls) {
                for (number, calls) in calls.iter().enumerate().filter(|(_, calls)| calls.load(Relaxed) > 0) {
                    let labels = [("team", &*series.team), ("agent", agent.name()), ("service", service(number))];
                    page.line(NAME, &labels, calls.load(Relaxed));
                }
            }
        }
    }

    fn render_refusals(&self, page: &mut Page) {
        page.family("tollgate_refusals_total", "counter", "Requests that were answered by a refusal, by reason.");
        for kind in Kind::ALL {
            for agent in Agent::ALL {
                let n: u64 = self.cores.iter().map(|c| c.refusals[kind.index()][agent.index()].load(Relaxed)).sum();
                if n > 0 {
                    let labels = [("reason", kind.label()), ("agent", agent.name())];
                    page.line("tollgate_refusals_total", &labels, n);
                }
            }
        }
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
            refusals: [const { [const { AtomicU64::new(0) }; Agent::ALL.len()] }; Kind::ALL.len()],
        }
    }
}

impl CoreCells {
    /// Counts a refusal.
    pub fn refused(&self, kind: Kind, agent: Agent) {
        self.refusals[kind.index()][agent.index()].fetch_add(1, Relaxed);
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
        let kinds =
            [usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output, usage.reasoning];
        for (cell, tokens) in self.tokens.iter().zip(kinds) {
            if tokens > 0 {
                cell.fetch_add(tokens, Relaxed);
            }
        }
    }

    /// Counts an answer by its status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.requests[class].fetch_add(1, Relaxed);
    }
}

/// One target as one agent uses it in one dialect.
struct Voice<'r> {
    labels: [(&'static str, &'r str); 4],
    cores: &'r [Cells],
}

impl Voice<'_> {
    fn sum(&self, cell: impl Fn(&Cells) -> &AtomicU64) -> u64 {
        self.cores.iter().map(|c| cell(c).load(Relaxed)).sum()
    }
}

fn render_routes(page: &mut Page, routes: &[Arc<RouteSeries>]) {
    let mut voices = Vec::new();
    for route in routes {
        for (i, cells) in route.voices.iter().enumerate() {
            let Some(cores) = cells.get() else { continue };
            let agent = Agent::ALL[i / Dialect::ALL.len()].name();
            let dialect = Dialect::ALL[i % Dialect::ALL.len()].name();
            let labels =
                [("agent", agent), ("dialect", dialect), ("provider", &*route.provider), ("model", &*route.model)];
            voices.push(Voice { labels, cores });
        }
    }
    let table = |page: &mut Page, name: &str, help: &str, label: &'static str, values: &[&str], cell: CellAt| {
        page.family(name, "counter", help);
        for voice in &voices {
            for (i, value) in values.iter().enumerate() {
                let n = voice.sum(|c| cell(c, i));
                if n > 0 {
                    let [a, b, c, d] = voice.labels;
                    page.line(name, &[a, b, c, d, (label, value)], n);
                }
            }
        }
    };
    table(page, "tollgate_requests_total", "Answered calls, by class of status.", "status", &STATUSES, |c, i| {
        &c.requests[i]
    });
    table(page, "tollgate_answers_total", "Answers by how they ended.", "outcome", &OUTCOMES, |c, i| &c.outcomes[i]);
    table(
        page,
        "tollgate_tokens_total",
        "Tokens by kind, as providers counted them. input excludes the cache kinds; output includes reasoning.",
        "kind",
        &TOKEN_KINDS,
        |c, i| &c.tokens[i],
    );
    let single = |page: &mut Page, name: &str, help: &str, cell: fn(&Cells) -> &AtomicU64| {
        page.family(name, "counter", help);
        for voice in &voices {
            page.line(name, &voice.labels, voice.sum(cell));
        }
    };
    single(page, "tollgate_attempts_failed_total", "Attempts at a target that brought no answer.", |c| {
        &c.failed_attempts
    });
    single(page, "tollgate_unmetered_answers_total", "Answers of status 200 without a token count.", |c| &c.unmetered);
    let histogram = |page: &mut Page, name: &str, help: &str, of: fn(&Cells) -> &Histogram| {
        page.family(name, "histogram", help);
        for voice in &voices {
            Histogram::render(voice.cores.iter().map(of), name, &voice.labels, &mut page.text);
        }
    };
    histogram(page, "tollgate_first_content_seconds", "From a request's head to its answer's first content.", |c| {
        &c.first_content
    });
    histogram(page, "tollgate_duration_seconds", "From a request's head to its answer's end.", |c| &c.duration);
}

type CellAt = fn(&Cells, usize) -> &AtomicU64;

/// A page in Prometheus' text format.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.text.push_str(name);
        write_labels(&mut self.text, labels);
        let _ = writeln!(self.text, " {value}");
    }
}

/// `{a="b",…}`, with the escapes of the text format.
pub(super) fn write_labels(out: &mut String, labels: &[(&str, &str)]) {
    let mut separator = '{';
    for (name, value) in labels {
        out.push(separator);
        separator = ',';
        let _ = write!(out, "{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push('}');
}

/// For the records of a call: saturating microseconds.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
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

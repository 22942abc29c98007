//! The schema's structs -> rules, or everything that is wrong with them.
//!
//! Invariant: every field of the schema is taken apart by name, so a new one does not build until somebody has decided what
//! it means; and a problem does not hide the next one, unless it is its cause. Series of metrics are bound last, so a file
//! that does not compile leaves no trace.

mod accounts;
mod egress;
mod key;
mod ledger;
mod listen;
mod model;
mod mount;
mod price;
mod provider;
mod secret;
mod unmetered;
mod url;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::problem::{Problem, Problems, Source};
use super::schema::{self, Config};
use super::shape::{self, Misfit};
use super::units::{At, Size, Time};
use super::{Env, Startup};
use crate::agent::Agent;
use crate::price::Book;
use crate::protocol::Dialect;
use crate::snapshot::keyring::Spending;
use crate::snapshot::live::Prepared;
use crate::snapshot::{ClientTimeouts, Limits, Snapshot};
use crate::telemetry::metrics::Metrics;

/// Rules that compiled.
#[derive(Debug)]
pub struct Loaded {
    /// To be published.
    pub prepared: Prepared,
    /// What only a restart changes.
    pub startup: Startup,
    /// What is shown to agents, where TLS is spoken.
    pub tls: Option<Arc<ServerConfig>>,
    /// By provider that a model names, the prices there.
    pub books: BTreeMap<Arc<str>, Arc<Book>>,
    /// What is odd.
    pub warnings: Vec<Problem>,
    /// The file itself, and every file it names (secrets, certificate authorities).
    pub watched: Vec<PathBuf>,
}

/// Loads a file.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load(path: &Path, env: &Env<'_>, metrics: &Metrics) -> Result<Loaded, Problems> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let mut problem = Problem::with_file(path, format!("the configuration cannot be read: {e}"));
        problem.hint("`tollgate check --config FILE` reads another file");
        Problems { list: vec![problem], watched: vec![path.to_owned()] }
    })?;
    load_text(path, &text, env, metrics)
}

/// Loads a text as if it stood in a file of that name.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load_text(file: &Path, text: &str, env: &Env<'_>, metrics: &Metrics) -> Result<Loaded, Problems> {
    let source = Source::new(file, text);
    let mut cx = Context::new(&source, env);
    match shape::read(&source) {
        Ok(config) => {
            let (mut draft, startup, tls) = compile(&mut cx, &config);
            if cx.problems.is_empty() {
                let books = std::mem::take(&mut draft.models.books);
                let prepared = Prepared(draft.bind(metrics));
                let (warnings, watched) = (in_order(cx.warnings), cx.watched);
                return Ok(Loaded { prepared, startup, tls, books, warnings, watched });
            }
        }
        Err(misfit) => {
            let Misfit { problems, rest } = *misfit;
            if let Some((config, tainted)) = rest {
                compile(&mut cx, &config);
                cx.problems.retain(|(at, _)| !tainted.iter().any(|span| span.contains(at)));
            }
            cx.problems.extend(problems);
        }
    }
    Err(Problems { list: in_order(cx.problems), watched: cx.watched })
}

/// Where the usage is kept: of a file that may be anything else but readable, on a machine that has none of its secrets.
///
/// # Errors
///
/// The file does not fit the schema, or its `[ledger]` is wrong.
pub fn ledger_of(file: &Path, text: &str, env: &Env<'_>) -> Result<super::startup::Ledger, Problems> {
    let source = Source::new(file, text);
    let mut cx = Context::new(&source, env);
    match shape::read(&source) {
        Ok(Config { state, limits, ledger, .. }) => {
            let state = listen::state(&mut cx, &state, limits.response_ids.as_ref());
            let ledger = ledger::ledger(&mut cx, &ledger, state.directory.as_deref());
            if cx.problems.is_empty() {
                return Ok(ledger);
            }
        }
        Err(misfit) => cx.problems.extend(misfit.problems),
    }
    Err(Problems { list: in_order(cx.problems), watched: cx.watched })
}

fn in_order(mut found: Vec<(usize, Problem)>) -> Vec<Problem> {
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, problem)| problem).collect()
}

/// Rules whose routes have no counters yet.
struct Draft {
    snapshot: Snapshot,
    models: model::Models,
    unmetered: Option<unmetered::Chosen>,
}

impl Draft {
    fn bind(self, metrics: &Metrics) -> Snapshot {
        let mut snapshot = self.snapshot;
        snapshot.routes = self.models.bind(metrics);
        if let Some(chosen) = self.unmetered {
            chosen.bind(&mut snapshot, metrics);
        }
        let nobody = Arc::from("");
        snapshot.keyring.bind(|key| Spending {
            team: metrics.team(key.team.as_ref().unwrap_or(&nobody)),
            owner: metrics.owner(key.owner.as_ref().unwrap_or(&nobody)),
        });
        snapshot
    }
}

fn compile(cx: &mut Context<'_>, config: &Config) -> (Draft, Startup, Option<Arc<ServerConfig>>) {
    // `accounts` takes the other four, and `webhook` a part of the first.
    let Config {
        version,
        listen,
        limits,
        timeouts,
        upstream,
        log,
        state,
        ledger,
        provider,
        model,
        price,
        unmetered,
        key,
        budget,
        owner: _,
        team: _,
        organisation: _,
        mount,
    } = config;
    match version {
        Some(version) if **version == 1 => {}
        Some(version) => {
            cx.error(version.at, "version".into(), format!("this Tollgate reads version 1, not {}", **version));
        }
        None => cx.error(0, "version".into(), "it is missing").hint("begin the file with version = 1"),
    }
    let state = listen::state(cx, state, limits.response_ids.as_ref());
    let startup = Startup {
        listen: listen::listen(cx, listen),
        log: listen::log(cx, log),
        ledger: ledger::ledger(cx, ledger, state.directory.as_deref()),
        state,
    };
    let tls = listen::tls(cx, listen.tls.as_ref());
    let (timeouts, defaults) = self::timeouts(cx, timeouts);
    let limits = self::limits(cx, limits);
    let egress = egress::egress(cx, upstream);
    let mut providers = provider::providers(cx, provider, defaults, &egress);
    let unmetered = unmetered::unmetered(cx, unmetered, key, &mut providers);
    let prices = price::prices(cx, price, provider);
    let models = model::models(cx, model, providers, &prices);
    let keyring = key::keyring(cx, key, &models);
    let charter = accounts::accounts(cx, config);
    let mounts = mount::mounts(cx, mount);
    let routes = crate::snapshot::routes::Routes::default();
    let mut snapshot = Snapshot::new(keyring, routes, mounts, limits, timeouts, charter);
    snapshot.webhook = budget.webhook.as_ref().and_then(|given| webhook::webhook(cx, given, &egress));
    (Draft { snapshot, models, unmetered }, startup, tls)
}

fn limits(cx: &mut Context<'_>, limits: &schema::Limits) -> Limits {
    let schema::Limits { request_body, inflight_bodies, inflight_requests, failed_keys, repeats, response_ids: _ } =
        limits;
    let request = size(cx, "limits.request_body", request_body.as_ref(), 32 << 20);
    let inflight = size(cx, "limits.inflight_bodies", inflight_bodies.as_ref(), 1 << 30);
    if inflight < request {
        let (at, path) = match (inflight_bodies, request_body) {
            (Some(given), _) => (given.at, "limits.inflight_bodies"),
            (None, given) => (given.as_ref().map_or(0, |g| g.at), "limits.request_body"),
        };
        cx.error(at, path.into(), format!("one request ({request} bytes) may hold more than all ({inflight} bytes)"))
            .hint("make limits.inflight_bodies at least limits.request_body");
    }
    let requests = match inflight_requests {
        None => 10_000,
        Some(given) if given.value == 0 => {
            cx.error(given.at, "limits.inflight_requests".into(), "zero would refuse every request");
            1
        }
        Some(given) => given.value,
    };
    let count = |given: &Option<At<u64>>, usual| {
        given.as_ref().map_or(usual, |given| u32::try_from(given.value).unwrap_or(u32::MAX))
    };
    let (failed_keys, repeats) = (count(failed_keys, 300), count(repeats, 30));
    Limits { request_body: request, inflight_bodies: inflight, inflight_requests: requests, failed_keys, repeats }
}

fn timeouts(cx: &mut Context<'_>, timeouts: &schema::Timeouts) -> (ClientTimeouts, crate::provider::Timeouts) {
    let schema::Timeouts { body, keepalive, connect, first_byte, idle } = timeouts;
    let clients = ClientTimeouts {
        body: time(cx, "timeouts.body", body.as_ref(), Duration::from_secs(30)),
        // The one time that may be zero: it means never.
        keepalive: keepalive.as_ref().map_or(Duration::from_secs(15), |given| given.value.0),
    };
    let providers = crate::provider::Timeouts {
        connect: time(cx, "timeouts.connect", connect.as_ref(), Duration::from_secs(10)),
        first_byte: time(cx, "timeouts.first_byte", first_byte.as_ref(), Duration::from_secs(600)),
        idle: time(cx, "timeouts.idle", idle.as_ref(), Duration::from_secs(300)),
    };
    (clients, providers)
}

fn size(cx: &mut Context<'_>, path: &str, given: Option<&At<Size>>, default: u64) -> u64 {
    let Some(given) = given else { return default };
    if given.value.0 == 0 {
        cx.error(given.at, path.into(), "zero would refuse every request");
    }
    given.value.0
}

fn time(cx: &mut Context<'_>, path: impl fmt::Display, given: Option<&At<Time>>, default: Duration) -> Duration {
    let Some(given) = given else { return default };
    if given.value.0.is_zero() {
        cx.error(given.at, path.to_string(), "zero would end everything before it begins");
    }
    given.value.0
}

/// A name that may be a label, a word in a log line and a word in a refusal.
fn name<'n>(cx: &mut Context<'_>, entry: Entry, field: &str, name: &'n At<String>) -> Option<&'n str> {
    let Some(wrong) = name_fault(name) else { return Some(name.as_str()) };
    cx.error(name.at, entry.field(field), wrong);
    None
}

/// What is wrong with a name of a key, owner, team, provider or model, if anything.
#[must_use]
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 128 {
        Some("it is longer than 128 bytes")
    } else if name.chars().any(char::is_control) || name.trim().len() != name.len() {
        Some("it has control characters, or blanks at an end")
    } else {
        None
    }
}

/// Where problems are gathered, and what files and variables are looked up through.
struct Context<'c> {
    source: &'c Source<'c>,
    env: &'c Env<'c>,
    problems: Vec<(usize, Problem)>,
    warnings: Vec<(usize, Problem)>,
    watched: Vec<PathBuf>,
}

impl<'c> Context<'c> {
    fn new(source: &'c Source<'c>, env: &'c Env<'c>) -> Self {
        let watched = vec![source.file.to_owned()];
        Self { source, env, problems: Vec::new(), warnings: Vec::new(), watched }
    }

    fn error(&mut self, at: usize, path: String, message: impl Into<String>) -> &mut Problem {
        push(&mut self.problems, at, self.source.problem(at, path, message.into()))
    }

    fn warn(&mut self, at: usize, path: String, message: impl Into<String>) -> &mut Problem {
        push(&mut self.warnings, at, self.source.problem(at, path, message.into()))
    }

    /// The line of an offset, to point at from another problem.
    fn line(&self, at: usize) -> usize {
        self.source.position(at).0
    }

    /// A path of the file, from where the process stands.
    fn path(&self, written: &Path) -> PathBuf {
        self.source.file.parent().unwrap_or(Path::new("")).join(written)
    }
}

fn push(list: &mut Vec<(usize, Problem)>, at: usize, problem: Problem) -> &mut Problem {
    let i = list.len();
    list.push((at, problem));
    &mut list[i].1
}

/// One entry of a list of tables, for the paths of problems.
#[derive(Debug, Clone, Copy)]
struct Entry {
    table: &'static str,
    /// `None` for a table that is there once.
    index: Option<usize>,
}

impl Entry {
    fn field(self, field: impl fmt::Display) -> String {
        match self.index {
            Some(index) => format!("{}[{index}].{field}", self.table),
            None => format!("{}.{field}", self.table),
        }
    }
}

fn entries<'s, T>(table: &'static str, list: &'s [At<T>]) -> impl Iterator<Item = (Entry, &'s At<T>)> {
    list.iter().enumerate().map(move |(index, value)| (Entry { table, index: Some(index) }, value))
}

const fn dialect(name: schema::DialectName) -> Dialect {
    match name {
        schema::DialectName::Anthropic => Dialect::Anthropic,
        schema::DialectName::Chat => Dialect::Chat,
        schema::DialectName::Responses => Dialect::Responses,
        schema::DialectName::Gemini => Dialect::Gemini,
    }
}

/// The agent that a name of the schema stands for.
#[must_use]
pub const fn agent(name: schema::AgentName) -> Agent {
    match name {
        schema::AgentName::ClaudeCode => Agent::ClaudeCode,
        schema::AgentName::Codex => Agent::Codex,
        schema::AgentName::GeminiCli => Agent::GeminiCli,
        schema::AgentName::OpenCode => Agent::OpenCode,
        schema::AgentName::QwenCode => Agent::QwenCode,
        schema::AgentName::Other => Agent::Other,
    }
}

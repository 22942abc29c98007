//! How a key stands: what is spent, held and left of every budget and limit that its calls are charged to.
//!
//! Invariant: of others a key learns no more than the sums of the accounts that it shares with them (its owner's, its team's,
//! its organisation's), and of models nothing: theirs are everybody's, and a refusal names them. As long as the configuration
//! makes it, no longer: at most sixteen limits and sixteen budgets an account (`config::compile`), ten accounts a key. Budgets
//! and limits are counters in memory, each account locked for a moment, as by a call; only what the key has used lately comes out of
//! the usage database, by way of [`crate::journal::desk`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Core;
use crate::agent::Agent;
use crate::error::{Error, GatewayError};
use crate::journal::desk::{Lately, Used};
use crate::ledger::account::{Account, BudgetState, LimitState, Now};
use crate::ledger::calendar;
use crate::snapshot::charter::Payers;
use crate::snapshot::keyring::Key;
use crate::snapshot::{KeyId, View};
use crate::telemetry::clock;

/// How long the usage database is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
const DAY: u64 = 86_400;

/// The whole answer. Money is dollars with six decimals, as text: no program reads that as a float unasked.
#[derive(Serialize)]
struct Standing<'k> {
    object: &'static str,
    /// As of when.
    at: String,
    key: &'k str,
    owner: Option<&'k str>,
    team: Option<&'k str>,
    organisation: Option<String>,
    today: Option<Spent>,
    last_30_days: Option<Spent>,
    budgets: Vec<Budget<'k>>,
    limits: Vec<Limit<'k>>,
}

#[derive(Serialize)]
struct Budget<'k> {
    level: &'static str,
    name: &'k str,
    period: String,
    mode: &'static str,
    cap: String,
    spent: String,
    held: String,
    left: String,
    /// When the present period began.
    begins: Option<String>,
    resets: Option<String>,
    resets_in_seconds: Option<i64>,
}

#[derive(Serialize)]
struct Limit<'k> {
    level: &'static str,
    name: &'k str,
    measure: &'static str,
    window_seconds: Option<u64>,
    cap: u64,
    used: u64,
    left: u64,
    resets: Option<String>,
    resets_in_seconds: Option<u64>,
}

/// What the key itself has used lately, by days of UTC.
#[derive(Serialize)]
struct Spent {
    /// From when on.
    since: String,
    calls: u64,
    tokens: Tokens,
    cost: String,
    estimated_cost: String,
}

#[derive(Serialize)]
struct Tokens {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    cache_write_1h: u64,
    output: u64,
    reasoning: u64,
}

/// The answer to a key that asks. What it has used lately is asked of the usage database, and left out where nobody knows.
///
/// # Errors
/// None that a client can cause.
pub(super) async fn of(core: Arc<Core>, rules: View, id: KeyId) -> Result<Bytes, Error> {
    let key = rules.keyring.key(id);
    let asked = core.journal.desk().and_then(|desk| desk.ask(&key.name));
    let lately = match asked {
        Some(answer) => tokio::time::timeout(PATIENCE, answer).await.ok().and_then(Result::ok),
        None => None,
    };
    let now = core.ledger.at(Instant::now(), clock::since_epoch());
    let standing = standing(key, rules.payers(id), lately.as_ref(), now);
    match serde_json::to_vec(&standing) {
        Ok(bytes) => Ok(bytes.into()),
        Err(_) => Err(GatewayError::Internal { what: "how a key stands does not serialise" }.into()),
    }
}

fn standing<'k>(key: &'k Key, payers: &'k Payers, lately: Option<&Lately>, now: Now) -> Standing<'k> {
    let mut standing = Standing {
        object: "usage",
        at: calendar::wording(&TimeZone::UTC, now.unix),
        key: &key.name,
        owner: key.owner.as_deref(),
        team: key.team.as_deref(),
        organisation: payers.organisation.text().map(|text| text.to_string()),
        today: lately.map(|lately| Spent::since(lately.day, &lately.today)),
        last_30_days: lately.map(|lately| Spent::since(lately.day.saturating_sub(29 * DAY), &lately.thirty)),
        budgets: Vec::new(),
        limits: Vec::new(),
    };
    // A key that is bound to agents is never charged to the team's others.
    let may = |agent: Agent| key.agents.is_empty() || key.agents.contains(&agent);
    let agents = payers.agents.iter().flat_map(|agents| Agent::ALL.iter().zip(agents.iter()));
    let agents = agents.filter(|(agent, _)| may(**agent)).filter_map(|(_, account)| account.as_ref());
    for account in payers.accounts.iter().chain(agents) {
        standing.budgets.extend(account.budgets(now).iter().map(|state| Budget::of(account, state, now)));
        account.limits(now, |state| standing.limits.push(Limit::of(account, &state, now)));
    }
    standing
}

impl Spent {
    fn since(day: u64, used: &Used) -> Self {
        let Used { calls, input, cache_read, cache_write, cache_write_1h, output, reasoning, cost, estimated_cost } =
            *used;
        Self {
            since: calendar::wording(&TimeZone::UTC, i64::try_from(day).unwrap_or(i64::MAX)),
            calls,
            tokens: Tokens { input, cache_read, cache_write, cache_write_1h, output, reasoning },
            cost: cost.to_string(),
            estimated_cost: estimated_cost.to_string(),
        }
    }
}

impl<'k> Budget<'k> {
    fn of(account: &'k Account, state: &BudgetState, now: Now) -> Self {
        let moment = |at: i64| calendar::wording(&state.zone, at);
        Self {
            level: account.level().label(),
            name: account.name(),
            period: state.period.to_string(),
            mode: state.mode.label(),
            cap: state.cap.to_string(),
            spent: state.spent.to_string(),
            held: state.held.to_string(),
            left: state.cap.saturating_sub(state.spent).saturating_sub(state.held).to_string(),
            begins: state.begin.map(moment),
            resets: state.end.map(moment),
            resets_in_seconds: state.end.map(|end| end.saturating_sub(now.unix).max(0)),
        }
    }
}

impl<'k> Limit<'k> {
    fn of(account: &'k Account, state: &LimitState, now: Now) -> Self {
        // Calls under way have no window, and nobody knows when they end.
        let window = Some(state.window.as_secs()).filter(|seconds| *seconds > 0);
        let resets = window.map(|_| u64::try_from(state.resets.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX));
        Self {
            level: account.level().label(),
            name: account.name(),
            measure: state.measure.label(),
            window_seconds: window,
            cap: state.limit,
            used: state.limit.saturating_sub(state.left),
            left: state.left,
            resets: resets.map(|seconds| calendar::wording(&TimeZone::UTC, now.unix.saturating_add_unsigned(seconds))),
            resets_in_seconds: resets,
        }
    }
}

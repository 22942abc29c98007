//! The families of accounts, and of the usage journal: read when somebody looks.
//!
//! Only accounts that are held to something are open, so there are as many series as the configuration has limits and budgets;
//! of very many accounts the widest are shown (an organisation rather than a key), and the others counted.

use std::cmp::Reverse;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::journal::health::Health;
use crate::ledger::Ledger;
use crate::ledger::account::{BudgetState, LimitState, Now};
use crate::money::Pico;
use crate::telemetry::metrics::labels;

/// Accounts whose budgets and limits are shown.
const MOST: usize = 5_000;

/// One figure of a budget.
type Of = fn(&BudgetState) -> Pico;
/// One figure of a limit.
type LimitOf = fn(&LimitState) -> u64;

/// How every budget and every limit stands.
#[must_use]
pub fn accounts(ledger: &Ledger, now: Now) -> String {
    let mut page = String::new();
    let mut open = ledger.accounts.list();
    open.sort_unstable_by(|a, b| (Reverse(a.level()), a.name()).cmp(&(Reverse(b.level()), b.name())));
    let hidden = open.len().saturating_sub(MOST);
    open.truncate(MOST);
    let name = "tollgate_accounts_not_shown";
    let help = "Accounts with limits or budgets that the families below leave out, for there are too many.";
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {hidden}");
    let standing: Vec<_> = open.iter().flat_map(|a| a.budgets(now).into_iter().map(move |state| (a, state))).collect();
    let families: [(&str, &str, Of); 4] = [
        ("tollgate_budget_cap_micro_dollars", "All of a budget.", |state| state.cap),
        ("tollgate_budget_spent_micro_dollars", "What is spent of it in the present period.", |state| state.spent),
        ("tollgate_budget_held_micro_dollars", "What is held of it for calls under way.", |state| state.held),
        ("tollgate_budget_remaining_micro_dollars", "What is neither spent nor held.", |state| {
            state.cap.saturating_sub(state.spent).saturating_sub(state.held)
        }),
    ];
    for (name, help, of) in families {
        let _ = writeln!(page, "# HELP {name} {help} In millionths of a dollar.\n# TYPE {name} gauge");
        for (account, state) in &standing {
            let period = state.period.to_string();
            let (level, mode) = (account.level().label(), state.mode.label());
            let by = [("level", level), ("name", account.name()), ("period", &period), ("mode", mode)];
            page.push_str(name);
            labels(&mut page, &by);
            let _ = writeln!(page, " {}", of(state).micro());
        }
    }
    let mut standing = Vec::new();
    for account in &open {
        account.limits(now, |state| standing.push((account, state)));
    }
    let families: [(&str, &str, LimitOf); 2] = [
        ("tollgate_limit_cap", "How much there may be within a window (none: at one time).", |state| state.limit),
        ("tollgate_limit_used", "How much of it there was.", |state| state.limit.saturating_sub(state.left)),
    ];
    for (name, help, of) in families {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (account, state) in &standing {
            let window = if state.window.is_zero() { String::new() } else { format!("{}s", state.window.as_secs()) };
            let (level, measure) = (account.level().label(), state.measure.label());
            let by = [("level", level), ("name", account.name()), ("measure", measure), ("window", &window)];
            page.push_str(name);
            labels(&mut page, &by);
            let _ = writeln!(page, " {}", of(state));
        }
    }
    page
}

/// How the usage journal and its store are doing.
#[must_use]
pub fn journal(health: &Health) -> String {
    let mut page = String::new();
    let families: [(&str, &str, &str, &AtomicU64); 12] = [
        ("tollgate_journal_bytes", "gauge", "Journal on disk that is not yet in the store.", &health.depth),
        ("tollgate_journal_lag_milliseconds", "gauge", "Age of the oldest of it.", &health.lag),
        ("tollgate_journal_failing_cores", "gauge", "Cores whose last write failed.", &health.failing),
        ("tollgate_journal_lost_total", "counter", "Frames that found no room: usage that is lost.", &health.lost),
        ("tollgate_journal_refused_total", "counter", "Calls refused because of it.", &health.refused),
        ("tollgate_journal_write_errors_total", "counter", "Writes and syncs that failed.", &health.write_errors),
        (
            "tollgate_journal_damaged_bytes_total",
            "counter",
            "Journal that could not be read: a power cut, or a broken disk.",
            &health.damaged,
        ),
        ("tollgate_store_failing", "gauge", "1 while the last transaction failed.", &health.store_failing),
        ("tollgate_store_errors_total", "counter", "Transactions that failed.", &health.store_errors),
        ("tollgate_store_records_total", "counter", "Records taken in by this process.", &health.records),
        ("tollgate_store_interrupted_total", "counter", "Records of calls whose end nobody saw.", &health.interrupted),
        (
            "tollgate_store_moved_aside_total",
            "counter",
            "Broken databases that were moved aside; a new one began.",
            &health.moved_aside,
        ),
    ];
    for (name, kind, help, value) in families {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {}", value.load(Relaxed));
    }
    page
}

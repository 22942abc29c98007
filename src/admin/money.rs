//! The families of accounts, and of the usage journal: read when somebody looks.
//!
//! Only accounts that are held to something are open, so there are as many series as the configuration has limits and budgets.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::journal::health::Health;
use crate::ledger::Ledger;
use crate::ledger::account::{BudgetState, Now};
use crate::money::Pico;
use crate::telemetry::metrics::labels;

/// One figure of a budget.
type Of = fn(&BudgetState) -> Pico;

/// How every budget stands.
pub fn accounts(ledger: &Ledger, now: Now) -> String {
    let mut page = String::new();
    let mut open = ledger.accounts.list();
    open.sort_by(|a, b| (a.level(), a.name()).cmp(&(b.level(), b.name())));
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
            let by = [("level", account.level().label()), ("name", account.name()), ("period", &period)];
            page.push_str(name);
            labels(&mut page, &by);
            let _ = writeln!(page, " {}", of(state).micro());
        }
    }
    page
}

/// How the usage journal and its store are doing.
pub fn journal(health: &Health) -> String {
    let mut page = String::new();
    let families: [(&str, &str, &str, &AtomicU64); 9] = [
        ("tollgate_journal_bytes", "gauge", "Journal on disk that is not yet in the store.", &health.depth),
        ("tollgate_journal_lag_milliseconds", "gauge", "Age of the oldest of it.", &health.lag),
        ("tollgate_journal_failing_cores", "gauge", "Cores whose last write failed.", &health.failing),
        ("tollgate_journal_lost_total", "counter", "Frames that found no room: usage that is lost.", &health.lost),
        ("tollgate_journal_refused_total", "counter", "Calls refused because of it.", &health.refused),
        ("tollgate_journal_write_errors_total", "counter", "Writes and syncs that failed.", &health.write_errors),
        ("tollgate_store_failing", "gauge", "1 while the last transaction failed.", &health.store_failing),
        ("tollgate_store_errors_total", "counter", "Transactions that failed.", &health.store_errors),
        ("tollgate_store_records_total", "counter", "Records taken in by this process.", &health.records),
    ];
    for (name, kind, help, value) in families {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {}", value.load(Relaxed));
    }
    page
}

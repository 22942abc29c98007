//! What teams and owners have used and what it has cost, by agent.
//!
//! Invariant: names come from the configuration, never from a request, and beyond [`MAX_NAMES`] of a kind they are all
//! `other`. Found by name when rules are compiled, by position when a call is over. Money is added up in pico-dollars and
//! rounded once, when it is shown, so a series differs from the usage records by less than a micro-dollar.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::TOKEN_KINDS;
use super::render::Page;
use crate::agent::Agent;
use crate::money::Pico;
use crate::protocol::usage::Usage;

/// Teams, and owners, that get series of their own; what a reload adds beyond counts under `other`.
const MAX_NAMES: usize = 10_000;

/// All teams, or all owners, that the configuration has ever named.
#[derive(Debug, Default)]
pub struct Spenders(Mutex<HashMap<Arc<str>, Arc<Spender>>>);

/// A team or an owner. Empty: the keys that have none.
#[derive(Debug)]
pub struct Spender {
    name: Arc<str>,
    cores: usize,
    // Most never use most agents, so these cost nothing until they do.
    agents: [OnceLock<Box<[SpendCells]>>; Agent::ALL.len()],
}

/// What a call came to.
#[derive(Debug, Clone, Copy)]
pub struct Spent<'u> {
    /// Its tokens.
    pub usage: &'u Usage,
    /// What it cost.
    pub cost: Pico,
    /// The tokens are our estimate.
    pub estimated: bool,
    /// Something of it has no price.
    pub unpriced: bool,
}

/// What one core counts for one of them and one agent.
#[repr(align(128))]
#[derive(Debug, Default)]
struct SpendCells {
    calls: AtomicU64,
    tokens: [AtomicU64; TOKEN_KINDS.len()],
    cost: AtomicU64,
    estimated: AtomicU64,
    estimated_cost: AtomicU64,
    unpriced: AtomicU64,
    refused: AtomicU64,
}

impl Spenders {
    /// The counters of a name; the same ones for the same name, so that a reload does not reset them.
    pub(super) fn named(&self, name: &Arc<str>, cores: usize) -> Arc<Spender> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(name) {
            return Arc::clone(known);
        }
        let name = if all.len() < MAX_NAMES { Arc::clone(name) } else { Arc::from("other") };
        let spender = all.entry(name).or_insert_with_key(|name| {
            let agents = [const { OnceLock::new() }; Agent::ALL.len()];
            Arc::new(Spender { name: Arc::clone(name), cores, agents })
        });
        Arc::clone(spender)
    }

    /// Their families, in the order of the names; `level` is the label and part of the families' names.
    pub(super) fn render(&self, level: &'static str, page: &mut Page) {
        let mut all: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut voices = Vec::new();
        for spender in &all {
            for (agent, cells) in Agent::ALL.iter().zip(&spender.agents) {
                let Some(cores) = cells.get() else { continue };
                voices.push(([(level, &*spender.name), ("agent", agent.name())], cores));
            }
        }
        let sum = |cores: &[SpendCells], cell: fn(&SpendCells) -> &AtomicU64| {
            cores.iter().map(|core| u128::from(cell(core).load(Relaxed))).sum::<u128>()
        };
        let name = format!("tollgate_{level}_tokens_total");
        page.family(
            &name,
            "counter",
            &format!("Tokens by {level}, agent and kind; kinds as in tollgate_tokens_total."),
        );
        for ([of, agent], cores) in &voices {
            for (kind, label) in TOKEN_KINDS.iter().enumerate() {
                let tokens: u64 = cores.iter().map(|core| core.tokens[kind].load(Relaxed)).sum();
                if tokens > 0 {
                    page.line(&name, &[*of, *agent, ("kind", label)], tokens);
                }
            }
        }
        for Family { name, help, cell, money } in FAMILIES {
            let name = format!("tollgate_{level}_{name}");
            page.family(&name, "counter", &format!("{help}, by {level} and agent."));
            for (labels, cores) in &voices {
                let sum = sum(cores, cell);
                page.line(&name, labels, if money { micro(sum) } else { saturated(sum) });
            }
        }
    }
}

struct Family {
    name: &'static str,
    help: &'static str,
    cell: fn(&SpendCells) -> &AtomicU64,
    money: bool,
}

const FAMILIES: [Family; 6] = [
    Family { name: "calls_total", help: "Calls, as the usage records have them", cell: |c| &c.calls, money: false },
    Family {
        name: "cost_micro_dollars_total",
        help: "What answers cost in millionths of a dollar, estimates included",
        cell: |c| &c.cost,
        money: true,
    },
    Family {
        name: "estimated_calls_total",
        help: "Calls whose usage is our estimate",
        cell: |c| &c.estimated,
        money: false,
    },
    Family {
        name: "estimated_cost_micro_dollars_total",
        help: "What of the cost is estimated, in millionths of a dollar",
        cell: |c| &c.estimated_cost,
        money: true,
    },
    Family {
        name: "unpriced_calls_total",
        help: "Calls of which something has no price",
        cell: |c| &c.unpriced,
        money: false,
    },
    Family {
        name: "limit_refusals_total",
        help: "Calls that a limit or a budget refused",
        cell: |c| &c.refused,
        money: false,
    },
];

/// Pico-dollars of all cores in whole micro-dollars, rounded half up.
pub(super) fn micro(pico: u128) -> u64 {
    let unit = u128::from(Pico::MICRO.pico());
    saturated(pico / unit + u128::from(pico % unit >= unit / 2))
}

fn saturated(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Spender {
    /// A call of theirs is over.
    pub fn spent(&self, agent: Agent, core: usize, spent: &Spent<'_>) {
        let cells = self.cells(agent, core);
        cells.calls.fetch_add(1, Relaxed);
        super::add_tokens(&cells.tokens, spent.usage);
        cells.cost.fetch_add(spent.cost.pico(), Relaxed);
        if spent.estimated {
            cells.estimated.fetch_add(1, Relaxed);
            cells.estimated_cost.fetch_add(spent.cost.pico(), Relaxed);
        }
        if spent.unpriced {
            cells.unpriced.fetch_add(1, Relaxed);
        }
    }

    /// A limit or a budget refused a call of theirs.
    pub fn refused(&self, agent: Agent, core: usize) {
        self.cells(agent, core).refused.fetch_add(1, Relaxed);
    }

    fn cells(&self, agent: Agent, core: usize) -> &SpendCells {
        let cores = self.agents[agent.index()].get_or_init(|| (0..self.cores).map(|_| SpendCells::default()).collect());
        &cores[core % self.cores]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn money_is_rounded_once_and_cores_add_up() {
        let metrics = Metrics::new(2);
        let (team, owner) = (Arc::from("a\"b"), Arc::from(""));
        let usage = Usage { input: 3, output: 5, ..Usage::default() };
        // 0.3 of a micro-dollar each: ten calls are three, though each alone would be none.
        for call in 0..10 {
            let spent = Spent { usage: &usage, cost: Pico::new(300_000), estimated: call == 0, unpriced: call < 2 };
            metrics.team(&team).spent(Agent::Codex, call % 2, &spent);
            metrics.owner(&owner).spent(Agent::Codex, call % 2, &spent);
        }
        metrics.team(&team).refused(Agent::ClaudeCode, 1);
        let page = metrics.render();
        for line in [
            r#"tollgate_team_tokens_total{team="a\"b",agent="codex",kind="input"} 30"#,
            r#"tollgate_team_tokens_total{team="a\"b",agent="codex",kind="output"} 50"#,
            r#"tollgate_team_cost_micro_dollars_total{team="a\"b",agent="codex"} 3"#,
            r#"tollgate_team_calls_total{team="a\"b",agent="codex"} 10"#,
            r#"tollgate_team_estimated_calls_total{team="a\"b",agent="codex"} 1"#,
            r#"tollgate_team_estimated_cost_micro_dollars_total{team="a\"b",agent="codex"} 0"#,
            r#"tollgate_team_unpriced_calls_total{team="a\"b",agent="codex"} 2"#,
            r#"tollgate_team_limit_refusals_total{team="a\"b",agent="claude-code"} 1"#,
            r#"tollgate_owner_cost_micro_dollars_total{owner="",agent="codex"} 3"#,
        ] {
            assert!(page.contains(&format!("\n{line}\n")), "{line} not in\n{page}");
        }
        assert!(!page.contains("kind=\"reasoning\""), "kinds that never occurred are not shown");
    }

    #[test]
    fn names_beyond_the_bound_are_one() {
        let spenders = Spenders::default();
        let first = spenders.named(&Arc::from("0"), 1);
        for n in 0..MAX_NAMES {
            assert_eq!(&*spenders.named(&Arc::from(n.to_string()), 1).name, n.to_string());
        }
        let beyond = spenders.named(&Arc::from("one more"), 1);
        assert_eq!(&*beyond.name, "other");
        assert!(Arc::ptr_eq(&beyond, &spenders.named(&Arc::from("and one"), 1)));
        assert!(Arc::ptr_eq(&first, &spenders.named(&Arc::from("0"), 1)), "a reload must find the counters of before");
    }

    #[test]
    fn no_sum_of_cores_wraps() {
        assert_eq!(micro(0), 0);
        assert_eq!(micro(499_999), 0);
        assert_eq!(micro(500_000), 1);
        assert_eq!(micro(u128::from(u64::MAX) * 4), 73_786_976_294_838);
        assert_eq!(micro(u128::MAX), u64::MAX);
    }
}

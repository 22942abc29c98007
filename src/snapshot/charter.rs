//! Who pays: what every account is held to, and which accounts a key or a model charges.
//!
//! Invariant: a call is charged to its key, the key's owner and team, its agent within that team, the team's organisation and
//! the model, in this order, and to nobody else; those that are held to nothing are left out, so a call that nobody bounds
//! takes no lock. Bound once per publication, and looked up by number.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::keyring::Key;
use super::routes::Route;
use crate::agent::Agent;
use crate::error::limit::{Level, Period};
use crate::ledger::Ledger;
use crate::ledger::account::{Account, Now};
use crate::ledger::hold::Class;
use crate::ledger::name::Name;
use crate::ledger::rules::Rules;

/// What every account is held to, as configured; only those that are held to anything.
#[derive(Debug, Default, PartialEq)]
pub struct Charter {
    /// By level and name. An agent of a team is named `team/agent`.
    pub rules: HashMap<(Level, Box<str>), Rules>,
    /// Which organisation a team belongs to.
    pub organisations: HashMap<Box<str>, Arc<str>>,
}

impl Charter {
    /// The rules of an account, if it has any.
    #[must_use]
    pub fn of(&self, level: Level, name: &str) -> Option<&Rules> {
        // Without a copy of the name where nothing is written at all, which is so for most files.
        if self.rules.is_empty() {
            return None;
        }
        self.rules.get(&(level, name.into()))
    }
}

/// The name of an agent's account within a team.
#[must_use]
pub fn agent_of(team: &str, agent: Agent) -> String {
    format!("{team}/{}", agent.name())
}

/// A team's accounts by agent.
pub type AgentAccounts = [Option<Arc<Account>>; Agent::ALL.len()];

/// Whom the calls of one key charge.
#[derive(Debug, Default)]
pub struct Payers {
    /// Key, owner, team, organisation.
    pub accounts: SmallVec<[Arc<Account>; 2]>,
    /// By agent: its account within the team.
    pub agents: Option<Arc<AgentAccounts>>,
    /// One of them has a budget, whatever the agent.
    pub budgeted: bool,
    /// As records have it.
    pub key: Name,
    /// As records have it.
    pub owner: Name,
    /// As records have it.
    pub team: Name,
    /// As records have it.
    pub organisation: Name,
}

/// Whom the calls of one route charge, and what is known of them.
#[derive(Debug)]
pub struct Fare {
    /// The model's.
    pub account: Option<Arc<Account>>,
    /// It has a budget.
    pub budgeted: bool,
    /// Its targets' providers, as records have them.
    pub providers: Box<[Name]>,
    label: Arc<str>,
    classes: [OnceLock<Arc<Class>>; Agent::ALL.len()],
}

impl Fare {
    /// What calls of this route by an agent cost.
    pub fn class(&self, ledger: &Ledger, agent: Agent) -> &Arc<Class> {
        self.classes[agent.index()].get_or_init(|| ledger.estimator.class(agent, &self.label))
    }
}

/// An account whose budget has a period that it did not have before: what was spent in it must be told.
pub type Fresh = (Arc<Account>, Period);

/// Opens the accounts of a charter, once per publication.
pub(super) struct Binder<'c> {
    charter: &'c Charter,
    ledger: &'c Ledger,
    now: Now,
    open: HashMap<(Level, Box<str>), Arc<Account>>,
    teams: HashMap<Arc<str>, Option<Arc<AgentAccounts>>>,
    pub fresh: Vec<Fresh>,
}

impl<'c> Binder<'c> {
    pub fn new(charter: &'c Charter, ledger: &'c Ledger, now: Now) -> Self {
        Self { charter, ledger, now, open: HashMap::new(), teams: HashMap::new(), fresh: Vec::new() }
    }

    fn account(&mut self, level: Level, name: &str) -> Option<(Arc<Account>, bool)> {
        let rules = self.charter.of(level, name)?;
        let budgeted = !rules.budgets.is_empty();
        let known = self.open.get(&(level, name.into()));
        if let Some(account) = known {
            return Some((Arc::clone(account), budgeted));
        }
        let account = self.ledger.accounts.account(level, &Arc::from(name));
        let fresh = account.configure(self.now, rules);
        self.fresh.extend(fresh.into_iter().map(|period| (Arc::clone(&account), period)));
        self.open.insert((level, name.into()), Arc::clone(&account));
        Some((account, budgeted))
    }

    pub fn payers(&mut self, key: &Key) -> Payers {
        let team = key.team.as_deref();
        let organisation = team.and_then(|team| self.charter.organisations.get(team)).cloned();
        let mut payers = Payers {
            key: Name::of(&key.name),
            owner: Name::of_any(key.owner.as_deref()),
            team: Name::of_any(team),
            organisation: Name::of_any(organisation.as_deref()),
            ..Payers::default()
        };
        if self.charter.rules.is_empty() {
            return payers;
        }
        let levels = [
            (Level::Key, Some(&*key.name)),
            (Level::Owner, key.owner.as_deref()),
            (Level::Team, team),
            (Level::Organisation, organisation.as_deref()),
        ];
        for (level, name) in levels {
            let Some((account, budgeted)) = name.and_then(|name| self.account(level, name)) else { continue };
            payers.accounts.push(account);
            payers.budgeted |= budgeted;
        }
        payers.agents = key.team.as_ref().and_then(|team| self.agents(team));
        payers
    }

    fn agents(&mut self, team: &Arc<str>) -> Option<Arc<AgentAccounts>> {
        if let Some(known) = self.teams.get(team) {
            return known.clone();
        }
        let accounts = Agent::ALL.map(|agent| self.account(Level::Agent, &agent_of(team, agent)).map(|(a, _)| a));
        let accounts = accounts.iter().any(Option::is_some).then(|| Arc::new(accounts));
        self.teams.insert(Arc::clone(team), accounts.clone());
        accounts
    }

    pub fn fare(&mut self, route: &Route) -> Fare {
        let account = self.account(Level::Model, &route.label);
        Fare {
            budgeted: account.as_ref().is_some_and(|(_, budgeted)| *budgeted),
            account: account.map(|(account, _)| account),
            providers: route.targets.iter().map(|target| Name::of(&target.provider.name)).collect(),
            label: Arc::clone(&route.label),
            classes: [const { OnceLock::new() }; Agent::ALL.len()],
        }
    }
}

//! Reserve before, settle after.
//!
//! Invariant: a call is held on every one of its accounts or on none, and every [`Receipt`] is settled exactly once: by
//! [`Receipt::settle`], or by its drop at the last cost that was noted. So a client that leaves, or a task that dies, still pays
//! for what the provider produced, and no hold outlives its call.
//!
//! Accounts are locked one after the other, never two at once. A call that its last account refuses has been held on the
//! others for that moment; somebody else may be refused meanwhile who would not have been an instant later.

use std::sync::Arc;

use smallvec::SmallVec;

use super::account::{Account, Now, Taken, Tokens, Wanted, Warning};
use super::bound::Bound;
use crate::error::limit::LimitError;
use crate::money::Pico;

/// Accounts of one call that need no allocation: key, owner, team, agent, organisation, model.
const INLINE: usize = 6;
/// A growing hold grows by a part of what it is: so many of them.
const STRIDE: u64 = 4;

/// See the module.
#[must_use = "dropping it settles the call as interrupted"]
#[derive(Debug)]
pub struct Receipt {
    lines: SmallVec<[(Arc<Account>, Taken); INLINE]>,
    wanted: Wanted,
    at: Now,
    cost: Pico,
    tokens: Tokens,
    /// Up to where the cost may go before more must be held.
    reach: Pico,
}

/// What a settlement brought about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// By how much more a cap is passed, on the account where it is most.
    pub overshoot: Pico,
    /// Budgets from which a warning is due; each is told once per period.
    pub warnings: Vec<Warning>,
}

/// Whether a call may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// Up to this cost, without asking again.
    Until(Pico),
    /// The last free money is used up: cut its stream, and settle what it cost.
    Cut,
}

/// Holds what a call may cost on all of its accounts, or on none.
///
/// # Errors
/// The first limit or budget that stands in the way, in the order of the accounts.
pub fn reserve<'a>(
    accounts: impl IntoIterator<Item = &'a Arc<Account>>,
    now: Now,
    wanted: &Wanted,
) -> Result<Receipt, LimitError> {
    let mut lines = SmallVec::<[(Arc<Account>, Taken); INLINE]>::new();
    for account in accounts {
        match account.take(now, wanted) {
            Ok(taken) => lines.push((Arc::clone(account), taken)),
            Err(refused) => {
                lines.iter().for_each(|(account, taken)| account.undo(taken, wanted));
                return Err(refused);
            }
        }
    }
    let reach = lines.iter().map(|(_, taken)| taken.held()).min().unwrap_or(Pico::MAX);
    Ok(Receipt { lines, wanted: *wanted, at: now, cost: Pico::ZERO, tokens: Tokens::default(), reach })
}

impl Receipt {
    /// Of a call that no account bounds.
    pub const fn free(now: Now) -> Self {
        let nothing = Bound::exact(0);
        Self {
            lines: SmallVec::new_const(),
            wanted: Wanted { cost: nothing, input: nothing, output: nothing },
            at: now,
            cost: Pico::ZERO,
            tokens: Tokens { input: 0, output: 0 },
            reach: Pico::MAX,
        }
    }

    /// Whether any account bounds the call.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.lines.is_empty()
    }

    /// When the call was admitted: the time of its record, whose period it is charged to.
    #[must_use]
    pub const fn at(&self) -> Now {
        self.at
    }

    /// What is held for it, on the account where it is least; beyond, [`Receipt::extend`] must be asked.
    #[must_use]
    pub const fn reach(&self) -> Pico {
        self.reach
    }

    /// The accounts it is held on.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.lines.iter().map(|(account, _)| account)
    }

    /// What is known so far; an interrupted call is settled with it.
    pub const fn note(&mut self, cost: Pico, tokens: Tokens) {
        self.cost = cost;
        self.tokens = tokens;
    }

    /// The call is seen to cost so much already: holds more, if it must and can.
    pub fn extend(&mut self, seen: Pico) -> Stretch {
        self.cost = self.cost.max(seen);
        if seen < self.reach {
            return Stretch::Until(self.reach);
        }
        // What was passed already must be held; a part beyond it saves asking at every event.
        let passed = seen.saturating_sub(self.reach);
        let mut more = passed.saturating_add(Pico::new(seen.pico() / STRIDE)).max(Pico::MICRO);
        // Others take of the same budgets meanwhile: what one account says is free may be gone at the next try.
        for _ in 0..4 {
            match self.grow(more) {
                Ok(()) => {
                    self.reach = self.reach.saturating_add(more);
                    return Stretch::Until(self.reach);
                }
                Err(free) if free > passed && free >= Pico::MICRO => more = free,
                Err(_) => break,
            }
        }
        Stretch::Cut
    }

    /// The call is over and cost this much.
    pub fn settle(mut self, cost: Pico, tokens: Tokens) -> Settled {
        self.note(cost, tokens);
        let mut warnings = Vec::new();
        let overshoot = self.close(Some(&mut warnings));
        Settled { overshoot, warnings }
    }

    fn grow(&mut self, more: Pico) -> Result<(), Pico> {
        for n in 0..self.lines.len() {
            let (account, taken) = &mut self.lines[n];
            if let Err(free) = account.grow(taken, more) {
                self.lines[..n].iter_mut().for_each(|(account, taken)| account.shrink(taken, more));
                return Err(free);
            }
        }
        Ok(())
    }

    fn close(&mut self, mut warnings: Option<&mut Vec<Warning>>) -> Pico {
        let mut overshoot = Pico::ZERO;
        for (account, taken) in self.lines.drain(..) {
            let over = account.settle(&taken, &self.wanted, self.cost, self.tokens, warnings.as_deref_mut());
            overshoot = overshoot.max(over);
        }
        overshoot
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        // Nobody is here to pass a warning on: it stays due, and the next settlement tells it.
        self.close(None);
    }
}

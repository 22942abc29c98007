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

use super::account::{Account, Now, Taken, Tokens, Wanted};
use super::warning::Warning;
use crate::error::limit::LimitError;
use crate::money::Pico;

/// Accounts of one call that need no allocation: key, owner, team, agent, organisation, model.
const INLINE: usize = 6;
/// A growing hold grows by a part of what it is: so many of them.
const STRIDE: u64 = 4;

/// See the module. Small, for it is handed on by value with its call.
#[must_use = "dropping it settles the call as interrupted"]
#[derive(Debug)]
pub struct Receipt {
    at: Now,
    held: Option<Box<Held>>,
}

/// What is held for a call that some account bounds.
#[derive(Debug)]
struct Held {
    lines: SmallVec<[(Arc<Account>, Taken); INLINE]>,
    wanted: Wanted,
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
    if lines.is_empty() {
        return Ok(Receipt::free(now));
    }
    let reach = lines.iter().map(|(_, taken)| taken.held()).min().unwrap_or(Pico::MAX);
    let held = Held { lines, wanted: *wanted, cost: Pico::ZERO, tokens: Tokens::default(), reach };
    Ok(Receipt { at: now, held: Some(Box::new(held)) })
}

impl Receipt {
    /// Of a call that no account bounds.
    pub const fn free(now: Now) -> Self {
        Self { at: now, held: None }
    }

    /// Whether no account bounds the call.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.held.is_none()
    }

    /// When the call was admitted: the time of its record, whose period it is charged to.
    #[must_use]
    pub const fn at(&self) -> Now {
        self.at
    }

    /// What is held for it, on the account where it is least; beyond, [`Receipt::extend`] must be asked.
    #[must_use]
    pub fn reach(&self) -> Pico {
        self.held.as_ref().map_or(Pico::MAX, |held| held.reach)
    }

    /// The accounts it is held on.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.held.iter().flat_map(|held| &held.lines).map(|(account, _)| account)
    }

    /// What is known so far; an interrupted call is settled with it.
    pub fn note(&mut self, cost: Pico, tokens: Tokens) {
        if let Some(held) = &mut self.held {
            (held.cost, held.tokens) = (cost, tokens);
        }
    }

    /// The call is seen to cost so much already: holds more, if it must and can.
    pub fn extend(&mut self, seen: Pico) -> Stretch {
        let Some(held) = &mut self.held else { return Stretch::Until(Pico::MAX) };
        held.cost = held.cost.max(seen);
        if seen < held.reach {
            return Stretch::Until(held.reach);
        }
        // What was passed already must be held; a part beyond it saves asking at every event.
        let passed = seen.saturating_sub(held.reach);
        let mut more = passed.saturating_add(Pico::new(seen.pico() / STRIDE)).max(Pico::MICRO);
        // Others take of the same budgets meanwhile: what one account says is free may be gone at the next try.
        for _ in 0..4 {
            match held.grow(more) {
                Ok(()) => {
                    held.reach = held.reach.saturating_add(more);
                    return Stretch::Until(held.reach);
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
        let overshoot = self.held.as_mut().map_or(Pico::ZERO, |held| held.close(Some(&mut warnings)));
        Settled { overshoot, warnings }
    }
}

impl Held {
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

impl Drop for Held {
    fn drop(&mut self) {
        // Nobody is here to pass a warning on: it stays due, and the next settlement tells it.
        self.close(None);
    }
}

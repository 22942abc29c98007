//! One budget of one account: what of it is spent in its present period.
//!
//! Invariant: `spent` is the sum of what the calls have cost that were *admitted* in the present period, so it equals the sum
//! of the usage records whose time lies in it. What a call of an earlier period turns out to cost belongs to that one, and is
//! no longer of interest here; its hold kept counting until then. What is held is the account's ([`super::account`]): it is the
//! same for all budgets of an account, whatever their periods.

use super::calendar::{self, Span};
use super::ring::Ring;
use super::rules::{BudgetRule, Mode};
use crate::error::limit::Period;
use crate::money::Pico;

/// See the module.
#[derive(Debug)]
pub(super) struct Purse {
    pub rule: BudgetRule,
    span: Span,
    spent: Pico,
    /// Of a rolling period: when it was spent.
    ring: Option<Ring>,
    warned: bool,
}

impl Purse {
    pub fn new(rule: BudgetRule, now: i64) -> Self {
        let ring = match rule.period {
            Period::Rolling(seconds) => {
                let mut ring = Ring::new(seconds);
                ring.advance(unsigned(now));
                Some(ring)
            }
            Period::Day | Period::Week | Period::Month | Period::Total => None,
        };
        Self { span: calendar::span(rule.period, &rule.zone, now), rule, spent: Pico::ZERO, ring, warned: false }
    }

    /// Takes another rule of the same period; what is spent stays.
    pub fn change(&mut self, rule: BudgetRule, now: i64) {
        if self.rule.zone != rule.zone {
            // Its days now begin elsewhere; what was spent today stays spent, rather than paid twice.
            self.span = calendar::span(rule.period, &rule.zone, now);
        }
        self.warned &= self.rule.cap == rule.cap && self.rule.warn_at == rule.warn_at;
        self.rule = rule;
    }

    /// Begins the period anew if it is over.
    pub fn roll(&mut self, now: i64) {
        if let Some(ring) = &mut self.ring {
            ring.advance(unsigned(now));
            self.spent = Pico::new(ring.used());
            self.warned &= self.spent >= self.warn();
        } else if now >= self.span.end {
            self.span = calendar::span(self.rule.period, &self.rule.zone, now);
            self.spent = Pico::ZERO;
            self.warned = false;
        }
    }

    /// The clock had been far ahead, and is right now. What is spent stays spent, in the period of now.
    pub fn rebase(&mut self, now: i64) {
        self.span = calendar::span(self.rule.period, &self.rule.zone, now);
        if let Some(ring) = &mut self.ring {
            ring.rebase(unsigned(now));
        }
    }

    /// A call that was admitted then has cost so much. Returns by how much more the cap is now passed.
    pub fn charge(&mut self, at: i64, cost: Pico) -> Pico {
        let before = self.overshoot();
        if let Some(ring) = &mut self.ring {
            ring.correct(unsigned(at), 0, cost.pico());
            self.spent = Pico::new(ring.used());
        } else if at >= self.span.begin {
            self.spent = self.spent.saturating_add(cost);
        }
        self.overshoot().saturating_sub(before)
    }

    /// Whether a warning is due: once per period.
    pub fn warning(&mut self) -> bool {
        let due = self.rule.warn_at < 100 && !self.warned && self.spent >= self.warn();
        self.warned |= due;
        due
    }

    pub const fn spent(&self) -> Pico {
        self.spent
    }

    pub const fn span(&self) -> Span {
        self.span
    }

    /// What is neither spent nor held.
    pub const fn free(&self, held: Pico) -> Pico {
        self.rule.cap.saturating_sub(self.spent).saturating_sub(held)
    }

    /// When so much will be free although so much is held; `None`: never, or nobody can know.
    pub fn frees(&self, wanted: Pico, held: Pico) -> Option<i64> {
        // While nothing is spent of a learned one, any call may go alone.
        let wanted = if self.rule.mode == Mode::Learned { wanted.min(self.rule.cap) } else { wanted };
        if wanted.saturating_add(held) > self.rule.cap {
            // Even with nothing spent there is no room until calls under way have ended; a new period gives it at last.
            return (wanted <= self.rule.cap).then_some(self.span.end).filter(|end| *end != i64::MAX);
        }
        match &self.ring {
            Some(ring) => {
                let most = self.rule.cap.saturating_sub(wanted).saturating_sub(held);
                i64::try_from(ring.falls_to(most.pico())).ok()
            }
            None => Some(self.span.end).filter(|end| *end != i64::MAX),
        }
    }

    fn warn(&self) -> Pico {
        self.rule.cap.share(self.rule.warn_at.into(), 100)
    }

    fn overshoot(&self) -> Pico {
        self.spent.saturating_sub(self.rule.cap)
    }
}

fn unsigned(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_default()
}

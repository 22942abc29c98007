//! One account: a key, an owner, a team, an agent of a team, an organisation or a model, what it is held to, and what it has used.
//!
//! Invariants: what is held is the sum over the calls under way, so it is nothing when there are none; a call is charged to the
//! period and to the slot in which it was admitted, never to a later one; what is spent survives every change of the rules.
//! One short lock, and never a second one meanwhile: what belongs together over several accounts is [`super::receipt`]'s.
//!
//! **Learned budgets** let a call begin if either all ceilings fit, those of the calls under way and its own (then nothing can
//! go wrong, as in `strict`); or its usual cost is free and beside it what a rare one would take ([`Bound::gate`]). A call for
//! which that is not free may still go alone, if nothing else is under way and what such calls cost on average is free: else
//! a budget of few calls could never be used up.
//!
//! **Token windows** hold what such calls usually use; the ceiling, where a budget of the account is `strict`.
//!
//! **Clocks.** Windows of limits count by the monotonic clock. Budgets live by the wall clock; one that steps back by less than
//! [`STEP`] stands still until it has caught up, so a period never begins twice. One that steps back further had been wrong
//! before: what is spent is then carried into the period of now.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::bound::{Bound, part};
use super::calendar;
use super::purse::Purse;
use super::ring::Ring;
use super::rules::{Mode, Rules, WindowRule};
use super::warning::Warning;
use crate::error::limit::{BudgetSpent, Full, Level, LimitError, Measure, Period};
use crate::money::Pico;

/// A wall clock that steps back further had been wrong before, in seconds.
const STEP: i64 = 3_600;
/// When to ask again where only calls under way stand in the way: nobody knows when they end.
const SOON: Duration = Duration::from_secs(5);
/// A call may go alone if at least this part of the cap is free, in percent.
const ALONE: u64 = 5;
/// The part of the cap, in percent, that is held at most for a call about whose kind nothing is known yet.
const UNKNOWN: u64 = 12;

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since any fixed moment; never goes back.
    pub mono: u64,
    /// Seconds since 1970; may step.
    pub unix: i64,
}

impl Now {
    /// From the monotonic clock (since any moment, the same for all) and the wall clock.
    #[must_use]
    pub fn new(mono: Duration, since_epoch: Duration) -> Self {
        Self {
            mono: u64::try_from(mono.as_millis()).unwrap_or(u64::MAX),
            unix: i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX),
        }
    }
}

/// What a call wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Money, in pico-dollars.
    pub cost: Bound,
    /// Tokens of the prompt.
    pub input: Bound,
    /// Tokens of the answer.
    pub output: Bound,
}

/// Tokens that a call really used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, cached ones included.
    pub input: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
}

/// How a budget stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetState {
    /// How long it lasts.
    pub period: Period,
    /// What is held for a call.
    pub mode: Mode,
    /// All of it.
    pub cap: Pico,
    /// What is spent of it in the present period.
    pub spent: Pico,
    /// What is held for calls under way.
    pub held: Pico,
    /// When the present period began, in seconds since 1970; `None`: it has no beginning.
    pub begin: Option<i64>,
    /// When the next one begins; `None`: there is none.
    pub end: Option<i64>,
    /// Where its days begin.
    pub zone: TimeZone,
}

/// How a limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// What it counts.
    pub measure: Measure,
    /// How many there may be.
    pub limit: u64,
    /// How many more may be.
    pub left: u64,
    /// Within which time; zero for calls under way.
    pub window: Duration,
    /// After which all of it will be free, if nobody comes.
    pub resets: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Account {
    level: Level,
    name: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The wall clock, as far as it has come.
    clock: i64,
    /// How often the rules have changed.
    generation: u32,
    under_way: u64,
    concurrent: Option<u64>,
    /// The usual cost of the calls under way.
    held: Pico,
    /// Their ceilings.
    ceilings: Pico,
    purses: Vec<Purse>,
    windows: Vec<Window>,
    /// Whether token windows hold ceilings.
    strict: bool,
}

#[derive(Debug)]
struct Window {
    rule: WindowRule,
    ring: Ring,
    /// The generation of the rules that began it.
    since: u32,
}

/// What a call has taken of one account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    at: Now,
    generation: u32,
    usual: Pico,
    ceiling: Pico,
    strict: bool,
}

impl Taken {
    /// What is held of a learned budget.
    pub const fn held(&self) -> Pico {
        self.usual
    }
}

type ByName = HashMap<(Level, Arc<str>), Arc<Account>>;

/// All accounts, by level and name; they outlive every reload.
#[derive(Debug, Default)]
pub struct Accounts {
    all: Mutex<ByName>,
}

impl Accounts {
    /// Finds an account, or opens it.
    #[must_use]
    pub fn account(&self, level: Level, name: &Arc<str>) -> Arc<Account> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let account = all.entry((level, Arc::clone(name)));
        Arc::clone(account.or_insert_with_key(|(level, name)| {
            Arc::new(Account { level: *level, name: Arc::clone(name), state: Mutex::default() })
        }))
    }

    /// Forgets the accounts that nobody names any more and that have no call under way. What they have spent is in the
    /// records; one that is opened again says that it wants it back ([`Account::configure`]).
    pub fn sweep(&self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // A receipt holds its accounts, and so does every snapshot that is still read.
        all.retain(|_, account| Arc::strong_count(account) > 1);
    }

    /// All of them, in no order.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Account>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Account {
    /// Whose it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// By name; an agent of a team is `team/agent`.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Sets what it is held to. What has been used in a window or a period that stays, stays used.
    ///
    /// Returns the periods that are new: what was spent in them before must be told by [`Account::restore`].
    pub fn configure(&self, now: Now, rules: &Rules) -> Vec<Period> {
        let state = &mut *self.lock();
        state.tick(now.unix);
        state.generation = state.generation.wrapping_add(1);
        state.concurrent = rules.concurrent;
        state.strict = rules.budgets.iter().any(|budget| budget.mode == Mode::Strict);
        let mut purses = std::mem::take(&mut state.purses);
        let mut fresh = Vec::new();
        for rule in &rules.budgets {
            // The same period may be there twice, as a strict and a learned one: each finds one of its own.
            let known = purses.iter().position(|purse| purse.rule.period == rule.period);
            let purse = match known.map(|at| purses.remove(at)) {
                Some(mut purse) => {
                    purse.change(rule.clone(), state.clock);
                    purse
                }
                None => {
                    fresh.push(rule.period);
                    Purse::new(rule.clone(), state.clock)
                }
            };
            state.purses.push(purse);
        }
        let mut windows = std::mem::take(&mut state.windows);
        for rule in &rules.windows {
            let same = |w: &Window| w.rule.measure == rule.measure && w.rule.window == rule.window;
            let window = match windows.iter().position(same).map(|at| windows.swap_remove(at)) {
                Some(window) => Window { rule: *rule, ..window },
                None => {
                    let length = u64::try_from(rule.window.as_millis()).unwrap_or(u64::MAX);
                    Window { rule: *rule, ring: Ring::new(length), since: state.generation }
                }
            };
            state.windows.push(window);
        }
        fresh
    }

    /// A call admitted at that time (seconds since 1970) had cost so much: told at the start, out of the records, for a period
    /// that [`Account::configure`] said was new. May be a sum of many calls of one hour.
    pub fn restore(&self, period: Period, at: i64, cost: Pico) {
        let state = &mut *self.lock();
        for purse in state.purses.iter_mut().filter(|purse| purse.rule.period == period) {
            purse.charge(at, cost);
        }
    }

    /// Whether it has a budget.
    #[must_use]
    pub fn has_budget(&self) -> bool {
        !self.lock().purses.is_empty()
    }

    /// Calls under way.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.lock().under_way
    }

    /// How each budget stands.
    #[must_use]
    pub fn budgets(&self, now: Now) -> Vec<BudgetState> {
        let state = &mut *self.lock();
        state.tick(now.unix);
        let (held, ceilings) = (state.held, state.ceilings);
        let one = |purse: &Purse| {
            let (span, rule) = (purse.span(), &purse.rule);
            let held = if rule.mode == Mode::Strict { ceilings } else { held };
            BudgetState {
                period: rule.period,
                mode: rule.mode,
                cap: rule.cap,
                spent: purse.spent(),
                held,
                begin: span.begun(),
                end: span.ends(),
                zone: rule.zone.clone(),
            }
        };
        state.purses.iter().map(one).collect()
    }

    /// How each limit stands, for headers that say so.
    pub fn limits(&self, now: Now, mut each: impl FnMut(LimitState)) {
        let state = &mut *self.lock();
        for Window { rule, ring, .. } in &mut state.windows {
            ring.advance(now.mono);
            each(LimitState {
                measure: rule.measure,
                limit: rule.limit,
                left: rule.limit.saturating_sub(ring.used()),
                window: rule.window,
                resets: Duration::from_millis(ring.falls_to(0).saturating_sub(now.mono)),
            });
        }
        if let Some(limit) = state.concurrent {
            let left = limit.saturating_sub(state.under_way);
            each(LimitState {
                measure: Measure::Concurrent,
                limit,
                left,
                window: Duration::ZERO,
                resets: Duration::ZERO,
            });
        }
    }

    pub(super) fn take(&self, now: Now, wanted: &Wanted) -> Result<Taken, LimitError> {
        let state = &mut *self.lock();
        state.tick(now.unix);
        if let Some(limit) = state.concurrent.filter(|limit| state.under_way >= *limit) {
            return Err(self.too_many(limit));
        }
        for window in &mut state.windows {
            window.ring.advance(now.mono);
            if let Some(need) = window.lacks(wanted, state.strict) {
                return Err(self.full(window, need, state.strict, now));
            }
        }
        let usual = state.usual(wanted.cost);
        for purse in &state.purses {
            if let Some((need, held)) = state.lacks(purse, wanted.cost, usual) {
                return Err(self.spent(purse, need, held, state.clock));
            }
        }
        let at = Now { mono: now.mono, unix: state.clock };
        let ceiling = Pico::new(wanted.cost.ceiling);
        let taken = Taken { at, generation: state.generation, usual, ceiling, strict: state.strict };
        state.under_way += 1;
        state.held = state.held.saturating_add(taken.usual);
        state.ceilings = state.ceilings.saturating_add(taken.ceiling);
        for window in &mut state.windows {
            window.ring.add(wanted.of(window.rule.measure, taken.strict));
        }
        Ok(taken)
    }

    /// Holds more, for a call that is seen to cost more than is held; or says how much more is free.
    pub(super) fn grow(&self, taken: &mut Taken, more: Pico) -> Result<(), Pico> {
        let state = &mut *self.lock();
        let wants = taken.usual.saturating_add(more);
        // Whoever passes what it could not pass, passes a strict budget's hold too.
        let above = wants.saturating_sub(taken.ceiling);
        let free = state.purses.iter().map(|purse| match purse.rule.mode {
            Mode::Learned => purse.free(state.held),
            Mode::Strict => purse.free(state.ceilings).saturating_add(more.saturating_sub(above)),
        });
        let free = free.min().unwrap_or(Pico::MAX);
        if free < more {
            return Err(free);
        }
        state.held = state.held.saturating_add(more);
        state.ceilings = state.ceilings.saturating_add(above);
        taken.usual = wants;
        taken.ceiling = taken.ceiling.saturating_add(above);
        Ok(())
    }

    /// Gives back what [`Account::grow`] has taken.
    pub(super) fn shrink(&self, taken: &mut Taken, less: Pico) {
        let state = &mut *self.lock();
        state.held = state.held.saturating_sub(less);
        taken.usual = taken.usual.saturating_sub(less);
    }

    /// The call has not begun: another account refused it.
    pub(super) fn undo(&self, taken: &Taken, wanted: &Wanted) {
        drop(self.end(taken, wanted, |_| 0));
    }

    /// The call is over. Returns by how much more a cap is passed now.
    pub(super) fn settle(
        &self,
        taken: &Taken,
        wanted: &Wanted,
        cost: Pico,
        tokens: Tokens,
        warnings: Option<&mut Vec<Warning>>,
    ) -> Pico {
        let mut state = self.end(taken, wanted, |measure| tokens.of(measure));
        let mut over = Pico::ZERO;
        for purse in &mut state.purses {
            over = over.max(purse.charge(taken.at.unix, cost));
        }
        if let Some(warnings) = warnings {
            for purse in state.purses.iter_mut().filter_map(|purse| purse.warning().then_some(purse)) {
                let (rule, span) = (&purse.rule, purse.span());
                warnings.push(Warning {
                    level: self.level,
                    name: Arc::clone(&self.name),
                    period: rule.period,
                    cap: rule.cap,
                    spent: purse.spent(),
                    warn_at: rule.warn_at,
                    begin: span.begun(),
                    end: span.ends(),
                    zone: rule.zone.clone(),
                });
            }
        }
        over
    }

    fn end(&self, taken: &Taken, wanted: &Wanted, used: impl Fn(Measure) -> u64) -> MutexGuard<'_, State> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.under_way = state.under_way.saturating_sub(1);
        state.held = state.held.saturating_sub(taken.usual);
        state.ceilings = state.ceilings.saturating_sub(taken.ceiling);
        // A window that began later never counted it.
        for window in state.windows.iter_mut().filter(|window| window.since <= taken.generation) {
            let measure = window.rule.measure;
            window.ring.correct(taken.at.mono, wanted.of(measure, taken.strict), used(measure));
        }
        guard
    }

    fn too_many(&self, limit: u64) -> LimitError {
        LimitError::Full(Box::new(Full {
            level: self.level,
            name: (*self.name).into(),
            measure: Measure::Concurrent,
            limit,
            left: 0,
            wanted: 1,
            window: Duration::ZERO,
            retry_after: Some(SOON),
            resets_at: None,
        }))
    }

    fn full(&self, window: &Window, need: u64, strict: bool, now: Now) -> LimitError {
        let Window { rule, ring, .. } = window;
        // Whoever wants more than the whole passes where nothing is used, but not in a strict account.
        let free_at = ring.falls_to(rule.limit.saturating_sub(need)).saturating_sub(now.mono).max(1);
        let wait = (need <= rule.limit || !strict).then(|| Duration::from_millis(free_at));
        let seconds = wait.map(|wait| wait.as_millis().div_ceil(1_000));
        let resets_at = seconds.and_then(|seconds| u64::try_from(i128::from(now.unix) + seconds.cast_signed()).ok());
        LimitError::Full(Box::new(Full {
            level: self.level,
            name: (*self.name).into(),
            measure: rule.measure,
            limit: rule.limit,
            left: rule.limit.saturating_sub(ring.used()),
            wanted: need,
            window: rule.window,
            retry_after: wait,
            resets_at,
        }))
    }

    fn spent(&self, purse: &Purse, need: Pico, held: Pico, now: i64) -> LimitError {
        let rule = &purse.rule;
        let resets = if purse.spent().saturating_add(need) <= rule.cap {
            Some(now.saturating_add(SOON.as_secs().cast_signed()))
        } else {
            purse.frees(need, held)
        };
        let resets = resets.map(|at| {
            let wait = u64::try_from(at.saturating_sub(now)).unwrap_or_default().max(1);
            (calendar::wording(&rule.zone, at).into(), Duration::from_secs(wait))
        });
        LimitError::BudgetSpent(Box::new(BudgetSpent {
            level: self.level,
            name: (*self.name).into(),
            period: rule.period,
            cap: rule.cap.micro(),
            left: purse.free(held).micro(),
            wanted: need.micro(),
            resets,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change; if it ever did, the sums would still be sums.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tick(&mut self, now: i64) {
        if now > self.clock {
            self.clock = now;
            self.purses.iter_mut().for_each(|purse| purse.roll(now));
        } else if now < self.clock.saturating_sub(STEP) {
            self.clock = now;
            self.purses.iter_mut().for_each(|purse| purse.rebase(now));
        }
    }

    /// What is held of the learned budgets for a call.
    fn usual(&self, cost: Bound) -> Pico {
        // Where even the thumb says no more than the ceiling does, the ceiling is worth something.
        if cost.learnt || cost.usual == cost.ceiling {
            return Pico::new(cost.usual);
        }
        let learned = self.purses.iter().filter(|purse| purse.rule.mode == Mode::Learned);
        let smallest = learned.map(|purse| purse.rule.cap.pico()).min().unwrap_or(u64::MAX);
        Pico::new(cost.usual.min(part(smallest, UNKNOWN)))
    }

    /// What a budget has too little of, and what of it is held; `None`: there is enough.
    fn lacks(&self, purse: &Purse, cost: Bound, usual: Pico) -> Option<(Pico, Pico)> {
        let ceiling = Pico::new(cost.ceiling);
        if purse.free(self.ceilings) >= ceiling {
            return None;
        }
        if purse.rule.mode == Mode::Strict {
            return Some((ceiling, self.ceilings));
        }
        let (cap, free) = (purse.rule.cap.pico(), purse.free(self.held));
        let gate = Pico::new(Bound { usual: usual.pico(), ..cost }.gate(cap));
        let alone = self.under_way == 0
            && free.pico() >= part(cap, ALONE)
            && (free.pico() >= cost.mean || purse.spent().is_zero());
        (free < gate && !alone).then_some((gate, self.held))
    }
}

impl Window {
    /// What there is too little room for; `None`: there is enough.
    fn lacks(&self, wanted: &Wanted, strict: bool) -> Option<u64> {
        let (limit, used) = (self.rule.limit, self.ring.used());
        let tokens = match self.rule.measure {
            Measure::Requests | Measure::Concurrent => None,
            Measure::InputTokens | Measure::OutputTokens | Measure::Tokens => Some(wanted.bound(self.rule.measure)),
        };
        let need = match tokens {
            None => 1,
            Some(bound) if strict => bound.ceiling,
            // As with budgets: a small limit must be of some use.
            Some(_) if used == 0 => 0,
            Some(bound) => bound.gate(limit).min(bound.ceiling),
        };
        (used.saturating_add(need) > limit).then_some(need)
    }
}

impl Wanted {
    /// What is counted of a measure when the call begins.
    fn of(&self, measure: Measure, strict: bool) -> u64 {
        let bound = self.bound(measure);
        if strict { bound.ceiling } else { bound.usual }
    }

    fn bound(&self, measure: Measure) -> Bound {
        match measure {
            Measure::Requests | Measure::Concurrent => Bound::exact(1),
            Measure::InputTokens => self.input,
            Measure::OutputTokens => self.output,
            Measure::Tokens => self.input.and(self.output),
        }
    }
}

impl Tokens {
    const fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests | Measure::Concurrent => 1,
            Measure::InputTokens => self.input,
            Measure::OutputTokens => self.output,
            Measure::Tokens => self.input.saturating_add(self.output),
        }
    }
}

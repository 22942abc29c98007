//! What one call owes: its receipt, its prices, and its place in the usage journal.
//!
//! Invariant: the journal hears of a call before its provider does, and of its cost before the client can see its end; each
//! exactly once, also when the debt is only dropped (a client that left before there was an answer, a task that died).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Core, entry};
use crate::call::{Call, Charged, Outcome, Owed, Tally, Trail};
use crate::error::{Error, GatewayError};
use crate::journal::Full;
use crate::ledger::account::Tokens;
use crate::ledger::name::Name;
use crate::ledger::receipt::Settled;
use crate::ledger::record::{End, Final, Flags, Intent};
use crate::money::Pico;
use crate::price::{Priced, whole_input};
use crate::protocol::estimate;
use crate::protocol::usage::Usage;
use crate::snapshot::keyring::Spending;
use crate::snapshot::routes::Target;
use crate::telemetry::metrics::{Cells, CoreCells, Spent};

/// When a call that could not be written down should come back.
const RETRY: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Debt {
    pub(super) core: Arc<Core>,
    pub(super) trail: Arc<Trail>,
    pub(super) call: Arc<Call>,
    route: u32,
    /// Until it is paid.
    pub(super) owed: Option<Owed>,
    /// The provider may have heard of it.
    begun: bool,
}

/// How a call ended, for its record.
struct Ending<'e> {
    end: End,
    status: u16,
    provider: Name,
    credential: Name,
    served: &'e str,
    usage: Usage,
    priced: Priced,
    prices: Name,
    flags: Flags,
    latency: Duration,
}

impl Debt {
    pub(super) fn new(core: Arc<Core>, trail: Arc<Trail>, call: Arc<Call>, route: u32, owed: Owed) -> Self {
        core.metrics.core(core.index).debts.fetch_add(1, Relaxed);
        Self { core, trail, call, route, owed: Some(owed), begun: false }
    }

    /// Whether anything is written down of such a call.
    pub(super) fn is_recorded(&self) -> bool {
        self.call.endpoint.is_charged()
    }

    /// Whether its provider may have heard of it.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether no account bounds the call.
    pub(super) fn is_free(&self) -> bool {
        self.owed.as_ref().is_none_or(|owed| owed.receipt.is_free())
    }

    /// Notes what is about to be done. To be followed by [`write_down`](Self::write_down).
    ///
    /// # Errors
    /// It cannot be written down, and must not be made then.
    pub(super) fn note(&self) -> Result<(), Error> {
        let Some(owed) = self.owed.as_ref().filter(|_| self.is_recorded()) else { return Ok(()) };
        self.core.journal.intent(&self.intent(owed)).map_err(|full| self.unwritten(full))
    }

    /// Before the request goes upstream: writes all that is noted, of this call and of others.
    ///
    /// # Errors
    /// As [`note`](Self::note).
    pub(super) fn write_down(&mut self) -> Result<(), Error> {
        if self.is_recorded() {
            self.core.journal.flush().map_err(|full| self.unwritten(full))?;
        }
        self.begun = true;
        Ok(())
    }

    fn unwritten(&self, _: Full) -> Error {
        GatewayError::LedgerFull { retry_after: RETRY }.into()
    }

    /// The answer is over. What it cost is noted; it is to be written before the client can see the end.
    ///
    /// `named`: the model that the answer names itself.
    pub(super) fn pay(mut self, target: &Arc<Target>, cells: &Cells, status: u16, tally: &Tally, named: Option<&str>) {
        self.answered_by(target);
        let Some(owed) = self.owed.take() else { return };
        self.counted(|cells| &cells.settled);
        let at = u64::try_from(owed.receipt.at().unix).unwrap_or_default();
        if let Some(sighting) = owed.sighting.filter(|_| status < 400) {
            self.core.ledger.repeats.answered(sighting, owed.receipt.at().mono);
        }
        let usage = tally.usage.unwrap_or_default();
        let charged = self.is_recorded() && (status < 400 || tally.usage.is_some());
        let priced = entry::priced(owed.rates.as_deref(), &usage, at, charged);
        let tokens = Tokens { input: whole_input(&usage), output: usage.output };
        // Only what the provider said of a whole answer tells what such calls cost.
        if tally.outcome == Outcome::Complete && tally.usage.is_some() && !tally.estimated && !owed.receipt.is_free() {
            let fare = self.call.rules.fare(self.route);
            fare.class(&self.core.ledger, self.call.agent).learn(priced.cost, tokens);
        }
        let estimated = charged && (tally.estimated || tally.usage.is_none());
        let unpriced = !priced.gaps.is_none();
        cells.cost.fetch_add(priced.cost.pico(), Relaxed);
        cells.estimated.fetch_add(u64::from(estimated), Relaxed);
        cells.unpriced.fetch_add(u64::from(unpriced), Relaxed);
        let (provider, credential) = entry::who(&self.call, self.route, target);
        let served = named.map_or_else(|| entry::asked_for(&self.call, target), Cow::Borrowed);
        let ending = Ending {
            end: end_of(tally.outcome),
            status,
            provider,
            credential,
            served: &served,
            usage,
            priced,
            prices: owed.rates.as_deref().map_or(Name::NONE, entry::prices),
            flags: Flags::when(estimated, Flags::ESTIMATED)
                .and(Flags::when(unpriced, Flags::UNPRICED))
                .and(Flags::when(tally.outcome == Outcome::Cut, Flags::CUT_BY_BUDGET)),
            latency: tally.duration,
        };
        self.close(owed, tokens, &ending);
    }

    /// That target answers: its prices hold.
    pub(super) fn answered_by(&mut self, target: &Arc<Target>) {
        let route = &self.call.rules.routes.routes[self.route as usize];
        let place = route.targets.iter().position(|one| Arc::ptr_eq(one, target));
        let Some(owed) = self.owed.as_ref().filter(|owed| owed.first.map(usize::from) != place) else { return };
        let (call, at) = (&self.call, u64::try_from(owed.receipt.at().unix).unwrap_or_default());
        let captured = call.rules.routes.index(call.dialect, &call.model).map_or("", |(_, captured)| captured);
        let rates = target.rates(&call.model, captured, at).cloned();
        if let Some(owed) = &mut self.owed {
            (owed.rates, owed.first) = (rates, place.and_then(|place| u16::try_from(place).ok()));
        }
    }

    /// No target has answered.
    pub(super) fn fail(mut self) {
        self.end(End::Failed);
    }

    fn end(&mut self, end: End) {
        let Some(owed) = self.owed.take() else { return };
        self.counted(|cells| &cells.interrupted);
        if !self.begun {
            // Nobody upstream has heard of it: it leaves no record.
            if self.is_recorded() {
                self.core.journal.void(self.trail.id.number());
            }
            if !owed.receipt.is_free() {
                let _ = owed.receipt.settle(Pico::ZERO, Tokens::default());
            }
            return;
        }
        // Whoever leaves before there is an answer has let the provider read the request at least.
        let heard = end == End::ClientLeft && self.is_recorded();
        let asked = if heard { estimate::of_request(self.trail.bytes_in.load(Relaxed)) } else { 0 };
        let usage = Usage { input: asked, ..Usage::default() };
        let at = u64::try_from(owed.receipt.at().unix).unwrap_or_default();
        let priced = entry::priced(owed.rates.as_deref(), &usage, at, heard);
        let unpriced = !priced.gaps.is_none();
        let ending = Ending {
            end,
            status: 0,
            provider: Name::NONE,
            credential: Name::NONE,
            served: "",
            usage,
            priced,
            prices: owed.rates.as_deref().filter(|_| heard).map_or(Name::NONE, entry::prices),
            flags: Flags::when(heard, Flags::ESTIMATED).and(Flags::when(unpriced, Flags::UNPRICED)),
            latency: self.trail.at.elapsed(),
        };
        self.close(owed, Tokens { input: asked, output: 0 }, &ending);
        let _ = self.core.journal.flush();
    }

    fn close(&self, owed: Owed, tokens: Tokens, ending: &Ending<'_>) {
        if self.is_recorded() {
            self.core.journal.finish(&self.last(&owed, ending));
            self.spend(ending);
        }
        let Owed { receipt, .. } = owed;
        if receipt.is_free() {
            return;
        }
        let Settled { overshoot, warnings } = receipt.settle(ending.priced.cost, tokens);
        let cells = self.core.metrics.core(self.core.index);
        cells.overshoot.fetch_add(overshoot.pico(), Relaxed);
        for warning in warnings {
            cells.budget_warnings.fetch_add(1, Relaxed);
            tracing::warn!(
                level = warning.level.label(),
                name = &*warning.name,
                spent = %warning.spent,
                cap = %warning.cap,
                "a budget is nearly spent"
            );
            if self.call.rules.webhook.is_some() {
                self.core.outbox.tell(warning);
            }
        }
    }

    /// What is recorded, also for the log and for whoever pays.
    fn spend(&self, ending: &Ending<'_>) {
        let (usage, cost) = (&ending.usage, ending.priced.cost);
        let (estimated, unpriced) = (ending.flags.has(Flags::ESTIMATED), ending.flags.has(Flags::UNPRICED));
        let _ = self.trail.charged.set(Charged { cost, estimated, unpriced });
        let Some(Spending { team, owner }) = &self.call.key().spending else { return };
        let spent = Spent { usage, cost, estimated, unpriced };
        team.spent(self.call.agent, self.core.index, &spent);
        owner.spent(self.call.agent, self.core.index, &spent);
    }

    fn counted(&self, how: fn(&CoreCells) -> &AtomicU64) {
        let cells = self.core.metrics.core(self.core.index);
        cells.debts.fetch_sub(1, Relaxed);
        how(cells).fetch_add(1, Relaxed);
    }

    fn intent(&self, owed: &Owed) -> Intent<'_> {
        entry::intent(&self.call, &self.trail, owed.millis, owed.hold)
    }

    fn last<'f>(&'f self, owed: &Owed, ending: &'f Ending<'_>) -> Final<'f> {
        Final {
            intent: self.intent(owed),
            provider: ending.provider,
            credential: ending.credential,
            prices: ending.prices,
            served: ending.served,
            usage: ending.usage,
            cost: ending.priced.cost,
            status: ending.status,
            end: ending.end,
            attempts: u16::try_from(self.trail.attempts.load(Relaxed)).unwrap_or(u16::MAX),
            latency: millis(ending.latency),
            first: self.trail.content.get().map(millis),
            flags: ending.flags,
        }
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.end(End::ClientLeft);
    }
}

fn end_of(outcome: Outcome) -> End {
    match outcome {
        Outcome::Complete => End::Complete,
        Outcome::ClientLeft => End::ClientLeft,
        Outcome::UpstreamCut => End::UpstreamCut,
        Outcome::UpstreamIdle => End::UpstreamIdle,
        Outcome::Unfinished => End::Unfinished,
        Outcome::Cut => End::Cut,
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

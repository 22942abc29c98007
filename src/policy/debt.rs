//! What one call owes: its receipt, its prices, and its place in the usage journal.
//!
//! Invariant: the journal hears of a call before its provider does, and of its cost before the client can see its end; each
//! exactly once, also when the debt is only dropped (a client that left before there was an answer, a task that died).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Core;
use crate::call::{Call, Outcome, Owed, Tally, Trail};
use crate::error::{Error, GatewayError};
use crate::ledger::account::Tokens;
use crate::ledger::name::Name;
use crate::ledger::receipt::Settled;
use crate::ledger::record::{End, Final, Flags, Intent, Said};
use crate::money::Pico;
use crate::price::{Gaps, Priced, Rates, whole_input};
use crate::protocol::usage::Usage;
use crate::snapshot::routes::Target;
use crate::telemetry::metrics::{Cells, CoreCells};

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
    owed: Option<Owed>,
}

/// How a call ended, for its record.
struct Ending<'e> {
    end: End,
    status: u16,
    provider: Name,
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
        Self { core, trail, call, route, owed: Some(owed) }
    }

    /// Whether anything is written down of such a call.
    fn is_recorded(&self) -> bool {
        self.call.endpoint.is_charged()
    }

    /// Before the request goes upstream.
    ///
    /// # Errors
    /// It cannot be written down, and must not be made then.
    pub(super) fn write_down(&self) -> Result<(), Error> {
        let Some(owed) = self.owed.as_ref().filter(|_| self.is_recorded()) else { return Ok(()) };
        let journal = &self.core.journal;
        let written = journal.intent(&self.intent(owed)).and_then(|()| journal.flush());
        written.map_err(|_| {
            journal.void(self.trail.id.number());
            GatewayError::LedgerFull { retry_after: RETRY }.into()
        })
    }

    /// The answer is over.
    pub(super) fn pay(mut self, target: &Arc<Target>, cells: &Cells, status: u16, tally: &Tally) {
        let Some(owed) = self.owed.take() else { return };
        self.counted(|cells| &cells.settled);
        let rates = owed.rates.clone();
        let at = u64::try_from(owed.receipt.at().unix).unwrap_or_default();
        let usage = tally.usage.unwrap_or_default();
        let charged = self.is_recorded() && (status < 400 || tally.usage.is_some());
        let priced = match (&rates, charged) {
            (_, false) => Priced { cost: Pico::ZERO, gaps: Gaps::NONE },
            (Some(rates), true) => rates.cost(&usage, at),
            (None, true) => Priced::UNKNOWN,
        };
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
        let fare = self.call.rules.fare(self.route);
        let place =
            self.call.rules.routes.routes[self.route as usize].targets.iter().position(|t| Arc::ptr_eq(t, target));
        let provider = place.and_then(|place| fare.providers.get(place)).copied().unwrap_or_default();
        let ending = Ending {
            end: end_of(tally.outcome),
            status,
            provider,
            served: &self.call.model,
            usage,
            priced,
            prices: rates.as_deref().map_or(Name::NONE, prices),
            flags: Flags::when(estimated, Flags::ESTIMATED).and(Flags::when(unpriced, Flags::UNPRICED)),
            latency: tally.duration,
        };
        self.close(owed, tokens, &ending);
    }

    /// No target has answered.
    pub(super) fn fail(mut self) {
        self.end(End::Failed);
    }

    fn end(&mut self, end: End) {
        let Some(owed) = self.owed.take() else { return };
        self.counted(|cells| &cells.interrupted);
        let ending = Ending {
            end,
            status: 0,
            provider: Name::NONE,
            served: "",
            usage: Usage::default(),
            priced: Priced { cost: Pico::ZERO, gaps: Gaps::NONE },
            prices: Name::NONE,
            flags: Flags::default(),
            latency: self.trail.at.elapsed(),
        };
        self.close(owed, Tokens::default(), &ending);
    }

    fn close(&self, owed: Owed, tokens: Tokens, ending: &Ending<'_>) {
        if self.is_recorded() {
            self.core.journal.finish(&self.last(&owed, ending));
            // What cannot be written now is written later: the call has been made.
            let _ = self.core.journal.flush();
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
        }
    }

    fn counted(&self, how: fn(&CoreCells) -> &AtomicU64) {
        let cells = self.core.metrics.core(self.core.index);
        cells.debts.fetch_sub(1, Relaxed);
        how(cells).fetch_add(1, Relaxed);
    }

    fn intent(&self, owed: &Owed) -> Intent<'_> {
        let payers = self.call.rules.payers(self.call.key);
        let now = owed.receipt.at();
        Intent {
            call: self.trail.id.number(),
            at: u64::try_from(now.unix).unwrap_or_default().saturating_mul(1_000),
            key: payers.key,
            owner: payers.owner,
            team: payers.team,
            organisation: payers.organisation,
            agent: Said::Here(self.call.agent),
            dialect: Said::Here(self.call.dialect),
            session: self.trail.session.get().map_or("", |session| session),
            user: self.trail.user.as_deref().unwrap_or_default(),
            asked: &self.call.model,
            hold: owed.hold,
            known: Pico::ZERO,
        }
    }

    fn last<'f>(&'f self, owed: &Owed, ending: &'f Ending<'_>) -> Final<'f> {
        Final {
            intent: self.intent(owed),
            provider: ending.provider,
            // A provider has one credential.
            credential: ending.provider,
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
    }
}

fn prices(rates: &Rates) -> Name {
    Name::of(&rates.version)
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

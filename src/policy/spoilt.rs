//! An attempt that failed when its request had been sent: the provider may bill what nobody got.
//!
//! Invariant: written down for every such attempt, with what it may have cost, and charged to nobody. What surely cost nothing
//! (no connection, a refusal) leaves no entry. All of it is an estimate, since a provider that breaks off tells nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::{Core, entry};
use crate::call::{Call, Trail};
use crate::error::Error;
use crate::ledger::name::Name;
use crate::ledger::record::{End, Final, Flags};
use crate::money::Pico;
use crate::protocol::estimate;
use crate::protocol::usage::Usage;
use crate::snapshot::routes::Target;
use crate::telemetry::clock;

/// An attempt, as it ended.
pub(super) struct Spoilt<'s> {
    pub(super) trail: &'s Trail,
    pub(super) call: &'s Call,
    pub(super) route: u32,
    pub(super) target: &'s Arc<Target>,
    /// What the route's pattern stood for.
    pub(super) captured: &'s str,
    pub(super) began: Instant,
    /// What it had told and shown, where an answer had begun.
    pub(super) used: Option<Usage>,
}

impl Spoilt<'_> {
    /// Writes it down, if it may have cost anything.
    pub(super) fn write_down(self, core: &Core, error: &Error) {
        let Self { trail, call, route, target, captured, began, used } = self;
        if core.journal.is_nowhere() || !call.endpoint.is_charged() || !error.may_be_billed() {
            return;
        }
        let asked = estimate::of_request(trail.bytes_in.load(Relaxed));
        let usage = used.unwrap_or(Usage { input: asked, ..Usage::default() });
        // An answer that began with an error costs nothing.
        if usage == Usage::default() {
            return;
        }
        let now = clock::since_epoch();
        let rates = target.rates(&call.model, captured, now.as_secs());
        let priced = entry::priced(rates.map(|rates| &**rates), &usage, now.as_secs(), true);
        let (provider, credential) = entry::who(call, route, target);
        let flags =
            Flags::FAILED_ATTEMPT.and(Flags::ESTIMATED).and(Flags::when(!priced.gaps.is_none(), Flags::UNPRICED));
        core.journal.attempt(&Final {
            intent: entry::intent(call, trail, u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Pico::ZERO),
            provider,
            credential,
            prices: rates.map_or(Name::NONE, |rates| entry::prices(rates)),
            served: &entry::asked_for(call, target),
            usage,
            cost: priced.cost,
            status: 0,
            end: End::Failed,
            attempts: u16::try_from(trail.attempts.load(Relaxed)).unwrap_or(u16::MAX),
            latency: u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX),
            first: None,
            flags,
        });
    }
}

//! We decide: one layer per file, in the order of the stack.
//!
//! How to write a layer: settings in, inner service in, nothing else; it answers or passes on, and knows no neighbour. One
//! that only decides is a [`gate::Decide`]; one that owns a future says why. Decide in `call`, never in `poll_ready`:
//! readiness is asked before the request is known, so every layer here is always ready.

pub mod gate;

pub mod admit;
pub mod authenticate;
pub mod authorize;
pub mod catalog;
pub mod failover;
pub mod fund;
pub mod identify;
pub mod observe;
pub mod passage;
pub mod plan;
pub mod reply;
pub mod rescue;
pub mod settle;
pub mod strangers;

mod attempt;
mod debt;
mod entry;
mod meter;
mod record;
mod spoilt;
mod standing;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::journal::CoreJournal;
use crate::ledger::Ledger;
use crate::owned::Owned;
use crate::snapshot::live::Follower;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::webhook::Outbox;

/// What the layers of one core share. Nothing in here is contended: each core has its own, but for the totals that must be
/// one for the whole process.
#[derive(Debug)]
pub struct Core {
    /// Which core this is.
    pub index: usize,
    /// The rules.
    pub follower: Follower,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Where access records go.
    pub access_log: AccessLog,
    /// What calls may cost and have cost; one for the whole process.
    pub ledger: Arc<Ledger>,
    /// Where usage is written down.
    pub journal: CoreJournal,
    /// Whose the ids are that providers made.
    pub owned: Arc<Owned>,
    /// Bytes of request bodies held by the whole process.
    pub held_bodies: Arc<AtomicU64>,
    /// Addresses that keep showing keys that are none; one for the whole process.
    pub strangers: Arc<strangers::Strangers>,
    /// Where it is said that a budget is nearly spent.
    pub outbox: Outbox,
    /// Whether the process is shutting down.
    pub draining: Arc<std::sync::atomic::AtomicBool>,
    /// Where the next request id comes from.
    pub ids: Ids,
}

/// Request ids of one core: a random beginning and a counter, mixed.
#[derive(Debug)]
pub struct Ids(AtomicU64);

impl Ids {
    /// Begins anywhere.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next one. Steps by an odd constant and mixes (splitmix64), so ids of one run never repeat and tell no count.
    pub fn next(&self) -> crate::call::RequestId {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, std::sync::atomic::Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        crate::call::RequestId::new(z ^ (z >> 31))
    }
}

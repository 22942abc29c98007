//! What it cost.
//!
//! So far a call reserves nothing and owes nothing; what stands already is the shape that keeps money right later: a
//! [`Receipt`] is settled exactly once, and one that is dropped unsettled settles itself as interrupted.

pub mod account;
pub mod bound;
pub mod calendar;
pub mod hold;
pub mod name;
pub mod receipt;
pub mod record;
pub mod ring;
pub mod rules;

mod purse;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::usage::Usage;

/// Receipts under way and settled; outlives every reload.
#[derive(Debug, Default)]
pub struct Ledger {
    open: AtomicU64,
    settled: AtomicU64,
    interrupted: AtomicU64,
}

/// A reservation that must be settled.
#[derive(Debug)]
pub struct Receipt {
    ledger: Option<Arc<Ledger>>,
}

impl Ledger {
    /// Reserves what a call may cost.
    #[must_use]
    pub fn reserve(self: &Arc<Self>) -> Receipt {
        self.open.fetch_add(1, Ordering::Relaxed);
        Receipt { ledger: Some(Arc::clone(self)) }
    }

    /// Receipts that are neither settled nor dropped.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Receipts settled with what the call cost.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    /// Receipts that ended without a settlement: the call was refused by every target, or nobody waited for it.
    #[must_use]
    pub fn interrupted(&self) -> u64 {
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Receipt {
    /// The call is over and cost this much.
    pub fn settle(mut self, _usage: Option<Usage>) {
        if let Some(ledger) = self.ledger.take() {
            ledger.open.fetch_sub(1, Ordering::Relaxed);
            ledger.settled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.open.fetch_sub(1, Ordering::Relaxed);
            ledger.interrupted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

//! How the journal and the store behind it are doing: what a metric shouts.
//!
//! Counters only grow, gauges are the last known value. Read by `/metrics` and `/ready`; written by the cores and by two
//! threads. Deliberately without a history: that is Prometheus'.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// See the module. One for the process.
#[derive(Debug, Default)]
pub struct Health {
    /// Gauge: bytes of journal files on disk that are not yet in the store.
    pub depth: AtomicU64,
    /// Gauge: cores whose last write failed.
    pub failing: AtomicU64,
    /// Frames that found no room, neither on disk nor in memory: usage that is lost.
    pub lost: AtomicU64,
    /// Calls refused because they could not be written down.
    pub refused: AtomicU64,
    /// Writes and syncs that failed.
    pub write_errors: AtomicU64,
    /// Gauge: age of the oldest frame that is not yet in the store, in milliseconds.
    pub lag: AtomicU64,
    /// Transactions that failed.
    pub store_errors: AtomicU64,
    /// Gauge: 1 while the last transaction failed.
    pub store_failing: AtomicU64,
    /// Records in the store, of this process.
    pub records: AtomicU64,
    /// Of those, calls whose end nobody saw.
    pub interrupted: AtomicU64,
    /// Bytes of journal files that could not be read: a power cut, or a broken disk.
    pub damaged: AtomicU64,
    /// Databases that were broken and moved aside.
    pub moved_aside: AtomicU64,
    last: Mutex<String>,
}

impl Health {
    /// What went wrong last; empty if nothing has.
    #[must_use]
    pub fn last_error(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether calls are written down and reach the store.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failing.load(Relaxed) == 0 && self.store_failing.load(Relaxed) == 0
    }

    /// Remembers what went wrong.
    pub fn note(&self, what: &str, error: impl fmt::Display) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = format!("{what}: {error}");
    }

    /// Takes from a gauge, never below zero.
    pub fn shrink(gauge: &AtomicU64, by: u64) {
        let _ = gauge.fetch_update(Relaxed, Relaxed, |now| Some(now.saturating_sub(by)));
    }
}

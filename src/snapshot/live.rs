//! The only `ArcSwap`: `publish` is an infallible store, and each core follows with a view of its own.
//!
//! Invariant: after `publish` has returned, the next `now` of every core sees the new rules.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::charter::Fresh;
use super::{CoreView, Snapshot, View};
use crate::ledger::Ledger;
use crate::telemetry::clock;

/// The rules as published.
#[derive(Debug)]
pub struct Live {
    swap: ArcSwap<Snapshot>,
    generation: AtomicU64,
    ledger: Arc<Ledger>,
    /// Who knows what was spent before.
    past: OnceLock<Box<dyn Past>>,
    /// Accounts whose past nobody could tell yet.
    untold: Mutex<Vec<Fresh>>,
}

/// Who knows what accounts have spent before this process.
pub trait Past: Debug + Send + Sync {
    /// Tells them ([`Account::restore`](crate::ledger::account::Account::restore)).
    fn tell(&self, fresh: &[Fresh]);
}

/// Rules that compiled: ready to be published.
#[derive(Debug)]
pub struct Prepared(pub Snapshot);

impl Live {
    /// Starts with the first rules.
    #[must_use]
    pub fn new(Prepared(mut first): Prepared) -> Arc<Self> {
        first.generation = 1;
        let ledger = Arc::new(Ledger::default());
        let untold = Mutex::new(first.bind(&ledger, ledger.at(Instant::now(), clock::since_epoch())));
        let (swap, generation) = (ArcSwap::from_pointee(first), AtomicU64::new(1));
        Arc::new(Self { swap, generation, ledger, past: OnceLock::new(), untold })
    }

    /// What calls are charged to; outlives every publication.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// From now on what was spent before is told: first what is due, and then with every publication.
    pub fn remember(&self, past: Box<dyn Past>) {
        let past = self.past.get_or_init(|| past);
        past.tell(&std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    /// Makes new rules valid for every request that begins from here on. Returns their generation.
    ///
    /// Called by one thread at a time (the config watcher), so generations are in the order of the stores.
    pub fn publish(&self, Prepared(mut next): Prepared) -> u64 {
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        next.generation = generation;
        let fresh = next.bind(&self.ledger, self.ledger.at(Instant::now(), clock::since_epoch()));
        match self.past.get() {
            Some(past) if !fresh.is_empty() => past.tell(&fresh),
            Some(_) => {}
            None => self.untold.lock().unwrap_or_else(PoisonError::into_inner).extend(fresh),
        }
        self.swap.store(Arc::new(next));
        // After the store: a core that sees the new number finds the new rules.
        self.generation.store(generation, Ordering::Release);
        self.ledger.accounts.sweep();
        generation
    }

    /// The rules, for whoever is not on the hot path.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.swap.load_full()
    }
}

/// One core's view of [`Live`].
#[derive(Debug)]
pub struct Follower {
    live: Arc<Live>,
    // Uncontended: only this core's thread locks it, and never across an await.
    view: Mutex<View>,
}

impl Follower {
    /// Begins to follow.
    #[must_use]
    pub fn new(live: Arc<Live>) -> Self {
        let view = Mutex::new(Arc::new(CoreView(live.snapshot())));
        Self { live, view }
    }

    /// The rules now. Called once per request, and every second by the core's janitor, so that an idle core does not keep
    /// old rules alive.
    #[must_use]
    pub fn now(&self) -> View {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if view.generation != self.live.generation.load(Ordering::Acquire) {
            *view = Arc::new(CoreView(self.live.snapshot()));
        }
        Arc::clone(&view)
    }
}

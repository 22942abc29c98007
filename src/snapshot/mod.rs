//! What the rules are now: immutable, compiled.
//!
//! Invariant: a request reads one snapshot and lives by it to its end. Nothing that counts is in here; counters outlive
//! reloads.

pub mod charter;
pub mod key;
pub mod keyring;
pub mod live;
pub mod mounts;
pub mod routes;

use std::sync::Arc;
use std::time::Duration;

use charter::{Binder, Charter, Fare, Fresh, Payers};

use crate::ledger::Ledger;
use crate::ledger::account::Now;
use crate::provider::webhook::Webhook;
use keyring::Keyring;
use mounts::Mounts;
use routes::Routes;

/// Everything that a request may read.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts publications, from 1.
    pub generation: u64,
    /// Who may call.
    pub keyring: Keyring,
    /// Which model goes where.
    pub routes: Routes,
    /// Path prefixes with a meaning of their own.
    pub mounts: Mounts,
    /// Bounds on requests.
    pub limits: Limits,
    /// How long clients may take, and when a silent stream gets a keep-alive.
    pub timeouts: ClientTimeouts,
    /// What accounts are held to.
    pub charter: Charter,
    /// Who is told when a budget is nearly spent.
    pub webhook: Option<Arc<Webhook>>,
    /// By key. Empty until it is published.
    payers: Vec<Payers>,
    /// By route. Empty until it is published.
    fares: Vec<Fare>,
}

impl Snapshot {
    /// Rules that nobody lives by yet.
    #[must_use]
    pub fn new(
        keyring: Keyring,
        routes: Routes,
        mounts: Mounts,
        limits: Limits,
        timeouts: ClientTimeouts,
        charter: Charter,
    ) -> Self {
        Self {
            generation: 0,
            keyring,
            routes,
            mounts,
            limits,
            timeouts,
            charter,
            webhook: None,
            payers: Vec::new(),
            fares: Vec::new(),
        }
    }

    /// Opens the accounts that calls are charged to. Returns those whose past must be told.
    pub fn bind(&mut self, ledger: &Ledger, now: Now) -> Vec<Fresh> {
        let mut binder = Binder::new(&self.charter, ledger, now);
        self.payers = self.keyring.iter().map(|key| binder.payers(key)).collect();
        self.fares = self.routes.routes.iter().map(|route| binder.fare(route)).collect();
        binder.fresh
    }

    /// Whom a key's calls are charged to.
    #[must_use]
    pub fn payers(&self, key: KeyId) -> &Payers {
        &self.payers[key.0 as usize]
    }

    /// Whom a route's calls are charged to besides.
    #[must_use]
    pub fn fare(&self, route: u32) -> &Fare {
        &self.fares[route as usize]
    }
}

/// Bounds on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub request_body: u64,
    /// All request bodies held at one time, in bytes.
    pub inflight_bodies: u64,
    /// Requests under way at one time, over all cores.
    pub inflight_requests: u64,
    /// Keys that are none, from one address within a minute; 0: any number.
    pub failed_keys: u32,
    /// Answers to the same body of a session within a minute; 0: any number.
    pub repeats: u32,
}

/// How long clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// Between two frames of a request body.
    pub body: Duration,
    /// Silence inside a stream after which a keep-alive is sent, in the dialects that have one. Zero: never.
    pub keepalive: Duration,
}

/// A key's place in the [`Keyring`] of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub u32);

/// The snapshot as one core holds it: a reference count of its own, so that cores do not share a cache line per request.
pub type View = Arc<CoreView>;

/// See [`View`].
#[derive(Debug)]
pub struct CoreView(pub Arc<Snapshot>);

impl std::ops::Deref for CoreView {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

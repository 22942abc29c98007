//! What calls may cost and have cost.
//!
//! [`account`] holds before and charges after, all accounts of a call or none ([`receipt`]); [`hold`] knows what such calls
//! usually cost; [`repeat`] who goes round in circles; [`record`] is what is written down of each. Invariant: everything here
//! outlives every reload of the rules, which only say what accounts are held to ([`rules`]).

pub mod account;
pub mod bound;
pub mod calendar;
pub mod hold;
pub mod name;
pub mod receipt;
pub mod record;
pub mod repeat;
pub mod ring;
pub mod rules;
pub mod warning;

mod purse;

use std::time::{Duration, Instant};

use account::{Accounts, Now};
use hold::Estimator;
use repeat::Repeats;

/// One for the process.
#[derive(Debug)]
pub struct Ledger {
    /// Who pays.
    pub accounts: Accounts,
    /// What calls of a kind cost.
    pub estimator: Estimator,
    /// Sessions that go round in circles.
    pub repeats: Repeats,
    began: Instant,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            accounts: Accounts::default(),
            estimator: Estimator::default(),
            repeats: Repeats::default(),
            began: Instant::now(),
        }
    }
}

impl Ledger {
    /// A moment by both clocks; the wall clock's comes in.
    #[must_use]
    pub fn at(&self, moment: Instant, since_epoch: Duration) -> Now {
        Now::new(moment.saturating_duration_since(self.began), since_epoch)
    }
}

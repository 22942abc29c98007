//! What is said of a budget that has reached its mark: whose it is, and how it stood.
//!
//! Invariant: a fact, for whoever tells it on; that it is said once in a period, the budget itself knows.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::error::limit::{Level, Period};
use crate::money::Pico;

/// From now on a budget is nearly spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Whose budget.
    pub level: Level,
    /// By name.
    pub name: Arc<str>,
    /// How long it lasts.
    pub period: Period,
    /// All of it.
    pub cap: Pico,
    /// What is spent of it.
    pub spent: Pico,
    /// From which part on a warning is due, in percent.
    pub warn_at: u8,
    /// When the present period began, in seconds since 1970; `None`: it has no beginning.
    pub begin: Option<i64>,
    /// When the next one begins; `None`: there is none.
    pub end: Option<i64>,
    /// Where its days begin.
    pub zone: TimeZone,
}

//! What a key has used, asked by calls of whoever keeps the journal's records.
//!
//! Invariant: a core that asks never waits for a database: a question that finds no room, or that nobody answers in time, is
//! one without an answer. Deliberately not here: where the answers come from (`store`).

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::money::Pico;

/// Questions that may wait at one time.
const MOST: usize = 64;

/// What was used in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Calls that were answered, or begun.
    pub calls: u64,
    /// Tokens neither from nor to a cache.
    pub input: u64,
    /// Tokens from a cache.
    pub cache_read: u64,
    /// Tokens to a cache, for any time but an hour.
    pub cache_write: u64,
    /// Tokens to a cache, for an hour.
    pub cache_write_1h: u64,
    /// Tokens out of the model.
    pub output: u64,
    /// Of those, reasoning.
    pub reasoning: u64,
    /// What it cost, estimates included.
    pub cost: Pico,
    /// Of that, what is estimated.
    pub estimated_cost: Pico,
}

/// What a key has used lately, by days of UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lately {
    /// The first second of the present day, since 1970.
    pub day: u64,
    /// On the present day.
    pub today: Used,
    /// On it and the 29 days before.
    pub thirty: Used,
}

/// A question.
#[derive(Debug)]
pub struct Question {
    /// Of which key.
    pub key: Arc<str>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Lately>,
}

/// Where questions are asked.
#[derive(Debug)]
pub struct Desk(mpsc::Sender<Question>);

impl Desk {
    /// With the end at which they are answered.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Question>) {
        let (sender, questions) = mpsc::channel(MOST);
        (Self(sender), questions)
    }

    /// Asks; `None`: too many others do.
    #[must_use]
    pub fn ask(&self, key: &Arc<str>) -> Option<oneshot::Receiver<Lately>> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Question { key: Arc::clone(key), answer }).ok()?;
        Some(answered)
    }
}

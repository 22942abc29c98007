//! The simulated provider, from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, also in its helpers")]

mod answers;
mod chunks;
mod counts;
mod faults;
mod raw;
mod requests;
mod turns;

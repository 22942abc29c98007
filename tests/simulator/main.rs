//! The simulated provider, from outside.

mod answers;
mod chunks;
mod counts;
mod faults;
mod raw;
mod requests;
mod turns;

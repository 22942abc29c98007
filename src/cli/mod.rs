//! One file per command.

pub mod first_minute;
pub mod mock;
pub mod serve;

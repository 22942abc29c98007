//! One file per command.

pub mod check;
pub mod first_minute;
pub mod key;
pub mod mock;
pub mod schema;
pub mod serve;

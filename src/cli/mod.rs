//! One file per command.

use std::io::Write;

/// Prints to standard output. A reader that has left (`| head`) is no reason to fail, let alone to panic.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
}

pub mod check;
pub mod first_minute;
pub mod key;
pub mod leash;
#[cfg(target_os = "linux")]
pub mod loadtest;
pub mod mock;
#[cfg(target_os = "linux")]
pub mod passthrough;
pub mod price;
pub mod schema;
pub mod serve;
pub mod usage;

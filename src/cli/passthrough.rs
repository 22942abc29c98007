//! `tollgate passthrough`, hidden: the baseline of `tollgate loadtest` as a process of its own.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use http::uri::Authority;

use super::leash::Leash;
use crate::loadtest::passthrough::{Slowness, serve};

/// A bare proxy without any policy, to compare with
#[derive(Debug, clap::Args)]
pub struct Passthrough {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where everything goes
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Authority,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: usize,
    /// Sleep so many microseconds before each request, to see a load test find it out
    #[arg(long, value_name = "US", default_value_t = 0)]
    delay_us: u64,
    /// Compute so many microseconds before each request
    #[arg(long, value_name = "US", default_value_t = 0)]
    burn_us: u64,
    /// Stand still so many milliseconds, every --stall-every-ms
    #[arg(long, value_name = "MS", default_value_t = 0)]
    stall_ms: u64,
    /// How often to stand still
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    stall_every_ms: u64,
    #[command(flatten)]
    leash: Leash,
}

/// Serves until the process is ended.
#[must_use]
pub fn run(args: &Passthrough) -> ExitCode {
    let slowness = Slowness {
        delay: Duration::from_micros(args.delay_us),
        burn: Duration::from_micros(args.burn_us),
        stall: Duration::from_millis(args.stall_ms),
        stall_every: Duration::from_millis(args.stall_every_ms),
    };
    let held = args.leash.hold();
    match held.and_then(|()| serve(args.listen, &args.upstream, args.workers, slowness)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: --listen {}: {error}", args.listen);
            ExitCode::FAILURE
        }
    }
}

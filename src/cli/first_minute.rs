//! The first minute: no configuration, on one's own machine, something to paste.
//!
//! Invariant: it is nothing but a configuration that Tollgate writes itself, so there is one way to make rules; it listens
//! on loopback only, and there is always a key. It deliberately has no settings: whoever wants one writes a file.

pub mod banner;
pub mod keep;
pub mod offers;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

pub use banner::Banner;
use keep::Kept;
use offers::Found;

use crate::config::{self, Env, Loaded};
use crate::simulator::{Script, Simulator};
use crate::telemetry::metrics::Metrics;

/// What is known before the sockets are bound. Dropping it ends the built-in simulator.
pub struct FirstMinute {
    found: Found,
    kept: Kept,
    simulator: Option<Simulator>,
}

impl FirstMinute {
    /// Finds the key (or makes it) and the providers; with none of them it starts the simulator, on the runtime that this
    /// runs on.
    ///
    /// # Errors
    ///
    /// A text for people: see [`keep::key`].
    pub async fn begin(env: &Env<'_>) -> Result<Self, String> {
        let kept = keep::key(&keep::folder(env)?)?;
        let found = offers::find(env);
        let simulator = if found.offers.is_empty() {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let started = Simulator::start(Script::default(), any).await;
            Some(started.map_err(|e| format!("error: the built-in simulator cannot listen on {any}: {e}"))?)
        } else {
            None
        };
        Ok(Self { found, kept, simulator })
    }

    /// The rules.
    ///
    /// # Errors
    ///
    /// A text for people, when a variable holds what cannot be a key.
    pub fn load(&self, env: &Env<'_>, metrics: &Metrics) -> Result<Loaded, String> {
        let simulator = self.simulator.as_ref().map(Simulator::url);
        let text = offers::rules(&self.found, &self.kept.key.digest_hex(), simulator.as_deref());
        config::load_text(Path::new("<first minute>"), &text, env, metrics).map_err(|problems| problems.to_string())
    }

    /// What is printed once the sockets are bound.
    #[must_use]
    pub const fn banner(&self, agents: SocketAddr, operators: SocketAddr) -> Banner<'_> {
        Banner { found: &self.found, kept: &self.kept, agents, operators }
    }
}

//! A provider that is not one: answers all four dialects from a script, for the first minute, for tests and for load.
//!
//! It speaks HTTP/1.1 on one socket, under any path prefix, and misbehaves exactly as told. Driven by real agents it
//! plays a whole turn: it calls their shell tool with the command that the user names, and reports what the tool
//! printed.
//!
//! Invariant: memory is bounded (bodies, recordings, rendered answers, connections). It does not check keys unless told
//! to, does not speak TLS, and knows nothing of the gateway.

mod answer;
mod body;
mod dialect;
mod embedding;
mod endpoint;
mod fault;
mod headers;
mod json;
mod line;
mod listing;
mod refusal;
mod scenario;
mod schema;
mod script;
mod serve;
mod skim;
mod stage;
mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use fault::{Cut, Effect, Fault, How, MidStream, Refusal};
pub use script::{Chunking, Headers, MAX_TEXT, Script, Tokens, Tools};
use serve::Shared;
pub use serve::Witness;
pub use tally::{Counts, MAX_RECORDED, MAX_RECORDED_BYTES, Recorded, Split};

/// Largest request body, in bytes; a larger one is refused with 413.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// A running simulator. Dropping it ends its connections.
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Simulator {
    /// Listens at `address` (port 0: any free one) and answers from now on, on the current tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(script: Script, address: SocketAddr) -> io::Result<Self> {
        Self::start_watched(script, address, None).await
    }

    /// The same; the witness is told of every request, before it is answered. It must not block for long.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_watched(script: Script, address: SocketAddr, witness: Option<Witness>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script, witness));
        // Its connections are its children: they end with it, and it ends with `Self`.
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.tally.counts()
    }

    /// Plays another script from the next request on; faults are counted anew.
    pub fn set_script(&self, script: Script) {
        self.shared.play(script);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

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
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use fault::{Cut, Effect, Fault, How, MidStream, Pause, Refusal};
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
    /// The other workers' threads end when it is gone.
    _others: watch::Sender<()>,
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
        Self::start_wide(script, address, witness, NonZeroUsize::MIN).await
    }

    /// The same, for load that one core cannot answer: every worker but the first is a thread with a runtime and a listening socket
    /// of its own, between which the kernel spreads connections.
    ///
    /// # Errors
    /// The address cannot be bound, or a thread cannot start.
    pub async fn start_wide(
        script: Script,
        address: SocketAddr,
        witness: Option<Witness>,
        workers: NonZeroUsize,
    ) -> io::Result<Self> {
        let listener = listener(address, workers > NonZeroUsize::MIN)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script, witness));
        let (others, gone) = watch::channel(());
        for _ in 1..workers.get() {
            // Bound here, so that a failure is told.
            let listener = listener_of_thread(address)?;
            let (shared, mut gone) = (Arc::clone(&shared), gone.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            std::thread::Builder::new().name("simulator".to_owned()).spawn(move || {
                runtime.block_on(async {
                    let Ok(listener) = TcpListener::from_std(listener) else { return };
                    tokio::select! {
                        () = serve::accept(listener, shared) => {}
                        _ = gone.changed() => {}
                    }
                });
            })?;
        }
        // Its connections are its children: they end with it, and it ends with `Self`.
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting, _others: others })
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

fn listener(address: SocketAddr, shares_port: bool) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 4096;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shares_port)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// To be used in another runtime than this one.
fn listener_of_thread(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    listener(address, true)?.into_std()
}

//! What only a restart changes.
//!
//! Plain values, compiled and bounded; a reload that finds others says that they wait for a restart.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

use crate::journal::OnFull;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// The listeners.
    pub listen: Listen,
    /// What is logged, and where to.
    pub log: Log,
    /// What is kept over a restart.
    pub state: State,
    /// What of the usage is kept, and where.
    pub ledger: Ledger,
}

/// What of the usage is kept, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The database; `None`, as with the next one, where neither the file nor the environment names a place: then nothing
    /// of the usage outlives the process.
    pub database: Option<PathBuf>,
    /// The folder of the journal.
    pub journal: Option<PathBuf>,
    /// How long single records are kept; at least 32 days.
    pub retention: Duration,
    /// What happens to calls that cannot be written down.
    pub on_full: OnFull,
    /// What may wait on disk for the database, in bytes.
    pub journal_max: u64,
}

/// What is kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where; `None` where the environment names no place.
    pub directory: Option<PathBuf>,
    /// Ids of stored responses that are remembered; at least 1.
    pub response_ids: usize,
}

/// The listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// For agents.
    pub address: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
    /// Threads that serve; at least 1.
    pub workers: usize,
    /// Client connections at one time, over all workers; at least 1.
    pub max_connections: usize,
    /// To the end of a request's head.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// For streams in flight at shutdown.
    pub drain: Duration,
    /// A proxy that ends TLS stands in front.
    pub behind_proxy: bool,
    /// The proxies whose word on a client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// They begin each connection with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Where the next process takes our sockets over.
    pub handover: Option<PathBuf>,
    /// TLS is spoken to agents.
    pub tls: bool,
}

/// What is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least important messages that are written.
    pub level: LevelFilter,
    /// One JSON object per message instead of text.
    pub json: bool,
    /// One line per request.
    pub access: Access,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To the end of this file.
    File(PathBuf),
}

impl Startup {
    /// The settings that differ, by their names in the file.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let Self { listen, log, state, ledger } = self;
        let Listen {
            address,
            admin,
            workers,
            max_connections,
            header_timeout,
            idle_timeout,
            drain,
            behind_proxy,
            trusted_proxies,
            proxy_protocol,
            handover,
            tls,
        } = listen;
        let Log { level, json, access } = log;
        let (l, o) = (&other.listen, &other.log);
        [
            ("listen.address", *address != l.address),
            ("listen.admin", *admin != l.admin),
            ("listen.workers", *workers != l.workers),
            ("listen.max_connections", *max_connections != l.max_connections),
            ("listen.header_timeout", *header_timeout != l.header_timeout),
            ("listen.idle_timeout", *idle_timeout != l.idle_timeout),
            ("listen.drain", *drain != l.drain),
            ("listen.behind_proxy", *behind_proxy != l.behind_proxy),
            ("listen.trusted_proxies", *trusted_proxies != l.trusted_proxies),
            ("listen.proxy_protocol", *proxy_protocol != l.proxy_protocol),
            ("listen.handover", *handover != l.handover),
            ("listen.tls", *tls != l.tls),
            ("log.level", *level != o.level),
            ("log.format", *json != o.json),
            ("log.access", *access != o.access),
            ("ledger.path", ledger.database != other.ledger.database),
            ("ledger.retention", ledger.retention != other.ledger.retention),
            ("ledger.on_full", ledger.on_full != other.ledger.on_full),
            ("ledger.journal_max", ledger.journal_max != other.ledger.journal_max),
            ("state.directory", state.directory != other.state.directory),
            ("limits.response_ids", state.response_ids != other.state.response_ids),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

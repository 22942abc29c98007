//! `tollgate serve`: the gateway.
//!
//! With a configuration it serves by it and follows its changes. Without one it is the first minute: loopback only, one key
//! that survives restarts, every provider whose usual variable is set, and the built-in simulator if none is.

mod books;
mod handover;
mod notify;

use std::future::Future;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::admin::{self, Admin, Failure, Rules, RulesStatus};
use crate::cli::first_minute::FirstMinute;
use crate::cli::leash::Leash;
use crate::config::startup::{Access, Listen, Startup};
use crate::config::watch::{Contents, Status, Watcher};
use crate::config::{self, Loaded};
use crate::listen::{self, Settings, Trusted};
use crate::owned::Owned;
use crate::snapshot::live::{Live, Prepared};
use crate::telemetry;
use crate::telemetry::access_log::{Destination, Writer};
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;
use crate::tls::Served;
use crate::webhook::Postman;
use crate::worker::{Parts, Workers};

use books::Books;
use handover::{Offer, Taken};

/// Arguments of `serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The configuration. Default: $TOLLGATE_CONFIG, ./tollgate.toml, then tollgate/tollgate.toml in $XDG_CONFIG_HOME or
    /// ~/.config; if there is none, the first minute.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    leash: Leash,
}

/// Runs until it is told to stop. Exit code 1 if it could not start.
#[must_use]
pub fn run(serve: &Serve) -> ExitCode {
    match start(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}", why.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn start(serve: &Serve) -> Result<(), String> {
    serve.leash.hold().map_err(|e| format!("error: cannot start: {e}"))?;
    let control = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("error: the control runtime cannot start: {e}"))?;
    match config::search(serve.config.as_deref(), &config::process_env) {
        Some(path) => control.block_on(by_file(&path)),
        None => control.block_on(first_minute()),
    }
}

/// Without a configuration: by what is in the environment, for this machine only.
async fn first_minute() -> Result<(), String> {
    let minute = FirstMinute::begin(&config::process_env).await?;
    let cores = minute.load(&config::process_env, &Metrics::default())?.startup.listen.workers;
    let metrics = Arc::new(Metrics::new(cores));
    let Loaded { prepared, startup, warnings, .. } = minute.load(&config::process_env, &metrics)?;
    telemetry::start(startup.log.level, startup.log.json);
    for warning in warnings {
        warn!("{warning}");
    }
    let gateway = Gateway::open(prepared, startup, None, metrics)
        .map_err(|why| format!("{why} in a tollgate.toml: without one, these are the only ports"))?;
    // Nobody may be reading: that is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{}", minute.banner(gateway.address, gateway.admin_address));
    gateway.serve(Arc::new(Unwatched(1)), None).await
}

async fn by_file(path: &Path) -> Result<(), String> {
    // The counters need to know how many cores there are, the rules need the counters, and the file says how many cores.
    let first = load(path, &Metrics::default())?;
    let contents = Contents::of(first.watched.into_iter().collect());
    let cores = first.startup.listen.workers;
    let metrics = Arc::new(Metrics::new(cores));
    let Loaded { prepared, startup, tls, warnings, .. } = load(path, &metrics)?;
    telemetry::start(startup.log.level, startup.log.json);
    for warning in warnings {
        warn!("{warning}");
    }
    let gateway = Gateway::open(prepared, startup, tls, metrics)?;
    let (live, metrics) = (Arc::clone(&gateway.live), Arc::clone(&gateway.metrics));
    let (startup, tls) = (gateway.startup.clone(), gateway.tls.clone());
    let watcher = Watcher::new(path.to_owned(), contents, startup, live, tls, metrics);
    let following = tokio::spawn(Arc::clone(&watcher).follow());
    let served = gateway.serve(Arc::new(Watched(watcher)), Some(path)).await;
    following.abort();
    served
}

fn load(path: &Path, metrics: &Metrics) -> Result<Loaded, String> {
    config::load(path, &config::process_env, metrics).map_err(|problems| problems.to_string())
}

/// A gateway whose sockets are bound and whose cores do not run yet.
struct Gateway {
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    startup: Startup,
    tls: Option<Arc<Served>>,
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    admin: TcpListener,
    admin_address: SocketAddr,
    access_log: Writer,
    /// The process whose sockets these are, until we serve.
    old: Option<Taken>,
}

impl Gateway {
    fn open(
        prepared: Prepared,
        startup: Startup,
        tls: Option<Arc<ServerConfig>>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let tls = tls.map(Served::new);
        let Sockets { listeners, admin, old } = sockets(&startup.listen)?;
        let local = |listener: &TcpListener| listener.local_addr().map_err(|e| format!("error: {e}"));
        let (address, admin_address) = (local(&listeners[0])?, local(&admin)?);
        let destination = match &startup.log.access {
            Access::Off => Destination::Off,
            Access::Stdout => Destination::Stdout,
            Access::File(path) => Destination::File(path.clone()),
        };
        let access_log = Writer::start(&destination)
            .map_err(|e| format!("error: the access log ({destination:?}) cannot be opened: {e}"))?;
        let live = Live::new(prepared);
        metrics.reload.generation.store(1, Relaxed);
        metrics.reload.last_success.store(clock::since_epoch().as_secs(), Relaxed);
        Ok(Self { live, metrics, startup, tls, listeners, address, admin, admin_address, access_log, old })
    }

    /// Raises the limit of open files as far as may be: every call holds two, and systems still begin with 1,024.
    fn raise_open_files(&self) {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = Rlimit { current: maximum, maximum };
        let now = match setrlimit(Resource::Nofile, wanted) {
            Ok(()) => maximum,
            Err(error) => {
                warn!(%error, "the limit of open files cannot be raised");
                current
            }
        };
        // None: no limit.
        self.metrics.open_files_limit.store(now.unwrap_or(u64::MAX), Relaxed);
        // A client's connection and a provider's, and some for ourselves.
        let needed = self.startup.listen.max_connections as u64 * 2 + 64;
        match now {
            Some(limit) if limit < needed => warn!(
                limit,
                needed,
                "fewer files may be open than listen.max_connections needs; raise the limit (ulimit -Hn, LimitNOFILE=)"
            ),
            _ => info!(limit = now, "open files"),
        }
    }

    /// Whose the ids of stored responses are.
    fn owned(&self) -> Owned {
        let max = self.startup.state.response_ids;
        match &self.startup.state.directory {
            Some(folder) => Owned::kept_in(folder, max, &self.metrics),
            None => {
                warn!("there is no place to keep ids of stored responses over a restart: set state.directory");
                Owned::in_memory(max, &self.metrics)
            }
        }
    }

    /// Serves until SIGTERM or SIGINT, then drains. Says so where there is a configuration.
    async fn serve(self, rules: Arc<dyn Rules>, config: Option<&Path>) -> Result<(), String> {
        self.raise_open_files();
        let listen = &self.startup.listen;
        let owned = Arc::new(self.owned());
        let books = Books::open(&self.startup.ledger, listen.workers, &self.live)
            .map_err(|e| format!("error: the usage journal cannot be kept: {e}"))?;
        let (outbox, postman) = Postman::start(Arc::clone(&self.live), &self.metrics);
        let parts = Parts {
            outbox: &outbox,
            owned: &owned,
            journal: books.journal(),
            live: &self.live,
            metrics: &self.metrics,
            access_log: &self.access_log,
            tls: self.tls.as_ref(),
            settings: settings(listen),
            cores: listen.workers,
        };
        let broken = |what: &str, e: &std::io::Error| format!("error: {what}: {e}");
        // Before anybody is told that we serve: a signal that nobody receives ends a process.
        let signals = Signals::receive().map_err(|e| broken("signals cannot be received", &e))?;
        let copies =
            self.listeners.iter().chain([&self.admin]).map(TcpListener::try_clone).collect::<Result<Vec<_>, _>>();
        let workers = Workers::start(self.listeners, &parts).map_err(|e| broken("a core cannot start", &e))?;
        let admin = Admin {
            metrics: Arc::clone(&self.metrics),
            rules: Arc::clone(&rules),
            draining: workers.draining(),
            ledger: Arc::clone(self.live.ledger()),
            usage: books.health(),
        };
        let listener = tokio::net::TcpListener::from_std(self.admin).map_err(|e| broken("listen.admin", &e))?;
        let administration = tokio::spawn(admin::serve(listener, admin));
        // Not before the books are open: what dead processes left is counted now.
        if let Some(config) = config {
            info!(config = %config.display(), address = %self.address, admin = %self.admin_address, "serving");
        }
        if let Some(old) = self.old.map(Taken::serving) {
            info!(heard = old.is_ok(), "took the sockets over");
        }
        let offer = match &listen.handover {
            Some(path) => {
                let copies = copies.map_err(|e| broken("listen.handover", &e))?;
                Some(Offer::new(path, copies).map_err(|e| broken("listen.handover", &e))?)
            }
            None => None,
        };
        notify::notify(&format!("READY=1\nMAINPID={}", std::process::id()));
        let end = until_told_to_stop(signals, &rules, offer).await.map_err(|e| broken("listen.handover", &e))?;
        info!(connections = workers.connections(), patience = ?listen.drain, "draining");
        match end {
            End::Told => {
                notify::notify("STOPPING=1");
                workers.drain(listen.drain).await;
            }
            End::Replaced => workers.hand_over(listen.drain).await,
        }
        let left = workers.connections();
        workers.join();
        owned.finish();
        books.finish();
        postman.finish().await;
        administration.abort();
        self.access_log.finish();
        info!(unfinished = left, "stopped");
        Ok(())
    }
}

fn settings(listen: &Listen) -> Settings {
    Settings {
        header_timeout: listen.header_timeout,
        idle_timeout: listen.idle_timeout,
        max_connections: listen.max_connections,
        trusted: Trusted { proxies: listen.trusted_proxies.clone().into(), proxy_protocol: listen.proxy_protocol },
    }
}

/// What we listen on, and whose it was.
struct Sockets {
    listeners: Vec<TcpListener>,
    admin: TcpListener,
    old: Option<Taken>,
}

/// From a running process, from the service manager (sd_listen_fds(3)), or bound anew.
fn sockets(listen: &Listen) -> Result<Sockets, String> {
    let bind = |address: SocketAddr, cores: usize, setting: &str| {
        listen::bind(address, cores).map_err(|e| {
            format!("error: cannot listen on {address} ({setting}): {e}\n  hint: end what listens there, or set {setting} to another port")
        })
    };
    if let Some(path) = &listen.handover {
        let taken = handover::take(path, listen.address, listen.admin)
            .map_err(|e| format!("error: the sockets cannot be taken over ({}): {e}", path.display()))?;
        if let Some(mut taken) = taken {
            let admin = taken.admin.try_clone().map_err(|e| format!("error: {e}"))?;
            let listeners = std::mem::take(&mut taken.listeners);
            return Ok(Sockets { listeners, admin, old: Some(taken) });
        }
    }
    let mut given = listenfd::ListenFd::from_env();
    let mut next = |n: usize| given.take_tcp_listener(n).ok().flatten();
    // The unit's first socket is the agents', its second one, if there is one, the operators'.
    let listeners = match next(0) {
        Some(listener) => {
            listener.set_nonblocking(true).map_err(|e| format!("error: the service manager's socket: {e}"))?;
            vec![listener]
        }
        None => bind(listen.address, listen.workers, "listen.address")?,
    };
    let admin = match next(1) {
        Some(listener) => {
            listener.set_nonblocking(true).map_err(|e| format!("error: the service manager's socket: {e}"))?;
            listener
        }
        None => bind(listen.admin, 1, "listen.admin")?.remove(0),
    };
    Ok(Sockets { listeners, admin, old: None })
}

/// Why we stop.
enum End {
    /// A signal.
    Told,
    /// Another process serves in our place.
    Replaced,
}

/// What we listen to besides sockets.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn receive() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// SIGTERM and SIGINT end the wait, and so does a process that takes over; SIGHUP reads the rules again.
async fn until_told_to_stop(
    mut signals: Signals,
    rules: &Arc<dyn Rules>,
    offer: Option<Offer>,
) -> std::io::Result<End> {
    let (replaced, mut replaced_by) = tokio::sync::mpsc::channel(1);
    if let Some(offer) = offer {
        // A thread of its own, for the life of the process: it waits in the system, and nobody waits for it.
        std::thread::Builder::new().name("handover".to_owned()).spawn(move || {
            offer.wait();
            let _ = replaced.blocking_send(());
        })?;
    }
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(End::Told),
            _ = signals.interrupt.recv() => return Ok(End::Told),
            Some(()) = replaced_by.recv() => return Ok(End::Replaced),
            _ = signals.hangup.recv() => {
                // What came of it, the rules log themselves.
                notify::notify("RELOADING=1");
                let _ = rules.reload().await;
                notify::notify("READY=1");
            }
        }
    }
}

/// Rules that follow a file.
struct Watched(Arc<Watcher>);

impl Rules for Watched {
    fn status(&self) -> RulesStatus {
        let Status { generation, last_success, last_failure } = self.0.status();
        let last_failure = last_failure.map(|f| Failure { at: f.at, problems: f.problems.to_string() });
        RulesStatus { generation, last_success, last_failure }
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<u64, String>> + Send>> {
        let watcher = Arc::clone(&self.0);
        Box::pin(async move { watcher.reload().await.map_err(|problems| problems.to_string()) })
    }
}

/// Rules that nothing changes.
struct Unwatched(u64);

impl Rules for Unwatched {
    fn status(&self) -> RulesStatus {
        RulesStatus { generation: self.0, last_success: 0, last_failure: None }
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<u64, String>> + Send>> {
        Box::pin(std::future::ready(Err("there is no configuration file to read".to_owned())))
    }
}

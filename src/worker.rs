//! One core: a thread, a runtime, a stack, its connections.
//!
//! Everything that a request touches belongs to one core, so nothing on its way is contended. The control work (admin,
//! config watch, signals) has a runtime of its own and talks to the cores through [`Live`] and the phase alone.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::journal::{CoreJournal, Journal};
use crate::journey::journey;
use crate::listen::accept::{Acceptor, Phase};
use crate::listen::place::{Inbox, Placement};
use crate::listen::{self, Settings};
use crate::owned::Owned;
use crate::policy::{Core, Ids};
use crate::snapshot::live::{Follower, Live};
use crate::telemetry::access_log;
use crate::telemetry::metrics::Metrics;
use crate::tls::Served;
use crate::upstream::Upstream;
use crate::upstream::pool::Pool;
use crate::upstream::prewarm;
use crate::webhook::Outbox;

/// Between SIGTERM and the closing of idle connections: a request that a client sends just then hears a refusal instead of
/// losing its connection.
const GRACE: Duration = Duration::from_secs(1);
/// After a handover: how long open connections are served on. Each answer says that its connection closes, so whoever still
/// calls comes to the new process; only who calls seldom is still here then.
const SERVED_ON: Duration = Duration::from_secs(10);
/// How often a core hands its log lines over.
const FLUSH: Duration = Duration::from_millis(100);
/// How often a core looks after its pool and its rules, in flushes.
const SWEEP: u32 = 10;

/// What all cores are built from.
#[derive(Debug)]
pub struct Parts<'p> {
    /// The rules.
    pub live: &'p Arc<Live>,
    /// The counters.
    pub metrics: &'p Arc<Metrics>,
    /// Where access records go.
    pub access_log: &'p access_log::Writer,
    /// What agents are shown, where TLS is spoken.
    pub tls: Option<&'p Arc<Served>>,
    /// Whose the ids are that providers made.
    pub owned: &'p Arc<Owned>,
    /// Where usage is written down.
    pub journal: Option<&'p Journal>,
    /// Where it is said that a budget is nearly spent.
    pub outbox: &'p Outbox,
    /// How connections are treated.
    pub settings: Settings,
    /// How many cores.
    pub cores: usize,
}

/// The running cores.
#[derive(Debug)]
pub struct Workers {
    phase: watch::Sender<Phase>,
    draining: Arc<AtomicBool>,
    placement: Arc<Placement>,
    deadline: watch::Sender<Option<Instant>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a core per listener.
    ///
    /// # Errors
    /// A thread or a runtime could not be made, or no entropy was to be had.
    pub fn start(listeners: Vec<TcpListener>, parts: &Parts<'_>) -> io::Result<Self> {
        let cores = parts.cores;
        let (placement, inboxes) = Placement::new(cores);
        let (phase, phases) = watch::channel(Phase::Open);
        let (deadline, deadlines) = watch::channel(None);
        let draining = Arc::new(AtomicBool::new(false));
        let held_bodies = Arc::new(AtomicU64::new(0));
        let strangers = Arc::default();
        let mut threads = Vec::new();
        for (index, (listeners, inbox)) in shared_out(listeners, cores).into_iter().zip(inboxes).enumerate() {
            let core = Arc::new(Core {
                index,
                follower: Follower::new(Arc::clone(parts.live)),
                metrics: Arc::clone(parts.metrics),
                access_log: parts.access_log.for_core(index, parts.metrics),
                ledger: Arc::clone(parts.live.ledger()),
                journal: parts.journal.and_then(|journal| journal.for_core(index)).unwrap_or_else(CoreJournal::nowhere),
                owned: Arc::clone(parts.owned),
                held_bodies: Arc::clone(&held_bodies),
                strangers: Arc::clone(&strangers),
                outbox: parts.outbox.clone(),
                draining: Arc::clone(&draining),
                ids: Ids::new(entropy()?),
            });
            let seat = Seat {
                core,
                settings: parts.settings.clone(),
                tls: parts.tls.map(Arc::clone),
                placement: Arc::clone(&placement),
                phases: phases.clone(),
                deadline: deadlines.clone(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name(format!("core-{index}"));
            threads.push(thread.spawn(move || runtime.block_on(seat.work(listeners, inbox)))?);
        }
        Ok(Self { phase, draining, placement, deadline, threads })
    }

    /// Whether the cores refuse new requests.
    #[must_use]
    pub fn draining(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.draining)
    }

    /// Open connections of clients.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.placement.open()
    }

    /// Stops accepting, refuses new requests, lets streams go on until they end or `patience` is over.
    pub async fn drain(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.draining.store(true, Relaxed);
        self.phase.send_replace(Phase::Draining);
        tokio::time::sleep(GRACE.min(patience)).await;
        self.phase.send_replace(Phase::Closing);
        self.deadline.send_replace(Some(deadline));
        while self.placement.open() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Another process accepts now: everything that is open here is served on, streams until they end or `patience` is over.
    pub async fn hand_over(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.phase.send_replace(Phase::Draining);
        let served_on = Instant::now() + SERVED_ON.min(patience / 2);
        while self.placement.open() > 0 && Instant::now() < served_on {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.phase.send_replace(Phase::Closing);
        self.deadline.send_replace(Some(deadline));
        while self.placement.open() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for the cores, after [`Workers::drain`].
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// What a core needs to work.
struct Seat {
    core: Arc<Core>,
    settings: Settings,
    tls: Option<Arc<Served>>,
    placement: Arc<Placement>,
    phases: watch::Receiver<Phase>,
    deadline: watch::Receiver<Option<Instant>>,
}

impl Seat {
    async fn work(mut self, listeners: Vec<TcpListener>, inbox: Inbox) {
        let pool = Pool::new(self.core.index, Arc::clone(&self.core.metrics));
        let rules = self.core.follower.now();
        let targets = rules.routes.routes.iter().flat_map(|route| &route.targets);
        prewarm::start(&pool, targets.map(|target| Arc::clone(&target.provider)));
        drop(rules);
        let stack = journey::<listen::body::ClientBody, _, _>(&self.core, Upstream::new(Arc::clone(&pool)));
        // A phase of this core's own: its connections look at it often, and must not meet other cores there.
        let (phase, own_phase) = watch::channel(Phase::Open);
        let acceptor = Acceptor {
            core: self.core.index,
            settings: self.settings.clone(),
            tls: self.tls.clone(),
            placement: Arc::clone(&self.placement),
            service: stack,
            phase: own_phase,
            core_cells: Arc::clone(&self.core.metrics),
        };
        let accepting = tokio::spawn(acceptor.run(listeners, inbox));
        let mut ticks = tokio::time::interval(FLUSH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0_u32;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    self.tidy(&pool, tick);
                    if self.is_over() {
                        break;
                    }
                }
                changed = self.phases.changed() => {
                    let now = *self.phases.borrow_and_update();
                    phase.send_replace(now);
                    if changed.is_err() {
                        break;
                    }
                }
            }
        }
        accepting.abort();
        self.core.access_log.flush();
    }

    fn tidy(&self, pool: &Pool, tick: u32) {
        self.core.access_log.flush();
        if tick.is_multiple_of(SWEEP) {
            pool.sweep(Instant::now());
            // An idle core must not keep old rules alive.
            drop(self.core.follower.now());
        }
    }

    /// Closing, and either nobody is left or nobody is waited for any more.
    fn is_over(&mut self) -> bool {
        let Some(deadline) = *self.deadline.borrow() else { return false };
        self.placement.open() == 0 || Instant::now() >= deadline
    }
}

/// Each core's listeners. There are as many as cores, unless they come from another process or a service manager: then a core
/// has several, or none and what others hand to it.
fn shared_out(listeners: Vec<TcpListener>, cores: usize) -> Vec<Vec<TcpListener>> {
    let mut shares: Vec<Vec<TcpListener>> = (0..cores).map(|_| Vec::new()).collect();
    for (n, listener) in listeners.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(n % cores.max(1)) {
            share.push(listener);
        }
    }
    shares
}

fn entropy() -> io::Result<u64> {
    let mut bytes = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| io::Error::other("the system gives no entropy"))?;
    Ok(u64::from_le_bytes(bytes))
}

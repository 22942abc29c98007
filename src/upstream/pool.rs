//! Idle connections of one core.
//!
//! Last in, first out, so that what a burst opened goes cold and is closed by the sweep; a few per provider stay warm.
//! Bounded: [`MAX_IDLE`] per origin and core; by [`COLD`] and [`WARM`] in time.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::http1::Conn;
use super::http2::{Lease, Shared};
use super::resolve::Names;
use crate::provider::Origin;
use crate::telemetry::metrics::Metrics;

/// Idle connections kept per origin and core.
pub const MAX_IDLE: usize = 4096;
/// Idle connections per origin and core that stay for [`WARM`].
pub const KEPT_WARM: usize = crate::provider::KEPT_WARM;
/// How long the first few idle connections stay. Below the 60 s after which common load balancers close one.
pub const WARM: Duration = Duration::from_secs(55);
/// How long the others stay.
pub const COLD: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub struct Pool {
    core: usize,
    metrics: Arc<Metrics>,
    /// Where names are looked up.
    pub(super) names: Names,
    // Uncontended: one thread uses it, and never across an await.
    idle: Mutex<Idle>,
}

#[derive(Debug)]
struct Idle {
    /// By [`Origin::id`]. A handful, so they are looked through.
    origins: Vec<(u64, Conns)>,
    /// Connections of HTTP/2, by [`Origin::id`]; only origins that speak it are in here, which is bounded by what was ever
    /// configured.
    shared: Vec<(u64, Many)>,
    /// The time as it was at the last sweep: near enough to say since when a connection has been idle.
    now: Instant,
}

/// What one core has of an origin that speaks HTTP/2.
#[derive(Debug)]
struct Many {
    connections: Vec<Shared>,
    /// Its one permit is held by whoever opens the next connection, while the others wait for it.
    opening: Arc<Semaphore>,
}

/// Boxed, because a connection (200 bytes) moves between here and the requests that use it.
type Conns = Vec<Box<Conn>>;

impl Idle {
    fn of(&mut self, origin: u64) -> Option<&mut Conns> {
        self.origins.iter_mut().find(|(id, _)| *id == origin).map(|(_, conns)| conns)
    }

    fn many(&mut self, origin: u64) -> Option<&mut Many> {
        self.shared.iter_mut().find(|(id, _)| *id == origin).map(|(_, many)| many)
    }
}

impl Pool {
    /// An empty pool for a core.
    #[must_use]
    pub fn new(core: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let idle = Mutex::new(Idle { origins: Vec::new(), shared: Vec::new(), now: Instant::now() });
        Arc::new(Self { core, metrics, names: Names::system(), idle })
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The idle connection used last. Whether it is still alive is found out by using it.
    pub fn checkout(&self, origin: &Arc<Origin>) -> Option<Box<Conn>> {
        loop {
            let conn = self.idle().of(origin.id)?.pop()?;
            self.metrics.core(self.core).upstream_idle.fetch_sub(1, Relaxed);
            // Ids are hashes; the first comparison holds unless the rules were reloaded meanwhile.
            if Arc::ptr_eq(&conn.origin, origin) || *conn.origin == **origin {
                return Some(conn);
            }
        }
    }

    /// Takes an idle connection back.
    pub fn checkin(&self, mut conn: Box<Conn>) {
        let mut idle = self.idle();
        conn.idle_since = idle.now;
        let id = conn.origin.id;
        match idle.of(id) {
            Some(conns) if conns.len() >= MAX_IDLE => return,
            Some(conns) => conns.push(conn),
            None => idle.origins.push((id, vec![conn])),
        }
        self.metrics.core(self.core).upstream_idle.fetch_add(1, Relaxed);
    }

    /// A place on a connection of HTTP/2 that is open already.
    pub fn lease(&self, origin: &Origin) -> Option<Lease> {
        let mut idle = self.idle();
        let many = idle.many(origin.id)?;
        many.connections.retain(|shared| !shared.is_closed());
        // The first that has room: what a burst opened beside it goes cold.
        many.connections.iter_mut().find_map(Shared::lease)
    }

    /// Whose permit one must hold to open a connection, where the origin is known to speak HTTP/2.
    pub fn opening(&self, origin: &Origin) -> Option<Arc<Semaphore>> {
        self.idle().many(origin.id).map(|many| Arc::clone(&many.opening))
    }

    /// Adds a connection of HTTP/2, and takes a place on it.
    pub fn share(&self, origin: &Origin, mut shared: Shared) -> Option<Lease> {
        let lease = shared.lease();
        let mut idle = self.idle();
        match idle.many(origin.id) {
            Some(many) => many.connections.push(shared),
            None => {
                let many = Many { connections: vec![shared], opening: Arc::new(Semaphore::new(1)) };
                idle.shared.push((origin.id, many));
            }
        }
        lease
    }

    /// Closes what is cold or was closed by the other side. Called once a second.
    pub fn sweep(&self, now: Instant) {
        let mut closed = 0;
        let mut idle = self.idle();
        idle.now = now;
        idle.origins.retain_mut(|(_, conns)| {
            let before = conns.len();
            // The front has been idle the longest and is what a burst left over; the last few are in use.
            let surplus = before.saturating_sub(KEPT_WARM);
            let mut place = 0;
            conns.retain_mut(|conn| {
                let patience = if place < surplus { COLD } else { WARM };
                place += 1;
                now.saturating_duration_since(conn.idle_since) < patience && conn.is_quiet()
            });
            if conns.len() < before / 2 {
                conns.shrink_to_fit();
            }
            closed += before - conns.len();
            !conns.is_empty()
        });
        for (_, many) in &mut idle.shared {
            let mut place = 0;
            many.connections.retain(|shared| {
                // The first is the one that is used.
                let patience = if place == 0 { WARM } else { COLD };
                place += 1;
                let idle = shared.is_idle() && now.saturating_duration_since(shared.used) >= patience;
                !idle && !shared.is_closed()
            });
        }
        drop(idle);
        let closed = i64::try_from(closed).unwrap_or(i64::MAX);
        self.metrics.core(self.core).upstream_idle.fetch_sub(closed, Relaxed);
    }

    pub(super) fn count_reuse(&self) {
        self.metrics.core(self.core).upstream_reuses.fetch_add(1, Relaxed);
    }

    pub(super) fn count_connect(&self) {
        self.metrics.core(self.core).upstream_connects.fetch_add(1, Relaxed);
    }
}

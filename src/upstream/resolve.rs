//! Names -> addresses, through the system's resolver, remembered.
//!
//! The resolver occupies a thread of the blocking pool, for as long as it likes. Invariants: one look-up of a name at a time
//! per core, whoever waits for it and whoever gives up; at most [`MOST_HOSTS`] names; an answer that once was good is used
//! until there is a better one, at once while it is not older than its time to live and [`STALE`] together, else only if
//! looking again fails. The system does not tell a record's own time to live, so there is one for all.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Names that are remembered. The configuration names fewer.
const MOST_HOSTS: usize = 256;
/// How much older than its time to live an answer may be that is used without waiting.
const STALE: Duration = Duration::from_secs(300);
/// Between two look-ups of a name, when the first of them brought nothing, or nothing that could be connected to.
const RETRY: Duration = Duration::from_secs(1);

/// What is known; cheap to copy.
type Addresses = Arc<[IpAddr]>;
/// Empty if there is no answer.
type Answer = Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>>;
type LookUp = dyn Fn(&str) -> Answer + Send + Sync;

/// One core's memory of names.
#[derive(Clone)]
pub struct Names {
    look_up: Arc<LookUp>,
    // Uncontended: one thread uses it, and never across an await.
    hosts: Arc<Mutex<HashMap<Box<str>, Host>>>,
}

struct Host {
    addresses: Addresses,
    /// When they were learned, or looking failed.
    looked: Instant,
    /// From when on they are looked up again.
    until: Instant,
    /// Closed when the look-up under way has ended.
    running: Option<watch::Receiver<()>>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("hosts", &self.hosts().len()).finish_non_exhaustive()
    }
}

impl Names {
    /// Asks the system.
    #[must_use]
    pub fn system() -> Self {
        Self::asking(|host| {
            let host = host.to_owned();
            Box::pin(async move {
                let found = tokio::net::lookup_host((host, 0)).await;
                found.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()
            })
        })
    }

    fn asking(look_up: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self { look_up: Arc::new(look_up), hosts: Arc::default() }
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Box<str>, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name's addresses; none if there is no such name. Waits for the resolver only where nothing usable is known.
    pub async fn addresses(&self, host: &str, ttl: Duration) -> Addresses {
        let ended = {
            let now = Instant::now();
            let mut hosts = self.hosts();
            match hosts.get(host).filter(|known| !known.addresses.is_empty()) {
                Some(known) if now < known.until || now < known.looked + RETRY => return Arc::clone(&known.addresses),
                Some(known) if now < known.until + STALE => {
                    let addresses = Arc::clone(&known.addresses);
                    self.begin(&mut hosts, host, ttl);
                    return addresses;
                }
                _ => self.begin(&mut hosts, host, ttl),
            }
        };
        self.after(host, ended).await
    }

    /// The same, looked up again because none of the known addresses could be connected to; but not what has just been
    /// looked up.
    pub async fn again(&self, host: &str, ttl: Duration) -> Addresses {
        let ended = {
            let mut hosts = self.hosts();
            match hosts.get(host) {
                Some(known) if known.looked.elapsed() < RETRY && known.running.is_none() => {
                    return Arc::clone(&known.addresses);
                }
                _ => self.begin(&mut hosts, host, ttl),
            }
        };
        self.after(host, ended).await
    }

    async fn after(&self, host: &str, ended: Option<watch::Receiver<()>>) -> Addresses {
        if let Some(mut ended) = ended {
            while ended.changed().await.is_ok() {}
        }
        self.hosts().get(host).map(|known| Arc::clone(&known.addresses)).unwrap_or_default()
    }

    /// Begins to look a name up, unless that is under way. `None` if there is no room to remember it.
    fn begin(&self, hosts: &mut HashMap<Box<str>, Host>, host: &str, ttl: Duration) -> Option<watch::Receiver<()>> {
        let now = Instant::now();
        if let Some(running) = hosts.get(host).and_then(|known| known.running.clone()) {
            return Some(running);
        }
        if hosts.len() >= MOST_HOSTS && !hosts.contains_key(host) {
            let idle = hosts.iter().filter(|(_, known)| known.running.is_none());
            let oldest = idle.min_by_key(|(_, known)| known.looked)?.0.clone();
            hosts.remove(&oldest);
        }
        let (ending, running) = watch::channel(());
        let known = hosts.entry(host.into()).or_insert_with(|| Host {
            addresses: Addresses::default(),
            looked: now,
            until: now,
            running: None,
        });
        known.running = Some(running.clone());
        let (names, host): (Self, Box<str>) = (self.clone(), host.into());
        let answer = (self.look_up)(&host);
        #[expect(clippy::let_underscore_future, reason = "one per name; whoever waits for it hears of its end")]
        let _ = tokio::spawn(async move {
            let found = answer.await;
            names.learn(&host, found, ttl);
            drop(ending);
        });
        Some(running)
    }

    fn learn(&self, host: &str, found: Vec<IpAddr>, ttl: Duration) {
        let mut hosts = self.hosts();
        let Some(known) = hosts.get_mut(host) else { return };
        known.running = None;
        known.looked = Instant::now();
        // What was known stays known when there is no answer, as old as it is.
        if !found.is_empty() {
            known.addresses = found.into();
            known.until = known.looked + ttl;
        }
    }
}

#[cfg(test)]
mod tests;

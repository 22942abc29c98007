//! Drives load through one subject for a while: one thread per load core, each with its own runtime, connections and share of
//! the schedule.
//!
//! Invariant: in the open loop a request is due when the schedule says so, and its latency counts from then, whether or not a
//! connection was free: a subject that stands still is charged with everything it kept waiting. What was due and not answered
//! when the time is over is counted as a fault, never dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

use super::answer::Expected;
use super::connection::{Connection, Exchange, InFlight};
use super::cores;
use super::proc;
use super::schedule::{Alarm, Arrivals, Schedule};
use super::tally::{Fault, Tally};

/// Longer than any answer.
const LONG: Duration = Duration::from_secs(86_400);

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// So many a second, whatever happens.
    Rate(f64, Arrivals),
    /// As many as there are connections, always; the connections begin one after another over this time.
    Held(Duration),
    /// One on each connection; they begin one after another over this time, and the kinds are spread evenly.
    Once(Duration),
}

impl Load {
    /// Over which time connections begin.
    #[must_use]
    pub const fn ramp(&self) -> Duration {
        match self {
            Self::Rate(..) => Duration::ZERO,
            Self::Held(ramp) | Self::Once(ramp) => *ramp,
        }
    }
}

/// A rendered kind.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The whole request.
    pub request: Arc<[u8]>,
    /// Its answer.
    pub expected: Expected,
    /// Whether that is a stream.
    pub stream: bool,
    /// How often it is sent.
    pub weight: u32,
}

/// One cell.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// Who is asked.
    pub to: SocketAddr,
    /// What.
    pub sent: &'a [Sent],
    /// On so many connections.
    pub connections: usize,
    /// How.
    pub load: Load,
    /// Whether every request opens a connection.
    pub fresh: bool,
    /// For so long before anything counts,
    pub warmup: Duration,
    /// and so long after it.
    pub time: Duration,
    /// How long the last ones may still take.
    pub grace: Duration,
    /// Of the schedule.
    pub seed: u64,
    /// One thread each; none: one thread anywhere.
    pub cores: &'a [usize],
    /// Ends it early.
    pub stop: &'a AtomicBool,
}

/// Drives it to its end.
///
/// # Errors
/// The load side itself does not work: no thread, no runtime, no timer.
pub fn drive(run: &Run<'_>) -> Result<Tally, String> {
    let threads = run.cores.len().clamp(1, run.connections.max(1));
    let begin = Instant::now() + Duration::from_millis(20);
    let in_flight = Arc::new(InFlight::default());
    let tallies: Vec<Result<Tally, String>> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|index| {
                let in_flight = Arc::clone(&in_flight);
                scope.spawn(move || thread(run, (index, threads), begin, in_flight))
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a load thread died".to_owned()))).collect()
    });
    let mut sum = Tally::default();
    for tally in tallies {
        sum.merge(&tally?);
    }
    sum.in_flight = in_flight.most();
    Ok(sum)
}

type Place = (usize, usize);

fn thread(run: &Run<'_>, place: Place, begin: Instant, in_flight: Arc<InFlight>) -> Result<Tally, String> {
    if let Some(core) = run.cores.get(place.0) {
        cores::pin(&[*core]).map_err(|error| format!("core {core}: {error}"))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("a load thread cannot start: {error}"))?;
    let before = proc::own_thread_cpu();
    let mut tally = LocalSet::new().block_on(&runtime, share(run, place, begin, in_flight))?;
    tally.cpu = proc::own_thread_cpu().saturating_sub(before);
    Ok(tally)
}

/// What the tasks of one thread share.
struct Shared {
    sent: Vec<Sent>,
    tally: RefCell<Tally>,
    queue: RefCell<VecDeque<(Instant, usize)>>,
    more: Notify,
    closed: Cell<bool>,
    under_way: Cell<u64>,
    in_flight: Arc<InFlight>,
    /// Whether gaps count by when they are, and not by when their stream was due.
    once: bool,
    /// From when on it counts.
    measure: Instant,
    end: Instant,
}

async fn share(
    run: &Run<'_>,
    (index, threads): Place,
    begin: Instant,
    in_flight: Arc<InFlight>,
) -> Result<Tally, String> {
    let measure = begin + run.warmup;
    let shared = Rc::new(Shared {
        sent: run.sent.to_vec(),
        tally: RefCell::default(),
        queue: RefCell::default(),
        more: Notify::new(),
        closed: Cell::new(false),
        under_way: Cell::new(0),
        in_flight,
        once: matches!(run.load, Load::Once(_)),
        measure,
        end: measure + run.time,
    });
    let own = run.connections / threads + usize::from(index < run.connections % threads);
    let mut tasks = JoinSet::new();
    for number in 0..own.max(1) {
        let connection = Connection::new(run.to, run.fresh);
        let shared = Rc::clone(&shared);
        let first = begin + run.load.ramp().mul_f64(number as f64 / own.max(1) as f64);
        match run.load {
            Load::Rate(..) => tasks.spawn_local(serve_queue(connection, shared)),
            Load::Held(_) => tasks.spawn_local(hold(connection, shared, first, number)),
            Load::Once(_) => tasks.spawn_local(once(connection, shared, first, number)),
        };
    }
    match run.load {
        Load::Rate(rate, arrivals) => {
            let weights = run.sent.iter().map(|sent| sent.weight).collect();
            let all = run.warmup + run.time;
            feed(run, &shared, Schedule::new((rate, all), arrivals, weights, (index, threads), run.seed), begin)
                .await?;
        }
        Load::Held(_) | Load::Once(_) => until(shared.end, run.stop).await,
    }
    shared.closed.set(true);
    shared.more.notify_waiters();
    let all_done = async { while tasks.join_next().await.is_some() {} };
    let patience = if run.stop.load(Relaxed) { Duration::ZERO } else { run.grace };
    let _ = tokio::time::timeout(patience, all_done).await;
    tasks.shutdown().await;
    let mut tally = shared.tally.take();
    tally.fault(Fault::Unfinished, shared.under_way.get());
    tally.fault(Fault::NeverSent, shared.queue.borrow().len() as u64);
    Ok(tally)
}

/// Hands out requests when they are due.
async fn feed(run: &Run<'_>, shared: &Shared, schedule: Schedule, begin: Instant) -> Result<(), String> {
    let alarm = Alarm::new().map_err(|error| format!("no timer: {error}"))?;
    for (after, kind) in schedule {
        let due = begin + after;
        alarm.wait(due).await.map_err(|error| format!("the timer: {error}"))?;
        if run.stop.load(Relaxed) {
            break;
        }
        {
            let mut tally = shared.tally.borrow_mut();
            tally.due += 1;
            if due >= shared.measure {
                tally.late.add(due.elapsed());
            }
        }
        shared.queue.borrow_mut().push_back((due, kind));
        shared.more.notify_one();
        // A load side that is behind must still read answers.
        if due.elapsed() > Duration::from_micros(200) {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

async fn serve_queue(mut connection: Connection, shared: Rc<Shared>) {
    // Open before the first is due: that is how clients live. One that cannot be opened says so with its first request.
    let _ = connection.open(&shared.tally).await;
    loop {
        let next = shared.queue.borrow_mut().pop_front();
        match next {
            Some((due, kind)) => {
                one(&mut connection, &shared, due, kind).await;
            }
            None if shared.closed.get() => return,
            None => shared.more.notified().await,
        }
    }
}

async fn hold(mut connection: Connection, shared: Rc<Shared>, first: Instant, number: usize) {
    tokio::time::sleep_until(first.into()).await;
    let mut kind = number;
    loop {
        let due = Instant::now();
        if shared.closed.get() || due >= shared.end {
            return;
        }
        shared.tally.borrow_mut().due += 1;
        kind = (kind + 1) % shared.sent.len().max(1);
        if !one(&mut connection, &shared, due, kind).await {
            // A loop must not spin on somebody who refuses connections.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn once(mut connection: Connection, shared: Rc<Shared>, due: Instant, number: usize) {
    tokio::time::sleep_until(due.into()).await;
    let all: usize = shared.sent.iter().map(|sent| sent.weight as usize).sum();
    let mut at = number % all.max(1);
    let kind = shared.sent.iter().position(|sent| match at.checked_sub(sent.weight as usize) {
        Some(rest) => {
            at = rest;
            false
        }
        None => true,
    });
    shared.tally.borrow_mut().due += 1;
    one(&mut connection, &shared, due, kind.unwrap_or_default()).await;
}

async fn one(connection: &mut Connection, shared: &Shared, due: Instant, kind: usize) -> bool {
    let Some(sent) = shared.sent.get(kind) else { return false };
    let measured = due >= shared.measure;
    // Of streams that come and go, all gaps of those that were due in time.
    let until = if shared.once { shared.end } else { shared.end + LONG };
    let exchange = Exchange {
        request: &sent.request,
        expected: &sent.expected,
        stream: sent.stream,
        due,
        measured,
        gaps: (measured || shared.once).then_some((shared.measure, until)),
        in_flight: &shared.in_flight,
    };
    shared.under_way.set(shared.under_way.get() + 1);
    let good = connection.exchange(exchange, &shared.tally).await;
    shared.under_way.set(shared.under_way.get() - 1);
    good
}

async fn until(end: Instant, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(Duration::from_millis(100))).await;
    }
}

//! One cell: one subject under one load for a few seconds, watched from outside.
//!
//! Invariant: CPU time is counted from before the first byte to after the last, warm-up included, and divided by all answers,
//! those of the warm-up included: so no work falls between two windows.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::drive::{Run, drive};
use super::proc::{self, Machine};
use super::tally::Tally;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What one cell told.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// What the load side saw.
    pub tally: Tally,
    /// How long it took, warm-up and all.
    pub wall: Duration,
    /// CPU time of the subject; none if it cannot be seen.
    pub cpu: Option<Duration>,
    /// CPU time of the provider.
    pub provider_cpu: Option<Duration>,
    /// What the host took away from this machine.
    pub stolen: Duration,
    /// CPU time of processes that have nothing to do with the test.
    pub foreign: Duration,
    /// Resident bytes before.
    pub before: Option<u64>,
    /// Most resident bytes.
    pub peak: Option<u64>,
    /// Resident bytes over time.
    pub memory: Vec<(Instant, u64)>,
}

/// Drives a load and watches. `meanwhile` is called again and again with how often it was, until the load has ended; it says how
/// long to wait until the next time.
///
/// # Errors
/// The load side does not work.
pub fn measure(
    run: &Run<'_>,
    pids: &[u32],
    provider: &[u32],
    meanwhile: Option<&(dyn Fn(u64) -> Duration + Sync)>,
) -> Result<Cell, String> {
    let over = AtomicBool::new(false);
    let begin = Instant::now();
    let (machine, own) = (Machine::now(), [std::process::id()]);
    let (cpu, provider_cpu, own_cpu) = (proc::cpu(pids), proc::cpu(provider), proc::cpu(&own));
    let before = proc::resident(pids);
    let (tally, memory) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(pids, &over));
        if let Some(meanwhile) = meanwhile {
            let over = &over;
            scope.spawn(move || {
                let mut times = 0;
                while !over.load(Relaxed) {
                    std::thread::sleep(meanwhile(times));
                    times += 1;
                }
            });
        }
        let tally = drive(run);
        over.store(true, Relaxed);
        (tally, watching.join().unwrap_or_default())
    });
    let since = |pids, then: Option<Duration>| Some(proc::cpu(pids)?.saturating_sub(then?));
    let (cpu, provider_cpu, own_cpu) = (since(pids, cpu), since(provider, provider_cpu), since(&own, own_cpu));
    let machine = Machine::now().since(machine);
    // The provider alone is its own subject, and counts once.
    let ours = [cpu.filter(|_| pids != provider), provider_cpu, own_cpu];
    Ok(Cell {
        tally: tally?,
        wall: begin.elapsed(),
        cpu,
        provider_cpu,
        stolen: machine.stolen,
        foreign: machine.busy.saturating_sub(ours.iter().flatten().sum()),
        before,
        peak: memory.iter().map(|(_, bytes)| *bytes).max().max(before),
        memory,
    })
}

fn watch(pids: &[u32], over: &AtomicBool) -> Vec<(Instant, u64)> {
    let mut seen = Vec::new();
    while !over.load(Relaxed) {
        if let Some(bytes) = proc::resident(pids) {
            seen.push((Instant::now(), bytes));
        }
        std::thread::sleep(LOOK);
    }
    seen
}

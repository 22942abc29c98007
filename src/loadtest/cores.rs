//! Which process runs on which cores.
//!
//! Invariant: the one that is measured has its cores for itself as far as we can say so; what others on the machine do is
//! reported, not prevented.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Who runs where. Empty: wherever the kernel likes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// The gateway, the baseline, whoever is measured.
    pub gateway: Vec<usize>,
    /// The simulated provider.
    pub provider: Vec<usize>,
    /// The load.
    pub load: Vec<usize>,
}

impl Layout {
    /// What fits a machine: one core for the gateway, so that its cost is that of a core; one for the provider; two for the load,
    /// which is the dearer side. Of two cores the provider and the load share one. On one core there is nothing to pin.
    #[must_use]
    pub fn usual(cores: &[usize]) -> Self {
        match *cores {
            [] | [_] => Self::default(),
            [a, b] => Self { gateway: vec![a], provider: vec![b], load: vec![b] },
            [a, b, c] => Self { gateway: vec![a], provider: vec![b], load: vec![c] },
            [a, b, c, d, ..] => Self { gateway: vec![a], provider: vec![b], load: vec![c, d] },
        }
    }

    /// Whether the load and the provider are on the same core.
    #[must_use]
    pub fn shares(&self) -> bool {
        self.load.iter().any(|core| self.provider.contains(core))
    }
}

/// The cores that this process may use.
#[must_use]
pub fn available() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Binds the calling thread, and what it starts from now on, to these cores. None: nothing changes.
///
/// # Errors
/// There is no such core, or it may not be used.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
    Ok(sched_setaffinity(None, &set)?)
}

/// A list as `0,2-3`.
///
/// # Errors
/// It is something else.
pub fn parse(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("{text:?} is no list of cores such as 0,2-3");
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high): (usize, usize) =
            (low.trim().parse().map_err(|_| wrong())?, high.trim().parse().map_err(|_| wrong())?);
        if low > high || high >= CpuSet::MAX_CPU {
            return Err(wrong());
        }
        cores.extend(low..=high);
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse("0"), Ok(vec![0]));
        assert_eq!(parse("3,0-1, 1"), Ok(vec![0, 1, 3]));
        for wrong in ["", "a", "1-", "3-1", "-1", "0,,1", "999999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_gateway_shares_its_core_with_nobody() {
        for cores in 2..9 {
            let all: Vec<usize> = (0..cores).collect();
            let layout = Layout::usual(&all);
            let others = [layout.provider.as_slice(), &layout.load].concat();
            assert!(layout.gateway.iter().all(|core| !others.contains(core)), "{layout:?}");
            assert_eq!(layout.shares(), cores == 2, "{layout:?}");
        }
        assert_eq!(Layout::usual(&[5]), Layout::default());
    }

    #[test]
    fn a_thread_is_bound_where_it_is_told() {
        let mine = available();
        let first = &mine[..1];
        std::thread::scope(|scope| {
            let bound = scope.spawn(|| pin(first).map(|()| available()));
            assert_eq!(bound.join().unwrap().unwrap(), first);
        });
        assert_eq!(available(), mine);
    }
}

//! When each request is due, fixed before the first is sent.
//!
//! Invariant: the same seed gives the same times and the same kinds, whoever is asked and however he answers: nobody can slow
//! the load down by being slow, and two subjects are asked the same at the same moments.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// How arrivals are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// At random, as those of many people who do not know each other (exponential gaps).
    Poisson,
}

/// The arrivals of one load thread.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    gap: f64,
    at: f64,
    end: f64,
    random: Random,
    weights: Vec<u32>,
}

impl Schedule {
    /// Of thread `index` out of `threads`, which together send `rate` requests a second for `time`. `weights`: how often each
    /// kind comes.
    #[must_use]
    pub fn new(
        (rate, time): (f64, Duration),
        arrivals: Arrivals,
        weights: Vec<u32>,
        (index, threads): (usize, usize),
        seed: u64,
    ) -> Self {
        let gap = threads as f64 / rate;
        let random = Random::new(seed.wrapping_add(index as u64));
        // Threads take turns, so that together they send evenly.
        let at = gap * index as f64 / threads as f64;
        Self { arrivals, gap, at, end: time.as_secs_f64(), random, weights }
    }
}

impl Iterator for Schedule {
    /// After how long, and which kind.
    type Item = (Duration, usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let due = Duration::from_secs_f64(self.at);
        self.at += match self.arrivals {
            Arrivals::Constant => self.gap,
            Arrivals::Poisson => -(1.0 - self.random.unit()).ln() * self.gap,
        };
        Some((due, self.random.pick(&self.weights)))
    }
}

/// Random numbers that are the same everywhere: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to just below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An index, as often as its weight says.
    pub fn pick(&mut self, weights: &[u32]) -> usize {
        let all: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut at = self.next() % all.max(1);
        for (index, weight) in weights.iter().enumerate() {
            match at.checked_sub(u64::from(*weight)) {
                Some(rest) => at = rest,
                None => return index,
            }
        }
        0
    }
}

/// Waits to the microsecond; tokio's own timer knows only whole milliseconds.
pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// Not set yet. Belongs to the current tokio runtime.
    ///
    /// # Errors
    /// The kernel has no timer to give.
    #[expect(
        deprecated,
        reason = "its successor is unsafe to call, for descriptors that others close; an OwnedFd is ours alone"
    )]
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self(AsyncFd::new(timer)?))
    }

    /// Returns when `due` has come; at once if it has.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn wait(&self, due: Instant) -> io::Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value =
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        timerfd_settime(
            self.0.get_ref(),
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: none, it_value: value },
        )?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut count = [0; 8];
            let rung = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?));
            if let Ok(rung) = rung {
                return rung.map(drop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(arrivals: Arrivals, thread: (usize, usize), seed: u64) -> Vec<(Duration, usize)> {
        Schedule::new((1000.0, Duration::from_secs(10)), arrivals, vec![3, 1], thread, seed).collect()
    }

    #[test]
    fn constant_arrivals_are_even_over_all_threads() {
        let mut all = [schedule(Arrivals::Constant, (0, 2), 1), schedule(Arrivals::Constant, (1, 2), 1)].concat();
        all.sort_unstable();
        assert_eq!(all.len(), 10_000);
        for (n, (due, _)) in all.iter().enumerate() {
            assert!(due.as_micros().abs_diff(n as u128 * 1000) < 5, "{n}: {due:?}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let times: Vec<f64> = schedule(Arrivals::Poisson, (0, 1), 7).iter().map(|(due, _)| due.as_secs_f64()).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1000.0 - 1.0).abs() < 0.05, "{mean}");
        // Exponential: the standard deviation is the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn kinds_come_as_often_as_they_weigh_and_a_seed_repeats() {
        let one = schedule(Arrivals::Poisson, (0, 1), 3);
        let rare = one.iter().filter(|(_, kind)| *kind == 1).count() as f64 / one.len() as f64;
        assert!((rare - 0.25).abs() < 0.02, "{rare}");
        assert_eq!(one, schedule(Arrivals::Poisson, (0, 1), 3));
        assert_ne!(one, schedule(Arrivals::Poisson, (0, 1), 4));
    }

    #[tokio::test]
    async fn the_alarm_rings_when_it_is_due_and_not_before() {
        let alarm = Alarm::new().unwrap();
        for microseconds in [0, 1, 300, 2500] {
            let due = Instant::now() + Duration::from_micros(microseconds);
            alarm.wait(due).await.unwrap();
            assert!(Instant::now() >= due, "too early");
        }
        alarm.wait(Instant::now() - Duration::from_secs(1)).await.unwrap();
    }
}

//! Histograms with fixed bounds: for what calls take, a millisecond to ten minutes, and for what of it is ours, a few
//! microseconds to seconds.
//!
//! Invariant: recording is two relaxed additions and never allocates; nothing needs upkeep.

use std::fmt::Write;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::metrics::{micros, nanos, render::write_labels};

/// How many bounds every scale has.
const COUNT: usize = 18;

/// What a histogram can tell apart.
pub trait Scale {
    /// Units in a second.
    const SECOND: u64;
    /// Upper bounds: in units, and in seconds as Prometheus shows them.
    const BOUNDS: [(u64, &str); COUNT];

    /// A time in units, saturating.
    fn units(time: Duration) -> u64;
}

/// What calls take, in microseconds.
#[derive(Debug, Default)]
pub struct Calls;

/// What is ours of it, in nanoseconds: of eight microseconds, none may get lost in the sum.
#[derive(Debug, Default)]
pub struct Ours;

impl Scale for Calls {
    const SECOND: u64 = 1_000_000;
    const BOUNDS: [(u64, &str); COUNT] = CALLS;

    fn units(time: Duration) -> u64 {
        micros(time)
    }
}

impl Scale for Ours {
    const SECOND: u64 = 1_000_000_000;
    const BOUNDS: [(u64, &str); COUNT] = OURS;

    fn units(time: Duration) -> u64 {
        nanos(time)
    }
}

const OURS: [(u64, &str); COUNT] = [
    (5_000, "0.000005"),
    (10_000, "0.00001"),
    (20_000, "0.00002"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (200_000, "0.0002"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_000_000, "0.002"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (20_000_000, "0.02"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (200_000_000, "0.2"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (5_000_000_000, "5"),
];

const CALLS: [(u64, &str); COUNT] = [
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (60_000_000, "60"),
    (120_000_000, "120"),
    (300_000_000, "300"),
    (600_000_000, "600"),
];

/// Counts by upper bound, and the sum.
#[derive(Debug, Default)]
pub struct Histogram<S = Calls> {
    buckets: [AtomicU64; COUNT + 1],
    sum: AtomicU64,
    scale: PhantomData<S>,
}

impl<S: Scale> Histogram<S> {
    /// Records one time.
    pub fn record(&self, time: Duration) {
        let units = S::units(time);
        let bucket = S::BOUNDS.partition_point(|(bound, _)| *bound < units);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(units, Relaxed);
    }

    /// Writes the sum of several as one Prometheus histogram.
    pub(super) fn render<'h>(
        parts: impl Iterator<Item = &'h Self>,
        name: &str,
        labels: &[(&str, &str)],
        out: &mut String,
    ) where
        S: 'h,
    {
        let mut counts = [0_u64; COUNT + 1];
        let mut sum = 0_u64;
        for part in parts {
            for (count, bucket) in counts.iter_mut().zip(&part.buckets) {
                *count += bucket.load(Relaxed);
            }
            sum += part.sum.load(Relaxed);
        }
        let mut so_far = 0;
        let bounds = S::BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (count, bound) in counts.iter().zip(bounds) {
            so_far += count;
            let _ = write!(out, "{name}_bucket");
            let all: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            write_labels(out, &all);
            let _ = writeln!(out, " {so_far}");
        }
        let _ = write!(out, "{name}_sum");
        write_labels(out, labels);
        let digits = S::SECOND.ilog10() as usize;
        let _ = writeln!(out, " {}.{:0digits$}", sum / S::SECOND, sum % S::SECOND);
        let _ = write!(out, "{name}_count");
        write_labels(out, labels);
        let _ = writeln!(out, " {so_far}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_cumulative() {
        let (a, b): (Histogram, Histogram) = (Histogram::default(), Histogram::default());
        a.record(Duration::from_millis(1));
        b.record(Duration::from_micros(1_001));
        b.record(Duration::from_secs(3_600));
        let mut out = String::new();
        Histogram::render([&a, &b].into_iter(), "t", &[("x", "y")], &mut out);
        assert!(out.contains("t_bucket{x=\"y\",le=\"0.001\"} 1\n"), "{out}");
        assert!(out.contains("t_bucket{x=\"y\",le=\"0.0025\"} 2\n"), "{out}");
        assert!(out.contains("t_bucket{x=\"y\",le=\"+Inf\"} 3\n"), "{out}");
        assert!(out.contains("t_sum{x=\"y\"} 3600.002001\n"), "{out}");
        assert!(out.contains("t_count{x=\"y\"} 3\n"), "{out}");
    }

    #[test]
    fn what_is_ours_is_told_in_nanoseconds() {
        let own = Histogram::<Ours>::default();
        own.record(Duration::from_nanos(8_200));
        own.record(Duration::from_secs(2));
        let mut out = String::new();
        Histogram::render([&own].into_iter(), "t", &[], &mut out);
        for (bound, count) in [("0.000005", 0), ("0.00001", 1), ("1", 1), ("5", 2)] {
            assert!(out.contains(&format!("t_bucket{{le=\"{bound}\"}} {count}\n")), "{out}");
        }
        assert!(out.contains(" 2.000008200\n"), "{out}");
    }

    #[test]
    fn bounds_rise_and_are_what_they_say() {
        #[track_caller]
        fn hold<S: Scale>() {
            assert!(S::BOUNDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
            for (bound, told) in S::BOUNDS {
                let seconds: f64 = told.parse().unwrap();
                assert!((seconds * S::SECOND as f64 - bound as f64).abs() < 0.001, "{told}");
            }
        }
        hold::<Calls>();
        hold::<Ours>();
    }
}

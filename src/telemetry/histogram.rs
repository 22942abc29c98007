//! A histogram with fixed bounds, for times from a millisecond to ten minutes.
//!
//! Invariant: recording is two relaxed additions and never allocates; nothing needs upkeep.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::metrics::{micros, render::write_labels};

/// Upper bounds: microseconds, and the same in seconds as Prometheus shows them.
const BOUNDS: [(u64, &str); 18] = [
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
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Records one time.
    pub fn record(&self, time: Duration) {
        let us = micros(time);
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// Writes the sum of several as one Prometheus histogram.
    pub(super) fn render<'h>(
        parts: impl Iterator<Item = &'h Self>,
        name: &str,
        labels: &[(&str, &str)],
        out: &mut String,
    ) {
        let mut counts = [0_u64; BOUNDS.len() + 1];
        let mut sum_us = 0_u64;
        for part in parts {
            for (count, bucket) in counts.iter_mut().zip(&part.buckets) {
                *count += bucket.load(Relaxed);
            }
            sum_us += part.sum_us.load(Relaxed);
        }
        let mut so_far = 0;
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (count, bound) in counts.iter().zip(bounds) {
            so_far += count;
            let _ = write!(out, "{name}_bucket");
            let all: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            write_labels(out, &all);
            let _ = writeln!(out, " {so_far}");
        }
        let _ = write!(out, "{name}_sum");
        write_labels(out, labels);
        let _ = writeln!(out, " {}.{:06}", sum_us / 1_000_000, sum_us % 1_000_000);
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
        let (a, b) = (Histogram::default(), Histogram::default());
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
}

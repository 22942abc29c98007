//! What was measured: distributions of times, and counts.
//!
//! Invariant: bounded, whatever comes: one histogram per sort of time, one count per sort of fault.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest time that is told apart; whatever takes longer counts as this.
const LONGEST: Duration = Duration::from_secs(600);

/// How long something took, many times, in nanoseconds.
#[derive(Debug, Clone, Default)]
pub struct Times(Option<Histogram<u32>>);

impl Times {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.record(3, time);
    }

    /// One more, to four digits if it is the first: of long times that differ little.
    pub fn add_finely(&mut self, time: Duration) {
        self.record(4, time);
    }

    fn record(&mut self, digits: u8, time: Duration) {
        if self.0.is_none() {
            self.0 = Histogram::new(digits).ok().map(|mut histogram| {
                histogram.auto(true);
                histogram
            });
        }
        if let Some(histogram) = &mut self.0 {
            let nanoseconds = u64::try_from(time.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
            // It grows by itself, so there is no value that does not fit.
            let _ = histogram.record(nanoseconds.max(1));
        }
    }

    /// All of another's, too.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (none, Some(other)) if none.is_none() => *none = Some(other.clone()),
            (Some(own), Some(other)) => drop(own.add(other)),
            (None, Some(_)) => {}
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// Microseconds at a quantile from 0 to 1; none if there are no times.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Option<f64> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(histogram.value_at_quantile(quantile) as f64 / 1000.0)
    }
}

/// Why an answer is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nobody listens.
    Refused,
    /// The connection was reset.
    Reset,
    /// It was closed before the end of the answer.
    Closed,
    /// Another error of the socket.
    Socket,
    /// Not 200.
    Status(u16),
    /// What came is no HTTP/1.1.
    NotHttp,
    /// More than the answer came.
    TooMuch,
    /// 200, and whole, but not what the provider said.
    WrongContent,
    /// Not there when the time was over.
    Unfinished,
    /// Was due, but no connection was free until the time was over.
    NeverSent,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset"),
            Self::Closed => f.write_str("closed before the end"),
            Self::Socket => f.write_str("socket error"),
            Self::Status(code) => write!(f, "status {code}"),
            Self::NotHttp => f.write_str("not HTTP"),
            Self::TooMuch => f.write_str("more than the answer"),
            Self::WrongContent => f.write_str("wrong content"),
            Self::Unfinished => f.write_str("unfinished at the end"),
            Self::NeverSent => f.write_str("never sent"),
        }
    }
}

/// What one cell has measured.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// From the moment a request was due to the last byte of its answer.
    pub latency: Times,
    /// From the moment it was really sent.
    pub service: Times,
    /// From the moment it was due to the first byte of the answer's body.
    pub first_byte: Times,
    /// Between two arrivals of a stream.
    pub gap: Times,
    /// How late the load side itself was: from the moment a request was due to the moment it was handed out.
    pub late: Times,
    /// Good answers, also those of the warm-up.
    pub good: u64,
    /// Answers that were not.
    pub faults: BTreeMap<Fault, u64>,
    /// Server-sent events of good answers.
    pub events: u64,
    /// Bytes of good answers.
    pub bytes: u64,
    /// Connections opened.
    pub connects: u64,
    /// CPU time of the load side.
    pub cpu: Duration,
    /// Requests that were due.
    pub due: u64,
    /// Most bytes of requests that were sent and not answered at one time.
    pub in_flight: u64,
}

impl Tally {
    /// One more fault.
    pub fn fault(&mut self, fault: Fault, count: u64) {
        if count > 0 {
            *self.faults.entry(fault).or_default() += count;
        }
    }

    /// How many faults.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.faults.values().sum()
    }

    /// All of another's, too.
    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.service.merge(&other.service);
        self.first_byte.merge(&other.first_byte);
        self.gap.merge(&other.gap);
        self.late.merge(&other.late);
        for (fault, count) in &other.faults {
            self.fault(*fault, *count);
        }
        self.good += other.good;
        self.events += other.events;
        self.bytes += other.bytes;
        self.connects += other.connects;
        self.cpu += other.cpu;
        self.due += other.due;
        self.in_flight = self.in_flight.max(other.in_flight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_three_digits_and_add_up() {
        let (mut all, mut more) = (Times::default(), Times::default());
        assert_eq!(all.at(0.5), None);
        (1..=900).for_each(|n| all.add(Duration::from_micros(n)));
        (901..=1000).for_each(|n| more.add(Duration::from_micros(n)));
        more.add(Duration::from_secs(3600));
        all.merge(&more);
        assert_eq!(all.count(), 1001);
        let close = |quantile, want: f64| {
            let got = all.at(quantile).unwrap();
            assert!((got - want).abs() <= want / 500.0, "{quantile}: {got}, not {want}");
        };
        close(0.5, 501.0);
        close(0.99, 991.0);
        close(1.0, 600_000_000.0);
        let mut fine = Times::default();
        fine.add_finely(Duration::from_micros(250_100));
        assert!((fine.at(0.5).unwrap() - 250_100.0).abs() < 30.0, "{:?}", fine.at(0.5));
        let mut none = Times::default();
        none.merge(&all);
        assert_eq!(none.count(), 1001);
    }

    #[test]
    fn faults_are_counted_by_kind() {
        let mut tally = Tally::default();
        tally.fault(Fault::Status(529), 2);
        tally.fault(Fault::Reset, 1);
        tally.fault(Fault::NeverSent, 0);
        let mut sum = tally.clone();
        sum.merge(&tally);
        assert_eq!(sum.bad(), 6);
        assert_eq!(sum.faults.keys().map(ToString::to_string).collect::<Vec<_>>(), ["connection reset", "status 529"]);
    }
}

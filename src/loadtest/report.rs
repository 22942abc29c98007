//! What a run has found, as it is written to JSON and read back: the one form that tables, pages, checks and comparisons read.
//!
//! Invariant: times are microseconds, memory is bytes, and a figure that could not be taken is absent, not zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The form's number; another one is not read.
pub const FORM: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of this form.
    pub form: u32,
    /// The version that made it.
    pub tollgate: String,
    /// When it began (UTC, RFC 3339).
    pub began: String,
    /// How long it took, seconds.
    pub seconds: f64,
    /// On what.
    pub machine: Machine,
    /// How.
    pub settings: Settings,
    /// What was found.
    pub sections: Vec<Section>,
    /// What a reader must know before he believes it.
    pub warnings: Vec<String>,
}

/// Where it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor.
    pub processor: String,
    /// The kernel.
    pub kernel: String,
    /// Cores that could be used.
    pub cores: usize,
}

/// How it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Cores of whoever is measured.
    pub gateway_cores: Vec<usize>,
    /// Cores of the provider.
    pub provider_cores: Vec<usize>,
    /// Cores of the load.
    pub load_cores: Vec<usize>,
    /// How often each subject had its turn.
    pub rounds: usize,
    /// Milliseconds measured in each turn.
    pub measured_ms: u64,
    /// Of the schedule.
    pub seed: u64,
}

/// One profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Its name.
    pub profile: String,
    /// What it is.
    pub about: String,
    /// The load, in words.
    pub load: String,
    /// Whether faults are what it is about.
    pub failing: bool,
    /// Everybody who was measured, in the order in which they were named.
    pub subjects: Vec<Figures>,
}

/// What was found about one subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Its name.
    pub name: String,
    /// Whether its answers were the provider's, byte for byte; if not, only their ends were checked.
    pub exact: bool,
    /// Good answers.
    pub answers: u64,
    /// Good answers a second.
    pub rate: Option<Figure>,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// From the moment a request was due to the last byte.
    pub latency: Option<Quantiles>,
    /// What of it was not there without the subject: less that of the provider alone.
    pub added: Option<Quantiles>,
    /// To the first byte of the body.
    pub first_byte: Option<Quantiles>,
    /// What of it was not there without the subject.
    pub first_byte_added: Option<Quantiles>,
    /// Between two arrivals of a stream.
    pub gap: Option<Quantiles>,
    /// What of it was not there without the subject.
    pub gap_added: Option<Quantiles>,
    /// CPU time per answer.
    pub cpu: Option<Figure>,
    /// CPU time per event, where answers are streams.
    pub cpu_event: Option<Figure>,
    /// CPU time per answer, as a multiple of the baseline's in the same round.
    pub cpu_ratio: Option<Figure>,
    /// Percent of one core.
    pub busy: Option<f64>,
    /// Percent of its cores that the load side was busy.
    pub load_busy: Option<f64>,
    /// Percent of its cores that the provider was busy.
    pub provider_busy: Option<f64>,
    /// How late the load side itself was, 99 times of 100 less than this.
    pub load_late: Option<f64>,
    /// Resident memory.
    pub memory: Option<Memory>,
    /// Bytes of memory per connection, where many are held.
    pub per_stream: Option<f64>,
    /// Most bytes of requests that were sent and not answered at one time, where it is about them.
    pub in_flight: Option<u64>,
    /// Latency by quantile, for plots: (quantile, microseconds).
    pub curve: Vec<(f64, f64)>,
    /// Gaps of streams by quantile, likewise.
    #[serde(default)]
    pub gap_curve: Vec<(f64, f64)>,
    /// The rising rate, where there was one.
    pub steps: Vec<Step>,
    /// The best rate with a p99 below a limit: (milliseconds, answers a second).
    pub frontier: Vec<(f64, f64)>,
}

/// A figure, and the lowest and highest of single rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Of all rounds: their median, or that of all their times together.
    pub value: f64,
    /// The lowest of a round.
    pub low: f64,
    /// The highest of a round.
    pub high: f64,
}

/// A distribution of times, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half are below.
    pub p50: Figure,
    /// Nine of ten.
    pub p90: Figure,
    /// 99 of 100.
    pub p99: Figure,
    /// 999 of 1,000.
    pub p99_9: Figure,
    /// The longest.
    pub max: Figure,
}

/// Resident memory, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Before the first load.
    pub idle: u64,
    /// At most.
    pub peak: u64,
    /// Three seconds after the last load.
    pub after: u64,
    /// Over time: (seconds since the profile began, bytes).
    pub over_time: Vec<(f64, u64)>,
}

/// One rate of a rising rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Requests due a second.
    pub offered: f64,
    /// Good answers a second.
    pub answered: f64,
    /// Of their latency.
    pub p50: f64,
    /// Of their latency.
    pub p99: f64,
}

impl Quantiles {
    /// Each with its name, in order.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, Figure); 5] {
        [("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("p99.9", self.p99_9), ("max", self.max)]
    }
}

impl Section {
    /// A subject by its name.
    #[must_use]
    pub fn subject(&self, name: &str) -> Option<&Figures> {
        self.subjects.iter().find(|subject| subject.name == name)
    }
}

impl Report {
    /// As it was written.
    ///
    /// # Errors
    /// It is none, or one of another form.
    pub fn read(text: &str) -> Result<Self, String> {
        let report: Self =
            serde_json::from_str(text).map_err(|error| format!("this is no report of a load test: {error}"))?;
        if report.form != FORM {
            return Err(format!("it has form {}, this program reads form {FORM}", report.form));
        }
        Ok(report)
    }

    /// To be kept.
    ///
    /// # Errors
    /// None that is known: all of it can be told in JSON.
    pub fn write(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const fn figure(value: f64) -> Figure {
        Figure { value, low: value / 2.0, high: value * 2.0 }
    }

    const fn quantiles(p50: f64, p99: f64) -> Quantiles {
        Quantiles { p50: figure(p50), p90: figure(p50), p99: figure(p99), p99_9: figure(p99), max: figure(p99) }
    }

    /// A small run: the gateway adds 20 µs (p99: 100 µs), the baseline 10.
    pub fn report() -> Report {
        let subject = |name: &str, added: f64| Figures {
            name: name.into(),
            exact: true,
            answers: 1000,
            latency: Some(quantiles(100.0 + added, 200.0 + 5.0 * added)),
            added: (name != "direct").then(|| quantiles(added, 5.0 * added)),
            cpu: Some(figure(10.0)),
            cpu_ratio: Some(figure(1.0 + added / 200.0)),
            memory: Some(Memory {
                idle: 8 << 20,
                peak: 20 << 20,
                after: 9 << 20,
                over_time: vec![(0.0, 8 << 20), (1.0, 20 << 20)],
            }),
            curve: vec![(0.0, 50.0), (0.5, 100.0 + added), (0.99, 200.0 + 5.0 * added), (1.0, 900.0)],
            ..Figures::default()
        };
        let mut gateway = subject("gateway", 20.0);
        gateway.faults.insert("status 500".into(), 2);
        gateway.steps = vec![
            Step { offered: 1000.0, answered: 1000.0, p50: 100.0, p99: 200.0 },
            Step { offered: 2000.0, answered: 1500.0, p50: 100.0, p99: f64::MAX },
        ];
        gateway.frontier = vec![(1.0, 1000.0), (5.0, 1000.0), (10.0, 1000.0), (50.0, 1000.0)];
        let failing = Figures { faults: BTreeMap::from([("status 529".into(), 3)]), ..subject("gateway", 20.0) };
        let section = |profile: &str, failing, subjects| Section {
            profile: profile.into(),
            about: "small requests".into(),
            load: "1000 a second".into(),
            failing,
            subjects,
        };
        Report {
            form: FORM,
            tollgate: "0.1.0".into(),
            began: "2026-11-24T00:00:00Z".into(),
            seconds: 12.0,
            machine: Machine { processor: "A <processor> & more".into(), kernel: "6.1".into(), cores: 2 },
            settings: Settings {
                gateway_cores: vec![0],
                provider_cores: vec![1],
                load_cores: vec![1],
                rounds: 2,
                measured_ms: 1000,
                seed: 1,
            },
            sections: vec![
                section("chat", false, vec![subject("direct", 0.0), subject("baseline", 10.0), gateway]),
                section("failing", true, vec![subject("direct", 0.0), failing]),
            ],
            warnings: vec!["The load and the provider share a core.".into()],
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let text = report().write().unwrap();
        assert_eq!(Report::read(&text), Ok(report()));
        assert!(Report::read(&text.replacen("\"form\": 1", "\"form\": 9", 1)).unwrap_err().contains("form 9"));
        assert!(Report::read("{}").unwrap_err().contains("no report"));
    }
}

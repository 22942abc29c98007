//! Thresholds for a pipeline: `p99_added<2ms`.
//!
//! Invariant: a check that finds nothing to judge has failed: a misspelt profile must not pass.

use super::report::{Figure, Figures, Quantiles, Report, Section};
use super::run::GATEWAY;

/// One threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    text: String,
    profile: Option<String>,
    metric: String,
    subject: String,
    below: bool,
    /// Whether the limit itself is still good.
    equal: bool,
    limit: f64,
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it held.
    pub held: bool,
    /// What was found.
    pub told: String,
}

/// What may stand before the comparison, for whoever got it wrong.
const METRICS: &str = "p50, p90, p99, p99.9, max (latency; with first_byte_ or gap_ before it, with _added after it), cpu, cpu_event, \
                       cpu_ratio, rate, faults, memory_idle, memory_peak, memory_after, memory_kept, in_flight, \
                       per_stream, rate_1ms, rate_5ms, rate_10ms, rate_50ms";

impl std::str::FromStr for Check {
    type Err = String;

    /// `[PROFILE:]METRIC[@SUBJECT] < LIMIT`, with a unit: us, ms, s, KiB, MiB.
    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or_else(|| format!("{text:?} has neither < nor >"))?;
        let (name, rest) = text.split_at(at);
        let below = rest.starts_with('<');
        let rest = &rest[1..];
        let (equal, rest) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
        let (profile, name) =
            name.split_once(':').map_or((None, name), |(profile, name)| (Some(profile.trim().to_owned()), name));
        let (metric, subject) = name.split_once('@').unwrap_or((name, GATEWAY));
        let metric = metric.trim().to_owned();
        if !is_known(&metric) {
            return Err(format!("there is no figure {metric:?}; there are {METRICS}"));
        }
        let limit = limit(rest.trim()).ok_or_else(|| format!("{rest:?} is no limit such as 2ms, 40KiB or 1.2"))?;
        Ok(Self { text: text.to_owned(), profile, metric, subject: subject.trim().to_owned(), below, equal, limit })
    }
}

impl Check {
    /// Whether there will be anything to judge.
    ///
    /// # Errors
    /// It names a profile or a subject that is not to be measured.
    pub fn fits(&self, profiles: &[&str], subjects: &[&str]) -> Result<(), String> {
        let unknown = |what: &str, name: &str, known: &[&str]| {
            format!("--check {}: there will be no {what} {name:?}; there will be {}", self.text, known.join(", "))
        };
        if let Some(profile) = self.profile.as_deref().filter(|name| !profiles.contains(name)) {
            return Err(unknown("profile", profile, profiles));
        }
        match subjects.contains(&self.subject.as_str()) {
            true => Ok(()),
            false => Err(unknown("subject", &self.subject, subjects)),
        }
    }

    /// Against every profile that it names and that has the figure.
    #[must_use]
    pub fn judge(&self, report: &Report) -> Verdict {
        let named = |section: &&Section| self.profile.as_ref().is_none_or(|name| *name == section.profile);
        // Of a provider that fails on purpose, faults are what was asked for, unless they are asked about by name.
        let meant = |section: &&Section| self.profile.is_some() || self.metric != "faults" || !section.failing;
        let found: Vec<(&str, f64)> = report
            .sections
            .iter()
            .filter(named)
            .filter(meant)
            .filter_map(|section| {
                Some((section.profile.as_str(), value(&self.metric, section.subject(&self.subject)?)?))
            })
            .collect();
        if found.is_empty() {
            return Verdict { held: false, told: format!("{}: nothing to judge: nobody measured that", self.text) };
        }
        let bad: Vec<_> = found.iter().filter(|(_, value)| !self.holds(*value)).collect();
        let told = |(profile, value): &(&str, f64)| format!("{profile} {value:.2}");
        match bad.as_slice() {
            [] => Verdict {
                held: true,
                told: format!("{}: holds ({})", self.text, found.iter().map(told).collect::<Vec<_>>().join(", ")),
            },
            bad => Verdict {
                held: false,
                told: format!(
                    "{}: broken ({})",
                    self.text,
                    bad.iter().map(|one| told(one)).collect::<Vec<_>>().join(", ")
                ),
            },
        }
    }

    fn holds(&self, value: f64) -> bool {
        let equal = self.equal && value.total_cmp(&self.limit).is_eq();
        equal || if self.below { value < self.limit } else { value > self.limit }
    }
}

fn is_known(metric: &str) -> bool {
    let full = Quantiles { p50: ANY, p90: ANY, p99: ANY, p99_9: ANY, max: ANY };
    const ANY: Figure = Figure { value: 0.0, low: 0.0, high: 0.0 };
    let base = metric.strip_suffix("_added").unwrap_or(metric);
    let base = base.strip_prefix("first_byte_").or_else(|| base.strip_prefix("gap_")).unwrap_or(base);
    let is_time = full.named().iter().any(|(name, _)| *name == base);
    is_time || OTHERS.iter().any(|(name, _)| *name == metric)
}

/// Microseconds, bytes, or a plain number.
fn value(metric: &str, figures: &Figures) -> Option<f64> {
    if let Some((_, value)) = OTHERS.iter().find(|(name, _)| *name == metric) {
        return value(figures);
    }
    let (base, added) = metric.strip_suffix("_added").map_or((metric, false), |base| (base, true));
    let (quantile, of, of_added) = if let Some(quantile) = base.strip_prefix("first_byte_") {
        (quantile, figures.first_byte, figures.first_byte_added)
    } else if let Some(quantile) = base.strip_prefix("gap_") {
        (quantile, figures.gap, figures.gap_added)
    } else {
        (base, figures.latency, figures.added)
    };
    let quantiles = if added { of_added } else { of }?;
    quantiles.named().iter().find(|(name, _)| *name == quantile).map(|(_, figure)| figure.value)
}

type Other = (&'static str, fn(&Figures) -> Option<f64>);

const OTHERS: [Other; 15] = [
    ("cpu", |f| f.cpu.map(|cpu| cpu.value)),
    ("cpu_event", |f| f.cpu_event.map(|cpu| cpu.value)),
    ("cpu_ratio", |f| f.cpu_ratio.map(|ratio| ratio.value)),
    ("rate", |f| f.rate.map(|rate| rate.value)),
    ("faults", |f| (f.answers + f.faults.values().sum::<u64>() > 0).then(|| f.faults.values().sum::<u64>() as f64)),
    ("memory_idle", |f| f.memory.as_ref().map(|memory| memory.idle as f64)),
    ("memory_peak", |f| f.memory.as_ref().map(|memory| memory.peak as f64)),
    ("memory_after", |f| f.memory.as_ref().map(|memory| memory.after as f64)),
    // More than before; less is none.
    ("memory_kept", |f| f.memory.as_ref().map(|memory| memory.after.saturating_sub(memory.idle) as f64)),
    ("in_flight", |f| f.in_flight.map(|bytes| bytes as f64)),
    ("per_stream", |f| f.per_stream),
    ("rate_1ms", |f| f.frontier.first().map(|(_, rate)| *rate)),
    ("rate_5ms", |f| f.frontier.get(1).map(|(_, rate)| *rate)),
    ("rate_10ms", |f| f.frontier.get(2).map(|(_, rate)| *rate)),
    ("rate_50ms", |f| f.frontier.get(3).map(|(_, rate)| *rate)),
];

/// In the units of the figures: microseconds and bytes.
fn limit(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim() {
        "" | "us" | "µs" | "B" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadtest::report::tests::report;

    #[track_caller]
    fn judges(check: &str, held: bool) {
        let verdict = check.parse::<Check>().unwrap().judge(&report());
        assert_eq!(verdict.held, held, "{}", verdict.told);
    }

    #[test]
    fn thresholds() {
        // The sample: p50 added 20 µs, p99 added 100 µs, CPU ratio 1.1, 2 faults in chat; 3 faults where they belong.
        judges("p99_added<2ms", true);
        judges("p99_added < 99us", false);
        judges("p99_added<100us", false);
        judges("p99_added<=100us", true);
        judges("cpu_ratio<1.2", true);
        judges("chat:cpu_ratio>1.2", false);
        judges("p50_added@baseline<15", true);
        judges("memory_peak<30MiB", true);
        judges("memory_peak<30KiB", false);
        // 8 MiB before, 9 afterwards.
        judges("memory_kept<=1MiB", true);
        judges("memory_kept<1MiB", false);
        judges("in_flight>1", false);
        judges("faults<=2", true);
        judges("failing:faults<=2", false);
        judges("chat:faults<=0", false);
    }

    #[test]
    fn what_nobody_measured_does_not_pass() {
        judges("caht:p99_added<2ms", false);
        judges("p99_added@nobody<2ms", false);
        judges("gap_p99<2ms", false);
    }

    #[test]
    fn what_will_not_be_measured_is_known_before() {
        let fits = |text: &str| text.parse::<Check>().unwrap().fits(&["chat", "streams"], &["direct", "gateway"]);
        assert_eq!(fits("chat:p99<1ms"), Ok(()));
        assert_eq!(fits("p99@direct<1ms"), Ok(()));
        assert!(fits("caht:p99<1ms").unwrap_err().contains("chat, streams"));
        assert!(fits("p99@baseline<1ms").unwrap_err().contains("direct, gateway"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("p99_added", "neither < nor >"),
            ("p98<1ms", "no figure"),
            ("p99<fast", "no limit"),
            ("p99<1 year", "no limit"),
            ("memory<1", "no figure"),
        ] {
            let error = text.parse::<Check>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

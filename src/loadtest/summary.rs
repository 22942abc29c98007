//! A report in a few sentences, for whoever reads nothing else.
//!
//! Invariant: every sentence is made of figures of the report, and one whose figures are missing is not said.

use super::report::{Figures, Quantiles, Report, Section};
use super::run::{BASELINE, DIRECT};
use super::table::number;

/// The sentences, most telling first.
#[must_use]
pub fn sentences(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    for section in &report.sections {
        let subjects = section.subjects.iter().filter(|subject| subject.name != DIRECT && subject.name != BASELINE);
        all.extend(subjects.flat_map(|subject| of(section, subject)));
    }
    let wrong: u64 = report
        .sections
        .iter()
        .filter(|section| !section.failing)
        .flat_map(|section| &section.subjects)
        .flat_map(|subject| subject.faults.values())
        .sum();
    let answers: u64 =
        report.sections.iter().flat_map(|section| &section.subjects).map(|subject| subject.answers).sum();
    if answers > 0 {
        let told = number(answers as f64);
        all.push(match wrong {
            0 => format!("Each of the {told} answers was checked; none was wrong, cut or lost."),
            _ => format!("{wrong} of {told} answers were wrong, cut or lost."),
        });
    }
    all
}

fn of(section: &Section, subject: &Figures) -> Vec<String> {
    let name = &subject.name;
    let proxy = section.subject(BASELINE);
    let mut said = Vec::new();
    match section.profile.as_str() {
        "flat-out" => {
            let ratio = subject.cpu_ratio.map(|ratio| format!(", {} x the bare proxy's", number(ratio.value)));
            if let (Some(cpu), Some(rate)) = (subject.cpu, subject.rate) {
                said.push(format!(
                    "Flat out, {name} spends {} µs of CPU on a small call{} and answers {} a second.",
                    number(cpu.value),
                    ratio.unwrap_or_default(),
                    number(rate.value)
                ));
            }
        }
        "streams" | "crowd" => {
            if let Some(bytes) = subject.per_stream {
                let beside =
                    proxy.and_then(|proxy| proxy.per_stream).map(|bytes| format!(" (bare proxy: {})", kib(bytes)));
                said.push(format!(
                    "{}: an open stream holds {} of {name}'s memory{}.",
                    section.profile,
                    kib(bytes),
                    beside.unwrap_or_default()
                ));
            }
            if let Some(gap) = subject.gap_added {
                let beside = proxy.and_then(|proxy| proxy.gap_added);
                let beside = beside.map(|gap| format!(" (bare proxy: {} µs)", signed(gap.p99.value)));
                said.push(format!(
                    "{}: {name} adds {} µs to the gap between two events at the 99th percentile{}.",
                    section.profile,
                    signed(gap.p99.value),
                    beside.unwrap_or_default()
                ));
            }
        }
        "uploads" => {
            if let (Some(bytes), Some(memory)) = (subject.in_flight, &subject.memory) {
                let mib = |bytes: u64| number(bytes as f64 / f64::from(1 << 20));
                said.push(format!(
                    "uploads: with {} MiB of bodies on their way {name} holds {} MiB at most, and {} MiB three seconds later ({} MiB idle).",
                    mib(bytes),
                    mib(memory.peak),
                    mib(memory.after),
                    mib(memory.idle)
                ));
            }
        }
        "frontier" => {
            let best = |of: &Figures| of.frontier.iter().find(|(limit, rate)| *limit > 9.0 && *rate > 0.0).copied();
            if let Some((limit, rate)) = best(subject) {
                let beside = proxy.and_then(best).filter(|(other, _)| other.total_cmp(&limit).is_eq());
                let beside = beside.map(|(_, rate)| format!(" (bare proxy: {})", number(rate)));
                said.push(format!(
                    "{name} answered {} small calls a second with 99 of 100 inside {limit} ms{}.",
                    number(rate),
                    beside.unwrap_or_default()
                ));
            }
        }
        _ => {
            if let Some(added) = subject.added.filter(|_| !section.failing) {
                let beside = proxy
                    .and_then(|proxy| proxy.added)
                    .map(|added| format!(", through the bare proxy {}", later(&added)));
                said.push(format!(
                    "{}: through {name} an answer comes {}{}.",
                    section.profile,
                    later(&added),
                    beside.unwrap_or_default()
                ));
            }
        }
    }
    said
}

fn later(added: &Quantiles) -> String {
    format!(
        "{} µs later at the median and {} µs at the 99th percentile",
        signed(added.p50.value),
        signed(added.p99.value)
    )
}

fn signed(value: f64) -> String {
    if value < 0.0 { format!("−{}", number(-value)) } else { number(value) }
}

fn kib(bytes: f64) -> String {
    format!("{} KiB", number(bytes / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadtest::report::tests::report;

    #[test]
    fn it_says_what_was_added_beside_what_and_whether_all_was_well() {
        let said = sentences(&report());
        assert_eq!(
            said[0],
            "chat: through gateway an answer comes 20.0 µs later at the median and 100 µs at the 99th percentile, through the bare \
             proxy 10.0 µs later at the median and 50.0 µs at the 99th percentile."
        );
        // Two faults in chat; those of a provider that fails on purpose are not counted.
        assert_eq!(said.last().unwrap(), "2 of 5,000 answers were wrong, cut or lost.");
    }

    #[test]
    fn the_frontier_is_told_beside_the_bare_proxys() {
        let mut report = report();
        report.sections[0].profile = "frontier".into();
        report.sections[0].subjects[1].frontier = vec![(10.0, 2000.0)];
        let said = sentences(&report);
        assert_eq!(
            said[0],
            "gateway answered 1,000 small calls a second with 99 of 100 inside 10 ms (bare proxy: 2,000)."
        );
    }
}

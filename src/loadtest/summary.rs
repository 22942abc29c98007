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
            _ => format!("{} of {told} answers were wrong, cut or lost.", number(wrong as f64)),
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
        "streams" => {
            if let Some(bytes) = subject.per_stream {
                let beside =
                    proxy.and_then(|proxy| proxy.per_stream).map(|bytes| format!(" (bare proxy: {})", kib(bytes)));
                said.push(format!(
                    "An open stream holds {} of {name}'s memory{}.",
                    kib(bytes),
                    beside.unwrap_or_default()
                ));
            }
            if let Some(gap) = subject.gap_added {
                said.push(format!(
                    "Between two events of so many streams {name} adds {} µs at the 99th percentile.",
                    signed(gap.p99.value)
                ));
            }
        }
        "frontier" => {
            let best = subject.frontier.iter().rev().find(|(limit, _)| *limit <= 10.0);
            if let Some((limit, rate)) = best.filter(|(_, rate)| *rate > 0.0) {
                said.push(format!(
                    "{name} answered {} small calls a second with 99 of 100 inside {limit} ms.",
                    number(*rate)
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

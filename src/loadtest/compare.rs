//! Two runs side by side.
//!
//! Invariant: only what both have measured is compared. Absolute times of two machines, or of two days, say little: what each run
//! held against its own provider and baseline comes first.

use std::fmt::Write;

use super::report::{Figures, Report};
use super::table::number;

type Row = (&'static str, fn(&Figures) -> Option<f64>);

/// What is compared, the most comparable first.
const ROWS: [Row; 15] = [
    ("CPU x baseline", |f| f.cpu_ratio.map(|ratio| ratio.value)),
    ("added p50, µs", |f| f.added.map(|added| added.p50.value)),
    ("added p90, µs", |f| f.added.map(|added| added.p90.value)),
    ("added p99, µs", |f| f.added.map(|added| added.p99.value)),
    ("added p99.9, µs", |f| f.added.map(|added| added.p99_9.value)),
    ("first byte added p50, µs", |f| f.first_byte_added.filter(|_| f.gap.is_some()).map(|added| added.p50.value)),
    ("gap added p99, µs", |f| f.gap_added.map(|added| added.p99.value)),
    ("CPU per answer, µs", |f| f.cpu.map(|cpu| cpu.value)),
    ("CPU per event, µs", |f| f.cpu_event.map(|cpu| cpu.value)),
    ("answers a second", |f| f.rate.map(|rate| rate.value)),
    ("memory peak, MiB", |f| f.memory.as_ref().map(|memory| memory.peak as f64 / f64::from(1 << 20))),
    ("memory afterwards, MiB", |f| f.memory.as_ref().map(|memory| memory.after as f64 / f64::from(1 << 20))),
    ("memory per stream, KiB", |f| f.per_stream.map(|bytes| bytes / 1024.0)),
    ("rate with p99 < 10 ms", |f| f.frontier.get(2).map(|(_, rate)| *rate)),
    ("faults", |f| (f.answers > 0).then(|| f.faults.values().sum::<u64>() as f64)),
];

/// As a table: for each profile and subject that both have, what was, what is, and the change.
///
/// # Errors
/// They have none in common.
pub fn render(before: &Report, after: &Report) -> Result<String, String> {
    let mut text = String::new();
    let mut compared = false;
    for (name, report) in [("A", before), ("B", after)] {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name}: Tollgate {} on {} ({} cores), {}, {} rounds of {} ms",
            report.tollgate,
            report.machine.processor,
            report.machine.cores,
            report.began,
            report.settings.rounds,
            report.settings.measured_ms
        );
    }
    if before.machine != after.machine {
        text.push_str("! Not the same machine: only multiples of the baseline can be compared.\n");
    }
    for section in &before.sections {
        let Some(other) = after.sections.iter().find(|other| other.profile == section.profile) else { continue };
        if other.load != section.load {
            let _ = writeln!(text, "\n! {}: not the same load ({}; {}).", section.profile, section.load, other.load);
        }
        for (a, b) in section.subjects.iter().filter_map(|a| Some((a, other.subject(&a.name)?))) {
            let rows: Vec<_> = ROWS.iter().filter_map(|(name, of)| Some((*name, of(a)?, of(b)?))).collect();
            if rows.is_empty() {
                continue;
            }
            compared = true;
            let _ = writeln!(
                text,
                "\n{:<28}{:>14}{:>14}{:>10}",
                format!("{}, {}", section.profile, a.name),
                "A",
                "B",
                "change"
            );
            for (name, a, b) in rows {
                let _ = writeln!(text, "  {name:<26}{:>14}{:>14}{:>10}", number(a), number(b), change(a, b));
            }
        }
    }
    if !compared {
        return Err(format!("they have nothing in common: A has {}; B has {}", measured(before), measured(after)));
    }
    Ok(text)
}

/// Who was measured, and under what.
fn measured(report: &Report) -> String {
    let told = report.sections.iter().map(|section| {
        let names: Vec<_> = section.subjects.iter().map(|subject| subject.name.as_str()).collect();
        format!("{} ({})", section.profile, names.join(", "))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn change(a: f64, b: f64) -> String {
    // Of next to nothing, a percentage says nothing.
    if a.abs() < 0.05 {
        return String::new();
    }
    format!("{:+.1} %", 100.0 * (b - a) / a.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadtest::report::tests::report;

    #[test]
    fn what_changed_is_told_and_what_only_one_has_is_not() {
        let (before, mut after) = (report(), report());
        after.sections.remove(1);
        after.sections[0].subjects[2].cpu = after.sections[0].subjects[2].cpu.map(|mut cpu| {
            cpu.value *= 1.5;
            cpu
        });
        let text = render(&before, &after).unwrap();
        let line = |part: &str| text.lines().filter(|line| line.contains(part)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(line("CPU per answer").iter().filter(|line| line.contains("+50.0 %")).count(), 1, "{text}");
        assert!(line("failing").is_empty(), "{text}");
        assert!(line("chat, gateway").len() == 1 && line("Not the same machine").is_empty(), "{text}");
        after.machine.cores = 64;
        assert!(render(&before, &after).unwrap().contains("Not the same machine"));
        after.sections[0].profile = "streams".into();
        let why = render(&before, &after).unwrap_err();
        assert!(why.contains("A has chat (direct, baseline, gateway)") && why.contains("B has streams"), "{why}");
    }
}

//! A report's figures as Markdown tables, for pages that are kept.
//!
//! Invariant: the rows and their words are those of the table on the terminal.

use std::fmt::Write;

use super::report::{Report, Section};
use super::table::ROWS;

/// One table per profile, under where and when it was measured.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    let machine = &report.machine;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "Tollgate {}, {}, {} cores, Linux {}, {}; {} rounds of {} ms for each.",
        report.tollgate,
        machine.processor,
        machine.cores,
        machine.kernel,
        report.began,
        report.settings.rounds,
        report.settings.measured_ms
    );
    for section in &report.sections {
        let _ = write!(text, "\n**{}**: {}. {}.\n\n{}", section.profile, section.about, section.load, table(section));
    }
    if !report.warnings.is_empty() {
        text.push_str("\nWhat the run said against itself:\n\n");
        for warning in &report.warnings {
            let _ = writeln!(text, "- {warning}");
        }
    }
    text
}

fn table(section: &Section) -> String {
    let names: Vec<&str> = section.subjects.iter().map(|subject| subject.name.as_str()).collect();
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len()));
    for (name, told) in ROWS {
        let cells: Vec<_> = section.subjects.iter().map(told).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<_> = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadtest::report::tests::report;

    #[test]
    fn every_profile_has_a_table_of_whole_rows() {
        let text = render(&report());
        for block in text.split("**").skip(1).step_by(2).zip(["chat", "failing"]) {
            assert_eq!(block.0, block.1);
        }
        let chat = text.split("**failing**").next().unwrap();
        let rows: Vec<&str> = chat.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 8 && rows.iter().all(|row| row.matches('|').count() == 5), "{rows:?}");
        assert!(text.contains("share a core"), "warnings belong to the figures");
    }
}

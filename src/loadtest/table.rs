//! A report as text: one block per profile, one column per subject, so that what belongs together stands side by side.
//!
//! Invariant: a figure that is absent is a dash, and every unit stands in its row's name.

use std::fmt::Write;

use super::report::{Figure, Figures, Quantiles, Report, Section};

/// One row of a block: its name, and how it is told.
type Row = (&'static str, fn(&Figures) -> Option<String>);

/// All rows, in order. One that nobody has is left out.
pub const ROWS: &[Row] = &[
    ("answers", |f| (f.answers > 0).then(|| number(f.answers as f64))),
    ("answers a second", |f| f.rate.map(|rate| number(rate.value))),
    ("faults", |f| (f.answers > 0).then(|| faults(f))),
    ("latency p50, µs", |f| at(f.latency, |q| q.p50)),
    ("latency p99, µs", |f| at(f.latency, |q| q.p99)),
    ("latency p99.9, µs", |f| at(f.latency, |q| q.p99_9)),
    ("latency max, µs", |f| at(f.latency, |q| q.max)),
    ("added p50, µs", |f| signed(f.added, |q| q.p50)),
    ("added p90, µs", |f| signed(f.added, |q| q.p90)),
    ("added p99, µs", |f| signed(f.added, |q| q.p99)),
    ("added p99.9, µs", |f| signed(f.added, |q| q.p99_9)),
    ("first byte p50, µs", |f| at(f.first_byte.filter(|_| f.gap.is_some()), |q| q.p50)),
    ("first byte added p50, µs", |f| signed(f.first_byte_added.filter(|_| f.gap.is_some()), |q| q.p50)),
    ("first byte added p99, µs", |f| signed(f.first_byte_added.filter(|_| f.gap.is_some()), |q| q.p99)),
    ("gap p50, µs", |f| at(f.gap, |q| q.p50)),
    ("gap p99, µs", |f| at(f.gap, |q| q.p99)),
    ("gap added p99, µs", |f| signed(f.gap_added, |q| q.p99)),
    ("CPU per answer, µs", |f| f.cpu.map(with_range)),
    ("CPU per event, µs", |f| f.cpu_event.map(with_range)),
    ("CPU x baseline", |f| f.cpu_ratio.map(with_range)),
    ("busy, % of a core", |f| f.busy.map(number)),
    ("memory idle, MiB", |f| f.memory.as_ref().map(|memory| mebibytes(memory.idle))),
    ("memory peak, MiB", |f| f.memory.as_ref().map(|memory| mebibytes(memory.peak))),
    ("memory afterwards, MiB", |f| f.memory.as_ref().map(|memory| mebibytes(memory.after))),
    ("memory per stream, KiB", |f| f.per_stream.map(|bytes| number(bytes / 1024.0))),
    ("bodies in flight, MiB", |f| f.in_flight.map(mebibytes)),
    ("rate with p99 < 1 ms", |f| frontier(f, 0)),
    ("rate with p99 < 5 ms", |f| frontier(f, 1)),
    ("rate with p99 < 10 ms", |f| frontier(f, 2)),
    ("rate with p99 < 50 ms", |f| frontier(f, 3)),
];

/// The whole report.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    let s = &report.settings;
    let cores = |cores: &[usize]| match cores {
        [] => "any".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "Tollgate {} on {} ({} cores, Linux {}), {}\n\
         {} rounds of {} ms for each, in turns; cores: gateway {}, provider {}, load {}; seed {}; took {:.0} s\n\
         added: more than the same quantile of `direct`, the provider with nothing in between. (lowest … highest round)",
        report.tollgate,
        report.machine.processor,
        report.machine.cores,
        report.machine.kernel,
        report.began,
        s.rounds,
        s.measured_ms,
        cores(&s.gateway_cores),
        cores(&s.provider_cores),
        cores(&s.load_cores),
        s.seed,
        report.seconds,
    );
    for section in &report.sections {
        let _ = write!(text, "\n{}", block(section));
    }
    if !report.warnings.is_empty() {
        text.push_str("\nBefore you believe it:\n");
        for warning in &report.warnings {
            let _ = writeln!(text, "  ! {warning}");
        }
    }
    text
}

fn block(section: &Section) -> String {
    let mut text = format!("{}: {}\n  {}\n", section.profile, section.about, section.load);
    let rows: Vec<(&str, Vec<String>)> = ROWS
        .iter()
        .filter_map(|(name, told)| {
            let cells: Vec<_> = section.subjects.iter().map(told).collect();
            let any = cells.iter().any(Option::is_some);
            any.then(|| (*name, cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect()))
        })
        .collect();
    let first = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = section
        .subjects
        .iter()
        .enumerate()
        .map(|(column, subject)| {
            let cells = rows.iter().filter_map(|(_, cells)| cells.get(column));
            cells.map(|cell| cell.chars().count()).chain([subject.name.chars().count()]).max().unwrap_or_default()
        })
        .collect();
    let mut line = |name: &str, cells: Vec<&str>| {
        let _ = write!(text, "  {name:first$}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    };
    line("", section.subjects.iter().map(|subject| subject.name.as_str()).collect());
    for (name, cells) in &rows {
        line(name, cells.iter().map(String::as_str).collect());
    }
    text
}

fn at(times: Option<Quantiles>, which: fn(&Quantiles) -> Figure) -> Option<String> {
    times.map(|times| number(which(&times).value))
}

fn signed(times: Option<Quantiles>, which: fn(&Quantiles) -> Figure) -> Option<String> {
    let figure = which(&times?);
    Some(format!("{} ({} … {})", plus(figure.value), plus(figure.low), plus(figure.high)))
}

fn plus(value: f64) -> String {
    if value < 0.0 { format!("−{}", number(-value)) } else { format!("+{}", number(value)) }
}

fn with_range(figure: Figure) -> String {
    format!("{} ({} … {})", number(figure.value), number(figure.low), number(figure.high))
}

fn faults(figures: &Figures) -> String {
    if figures.faults.is_empty() {
        return "0".to_owned();
    }
    figures.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

fn frontier(figures: &Figures, index: usize) -> Option<String> {
    figures.frontier.get(index).map(|(_, rate)| if *rate > 0.0 { number(*rate) } else { "none".to_owned() })
}

fn mebibytes(bytes: u64) -> String {
    number(bytes as f64 / f64::from(1 << 20))
}

/// With about three significant digits, and thousands told apart.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !size.is_finite() || size >= 1e15 {
        return "∞".to_owned();
    }
    if size >= 100.0 {
        let digits = format!("{size:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                text.push(',');
            }
            text.push(digit);
        }
        return if value < 0.0 { format!("−{text}") } else { text };
    }
    let decimals = if (0.005..10.0).contains(&size) { 2 } else { 1 };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_say_something() {
        for (value, want) in [
            (0.0, "0.0"),
            (0.123, "0.12"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (999.4, "999"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), want);
        }
        assert_eq!(plus(-1234.0), "−1,234");
        assert_eq!(number(f64::MAX), "∞");
    }

    #[test]
    fn a_block_has_a_column_for_each_and_no_row_that_nobody_has() {
        let figure = Figure { value: 12.0, low: 11.0, high: 13.5 };
        let section = Section {
            profile: "chat".into(),
            about: "small".into(),
            load: "1 a second".into(),
            failing: false,
            subjects: vec![
                Figures { name: "direct".into(), answers: 5, ..Figures::default() },
                Figures { name: "gateway".into(), answers: 1234, cpu: Some(figure), ..Figures::default() },
            ],
        };
        let text = block(&section);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(lines[3].contains("answers") && lines[3].ends_with("1,234"), "{text}");
        assert!(
            lines[5].contains("CPU per answer") && lines[5].contains('–') && lines[5].ends_with("12.0 (11.0 … 13.5)")
        );
        let widths: Vec<usize> = lines[2..].iter().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }
}

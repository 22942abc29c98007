//! A report as one HTML page that needs nothing else: no script, no font, no picture from anywhere.
//!
//! Invariant: it says the same as the table, in the same words, and is right in light and in dark. Everything that came from
//! outside (names, the processor) is escaped.

use std::fmt::Write;

use super::plot::{Line, Plot, Scale, escape};
use super::report::{Figures, Report, Section};
use super::summary::sentences;
use super::table;

const STYLE: &str = include_str!("page.css");

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    let machine = &report.machine;
    let settings = &report.settings;
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Tollgate load test, {began}</title>\n<style>\n{STYLE}</style>\n<main>\n<h1>What Tollgate costs here</h1>\n\
         <p class=\"note\">Tollgate {version} on {processor}, {cores} cores, Linux {kernel}. {began}, {seconds:.0} s: {rounds} rounds \
         of {measured} ms for each, in turns.</p>\n",
        began = escape(&report.began),
        version = escape(&report.tollgate),
        processor = escape(&machine.processor),
        cores = machine.cores,
        kernel = escape(&machine.kernel),
        seconds = report.seconds,
        rounds = settings.rounds,
        measured = settings.measured_ms,
    );
    page.push_str("<ul class=\"says\">\n");
    for sentence in sentences(report) {
        let _ = writeln!(page, "<li>{}</li>", escape(&sentence));
    }
    page.push_str("</ul>\n");
    if !report.warnings.is_empty() {
        page.push_str("<section class=\"warn\"><h2>Before you believe it</h2>\n<ul>\n");
        for warning in &report.warnings {
            let _ = writeln!(page, "<li>{}</li>", escape(warning));
        }
        page.push_str("</ul></section>\n");
    }
    page.push_str(HOW_TO_READ);
    for section in &report.sections {
        page.push_str(&profile(section));
    }
    page.push_str("</main>\n</html>\n");
    page
}

const HOW_TO_READ: &str = "<details open><summary>How to read it</summary>\n<p><b>direct</b> is the simulated provider with nothing in \
    between, <b>baseline</b> a bare proxy without any policy, <b>gateway</b> Tollgate with keys, metrics, token counting and access \
    log on. <b>Added</b> is a quantile less the same quantile of <b>direct</b>; in parentheses the lowest and the highest of single \
    rounds, which is how far this machine's noise goes. Latency counts from the moment a request was due, not from when it could be \
    sent: a gateway that stands still is charged for all that it kept waiting. CPU time is the kernel's account of the process, \
    network work included.</p></details>\n";

fn profile(section: &Section) -> String {
    let mut text = format!(
        "<section>\n<h2>{}</h2>\n<p>{}. <span class=\"note\">{}</span></p>\n{}<div class=\"plots\">\n",
        escape(&section.profile),
        escape(&capital(&section.about)),
        escape(&section.load),
        legend(section)
    );
    for plot in [latency(section), gaps(section), frontier(section), memory(section)] {
        let drawn = plot.render();
        if !drawn.is_empty() {
            let _ = write!(text, "<figure><figcaption>{}</figcaption>\n{drawn}\n</figure>\n", escape(&plot.title));
        }
    }
    text.push_str("</div>\n");
    text.push_str(&figures(section));
    text.push_str("</section>\n");
    text
}

fn latency(section: &Section) -> Plot {
    let curve = |subject: &Figures| subject.curve.clone();
    Plot {
        title: "Latency by percentile: how late the slowest are (logarithmic)".into(),
        x: ("percentile of requests", Scale::Nines),
        y: ("from when it was due to its end", Scale::Times),
        lines: lines(section, curve, false, f64::MAX),
    }
}

fn gaps(section: &Section) -> Plot {
    let curve = |subject: &Figures| subject.gap_curve.clone();
    Plot {
        title: "Gaps between the events of a stream, by percentile (logarithmic)".into(),
        x: ("percentile of gaps", Scale::Nines),
        y: ("from one event to the next", Scale::Times),
        lines: lines(section, curve, false, f64::MAX),
    }
}

fn frontier(section: &Section) -> Plot {
    let steps = |subject: &Figures| subject.steps.iter().map(|step| (step.offered, step.p99)).collect();
    Plot {
        title: "Frontier: the latency of the slowest one in a hundred, at a rising rate (logarithmic)".into(),
        x: ("requests a second", Scale::Linear),
        y: ("p99 of the latency", Scale::Times),
        lines: lines(section, steps, true, f64::MAX),
    }
}

fn memory(section: &Section) -> Plot {
    let over_time = |subject: &Figures| {
        let points = subject.memory.iter().flat_map(|memory| &memory.over_time);
        points.map(|(second, bytes)| (*second, *bytes as f64 / f64::from(1 << 20))).collect()
    };
    Plot {
        title: "Resident memory over time, in each one's turns (MiB)".into(),
        x: ("seconds", Scale::Linear),
        y: ("MiB", Scale::Linear),
        // Between two turns nobody looks.
        lines: lines(section, over_time, false, 0.7),
    }
}

fn lines(section: &Section, points: impl Fn(&Figures) -> Vec<(f64, f64)>, dots: bool, gap: f64) -> Vec<Line> {
    let line = |(index, subject): (usize, &Figures)| Line {
        name: subject.name.clone(),
        class: class(index),
        points: points(subject),
        dots,
        gap,
    };
    section.subjects.iter().enumerate().map(line).collect()
}

/// By place, so that a subject has the same colour in every chart.
fn class(index: usize) -> String {
    const COLOURS: usize = 6;
    format!("c{}", index % COLOURS)
}

fn legend(section: &Section) -> String {
    let mut text = String::from("<p class=\"legend\">");
    for (index, subject) in section.subjects.iter().enumerate() {
        let _ = write!(text, "<span class=\"{}\"><i></i>{}</span>", class(index), escape(&subject.name));
    }
    text.push_str("</p>\n");
    text
}

fn figures(section: &Section) -> String {
    let mut text = String::from("<div class=\"wide\"><table>\n<tr><th></th>");
    for subject in &section.subjects {
        let _ = write!(text, "<th>{}</th>", escape(&subject.name));
    }
    text.push_str("</tr>\n");
    for (name, told) in table::ROWS {
        let cells: Vec<_> = section.subjects.iter().map(told).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "<tr><th>{}</th>", escape(name));
        for cell in cells {
            let cell = cell.unwrap_or_else(|| "–".to_owned());
            // What stands in parentheses is beside the point.
            let (main, beside) =
                cell.split_once(" (").map_or((cell.as_str(), None), |(main, beside)| (main, Some(beside)));
            let _ = write!(text, "<td>{}", escape(main));
            if let Some(beside) = beside {
                let _ = write!(text, " <small>({}</small>", escape(beside));
            }
            text.push_str("</td>");
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table></div>\n");
    text
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadtest::report::tests::report;

    #[test]
    fn the_page_needs_nothing_and_trusts_nothing() {
        let mut report = report();
        report.sections[0].subjects[1].name = "<script>alert(1)</script>".into();
        let page = render(&report);
        for outside in ["http:", "https:", "src=", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("A &lt;processor&gt; &amp; more") && page.contains("&lt;script&gt;"), "{page}");
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn every_profile_has_its_table_and_its_charts() {
        let page = render(&report());
        assert_eq!(page.matches("<section>").count(), 2);
        // Latency, frontier and memory in chat; no frontier in failing.
        assert_eq!(page.matches("<svg").count(), 5);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(page.contains("<td>+20.0 <small>(+10.0 … +40.0)</small></td>"), "{page}");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}

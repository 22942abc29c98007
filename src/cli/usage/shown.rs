//! Usage as a table, as JSON and as CSV.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::store::report::{Line, Query, Totals};

/// Dollars with six decimals, rounded half up.
fn dollars(pico: u128) -> String {
    let micro = (pico + 500_000) / 1_000_000;
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

fn total(lines: &[Line]) -> Totals {
    lines.iter().fold(Totals::default(), |sum, line| sum.plus(&line.totals))
}

/// A column: its head, and how it reads a line. Left out where `seldom` and nothing of it was used.
struct Column {
    head: &'static str,
    seldom: bool,
    count: fn(&Totals) -> u128,
    money: bool,
}

const fn count(head: &'static str, seldom: bool, count: fn(&Totals) -> u128) -> Column {
    Column { head, seldom, count, money: false }
}

const fn money(head: &'static str, seldom: bool, count: fn(&Totals) -> u128) -> Column {
    Column { head, seldom, count, money: true }
}

const COLUMNS: [Column; 12] = [
    count("CALLS", false, |t| t.calls as u128),
    count("INPUT", false, |t| t.input as u128),
    count("CACHE READ", false, |t| t.cache_read as u128),
    count("CACHE WRITE", false, |t| t.cache_write as u128 + t.cache_write_1h as u128),
    count("OUTPUT", false, |t| t.output as u128),
    count("UNPRICED", true, |t| t.unpriced as u128),
    count("INTERRUPTED", true, |t| t.interrupted as u128),
    count("FAILED ATTEMPTS", true, |t| t.failed as u128),
    money("SAVED $", true, |t| t.saved),
    money("EXACT $", true, |t| if t.estimated == 0 { 0 } else { t.cost.saturating_sub(t.estimated_cost) }),
    money("ESTIMATED $", true, |t| t.estimated_cost),
    money("COST $", false, |t| t.cost),
];

/// For people: names to the left, numbers to the right, and a last line with the sums.
pub fn table(query: &Query, lines: &[Line]) -> String {
    if lines.is_empty() {
        return "nothing was used".to_owned();
    }
    let all = total(lines);
    let shown: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| !column.seldom || (column.count)(&all) > 0 || (column.head == "EXACT $" && all.estimated > 0))
        .collect();
    let cell = |column: &Column, totals: &Totals| match column.head {
        "EXACT $" => dollars(totals.cost.saturating_sub(totals.estimated_cost)),
        _ if column.money => dollars((column.count)(totals)),
        _ => grouped((column.count)(totals)),
    };
    let head: Vec<String> = query.by.iter().map(|by| by.name().to_uppercase()).collect();
    let mut rows = vec![(head, shown.iter().map(|column| column.head.to_owned()).collect::<Vec<_>>())];
    for line in lines {
        let of = line.of.iter().map(|name| harmless(if name.is_empty() { "-" } else { name })).collect();
        rows.push((of, shown.iter().map(|column| cell(column, &line.totals)).collect()));
    }
    if lines.len() > 1 {
        let mut of = vec![String::new(); query.by.len()];
        if let Some(first) = of.first_mut() {
            "total".clone_into(first);
        }
        rows.push((of, shown.iter().map(|column| cell(column, &all)).collect()));
    }
    let width = |at: usize, left: bool| {
        let cells = rows.iter().filter_map(|(of, numbers)| if left { of.get(at) } else { numbers.get(at) });
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let left: Vec<usize> = (0..query.by.len()).map(|at| width(at, true)).collect();
    let right: Vec<usize> = (0..shown.len()).map(|at| width(at, false)).collect();
    let mut out = String::new();
    for (of, numbers) in &rows {
        let names = of.iter().zip(&left).map(|(cell, width)| format!("{cell:<width$}"));
        let numbers = numbers.iter().zip(&right).map(|(cell, width)| format!("{cell:>width$}"));
        let line: Vec<String> = names.chain(numbers).collect();
        let _ = writeln!(out, "{}", line.join("  ").trim_end());
    }
    out
}

/// What a terminal would obey is shown as what it is: sessions and claims come from clients.
fn harmless(name: &str) -> String {
    if name.chars().any(char::is_control) { name.escape_debug().to_string() } else { name.to_owned() }
}

fn grouped(n: u128) -> String {
    let mut digits = n.to_string();
    let mut at = digits.len();
    while at > 3 {
        at -= 3;
        digits.insert(at, ',');
    }
    digits
}

/// The numbers of a line for programs, in their order. Money as it is kept.
fn numbers(totals: &Totals) -> [(&'static str, u128); 15] {
    let Totals { calls, input, cache_read, cache_write, cache_write_1h, output, reasoning, .. } = *totals;
    let Totals { cost, estimated, estimated_cost, unpriced, interrupted, failed, failed_cost, saved, .. } = *totals;
    [
        ("calls", calls.into()),
        ("input", input.into()),
        ("cache_read", cache_read.into()),
        ("cache_write", cache_write.into()),
        ("cache_write_1h", cache_write_1h.into()),
        ("output", output.into()),
        ("reasoning", reasoning.into()),
        ("unpriced", unpriced.into()),
        ("interrupted", interrupted.into()),
        ("estimated", estimated.into()),
        ("failed_attempts", failed.into()),
        ("cost_pico", cost),
        ("estimated_cost_pico", estimated_cost),
        ("failed_attempts_cost_pico", failed_cost),
        ("saved_pico", saved),
    ]
}

/// One object: the span, the rows, the total. Money as text: programs read large numbers as floats.
pub fn json(query: &Query, lines: &[Line]) -> Result<String, String> {
    let object = |totals: &Totals| {
        let mut object = Map::new();
        for (name, number) in numbers(totals) {
            let value = match u64::try_from(number) {
                Ok(count) if !name.ends_with("_pico") => count.into(),
                _ => number.to_string().into(),
            };
            object.insert(name.to_owned(), value);
        }
        object.insert("cost".to_owned(), dollars(totals.cost).into());
        object.insert("estimated_cost".to_owned(), dollars(totals.estimated_cost).into());
        object
    };
    let rows = lines.iter().map(|line| {
        let mut row = Map::new();
        for (by, name) in query.by.iter().zip(&line.of) {
            row.insert(by.name().to_owned(), if name.is_empty() { Value::Null } else { name.clone().into() });
        }
        row.extend(object(&line.totals));
        Value::Object(row)
    });
    let moment = |time: Option<i64>| {
        time.and_then(|time| Timestamp::from_millisecond(time).ok()).map_or(Value::Null, |time| time.to_string().into())
    };
    let mut whole = Map::new();
    whole.insert("since".to_owned(), moment(query.from));
    whole.insert("until".to_owned(), moment(query.to));
    whole.insert("rows".to_owned(), rows.collect());
    whole.insert("total".to_owned(), Value::Object(object(&total(lines))));
    serde_json::to_string_pretty(&Value::Object(whole)).map_err(|e| e.to_string())
}

/// RFC 4180, with a line of names first.
pub fn csv(query: &Query, lines: &[Line]) -> String {
    let mut head: Vec<&str> = query.by.iter().map(|by| by.name()).collect();
    head.extend(numbers(&Totals::default()).map(|(name, _)| name));
    let mut out = format!("{}\n", head.join(","));
    for line in lines {
        let names = line.of.iter().map(|name| quoted(name));
        let cells: Vec<String> = names.chain(numbers(&line.totals).map(|(_, number)| number.to_string())).collect();
        let _ = writeln!(out, "{}", cells.join(","));
    }
    out
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::report::By;

    fn line(name: &str, cost: u128, estimated_cost: u128) -> Line {
        let estimated = u64::from(estimated_cost > 0);
        let totals = Totals { calls: 1200, input: 1_234_567, cost, estimated, estimated_cost, ..Totals::default() };
        Line { of: vec![name.to_owned()], totals }
    }

    fn query() -> Query {
        Query { by: vec![By::Team], ..Query::default() }
    }

    #[test]
    fn money_is_rounded_half_up_for_people() {
        for (pico, want) in [
            (0, "0.000000"),
            (499_999, "0.000000"),
            (500_000, "0.000001"),
            (1_999_999_500_000, "2.000000"),
            (u128::from(u64::MAX), "18446744.073710"),
        ] {
            assert_eq!(dollars(pico), want, "{pico}");
        }
    }

    #[test]
    fn what_is_estimated_stands_apart_and_is_left_out_where_nothing_is() {
        let plain = table(&query(), &[line("red", 5_000_000, 0)]);
        assert_eq!(
            plain,
            "TEAM  CALLS      INPUT  CACHE READ  CACHE WRITE  OUTPUT    COST $\n\
             red   1,200  1,234,567           0            0       0  0.000005\n"
        );
        let both = table(&query(), &[line("red", 5_000_000, 2_000_000), line("a\x1b[2J", 1_000_000, 0)]);
        let rows: Vec<Vec<&str>> = both
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        let last = |row: usize| rows[row].iter().rev().take(3).rev().copied().collect::<Vec<_>>();
        assert_eq!(last(0), ["EXACT $", "ESTIMATED $", "COST $"]);
        assert_eq!(last(1), ["0.000003", "0.000002", "0.000005"]);
        assert_eq!(last(3), ["0.000004", "0.000002", "0.000006"]);
        assert!(both.contains("a\\u{1b}[2J") && both.contains("total"), "{both}");
        assert_eq!(table(&query(), &[]), "nothing was used");
    }

    #[test]
    fn programs_read_exact_money() {
        let lines = [line("red", u128::from(u64::MAX) * 3, 7), line("", 1, 0)];
        let json: Value = serde_json::from_str(&json(&query(), &lines).unwrap()).unwrap();
        assert_eq!(json["rows"][0]["cost_pico"], "55340232221128654845");
        assert_eq!(json["rows"][1]["team"], Value::Null);
        assert_eq!(json["rows"][0]["calls"], 1200);
        assert_eq!(json["total"]["cost_pico"], "55340232221128654846");
        assert_eq!(json["total"]["estimated_cost_pico"], "7");
        let csv = csv(&query(), &[line("a,\"b\"", 5, 0)]);
        let mut rows = csv.lines();
        assert!(rows.next().unwrap().starts_with("team,calls,input,"));
        assert!(rows.next().unwrap().starts_with("\"a,\"\"b\"\"\",1200,1234567,"), "{csv}");
    }
}

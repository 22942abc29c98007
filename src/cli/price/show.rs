//! Prices as text and as JSON.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use super::Found;
use crate::money::Pico;
use crate::price::{Kind, Period, Rates, Service, Sheet, Tool, Vendor, whole_input};
use crate::protocol::usage::Usage;

/// What `--json` prints of one price.
#[derive(Debug, Serialize)]
struct Shown<'f> {
    provider: &'f str,
    upstream_model: &'f str,
    #[serde(flatten)]
    price: Option<ShownRates<'f>>,
    cost: Option<ShownCost>,
}

#[derive(Debug, Serialize)]
struct ShownRates<'f> {
    listed_as: &'f str,
    version: &'f str,
    as_of: &'f str,
    source: &'f str,
    context: Option<u64>,
    max_output: Option<u64>,
    retires: Option<&'f str>,
    /// When these prices begin and when others do, RFC 3339.
    from: Option<String>,
    until: Option<String>,
    us: Option<String>,
    fast: Option<String>,
    off_peak: Option<String>,
    prices: Vec<ShownSheet>,
    tools: Vec<ShownTool>,
}

#[derive(Debug, Serialize)]
struct ShownSheet {
    above_input_tokens: u64,
    service_tier: &'static str,
    /// Dollars per million tokens, by kind.
    per_million: std::collections::BTreeMap<&'static str, String>,
    /// Of those, the kinds that have no price of their own.
    unpriced: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct ShownTool {
    tool: &'static str,
    dollars: String,
    per: &'static str,
}

#[derive(Debug, Serialize)]
struct ShownCost {
    pico_dollars: u64,
    dollars: String,
    unpriced: Vec<&'static str>,
}

/// The prices found for a model.
pub fn found(model: &str, all: &[Found], usage: Option<&Usage>, at: u64, json: bool) -> String {
    if json {
        let shown: Vec<_> = all.iter().map(|found| shown(found, usage, at)).collect();
        return serde_json::to_string_pretty(&shown).unwrap_or_default();
    }
    let mut out = String::new();
    for Found { provider, upstream, rates } in all {
        let asked = if upstream == model { String::new() } else { format!(", asked for {upstream}") };
        let _ = writeln!(out, "{model} at {provider}{asked}");
        let Some(rates) = rates else {
            let _ =
                writeln!(out, "  no price is known, so its calls are unpriced: never free, and refused under a budget");
            let _ =
                writeln!(out, "  hint: a [[price]] for it, or `prices` of [[provider]] if it bills as a vendor does\n");
            continue;
        };
        heading(&mut out, rates, at);
        let period = rates.period(at);
        for above in std::iter::once(0).chain(period.borders()) {
            sheets(&mut out, period, above, at);
        }
        for tool in tools(period) {
            let _ = writeln!(out, "  {:<16} {} per {}", tool.tool, tool.dollars, tool.per);
        }
        if let Some(usage) = usage {
            cost(&mut out, rates, usage, at);
        }
        out.push('\n');
    }
    out
}

fn heading(out: &mut String, rates: &Rates, at: u64) {
    let facts = &rates.facts;
    let list = if facts.as_of.is_empty() { "[[price]] in ".to_owned() } else { format!("list of {}, ", facts.as_of) };
    let _ = writeln!(out, "  price            {list}{}", facts.source);
    let _ = writeln!(out, "  found as         {} (version {})", rates.model, rates.version);
    let period = rates.period(at);
    if let Some(next) = rates.periods().iter().find(|next| next.from > at.max(period.from)) {
        let _ = writeln!(out, "  until            {}, then others (--at shows them)", moment(next.from));
    }
    for (name, ratio) in [("us", period.row.us), ("fast", period.row.fast)] {
        if let Some(ratio) = ratio {
            let _ = writeln!(out, "  {name:<16} times {ratio}, on tokens");
        }
    }
    if let Some(hours) = period.off_peak() {
        let now = if hours.contain(at) { "off-peak" } else { "peak" };
        let _ = writeln!(out, "  off-peak         {hours} UTC; shown: {now}");
    }
    let limits = [("context", facts.context), ("max output", facts.max_output), ("cached from", facts.cache_min)];
    for (name, tokens) in limits {
        if let Some(tokens) = tokens {
            let _ = writeln!(out, "  {name:<16} {tokens} tokens");
        }
    }
    if let Some(day) = &facts.retires {
        let _ = writeln!(out, "  retires          {day}");
    }
}

/// The services whose prices a period knows.
fn services(period: &Period) -> impl Iterator<Item = Service> {
    Service::ALL.into_iter().filter(|service| period.row.service(*service).is_some())
}

/// The prices above a border, a column for each service tier.
fn sheets(out: &mut String, period: &Period, above: u64, at: u64) {
    let columns: Vec<(Service, &Sheet)> =
        services(period).map(|service| (service, period.sheet(above.saturating_add(1), service, at))).collect();
    let title = if above == 0 { "$ per million".to_owned() } else { format!("input > {above}") };
    let _ = write!(out, "  {title:<16}");
    for (service, _) in &columns {
        let _ = write!(out, " {:>10}", service.name());
    }
    out.push('\n');
    for (i, kind) in Kind::ALL.into_iter().enumerate() {
        let said = period.row.base[kind].is_some() || period.row.long.iter().any(|step| step.prices[kind].is_some());
        if !said {
            continue;
        }
        let _ = write!(out, "  {:<16}", kind.name());
        for (_, sheet) in &columns {
            let _ = write!(out, " {:>10}", per_million_exact(sheet.per_token[i]));
        }
        out.push('\n');
    }
}

/// What a usage costs, line by line.
fn cost(out: &mut String, rates: &Rates, usage: &Usage, at: u64) {
    let period = rates.period(at);
    let (service, _) = period.service(usage.tier);
    let sheet = period.sheet(whole_input(usage), service, at);
    let _ = writeln!(out, "  for this usage:");
    for ((kind, count), price) in Kind::ALL.into_iter().zip(Kind::counts(usage)).zip(sheet.per_token) {
        if count > 0 {
            let amount = Pico::new(price).saturating_mul(count).exact();
            let _ = writeln!(out, "    {:<16} {count} x {} / 1,000,000 = {amount}", kind.name(), per_million(price));
        }
    }
    for (said, name, ratio) in [(usage.us, "us", period.row.us), (usage.fast, "fast", period.row.fast)] {
        if let (true, Some(ratio)) = (said, ratio) {
            let _ = writeln!(out, "    {name:<16} times {ratio}");
        }
    }
    for (tool, count) in Tool::ALL.into_iter().zip(Tool::counts(usage)) {
        if let (true, Some(price)) = (count > 0, period.row.tools[tool]) {
            let uses = if price.once { 1 } else { u64::from(count) };
            let amount = price.each.saturating_mul(uses).exact();
            let _ = writeln!(out, "    {:<16} {uses} x {} = {amount}", tool.name(), price.each.exact());
        }
    }
    let priced = rates.cost(usage, at);
    let _ = writeln!(out, "    {:<16} ${} ({} pico-dollars)", "cost", priced.cost.exact(), priced.cost.pico());
    if !priced.gaps.is_none() {
        let _ = writeln!(
            out,
            "    {:<16} {}: without a price of its own, so the record says unpriced",
            "unpriced", priced.gaps
        );
    }
}

fn shown<'f>(found: &'f Found, usage: Option<&Usage>, at: u64) -> Shown<'f> {
    let Found { provider, upstream, rates } = found;
    let cost = rates.as_ref().zip(usage).map(|(rates, usage)| {
        let priced = rates.cost(usage, at);
        let dollars = priced.cost.exact().to_string();
        ShownCost { pico_dollars: priced.cost.pico(), dollars, unpriced: priced.gaps.names().collect() }
    });
    Shown { provider, upstream_model: upstream, price: rates.as_deref().map(|rates| shown_rates(rates, at)), cost }
}

fn shown_rates(rates: &Rates, at: u64) -> ShownRates<'_> {
    let (facts, period) = (&rates.facts, rates.period(at));
    let mut prices = Vec::new();
    for above in std::iter::once(0).chain(period.borders()) {
        for service in services(period) {
            let sheet = period.sheet(above.saturating_add(1), service, at);
            let per_million = Kind::ALL.into_iter().zip(sheet.per_token);
            let per_million = per_million.map(|(kind, price)| (kind.name(), per_million_exact(price))).collect();
            let unpriced = sheet.gaps.names().collect();
            prices.push(ShownSheet { above_input_tokens: above, service_tier: service.name(), per_million, unpriced });
        }
    }
    let next = rates.periods().iter().find(|next| next.from > at.max(period.from));
    ShownRates {
        listed_as: &rates.model,
        version: &rates.version,
        as_of: &facts.as_of,
        source: &facts.source,
        context: facts.context,
        max_output: facts.max_output,
        retires: facts.retires.as_deref(),
        from: (period.from > 0).then(|| moment(period.from)),
        until: next.map(|next| moment(next.from)),
        us: period.row.us.map(|ratio| ratio.to_string()),
        fast: period.row.fast.map(|ratio| ratio.to_string()),
        off_peak: period.off_peak().map(ToString::to_string),
        prices,
        tools: tools(period),
    }
}

fn tools(period: &Period) -> Vec<ShownTool> {
    let said = Tool::ALL.into_iter().filter_map(|tool| Some((tool, period.row.tools[tool]?)));
    let shown = said.map(|(tool, price)| ShownTool {
        tool: tool.name(),
        dollars: price.each.exact().to_string(),
        per: if price.once { "answer" } else { "use" },
    });
    shown.collect()
}

#[derive(Debug, Serialize)]
struct Listed<'r> {
    vendor: &'static str,
    model: &'r str,
    input: String,
    cache_read: String,
    cache_write: String,
    output: String,
    long_above: Option<u64>,
    retires: Option<&'r str>,
}

/// Every list price, at its most usual.
pub fn list(rows: &[(Vendor, &Arc<Rates>)], at: u64, json: bool) -> String {
    let listed = rows.iter().map(|(vendor, rates)| {
        let period = rates.period(at);
        let sheet = period.sheet(0, Service::Standard, at);
        let price = |kind: Kind| per_million_exact(sheet.per_token[kind as usize]);
        Listed {
            vendor: vendor.name(),
            model: &rates.model,
            input: price(Kind::Input),
            cache_read: price(Kind::CacheRead),
            cache_write: price(Kind::CacheWrite),
            output: price(Kind::Output),
            long_above: period.borders().next(),
            retires: rates.facts.retires.as_deref(),
        }
    });
    let listed: Vec<_> = listed.collect();
    if json {
        return serde_json::to_string_pretty(&listed).unwrap_or_default();
    }
    let mut out = String::new();
    let heads = ["INPUT", "CACHE READ", "CACHE WRITE", "OUTPUT"];
    let _ = write!(out, "{:<10} {:<46}", "VENDOR", "MODEL");
    for head in heads {
        let _ = write!(out, " {head:>11}");
    }
    out.push_str("  NOTES\n");
    for row in &listed {
        let _ = write!(out, "{:<10} {:<46}", row.vendor, row.model);
        for price in [&row.input, &row.cache_read, &row.cache_write, &row.output] {
            let _ = write!(out, " {price:>11}");
        }
        let long = row.long_above.map(|above| format!("dearer above {above} in"));
        let retires = row.retires.map(|day| format!("retires {day}"));
        let notes: Vec<String> = long.into_iter().chain(retires).collect();
        let _ = writeln!(out, "  {}", notes.join("; "));
        // Nothing stands at the end of a line that has no notes.
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    let as_of = rows.first().map_or("", |(_, rates)| &*rates.facts.as_of);
    let _ = writeln!(
        out,
        "\nDollars per million tokens, as of {as_of}; `tollgate price MODEL` says all of one and its source."
    );
    out
}

/// Dollars per million tokens of a price per token.
fn per_million(per_token: u64) -> crate::money::Exact {
    Pico::new(per_token).saturating_mul(1_000_000).exact()
}

fn per_million_exact(per_token: u64) -> String {
    per_million(per_token).to_string()
}

/// Seconds since 1970 as RFC 3339.
fn moment(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| "the end of time".to_owned(), |moment| moment.to_string())
}

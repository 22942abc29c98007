//! `[[price]]` and the providers' `prices` -> the prices that hold at each provider.
//!
//! Invariant: an entry prices something, is there once for each moment, and names a provider that exists; so what is billed by
//! is what the operator can read in the file. Whose list prices hold is told by the provider's kind, by the vendor's own host,
//! or by the operator; never by a model's name alone: a wrong price is worse than none.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Context, Entry, entries, name};
use crate::config::problem::nearest;
use crate::config::schema::price::{OffPeak, Price};
use crate::config::schema::{self, Kind as ProviderKind, PriceList};
use crate::config::units::{At, Dollars};
use crate::price::{
    self, Book, Facts, Fault, Hours, Kind, Overlay, Period, Rates, Row, Step, ToolPrice, Vendor, Wanted,
};
use crate::snapshot::routes::Pattern;

/// Below this, in dollars per million, a price was probably meant per token.
const PER_TOKEN: u64 = 1_000;

/// What the operator says of prices.
#[derive(Debug, Default)]
pub struct Prices {
    entries: Vec<(Option<Box<str>>, price::Entry)>,
    overlays: Vec<(Option<Box<str>>, Overlay)>,
}

impl Prices {
    /// The prices at a provider that bills as `vendor`.
    pub fn book(&self, provider: &str, vendor: Option<Vendor>) -> Book {
        // What names the provider comes first, so that of equals it wins.
        let at = |named: &Option<Box<str>>| named.as_ref().is_none_or(|named| **named == *provider);
        let mut entries: Vec<_> = self.entries.iter().filter(|(named, _)| at(named)).collect();
        entries.sort_by_key(|(named, _)| named.is_none());
        let mut overlays: Vec<_> = self.overlays.iter().filter(|(named, _)| at(named)).collect();
        overlays.sort_by_key(|(named, _)| named.is_none());
        let overlays: Vec<Overlay> = overlays.into_iter().map(|(_, overlay)| overlay.clone()).collect();
        let listed = vendor.map(|vendor| price::Table::shipped().tools(vendor)).unwrap_or_default();
        let entries: Vec<price::Entry> = entries
            .into_iter()
            .map(|(_, entry)| {
                let overlay = price::overlay(&overlays, &entry.wanted.prefix);
                let rates = entry.rates.with_tools(&overlay, |said| said.or(&overlay).or(&listed));
                let rates = rates.map_or_else(|| Arc::clone(&entry.rates), Arc::new);
                price::Entry { rates, ..entry.clone() }
            })
            .collect();
        Book::new(vendor, &entries, &overlays)
    }
}

/// Whose list prices hold at a provider.
pub fn vendor(kind: ProviderKind, list: Option<&At<PriceList>>, host: &str) -> Option<Vendor> {
    match (list.map(|list| list.value), kind) {
        (Some(PriceList::None), _) => None,
        (Some(PriceList::Anthropic), _) | (None, ProviderKind::Anthropic) => Some(Vendor::Anthropic),
        (Some(PriceList::Openai), _) | (None, ProviderKind::Openai) => Some(Vendor::Openai),
        (Some(PriceList::Gemini), _) | (None, ProviderKind::Gemini) => Some(Vendor::Gemini),
        (Some(PriceList::Deepseek), _) => Some(Vendor::Deepseek),
        (Some(PriceList::Mistral), _) => Some(Vendor::Mistral),
        (Some(PriceList::Xai), _) => Some(Vendor::Xai),
        (Some(PriceList::Groq), _) => Some(Vendor::Groq),
        (Some(PriceList::Bedrock), _) => Some(Vendor::Bedrock),
        (Some(PriceList::Vertex), _) => Some(Vendor::Vertex),
        (Some(PriceList::Azure), _) => Some(Vendor::Azure),
        (None, ProviderKind::Compatible) => Vendor::at_host(host),
    }
}

pub fn prices(cx: &mut Context<'_>, list: &[At<Price>], providers: &[At<schema::Provider>]) -> Prices {
    let mut prices = Prices::default();
    let mut drafts: Vec<Draft> = Vec::new();
    for (entry, given) in entries("price", list) {
        let Some(one) = compile(cx, entry, given, providers) else { continue };
        let (provider, wanted) = (one.provider, one.wanted);
        match one.said {
            Said::Tools(tools) => prices.overlays.push((provider, Overlay { wanted, tools })),
            Said::Tokens(period) => {
                let same = |d: &&mut Draft| (&d.provider, &d.wanted, d.fallback) == (&provider, &wanted, one.fallback);
                let (at, from) = (given.at, period.from);
                let Some(draft) = drafts.iter_mut().find(same) else {
                    let fallback = one.fallback;
                    drafts.push(Draft { provider, wanted, fallback, first: at, periods: vec![(at, *period)] });
                    continue;
                };
                match draft.periods.iter().find(|(_, there)| there.from == from) {
                    Some((other, _)) => {
                        let hint =
                            format!("the other one is on line {}; `from` can keep the two apart", cx.line(*other));
                        let message = "the same models have a price at the same time already";
                        cx.error(at, entry.field("model"), message).hint(hint);
                    }
                    None => draft.periods.push((at, *period)),
                }
            }
        }
    }
    for Draft { provider, wanted, fallback, first, periods } in drafts {
        let file = cx.source.file.display();
        let facts = Facts { source: format!("{file}:{}", cx.line(first)).into(), ..Facts::default() };
        let periods: Vec<Period> = periods.into_iter().map(|(_, period)| period).collect();
        let said = periods.iter().map(|period| (period.from, &period.row)).collect::<Vec<_>>();
        let version = format!("config-{:08x}", crc32fast::hash(format!("{said:?}").as_bytes()));
        let model = format!("{}{}", wanted.prefix, wanted.suffix.as_ref().map_or(String::new(), |s| format!("*{s}")));
        if let Some(rates) = Rates::new(&model, version.into(), facts, periods) {
            prices.entries.push((provider, price::Entry { wanted, fallback, rates: Arc::new(rates) }));
        }
    }
    prices
}

/// Entries for the same models, moment by moment.
struct Draft {
    provider: Option<Box<str>>,
    wanted: Wanted,
    fallback: bool,
    first: usize,
    periods: Vec<(usize, Period)>,
}

struct One {
    provider: Option<Box<str>>,
    wanted: Wanted,
    fallback: bool,
    said: Said,
}

enum Said {
    Tools(price::Tools),
    Tokens(Box<Period>),
}

fn compile(cx: &mut Context<'_>, entry: Entry, given: &At<Price>, providers: &[At<schema::Provider>]) -> Option<One> {
    let before = cx.problems.len();
    let price = &given.value;
    let provider = price.provider.as_ref().map(|named| {
        if !providers.iter().any(|provider| **provider.name == **named) {
            let near = nearest(named, providers.iter().map(|provider| provider.name.as_str()));
            let hint = near.map(|near| format!("did you mean {near}?"));
            cx.error(named.at, entry.field("provider"), format!("no [[provider]] is named {}", **named)).hint = hint;
        }
        Box::from(named.as_str())
    });
    let wanted = price.model.as_ref().map_or_else(|| Some(Wanted::any()), |model| wanted(cx, entry, model));
    let fallback = price.fallback.as_ref().is_some_and(|fallback| fallback.value);
    let said = if is_tools_alone(price) {
        Said::Tools(tools_alone(cx, entry, given)?)
    } else {
        let from = price.from.as_ref().map_or(0, |from| from.value.0);
        let row = row(cx, entry, price);
        let period = (cx.problems.len() == before).then(|| Period::new(from, row))?;
        match period {
            Ok(period) => Said::Tokens(Box::new(period)),
            Err(fault) => {
                let (at, field) = match fault {
                    Fault::Border(above) => {
                        let step = price.long.iter().rposition(|step| *step.above == above).unwrap_or(0);
                        (price.long.get(step).map_or(given.at, |s| s.above.at), format!("long[{step}].above"))
                    }
                    Fault::NoOutput => (given.at, "output".into()),
                    Fault::NoInput | Fault::TooLarge => (given.at, "input".into()),
                };
                let problem = cx.error(at, entry.field(field), fault.to_string());
                if matches!(fault, Fault::NoInput | Fault::NoOutput) {
                    problem.hint("an entry replaces the list price as a whole; 0 is a price, too");
                }
                return None;
            }
        }
    };
    (cx.problems.len() == before).then_some(One { provider, wanted: wanted?, fallback, said })
}

fn wanted(cx: &mut Context<'_>, entry: Entry, model: &At<String>) -> Option<Wanted> {
    name(cx, entry, "model", model)?;
    let Some(Pattern { prefix, suffix }) = Pattern::parse(model) else {
        cx.error(model.at, entry.field("model"), "it has more than one *").hint("one * stands for any text");
        return None;
    };
    Some(Wanted { prefix, suffix })
}

fn is_tools_alone(price: &Price) -> bool {
    let services = [&price.batch, &price.flex, &price.priority];
    let changes = price.off_peak.is_some() || price.us.is_some() || price.fast.is_some() || !price.long.is_empty();
    price.said().is_empty() && services.iter().all(|service| service.is_none()) && !changes
}

fn tools_alone(cx: &mut Context<'_>, entry: Entry, given: &At<Price>) -> Option<price::Tools> {
    let Price { fallback, from, tools, .. } = &given.value;
    let tools = tools.as_ref().map(|tools| self::tools(&tools.value)).filter(|tools| !tools.is_empty());
    if tools.is_none() {
        cx.error(given.at, entry.field("input"), "this entry prices nothing")
            .hint("input and output, in dollars per million tokens, or tools = { web_search = 0.01 }");
    }
    for (at, field) in [(fallback.as_ref().map(|f| f.at), "fallback"), (from.as_ref().map(|f| f.at), "from")] {
        if let (Some(at), true) = (at, tools.is_some()) {
            cx.error(at, entry.field(field), "an entry for tools alone always holds").hint("leave it out");
        }
    }
    tools
}

fn row(cx: &mut Context<'_>, entry: Entry, given: &Price) -> Row {
    let base = given.said();
    for (kind, price) in &base {
        let per_million = price.value.0.pico() / 1_000_000;
        if matches!(kind, Kind::Input | Kind::Output) && per_million > 0 && per_million < PER_TOKEN {
            let message = format!("{} dollars for a million tokens is very little", price.value.0.exact());
            cx.warn(price.at, entry.field(kind.name()), message).hint("prices are per million tokens, not per token");
        }
    }
    let mut row = Row { base: per_token(cx, entry, "", &base), ..Row::default() };
    for (i, step) in given.long.iter().enumerate() {
        let prices = per_token(cx, entry, &format!("long[{i}]."), &step.value.said());
        row.long.push(Step { above: *step.above, prices });
    }
    for (place, said, field) in [
        (&mut row.batch, &given.batch, "batch."),
        (&mut row.flex, &given.flex, "flex."),
        (&mut row.priority, &given.priority, "priority."),
    ] {
        *place = said.as_ref().map(|said| per_token(cx, entry, field, &said.value.said()));
    }
    row.off_peak = given.off_peak.as_ref().map(|said| off_peak(cx, entry, said));
    row.us = given.us.as_ref().map(|factor| factor.value.0);
    row.fast = given.fast.as_ref().map(|factor| factor.value.0);
    row.tools = given.tools.as_ref().map(|tools| self::tools(&tools.value)).unwrap_or_default();
    row
}

fn off_peak(cx: &mut Context<'_>, entry: Entry, said: &At<OffPeak>) -> price::OffPeak {
    let mut hours = Hours::default();
    for (i, window) in said.windows.iter().enumerate() {
        if let Err(why) = hours.add(&window.hours, &window.weekdays) {
            cx.error(window.hours.at, entry.field(format_args!("off_peak.windows[{i}].hours")), why.to_string());
        }
    }
    if said.windows.is_empty() {
        cx.error(said.at, entry.field("off_peak.windows"), "it is not said when")
            .hint("windows = [{ hours = \"22:00-06:00\", weekdays = [1, 2, 3, 4, 5] }]");
    }
    price::OffPeak { hours, prices: per_token(cx, entry, "off_peak.", &said.value.said()) }
}

fn tools(said: &schema::price::Tools) -> price::Tools {
    let mut tools = price::Tools::default();
    for (tool, price) in said.said() {
        tools[tool] = Some(ToolPrice { each: price.each.0, once: price.once });
    }
    tools
}

fn per_token(cx: &mut Context<'_>, entry: Entry, table: &str, said: &[(Kind, &At<Dollars>)]) -> price::Prices {
    let mut prices = price::Prices::default();
    for (kind, written) in said {
        prices[*kind] = price::Prices::per_token(written.value.0);
        if prices[*kind].is_none() {
            let field = entry.field(format_args!("{table}{}", kind.name()));
            cx.error(written.at, field, "it is finer than a millionth of a dollar")
                .hint("dollars per million tokens, at most six decimals");
        }
    }
    prices
}

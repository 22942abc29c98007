//! The same sums, reckoned the slow way: fractions of big integers, straight from what a row says, no sheets.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::money::Pico;
use crate::price::{Gaps, Hours, Kind, OffPeak, Priced, Prices, Ratio, Row, Step, Tool, ToolPrice};
use crate::protocol::usage::{Tier, Usage};

/// Rounded half up.
fn round(above: u128, below: u128) -> u128 {
    (2 * above + below) / (2 * below)
}

/// What a kind costs under a change (a service tier, hours), given what it costs without.
fn changed(price: Option<u128>, kind: Kind, base: &Prices, change: &Prices) -> Option<u128> {
    let said = |prices: &Prices, kind: Kind| prices[kind].map(u128::from);
    let of_whole = (said(change, kind.whole()), said(base, kind.whole()));
    let by = |price: u128, now: u128, then: u128| if then == 0 { now } else { round(price * now, then) };
    match (said(change, kind), said(base, kind), price) {
        (Some(now), Some(then), Some(price)) => Some(by(price, now, then)),
        (Some(now), ..) => Some(now),
        (None, _, price) if kind == Kind::CacheRead => price,
        (None, _, Some(price)) => match of_whole {
            (Some(now), Some(then)) => Some(by(price, now, then)),
            _ => Some(price),
        },
        (None, _, None) => None,
    }
}

/// What an answer costs by a row.
pub fn cost(row: &Row, usage: &Usage, at: u64) -> Priced {
    let total: u128 = [usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.cache_write_12h]
        .map(u128::from)
        .iter()
        .sum();
    let step = row.long.iter().filter(|step| total > u128::from(step.above)).max_by_key(|step| step.above);
    let off = row.off_peak.as_ref().filter(|off| off.hours.contain(at));
    let mut gaps = Gaps::NONE;
    let service = match usage.tier {
        Tier::Unsaid | Tier::Standard => None,
        Tier::Batch => Some(row.batch),
        Tier::Flex => Some(row.flex),
        Tier::Priority => Some(row.priority),
        Tier::Other => Some(None),
    };
    if service == Some(None) {
        gaps = gaps.with(Gaps::SERVICE);
    }
    let price = |kind: Kind| {
        let mut price = step.and_then(|step| step.prices[kind]).or(row.base[kind]).map(u128::from);
        for change in off.map(|off| off.prices).into_iter().chain(service.flatten()) {
            price = changed(price, kind, &row.base, &change);
        }
        price
    };
    let writes = [Kind::CacheWrite, Kind::CacheWrite1h, Kind::CacheWrite12h];
    let plain = usage.output - usage.reasoning - usage.audio_output - usage.image_output;
    let mut sum = 0_u128;
    for (kind, count, spare, told) in [
        (Kind::Input, usage.input - usage.audio_input, None, false),
        (Kind::AudioInput, usage.audio_input, price(Kind::Input), true),
        (Kind::CacheRead, usage.cache_read, price(Kind::Input), false),
        (Kind::Output, plain, None, false),
        (Kind::Reasoning, usage.reasoning, price(Kind::Output), false),
        (Kind::AudioOutput, usage.audio_output, price(Kind::Output), true),
        (Kind::ImageOutput, usage.image_output, price(Kind::Output), true),
    ] {
        sum += u128::from(count) * price(kind).or(spare).unwrap();
        if told && count > 0 && price(kind).is_none() {
            gaps = gaps.with(Gaps::kind(kind));
        }
    }
    for (kind, count) in writes.into_iter().zip([usage.cache_write, usage.cache_write_1h, usage.cache_write_12h]) {
        let dearest = writes.into_iter().filter_map(price).max();
        sum += u128::from(count) * price(kind).or(dearest).or(price(Kind::Input)).unwrap();
        if count > 0 && price(kind).is_none() && dearest.is_some() {
            gaps = gaps.with(Gaps::kind(kind));
        }
    }
    let (mut above, mut below) = (1_u128, 1_u128);
    for (said, ratio, gap) in [(usage.us, row.us, Gaps::US), (usage.fast, row.fast, Gaps::FAST)] {
        match ratio {
            Some(ratio) if said => {
                above *= u128::from(ratio.times);
                below *= u128::from(ratio.over);
            }
            None if said => gaps = gaps.with(gap),
            _ => {}
        }
    }
    sum = round(sum * above, below);
    for (tool, count) in [
        (Tool::WebSearch, usage.web_search),
        (Tool::WebFetch, usage.web_fetch),
        (Tool::MapSearch, usage.map_search),
        (Tool::FileSearch, usage.file_search),
        (Tool::CodeExecution, usage.code_execution),
        (Tool::ImageGeneration, usage.image_generation),
        (Tool::Other, usage.other_tools),
    ] {
        match row.tools[tool] {
            _ if count == 0 => {}
            Some(ToolPrice { each, once }) => sum += u128::from(each.pico()) * u128::from(if once { 1 } else { count }),
            None => gaps = gaps.with(Gaps::tool(tool)),
        }
    }
    match u64::try_from(sum) {
        Ok(pico) => Priced { cost: Pico::new(pico), gaps },
        Err(_) => Priced { cost: Pico::MAX, gaps: gaps.with(Gaps::OVERFLOW) },
    }
}

prop_compose! {
    /// Prices of some kinds, of the real size, free and odd ones among them.
    fn any_prices()(said in vec(option::of(prop_oneof![Just(0), 1..100_u64, 1000..50_000_000_u64]), Kind::ALL.len())) -> Prices {
        let mut prices = Prices::default();
        for (kind, price) in Kind::ALL.into_iter().zip(said) {
            prices[kind] = price;
        }
        prices
    }
}

fn any_ratio() -> impl Strategy<Value = Option<Ratio>> {
    option::of((1..2000_u64, select(&[1_u64, 10, 100, 1000][..])).prop_map(|(times, over)| Ratio { times, over }))
}

fn any_off_peak() -> impl Strategy<Value = Option<OffPeak>> {
    option::of(any_prices().prop_map(|prices| {
        let mut hours = Hours::default();
        hours.add("22:00-03:00", &[1, 2, 5]).unwrap();
        hours.add("12:00-13:30", &[]).unwrap();
        OffPeak { hours, prices }
    }))
}

fn any_tool() -> impl Strategy<Value = Option<ToolPrice>> {
    option::of(
        (0..50_000_000_000_u64, any::<bool>()).prop_map(|(each, once)| ToolPrice { each: Pico::new(each), once }),
    )
}

prop_compose! {
    /// A row that can be billed by.
    pub fn any_row()(
        base in any_prices(), input in 0..50_000_000_u64, output in 0..50_000_000_u64,
        long in vec(any_prices(), 0..3),
        (batch, flex, priority) in (option::of(any_prices()), option::of(any_prices()), option::of(any_prices())),
        off_peak in any_off_peak(), us in any_ratio(), fast in any_ratio(), tools in vec(any_tool(), 7),
    ) -> Row {
        let mut row = Row { base, batch, flex, priority, off_peak, us, fast, ..Row::default() };
        (row.base[Kind::Input], row.base[Kind::Output]) = (Some(input), Some(output));
        row.long = [200_000, 100_000].into_iter().zip(long).map(|(above, prices)| Step { above, prices }).collect();
        for (tool, price) in Tool::ALL.into_iter().zip(tools) {
            row.tools[tool] = price;
        }
        row
    }
}

prop_compose! {
    /// What an answer may say, borders of long context among it.
    pub fn any_usage()(
        counts in vec(prop_oneof![Just(0), 0..3_u64, 99_999..100_002_u64, 0..1_000_000_u64], 9),
        (tools, which) in (1..4_u32, 0..8_u8),
        tier in select(&[Tier::Unsaid, Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority, Tier::Other][..]),
        fast: bool, us: bool,
    ) -> Usage {
        let uses = |place| if which == place { tools } else { 0 };
        Usage {
            input: counts[0].max(counts[7]),
            cache_read: counts[1],
            cache_write: counts[2],
            cache_write_1h: counts[3],
            cache_write_12h: counts[4],
            output: counts[5] + counts[6] + counts[8] + 1,
            reasoning: counts[6],
            audio_input: counts[7],
            audio_output: counts[8],
            image_output: 1,
            web_search: uses(0),
            web_fetch: uses(1),
            map_search: uses(2),
            file_search: uses(3),
            code_execution: uses(4),
            image_generation: uses(5),
            other_tools: uses(6),
            tier,
            fast,
            us,
        }
    }
}

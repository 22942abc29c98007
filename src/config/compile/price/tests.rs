//! Prices as the operator writes them, and the mistakes with the messages they cause.

use std::path::Path;

use super::*;
use crate::config::problem::Source;
use crate::config::schema::Config;
use crate::config::shape;
use crate::protocol::usage::{Tier, Usage};

const PROVIDERS: &str = "[[provider]]\nname = \"anthropic\"\nkind = \"anthropic\"\n[[provider]]\nname = \"local\"\n";

/// What a file says of prices, or what is wrong with it. It begins on line 6.
fn compiled(text: &str) -> (Prices, Vec<String>, Vec<String>) {
    let text = format!("{PROVIDERS}{text}");
    let source = Source::new(Path::new("t.toml"), &text);
    let env = |_: &str| None;
    let mut cx = Context::new(&source, &env);
    let (config, problems) = match shape::read(&source) {
        Ok(config) => (config, Vec::new()),
        Err(misfit) => (Config::default(), misfit.problems),
    };
    let prices = prices(&mut cx, &config.price, &config.provider);
    let told = |list: &[(usize, crate::config::Problem)]| list.iter().map(|(_, p)| p.to_string()).collect::<Vec<_>>();
    (prices, [told(&problems), told(&cx.problems)].concat(), told(&cx.warnings))
}

#[track_caller]
fn good(text: &str) -> Prices {
    let (prices, problems, warnings) = compiled(text);
    assert_eq!((problems, warnings), (Vec::new(), Vec::new()));
    prices
}

#[track_caller]
fn costs(book: &Book, model: &str, usage: Usage, at: u64, want: u64) {
    let priced = book.find(model, at).unwrap().cost(&usage, at);
    assert_eq!((priced.cost.pico(), priced.gaps.to_string().as_str()), (want, ""), "{model} at {at}");
}

#[test]
fn what_is_written_is_what_is_billed() {
    let prices = good(
        r#"
[[price]]
provider = "local"
model = "llama-*"
input = 0.25
output = "$1.5"
cache_read = 0.025
cache_write_1h = 0.5
reasoning = 3
long = [{ above = 1000, input = 1, output = 2 }]
flex = { input = 0.125 }
off_peak = { windows = [{ hours = "22:00-06:00", weekdays = [4] }], input = 0.1 }
us = 1.1
tools = { web_search = 0.01, code_execution = { per_answer = 0.03 } }
"#,
    );
    let book = prices.book("local", None);
    let one = Usage { input: 1, ..Usage::default() };
    // 1970-01-01 was a Thursday.
    let (noon, night) = (43_200, 82_800);
    for (usage, at, want) in [
        (one, noon, 250_000),
        (Usage { output: 2, reasoning: 1, ..Usage::default() }, noon, 4_500_000),
        (Usage { cache_read: 1, ..Usage::default() }, noon, 25_000),
        (Usage { cache_write_1h: 1, ..Usage::default() }, noon, 500_000),
        (Usage { input: 1001, ..Usage::default() }, noon, 1_001_000_000),
        (Usage { tier: Tier::Flex, ..one }, noon, 125_000),
        (one, night, 100_000),
        (Usage { us: true, ..one }, noon, 275_000),
        (Usage { web_search: 2, code_execution: 2, ..Usage::default() }, noon, 50_000_000_000),
    ] {
        costs(&book, "llama-4", usage, at, want);
    }
    assert!(book.find("mixtral", noon).is_none());
    assert!(prices.book("anthropic", None).find("llama-4", noon).is_none());
}

#[test]
fn the_operators_prices_stand_before_the_list_and_begin_when_he_says() {
    let prices = good(
        r#"
[[price]]
provider = "anthropic"
model = "claude-opus-5-5"
from = "2027-01-01"
input = 1
output = 2
[[price]]
provider = "anthropic"
model = "claude-opus-5-5"
from = 2027-02-01T00:00:00Z
input = 3
output = 4
[[price]]
model = "claude-opus-5-5"
input = 9
output = 9
[[price]]
fallback = true
input = 100
output = 200
[[price]]
model = "claude-*"
tools = { code_execution = 0.05 }
"#,
    );
    let book = prices.book("anthropic", Some(Vendor::Anthropic));
    let one = Usage { input: 1, ..Usage::default() };
    let (january, february) = (1_798_761_600, 1_801_440_000);
    costs(&book, "claude-opus-5-5", one, january, 1_000_000);
    costs(&book, "claude-opus-5-5", one, february - 1, 1_000_000);
    costs(&book, "claude-opus-5-5", one, february, 3_000_000);
    costs(&book, "claude-opus-5", one, january, 5_000_000);
    costs(&book, "claude-who-knows", one, january, 100_000_000);
    let run = Usage { code_execution: 1, web_search: 1, ..Usage::default() };
    costs(&book, "claude-opus-5", run, january, 60_000_000_000);
    costs(&book, "claude-opus-5-5", run, january, 60_000_000_000);
    let facts = &book.find("claude-opus-5-5", january).unwrap().facts;
    assert_eq!((facts.max_output, &*facts.source), (Some(128_000), "t.toml:7"), "what it can do is as listed");
    let local = prices.book("local", None);
    costs(&local, "claude-opus-5-5", one, 0, 9_000_000);
}

#[test]
fn the_version_tells_what_was_written() {
    let version = |text: &str| {
        let prices = good(text);
        let book = prices.book("anthropic", Some(Vendor::Anthropic));
        book.find("claude-opus-5", 0).unwrap().version.to_string()
    };
    let of = |input: u64, tools: &str| {
        version(&format!("[[price]]\nmodel = \"claude-*\"\ninput = {input}\noutput = 2\n{tools}"))
    };
    assert_eq!(version(""), "2026-11-22");
    assert_eq!(of(1, ""), of(1, ""));
    assert_ne!(of(1, ""), of(2, ""));
    assert!(of(1, "").starts_with("config-"));
    let tool = "[[price]]\ntools = { file_search = 1 }\n";
    assert_ne!(of(1, ""), of(1, tool));
    assert_ne!(version(""), version(tool));
}

#[test]
fn a_vendor_is_known_by_kind_host_or_word() {
    let at = |value| At { value, at: 0 };
    for (name, kind, list, host, want) in [
        ("kind", ProviderKind::Anthropic, None, "127.0.0.1", Some(Vendor::Anthropic)),
        ("host", ProviderKind::Compatible, None, "api.x.ai", Some(Vendor::Xai)),
        ("neither", ProviderKind::Compatible, None, "openrouter.ai", None),
        ("word", ProviderKind::Compatible, Some(at(PriceList::Azure)), "my.openai.azure.com", Some(Vendor::Azure)),
        ("word before kind", ProviderKind::Openai, Some(at(PriceList::Groq)), "api.openai.com", Some(Vendor::Groq)),
        ("nobody's", ProviderKind::Openai, Some(at(PriceList::None)), "api.openai.com", None),
    ] {
        assert_eq!(vendor(kind, list.as_ref(), host), want, "{name}");
    }
}

#[test]
fn a_target_costs_what_its_provider_is_asked_for() {
    let text = r#"
version = 1
[[provider]]
name = "openai"
kind = "openai"
[[provider]]
name = "local"
speaks = ["chat"]
base_url = "http://127.0.0.1:1"
[[provider]]
name = "reseller"
speaks = ["chat"]
base_url = "http://127.0.0.1:2"
prices = "openai"
[[model]]
name = "gpt-5"
provider = "openai"
[[model]]
name = "smart"
aliases = ["clever"]
provider = "openai"
upstream_model = "o3"
[[model]]
name = "gpt-*"
provider = "openai"
[[model]]
name = "x/*"
provider = "openai"
upstream_model = "*"
[[model]]
name = "small-*"
provider = "openai"
upstream_model = "gpt-*-mini"
[[model]]
name = "local-gpt-5"
provider = "local"
upstream_model = "gpt-5"
[[model]]
name = "resold"
provider = "reseller"
upstream_model = "openai/gpt-5-2025-08-07"
[[key]]
name = "k"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
"#;
    let metrics = crate::telemetry::metrics::Metrics::default();
    let loaded = crate::config::load_text(Path::new("t.toml"), text, &|_| None, &metrics).unwrap();
    let routes = &loaded.prepared.0.routes;
    for (asked, want) in [
        ("gpt-5", Some("gpt-5")),
        ("smart", Some("o3")),
        ("clever", Some("o3")),
        ("gpt-4.1", Some("gpt-4.1")),
        ("gpt-4o-2024-08-06", Some("gpt-4o")),
        ("gpt-who-knows", None),
        ("x/gpt-4o", Some("gpt-4o")),
        ("x/llama", None),
        ("small-5", Some("gpt-5-mini")),
        ("local-gpt-5", None),
        ("resold", Some("gpt-5")),
    ] {
        let found = routes.find(crate::protocol::Dialect::Chat, asked).unwrap();
        let rates = found.route.targets[0].rates(asked, found.captured, 0);
        assert_eq!(rates.map(|rates| &*rates.model), want, "{asked}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (name, text, want) in [
        (
            "prices nothing",
            "[[price]]\nmodel = \"m\"\n",
            &["t.toml:6:1: price[0].input: this entry prices nothing"][..],
        ),
        ("no output", "[[price]]\ninput = 1\n", &["t.toml:6:1: price[0].output: output has no price"]),
        ("no input", "[[price]]\noutput = 1\n", &["t.toml:6:1: price[0].input: input has no price"]),
        ("only a factor", "[[price]]\nus = 1.1\n", &["t.toml:6:1: price[0].input: input has no price"]),
        (
            "no such provider",
            "[[price]]\nprovider = \"antropic\"\ninput = 1\noutput = 1\n",
            &["t.toml:7:12: price[0].provider: no [[provider]] is named antropic\n  hint: did you mean anthropic?"],
        ),
        (
            "two stars",
            "[[price]]\nmodel = \"a*b*\"\ninput = 1\noutput = 1\n",
            &["t.toml:7:9: price[0].model: it has more than one *"],
        ),
        (
            "too fine",
            "[[price]]\ninput = 0.0000001\noutput = 1\n",
            &["t.toml:7:9: price[0].input: it is finer than a millionth of a dollar"],
        ),
        (
            "too fine, inside",
            "[[price]]\ninput = 1\noutput = 1\nlong = [{ above = 1, input = \"0.0000001\" }]\n",
            &["t.toml:9:30: price[0].long[0].input: it is finer"],
        ),
        ("negative", "[[price]]\ninput = -1\noutput = 1\n", &["t.toml:7:9: price[0].input: an amount below zero"]),
        (
            "not money",
            "[[price]]\ninput = \"2 EUR\"\noutput = 1\n",
            &["t.toml:7:9: price[0].input: not an amount in dollars"],
        ),
        (
            "a border twice",
            "[[price]]\ninput = 1\noutput = 1\nlong = [{ above = 9 }, { above = 9 }]\n",
            &["t.toml:9:34: price[0].long[1].above: two prices for input above 9 tokens"],
        ),
        (
            "a border of zero",
            "[[price]]\ninput = 1\noutput = 1\nlong = [{ above = 0 }]\n",
            &["t.toml:9:19: price[0].long[0].above: long context begins above at least one token"],
        ),
        (
            "no hours",
            "[[price]]\ninput = 1\noutput = 1\noff_peak = { windows = [], input = 1 }\n",
            &["t.toml:9:12: price[0].off_peak.windows: it is not said when"],
        ),
        (
            "odd hours",
            "[[price]]\ninput = 1\noutput = 1\noff_peak = { windows = [{ hours = \"22-6\" }] }\n",
            &["t.toml:9:35: price[0].off_peak.windows[0].hours: no hours as in \"10:00-00:00\" (UTC)"],
        ),
        (
            "odd weekdays",
            "[[price]]\ninput = 1\noutput = 1\noff_peak = { windows = [{ hours = \"22:00-06:00\", weekdays = [8] }] }\n",
            &["t.toml:9:35: price[0].off_peak.windows[0].hours: no weekday from 1 (Monday) to 7 (Sunday)"],
        ),
        ("no factor", "[[price]]\ninput = 1\noutput = 1\nfast = 0\n", &["t.toml:9:8: price[0].fast: not a factor"]),
        (
            "no moment",
            "[[price]]\ninput = 1\noutput = 1\nfrom = \"soon\"\n",
            &["t.toml:9:8: price[0].from: neither a date nor a time"],
        ),
        (
            "no tool",
            "[[price]]\ntools = { websearch = 1 }\n",
            &["t.toml:7:11: price[0].tools.websearch: unknown field `websearch`\n  hint: did you mean web_search?"],
        ),
        (
            "a tool's odd price",
            "[[price]]\ntools = { web_search = { per_answers = 1 } }\n",
            &["t.toml:7:24: price[0].tools.web_search: not a price"],
        ),
        (
            "a tool's negative price",
            "[[price]]\ntools = { web_search = { per_answer = -1 } }\n",
            &["t.toml:7:24: price[0].tools.web_search: an amount below zero"],
        ),
        (
            "tools as a fallback",
            "[[price]]\nfallback = true\ntools = { web_search = 1 }\n",
            &["t.toml:7:12: price[0].fallback: an entry for tools alone always holds"],
        ),
        (
            "an unknown field",
            "[[price]]\ninptu = 1\noutput = 1\n",
            &["t.toml:7:1: price[0].inptu: unknown field `inptu`\n  hint: did you mean input?"],
        ),
        (
            "the same twice",
            "[[price]]\nmodel = \"m\"\ninput = 1\noutput = 1\n[[price]]\nmodel = \"m\"\ninput = 2\noutput = 1\n",
            &[
                "t.toml:10:1: price[1].model: the same models have a price at the same time already\n  hint: the other one is on line 6",
            ],
        ),
    ] {
        let (_, problems, _) = compiled(text);
        assert_eq!(problems.len(), want.len(), "{name}: {problems:#?}");
        for (problem, want) in problems.iter().zip(want) {
            assert!(problem.starts_with(want), "{name}: want {want} in\n{problem}");
        }
    }
}

#[test]
fn a_price_per_token_is_a_warning() {
    let (_, problems, warnings) = compiled("[[price]]\ninput = 0.000003\noutput = 0.000015\n");
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("t.toml:7:9: price[0].input: 0.000003 dollars for a million tokens is very little")
    );
    assert!(warnings[0].contains("per million tokens, not per token"));
}

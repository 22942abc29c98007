//! `tollgate price`: what a model costs, why, and what a given usage of it would.
//!
//! Invariant: it asks the very prices that `serve` bills by (`Target::rates`, `Book::find`, `Rates::cost`), so what it
//! shows is what is billed. It needs no secret: a variable that is not set is no obstacle here.

mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::config::problem::nearest;
use crate::config::schema::price::Start;
use crate::config::{self, Loaded};
use crate::price::{Rates, Table, Vendor};
use crate::protocol::Dialect;
use crate::protocol::usage::{Tier, Usage};
use crate::snapshot::routes::{Target, UpstreamModel};
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;

const EXAMPLES: &str = "\
MODEL is a name that clients ask for, if a configuration is found and knows it; else a vendor's own name.

Examples:
  tollgate price
      Every list price that this program came with.

  tollgate price claude-opus-5-5
      What it costs, by every kind of token, and where the price is from.

  tollgate price gpt-6.1-sol --input 300000 --cache-read 10000 --output 2000 --tier flex
      What such an answer costs, to the last digit.

  tollgate price gemini-3.8-flash --at 2027-01-01 --json
      What holds on that day, for scripts.

  tollgate price llama-3.3-70b --provider groq --config tollgate.toml
      What holds at a provider of that file, [[price]] entries included.

Exit codes: 0 well, 1 a price is not known or the configuration is wrong, 2 wrong usage.";

/// Show what a model costs and why, or what a usage of it would cost
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Use --help for examples.")]
pub struct Price {
    /// The model. Default: list all.
    model: Option<String>,
    /// A provider of the configuration, or a vendor (anthropic, openai, gemini, deepseek, mistral, xai, groq, bedrock, vertex,
    /// azure).
    #[arg(long, short, value_name = "NAME")]
    provider: Option<String>,
    /// The configuration. Default: where `serve` looks for it; without one, list prices.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// When: a date (its beginning, UTC) or an RFC 3339 time. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<u64>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    usage: Used,
}

/// A usage to reckon with; parts count within their wholes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What an answer used")]
struct Used {
    /// Uncached input tokens.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    input: u64,
    /// Tokens read from a prompt cache.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    cache_read: u64,
    /// Tokens written to a prompt cache, for the shortest time.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    cache_write: u64,
    /// Tokens written to a prompt cache for an hour.
    #[arg(long = "cache-write-1h", value_name = "N", default_value_t, hide_default_value = true)]
    cache_write_1h: u64,
    /// Tokens written to a prompt cache for twelve hours.
    #[arg(long = "cache-write-12h", value_name = "N", default_value_t, hide_default_value = true)]
    cache_write_12h: u64,
    /// Output tokens, reasoning included.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    output: u64,
    /// Those of the output that were reasoning.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    reasoning: u64,
    /// Those of the input that were sound.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    audio_input: u64,
    /// Those of the output that were sound.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    audio_output: u64,
    /// Those of the output that were images.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    image_output: u64,
    /// Web searches by the provider.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    web_search: u32,
    /// File searches by the provider.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    file_search: u32,
    /// Runs of code by the provider.
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    code_execution: u32,
    /// The service tier that the answer names.
    #[arg(long, value_name = "TIER", value_parser = ["standard", "batch", "flex", "priority"])]
    tier: Option<String>,
    /// Made in the US (`inference_geo`).
    #[arg(long)]
    us: bool,
    /// Made faster (`speed`).
    #[arg(long)]
    fast: bool,
}

impl Used {
    /// `None` where nothing was said.
    fn usage(&self) -> Result<Option<Usage>, String> {
        let Self { input, cache_read, cache_write, cache_write_1h, cache_write_12h, output, .. } = *self;
        let Self { reasoning, audio_input, audio_output, image_output, web_search, file_search, .. } = *self;
        let tier = match self.tier.as_deref() {
            None => Tier::Unsaid,
            Some("batch") => Tier::Batch,
            Some("flex") => Tier::Flex,
            Some("priority") => Tier::Priority,
            Some(_) => Tier::Standard,
        };
        if audio_input > input {
            return Err("--audio-input is part of --input, and more than it".into());
        }
        if reasoning.saturating_add(audio_output).saturating_add(image_output) > output {
            return Err("--reasoning, --audio-output and --image-output are parts of --output, and more than it".into());
        }
        let tokens =
            Usage { input, cache_read, cache_write, cache_write_1h, cache_write_12h, output, ..Usage::default() };
        let parts = Usage { reasoning, audio_input, audio_output, image_output, ..tokens };
        let used = Usage { web_search, file_search, code_execution: self.code_execution, ..parts };
        if used == Usage::default() && (self.tier.is_some() || self.us || self.fast) {
            return Err(
                "--tier, --us and --fast say how an answer was made: say what it used, too, as in --input 1000".into(),
            );
        }
        Ok((used != Usage::default()).then_some(Usage { tier, us: self.us, fast: self.fast, ..used }))
    }
}

fn moment(text: &str) -> Result<u64, String> {
    let example = "as in 2027-01-01 or 2027-01-01T12:00:00Z";
    Start::parse(text).map(|start| start.0).map_err(|what| format!("{what}, {example}"))
}

/// A price, and how the model led to it.
#[derive(Debug, Clone)]
struct Found {
    /// Where: a provider of the configuration, or a vendor.
    provider: String,
    /// What the provider is asked for.
    upstream: String,
    rates: Option<Arc<Rates>>,
}

/// What `--json` prints of a model that is not priced.
#[derive(Debug, Serialize)]
struct Failure {
    error: String,
    suggestions: Vec<String>,
}

/// Prints it.
#[must_use]
pub fn run(price: &Price) -> ExitCode {
    let told = tell(price);
    match told {
        Ok((text, known)) => {
            super::say(&text);
            if known { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            if price.json {
                super::say(&serde_json::to_string_pretty(&failure).unwrap_or_default());
            } else {
                eprintln!("error: {}", failure.error);
                for suggestion in &failure.suggestions {
                    eprintln!("  hint: {suggestion}");
                }
            }
            ExitCode::FAILURE
        }
    }
}

/// What is printed, and whether every price is known.
fn tell(price: &Price) -> Result<(String, bool), Failure> {
    let fail = |error: String| Failure { error, suggestions: Vec::new() };
    let usage = price.usage.usage().map_err(fail)?;
    let at = price.at.unwrap_or_else(|| clock::since_epoch().as_secs());
    let loaded = loaded(price)?;
    let Some(model) = &price.model else {
        if usage.is_some() {
            return Err(Failure {
                error: "a usage of which model?".into(),
                suggestions: vec!["tollgate price MODEL --input 1000 --output 100".into()],
            });
        }
        let rows: Vec<_> = listed(price.provider.as_deref())?;
        return Ok((show::list(&rows, at, price.json), true));
    };
    let found = match &loaded {
        Some(loaded) => configured(loaded, model, price.provider.as_deref(), at),
        None => Vec::new(),
    };
    let found = if found.is_empty() { by_vendor(model, price.provider.as_deref()) } else { found };
    if found.is_empty() {
        return Err(unknown(model, price.provider.as_deref(), loaded.as_ref()));
    }
    let known = found.iter().all(|found| found.rates.is_some());
    Ok((show::found(model, &found, usage.as_ref(), at, price.json), known))
}

/// The configuration, if there is one.
fn loaded(price: &Price) -> Result<Option<Loaded>, Failure> {
    let Some(path) = config::search(price.config.as_deref(), &config::process_env) else { return Ok(None) };
    // Nobody is called from here, so a secret that is not at hand may be anything.
    let env = |name: &str| config::process_env(name).or_else(|| Some("not-set-here-0123456789".to_owned()));
    match config::load(&path, &env, &Metrics::default()) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(problems) => Err(Failure {
            error: format!("the configuration is wrong\n{problems}"),
            suggestions: vec!["`tollgate check` says more".into()],
        }),
    }
}

/// Where a configuration sends a model, or what it costs at one of its providers.
fn configured(loaded: &Loaded, model: &str, provider: Option<&str>, at: u64) -> Vec<Found> {
    let routes = &loaded.prepared.0.routes;
    let mut found: Vec<Found> = Vec::new();
    for dialect in Dialect::ALL {
        let Some(route) = routes.find(dialect, model) else { continue };
        for target in &route.route.targets {
            let upstream = upstream(target, model, route.captured);
            let known = |f: &Found| *f.provider == *target.provider.name && f.upstream == upstream;
            let wanted = provider.is_none_or(|wanted| *wanted == *target.provider.name);
            if wanted && !found.iter().any(known) {
                let rates = target.rates(model, route.captured, at).cloned();
                found.push(Found { provider: target.provider.name.to_string(), upstream, rates });
            }
        }
    }
    if let (true, Some(book)) = (found.is_empty(), provider.and_then(|wanted| loaded.books.get(wanted))) {
        let provider = provider.unwrap_or_default().to_owned();
        found.push(Found { provider, upstream: model.to_owned(), rates: book.find(model, at).cloned() });
    }
    found
}

fn upstream(target: &Target, asked: &str, captured: &str) -> String {
    match &target.model {
        UpstreamModel::Same => asked.to_owned(),
        UpstreamModel::Named(name) => name.to_string(),
        UpstreamModel::Captured { prefix, suffix } => format!("{prefix}{captured}{suffix}"),
    }
}

/// List prices of every vendor that knows the model.
fn by_vendor(model: &str, provider: Option<&str>) -> Vec<Found> {
    let wanted = |vendor: &Vendor| provider.is_none_or(|wanted| wanted == vendor.name());
    let vendors = Vendor::ALL.into_iter().filter(wanted);
    let found = vendors.filter_map(|vendor| Some((vendor, Table::shipped().find(vendor, model)?)));
    let found = found.map(|(vendor, rates)| Found {
        provider: vendor.name().to_owned(),
        upstream: model.to_owned(),
        rates: Some(Arc::clone(rates)),
    });
    found.collect()
}

/// The rows of one vendor, or all.
fn listed(provider: Option<&str>) -> Result<Vec<(Vendor, &'static Arc<Rates>)>, Failure> {
    let rows: Vec<_> =
        Table::shipped().rows().filter(|(vendor, _)| provider.is_none_or(|wanted| wanted == vendor.name())).collect();
    if rows.is_empty() {
        let wanted = provider.unwrap_or_default();
        let names = Vendor::ALL.map(Vendor::name);
        let hint = nearest(wanted, names)
            .map_or_else(|| format!("one of {}", names.join(", ")), |n| format!("did you mean {n}?"));
        return Err(Failure { error: format!("there is no price list of {wanted}"), suggestions: vec![hint] });
    }
    Ok(rows)
}

fn unknown(model: &str, provider: Option<&str>, loaded: Option<&Loaded>) -> Failure {
    let mut names: BTreeMap<&str, ()> = BTreeMap::new();
    for (vendor, rates) in Table::shipped().rows() {
        if provider.is_none_or(|wanted| wanted == vendor.name()) {
            names.insert(&rates.model, ());
        }
    }
    let at = provider.map(|provider| format!(" at {provider}")).unwrap_or_default();
    let mut suggestions = Vec::new();
    if let Some(near) = nearest(model, names.keys().copied()) {
        suggestions.push(format!("did you mean {near}?"));
    }
    let providers: Vec<&str> = loaded.iter().flat_map(|loaded| loaded.books.keys().map(|name| &**name)).collect();
    if let Some(wanted) = provider
        && !providers.contains(&wanted)
        && !Vendor::ALL.iter().any(|vendor| vendor.name() == wanted)
    {
        let all = providers.iter().copied().chain(Vendor::ALL.map(Vendor::name));
        let near = nearest(wanted, all).map(|near| format!(", did you mean {near}?")).unwrap_or_default();
        suggestions.push(format!("no provider is named {wanted}{near}"));
    }
    suggestions.push("`tollgate price` lists every model; [[price]] in the configuration gives one a price".into());
    Failure { error: format!("no price is known of {model}{at}, so its calls are unpriced"), suggestions }
}

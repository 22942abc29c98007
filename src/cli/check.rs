//! `tollgate check`: is this configuration one that `serve` would start with?
//!
//! Invariant: it loads exactly as `serve` does, so what passes here starts there (ports and log files aside, which are tried
//! only by opening them).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::config::{self, Loaded, Problem, Problems};
use crate::protocol::Dialect;
use crate::provider::webhook::Webhook;
use crate::provider::{Origin, Provider};
use crate::telemetry::metrics::Metrics;
use crate::webhook;

/// Arguments of `check`.
///
/// Examples:
///   tollgate check --config tollgate.toml
///   tollgate check --json | jq .errors
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Check {
    /// The configuration. Default: where `serve` looks for it.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Send a test to the webhook of `[budget]` as well; fails if it does not take it.
    #[arg(long)]
    webhook: bool,
}

/// What is found, for scripts.
#[derive(Debug, Default, Serialize)]
struct Report {
    ok: bool,
    file: Option<String>,
    errors: Vec<Item>,
    warnings: Vec<Item>,
    summary: Option<Summary>,
    /// What came of the test that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<String>,
}

#[derive(Debug, Serialize)]
struct Item {
    file: String,
    line: usize,
    column: usize,
    path: String,
    message: String,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Summary {
    keys: usize,
    providers: Vec<String>,
    /// Exact names and patterns, by dialect.
    models: BTreeMap<&'static str, Vec<String>>,
    mounts: usize,
    workers: usize,
    webhook: Option<String>,
}

/// Prints every error (exit code 1), or what the configuration amounts to.
#[must_use]
pub fn run(check: &Check) -> ExitCode {
    let report = report(check);
    let ok = report.ok;
    if check.json {
        super::say(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        super::say(&in_words(&report));
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(check: &Check) -> Report {
    let Some(path) = config::search(check.config.as_deref(), &config::process_env) else {
        let mut problem = Problem::with_file(Path::new("tollgate.toml"), "no configuration was found");
        problem.hint("name one with --config FILE; without one, `tollgate serve` runs for this machine only");
        return failed(None, &[problem]);
    };
    match config::load(&path, &config::process_env, &Metrics::default()) {
        Err(Problems { list, .. }) => failed(Some(&path), &list),
        Ok(loaded) => {
            let tested = check.webhook.then(|| tested(loaded.prepared.0.webhook.as_deref()));
            Report {
                ok: !matches!(tested, Some(Err(_))),
                file: Some(path.display().to_string()),
                warnings: loaded.warnings.iter().map(item).collect(),
                errors: Vec::new(),
                summary: Some(summary(&loaded)),
                webhook: tested.map(|outcome| outcome.unwrap_or_else(|why| why)),
            }
        }
    }
}

/// Sends a test. Both ways in words.
fn tested(hook: Option<&Webhook>) -> Result<String, String> {
    let hook = hook.ok_or("cannot be tested: [budget] names none")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot be tested: {e}"))?;
    match runtime.block_on(webhook::test(hook)) {
        Ok(status @ 200..300) => Ok(format!("took the test ({status})")),
        Ok(status) => Err(format!("did not take the test: it answered {status}")),
        Err(why) => Err(format!("did not take the test: {why}")),
    }
}

fn failed(path: Option<&Path>, problems: &[Problem]) -> Report {
    let errors = problems.iter().map(item).collect();
    Report { file: path.map(|p| p.display().to_string()), errors, ..Report::default() }
}

fn item(problem: &Problem) -> Item {
    Item {
        file: problem.file.display().to_string(),
        line: problem.line,
        column: problem.column,
        path: problem.path.clone(),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    }
}

fn summary(loaded: &Loaded) -> Summary {
    let rules = &loaded.prepared.0;
    let mut providers: Vec<String> =
        rules.routes.routes.iter().flat_map(|r| &r.targets).map(|t| with_dialects(&t.provider)).collect();
    providers.sort_unstable();
    providers.dedup();
    let models = Dialect::ALL.into_iter().map(|dialect| {
        let patterns = rules.routes.patterns[dialect.index()].iter();
        let patterns = patterns.map(|(p, _)| format!("{}*{}", p.prefix, p.suffix.as_deref().unwrap_or_default()));
        (dialect.name(), rules.routes.names(dialect).map(str::to_owned).chain(patterns).collect())
    });
    Summary {
        keys: rules.keyring.len(),
        providers,
        models: models.collect(),
        mounts: rules.mounts.iter().count(),
        workers: loaded.startup.listen.workers,
        webhook: rules.webhook.as_deref().map(|hook| {
            let signed = if hook.secret.is_some() { "signed" } else { "not signed" };
            format!("{} ({signed}){}", hook.origin.host, via(&hook.origin))
        }),
    }
}

/// `name (dialect, …)`, and the proxy on the way there.
fn with_dialects(provider: &Provider) -> String {
    let dialects: Vec<&str> = provider.dialects.iter().map(Dialect::name).collect();
    format!("{} ({}){}", provider.name, dialects.join(", "), via(&provider.origin))
}

fn via(origin: &Origin) -> String {
    origin.proxy.as_ref().map(|p| format!(" via {}:{}", p.host, p.port)).unwrap_or_default()
}

/// For people. Writing to a text does not fail.
fn in_words(report: &Report) -> String {
    let mut out = String::new();
    for (kind, items) in [("error", &report.errors), ("warning", &report.warnings)] {
        for item in items {
            let Item { file, line, column, path, message, hint } = item;
            // A file that cannot be read at all has no line.
            let place = if *line > 0 { format!("{file}:{line}:{column}") } else { file.clone() };
            let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
            let _ = writeln!(out, "{place}: {kind}: {path}{message}");
            if let Some(hint) = hint {
                let _ = writeln!(out, "  hint: {hint}");
            }
        }
    }
    let Some(summary) = &report.summary else {
        let _ = writeln!(out, "{} error(s)", report.errors.len());
        return out;
    };
    let Summary { keys, providers, models, mounts, workers, webhook } = summary;
    let _ = writeln!(out, "{}: ok", report.file.as_deref().unwrap_or_default());
    let _ = writeln!(out, "  keys       {keys}");
    let _ = writeln!(out, "  providers  {}", providers.join(", "));
    for (dialect, names) in models {
        if !names.is_empty() {
            let _ = writeln!(out, "  {dialect:<10} {}", names.join(", "));
        }
    }
    let _ = writeln!(out, "  mounts     {mounts}");
    let _ = writeln!(out, "  workers    {workers}");
    if let Some(webhook) = webhook {
        let _ = writeln!(out, "  webhook    {webhook}");
    }
    if let Some(tested) = &report.webhook {
        let _ = writeln!(out, "the webhook {tested}");
    }
    out
}

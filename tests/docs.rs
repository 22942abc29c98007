//! What the documents claim, held against the program.
//!
//! The README's configuration is one, every reason for a refusal is explained, and a metric that is named exists. Whether the
//! prose is true, no test can say.

use std::path::Path;
use std::sync::Arc;

use tollgate::admin::money;
use tollgate::agent::Agent;
use tollgate::config::load_text;
use tollgate::error::Kind;
use tollgate::journal::health::Health;
use tollgate::ledger::Ledger;
use tollgate::ledger::account::Now;
use tollgate::protocol::Dialect;
use tollgate::telemetry::metrics::Metrics;

const README: &str = include_str!("../README.md");
const DEPLOY: &str = include_str!("../deploy/README.md");
const AGENTS: &str = include_str!("agents/agents.toml");

/// A value for every variable that an example reads.
fn some_value(_: &str) -> Option<String> {
    Some("0123456789abcdef-0123456789abcdef".to_owned())
}

#[track_caller]
fn compiles(name: &str, text: &str) {
    let loaded = load_text(Path::new("tollgate.toml"), text, &some_value, &Metrics::default());
    let complaints = match loaded {
        Ok(loaded) => loaded.warnings.iter().map(|warning| format!("{warning:?}")).collect(),
        Err(problems) => problems.to_string(),
    };
    assert_eq!(complaints, "", "{name}");
}

#[test]
fn the_configurations_that_are_shown_compile() {
    let shown: Vec<&str> = README
        .split("```toml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .filter(|block| block.starts_with("version = "))
        .collect();
    assert_eq!(shown.len(), 1, "the README shows one whole configuration");
    compiles("README.md", shown[0]);
    compiles("tests/agents/agents.toml", AGENTS);
}

#[test]
fn every_reason_for_a_refusal_is_explained() {
    // A client that left hears no refusal; the log has it as an outcome.
    let told = |kind: &&Kind| **kind != Kind::ClientLeft;
    let missing: Vec<_> = Kind::ALL
        .iter()
        .filter(told)
        .map(|kind| kind.label())
        .filter(|label| !README.contains(&format!("`{label}`")))
        .collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}

#[test]
fn every_metric_that_is_named_exists() {
    let metrics = Metrics::new(1);
    let series = metrics.route(&Arc::from("p"), &Arc::from("m"));
    series.cells(Agent::Other, Dialect::Chat, 0).answered(200);
    let now = Now { mono: 0, unix: 0 };
    let page =
        [metrics.render(), money::accounts(&Ledger::default(), now), money::journal(&Health::default())].concat();
    let mut named = 0;
    for text in [README, DEPLOY] {
        for rest in text.split("`tollgate_").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
            let name = format!("tollgate_{}", &rest[..end]);
            if name != "tollgate_" {
                assert!(page.contains(&format!("# TYPE {name} ")), "{name} is not a metric");
                named += 1;
            }
        }
    }
    assert!(named >= 5, "the documents name {named} metrics");
}

#[test]
fn every_agent_has_its_set_up() {
    for name in ["Claude Code", "Codex CLI", "Gemini CLI", "OpenCode", "Qwen Code"] {
        assert!(README.contains(&format!("**{name}")), "{name}");
    }
    assert_eq!(Agent::ALL.len(), 6, "a new agent needs a paragraph");
}

//! What lies in `deploy/` fits together and fits the program: what is mounted is there, what is asked for is a metric.
//!
//! It parses; it starts no container and no service. What was tried by hand is said in `deploy/README.md`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, also in its helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;
use tollgate::admin::money;
use tollgate::agent::Agent;
use tollgate::config::{self, Loaded};
use tollgate::error::Kind;
use tollgate::error::limit::{Full, Level, LimitError, Measure, Period};
use tollgate::journal::health::Health;
use tollgate::ledger::Ledger;
use tollgate::ledger::account::Now;
use tollgate::ledger::rules::{BudgetRule, Mode, Rules};
use tollgate::money::Pico;
use tollgate::protocol::Dialect;
use tollgate::protocol::usage::Usage;
use tollgate::telemetry::metrics::{Metrics, OUTCOMES, Spent};

fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(place(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// As JSON, whose tools are at hand.
fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&text(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// The configuration of the container, with its secrets in a folder of the test's.
fn container_rules() -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    for name in ["anthropic", "team"] {
        let path = dir.path().join(name);
        std::fs::write(&path, "a-secret-0123456789\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let rules = text("deploy/tollgate.toml").replace("/run/secrets", dir.path().to_str().unwrap());
    let loaded = config::load_text(Path::new("deploy/tollgate.toml"), &rules, &|_| None, &Metrics::default());
    loaded.unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_containers_configuration_compiles_without_a_warning() {
    let loaded = container_rules();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn what_the_containers_mount_is_there_and_what_they_name_each_other_is_so() {
    let compose = yaml("deploy/docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    let mut mounts = 0;
    for (name, service) in services {
        for mount in service["volumes"].as_array().unwrap() {
            let (from, _) = mount.as_str().unwrap().split_once(':').unwrap();
            if let Some(path) = from.strip_prefix("./") {
                assert!(place("deploy").join(path).exists(), "{name} mounts {from}");
                mounts += 1;
            } else {
                assert!(compose["volumes"].as_object().unwrap().contains_key(from), "{name} mounts {from}");
            }
        }
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is published to everybody: {port}");
        }
    }
    assert_eq!(mounts, 4);

    let ours = &services["tollgate"];
    for secret in strings(&ours["secrets"]) {
        let named = format!("/run/secrets/{secret}");
        assert!(text("deploy/tollgate.toml").contains(&named), "nobody reads {named}");
        assert!(compose["secrets"][secret]["file"].is_string(), "{secret}");
    }
    let dockerfile = ours["build"]["dockerfile"].as_str().unwrap();
    assert!(place(dockerfile).exists());
    assert!(text(dockerfile).contains("TOLLGATE_CONFIG=/etc/tollgate/tollgate.toml"));
    assert!(strings(&ours["volumes"])[0].contains(":/etc/tollgate/tollgate.toml:"));

    let Loaded { startup, .. } = container_rules();
    let state = startup.state.directory.as_deref().and_then(Path::to_str).unwrap();
    let kept = strings(&ours["volumes"]).iter().any(|mount| mount.ends_with(&format!(":{state}")));
    assert!(kept, "what was used would be lost with the container: {state}");
    assert!(text(dockerfile).contains(&format!("--chown={} /state {state}", ours["user"].as_str().unwrap())));
    let grace = ours["stop_grace_period"].as_str().and_then(|t| t.strip_suffix('s')).unwrap();
    assert!(Duration::from_secs(grace.parse().unwrap()) > startup.listen.drain, "streams would be cut");
    let scraped = yaml("deploy/prometheus/prometheus.yml");
    let target = &scraped["scrape_configs"][0]["static_configs"][0]["targets"];
    assert_eq!(strings(target), [format!("tollgate:{}", startup.listen.admin.port())]);
    for rules in strings(&scraped["rule_files"]) {
        assert!(place("deploy/prometheus").join(rules).exists(), "{rules}");
    }
    let shown = yaml("deploy/grafana/provisioning/dashboards/tollgate.yml");
    let folder = shown["providers"][0]["options"]["path"].as_str().unwrap();
    assert!(strings(&services["grafana"]["volumes"]).iter().any(|mount| mount.contains(&format!(":{folder}:"))));
}

#[test]
fn the_image_is_built_from_what_is_let_in() {
    let (dockerfile, let_in, toolchain) =
        (text("deploy/Dockerfile"), text(".dockerignore"), text("rust-toolchain.toml"));
    let version = toolchain.split('"').nth(1).unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{version}-alpine")), "not the toolchain that is tested");
    let mut copied = 0;
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let (_, sources) = words.split_last().unwrap();
        for source in sources {
            assert!(place(source).exists(), "{source}");
            assert!(let_in.lines().any(|rule| rule == format!("!{source}")), ".dockerignore keeps {source} out");
            copied += 1;
        }
    }
    assert!(copied >= 3);
    // Whatever the manifest names by a path must be there when it is read.
    for bench in text("Cargo.toml").split("[[bench]]\nname = \"").skip(1) {
        let name = bench.split('"').next().unwrap();
        assert!(place("benches").join(format!("{name}.rs")).exists() || place("benches").join(name).exists(), "{name}");
    }
}

#[test]
fn the_service_waits_for_streams_and_holds_the_ports_that_are_listened_on() {
    let loaded = config::load_text(
        Path::new("t.toml"),
        &text("config/minimal.toml"),
        &|_| Some("a-secret-0123456789".to_owned()),
        &Metrics::default(),
    )
    .unwrap();
    let listen = loaded.startup.listen;
    let service = text("deploy/systemd/tollgate.service");
    let setting = |name: &str| {
        let found = service.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("{name}")).to_owned()
    };
    let patience: u64 = setting("TimeoutStopSec").parse().unwrap();
    assert!(Duration::from_secs(patience) > listen.drain, "streams would be cut");
    let files: usize = setting("LimitNOFILE").parse().unwrap();
    assert!(files > 2 * listen.max_connections, "a call needs two descriptors");
    let socket = text("deploy/systemd/tollgate.socket");
    let held: Vec<&str> = socket.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    assert_eq!(held, [listen.address.to_string(), listen.admin.to_string()]);
}

/// A page on which every family has every label.
fn page() -> String {
    let metrics = Metrics::new(1);
    let series = metrics.route(&Arc::from("p"), &Arc::from("m"));
    let cells = series.cells(Agent::Other, Dialect::Chat, 0);
    cells.answered(200);
    for outcome in 0..OUTCOMES.len() {
        cells.outcomes[outcome].fetch_add(1, Relaxed);
    }
    cells.add_usage(&Usage { input: 1, output: 1, ..Usage::default() });
    cells.overhead.record(Duration::from_micros(8));
    cells.first_content.record(Duration::from_millis(1));
    cells.duration.record(Duration::from_millis(1));
    metrics.core(0).refused(Kind::Internal, Agent::Other);
    let full = Full {
        level: Level::Team,
        name: "t".into(),
        measure: Measure::Requests,
        limit: 1,
        left: 0,
        wanted: 1,
        window: Duration::from_secs(1),
        retry_after: None,
        resets_at: None,
    };
    metrics.core(0).limited(&LimitError::Full(Box::new(full)));
    let spent =
        Spent { usage: &Usage { input: 1, ..Usage::default() }, cost: Pico::DOLLAR, estimated: false, unpriced: false };
    metrics.team(&Arc::from("t")).spent(Agent::Other, 0, &spent);
    metrics.owner(&Arc::from("o")).spent(Agent::Other, 0, &spent);
    let (ledger, now) = (Ledger::default(), Now { mono: 0, unix: 0 });
    let account = ledger.accounts.account(Level::Team, &Arc::from("t"));
    let budget =
        BudgetRule { cap: Pico::DOLLAR, period: Period::Day, zone: TimeZone::UTC, mode: Mode::Learned, warn_at: 80 };
    account.configure(now, &Rules { windows: Vec::new(), concurrent: Some(1), budgets: vec![budget] });
    [metrics.render(), money::accounts(&ledger, now), money::journal(&Health::default())].concat()
}

/// Sample names -> labels.
fn samples(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = found.entry(name.to_owned()).or_default();
        labels.extend(rest.split("=\"").filter_map(|part| {
            let label = part.rsplit(['{', ',', '"', ' ']).next()?;
            (!label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).then(|| label.to_owned())
        }));
    }
    // The operators' listener adds it, on systems that tell it.
    assert!(include_str!("../src/admin.rs").contains("\\nprocess_resident_memory_bytes "));
    found.entry("process_resident_memory_bytes".to_owned()).or_default();
    found
}

/// Every metric of a query is on the page, and every label that is matched or grouped by belongs to one of them.
#[track_caller]
fn asks_for_what_there_is(whose: &str, query: &str, samples: &BTreeMap<String, BTreeSet<String>>) {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut known: BTreeSet<&str> = ["job", "instance"].into();
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    let mut metrics = 0;
    let mut rest = query;
    while let Some(start) = rest.find(word) {
        let end = rest[start..].find(|c| !word(c)).map_or(rest.len(), |length| start + length);
        let (name, behind) = (&rest[start..end], &rest[end..]);
        rest = behind;
        if name == "by" {
            let (labels, after) = behind.trim_start().strip_prefix('(').and_then(|b| b.split_once(')')).unwrap();
            asked.extend(labels.split(',').map(str::trim));
            rest = after;
        } else if name.starts_with("tollgate_") || name.starts_with("process_") || name == "up" {
            metrics += 1;
            let labels = samples.get(name);
            assert!(name == "up" || labels.is_some(), "{whose}: {name} is no metric");
            known.extend(labels.into_iter().flatten().map(String::as_str));
            if let Some((matchers, after)) = behind.strip_prefix('{').and_then(|b| b.split_once('}')) {
                let names = matchers.split("\",").map(|m| m.split(['=', '!']).next().unwrap().trim());
                asked.extend(names.filter(|name| !name.is_empty()));
                rest = after;
            }
        }
    }
    assert!(metrics > 0, "{whose} asks for nothing: {query}");
    let unknown: Vec<_> = asked.difference(&known).collect();
    assert!(unknown.is_empty(), "{whose}: {unknown:?} are no labels in {query}");
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let samples = samples(&page());
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/dashboards/tollgate.json")).unwrap();
    let source = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    let mut shown = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has another panel's id");
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], source["datasources"][0]["uid"], "{title}");
            let query = target["expr"].as_str().unwrap();
            asks_for_what_there_is(title, query, &samples);
            shown.extend(samples.keys().filter(|name| query.contains(name.as_str())));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let (family, label) = (variable["query"]["query"].as_str().unwrap())
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')')?.split_once(", "))
            .unwrap();
        assert!(samples[family].contains(label), "{family} has no {label}");
    }
    assert!(shown.len() >= 15, "only {shown:?}");
}

/// What a roll-out is watched by: each agent's latency, tokens and errors.
#[test]
fn the_dashboard_tells_agents_apart() {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/dashboards/tollgate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let by_agent: Vec<&str> = queries
        .map(|target| target["expr"].as_str().unwrap())
        .filter(|query| query.contains("by (agent)") || query.contains("by (le, agent)"))
        .collect();
    for family in [
        "tollgate_overhead_seconds_bucket",
        "tollgate_first_content_seconds_bucket",
        "tollgate_duration_seconds_bucket",
        "tollgate_tokens_total",
        "tollgate_refusals_total",
        "tollgate_answers_total",
        "tollgate_requests_total",
    ] {
        assert!(by_agent.iter().any(|query| query.contains(family)), "{family} is not shown by agent");
    }
}

/// What a finance team asks for: cost by agent and by team, what is left, and what is missing from the sums.
#[test]
fn the_dashboard_tells_what_it_costs() {
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/dashboards/tollgate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    for (by, family) in [
        ("by (agent)", "tollgate_team_cost_micro_dollars_total"),
        ("by (team)", "tollgate_team_cost_micro_dollars_total"),
        ("by (owner)", "tollgate_owner_cost_micro_dollars_total"),
        ("by (kind)", "tollgate_team_tokens_total"),
        ("by (level, bound)", "tollgate_limit_refusals_total"),
        ("by (team)", "tollgate_team_unpriced_calls_total"),
        ("by (team)", "tollgate_team_estimated_calls_total"),
        ("", "tollgate_budget_remaining_micro_dollars"),
        ("", "tollgate_budget_overshoot_micro_dollars_total"),
        ("", "tollgate_journal_bytes"),
    ] {
        assert!(queries.iter().any(|query| query.contains(by) && query.contains(family)), "{family} {by}");
    }
    // A panel over another hides it.
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
    for (n, one) in panels.iter().enumerate() {
        let [x, y, w, h] = place(one);
        assert!(x + w <= 24, "{}", one["title"]);
        for other in &panels[n + 1..] {
            let [ox, oy, ow, oh] = place(other);
            let apart = x + w <= ox || ox + ow <= x || y + h <= oy || oy + oh <= y;
            assert!(apart, "{} lies over {}", one["title"], other["title"]);
        }
    }
}

#[test]
fn the_alerts_ask_for_what_there_is() {
    let samples = samples(&page());
    let alerts = yaml("deploy/prometheus/alerts.yml");
    let mut names = BTreeSet::new();
    for group in alerts["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            let name = rule["alert"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            let query = rule["expr"].as_str().unwrap();
            asks_for_what_there_is(name, query, &samples);
            for reason in query.split("reason=\"").skip(1) {
                let label = reason.split('"').next().unwrap();
                assert!(Kind::ALL.iter().any(|kind| kind.label() == label), "{name}: {label} is no reason");
            }
            for outcome in query.split("outcome=~\"").skip(1).flat_map(|r| r.split('"').next().unwrap().split('|')) {
                assert!(OUTCOMES.contains(&outcome), "{name}: {outcome} is no outcome");
            }
            for bound in query.split("bound=\"").skip(1) {
                let label = bound.split('"').next().unwrap();
                let known = Measure::ALL.iter().any(|measure| measure.label() == label);
                assert!(known || label == "budget", "{name}: nothing is bounded by {label}");
            }
            assert!(rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string(), "{name}");
        }
    }
    for what in ["BudgetNearlySpent", "BudgetOvershot", "Unpriced", "UsageNotWritten", "UsageDatabaseFails"] {
        assert!(names.contains(&format!("Tollgate{what}")), "{what}");
    }
}

#[test]
fn a_query_for_what_is_not_there_is_found_out() {
    let samples = samples(&page());
    for (query, fine) in [
        ("sum by (agent) (rate(tollgate_requests_total{status=\"5xx\",agent=~\"a|b\"}[5m]))", true),
        ("histogram_quantile(0.5, sum by (le) (rate(tollgate_duration_seconds_bucket[5m])))", true),
        ("rate(tollgate_request_total[5m])", false),
        ("rate(tollgate_duration_seconds[5m])", false),
        ("sum by (reason) (rate(tollgate_requests_total[5m]))", false),
        ("tollgate_requests_total{reason=\"x\"}", false),
        ("vector(1)", false),
    ] {
        let outcome = std::panic::catch_unwind(|| asks_for_what_there_is("t", query, &samples));
        assert_eq!(outcome.is_ok(), fine, "{query}");
    }
}

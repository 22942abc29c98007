//! What accounts are written like, and the mistakes with the messages they cause.

use std::path::Path;

use super::*;
use crate::config::problem::Source;
use crate::config::shape;
use crate::money::Pico;

const TEAM: &str = r#"
[budget]
time_zone = "Europe/Berlin"
[[organisation]]
name = "acme"
budgets = [{ dollars = 10_000, per = "month" }]
[[team]]
name = "core"
organisation = "acme"
limits = [{ tokens = 2_000_000, per = "1h" }, { concurrent = 20 }]
budgets = [
  { dollars = "500.50", per = "month", warn_at = 90 },
  { dollars = 50, per = "day", time_zone = "UTC", mode = "strict" },
  { dollars = 20, per = "5h" },
]
[[team.agent]]
name = "codex"
budgets = [{ dollars = 100, per = "week" }]
[[owner]]
name = "alice"
limits = [{ requests = 100, per = "1m" }, { input_tokens = 5, per = "1m" }, { output_tokens = 6, per = "1m" }]
[[key]]
name = "laptop"
owner = "alice"
team = "core"
limits = [{ requests = 60, per = "1m" }]
[[model]]
name = "claude-*"
provider = "anthropic"
budgets = [{ dollars = 1, per = "total" }]
"#;

/// What a file says of accounts, or what is wrong with it.
fn compiled(text: &str) -> (Charter, Vec<String>, Vec<String>) {
    let source = Source::new(Path::new("t.toml"), text);
    let env = |_: &str| None;
    let mut cx = Context::new(&source, &env);
    let config = shape::read(&source).unwrap_or_else(|misfit| panic!("{:?}", misfit.problems));
    let all = accounts(&mut cx, &config);
    let told = |list: &[(usize, crate::config::Problem)]| list.iter().map(|(_, p)| p.to_string()).collect();
    (all, told(&cx.problems), told(&cx.warnings))
}

#[test]
fn everybody_is_held_to_what_is_written() {
    let (all, problems, warnings) = compiled(TEAM);
    assert_eq!((problems.as_slice(), warnings.as_slice()), ([].as_slice(), [].as_slice()));
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let budget = |dollars: u64, period, zone: &TimeZone, mode, warn_at| BudgetRule {
        cap: Pico::DOLLAR.checked_mul(dollars).unwrap(),
        period,
        zone: zone.clone(),
        mode,
        warn_at,
    };
    let team = all.of(Level::Team, "core").unwrap();
    assert_eq!(team.concurrent, Some(20));
    assert_eq!(
        team.windows,
        [WindowRule { measure: Measure::Tokens, limit: 2_000_000, window: Duration::from_secs(3600) }]
    );
    let mut month = budget(500, Period::Month, &berlin, Mode::Learned, 90);
    month.cap = Pico::new(500_500_000_000_000);
    assert_eq!(
        team.budgets,
        [
            month,
            budget(50, Period::Day, &TimeZone::UTC, Mode::Strict, 80),
            budget(20, Period::Rolling(18_000), &berlin, Mode::Learned, 80),
        ]
    );
    let agent = all.of(Level::Agent, "core/codex").unwrap();
    assert_eq!(agent.budgets, [budget(100, Period::Week, &berlin, Mode::Learned, 80)]);
    let organisation = all.of(Level::Organisation, "acme").unwrap();
    assert_eq!(organisation.budgets, [budget(10_000, Period::Month, &berlin, Mode::Learned, 80)]);
    assert_eq!(all.organisations.get("core").map(|name| &**name), Some("acme"));
    let owner = all.of(Level::Owner, "alice").unwrap();
    let measures = owner.windows.iter().map(|rule| (rule.measure, rule.limit)).collect::<Vec<_>>();
    assert_eq!(measures, [(Measure::Requests, 100), (Measure::InputTokens, 5), (Measure::OutputTokens, 6)]);
    assert_eq!(all.of(Level::Key, "laptop").unwrap().windows[0].limit, 60);
    assert_eq!(all.of(Level::Model, "claude-*").unwrap().budgets[0].period, Period::Total);
    assert_eq!(all.of(Level::Team, "nobody"), None);
    assert_eq!(all.rules.len(), 6);
}

/// A file that ends with a key, so that fields can follow.
const KEY: &str = "[[key]]\nname = \"a\"\nowner = \"o\"\nteam = \"t\"\n";

#[track_caller]
fn wrong(name: &str, more: &str, want: &[(&str, &str)]) {
    let (_, problems, _) = compiled(&format!("{KEY}{more}"));
    assert_eq!(problems.len(), want.len(), "{name}: {problems:#?}");
    for (problem, (begins, has)) in problems.iter().zip(want) {
        assert!(problem.starts_with(&format!("t.toml:{begins}")) && problem.contains(has), "{name}: {problem}");
    }
}

#[test]
fn limits_that_make_no_sense() {
    wrong("no count", "limits = [{ per = \"1m\" }]", &[("5:11: key[0].limits: a limit has one count", "requests")]);
    wrong(
        "two counts",
        "limits = [{ requests = 1, tokens = 2, per = \"1m\" }]",
        &[("5:11: key[0].limits: a limit has one count", "another entry")],
    );
    wrong("zero", "limits = [{ tokens = 0, per = \"1m\" }]", &[("5:22: key[0].limits.tokens: zero", "revoke")]);
    wrong("no time", "limits = [{ requests = 5 }]", &[("5:11: key[0].limits.per: it is missing", "1m")]);
    wrong(
        "no time for what is under way",
        "limits = [{ concurrent = 5, per = \"1m\" }]",
        &[("5:35: key[0].limits.per: calls under way", "")],
    );
    wrong("too short", "limits = [{ requests = 5, per = \"999ms\" }]", &[("5:33: key[0].limits.per: it must", "31d")]);
    wrong("too long", "limits = [{ requests = 5, per = \"32d\" }]", &[("5:33: key[0].limits.per: it must", "31d")]);
    wrong(
        "twice",
        "limits = [{ requests = 5, per = \"60s\" }, { requests = 9, per = \"1m\" }, { concurrent = 1 }, { concurrent = 1 }]",
        &[
            ("5:55: key[0].limits.requests: it is there twice", ""),
            ("5:107: key[0].limits.concurrent: it is there twice", ""),
        ],
    );
}

#[test]
fn budgets_that_make_no_sense() {
    wrong("zero", "budgets = [{ dollars = 0, per = \"day\" }]", &[("5:24: key[0].budgets.dollars: zero", "")]);
    wrong(
        "no period",
        "budgets = [{ dollars = 1, per = \"year\" }]",
        &[("5:33: key[0].budgets.per: it is no", "month")],
    );
    wrong(
        "twice",
        "budgets = [{ dollars = 1, per = \"day\" }, { dollars = 2, per = \"day\" }]",
        &[("5:63: key[0].budgets.per: this period is there twice", "smaller")],
    );
    wrong("too short", "budgets = [{ dollars = 1, per = \"59s\" }]", &[("5:33: key[0].budgets.per: it is no", "1m")]);
    wrong(
        "no such zone",
        "budgets = [{ dollars = 1, per = \"day\", time_zone = \"Europe/Bonn\" }]",
        &[("5:52: key[0].budgets.time_zone: there is no", "Berlin")],
    );
    wrong(
        "a zone without days",
        "budgets = [{ dollars = 1, per = \"5h\", time_zone = \"UTC\" }]",
        &[("5:51: key[0].budgets.time_zone: this period", "leave")],
    );
    wrong(
        "no percentage",
        "budgets = [{ dollars = 1, per = \"day\", warn_at = 0 }]\n[budget]\nwarn_at = 101",
        &[("7:11: budget.warn_at: it must", ""), ("5:50: key[0].budgets.warn_at: it must", "")],
    );
    let many: String = (10..27).map(|hours| format!("{{ dollars = 1, per = \"{hours}h\" }},")).collect();
    wrong("too many", &format!("budgets = [{many}]"), &[("5:476: key[0].budgets: there are more than 16", "")]);
}

#[test]
fn accounts_that_make_no_sense() {
    wrong(
        "twice",
        "[[team]]\nname = \"t\"\n[[team]]\nname = \"t\"\n[[owner]]\nname = \"o\"\n[[owner]]\nname = \"o\"",
        &[("12:8: owner[1].name: two are named o", "line 10"), ("8:8: team[1].name: two are named t", "line 6")],
    );
    wrong(
        "an organisation that is none",
        "[[team]]\nname = \"t\"\norganisation = \"acme\"",
        &[("7:16: team[0].organisation: there is no", "[[organisation]]")],
    );
    wrong(
        "an agent twice",
        "[[team]]\nname = \"t\"\n[[team.agent]]\nname = \"codex\"\n[[team.agent]]\nname = \"codex\"",
        &[("10:8: team[0].agent: this agent is there twice", "")],
    );
    let (_, problems, warnings) =
        compiled(&format!("{KEY}[[owner]]\nname = \"bob\"\n[[organisation]]\nname = \"acme\""));
    assert_eq!(problems, [] as [String; 0]);
    assert!(
        warnings[0].contains("no [[key]] names it") && warnings[1].contains("no [[team]] names it"),
        "{warnings:?}"
    );
}

//! Owners, teams, organisations and what each is held to, with keys and models beside them.
//!
//! Invariant: whoever a key names has its rules on that key, in the order from the narrowest to the widest, and nobody else's.
//! A name that only a key uses is an account without rules: it has its records and its sums all the same.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Context, Entry, agent, entries, name};
use crate::config::schema::{self, Config};
use crate::config::units::{At, Time};
use crate::error::limit::{Level, Measure, Period};
use crate::ledger::rules::{BudgetRule, Mode, Rules, WindowRule};
use crate::snapshot::charter::{Charter, agent_of};

/// Longest window of a limit: every one is kept in memory, slot by slot.
const LONGEST_WINDOW: Duration = Duration::from_secs(31 * 86_400);
/// Longest rolling period of a budget.
const LONGEST_ROLLING: Duration = Duration::from_secs(366 * 86_400);
/// Limits, and budgets, that one account may have.
const MOST: usize = 16;

pub fn accounts(cx: &mut Context<'_>, config: &Config) -> Charter {
    let defaults = Defaults::of(cx, &config.budget);
    let mut all = Charter::default();
    for (entry, key) in entries("key", &config.key) {
        let rules = rules(cx, entry, &defaults, &key.limits, &key.budgets);
        add(&mut all, Level::Key, &key.name, rules);
    }
    for (entry, model) in entries("model", &config.model) {
        let rules = rules(cx, entry, &defaults, &model.limits, &model.budgets);
        add(&mut all, Level::Model, &model.name, rules);
    }
    let mut seen = HashMap::new();
    // Sets: looked through once for each of ten thousand teams, a hundred thousand keys take longer than all the rest.
    let mut used: HashSet<&str> =
        config.key.iter().filter_map(|key| key.owner.as_deref().map(String::as_str)).collect();
    for (entry, owner) in entries("owner", &config.owner) {
        let schema::Owner { name: label, limits, budgets } = &owner.value;
        named(cx, entry, label, &mut seen, &used, "key");
        let rules = rules(cx, entry, &defaults, limits, budgets);
        add(&mut all, Level::Owner, label, rules);
    }
    seen.clear();
    used = config.team.iter().filter_map(|team| team.organisation.as_deref().map(String::as_str)).collect();
    for (entry, organisation) in entries("organisation", &config.organisation) {
        let schema::Organisation { name: label, limits, budgets } = &organisation.value;
        named(cx, entry, label, &mut seen, &used, "team");
        let rules = rules(cx, entry, &defaults, limits, budgets);
        add(&mut all, Level::Organisation, label, rules);
    }
    let known = std::mem::take(&mut seen);
    used = config.key.iter().filter_map(|key| key.team.as_deref().map(String::as_str)).collect();
    for (entry, team) in entries("team", &config.team) {
        one_team(&mut all, cx, &used, entry, team, &defaults, &known, &mut seen);
    }
    all
}

fn add(all: &mut Charter, level: Level, name: &str, rules: Rules) {
    if !rules.is_empty() {
        all.rules.insert((level, name.into()), rules);
    }
}

#[expect(clippy::too_many_arguments, reason = "the places that its problems point at")]
fn one_team<'c>(
    all: &mut Charter,
    cx: &mut Context<'_>,
    used: &HashSet<&str>,
    entry: Entry,
    team: &'c At<schema::Team>,
    defaults: &Defaults,
    organisations: &HashMap<&str, usize>,
    seen: &mut HashMap<&'c str, usize>,
) {
    let schema::Team { name: label, organisation, limits, budgets, agent: agents } = &team.value;
    named(cx, entry, label, seen, used, "key");
    if let Some(organisation) = organisation {
        // Not only a name: a slip here would leave a team outside its organisation's budget.
        if !organisations.contains_key(organisation.as_str()) {
            cx.error(organisation.at, entry.field("organisation"), "there is no [[organisation]] of this name")
                .hint("add one, or leave this out");
        }
        all.organisations.insert(label.as_str().into(), organisation.as_str().into());
    }
    let held = rules(cx, entry, defaults, limits, budgets);
    add(all, Level::Team, label, held);
    let mut twice = Vec::new();
    for share in agents {
        let schema::TeamAgent { name, limits, budgets } = &share.value;
        if twice.contains(&**name) {
            cx.error(name.at, entry.field("agent"), "this agent is there twice");
        }
        twice.push(**name);
        let held = rules(cx, entry, defaults, limits, budgets);
        add(all, Level::Agent, &agent_of(label, agent(**name)), held);
    }
}

/// Checks a name, that it is there once, and that somebody uses it.
fn named<'c>(
    cx: &mut Context<'_>,
    entry: Entry,
    label: &'c At<String>,
    seen: &mut HashMap<&'c str, usize>,
    used: &HashSet<&str>,
    by: &str,
) {
    name(cx, entry, "name", label);
    if let Some(first) = seen.insert(label.as_str(), label.at) {
        let hint = format!("the other one is on line {}", cx.line(first));
        cx.error(label.at, entry.field("name"), format!("two are named {}", **label)).hint(hint);
    }
    if !used.contains(label.as_str()) {
        cx.warn(label.at, entry.field("name"), format!("no [[{by}]] names it, so it bounds nothing"));
    }
}

/// See [`schema::BudgetDefaults`].
struct Defaults {
    mode: Mode,
    zone: TimeZone,
    warn_at: u8,
}

impl Defaults {
    fn of(cx: &mut Context<'_>, given: &schema::BudgetDefaults) -> Self {
        // The webhook has a file of its own.
        let schema::BudgetDefaults { mode, time_zone, warn_at, webhook: _ } = given;
        Self {
            mode: mode.as_ref().map_or(Mode::default(), |mode| self::mode(**mode)),
            zone: zone(cx, "budget.time_zone", time_zone.as_ref()).unwrap_or(TimeZone::UTC),
            warn_at: percent(cx, "budget.warn_at", warn_at.as_ref()).unwrap_or(80),
        }
    }
}

fn rules(
    cx: &mut Context<'_>,
    entry: Entry,
    defaults: &Defaults,
    limits: &[At<schema::Limit>],
    budgets: &[At<schema::Budget>],
) -> Rules {
    for (list, at) in [("limits", limits.get(MOST).map(|l| l.at)), ("budgets", budgets.get(MOST).map(|b| b.at))] {
        if let Some(at) = at {
            cx.error(at, entry.field(list), format!("there are more than {MOST}"));
        }
    }
    let mut rules = Rules::default();
    for given in limits {
        limit(cx, entry, given, &mut rules);
    }
    for given in budgets {
        let Some(rule) = budget(cx, entry, given, defaults) else { continue };
        // Else nobody could tell them apart, where they are shown.
        if rules.budgets.iter().any(|known| known.period == rule.period && known.mode == rule.mode) {
            cx.error(given.per.at, entry.field("budgets.per"), "this period is there twice")
                .hint("the smaller one alone would do the same; one may be strict beside one that is learned");
        }
        rules.budgets.push(rule);
    }
    rules
}

fn limit(cx: &mut Context<'_>, entry: Entry, given: &At<schema::Limit>, rules: &mut Rules) {
    let schema::Limit { requests, input_tokens, output_tokens, tokens, concurrent, per } = &given.value;
    let counts = [
        (Measure::Requests, requests),
        (Measure::InputTokens, input_tokens),
        (Measure::OutputTokens, output_tokens),
        (Measure::Tokens, tokens),
        (Measure::Concurrent, concurrent),
    ];
    let mut written = counts.iter().filter_map(|(measure, count)| Some((*measure, count.as_ref()?)));
    let (Some((measure, count)), None) = (written.next(), written.next()) else {
        cx.error(given.at, entry.field("limits"), "a limit has one count").hint(
            "one of requests, input_tokens, output_tokens, tokens and concurrent; another count is another entry",
        );
        return;
    };
    let path = entry.field(format_args!("limits.{}", measure.label()));
    if count.value == 0 {
        cx.error(count.at, path, "zero would refuse every request").hint("to refuse a key, `tollgate key revoke` it");
        return;
    }
    match (measure, per) {
        (Measure::Concurrent, None) => {
            if rules.concurrent.replace(count.value).is_some() {
                cx.error(count.at, path, "it is there twice");
            }
        }
        (Measure::Concurrent, Some(per)) => {
            cx.error(per.at, entry.field("limits.per"), "calls under way are counted at one time, not within one");
        }
        (_, None) => {
            cx.error(given.at, entry.field("limits.per"), "it is missing")
                .hint("within which time, as in per = \"1m\"");
        }
        (_, Some(per)) => {
            let Some(window) = window(cx, entry, per) else { return };
            if rules.windows.iter().any(|known| known.measure == measure && known.window == window) {
                cx.error(count.at, path, "it is there twice for the same time");
            }
            rules.windows.push(WindowRule { measure, limit: count.value, window });
        }
    }
}

fn window(cx: &mut Context<'_>, entry: Entry, per: &At<Time>) -> Option<Duration> {
    let window = per.value.0;
    if window < Duration::from_secs(1) || window > LONGEST_WINDOW {
        cx.error(per.at, entry.field("limits.per"), "it must be between 1s and 31d");
        return None;
    }
    Some(window)
}

fn budget(cx: &mut Context<'_>, entry: Entry, given: &At<schema::Budget>, defaults: &Defaults) -> Option<BudgetRule> {
    let schema::Budget { dollars, per, time_zone, mode, warn_at } = &given.value;
    if dollars.value.0.is_zero() {
        cx.error(dollars.at, entry.field("budgets.dollars"), "zero would refuse every call");
    }
    let path = entry.field("budgets.time_zone");
    let zone = zone(cx, &path, time_zone.as_ref());
    let warn_at = percent(cx, &entry.field("budgets.warn_at"), warn_at.as_ref()).unwrap_or(defaults.warn_at);
    let period = match per.as_str() {
        "day" => Period::Day,
        "week" => Period::Week,
        "month" => Period::Month,
        "total" => Period::Total,
        rolling => {
            let length = Time::parse(rolling).map(|time| time.0);
            let Some(length) = length.filter(|l| *l >= Duration::from_secs(60) && *l <= LONGEST_ROLLING) else {
                cx.error(per.at, entry.field("budgets.per"), "it is no period")
                    .hint("\"day\", \"week\", \"month\", \"total\", or a time between 1m and 366d such as \"5h\"");
                return None;
            };
            Period::Rolling(length.as_secs())
        }
    };
    if let (Some(given), Period::Rolling(_) | Period::Total) = (time_zone, period) {
        cx.error(given.at, path, "this period begins at no certain hour").hint("leave the time zone out");
    }
    Some(BudgetRule {
        cap: dollars.value.0,
        period,
        zone: zone.unwrap_or_else(|| defaults.zone.clone()),
        mode: mode.as_ref().map_or(defaults.mode, |mode| self::mode(**mode)),
        warn_at,
    })
}

const fn mode(given: schema::Mode) -> Mode {
    match given {
        schema::Mode::Learned => Mode::Learned,
        schema::Mode::Strict => Mode::Strict,
    }
}

fn zone(cx: &mut Context<'_>, path: &str, given: Option<&At<String>>) -> Option<TimeZone> {
    let given = given?;
    let zone = TimeZone::get(given).ok();
    if zone.is_none() {
        cx.error(given.at, path.to_owned(), "there is no time zone of this name")
            .hint("a name of the IANA database, as in \"Europe/Berlin\" or \"UTC\"");
    }
    zone
}

fn percent(cx: &mut Context<'_>, path: &str, given: Option<&At<u64>>) -> Option<u8> {
    let given = given?;
    match u8::try_from(given.value) {
        Ok(percent @ 1..=100) => Some(percent),
        _ => {
            cx.error(given.at, path.to_owned(), "it must be between 1 and 100 percent");
            None
        }
    }
}

#[cfg(test)]
mod tests;

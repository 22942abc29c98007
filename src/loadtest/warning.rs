//! What a reader must know before he believes a figure.
//!
//! Invariant: whenever something else than the subject may have been the limit, it is said, with what it touches.

use super::cores::Layout;
use super::figures::Rounds;
use super::profile::{CROWD, Twist};
use super::report::{Figures, Section};
use super::run::Plan;

/// Above this, in percent of its cores, a side is called busy.
const BUSY: f64 = 90.0;
/// A load side that is later than this, in microseconds, one time of a hundred, has not kept its schedule.
const LATE: f64 = 1000.0;
/// Percent of one core that others may use before it is said.
const FOREIGN: f64 = 10.0;

/// What is known before it begins.
#[must_use]
pub fn before(plan: &Plan) -> Vec<String> {
    let mut all = Vec::new();
    if cfg!(debug_assertions) {
        all.push("This is a debug build: nothing here says anything about a release.".to_owned());
    }
    if plan.layout.gateway.is_empty() {
        all.push(
            "Nothing is bound to cores (there is only one, or it was asked for): load, provider and gateway take time from each \
             other, and latencies say little. CPU per answer still holds."
                .to_owned(),
        );
    } else if plan.layout.shares() {
        all.push(
            "The load and the simulated provider share a core: latencies at high rates hold the wait for it, for all subjects \
             alike."
                .to_owned(),
        );
    }
    for profile in plan.profiles.iter().filter(|profile| profile.twist == Twist::Crowd && profile.connections < CROWD) {
        let (held, name) = (profile.connections, profile.name);
        all.push(format!(
            "{name}: {held} streams, not {CROWD}: fewer were asked for, or no more files may be open (ulimit -Hn)."
        ));
    }
    all
}

/// What a profile has shown.
#[must_use]
pub fn after(section: &Section, all: &[Rounds], layout: &Layout) -> Vec<String> {
    let mut found = Vec::new();
    let profile = &section.profile;
    for figures in &section.subjects {
        let name = &figures.name;
        if let Some(why) = limit(figures, layout) {
            found.push(format!("{profile}, {name}: {why}"));
        }
        if !figures.exact {
            found.push(format!(
                "{profile}, {name}: its answers are not the provider's bytes; only their status and their end were checked."
            ));
        }
        if !section.failing && !figures.faults.is_empty() {
            let faults: Vec<_> = figures.faults.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
            found.push(format!("{profile}, {name}: not all answers were good: {}.", faults.join(", ")));
        }
    }
    let cells = || all.iter().flat_map(|rounds| &rounds.cells);
    let wall: f64 = cells().map(|cell| cell.wall.as_secs_f64()).sum();
    let part = |time: f64| 100.0 * time / wall.max(0.001);
    let (foreign, stolen) = (
        part(cells().map(|cell| cell.foreign.as_secs_f64()).sum()),
        part(cells().map(|cell| cell.stolen.as_secs_f64()).sum()),
    );
    if foreign > FOREIGN {
        found.push(format!("{profile}: other processes used {foreign:.0} % of a core meanwhile."));
    }
    if stolen > FOREIGN / 2.0 {
        found.push(format!("{profile}: the host took {stolen:.0} % of a core away meanwhile."));
    }
    found
}

/// Whether the load side, not the subject, may have been the limit.
fn limit(figures: &Figures, layout: &Layout) -> Option<String> {
    let (load, provider) = (figures.load_busy?, figures.provider_busy.unwrap_or_default());
    let busiest = if layout.shares() { load + provider } else { load.max(provider) };
    if busiest >= BUSY && figures.busy.is_none_or(|busy| busy < BUSY) {
        return Some(format!(
            "the load side was the limit (its cores were {busiest:.0} % busy): rates and latencies say little; CPU per answer holds."
        ));
    }
    let late = figures.load_late.filter(|late| *late > LATE)?;
    Some(format!("the load side was up to {late:.0} µs late in sending (p99): that is in the latencies."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(busy: f64, load: f64, provider: f64, late: f64) -> Figures {
        Figures {
            busy: Some(busy),
            load_busy: Some(load),
            provider_busy: Some(provider),
            load_late: Some(late),
            ..Figures::default()
        }
    }

    #[track_caller]
    fn says(name: &str, figures: &Figures, layout: &Layout, want: Option<&str>) {
        let got = limit(figures, layout);
        assert_eq!(got.is_some(), want.is_some(), "{name}: {got:?}");
        assert!(got.unwrap_or_default().contains(want.unwrap_or_default()), "{name}");
    }

    #[test]
    fn a_load_side_that_was_the_limit_says_so() {
        let apart = Layout { gateway: vec![0], provider: vec![1], load: vec![2] };
        let shared = Layout { gateway: vec![0], provider: vec![1], load: vec![1] };
        says("all calm", &figures(50.0, 40.0, 40.0, 10.0), &apart, None);
        says("the load is busy", &figures(50.0, 95.0, 10.0, 10.0), &apart, Some("95 % busy"));
        says("the provider is busy", &figures(50.0, 5.0, 95.0, 10.0), &apart, Some("95 % busy"));
        says("both, on one core", &figures(50.0, 50.0, 45.0, 10.0), &shared, Some("95 % busy"));
        says("both, on two", &figures(50.0, 50.0, 45.0, 10.0), &apart, None);
        says("so is the gateway", &figures(99.0, 95.0, 10.0, 10.0), &apart, None);
        says("late", &figures(50.0, 40.0, 40.0, 5000.0), &apart, Some("5000 µs late"));
    }
}

//! How many requests a second a subject answers before its answers come late.
//!
//! First each is asked for all it can do; then rates rise, in parts of that, in turns. Invariant: a rate counts for a limit only if
//! it was kept: 99 of 100 requests due were answered well, and their p99, counted from when they were due, was below it.

use super::drive::Load;
use super::progress::Progress;
use super::report::{Figures, Step};
use super::run::{Stage, Test};
use super::schedule::Arrivals;

/// Limits of the p99, in milliseconds.
pub const LIMITS: [f64; 4] = [1.0, 5.0, 10.0, 50.0];
/// Parts of what a subject can do at most.
const PARTS: [f64; 8] = [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0];
/// How long a step takes, as a part of a usual turn.
const STEP: f64 = 0.5;

/// How many usual turns it takes for one subject.
#[must_use]
pub const fn turns() -> f64 {
    STEP * 1.3 * (PARTS.len() + 1) as f64
}

/// Measures everybody; the steps in the order of the subjects.
///
/// # Errors
/// Somebody died, or it was stopped.
pub fn climb(test: &Test<'_>, stage: &mut Stage, progress: &mut Progress) -> Result<Vec<Vec<Step>>, String> {
    let time = test.plan.time.mul_f64(STEP);
    let count = stage.subjects.len();
    let mut most = Vec::new();
    for index in 0..count {
        progress.now(&format!(
            "{}: what {} can do",
            test.profile.name,
            stage.subjects.get(index).map_or("", |s| &s.name)
        ));
        let cell = test.cell(stage, index, Load::Held(std::time::Duration::ZERO), time, 0)?;
        most.push(cell.tally.latency.count() as f64 / time.as_secs_f64());
        progress.did(time.mul_f64(1.3));
    }
    let mut steps = vec![Vec::new(); count];
    for (number, part) in PARTS.iter().enumerate() {
        for (index, (most, steps)) in most.iter().zip(&mut steps).enumerate() {
            // To two digits: a rate is something one can say.
            let offered = two_digits(most * part);
            progress.now(&format!("{}: {offered} a second", test.profile.name));
            let cell = test.cell(stage, index, Load::Rate(offered, Arrivals::Poisson), time, number as u64)?;
            progress.did(time.mul_f64(1.3));
            let answered = cell.tally.latency.count() as f64 / time.as_secs_f64();
            let kept = cell.tally.good as f64 / cell.tally.due.max(1) as f64;
            let latency = |quantile| cell.tally.latency.at(quantile).unwrap_or(f64::MAX);
            // What was never answered was later than anything.
            let p99 = if kept < 0.99 { f64::MAX } else { latency(0.99) };
            steps.push(Step { offered, answered, p50: latency(0.5), p99 });
        }
    }
    Ok(steps)
}

/// Puts the steps where they belong, and what follows from them.
pub fn tell(figures: &mut [Figures], steps: Vec<Vec<Step>>) {
    for (figures, steps) in figures.iter_mut().zip(steps) {
        figures.frontier = LIMITS.iter().map(|limit| (*limit, best(&steps, *limit))).collect();
        figures.steps = steps;
    }
}

fn best(steps: &[Step], limit_ms: f64) -> f64 {
    let good = steps.iter().filter(|step| step.p99 < limit_ms * 1000.0).map(|step| step.offered);
    good.fold(0.0, f64::max)
}

fn two_digits(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.max(10.0).log10().floor() - 1.0);
    (rate / unit).round().max(1.0) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_rate_is_the_highest_that_was_kept_in_time() {
        let step = |offered, p99| Step { offered, answered: offered, p50: 1.0, p99 };
        let steps = vec![step(100.0, 500.0), step(200.0, 4000.0), step(300.0, 900.0), step(400.0, f64::MAX)];
        let mut figures = [Figures::default()];
        tell(&mut figures, vec![steps]);
        assert_eq!(figures[0].frontier, [(1.0, 300.0), (5.0, 300.0), (10.0, 300.0), (50.0, 300.0)]);
        assert_eq!(figures[0].steps.len(), 4);
    }

    #[test]
    fn rates_have_two_digits() {
        for (rate, want) in [(1234.0, 1200.0), (56_789.0, 57_000.0), (7.0, 7.0), (0.2, 1.0)] {
            assert!((two_digits(rate) - want).abs() < 0.001, "{rate}: {}", two_digits(rate));
        }
    }
}

//! From what the cells told to the figures of a report.
//!
//! Invariant: a difference is taken between subjects of the same run. Quantiles are those of all rounds together, because a stall
//! that fell into one round is what must be found; low and high are those of single rounds, so that a reader sees how far the
//! machine's noise goes.

use std::time::Instant;

use super::cell::Cell;
use super::report::{Figure, Figures, Memory, Quantiles};
use super::tally::{Tally, Times};

/// One subject's cells of one profile, a round each.
#[derive(Debug, Clone, Default)]
pub struct Rounds {
    /// Its name.
    pub name: String,
    /// Whether its answers were exact.
    pub exact: bool,
    /// Round by round.
    pub cells: Vec<Cell>,
    /// Resident bytes before the first round.
    pub idle: Option<u64>,
    /// Resident bytes some seconds after the last.
    pub after: Option<u64>,
}

/// What a profile says about how its figures are to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Seconds measured per cell.
    pub seconds: f64,
    /// Whether connections were held busy: then latency is their queue, and nothing is added to it.
    pub queue: bool,
    /// Connections held, where memory per stream is asked for.
    pub held: Option<usize>,
    /// Whether every connection has one exchange: then there is no rate, and each must have ended.
    pub once: bool,
    /// Whether it is about bodies that are on their way.
    pub uploads: bool,
    /// When the profile began.
    pub began: Instant,
    /// How many cores the load side and the provider have.
    pub load_cores: usize,
    /// The provider's.
    pub provider_cores: usize,
}

/// The figures of all subjects. The first whose name is `direct` is what others add to, `baseline` what they are a multiple of.
#[must_use]
pub fn figures(all: &[Rounds], direct: &str, baseline: &str, reading: &Reading) -> Vec<Figures> {
    let of = |name: &str| all.iter().find(|rounds| rounds.name == name);
    all.iter()
        .map(|rounds| one(rounds, of(direct).filter(|other| other.name != rounds.name), of(baseline), reading))
        .collect()
}

fn one(own: &Rounds, direct: Option<&Rounds>, baseline: Option<&Rounds>, reading: &Reading) -> Figures {
    let sum = own.sum();
    let answers = |cell: &Cell| cell.tally.good.max(1) as f64;
    let micros = |cell: &Cell| cell.cpu.map(|cpu| cpu.as_secs_f64() * 1e6);
    let ratio = |(own, base): (&Cell, &Cell)| Some(micros(own)? / answers(own) / (micros(base)? / answers(base)));
    let share = |part: &dyn Fn(&Cell) -> Option<f64>, cores: usize| {
        let all: Option<Vec<f64>> = own.cells.iter().map(|cell| Some(part(cell)? / cell.wall.as_secs_f64())).collect();
        median(&all?).map(|share| 100.0 * share / cores.max(1) as f64)
    };
    let added = |times: fn(&Tally) -> &Times| direct.and_then(|direct| difference(own, direct, times));
    Figures {
        name: own.name.clone(),
        exact: own.exact,
        answers: sum.good,
        rate: spread(own.cells.iter().map(|cell| Some(cell.tally.latency.count() as f64 / reading.seconds)))
            .filter(|_| !reading.once),
        faults: sum.faults.iter().map(|(fault, count)| (fault.to_string(), *count)).collect(),
        latency: quantiles(own, |tally| &tally.latency),
        added: added(|tally| &tally.latency).filter(|_| !reading.queue),
        first_byte: quantiles(own, |tally| &tally.first_byte),
        first_byte_added: added(|tally| &tally.first_byte),
        gap: quantiles(own, |tally| &tally.gap),
        gap_added: added(|tally| &tally.gap),
        cpu: spread(own.cells.iter().map(|cell| Some(micros(cell)? / answers(cell)))),
        cpu_event: spread(
            own.cells
                .iter()
                .map(|cell| Some(micros(cell)? / cell.tally.events as f64).filter(|_| cell.tally.events > 0)),
        ),
        cpu_ratio: baseline.and_then(|base| spread(own.cells.iter().zip(&base.cells).map(ratio))),
        busy: share(&|cell| Some(cell.cpu?.as_secs_f64()), 1),
        load_busy: share(&|cell| Some(cell.tally.cpu.as_secs_f64()), reading.load_cores),
        provider_busy: share(&|cell| Some(cell.provider_cpu?.as_secs_f64()), reading.provider_cores),
        load_late: sum.late.at(0.99),
        memory: memory(own, reading),
        per_stream: reading.held.and_then(|held| {
            let grown = |cell: &Cell| Some(cell.peak?.saturating_sub(cell.before?) as f64 / held.max(1) as f64);
            // Who is not started anew for each turn has room from the last one, and grows only in the first.
            spread(own.cells.iter().map(grown)).map(|figure| figure.high)
        }),
        in_flight: reading.uploads.then_some(sum.in_flight),
        curve: curve(&sum.latency),
        gap_curve: curve(&sum.gap),
        steps: Vec::new(),
        frontier: Vec::new(),
    }
}

impl Rounds {
    /// All rounds together.
    #[must_use]
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.cells.iter().for_each(|cell| sum.merge(&cell.tally));
        sum
    }
}

/// Where the curve of a distribution is drawn: dense where it bends.
const CURVE: [f64; 28] = [
    0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.985, 0.99, 0.9925,
    0.995, 0.9975, 0.999, 0.9995, 0.9998, 0.9999, 0.99999, 1.0,
];

fn curve(times: &Times) -> Vec<(f64, f64)> {
    CURVE.iter().flat_map(|quantile| Some((*quantile, times.at(*quantile)?))).collect()
}

const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

fn quantiles(own: &Rounds, times: fn(&Tally) -> &Times) -> Option<Quantiles> {
    let sum = own.sum();
    from(|quantile| {
        let rounds = spread(own.cells.iter().map(|cell| times(&cell.tally).at(quantile)))?;
        Some(Figure { value: times(&sum).at(quantile)?, ..rounds })
    })
}

fn difference(own: &Rounds, direct: &Rounds, times: fn(&Tally) -> &Times) -> Option<Quantiles> {
    let (sum, base) = (own.sum(), direct.sum());
    from(|quantile| {
        let pairs = own.cells.iter().zip(&direct.cells);
        let at = |cell: &Cell| times(&cell.tally).at(quantile);
        let rounds = spread(pairs.map(|(own, direct)| Some(at(own)? - at(direct)?)))?;
        Some(Figure { value: times(&sum).at(quantile)? - times(&base).at(quantile)?, ..rounds })
    })
}

fn from(at: impl Fn(f64) -> Option<Figure>) -> Option<Quantiles> {
    let [p50, p90, p99, p99_9, max] = QUANTILES.map(at);
    Some(Quantiles { p50: p50?, p90: p90?, p99: p99?, p99_9: p99_9?, max: max? })
}

fn memory(own: &Rounds, reading: &Reading) -> Option<Memory> {
    /// Enough for a plot.
    const POINTS: usize = 400;
    let all: Vec<(Instant, u64)> = own.cells.iter().flat_map(|cell| cell.memory.iter().copied()).collect();
    let every = all.len().div_ceil(POINTS).max(1);
    let second = |at: Instant| (at.saturating_duration_since(reading.began).as_secs_f64() * 1000.0).round() / 1000.0;
    Some(Memory {
        idle: own.idle?,
        peak: own.cells.iter().filter_map(|cell| cell.peak).max()?,
        after: own.after?,
        over_time: all.iter().step_by(every).map(|(at, bytes)| (second(*at), *bytes)).collect(),
    })
}

/// The median of what is there, with its extremes.
pub fn spread(values: impl Iterator<Item = Option<f64>>) -> Option<Figure> {
    let values: Vec<f64> = values.flatten().filter(|value| value.is_finite()).collect();
    let value = median(&values)?;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    Some(Figure { value, low, high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max) })
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cell(latency_us: &[u64], cpu_us: u64) -> Cell {
        let mut cell =
            Cell { cpu: Some(Duration::from_micros(cpu_us)), wall: Duration::from_secs(1), ..Cell::default() };
        cell.tally.good = latency_us.len() as u64;
        latency_us.iter().for_each(|time| cell.tally.latency.add(Duration::from_micros(*time)));
        cell
    }

    fn rounds(name: &str, cells: Vec<Cell>) -> Rounds {
        Rounds { name: name.into(), exact: true, cells, idle: Some(1), after: Some(2) }
    }

    const fn reading(began: Instant) -> Reading {
        Reading {
            seconds: 1.0,
            queue: false,
            held: None,
            once: false,
            uploads: false,
            began,
            load_cores: 1,
            provider_cores: 1,
        }
    }

    #[track_caller]
    fn near(got: f64, want: f64) {
        assert!((got - want).abs() <= want.abs() / 200.0, "{got}, not {want}");
    }

    #[test]
    fn a_subject_is_told_by_what_it_adds_and_by_what_multiple_it_costs() {
        let all = [
            rounds("direct", vec![cell(&[100; 100], 100), cell(&[200; 100], 100)]),
            rounds("baseline", vec![cell(&[150; 100], 1000), cell(&[250; 100], 2000)]),
            rounds("gateway", vec![cell(&[180; 100], 1500), cell(&[280; 100], 2000)]),
        ];
        let told = figures(&all, "direct", "baseline", &reading(Instant::now()));
        let gateway = &told[2];
        // Each round against the same round: 80 in both, however the machine was.
        let added = gateway.added.unwrap();
        near(added.p50.low, 80.0);
        near(added.p50.high, 80.0);
        // 1.5 in the first round, 1.0 in the second.
        let ratio = gateway.cpu_ratio.unwrap();
        near(ratio.value, 1.25);
        near(ratio.low, 1.0);
        near(ratio.high, 1.5);
        near(gateway.cpu.unwrap().value, 17.5);
        assert_eq!(told[0].added, None, "nothing is added to oneself");
        near(told[1].cpu_ratio.unwrap().value, 1.0);
    }

    #[test]
    fn a_stall_in_one_round_of_four_is_in_the_figures() {
        let calm = || cell(&[100; 1000], 1);
        let stalled = cell(&[[100; 900].as_slice(), &[200_000; 100]].concat(), 1);
        let all = [
            rounds("direct", vec![calm(), calm(), calm(), calm()]),
            rounds("gateway", vec![calm(), stalled, calm(), calm()]),
        ];
        let told = figures(&all, "direct", "baseline", &reading(Instant::now()));
        near(told[1].added.unwrap().p99.value, 199_900.0);
        near(told[1].added.unwrap().p50.value.max(1.0), 1.0);
    }

    #[test]
    fn a_queue_adds_nothing() {
        let all = [rounds("direct", vec![cell(&[100; 9], 1)]), rounds("gateway", vec![cell(&[900; 9], 1)])];
        let told = figures(&all, "direct", "baseline", &Reading { queue: true, ..reading(Instant::now()) });
        assert_eq!(told[1].added, None);
        near(told[1].latency.unwrap().p50.value, 900.0);
    }

    #[test]
    fn what_was_not_seen_is_absent() {
        let mut blind = cell(&[1], 1);
        blind.cpu = None;
        let told = figures(&[rounds("gateway", vec![blind])], "direct", "baseline", &reading(Instant::now()));
        assert_eq!((told[0].cpu, told[0].cpu_ratio, told[0].gap, told[0].per_stream), (None, None, None, None));
        assert_eq!(spread([None, Some(f64::NAN)].into_iter()), None);
    }
}

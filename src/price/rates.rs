//! What one model costs: an answer exactly, and a request at most.
//!
//! Invariant: a cost is the sum over kinds of tokens times price, times the multipliers, rounded half up once, plus the uses
//! of tools; in u128 and checked, so that it is either exact or says that it is not ([`Gaps`]). Which prices apply is told by
//! the answer itself (whole input, service tier, speed, place) and by the moment that comes in.

use std::sync::{Arc, OnceLock};

use super::gaps::Gaps;
use super::hours::Hours;
use super::kind::{Kind, Ratio, Tool, Tools};
use super::row::{Fault, Row, Sheets};
use crate::money::Pico;
use crate::protocol::usage::{Tier, Usage};

/// How long before new prices begin a hold reckons with them, in seconds: no answer takes longer.
const AHEAD: u64 = 86_400;

/// A service tier that a price list may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// What everybody gets.
    Standard,
    /// Later and cheaper.
    Batch,
    /// Cheaper, when there is room.
    Flex,
    /// Dearer, and sooner.
    Priority,
}

impl Service {
    /// All, in the order of sheets.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Batch, Self::Flex, Self::Priority];

    /// As the table, the configuration and the command line spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}

/// A price for every kind, in pico-dollars per token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sheet {
    /// In the order of [`Kind::ALL`].
    pub per_token: [u64; Kind::ALL.len()],
    /// The kinds among them that have no price of their own.
    pub gaps: Gaps,
}

/// What is known of a model beside its prices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Tokens that go in, at most.
    pub context: Option<u64>,
    /// Tokens that come out, at most.
    pub max_output: Option<u64>,
    /// The shortest prefix that can be cached, in tokens.
    pub cache_min: Option<u64>,
    /// It refuses to be asked without thought.
    pub always_thinks: bool,
    /// The day on which the vendor takes it away, as `2027-04-01`.
    pub retires: Option<Box<str>>,
    /// The day as of which the prices are known; empty where the operator says them.
    pub as_of: Box<str>,
    /// Where they are from.
    pub source: Box<str>,
}

/// What one model costs, at every moment.
#[derive(Debug)]
pub struct Rates {
    /// The model's name in the list, or the pattern it was found by.
    pub model: Box<str>,
    /// Which prices these are, for usage records: the day of the table, or the fingerprint of what the operator wrote.
    pub version: Arc<str>,
    /// What whoever keeps records calls that version.
    pub number: OnceLock<u32>,
    /// What else is known.
    pub facts: Facts,
    periods: Box<[Period]>,
}

/// Prices from a moment on.
#[derive(Debug)]
pub struct Period {
    /// Seconds since 1970, UTC.
    pub from: u64,
    /// What was said.
    pub row: Row,
    /// By ascending border; the first is zero.
    usual: Box<[(u64, Sheets)]>,
    /// The same at the row's off-peak hours; empty where it has none.
    off_peak: Box<[(u64, Sheets)]>,
    /// By border, the dearest that a token may cost.
    dearest: Box<[Dearest]>,
}

#[derive(Debug)]
struct Dearest {
    above: u64,
    /// Of input and of output, without the priority tier, and with it.
    usual: (u64, u64),
    priority: (u64, u64),
}

/// What an answer cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    /// So much, as far as it is known.
    pub cost: Pico,
    /// What is not.
    pub gaps: Gaps,
}

impl Priced {
    /// What is known where no price is: nothing.
    pub const UNKNOWN: Self = Self { cost: Pico::ZERO, gaps: Gaps::MODEL };
}

/// What a request may be answered with, for a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The priority tier: a provider may be set up to use it without being asked.
    pub priority: bool,
    /// `speed: fast`.
    pub fast: bool,
    /// `inference_geo: us`.
    pub us: bool,
}

impl Reach {
    /// Everything.
    pub const ALL: Self = Self { priority: true, fast: true, us: true };
    /// What is not asked for is not given.
    pub const STANDARD: Self = Self { priority: false, fast: false, us: false };
}

impl Period {
    /// Prices as said, from a moment on.
    ///
    /// # Errors
    ///
    /// When they cannot be billed by.
    pub fn new(from: u64, row: Row) -> Result<Self, Fault> {
        let (usual, off_peak) = row.sheets()?;
        let dearest = usual.iter().enumerate().map(|(i, (above, sheets))| {
            let off_peak = off_peak.get(i).map(|(_, sheets)| sheets);
            let over = |services: &[Service]| {
                let sheets =
                    std::iter::once(sheets).chain(off_peak).flat_map(|s| services.iter().map(|v| &s[*v as usize]));
                sheets.fold((0, 0), |(input, output), sheet| {
                    let most = |inward| {
                        let kinds = Kind::ALL.into_iter().zip(sheet.per_token);
                        kinds.filter(|(kind, _)| kind.is_input() == inward).map(|(_, price)| price).max()
                    };
                    (input.max(most(true).unwrap_or(0)), output.max(most(false).unwrap_or(0)))
                })
            };
            let usual = over(&[Service::Standard, Service::Batch, Service::Flex]);
            Dearest { above: *above, usual, priority: over(&Service::ALL) }
        });
        let dearest = dearest.collect();
        Ok(Self { from, row, usual: usual.into(), off_peak: off_peak.into(), dearest })
    }

    /// The prices for a whole input of so many tokens, at a moment.
    #[must_use]
    pub fn sheet(&self, input: u64, service: Service, at: u64) -> &Sheet {
        let off_peak = self.row.off_peak.as_ref().is_some_and(|off| off.hours.contain(at));
        let steps = if off_peak { &self.off_peak } else { &self.usual };
        // The highest border below the input; the first is below every one.
        let place = steps.iter().rposition(|(above, _)| input > *above).unwrap_or(0);
        &steps[place].1[service as usize]
    }

    /// The borders of long context, ascending, without the zero.
    pub fn borders(&self) -> impl Iterator<Item = u64> {
        self.usual.iter().skip(1).map(|(above, _)| *above)
    }

    /// At which hours other prices hold.
    #[must_use]
    pub fn off_peak(&self) -> Option<&Hours> {
        self.row.off_peak.as_ref().map(|off| &off.hours)
    }

    /// The service tier whose prices an answer gets, and whether it said another one.
    #[must_use]
    pub const fn service(&self, tier: Tier) -> (Service, Gaps) {
        let (service, known) = match tier {
            Tier::Unsaid | Tier::Standard => return (Service::Standard, Gaps::NONE),
            Tier::Batch => (Service::Batch, self.row.batch.is_some()),
            Tier::Flex => (Service::Flex, self.row.flex.is_some()),
            Tier::Priority => (Service::Priority, self.row.priority.is_some()),
            Tier::Other => (Service::Standard, false),
        };
        if known { (service, Gaps::NONE) } else { (Service::Standard, Gaps::SERVICE) }
    }

    /// The factor on tokens, as numerator and denominator.
    fn factor(&self, us: bool, fast: bool) -> (u128, u128) {
        let of = |wanted: bool, ratio: Option<Ratio>| ratio.filter(|_| wanted).unwrap_or(Ratio::ONE);
        let (us, fast) = (of(us, self.row.us), of(fast, self.row.fast));
        (u128::from(us.times) * u128::from(fast.times), u128::from(us.over) * u128::from(fast.over))
    }
}

impl Rates {
    /// The prices of a model. Of two periods that begin together, the later one is never used.
    ///
    /// `None` without a period.
    #[must_use]
    pub fn new(model: &str, version: Arc<str>, facts: Facts, mut periods: Vec<Period>) -> Option<Self> {
        periods.sort_by_key(|period| period.from);
        periods.dedup_by_key(|period| period.from);
        (!periods.is_empty()).then(|| Self {
            model: model.into(),
            version,
            number: OnceLock::new(),
            facts,
            periods: periods.into(),
        })
    }

    /// When the first of its prices begins, in seconds since 1970.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.periods[0].from
    }

    /// All its prices, in the order in which they hold.
    #[must_use]
    pub fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// The prices at a moment; before the first, the first.
    #[must_use]
    pub fn period(&self, at: u64) -> &Period {
        &self.periods[self.place(at)]
    }

    fn place(&self, at: u64) -> usize {
        self.periods.iter().rposition(|period| period.from <= at).unwrap_or(0)
    }

    /// The tools' prices at a moment.
    #[must_use]
    pub fn tools(&self, at: u64) -> &Tools {
        &self.period(at).row.tools
    }

    /// What an answer cost that was asked for at `at` (seconds since 1970, UTC).
    #[must_use]
    pub fn cost(&self, usage: &Usage, at: u64) -> Priced {
        let period = self.period(at);
        let (service, mut gaps) = period.service(usage.tier);
        let sheet = period.sheet(whole_input(usage), service, at);
        let counts = Kind::counts(usage);
        let mut sum = Some(0_u128);
        for (i, (count, price)) in counts.into_iter().zip(sheet.per_token).enumerate() {
            if count == 0 {
                continue;
            }
            sum = sum.and_then(|sum| sum.checked_add(u128::from(count) * u128::from(price)));
            if sheet.gaps.has(Gaps::kind(Kind::ALL[i])) {
                gaps = gaps.with(Gaps::kind(Kind::ALL[i]));
            }
        }
        if usage.us || usage.fast {
            let (times, over) = period.factor(usage.us, usage.fast);
            sum = sum.and_then(|sum| times_ratio(sum, times, over));
            for (said, ratio, gap) in [(usage.us, period.row.us, Gaps::US), (usage.fast, period.row.fast, Gaps::FAST)] {
                if said && ratio.is_none() {
                    gaps = gaps.with(gap);
                }
            }
        }
        for (tool, count) in Tool::ALL.into_iter().zip(Tool::counts(usage)) {
            if count == 0 {
                continue;
            }
            match period.row.tools[tool] {
                None => gaps = gaps.with(Gaps::tool(tool)),
                Some(price) => {
                    let uses = if price.once { 1 } else { u128::from(count) };
                    sum = sum.and_then(|sum| sum.checked_add(uses * u128::from(price.each.pico())));
                }
            }
        }
        match sum.and_then(|sum| u64::try_from(sum).ok()) {
            Some(pico) => Priced { cost: Pico::new(pico), gaps },
            None => Priced { cost: Pico::MAX, gaps: gaps.with(Gaps::OVERFLOW) },
        }
    }

    /// The most that the tokens of an answer may cost, asked for at `at`: at most `input` tokens in all go in and `output`
    /// come out, each of the dearest kind, of the dearest step of long context that so many may reach, of the dearest hour
    /// and the dearest tier that `reach` has. At most [`Pico::MAX`]. Uses of server tools are not in it: nothing bounds them.
    #[must_use]
    pub fn ceiling(&self, input: u64, output: u64, reach: Reach, at: u64) -> Pico {
        let now = self.place(at);
        let soon = self.periods.iter().skip(now + 1).take_while(|period| period.from <= at.saturating_add(AHEAD));
        let most = std::iter::once(&self.periods[now]).chain(soon).map(|period| {
            let steps = period.dearest.iter().filter(|step| step.above == 0 || input > step.above);
            let most = steps.map(|step| {
                let (inward, outward) = if reach.priority { step.priority } else { step.usual };
                (u128::from(input) * u128::from(inward)).saturating_add(u128::from(output) * u128::from(outward))
            });
            // What makes it cheaper need not come.
            let dearer = |ratio: Option<Ratio>| ratio.is_some_and(|ratio| ratio.times > ratio.over);
            let us = reach.us && dearer(period.row.us);
            let fast = reach.fast && dearer(period.row.fast);
            let (times, over) = period.factor(us, fast);
            times_ratio(most.max().unwrap_or(0), times, over).unwrap_or(u128::MAX)
        });
        Pico::new(most.max().and_then(|pico| u64::try_from(pico).ok()).unwrap_or(u64::MAX))
    }
}

/// All that went in: what long context is told by.
#[must_use]
pub const fn whole_input(usage: &Usage) -> u64 {
    let written = usage.cache_write.saturating_add(usage.cache_write_1h).saturating_add(usage.cache_write_12h);
    usage.input.saturating_add(usage.cache_read).saturating_add(written)
}

/// `sum * times / over`, rounded half up; `None` if it is too large.
fn times_ratio(sum: u128, times: u128, over: u128) -> Option<u128> {
    let product = sum.checked_mul(times)?;
    Some(product / over + u128::from(product % over >= over.div_ceil(2)))
}

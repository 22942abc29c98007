//! What a price list says of one model, and the complete sheets that follow from it.
//!
//! Invariant: after [`Row::sheets`] every kind has a price in every case, so that whoever bills looks up and multiplies. The
//! rules by which silence is filled are all here:
//!
//! - Long context: all tokens of a request whose whole input is above a border cost that step's price; what a step does not
//!   say is as in the base.
//! - A service tier (batch, flex, priority) and off-peak hours change prices by a ratio, price there to base price, so they
//!   hold for long context too (OpenAI and Gemini list them so). What they do not say: cache writes, which vendors define as
//!   multiples of input, and sound follow input; reasoning, sound and images follow output; cache reads stay.
//! - Cached input without a price costs as input, reasoning as output. A cache write for a time without a price, where other
//!   times have one, costs as the dearest of them; sound and images as input and output: those are told as [`Gaps`].

use std::fmt;

use super::gaps::Gaps;
use super::hours::Hours;
use super::kind::{Kind, Prices, Ratio, Tools};
use super::rates::{Service, Sheet};

/// What a price list says of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// For everybody.
    pub base: Prices,
    /// For long context.
    pub long: Vec<Step>,
    /// For answers of the batch tier.
    pub batch: Option<Prices>,
    /// For answers of the flex tier.
    pub flex: Option<Prices>,
    /// For answers of the priority tier.
    pub priority: Option<Prices>,
    /// At some hours.
    pub off_peak: Option<OffPeak>,
    /// On tokens of answers made in the US (`inference_geo`).
    pub us: Option<Ratio>,
    /// On tokens of answers made faster (`speed`).
    pub fast: Option<Ratio>,
    /// Server tools.
    pub tools: Tools,
}

/// Prices above a border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The whole input (from and to caches too) must be above so many tokens.
    pub above: u64,
    /// What then differs from the base.
    pub prices: Prices,
}

/// Prices at some hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffPeak {
    /// When.
    pub hours: Hours,
    /// What then differs from the base.
    pub prices: Prices,
}

/// Why a row cannot be billed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No price of input.
    NoInput,
    /// No price of output.
    NoOutput,
    /// A border of long context that is zero, or there twice.
    Border(u64),
    /// A price that follows from the others is too large.
    TooLarge,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInput => f.write_str("input has no price"),
            Self::NoOutput => f.write_str("output has no price"),
            Self::Border(0) => f.write_str("long context begins above at least one token"),
            Self::Border(above) => write!(f, "two prices for input above {above} tokens"),
            Self::TooLarge => f.write_str("a price that follows from these is too large"),
        }
    }
}

/// The sheets for one span of input, by [`Service`].
pub(super) type Sheets = [Sheet; Service::ALL.len()];

/// The sheets above each border.
pub(super) type Steps = Vec<(u64, Sheets)>;

impl Row {
    /// What it says of a service tier.
    #[must_use]
    pub const fn service(&self, service: Service) -> Option<&Prices> {
        match service {
            Service::Standard => Some(&self.base),
            Service::Batch => self.batch.as_ref(),
            Service::Flex => self.flex.as_ref(),
            Service::Priority => self.priority.as_ref(),
        }
    }

    /// The sheets, by ascending border (the first is zero): at usual hours, and off-peak.
    pub(super) fn sheets(&self) -> Result<(Steps, Steps), Fault> {
        if self.base[Kind::Input].is_none() {
            return Err(Fault::NoInput);
        }
        if self.base[Kind::Output].is_none() {
            return Err(Fault::NoOutput);
        }
        let mut steps = vec![Step { above: 0, prices: self.base }];
        for step in &self.long {
            if steps.iter().any(|other| other.above == step.above) {
                return Err(Fault::Border(step.above));
            }
            let mut prices = self.base;
            for kind in Kind::ALL {
                prices[kind] = step.prices[kind].or(prices[kind]);
            }
            steps.push(Step { above: step.above, prices });
        }
        steps.sort_by_key(|step| step.above);
        let usual =
            steps.iter().map(|step| Ok((step.above, self.services(&step.prices)?))).collect::<Result<_, _>>()?;
        let off_peak = self.off_peak.iter().flat_map(|off| steps.iter().map(move |step| (off, step)));
        let off_peak = off_peak.map(|(off, step)| {
            let prices = self.changed(&step.prices, &off.prices)?;
            Ok((step.above, self.services(&prices)?))
        });
        Ok((usual, off_peak.collect::<Result<_, _>>()?))
    }

    /// One sheet for each service tier; one that the row does not know is as the standard one.
    fn services(&self, prices: &Prices) -> Result<Sheets, Fault> {
        let mut sheets = [Sheet::default(); Service::ALL.len()];
        for (sheet, service) in sheets.iter_mut().zip(Service::ALL) {
            let change = self.service(service).filter(|_| service != Service::Standard);
            *sheet = filled(&change.map_or(Ok(*prices), |change| self.changed(prices, change))?);
        }
        Ok(sheets)
    }

    /// `prices`, changed as `change` changes the base.
    fn changed(&self, prices: &Prices, change: &Prices) -> Result<Prices, Fault> {
        let mut changed = *prices;
        for kind in Kind::ALL {
            changed[kind] = match (prices[kind], self.base[kind], change[kind]) {
                (price, _, None) if kind == Kind::CacheRead => price,
                (price, _, None) => {
                    let (now, then) = (change[kind.whole()], self.base[kind.whole()]);
                    price.map(|price| scaled(price, now.or(then), then)).transpose()?
                }
                (Some(price), Some(base), Some(change)) => Some(scaled(price, Some(change), Some(base))?),
                (_, _, Some(change)) => Some(change),
            };
        }
        Ok(changed)
    }
}

/// `price * now / then`, rounded half up. Of nothing no ratio is known: then it is `now`.
fn scaled(price: u64, now: Option<u64>, then: Option<u64>) -> Result<u64, Fault> {
    let (Some(now), Some(then)) = (now, then) else { return Ok(price) };
    if then == 0 {
        return Ok(now);
    }
    let (product, then) = (u128::from(price) * u128::from(now), u128::from(then));
    let rounded = product / then + u128::from(product % then >= then.div_ceil(2));
    u64::try_from(rounded).map_err(|_| Fault::TooLarge)
}

/// A price for every kind, and which of them are only the nearest there is.
fn filled(prices: &Prices) -> Sheet {
    let whole = |kind: Kind| prices[kind.whole()].unwrap_or_default();
    let dearest_write = Kind::ALL.into_iter().filter(|kind| kind.is_cache_write()).filter_map(|k| prices[k]).max();
    let mut sheet = Sheet::default();
    for (per_token, kind) in sheet.per_token.iter_mut().zip(Kind::ALL) {
        let (price, gap) = match prices[kind] {
            Some(price) => (price, false),
            None if kind.is_cache_write() => (dearest_write.unwrap_or(whole(kind)), dearest_write.is_some()),
            None => (whole(kind), !matches!(kind, Kind::CacheRead | Kind::Reasoning)),
        };
        *per_token = price;
        if gap {
            sheet.gaps = sheet.gaps.with(Gaps::kind(kind));
        }
    }
    sheet
}

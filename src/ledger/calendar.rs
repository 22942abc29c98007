//! When a period of a budget begins and ends, in a named time zone.
//!
//! Invariant: [`span`] returns a span that the moment lies in, that ends after it began, and whose borders are the first
//! moments of local days, whatever daylight saving, or a country that skips a day, does to them. So the spans of a zone touch
//! and never overlap. Asked only when a period rolls over, never per call.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::error::limit::Period;

const DAY: i64 = 86_400;

/// From the first second that belongs to it to the first that does not, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first second.
    pub begin: i64,
    /// The first second behind it; [`i64::MAX`]: it does not end.
    pub end: i64,
}

impl Span {
    /// What has neither beginning nor end.
    pub const ALWAYS: Self = Self { begin: i64::MIN, end: i64::MAX };
}

/// The span of a period around a moment (seconds since 1970). A rolling period and a total have none of their own: for ever.
#[must_use]
pub fn span(period: Period, zone: &TimeZone, now: i64) -> Span {
    match period {
        Period::Rolling(_) | Period::Total => Span::ALWAYS,
        Period::Day | Period::Week | Period::Month => {
            // Beyond the year 9999, or in a zone whose data make no sense: days of UTC, rather than none at all.
            let local = local(period, zone, now).filter(|span| span.begin <= now && now < span.end);
            local.unwrap_or_else(|| {
                let begin = now.div_euclid(DAY).saturating_mul(DAY);
                Span { begin, end: begin.saturating_add(DAY) }
            })
        }
    }
}

/// A moment as a person of that zone writes it (RFC 3339).
#[must_use]
pub fn wording(zone: &TimeZone, at: i64) -> String {
    let Ok(at) = Timestamp::from_second(at) else { return String::new() };
    let zoned = at.to_zoned(zone.clone());
    let text = zoned.strftime("%Y-%m-%dT%H:%M:%S%:z");
    text.to_string()
}

fn local(period: Period, zone: &TimeZone, now: i64) -> Option<Span> {
    let date = Timestamp::from_second(now).ok()?.to_zoned(zone.clone()).date();
    let (first, next) = match period {
        Period::Week => {
            let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()).ok()?;
            (monday, monday.checked_add(7.days()).ok()?)
        }
        Period::Month => (date.first_of_month(), date.last_of_month().tomorrow().ok()?),
        Period::Day | Period::Rolling(_) | Period::Total => (date, date.tomorrow().ok()?),
    };
    Some(Span { begin: midnight(first, zone)?, end: midnight(next, zone)? })
}

/// The first second of a day: where midnight is skipped, what follows; where it comes twice, the first one.
fn midnight(date: Date, zone: &TimeZone) -> Option<i64> {
    Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_second())
}

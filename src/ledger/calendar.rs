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

    /// Its first second, if it has one.
    #[must_use]
    pub fn begun(self) -> Option<i64> {
        Some(self.begin).filter(|begin| *begin != i64::MIN)
    }

    /// The first second behind it, if it ends.
    #[must_use]
    pub fn ends(self) -> Option<i64> {
        Some(self.end).filter(|end| *end != i64::MAX)
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Zones that do something odd: an hour forwards at midnight, half an hour, none at all, a day that never was.
    const ZONES: [&str; 9] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Havana",
        "Asia/Beirut",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Sao_Paulo",
    ];

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    #[track_caller]
    fn spans(name: &str, period: Period, around: &str, begin: &str, end: &str) {
        let zone = zone(name);
        let now = around.parse::<Timestamp>().unwrap().as_second();
        let span = span(period, &zone, now);
        assert_eq!((wording(&zone, span.begin), wording(&zone, span.end)), (begin.into(), end.into()));
    }

    #[test]
    fn days_weeks_and_months() {
        use Period::{Day, Month, Week};
        spans("UTC", Day, "2026-11-25T23:59:59Z", "2026-11-25T00:00:00+00:00", "2026-11-26T00:00:00+00:00");
        spans("UTC", Day, "2026-11-26T00:00:00Z", "2026-11-26T00:00:00+00:00", "2026-11-27T00:00:00+00:00");
        spans("UTC", Week, "2026-11-25T12:00:00Z", "2026-11-23T00:00:00+00:00", "2026-11-30T00:00:00+00:00");
        spans("UTC", Week, "2026-11-29T23:00:00Z", "2026-11-23T00:00:00+00:00", "2026-11-30T00:00:00+00:00");
        spans("UTC", Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00+00:00", "2028-03-01T00:00:00+00:00");
        spans("Asia/Kathmandu", Day, "2026-11-25T18:20:00Z", "2026-11-26T00:00:00+05:45", "2026-11-27T00:00:00+05:45");
    }

    #[test]
    fn daylight_saving() {
        use Period::{Day, Month, Week};
        spans("Europe/Berlin", Day, "2026-10-25T12:00:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00");
        spans("Europe/Berlin", Month, "2026-03-10T12:00:00Z", "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00");
        spans(
            "America/New_York",
            Week,
            "2026-03-08T12:00:00Z",
            "2026-03-02T00:00:00-05:00",
            "2026-03-09T00:00:00-04:00",
        );
        // There is no midnight on the day on which Havana's clocks go forward at midnight, and two where they go back.
        spans("America/Havana", Day, "2026-03-08T12:00:00Z", "2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00");
        spans("America/Havana", Day, "2026-11-01T04:30:00Z", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00");
        spans("America/Havana", Day, "2026-11-01T05:30:00Z", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00");
        // Samoa skipped the 30th of December 2011.
        spans("Pacific/Apia", Day, "2011-12-30T09:59:00Z", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00");
    }

    #[test]
    fn what_has_no_border_has_none() {
        for period in [Period::Total, Period::Rolling(60)] {
            assert_eq!(span(period, &TimeZone::UTC, 5), Span::ALWAYS);
        }
    }

    #[test]
    fn beyond_all_calendars_there_are_days() {
        for now in [i64::MIN + DAY, i64::MAX - DAY, 400_000_000_000] {
            let span = span(Period::Month, &zone("Europe/Berlin"), now);
            assert!(span.begin <= now && now < span.end, "{now}: {span:?}");
        }
        assert_eq!(wording(&TimeZone::UTC, i64::MAX), "");
    }

    proptest! {
        #[test]
        fn spans_touch_and_begin_with_a_day(
            name in proptest::sample::select(&ZONES[..]),
            period in proptest::sample::select(&[Period::Day, Period::Week, Period::Month][..]),
            now in 0_i64..4_000_000_000,
        ) {
            let zone = zone(name);
            let here = span(period, &zone, now);
            prop_assert!(here.begin <= now && now < here.end && here.end - here.begin <= 32 * DAY, "{here:?}");
            prop_assert_eq!(span(period, &zone, here.begin), here, "its first second");
            prop_assert_eq!(span(period, &zone, here.end - 1), here, "its last");
            prop_assert_eq!(span(period, &zone, here.end).begin, here.end, "the next begins where it ends");
            let date = |at| Timestamp::from_second(at).unwrap().to_zoned(zone.clone()).date();
            prop_assert!(date(here.begin) > date(here.begin - 1), "the first second of a day");
        }
    }
}

//! Spans of time, as they are asked for.
//!
//! Invariant: whatever is asked for begins and ends on a whole hour, UTC, so that roll-ups can answer it.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// So many of a unit, up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    many: i64,
    unit: i64,
}

impl Span {
    /// When it begins, in milliseconds since 1970: the present hour or day is the last one.
    pub fn begin(self, now: i64) -> i64 {
        let step = if self.unit == HOUR { HOUR } else { DAY };
        let steps = self.many.saturating_mul(self.unit / step);
        (now.div_euclid(step) + 1).saturating_sub(steps).saturating_mul(step)
    }
}

/// Reads `24h`, `7d` or `4w`.
pub fn span(text: &str) -> Result<Span, String> {
    let wrong = || "write a whole number and h, d or w, as in 24h, 7d or 4w".to_owned();
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (many, unit) = text.split_at(at);
    let unit = match unit {
        "h" => HOUR,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return Err(wrong()),
    };
    let many: i64 = many.parse().map_err(|_| wrong())?;
    if !(1..=100_000).contains(&many) {
        return Err("it is none, or longer than there were records".to_owned());
    }
    Ok(Span { many, unit })
}

/// Reads a date or an hour, UTC: milliseconds since 1970.
pub fn moment(text: &str) -> Result<i64, String> {
    let wrong = || "write a day or an hour, as in 2026-11-01 or 2026-11-01T09:00Z".to_owned();
    let millis = if text.len() == 10 {
        let date: Date = text.parse().map_err(|_| wrong())?;
        date.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp().as_millisecond()
    } else {
        let time: Timestamp = text.parse().map_err(|_| wrong())?;
        time.as_millisecond()
    };
    if millis < 0 {
        return Err("it is before 1970".to_owned());
    }
    if millis % HOUR == 0 { Ok(millis) } else { Err("it is no whole hour: usage is added up by hours".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_end_with_the_present_hour_or_day() {
        let now = 20_000 * DAY + 5 * HOUR + 1;
        for (text, want) in [
            ("1h", 20_000 * DAY + 5 * HOUR),
            ("24h", 19_999 * DAY + 6 * HOUR),
            ("1d", 20_000 * DAY),
            ("7d", 19_994 * DAY),
            ("2w", 19_987 * DAY),
        ] {
            assert_eq!(span(text).unwrap().begin(now), want, "{text}");
        }
        for text in ["", "7", "d", "0d", "-1d", "1.5d", "7 d", "7m", "99999999999999999999d", "1000000d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_days_and_hours() {
        assert_eq!(moment("1970-01-02"), Ok(DAY));
        assert_eq!(moment("1970-01-02T03:00Z"), Ok(DAY + 3 * HOUR));
        assert_eq!(moment("1970-01-02T03:00:00+01:00"), Ok(DAY + 2 * HOUR));
        for text in ["", "yesterday", "2026-13-01", "2026-11-01T09:30Z", "2026-11-01T09:00", "1969-12-31"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}

//! Hours of the week, in UTC.
//!
//! Invariant: a moment belongs to a window from its first minute up to, not including, its last; a window may pass midnight,
//! and then belongs to the weekday on which it began. No time zones, no clock.

use std::fmt;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Some hours of some weekdays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours(Vec<Window>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// Minute of the day, 0 to 1439.
    from: u16,
    /// Minute after `from`'s midnight, above `from`; above 1440 where it passes the next midnight.
    until: u16,
    /// Bit 0 is Monday.
    days: u8,
}

/// Why a text names no hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotHours {
    /// Not as in `00:00-06:30`.
    Form,
    /// A weekday that is not 1 (Monday) to 7 (Sunday).
    Weekday,
}

impl fmt::Display for NotHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "no hours as in \"10:00-00:00\" (UTC)",
            Self::Weekday => "no weekday from 1 (Monday) to 7 (Sunday)",
        })
    }
}

impl Hours {
    /// Adds `10:00-00:00` on those weekdays (1 is Monday), on all if none is named. An end that is not after the beginning is
    /// on the next day.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn add(&mut self, text: &str, weekdays: &[u8]) -> Result<(), NotHours> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let two = |text: &str| {
                text.parse::<u16>().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
            };
            let (hour, minute) = (two(hour)?, two(minute)?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let ends = text.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
        let (from, until) = ends.ok_or(NotHours::Form)?;
        let mut days = if weekdays.is_empty() { 0b111_1111 } else { 0 };
        for day in weekdays {
            if !(1..=7).contains(day) {
                return Err(NotHours::Weekday);
            }
            days |= 1 << (day - 1);
        }
        self.0.push(Window { from, until: if until > from { until } else { until + DAY }, days });
        Ok(())
    }

    /// Whether a moment (seconds since 1970, UTC) is within them.
    #[must_use]
    pub fn contain(&self, at: u64) -> bool {
        let minutes = at / 60;
        let (day, minute) = (minutes / u64::from(DAY), (minutes % u64::from(DAY)) as u16);
        // 1970-01-01 was a Thursday, the fourth weekday.
        let weekday = ((day + 3) % 7) as u8;
        let on = |days: u8, weekday: u8| days & (1 << weekday) != 0;
        self.0.iter().any(|window| {
            let today = on(window.days, weekday) && (window.from..window.until).contains(&minute);
            let since_yesterday = on(window.days, (weekday + 6) % 7) && minute + DAY < window.until;
            today || since_yesterday
        })
    }
}

/// `10:00-00:00 UTC (Mon Tue), …`.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Window { from, until, days }) in self.0.iter().enumerate() {
            let end = until % DAY;
            f.write_str(if i > 0 { ", " } else { "" })?;
            write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, end / 60, end % 60)?;
            let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
            let (first, last) = (days.trailing_zeros() as usize, 7 - days.leading_zeros() as usize);
            let joined = days.count_ones() as usize == last + 1 - first;
            match (days.count_ones(), names.get(first), names.get(last)) {
                (7, ..) => {}
                (3.., Some(first), Some(last)) if joined => write!(f, " ({first}-{last})")?,
                _ => {
                    let on = names.into_iter().enumerate().filter(|(day, _)| days & (1 << day) != 0);
                    write!(f, " ({})", on.map(|(_, name)| name).collect::<Vec<_>>().join(" "))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-23, 00:00 UTC.
    const MONDAY: u64 = 1_795_392_000;

    #[track_caller]
    fn hours(windows: &[(&str, &[u8])]) -> Hours {
        let mut hours = Hours::default();
        for (text, days) in windows {
            hours.add(text, days).unwrap();
        }
        hours
    }

    #[test]
    fn a_window_holds_from_its_first_minute_to_before_its_last() {
        let weekdays: &[u8] = &[1, 2, 3, 4, 5];
        let (day, hour) = (86_400, 3600);
        let some = hours(&[("04:00-06:00", weekdays), ("10:00-00:00", weekdays), ("00:00-00:00", &[6, 7])]);
        let night = hours(&[("22:00-02:00", &[5])]);
        for (name, hours, at, want) in [
            ("before", &some, MONDAY + 4 * hour - 1, false),
            ("first second", &some, MONDAY + 4 * hour, true),
            ("last second", &some, MONDAY + 6 * hour - 1, true),
            ("after", &some, MONDAY + 6 * hour, false),
            ("up to midnight", &some, MONDAY + day - 1, true),
            ("past midnight, where nothing begins", &some, MONDAY + day, false),
            ("Friday's midnight is Saturday, all day", &some, MONDAY + 5 * day, true),
            ("Saturday at noon", &some, MONDAY + 5 * day + 12 * hour, true),
            ("Sunday's last second", &some, MONDAY + 7 * day - 1, true),
            ("Monday again", &some, MONDAY + 7 * day, false),
            ("a night begins on its day", &night, MONDAY + 4 * day + 22 * hour, true),
            ("and goes on", &night, MONDAY + 5 * day + 2 * hour - 1, true),
            ("and ends", &night, MONDAY + 5 * day + 2 * hour, false),
            ("not before that day", &night, MONDAY + 4 * day + hour, false),
            ("not a day later", &night, MONDAY + 6 * day + hour, false),
        ] {
            assert_eq!(hours.contain(at), want, "{name}");
        }
    }

    #[test]
    fn what_names_no_hours_is_refused() {
        for text in
            ["", "1:00-2:00", "24:00-01:00", "00:60-01:00", "00:00", "00:00-01:00-02:00", "+1:00-02:00", "aa:bb-cc:dd"]
        {
            assert_eq!(Hours::default().add(text, &[]), Err(NotHours::Form), "{text}");
        }
        for day in [0, 8] {
            assert_eq!(Hours::default().add("00:00-01:00", &[day]), Err(NotHours::Weekday));
        }
    }

    #[test]
    fn hours_are_shown_as_they_are_written() {
        for (days, want) in [
            (&[1, 2][..], "10:00-00:00 (Mon Tue)"),
            (&[], "10:00-00:00"),
            (&[1, 2, 3, 4, 5], "10:00-00:00 (Mon-Fri)"),
            (&[5, 6, 7], "10:00-00:00 (Fri-Sun)"),
            (&[1, 2, 4], "10:00-00:00 (Mon Tue Thu)"),
            (&[7], "10:00-00:00 (Sun)"),
        ] {
            assert_eq!(hours(&[("10:00-00:00", days)]).to_string(), want);
        }
        let two = hours(&[("10:00-00:00", &[6, 7]), ("00:00-06:30", &[])]).to_string();
        assert_eq!(two, "10:00-00:00 (Sat Sun), 00:00-06:30");
    }
}

//! What a receiver reads: an event in JSON, and the id that it is known by.
//!
//! The outline is that of Standard Webhooks 1.0.0 ("Payload structure"); names and forms are those of `GET /v1/usage`.
//! Invariant: the same warning has the same id, also from a process that was started anew, so a receiver that keeps ids hears
//! of it once. Money is dollars with every decimal, as text: no program reads that as a float unasked.

use bytes::Bytes;
use jiff::tz::TimeZone;
use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::error::limit::Period;
use crate::ledger::calendar;
use crate::ledger::warning::Warning;

/// An event, ready to be sent, as often as it takes.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// `msg_` and 32 hexadecimal digits.
    pub id: String,
    /// JSON.
    pub body: Bytes,
}

#[derive(Serialize)]
struct Payload<'e, D> {
    id: &'e str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it happened.
    timestamp: String,
    data: D,
}

#[derive(Serialize)]
struct Data<'w> {
    level: &'static str,
    name: &'w str,
    period: String,
    cap: String,
    spent: String,
    /// Of the cap, rounded down.
    percent: u64,
    warn_at: u8,
    begins: Option<String>,
    resets: Option<String>,
}

impl Event {
    /// A budget is nearly spent, since that moment, in seconds since 1970.
    pub fn of(warning: &Warning, at: i64) -> Self {
        let moment = |at: i64| calendar::wording(&warning.zone, at);
        let percent = (u128::from(warning.spent.pico()) * 100).checked_div(warning.cap.pico().into());
        let data = Data {
            level: warning.level.label(),
            name: &warning.name,
            period: warning.period.to_string(),
            cap: warning.cap.exact().to_string(),
            spent: warning.spent.exact().to_string(),
            percent: percent.and_then(|percent| u64::try_from(percent).ok()).unwrap_or(100),
            warn_at: warning.warn_at,
            begins: warning.begin.map(moment),
            resets: warning.end.map(moment),
        };
        Self::new(&id(warning, at), "budget.warning", at, data)
    }

    /// Nothing has happened: somebody tries whether it arrives.
    pub fn test(at: i64) -> Self {
        let id = format!("msg_{}", hex(at.to_string().as_bytes()));
        Self::new(&id, "webhook.test", at, serde_json::Map::new())
    }

    fn new(id: &str, kind: &'static str, at: i64, data: impl Serialize) -> Self {
        let timestamp = calendar::wording(&TimeZone::UTC, at);
        // Texts and numbers: this cannot fail.
        let body = serde_json::to_vec(&Payload { id, kind, timestamp, data }).unwrap_or_default();
        Self { id: id.to_owned(), body: body.into() }
    }
}

fn id(warning: &Warning, at: i64) -> String {
    // A rolling period has no beginning to be told apart by; whoever falls below the mark and reaches it again is told again.
    let since = match warning.period {
        Period::Rolling(_) => Some(at),
        Period::Day | Period::Week | Period::Month | Period::Total => warning.begin,
    };
    let Warning { level, name, period, cap, warn_at, .. } = warning;
    let facts = format!("{}\0{name}\0{period}\0{since:?}\0{}\0{warn_at}", level.label(), cap.pico());
    format!("msg_{}", hex(facts.as_bytes()))
}

/// Half of the hash: more than enough to be alone.
fn hex(facts: &[u8]) -> String {
    use std::fmt::Write;
    digest(&SHA256, facts).as_ref().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::limit::Level;
    use crate::money::Pico;

    fn warning() -> Warning {
        Warning {
            level: Level::Team,
            name: Arc::from("core \"x\""),
            period: Period::Month,
            cap: Pico::DOLLAR.saturating_mul(1_200),
            spent: Pico::new(973_200_000_000_000).saturating_add(Pico::new(1)),
            warn_at: 80,
            begin: Some(1_761_951_600),
            end: Some(1_764_543_600),
            zone: TimeZone::get("Europe/Berlin").unwrap(),
        }
    }

    #[test]
    fn a_receiver_reads_what_the_readme_says() {
        let Event { id, body } = Event::of(&warning(), 1_764_061_921);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "id": id, "type": "budget.warning", "timestamp": "2025-11-25T09:12:01+00:00",
                "data": {
                    "level": "team", "name": "core \"x\"", "period": "month",
                    "cap": "1200.00", "spent": "973.200000000001", "percent": 81, "warn_at": 80,
                    "begins": "2025-11-01T00:00:00+01:00", "resets": "2025-12-01T00:00:00+01:00",
                },
            })
        );
        assert!(id.starts_with("msg_") && id.len() == 36 && !id.contains('.'), "{id}");
    }

    #[test]
    fn periods_without_borders_have_none() {
        for period in [Period::Total, Period::Rolling(18_000)] {
            let endless = Warning { period, begin: None, end: None, ..warning() };
            let value: serde_json::Value = serde_json::from_slice(&Event::of(&endless, 1).body).unwrap();
            assert_eq!((&value["data"]["begins"], &value["data"]["resets"]), (&().into(), &().into()));
            assert_eq!(value["data"]["period"], period.to_string());
        }
    }

    #[test]
    fn the_same_warning_has_the_same_id_and_no_other_has_it() {
        let id = |warning: &Warning, at| Event::of(warning, at).id;
        let base = id(&warning(), 1);
        let later = Warning { spent: Pico::DOLLAR.saturating_mul(1_199), ..warning() };
        assert_eq!(base, id(&later, 2), "told again after a restart");
        for (name, other) in [
            ("level", Warning { level: Level::Organisation, ..warning() }),
            ("name", Warning { name: Arc::from("edge"), ..warning() }),
            ("period", Warning { period: Period::Week, ..warning() }),
            ("next month", Warning { begin: Some(1_764_543_600), ..warning() }),
            ("cap", Warning { cap: Pico::DOLLAR.saturating_mul(1_201), ..warning() }),
            ("mark", Warning { warn_at: 90, ..warning() }),
        ] {
            assert_ne!(base, id(&other, 1), "{name}");
        }
        let rolling = Warning { period: Period::Rolling(60), begin: None, ..warning() };
        assert_ne!(id(&rolling, 1), id(&rolling, 2), "reached a second time");
    }
}

//! Addresses that keep showing keys that are none.
//!
//! Within a minute an address may show so many; after that it hears when to come back instead of whether its key is good,
//! so that guessing is slow and a misconfigured machine does not fill the log. A good key passes all the same: an office
//! behind one address must not be locked out by one of its machines.
//!
//! Invariant: bounded by [`MOST`] addresses, whatever comes; touched only by calls whose key failed. An IPv6 host owns a
//! /64, so that is what counts as its address (RFC 6177).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long failures are remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered at one time: 3 MiB at most.
const MOST: usize = 65_536;

/// See the module. One for all cores.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<HashMap<IpAddr, Record>>);

#[derive(Debug, Clone, Copy)]
struct Record {
    since: Instant,
    failures: u32,
}

impl Strangers {
    /// Another key of this address was none. When to come back, if it has shown more than `limit` of them within a minute
    /// (0: no limit).
    pub fn failed(&self, address: IpAddr, limit: u32, now: Instant) -> Option<Duration> {
        if limit == 0 {
            return None;
        }
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = host(address);
        if records.len() >= MOST && !records.contains_key(&address) {
            records.retain(|_, record| now.saturating_duration_since(record.since) < WINDOW);
            if records.len() >= MOST {
                // So many hosts at once are one attacker's: all of them wait.
                return Some(WINDOW);
            }
        }
        let record = records.entry(address).or_insert(Record { since: now, failures: 0 });
        let age = now.saturating_duration_since(record.since);
        if age >= WINDOW {
            *record = Record { since: now, failures: 0 };
        }
        record.failures = record.failures.saturating_add(1);
        (record.failures > limit).then(|| WINDOW.saturating_sub(age).max(Duration::from_secs(1)))
    }
}

fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_waits_after_its_limit_and_is_forgiven_after_a_minute() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(strangers.failed(ip("192.0.2.1"), 3, now), None);
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(strangers.failed(ip("192.0.2.1"), 3, later), Some(Duration::from_secs(40)));
        assert_eq!(strangers.failed(ip("192.0.2.2"), 3, later), None);
        assert_eq!(strangers.failed(ip("192.0.2.1"), 3, now + WINDOW), None);
    }

    #[test]
    fn what_is_one_host_counts_as_one() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        for (first, second, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(strangers.failed(ip(first), 1, now), None, "{first}");
            assert_eq!(strangers.failed(ip(second), 1, now).is_some(), same, "{second}");
        }
    }

    #[test]
    fn no_limit_remembers_nobody() {
        let strangers = Strangers::default();
        assert_eq!(strangers.failed(ip("192.0.2.1"), 0, Instant::now()), None);
        assert!(strangers.0.lock().unwrap().is_empty());
    }

    #[test]
    fn more_addresses_than_are_remembered_all_wait_until_the_minute_is_over() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let address = |n: usize| IpAddr::from((n as u32).to_be_bytes());
        for n in 0..MOST {
            assert_eq!(strangers.failed(address(n), 1, now), None);
        }
        assert_eq!(strangers.failed(address(MOST), 1, now), Some(WINDOW));
        assert_eq!(strangers.0.lock().unwrap().len(), MOST);
        assert_eq!(strangers.failed(address(MOST), 1, now + WINDOW), None);
        assert_eq!(strangers.0.lock().unwrap().len(), 1);
    }
}

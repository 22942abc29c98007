//! Whether this machine lets as many connections be open as are asked for.
//!
//! Invariant: what will not fit is refused before anything starts, with the setting that stands in the way: connections that
//! fail for want of a descriptor or a port would look like the subject's faults. Somebody who runs already has limits of
//! his own, which are not looked at.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where the kernel says which ports it gives out (ip-sysctl).
const PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// For files, logs and listeners of one process.
const OTHERS: u64 = 64;

/// Raises the limit of descriptors, here and for the children, as far as so many connections need.
///
/// # Errors
/// There are not enough descriptors, or not enough ports.
pub fn make(connections: usize) -> Result<(), String> {
    ports_suffice(connections, given_out())?;
    let (needed, limit) = (descriptors(connections), raised_for(connections));
    if limit >= needed { Ok(()) } else { Err(lacking(connections, needed, limit)) }
}

/// How many connections fit, if so many are wanted.
#[must_use]
pub fn most(wanted: usize) -> usize {
    let files = usize::try_from(raised_for(wanted).saturating_sub(OTHERS) / 2).unwrap_or(usize::MAX);
    wanted.min(files).min(usable(given_out()))
}

/// The limit of descriptors, raised as far as it may be.
fn raised_for(connections: usize) -> u64 {
    let needed = descriptors(connections);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let set = |limit| setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).is_ok();
    // A privileged process may raise even the hard limit.
    if maximum.is_some_and(|maximum| maximum < needed) && set(Some(needed)) {
        return needed;
    }
    set(maximum);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A proxy holds two for each call.
const fn descriptors(connections: usize) -> u64 {
    2 * connections as u64 + OTHERS
}

fn lacking(connections: usize, needed: u64, limit: u64) -> String {
    format!(
        "{connections} connections need {needed} open files in the gateway, and no more than {limit} are allowed: raise the limit \
         (ulimit -Hn, LimitNOFILE=), or ask for fewer (--streams, --connections)"
    )
}

/// All of a proxy's connections lead to one address, so each needs a port of its own. Ports of connections that have just
/// been closed are taken again (`net.ipv4.tcp_tw_reuse`, which is on for loopback), but not within a second.
fn ports_suffice(connections: usize, ports: usize) -> Result<(), String> {
    let usable = usable(ports);
    if connections <= usable {
        return Ok(());
    }
    Err(format!(
        "{connections} connections to one address need as many ports, and this machine gives out {ports}, of which {usable} can be \
         counted on: widen net.ipv4.ip_local_port_range, or ask for fewer (--streams, --connections)"
    ))
}

const fn usable(ports: usize) -> usize {
    ports - ports / 10
}

/// As far as the kernel says it.
fn given_out() -> usize {
    let range = fs::read_to_string(PORTS).ok();
    range.and_then(|text| ports(&text)).unwrap_or(usize::MAX)
}

fn ports(text: &str) -> Option<usize> {
    let mut bounds = text.split_whitespace().map(str::parse::<usize>);
    let (low, high) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    Some(high.checked_sub(low)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_what_would_help() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!((ports(""), ports("9 1"), ports("a b")), (None, None, None));
        assert_eq!(ports_suffice(10_000, 28_232), Ok(()));
        let why = ports_suffice(28_000, 28_232).unwrap_err();
        assert!(why.contains("ip_local_port_range") && why.contains("--streams"), "{why}");
        assert!(descriptors(10_000) > 20_000, "both ends of each");
        let why = lacking(10_000, descriptors(10_000), 1024);
        assert!(why.contains("1024") && why.contains("ulimit -Hn"), "{why}");
        assert_eq!((make(10), most(10)), (Ok(()), 10), "so few fit anywhere");
        assert!(most(1_000_000_000) < 1_000_000);
        assert!(make(1_000_000_000).is_err());
    }
}

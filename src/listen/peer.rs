//! Who is at the other end, where proxies stand in between.
//!
//! Invariant: what is said of an address is believed only from a proxy that the operator named. With the PROXY protocol a
//! connection of such a proxy must begin with its header, and a connection of anybody else is closed: whoever could reach us
//! past the proxy could say what it likes. Without it, `x-forwarded-for` is read from its end, past the named proxies; what
//! the client wrote into it itself stands in front of that and is never reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::message::{Fields, Name};

const FORWARDED_FOR: Name = Name::new("x-forwarded-for");

/// Begins every header of version 2 (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>, section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What may follow the fixed part: addresses, and extensions that we read past.
const LONGEST: u16 = 4096;

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// Their addresses.
    pub proxies: Arc<[IpNet]>,
    /// They begin each connection with a header of the PROXY protocol, version 2.
    pub proxy_protocol: bool,
}

impl Trusted {
    fn believes(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// The client behind a connection that has just been accepted; `None` if it must be closed.
    pub(super) async fn behind<R: AsyncRead + Unpin>(&self, stream: &mut R, peer: SocketAddr) -> Option<SocketAddr> {
        if !self.proxy_protocol {
            return Some(peer);
        }
        if !self.believes(peer.ip()) {
            return None;
        }
        Some(header(stream).await?.unwrap_or(peer))
    }

    /// The client behind a request.
    pub(super) fn behind_request(&self, fields: &Fields, peer: SocketAddr) -> SocketAddr {
        if self.proxies.is_empty() || self.proxy_protocol || !self.believes(peer.ip()) {
            return peer;
        }
        let mut client = peer.ip();
        let lines = fields.all(FORWARDED_FOR).rev();
        for hop in lines.flat_map(|line| line.rsplit(|&b| b == b',')) {
            // What is no address was written by nobody whom we believe.
            let Some(address) = std::str::from_utf8(hop).ok().and_then(|text| hop_address(text.trim())) else { break };
            client = address;
            if !self.believes(address) {
                break;
            }
        }
        SocketAddr::new(client, if client == peer.ip() { peer.port() } else { 0 })
    }
}

/// An address as proxies write it: alone, with a port, in brackets.
fn hop_address(text: &str) -> Option<IpAddr> {
    let alone = || text.parse::<IpAddr>().ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    alone().or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

/// Reads a header. `Some(None)`: the proxy speaks for itself (LOCAL), or of no address that we know.
async fn header<R: AsyncRead + Unpin>(stream: &mut R) -> Option<Option<SocketAddr>> {
    let mut fixed = [0; 16];
    stream.read_exact(&mut fixed).await.ok()?;
    let [signature @ .., command, family, high, low] = fixed;
    let len = u16::from_be_bytes([high, low]);
    if signature != SIGNATURE || len > LONGEST {
        return None;
    }
    let mut rest = vec![0; usize::from(len)];
    stream.read_exact(&mut rest).await.ok()?;
    match (command, family) {
        // LOCAL: a health check of the proxy's own.
        (0x20, _) => Some(None),
        // PROXY, TCP over IPv4 or IPv6: source address, destination address, source port, destination port.
        (0x21, 0x11) => {
            let (address, port) = (rest.first_chunk::<4>()?, rest.get(8..10)?);
            Some(Some((Ipv4Addr::from(*address), u16::from_be_bytes([port[0], port[1]])).into()))
        }
        (0x21, 0x21) => {
            let (address, port) = (rest.first_chunk::<16>()?, rest.get(32..34)?);
            Some(Some((Ipv6Addr::from(*address), u16::from_be_bytes([port[0], port[1]])).into()))
        }
        // Unspecified, or a Unix socket.
        (0x21, _) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(networks: &[&str], proxy_protocol: bool) -> Trusted {
        Trusted { proxies: networks.iter().map(|n| n.parse().unwrap()).collect(), proxy_protocol }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb];

    async fn told(trusted: &Trusted, bytes: &[u8], peer: &str) -> Option<(SocketAddr, Vec<u8>)> {
        let mut stream = bytes;
        let client = trusted.behind(&mut stream, peer.parse().unwrap()).await?;
        Some((client, stream.to_vec()))
    }

    #[tokio::test]
    async fn the_proxy_protocol_is_read_exactly() {
        let proxies = trusted(&["10.0.0.0/8"], true);
        let v6: Vec<u8> = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0x30, 0x39, 1, 0xbb]].concat();
        for (bytes, client) in [
            (v2(0x21, 0x11, &V4), "192.0.2.7:12345"),
            (v2(0x21, 0x11, &[&V4[..], &[0x04, 0, 1, 0]].concat()), "192.0.2.7:12345"),
            (v2(0x21, 0x21, &v6), "[2001:db8::7]:12345"),
            (v2(0x20, 0x00, &[]), "10.1.2.3:5"),
            (v2(0x21, 0x00, &[]), "10.1.2.3:5"),
            (v2(0x21, 0x31, &[0; 216]), "10.1.2.3:5"),
        ] {
            let whole = [&bytes[..], b"POST / HTTP/1.1"].concat();
            let want = Some((client.parse().unwrap(), b"POST / HTTP/1.1".to_vec()));
            assert_eq!(told(&proxies, &whole, "10.1.2.3:5").await, want, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn whoever_is_not_named_or_says_it_wrongly_is_not_heard() {
        let proxies = trusted(&["10.0.0.0/8"], true);
        let good = v2(0x21, 0x11, &V4);
        assert_eq!(told(&proxies, &good, "192.0.2.1:5").await, None);
        for bytes in [
            b"POST / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
            v2(0x11, 0x11, &V4),
            v2(0x22, 0x11, &V4),
            v2(0x21, 0x11, &V4[..8]),
            v2(0x21, 0x11, &vec![0; usize::from(LONGEST) + 1]),
            good[..20].to_vec(),
        ] {
            assert_eq!(told(&proxies, &bytes, "10.1.2.3:5").await, None, "{bytes:?}");
        }
    }

    #[track_caller]
    fn forwarded(networks: &[&str], lines: &[&str], peer: &str, client: &str) {
        let mut fields = Fields::default();
        for line in lines {
            fields.push("x-forwarded-for", line.as_bytes());
        }
        let got = trusted(networks, false).behind_request(&fields, peer.parse().unwrap());
        assert_eq!(got.ip(), client.parse::<IpAddr>().unwrap(), "{lines:?} by {peer}");
    }

    #[test]
    fn forwarded_addresses_are_read_from_their_end_past_the_named_proxies() {
        let named = &["10.0.0.0/8", "2001:db8::/32"];
        forwarded(&[], &["192.0.2.7"], "10.0.0.1:5", "10.0.0.1");
        forwarded(named, &["192.0.2.7"], "198.51.100.1:5", "198.51.100.1");
        forwarded(named, &[], "10.0.0.1:5", "10.0.0.1");
        forwarded(named, &["192.0.2.7"], "10.0.0.1:5", "192.0.2.7");
        forwarded(named, &["203.0.113.9, 192.0.2.7"], "10.0.0.1:5", "192.0.2.7");
        forwarded(named, &["203.0.113.9, 192.0.2.7, 10.0.0.2"], "10.0.0.1:5", "192.0.2.7");
        forwarded(named, &["203.0.113.9", "192.0.2.7,10.0.0.2"], "10.0.0.1:5", "192.0.2.7");
        forwarded(named, &["10.0.0.3"], "10.0.0.1:5", "10.0.0.3");
        forwarded(named, &["192.0.2.7:4711"], "10.0.0.1:5", "192.0.2.7");
        forwarded(named, &["[2001:db9::1]:4711"], "10.0.0.1:5", "2001:db9::1");
        forwarded(named, &["::ffff:192.0.2.7"], "[::ffff:10.0.0.1]:5", "192.0.2.7");
        forwarded(named, &["192.0.2.7, unknown"], "10.0.0.1:5", "10.0.0.1");
        forwarded(named, &["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.1:5", "10.0.0.2");
    }
}

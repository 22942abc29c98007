//! A TCP connection to an origin: its addresses raced (RFC 8305), or a tunnel through its proxy.
//!
//! Invariant: at most [`MOST`] attempts at one time, all of them in the caller's own task, so that whoever gives up (the
//! connect time-out, a client that leaves) ends them all. No message names an address.

use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proxy::tunnel;
use super::resolve::Names;
use crate::provider::Origin;

/// How long an attempt has for itself before the next address is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const MOST: usize = 16;

/// Connects, through the origin's proxy where it has one. Names are as good as new for `ttl` after they were looked up.
///
/// # Errors
/// Why not, in words that name no address and hold no credential.
pub async fn dial(names: &Names, origin: &Origin, ttl: Duration) -> Result<TcpStream, String> {
    let Some(proxy) = &origin.proxy else { return reach(names, &origin.host, origin.port, ttl).await };
    let tcp = reach(names, &proxy.host, proxy.port, ttl).await.map_err(|why| format!("the proxy: {why}"))?;
    tunnel(tcp, proxy, &origin.host, origin.port).await
}

async fn reach(names: &Names, host: &str, port: u16, ttl: Duration) -> Result<TcpStream, String> {
    let connect = |ip: IpAddr| TcpStream::connect((ip, port));
    // A literal address needs no resolver.
    if let Ok(ip) = host.parse() {
        return connect(ip).await.map_err(|e| kind_of(&e));
    }
    let known = names.addresses(host, ttl).await;
    if known.is_empty() {
        return Err("unknown host".to_owned());
    }
    let why = match race(in_turns(&known), connect).await {
        Ok(tcp) => return Ok(tcp),
        Err(e) => kind_of(&e),
    };
    // It may have moved since we looked.
    let moved: Vec<IpAddr> = names.again(host, ttl).await.iter().filter(|ip| !known.contains(ip)).copied().collect();
    if moved.is_empty() {
        return Err(why);
    }
    race(in_turns(&moved), connect).await.map_err(|e| kind_of(&e))
}

/// One family and the other in turns, beginning with the one that the system prefers (RFC 8305 section 4, RFC 6724).
fn in_turns(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let preferred = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|ip| ip.is_ipv6() == preferred);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::with_capacity(addresses.len().min(MOST));
    while turns.len() < MOST {
        let before = turns.len();
        turns.extend(first.next());
        turns.extend(second.next());
        if turns.len() == before {
            break;
        }
    }
    turns.truncate(MOST);
    turns
}

/// The first to connect wins; the next begins after [`HEAD_START`], or at once when one has failed.
async fn race<T, F>(addresses: Vec<IpAddr>, connect: impl Fn(IpAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        running.extend(waiting.next().map(|ip| Box::pin(connect(ip))));
        if running.is_empty() {
            return Err(failure);
        }
        let patience = if waiting.len() > 0 { HEAD_START } else { Duration::MAX };
        match timeout(patience, first_to_end(&mut running)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(e)) => failure = e,
            Err(_) => {}
        }
    }
}

/// What the first of them ends with; it is taken out.
async fn first_to_end<F: Future>(running: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|cx| {
        for i in 0..running.len() {
            if let Poll::Ready(output) = running[i].as_mut().poll(cx) {
                drop(running.swap_remove(i));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

/// The kind alone: the system's text may hold an address.
pub(super) fn kind_of(error: &io::Error) -> String {
    error.kind().to_string()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_beginning_with_the_preferred_one() {
        for (name, given, want) in [
            ("both", vec!["::1", "::2", "::3", "1.0.0.1"], vec!["::1", "1.0.0.1", "::2", "::3"]),
            ("IPv4 preferred", vec!["1.0.0.1", "1.0.0.2", "::1"], vec!["1.0.0.1", "::1", "1.0.0.2"]),
            ("one family", vec!["1.0.0.1", "1.0.0.2"], vec!["1.0.0.1", "1.0.0.2"]),
            ("none", vec![], vec![]),
        ] {
            assert_eq!(in_turns(&ips(&given)), ips(&want), "{name}");
        }
        let many: Vec<IpAddr> = (0..100_u32).map(|n| IpAddr::from(n.to_be_bytes())).collect();
        assert_eq!(in_turns(&many), many[..MOST]);
    }

    /// Each address answers after so many milliseconds, with a connection or a refusal: who wins and when, and when each
    /// attempt began.
    async fn run(addresses: &[(&str, u64, bool)]) -> (Option<IpAddr>, u64, Vec<u64>) {
        let start = Instant::now();
        let begun = RefCell::new(Vec::new());
        let began = &begun;
        let won = race(ips(&addresses.iter().map(|a| a.0).collect::<Vec<_>>()), |ip| {
            let (_, after, connects) = *addresses.iter().find(|a| a.0.parse() == Ok(ip)).unwrap();
            began.borrow_mut().push(u64::try_from(start.elapsed().as_millis()).unwrap());
            async move {
                sleep(Duration::from_millis(after)).await;
                if connects { Ok(ip) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        })
        .await;
        let took = u64::try_from(start.elapsed().as_millis()).unwrap();
        (won.ok(), took, begun.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_connects_wins() {
        let one = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for (name, addresses, want) in [
            ("the first is quick", vec![("::1", 20, true), ("1.0.0.1", 1, true)], (one("::1"), 20, vec![0])),
            (
                "the first hangs",
                vec![("::1", 90_000, true), ("1.0.0.1", 20, true)],
                (one("1.0.0.1"), 270, vec![0, 250]),
            ),
            ("the first is refused", vec![("::1", 5, false), ("1.0.0.1", 20, true)], (one("1.0.0.1"), 25, vec![0, 5])),
            ("a slow first wins", vec![("::1", 260, true), ("1.0.0.1", 500, true)], (one("::1"), 260, vec![0, 250])),
            ("all are refused", vec![("::1", 5, false), ("1.0.0.1", 5, false)], (None, 10, vec![0, 5])),
            (
                "a refusal beside a hanging one begins the next at once",
                vec![("::1", 90_000, true), ("1.0.0.1", 10, false), ("::2", 10, true)],
                (one("::2"), 270, vec![0, 250, 260]),
            ),
            ("none", vec![], (None, 0, vec![])),
        ] {
            assert_eq!(run(&addresses).await, want, "{name}");
        }
    }
}

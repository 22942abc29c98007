//! Frames without end, each cheap to send (RFC 9113 section 10.5). Nobody else is kept waiting by them, and memory stays
//! bounded, whether or not the connection is given up.

use std::time::{Duration, Instant};

use tollgate::simulator::{Script, Simulator};

use crate::edge::Edge;
use crate::frames::*;
use crate::peer::Peer;

/// How long each goes on, if it is let.
const LONG: Duration = Duration::from_secs(1);
/// Frames that are sent at once.
const BATCH: u32 = 64;
/// What a flood may cost in memory, a debug build's overhead included.
const HELD_KIB: i64 = 32 * 1024;

struct Flood {
    name: &'static str,
    /// The connection must be given up for it.
    cut: bool,
    opening: Vec<u8>,
    /// The nth frame, or frames.
    unit: Box<dyn Fn(u32) -> Vec<u8> + Send>,
}

fn flood(name: &'static str, cut: bool, opening: Vec<u8>, unit: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Flood {
    Flood { name, cut, opening, unit: Box::new(unit) }
}

/// The nth stream behind the first.
fn id(n: u32) -> u32 {
    2 * n + 3
}

fn floods() -> Vec<Flood> {
    let open = || headers(1, 0, &good());
    let stranger = || block(&[&GOOD[..], &[("authorization", "Bearer nobody")]].concat());
    let large = indexed(b"x", &[b'y'; 3_900]);
    // 62 is what has entered the dynamic table last: each byte stands for four thousand.
    let bomb = [good(), vec![0xbe; 15_000]].concat();
    vec![
        flood("settings", false, vec![], |_| settings(&[])),
        flood("long settings", false, vec![], |_| settings(&[(3, 100); 2_000])),
        flood("pings", false, vec![], |_| frame(PING, 0, 0, &[7; 8])),
        flood("priorities of streams that are not there", false, vec![], |n| {
            frame(PRIORITY, 0, id(n), &[0, 0, 0, 0, 9])
        }),
        flood("windows by a byte", false, vec![], |_| window_update(0, 1)),
        flood("frames of a kind to come", false, vec![], |_| frame(0xbb, 0, 0, &[0; 16_384])),
        flood("data of no length", true, open(), |_| frame(DATA, 0, 1, &[])),
        flood("data that is padding", true, open(), |_| frame(DATA, PADDED, 1, &[1, 0])),
        flood("continuations of no length", true, frame(HEADERS, 0, 1, &good()), |_| frame(CONTINUATION, 0, 1, &[])),
        flood("a header list without end", true, frame(HEADERS, 0, 1, &good()), |_| {
            frame(CONTINUATION, 0, 1, &field(b"x", &[b'y'; 16_000]))
        }),
        flood("small fields without end", true, frame(HEADERS, 0, 1, &good()), |_| {
            frame(CONTINUATION, 0, 1, &field(b"x", b"").repeat(3_000))
        }),
        flood("fields out of the table", false, headers(1, END_STREAM, &[good(), large].concat()), move |n| {
            headers(id(n), END_STREAM, &bomb)
        }),
        flood("streams that are reset at once", true, vec![], |n| [headers(id(n), 0, &good()), reset(id(n))].concat()),
        flood("streams that we must reset", true, vec![], |n| {
            [headers(id(n), 0, &good()), window_update(id(n), 0)].concat()
        }),
        flood("malformed requests", true, vec![], |n| headers(id(n), END_STREAM, &block(&[("x", "y")]))),
        flood("requests of a stranger, answers unread", false, vec![], move |n| {
            headers(id(n), END_STREAM, &stranger())
        }),
        flood("more streams than there may be", false, vec![], |n| headers(id(n), 0, &good())),
        flood("resets of one stream", false, [open(), reset(1)].concat(), |_| reset(1)),
        flood("data for a stream that is over", false, [open(), reset(1)].concat(), |_| frame(DATA, 0, 1, b"x")),
    ]
}

/// Sends until it is cut or time is over, and reads nothing of what comes; whether it was cut, and after how many.
async fn send(mut peer: Peer, flood: Flood) -> (bool, u32) {
    let until = Instant::now() + LONG;
    let mut sent = 0;
    peer.send(&flood.opening).await;
    while Instant::now() < until {
        let batch: Vec<u8> = (sent..sent + BATCH).flat_map(&flood.unit).collect();
        match tokio::time::timeout(Duration::from_millis(200), peer.send(&batch)).await {
            Ok(true) => sent += BATCH,
            Ok(false) => return (true, sent),
            // It does not read on before its answers are taken: that, too, is an end of it.
            Err(_) => break,
        }
    }
    (flood.cut && peer.ends().await, sent)
}

// Who floods has a thread of its own here, so that only the gateway can keep others waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_harm_nobody_else() {
    let simulator = Simulator::start(Script::default(), ([127, 0, 0, 1], 0).into()).await.unwrap();
    let mut edge = Edge::start(simulator.address(), "").await;
    edge.serves_others().await;
    let before = edge.gateway.holds().await;
    let mut wrong = Vec::new();
    for flood in floods() {
        let (name, must_be_cut) = (flood.name, flood.cut);
        let sending = tokio::spawn(send(Peer::begin(&edge, &[]).await, flood));
        let mut waited = Duration::ZERO;
        while !sending.is_finished() {
            let began = Instant::now();
            edge.serves_others().await;
            waited = waited.max(began.elapsed());
        }
        let (cut, sent) = sending.await.unwrap();
        let now = edge.gateway.holds().await;
        let told = format!("{name}: {sent} sent, cut: {cut}, {} KiB, {waited:?}", now.rss_kib - before.rss_kib);
        println!("{told}");
        if (must_be_cut && !cut) || now.rss_kib > before.rss_kib + HELD_KIB {
            wrong.push(told);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    edge.serves_others().await;
    edge.recovers(before).await;
}

//! Clients that ask for much and take little: windows that never open, open by a byte, or open and close (RFC 9113 section
//! 5.2). What they do not take stays with the provider.

use std::time::{Duration, Instant};

use tollgate::simulator::{Script, Simulator};

use crate::edge::Edge;
use crate::frames::*;
use crate::peer::Peer;

const ASK_STREAM: &str = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[]}"#;
/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const WINDOW: u16 = 4;
/// As many as a connection may have under way, and a few less.
const STREAMS: u32 = 100;
/// What all of a connection's streams may hold here: 64 KiB of an answer each, and what lies between us and the provider.
const HELD_KIB: i64 = 48 * 1024;

async fn long_answers() -> Simulator {
    // 16 MB each.
    let script = Script { chunks: 4000.try_into().ok(), chunk_bytes: 4000.try_into().ok(), ..Script::default() };
    Simulator::start(script, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

fn ids() -> impl Iterator<Item = u32> {
    (0..STREAMS).map(|n| 2 * n + 1)
}

async fn ask_on_all(peer: &mut Peer) {
    for id in ids() {
        assert!(peer.send(&request(id, ASK_STREAM)).await);
    }
    let mut heads = 0;
    while heads < STREAMS {
        let frame = tokio::time::timeout(Duration::from_secs(20), peer.frame()).await.unwrap().unwrap();
        heads += u32::from(frame.kind == HEADERS);
    }
}

#[tokio::test]
async fn streams_whose_windows_never_open_hold_little() {
    let simulator = long_answers().await;
    let mut edge = Edge::start(simulator.address(), "").await;
    edge.serves_others().await;
    let before = edge.gateway.holds().await;
    let mut peer = Peer::begin(&edge, &[(WINDOW, 0)]).await;
    ask_on_all(&mut peer).await;
    peer.read_for(Duration::from_secs(2)).await;
    let now = edge.gateway.holds().await;
    assert!(now.rss_kib < before.rss_kib + HELD_KIB, "{before:?}, {now:?}");
    edge.serves_others().await;
    drop(peer);
    edge.recovers(before).await;
}

#[tokio::test]
async fn windows_that_open_by_a_byte_are_served_by_the_byte() {
    let simulator = long_answers().await;
    let mut edge = Edge::start(simulator.address(), "").await;
    edge.serves_others().await;
    let before = edge.gateway.holds().await;
    let mut peer = Peer::begin(&edge, &[(WINDOW, 0)]).await;
    ask_on_all(&mut peer).await;
    let by_a_byte: Vec<u8> = ids().flat_map(|id| window_update(id, 1)).collect();
    let began = Instant::now();
    let (mut given, mut taken) = (0, 0);
    while given < 100 && began.elapsed() < Duration::from_secs(20) {
        assert!(peer.send(&by_a_byte).await, "after {given}");
        given += 1;
        while taken < given * STREAMS as usize {
            let frame = tokio::time::timeout(Duration::from_secs(10), peer.frame()).await.unwrap().unwrap();
            assert!(frame.kind != DATA || frame.payload.len() <= given);
            taken += if frame.kind == DATA { frame.payload.len() } else { 0 };
        }
    }
    let now = edge.gateway.holds().await;
    assert!(now.rss_kib < before.rss_kib + HELD_KIB, "{before:?}, {now:?}");
    edge.serves_others().await;
    drop(peer);
    edge.recovers(before).await;
}

#[tokio::test]
async fn a_window_that_is_taken_back_and_given_again_loses_nothing() {
    let script = Script { chunks: 50.try_into().ok(), chunk_bytes: 4000.try_into().ok(), ..Script::default() };
    let simulator = Simulator::start(script, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let edge = Edge::start(simulator.address(), "").await;
    let whole = {
        let mut peer = Peer::begin(&edge, &[(WINDOW, 1 << 24)]).await;
        peer.send(&[window_update(0, 1 << 24), request(1, ASK_STREAM)].concat()).await;
        read_whole(&mut peer).await
    };
    assert!(
        whole.len() > 200_000 && whole.ends_with(b"\"}\n\n"),
        "{}",
        String::from_utf8_lossy(&whole[whole.len() - 99..])
    );
    let mut peer = Peer::begin(&edge, &[(WINDOW, 60_000)]).await;
    peer.send(&request(1, ASK_STREAM)).await;
    let mut came = Vec::new();
    while came.len() < 60_000 {
        let frame = peer.frame().await.unwrap();
        came.extend(if frame.kind == DATA { frame.payload } else { Vec::new() });
    }
    // By this the window is 60,000 below nothing (section 6.9.2).
    peer.send(&[settings(&[(WINDOW, 0)]), window_update(0, 1 << 24), window_update(1, 59_999)].concat()).await;
    peer.read_for(Duration::from_millis(300)).await;
    peer.send(&settings(&[(WINDOW, 1 << 24)])).await;
    came.extend(read_whole(&mut peer).await);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(came.len(), whole.len(), "{}", text(&came[came.len() - 99..]));
    assert!(came.ends_with(&whole[whole.len() - 20..]));
}

/// Data to the end of a stream.
async fn read_whole(peer: &mut Peer) -> Vec<u8> {
    let mut came = Vec::new();
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(20), peer.frame()).await.unwrap().unwrap();
        if frame.kind == DATA {
            came.extend_from_slice(&frame.payload);
            if frame.flags & END_STREAM != 0 {
                return came;
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_at_all_holds_little() {
    let simulator = long_answers().await;
    let mut edge = Edge::start(simulator.address(), "").await;
    edge.serves_others().await;
    let before = edge.gateway.holds().await;
    let mut peer = Peer::begin(&edge, &[(WINDOW, 0x7fff_ffff)]).await;
    peer.send(&window_update(0, 0x7fff_0000)).await;
    for id in ids() {
        peer.send(&request(id, ASK_STREAM)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = edge.gateway.holds().await;
    assert!(now.rss_kib < before.rss_kib + HELD_KIB, "{before:?}, {now:?}");
    edge.serves_others().await;
    drop(peer);
    edge.recovers(before).await;
}

// Who floods has a thread of its own here, so that only the gateway can keep others waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_flap_do_not_starve_others() {
    let simulator = long_answers().await;
    let mut edge = Edge::start(simulator.address(), "").await;
    edge.serves_others().await;
    let before = edge.gateway.holds().await;
    let mut peer = Peer::begin(&edge, &[(WINDOW, 0)]).await;
    ask_on_all(&mut peer).await;
    // Each touches every stream; nothing of it is read.
    let flap = [settings(&[(WINDOW, 1)]), settings(&[(WINDOW, 0)])].concat().repeat(100);
    let flapping = tokio::spawn(async move {
        let until = Instant::now() + Duration::from_secs(2);
        let mut sent = 0;
        while Instant::now() < until
            && tokio::time::timeout(Duration::from_millis(500), peer.send(&flap)).await == Ok(true)
        {
            sent += 200;
        }
        (peer, sent)
    });
    let mut waited = Duration::ZERO;
    while !flapping.is_finished() {
        let began = Instant::now();
        edge.serves_others().await;
        waited = waited.max(began.elapsed());
    }
    let (peer, sent) = flapping.await.unwrap();
    println!("{sent} settings, others waited {waited:?}");
    let now = edge.gateway.holds().await;
    assert!(now.rss_kib < before.rss_kib + HELD_KIB, "{before:?}, {now:?}");
    drop(peer);
    edge.recovers(before).await;
}

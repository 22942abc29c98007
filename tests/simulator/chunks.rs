//! Chunks and pace.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate::simulator::{Chunking, Script};

use crate::raw::{ANSWERS, End, ask, exchange, parse, script, start};

#[tokio::test]
async fn every_chunking_carries_the_same_bytes() {
    let plain = start(script("hello there")).await;
    for path in ANSWERS {
        for stream in [false, true] {
            let want = exchange(&plain, &ask(path, stream)).await;
            for (chunking, sizes) in
                [(Chunking::Whole, 1..=1), (Chunking::Bytes(7), 10..=5000), (Chunking::Random(11), 2..=5000)]
            {
                let simulator = start(Script { chunking, ..script("hello there") }).await;
                let raw = exchange(&simulator, &ask(path, stream)).await;
                assert_eq!((raw.text(), raw.end), (want.text(), End::Complete), "{path} {chunking:?}");
                assert!(!stream || sizes.contains(&raw.chunks.len()), "{path} {chunking:?}: {}", raw.chunks.len());
                if let (Chunking::Bytes(size), true) = (chunking, stream) {
                    let (_, full) = raw.chunks.split_last().unwrap();
                    assert!(full.iter().all(|chunk| chunk.len() == size));
                }
            }
        }
    }
}

#[tokio::test]
async fn every_event_is_a_chunk() {
    let simulator = start(script("hello there")).await;
    for path in ANSWERS {
        let raw = exchange(&simulator, &ask(path, true)).await;
        assert_eq!(raw.chunks.len(), raw.events().len(), "{path}");
        assert!(raw.chunks.iter().all(|chunk| chunk.ends_with(b"\n\n") || chunk.ends_with(b"\r\n\r\n")), "{path}");
    }
}

#[tokio::test]
async fn every_event_is_flushed_on_its_own() {
    let simulator = start(Script { gap_ms: 40, ..script("hello there") }).await;
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    stream.write_all(ask(ANSWERS[0], true).as_bytes()).await.unwrap();
    let mut reads = 0;
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n0\r\n\r\n") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        reads += 1;
    }
    let events = parse(&bytes, End::Closed).unwrap().events().len();
    // The head may come with the first event.
    assert!(reads >= events, "{reads} reads for {events} events");
}

#[tokio::test]
async fn the_pace_is_kept() {
    let simulator = start(Script { first_byte_ms: 60, gap_ms: 20, ..script("hello there") }).await;
    let begun = std::time::Instant::now();
    let raw = exchange(&simulator, &ask(ANSWERS[0], true)).await;
    let want = Duration::from_millis(60 + 20 * (raw.chunks.len() as u64 - 1));
    let took = begun.elapsed();
    assert!(took >= want && took < want + Duration::from_millis(200), "{took:?}, want {want:?}");
}

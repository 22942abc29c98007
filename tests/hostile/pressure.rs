//! Clients that are slow, large, many, or do not listen.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate::simulator::{Script, Simulator};

use crate::client::{self, exchange, request};
use crate::gateway::{Gateway, KEY};

async fn simulator(script: Script) -> Simulator {
    Simulator::start(script, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

fn ask(stream: bool) -> Vec<u8> {
    request("/v1/messages", &json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": []}).to_string())
}

async fn is_well(gateway: &mut Gateway) {
    let answer = exchange(gateway.address, &ask(false)).await;
    assert!(answer.status == 200 && answer.whole, "{answer:?}");
    gateway.is_unharmed();
}

/// Reads to the end of the connection; what came, and after how long it ended.
async fn until_cut(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let began = Instant::now();
    let mut came = Vec::new();
    let reading = async { while let Ok(1..) = stream.read_buf(&mut came).await {} };
    tokio::time::timeout(Duration::from_secs(15), reading).await.expect("it is cut");
    (came, began.elapsed())
}

#[tokio::test]
async fn a_head_that_comes_slowly_is_cut() {
    let simulator = simulator(Script::default()).await;
    let mut gateway = Gateway::start(simulator.address(), "header_timeout = \"1s\"\nidle_timeout = \"1s\"", "").await;
    // At the beginning of a connection, and after a request.
    for first in [Vec::new(), String::from_utf8(ask(false)).unwrap().replace("connection: close\r\n", "").into_bytes()]
    {
        let (mut reading, mut writing) = TcpStream::connect(gateway.address).await.unwrap().into_split();
        writing.write_all(&first).await.unwrap();
        let dripping = tokio::spawn(async move {
            for byte in b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n".iter().chain(std::iter::repeat(&b'x')) {
                if writing.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let began = Instant::now();
        let mut came = Vec::new();
        let cut = async { while let Ok(1..) = reading.read_buf(&mut came).await {} };
        tokio::time::timeout(Duration::from_secs(10), cut).await.expect("it is cut");
        assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
        assert!(first.is_empty() || client::read(&came).status == 200);
        let answers = came.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
        assert!(answers <= 1 + usize::from(!first.is_empty()), "half a head is no request");
        dripping.abort();
    }
    is_well(&mut gateway).await;
}

#[tokio::test]
async fn a_body_that_stops_is_cut() {
    let simulator = simulator(Script::default()).await;
    let mut gateway = Gateway::start(simulator.address(), "", "[timeouts]\nbody = \"1s\"").await;
    let whole = ask(false);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&whole[..whole.len() - 5]).await.unwrap();
    let (came, time) = until_cut(&mut stream).await;
    assert_eq!(client::read(&came).status, 408);
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&time), "{time:?}");
    assert_eq!(simulator.counts().requests, 0, "nothing has gone upstream");
    is_well(&mut gateway).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_bounded_in_memory() {
    let long = Script { chunks: 4000.try_into().ok(), chunk_bytes: 4000.try_into().ok(), ..Script::default() };
    let simulator = simulator(long).await;
    let mut gateway = Gateway::start(simulator.address(), "", "").await;
    exchange(gateway.address, &ask(false)).await;
    let before = gateway.holds().await;
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&ask(true)).await.unwrap();
        deaf.push(stream);
    }
    // 16 MB wait for each; what they do not take must stay with the provider.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let now = gateway.holds().await;
    assert!(now.rss_kib < before.rss_kib + 16 * 1024, "{before:?}, {now:?}");
    drop(deaf);
    gateway.settles(before, 16 * 1024).await;
    gateway.is_unharmed();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
    let long = Script { chunks: 4000.try_into().ok(), chunk_bytes: 4000.try_into().ok(), ..Script::default() };
    let simulator = simulator(long).await;
    let mut gateway = Gateway::start(simulator.address(), "header_timeout = \"1s\"\nidle_timeout = \"1s\"", "").await;
    let (mut deaf, mut slow) =
        (TcpStream::connect(gateway.address).await.unwrap(), TcpStream::connect(gateway.address).await.unwrap());
    for stream in [&mut deaf, &mut slow] {
        stream.write_all(&ask(true)).await.unwrap();
    }
    // 16 MB in 5 seconds, and more than its buffers hold in each of them.
    let mut came = Vec::new();
    for _ in 0..50 {
        let mut some = vec![0; 300 * 1024];
        stream_into(&mut slow, &mut some, &mut came).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    slow.read_to_end(&mut came).await.unwrap();
    assert!(client::read(&came).whole, "{} bytes came", came.len());
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), deaf.read_to_end(&mut rest)).await.expect("it is cut");
    assert!(!client::read(&rest).whole && rest.len() < 16_000_000, "{} bytes came", rest.len());
    is_well(&mut gateway).await;
}

/// Reads what fills `room`, or less at the end.
async fn stream_into(stream: &mut TcpStream, room: &mut [u8], came: &mut Vec<u8>) {
    let mut filled = 0;
    while filled < room.len() {
        match stream.read(&mut room[filled..]).await.unwrap() {
            0 => break,
            more => filled += more,
        }
    }
    came.extend_from_slice(&room[..filled]);
}

/// What a client sees that sends a large body and reads only when it has sent all, or cannot any more.
async fn upload(gateway: &Gateway, framing: &str, chunked: bool) -> client::Answer {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let head =
        format!("POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\n{framing}\r\n\r\n");
    let sending = tokio::spawn(async move {
        let piece = vec![b' '; 64 * 1024];
        let mut sent = 0_usize;
        if writing.write_all(head.as_bytes()).await.is_err() {
            return sent;
        }
        while sent < 1_000_000_000 {
            let size = if chunked { "10000\r\n" } else { "" };
            let end = if chunked { "\r\n" } else { "" };
            let part = [size.as_bytes(), &piece, end.as_bytes()].concat();
            if writing.write_all(&part).await.is_err() {
                break;
            }
            sent += piece.len();
        }
        sent
    });
    let mut came = Vec::new();
    let answered = async {
        loop {
            let read = reading.read_buf(&mut came).await;
            if !matches!(read, Ok(1..)) || client::read(&came).whole {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(15), answered).await.expect("it is answered");
    sending.abort();
    client::read(&came)
}

#[tokio::test]
async fn a_body_of_1_gb_is_refused_at_once_and_the_client_sees_it() {
    let simulator = simulator(Script::default()).await;
    let mut gateway = Gateway::start(simulator.address(), "", "[limits]\nrequest_body = \"4MiB\"").await;
    for _ in 0..10 {
        let told = upload(&gateway, "content-length: 1000000000", false).await;
        assert_eq!(told.status, 413, "{told:?}");
        let chunked = upload(&gateway, "transfer-encoding: chunked", true).await;
        assert_eq!(chunked.status, 413, "{chunked:?}");
    }
    assert_eq!(simulator.counts().requests, 0);
    is_well(&mut gateway).await;
}

#[tokio::test]
async fn deep_json_is_refused() {
    let simulator = simulator(Script::default()).await;
    let mut gateway = Gateway::start(simulator.address(), "", "").await;
    for open in ["[", "{\"a\":"] {
        let body = format!("{{\"model\":\"m\",\"messages\":{}", open.repeat(1_000_000));
        let answer = exchange(gateway.address, &request("/v1/messages", &body)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert_eq!(simulator.counts().requests, 0);
    is_well(&mut gateway).await;
}

#[tokio::test]
async fn idle_connections_are_closed_and_their_descriptors_come_back() {
    let simulator = simulator(Script::default()).await;
    let mut gateway = Gateway::start(simulator.address(), "header_timeout = \"2s\"\nidle_timeout = \"2s\"", "").await;
    exchange(gateway.address, &ask(false)).await;
    let before = gateway.holds().await;
    let kept = String::from_utf8(ask(false)).unwrap().replace("connection: close\r\n", "");
    let mut idle = Vec::new();
    for n in 0..2_000 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        // Some have been used, one after the other: at one time, each would leave a connection to the provider behind.
        if n % 20 == 0 {
            stream.write_all(kept.as_bytes()).await.unwrap();
            stream.readable().await.unwrap();
        }
        idle.push(stream);
    }
    assert!(gateway.metric("tollgate_client_connections ").await > 0);
    let (patience, mut open) = (Instant::now() + Duration::from_secs(20), idle.len());
    for stream in &mut idle {
        let mut rest = Vec::new();
        let left = patience.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left, stream.read_to_end(&mut rest)).await.is_ok() {
            open -= 1;
        }
    }
    assert_eq!(open, 0, "connections are still open");
    gateway.settles(before, 16 * 1024).await;
    is_well(&mut gateway).await;
}

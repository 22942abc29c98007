//! Counters, recordings, control, the end.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate::protocol::Dialect;
use tollgate::simulator::{Counts, Effect, Fault, How, Script, Simulator, Split};

use crate::raw::{ANSWERS, End, ask, exchange, read, request, script, start};

/// Counters change when the other end is seen to leave: soon, not at once.
async fn eventually(simulator: &Simulator, is_so: impl Fn(&Counts) -> bool) {
    for _ in 0..200 {
        if is_so(&simulator.counts()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", simulator.counts());
}

#[tokio::test]
async fn counts_are_right() {
    let simulator = start(script("hello")).await;
    for path in ANSWERS {
        for stream in [true, true, false] {
            exchange(&simulator, &ask(path, stream)).await;
        }
    }
    exchange(&simulator, &request("GET", "/v1/models", "", "")).await;
    eventually(&simulator, |counts| counts.connections_open == 0).await;
    let counts = simulator.counts();
    assert_eq!((counts.requests, counts.calls(), counts.connections), (13, 12, 13));
    assert_eq!(Dialect::ALL.map(|dialect| counts.of(dialect)), [Split { json: 1, stream: 2 }; 4]);
    assert_eq!((counts.faults, counts.abandoned), (0, Split::default()));

    let stats = exchange(&simulator, &request("GET", "/__stats", "", "")).await.json();
    assert_eq!((&stats["requests"], &stats["calls"]["gemini"]["stream"]), (&json!(13), &json!(2)));
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let simulator = start(Script { gap_ms: 5000, ..script("hello") }.fault("hang,stream=no".parse().unwrap())).await;
    for stream in [true, false] {
        let mut connection = TcpStream::connect(simulator.address()).await.unwrap();
        connection.write_all(ask(ANSWERS[0], stream).as_bytes()).await.unwrap();
        eventually(&simulator, |counts| counts.connections_open == 1).await;
        if stream {
            assert!(connection.read_buf(&mut Vec::new()).await.unwrap() > 0);
        }
        drop(connection);
        eventually(&simulator, |counts| counts.connections_open == 0).await;
    }
    assert_eq!(simulator.counts().abandoned, Split { json: 1, stream: 1 });
}

#[tokio::test]
async fn leaving_with_the_last_event_in_hand_is_not_leaving_early() {
    let simulator = start(script("hello").fault(Fault::always(Effect::Hold))).await;
    let raw = exchange(&simulator, &ask(ANSWERS[2], true)).await;
    assert_eq!(raw.end, End::Silence);
    eventually(&simulator, |counts| counts.connections_open == 0).await;
    assert_eq!(simulator.counts().abandoned, Split::default());
}

#[tokio::test]
async fn requests_are_recorded_when_asked() {
    let simulator = start(script("hello")).await;
    exchange(&simulator, &ask(ANSWERS[0], true)).await;
    assert!(simulator.counts().recorded.is_empty());
    simulator.set_script(Script { record: true, ..script("hello") });
    exchange(&simulator, &request("POST", "/p/v1/messages?beta=true", "x-api-key: sk-1\r\n", r#"{"model":"m"}"#)).await;
    let recorded = simulator.counts().recorded;
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].path_and_query, "/p/v1/messages?beta=true");
    assert_eq!((recorded[0].header("x-api-key"), recorded[0].body.as_ref()), ("sk-1", br#"{"model":"m"}"#.as_slice()));
}

#[tokio::test]
async fn a_script_can_be_posted() {
    let simulator = start(script("hello")).await;
    let raw = exchange(
        &simulator,
        &request("POST", "/__script", "", r#"{"text":"other","faults":[{"effect":"reset","nth":2}]}"#),
    )
    .await;
    assert_eq!(raw.status(), 200);
    let answer = exchange(&simulator, &ask(ANSWERS[1], false)).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "other");
    assert_eq!(exchange(&simulator, &ask(ANSWERS[1], false)).await.end, End::Reset);

    let raw = exchange(&simulator, &request("POST", "/__script", "", r#"{"txet":"other"}"#)).await;
    assert!(raw.status() == 400 && raw.text().contains("txet"), "{raw:?}");
    assert_eq!(simulator.counts().requests, 2, "control requests are not counted");
}

#[tokio::test]
async fn in_a_hurry_nobody_waits() {
    let slow = Script { first_byte_ms: 60_000, gap_ms: 60_000, ..script("hello") };
    let simulator = start(slow.fault("pause=2,ms=60000,nth=2".parse().unwrap())).await;
    let hurry = |word| request("POST", "/__hurry", "", word);
    assert_eq!(exchange(&simulator, &hurry("true")).await.status(), 200);
    let plain = exchange(&simulator, &ask(ANSWERS[0], true)).await;
    let pausing = exchange(&simulator, &ask(ANSWERS[0], true)).await;
    assert_eq!((plain.end, pausing.end, plain.bytes()), (End::Complete, End::Complete, pausing.bytes()));
    assert_eq!(exchange(&simulator, &hurry("false")).await.status(), 200);
    assert_eq!(exchange(&simulator, &ask(ANSWERS[0], true)).await.end, End::Silence);
    assert_eq!(exchange(&simulator, &hurry("soon")).await.status(), 400);
}

#[tokio::test]
async fn dropping_it_ends_its_connections() {
    let simulator = start(script("hello").fault(Fault::always(Effect::Hang))).await;
    let address = simulator.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(ask(ANSWERS[0], true).as_bytes()).await.unwrap();
    eventually(&simulator, |counts| counts.calls() == 1).await;
    drop(simulator);
    assert_eq!(read(&mut stream).await.end, End::Closed);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn faults_in_rust_are_the_faults_in_words() {
    let simulator = start(
        script("hello")
            .fault(Fault { every: std::num::NonZeroU64::new(2), ..Fault::always(Effect::cut(1, How::Close)) }),
    )
    .await;
    for end in [End::Complete, End::Closed, End::Complete, End::Closed] {
        assert_eq!(exchange(&simulator, &ask(ANSWERS[0], true)).await.end, end);
    }
}

#[tokio::test]
async fn several_workers_are_one_provider() {
    let three = std::num::NonZeroUsize::new(3).unwrap();
    let simulator = Simulator::start_wide(script("hello"), ([127, 0, 0, 1], 0).into(), None, three).await.unwrap();
    for path in ANSWERS.into_iter().cycle().take(24) {
        assert!(exchange(&simulator, &ask(path, false)).await.json().is_object(), "{path}");
    }
    assert_eq!(simulator.counts().calls(), 24, "counted as one");
    let address = simulator.address();
    drop(simulator);
    for _ in 0..200 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a worker still listens");
}

/// A provider that skims gives the answers of one that reads, to requests that ask for nothing but the script's text.
#[tokio::test]
async fn who_skims_answers_like_who_reads() {
    let fixed = Script { fixed_ids: true, model: Some("m".into()), ..script("hello") };
    let (reads, skims) = (start(fixed.clone()).await, start(Script { skim: true, ..fixed }).await);
    for path in ANSWERS {
        for stream in [true, false] {
            let (read, skimmed) =
                (exchange(&reads, &ask(path, stream)).await, exchange(&skims, &ask(path, stream)).await);
            assert_eq!(read.bytes(), skimmed.bytes(), "{path}, stream {stream}");
        }
    }
    assert_eq!(reads.counts().calls, skims.counts().calls);
}

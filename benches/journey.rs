//! Instructions of a whole request through every layer, with an upstream that answers at once and no sockets.
//!
//! `journey_open`: a JSON answer, and a stream of 100 events, read to the end; the difference to a bare answer is what
//! Tollgate adds. `journey_governed`: the same with two limits, three levels of budgets, a price, and usage written to disk;
//! what it adds to `journey_open` may be 12,000 (`journey_open` writes nothing). `key_lookup_100k`: finding one key among 100,000 (most of it is one block of SHA-256, in software here:
//! valgrind knows no SHA instructions).

#![expect(clippy::disallowed_methods, reason = "gungraun's main ends the process")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(unused_qualifications, reason = "gungraun's macro repeats the arguments with a path")]

#[path = "../tests/journey/scripted.rs"]
#[expect(dead_code, reason = "shared with the journey's tests, which use more of it")]
mod scripted;

use std::hint::black_box;

use bytes::Bytes;
use gungraun::{library_benchmark, library_benchmark_group, main};
use http::Request;
use scripted::{Act, Gateway, Step, Upload, inbound, json, post, read};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tollgate::journal::{Journal, Settings};
use tollgate::listen::Inbound;
use tollgate::snapshot::KeyId;
use tollgate::snapshot::keyring::{Keyring, digest};

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"Summarise the report in three sentences."}],"max_tokens":256}"#;
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"A short answer of some forty characters."},"finish_reason":"stop"}],"usage":{"prompt_tokens":17,"completion_tokens":42,"total_tokens":59}}"#;
const EVENT: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sixty bytes of text, more or less, in every one of the events\"},\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":17,\"completion_tokens\":1500,\"total_tokens\":1517}}\n\n";

fn stream_of_100() -> Act {
    let data = |text: &'static str| Step::Data(Bytes::from_static(text.as_bytes()));
    let frames = std::iter::repeat_n(data(EVENT), 98).chain([data(LAST), data("data: [DONE]\n\n")]).collect();
    Act::Answer { status: 200, kind: "text/event-stream", frames }
}

struct Ready {
    runtime: Runtime,
    kept: Option<(Journal, TempDir)>,
    gateway: Gateway,
    request: Inbound<Upload>,
}

/// The one that is measured, and those before it: the first hundred of a kind teach what it costs, each with a look at all.
const CALLS: usize = 150;

/// A gateway that has served the same call before, so that nothing is measured that happens once in a process.
fn ready(act: Act) -> Ready {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gateway = Gateway::new(vec![act; CALLS]);
    warmed(runtime, gateway, None)
}

/// The same where everybody is held to something, and usage is written down.
fn governed(act: Act) -> Ready {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(Settings::new(folder.path().to_owned()), 1).unwrap();
    let gateway = Gateway::writing(&scripted::governed(), vec![act; CALLS], 1, journal.for_core(0).unwrap());
    // Its thread would be counted too.
    journal.finish();
    warmed(runtime, gateway, Some((journal, folder)))
}

fn warmed(runtime: Runtime, gateway: Gateway, kept: Option<(Journal, TempDir)>) -> Ready {
    for _ in 1..CALLS {
        runtime.block_on(async { read(gateway.ask(request()).await.into_body()).await });
    }
    Ready { runtime, kept, gateway, request: inbound(request()) }
}

fn request() -> Request<Upload> {
    let mut request = post("/v1/chat/completions", ASK);
    for (name, value) in [("accept", "application/json"), ("user-agent", "bench/1"), ("content-length", "117")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[library_benchmark]
#[bench::json(ready(json(200, ANSWER)))]
#[bench::stream_100(ready(stream_of_100()))]
fn journey_open(ready: Ready) -> Served {
    run(ready)
}

#[library_benchmark]
#[bench::json(governed(json(200, ANSWER)))]
#[bench::stream_100(governed(stream_of_100()))]
fn journey_governed(ready: Ready) -> Served {
    run(ready)
}

type Served = (Runtime, Option<(Journal, TempDir)>, Gateway, usize);

/// Not inside the bench: callgrind would stop counting at the first closure whose path holds the bench's name.
#[inline(never)]
fn run(ready: Ready) -> Served {
    let Ready { runtime, kept, gateway, request } = ready;
    let bytes = runtime.block_on(async {
        let answer = match gateway.serve(black_box(request)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (bytes, whole) = read(answer.body).await;
        assert!(whole);
        bytes.len()
    });
    (runtime, kept, gateway, bytes)
}

fn keyring(keys: u32) -> Keyring {
    let mut ring = Keyring::default();
    for n in 0..keys {
        ring.insert(digest(format!("tg-key-number-{n}").as_bytes()), KeyId(n));
    }
    assert_eq!(ring.find(b"tg-key-number-7"), Some(KeyId(7)));
    ring
}

#[library_benchmark]
#[bench::of_100k(keyring(100_000))]
fn key_lookup_100k(ring: Keyring) -> (Keyring, Option<KeyId>) {
    let found = ring.find(black_box(b"tg-key-number-99990"));
    (ring, found)
}

library_benchmark_group!(name = journey_group, benchmarks = [journey_open, journey_governed, key_lookup_100k]);
main!(library_benchmark_groups = journey_group);

//! The real program between a provider that fails in every way and clients that leave: nothing is left over, nothing lies.
//!
//! Each way so many times (`TOLLGATE_FAULTS`, 200 by default), at most twenty at one time. Afterwards the gateway must hold
//! no more descriptors and threads than before any of it, hardly more memory than after a warm-up, and answer as ever.

#![cfg(test)]

mod client;
mod gateway;
mod proxy;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tollgate::simulator::{Script, Simulator};

use client::{Answer, exchange, request};
use gateway::{Gateway, Holds};
use proxy::{Dice, Fault, How, Proxy};

/// At one time.
const AT_ONCE: usize = 20;
/// Before memory is measured for the first time.
const WARM_UP: usize = 60;
/// Where a provider falls silent on purpose.
const IMPATIENT: &str = "[timeouts]\nfirst_byte = \"1s\"\nidle = \"1s\"";
/// Where it does not: far more than a busy machine needs, and still a failure if something is lost.
const PATIENT: &str = "[timeouts]\nfirst_byte = \"10s\"\nidle = \"10s\"";

/// All ways in: each API, streamed and not.
const DOORS: [(&str, bool); 8] = [
    ("/v1/messages", true),
    ("/v1/messages", false),
    ("/v1/chat/completions", true),
    ("/v1/chat/completions", false),
    ("/v1/responses", true),
    ("/v1/responses", false),
    ("/v1beta/models/m:streamGenerateContent?alt=sse", true),
    ("/v1beta/models/m:generateContent", false),
];

fn rounds() -> usize {
    std::env::var("TOLLGATE_FAULTS").map_or(200, |rounds| rounds.parse().expect("TOLLGATE_FAULTS is a number"))
}

fn ask(model: &str, n: usize) -> Vec<u8> {
    let (path, stream) = DOORS[n % DOORS.len()];
    let body = json!({
        "model": model, "max_tokens": 9, "stream": stream, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "hello"}], "input": "hello",
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
    });
    request(&path.replace("models/m:", &format!("models/{model}:")), &body.to_string())
}

/// A gateway, what stands behind it, and what each door answers when nothing goes wrong.
struct Rig {
    gateway: Gateway,
    proxy: Proxy,
    _simulator: Simulator,
    right: Vec<Answer>,
    fresh: Holds,
    /// How much more memory may be held afterwards, in KiB.
    memory: i64,
}

impl Rig {
    async fn new(seed: u64, script: Script, tables: &str) -> Self {
        let simulator = Simulator::start(script, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let proxy = Proxy::start(simulator.address(), seed, |_| Fault::None);
        let gateway = Gateway::start(proxy.address, "", tables).await;
        let mut right = Vec::new();
        for n in 0..DOORS.len() {
            right.push(exchange(simulator.address(), &ask("m", n)).await);
            assert!(right[n].whole && right[n].status == 200, "{right:?}");
        }
        let mut rig = Self { gateway, proxy, _simulator: simulator, right, fresh: Holds::default(), memory: 4 * 1024 };
        rig.answers_as_ever().await;
        rig.fresh = rig.gateway.holds().await;
        rig
    }

    fn is_right(&self, n: usize, answer: &Answer) -> bool {
        let right = &self.right[n % DOORS.len()];
        answer.whole && answer.status == 200 && answer.body == right.body
    }

    async fn answers_as_ever(&mut self) {
        self.proxy.play(|_| Fault::None);
        for n in 0..2 * DOORS.len() {
            let answer = exchange(self.gateway.address, &ask("m", n)).await;
            assert!(self.is_right(n, &answer), "{n}: {answer:?}");
        }
    }

    /// Plays it and checks every answer, and then what is left of it.
    async fn endures(
        mut self,
        play: impl Fn(&mut Dice) -> Fault + Clone + Send + 'static,
        ask: impl Fn(usize) -> Vec<u8>,
        check: impl Fn(&Self, usize, &Answer),
    ) {
        self.proxy.play(play.clone());
        self.storm(WARM_UP, &ask, &check).await;
        let warm = self.gateway.holds().await;
        self.storm(rounds(), &ask, &check).await;
        self.nothing_is_left(warm).await;
        self.answers_as_ever().await;
    }

    async fn storm(&self, rounds: usize, ask: &impl Fn(usize) -> Vec<u8>, check: &impl Fn(&Self, usize, &Answer)) {
        let address = self.gateway.address;
        let jobs = (0..rounds).map(|n| {
            let request = ask(n);
            async move { (n, exchange(address, &request).await) }
        });
        for (n, answer) in at_most(AT_ONCE, jobs).await {
            check(self, n, &answer);
        }
    }

    async fn nothing_is_left(&mut self, warm: Holds) {
        let left = self.gateway.settles(Holds { rss_kib: warm.rss_kib, ..self.fresh }, self.memory).await;
        println!("fresh {:?}, warm {} KiB, left {left:?}", self.fresh, warm.rss_kib);
        self.gateway.is_unharmed();
    }
}

/// Runs all jobs, so many at a time.
async fn at_most<T: Send + 'static>(
    most: usize,
    jobs: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let seats = Arc::new(Semaphore::new(most));
    let mut running = JoinSet::new();
    for job in jobs {
        let seat = Arc::clone(&seats).acquire_owned().await.unwrap();
        running.spawn(async move {
            let result = job.await;
            drop(seat);
            result
        });
    }
    running.join_all().await
}

fn script() -> Script {
    let text = "One two three four five, six seven eight nine ten. ".repeat(8);
    Script { text, fixed_ids: true, ..Script::default() }
}

async fn rig(seed: u64) -> Rig {
    Rig::new(seed, script(), PATIENT).await
}

async fn impatient(seed: u64) -> Rig {
    Rig::new(seed, script(), IMPATIENT).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// As it would be without faults, byte for byte.
fn right(rig: &Rig, n: usize, answer: &Answer) {
    assert!(rig.is_right(n, answer), "{n}: {answer:?}");
}

/// A refusal of ours.
fn refused(_: &Rig, n: usize, answer: &Answer) {
    assert!(answer.whole && answer.status == 503 && text(answer).contains("error"), "{n}: {answer:?}");
    assert!(answer.head.contains("retry-after: "), "{n}: {answer:?}");
}

/// Refused, or right, or broken off so that nobody takes it for right: what came is a beginning of the right answer.
fn honest(rig: &Rig, n: usize, answer: &Answer) {
    if answer.status != 200 {
        return refused(rig, n, answer);
    }
    let right = &rig.right[n % DOORS.len()].body;
    let alike = answer.body.iter().zip(right).take_while(|(a, b)| a == b).count();
    let ours = String::from_utf8_lossy(&answer.body[alike..]);
    let complete = alike == right.len() && ours.is_empty();
    let stream = DOORS[n % DOORS.len()].1;
    let broken = if stream { ours.contains("error") || (!answer.whole && ours.is_empty()) } else { !answer.whole };
    assert!(complete || broken, "{n}: {answer:?}");
}

#[tokio::test]
async fn a_provider_that_refuses_connections() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!(
        "[[provider]]\nname = \"gone\"\nspeaks = [\"anthropic\", \"chat\", \"responses\", \"gemini\"]\n\
         base_url = \"http://{nobody}\"\n[[model]]\nname = \"gone\"\nprovider = \"gone\""
    );
    let rig = Rig::new(1, script(), &gone).await;
    rig.endures(|_| Fault::None, |n| ask("gone", n), refused).await;
}

#[tokio::test]
async fn a_provider_that_dies_before_its_head() {
    rig(2).await.endures(|dice| Fault::Die(dice.how()), |n| ask("m", n), refused).await;
}

#[tokio::test]
async fn a_provider_that_dies_anywhere_in_its_answer() {
    // Longer than any head, shorter than most answers.
    let cut = |dice: &mut Dice| Fault::Cut { after: 1 + dice.below(3000), how: dice.how() };
    rig(3).await.endures(cut, |n| ask("m", n), honest).await;
}

#[tokio::test]
async fn a_provider_that_dies_right_after_its_head() {
    // All heads of the simulator have their end within these bytes.
    let cut = |dice: &mut Dice| Fault::Cut { after: 100 + dice.below(120), how: dice.how() };
    rig(4).await.endures(cut, |n| ask("m", n), honest).await;
}

#[tokio::test]
async fn a_provider_that_hangs_before_its_head() {
    impatient(5).await.endures(|_| Fault::Stall { after: 0 }, |n| ask("m", n), refused).await;
}

#[tokio::test]
async fn a_provider_that_falls_silent_anywhere() {
    impatient(6).await.endures(|dice| Fault::Stall { after: dice.below(3000) }, |n| ask("m", n), honest).await;
}

#[tokio::test]
async fn a_provider_that_sends_garbage() {
    let garbage = |dice: &mut Dice| {
        let noise: Vec<u8> = (0..1 + dice.below(300)).map(|_| dice.roll().to_le_bytes()[0] | 0x80).collect();
        let kinds: [&[u8]; 8] = [
            &noise,
            b"SSH-2.0-OpenSSH_9.9\r\n",
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\n{}",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            b"<html>",
        ];
        Fault::Instead(kinds[dice.below(kinds.len())].to_vec())
    };
    rig(7).await.endures(garbage, |n| ask("m", n), refused).await;
}

#[tokio::test]
async fn a_provider_one_byte_of_which_is_another() {
    // What is made of it depends on the byte (a text may be another, and nobody can tell); but it ends, and the next answer
    // is right.
    let told = |_: &Rig, n: usize, answer: &Answer| {
        assert!(answer.whole || answer.status != 503, "what we say is whole: {n}: {answer:?}");
    };
    impatient(8).await.endures(|dice| Fault::Flip { at: dice.below(1500) }, |n| ask("m", n), told).await;
}

#[tokio::test]
async fn a_provider_that_sends_byte_by_byte() {
    rig(9).await.endures(|_| Fault::Pieces { most: 1 }, |n| ask("m", n), right).await;
}

#[tokio::test]
async fn a_provider_whose_borders_are_anywhere() {
    rig(10).await.endures(|dice| Fault::Pieces { most: 2 + dice.below(300) }, |n| ask("m", n), right).await;
}

#[tokio::test]
async fn a_provider_that_takes_its_time() {
    let delay = |dice: &mut Dice| Fault::Delay(Duration::from_millis(dice.below(40) as u64));
    rig(17).await.endures(delay, |n| ask("m", n), right).await;
}

#[tokio::test]
async fn a_provider_that_leaves_idle_connections() {
    let leave = |dice: &mut Dice| {
        let after = Duration::from_micros(dice.below(3000) as u64);
        Fault::Leave { after, how: dice.how() }
    };
    rig(11).await.endures(leave, |n| ask("m", n), right).await;
}

#[tokio::test]
async fn a_provider_that_says_something_before_its_answer() {
    let interim = |dice: &mut Dice| {
        let kinds = ["100 Continue", "102 Processing", "103 Early Hints\r\nlink: </x>; rel=preload", "199"];
        let said = (0..dice.below(9)).map(|_| format!("HTTP/1.1 {}\r\n\r\n", kinds[dice.below(kinds.len())]));
        Fault::Before(said.collect::<String>().into_bytes())
    };
    rig(12).await.endures(interim, |n| ask("m", n), right).await;
}

#[tokio::test]
async fn a_provider_that_never_stops_to_say_something_before() {
    let interim = |_: &mut Dice| Fault::Before(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(9));
    rig(13).await.endures(interim, |n| ask("m", n), refused).await;
}

/// For requests with large bodies: the memory that the allocator may keep of those that were under way at one time (a body lost per request would be ten times as much).
async fn roomy(seed: u64) -> Rig {
    Rig { memory: 40 * 1024, ..rig(seed).await }
}

/// Its body is more than the sockets on the way hold.
fn large(n: usize) -> Vec<u8> {
    let (path, stream) = DOORS[n % DOORS.len()];
    let body = json!({"model": "m", "stream": stream, "messages": "x".repeat(2 * 1024 * 1024)});
    request(path, &body.to_string())
}

const EARLY: &[u8] = b"HTTP/1.1 413 Content Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n\
                       content-length: 20\r\n\r\n{\"error\":\"too long\"}";

#[tokio::test]
async fn a_provider_that_answers_before_it_has_read() {
    let early = |_: &mut Dice| Fault::Early { answer: EARLY.to_vec(), reads_on: true };
    let passed = |_: &Rig, n: usize, answer: &Answer| {
        assert_eq!((answer.status, answer.whole, &*text(answer)), (413, true, "{\"error\":\"too long\"}"), "{n}");
    };
    roomy(14).await.endures(early, large, passed).await;
}

#[tokio::test]
async fn a_provider_that_answers_and_hangs_up_before_it_has_read() {
    let early = |_: &mut Dice| Fault::Early { answer: EARLY.to_vec(), reads_on: false };
    // Its reset may overtake its answer.
    let told = |rig: &Rig, n: usize, answer: &Answer| match answer.status {
        413 => {}
        _ => refused(rig, n, answer),
    };
    roomy(15).await.endures(early, large, told).await;
}

#[tokio::test]
async fn clients_that_leave_at_any_moment() {
    let mut rig = Rig::new(16, Script { gap_ms: 2, ..script() }, PATIENT).await;
    let address = rig.gateway.address;
    let leave = |n: usize| async move {
        let mut dice = Dice(n as u64);
        let request = ask("m", n);
        let mut stream = TcpStream::connect(address).await.unwrap();
        let part = if dice.below(4) == 0 { dice.below(request.len()) } else { request.len() };
        stream.write_all(&request[..part]).await.unwrap();
        let moment = tokio::time::sleep(Duration::from_micros(dice.below(25_000) as u64));
        let mut bytes = Vec::new();
        let most = dice.below(4000);
        tokio::select! {
            () = moment => {}
            () = async { while bytes.len() < most && matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {} } => {}
        }
        if dice.how() == How::Reset {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    };
    at_most(AT_ONCE, (0..WARM_UP).map(leave)).await;
    let warm = rig.gateway.holds().await;
    at_most(AT_ONCE, (0..rounds()).map(leave)).await;
    rig.nothing_is_left(warm).await;
    rig.answers_as_ever().await;
}

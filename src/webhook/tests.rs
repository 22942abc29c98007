//! A receiver that follows a script, on a clock that is paused.

use std::collections::VecDeque;
use std::path::Path;

use tokio::time::Instant;

use super::*;
use crate::config::load_text;
use crate::error::limit::{Level, Period};
use crate::money::Pico;
use crate::provider::webhook::SigningSecret;
use crate::snapshot::live::Prepared;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn rules(hook: &str) -> Prepared {
    let text = format!(
        "version = 1\n[budget]\n{hook}\n[[provider]]\nname = 'p'\nspeaks = ['chat']\nbase_url = 'http://127.0.0.1:1'\n\
         [[model]]\nname = 'm'\nprovider = 'p'\n[[key]]\nname = 'k'\nsecret = {{ env = 'KEY' }}\n"
    );
    let env = |name: &str| Some(if name == "SECRET" { SECRET } else { "a-key-of-sixteen-characters" }.to_owned());
    load_text(Path::new("t.toml"), &text, &env, &Metrics::default()).unwrap_or_else(|e| panic!("{e}")).prepared
}

fn to(host: &str) -> Prepared {
    rules(&format!("webhook = {{ url = 'https://{host}', secret = {{ env = 'SECRET' }}, proxy = 'none' }}"))
}

fn warning(name: &str) -> Warning {
    Warning {
        level: Level::Team,
        name: Arc::from(name),
        period: Period::Total,
        cap: Pico::DOLLAR,
        spent: Pico::DOLLAR,
        warn_at: 80,
        begin: None,
        end: None,
        zone: jiff::tz::TimeZone::UTC,
    }
}

/// What it does with an attempt; what the script does not name is taken.
#[derive(Clone, Copy)]
enum Does {
    Answer(u16),
    Refuse,
    Hang,
}

/// An attempt as it came.
struct Seen {
    after: Duration,
    host: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

struct Stage {
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    outbox: Outbox,
    postman: Postman,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stage {
    fn new(script: &[Does]) -> Self {
        let (live, metrics) = (Live::new(to("a.example")), Arc::new(Metrics::default()));
        let script = Mutex::new(script.iter().copied().collect::<VecDeque<_>>());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (notes, began) = (Arc::clone(&seen), Instant::now());
        let (outbox, postman) = Postman::posting(Arc::clone(&live), &metrics, move |hook, headers, body| {
            let host = hook.origin.host.to_string();
            notes.lock().unwrap().push(Seen { after: began.elapsed(), host, headers, body });
            let does = script.lock().unwrap().pop_front().unwrap_or(Does::Answer(200));
            Box::pin(async move {
                match does {
                    Does::Answer(status) => Ok(status),
                    Does::Refuse => Err("connection refused".to_owned()),
                    Does::Hang => std::future::pending().await,
                }
            })
        });
        Self { live, metrics, outbox, postman, seen }
    }

    /// Until nothing is under way any more.
    async fn settle(&self) {
        // On a paused clock this takes no time.
        for _ in 0..10_000 {
            sleep(Duration::from_secs(1)).await;
            if self.metrics.webhooks.pending.load(Relaxed) == 0 {
                return;
            }
        }
        panic!("messages are still under way");
    }

    /// Pending, delivered, failed, dropped; failed attempts.
    fn counts(&self) -> (i64, u64, u64, u64, u64) {
        counts(&self.metrics)
    }

    fn hosts(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.host.clone()).collect()
    }
}

fn counts(metrics: &Metrics) -> (i64, u64, u64, u64, u64) {
    let Webhooks { pending, delivered, failed, dropped, attempts_failed } = &metrics.webhooks;
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Relaxed);
    (pending.load(Relaxed), of(delivered), of(failed), of(dropped), of(attempts_failed))
}

#[tokio::test(start_paused = true)]
async fn it_is_told_again_until_it_is_taken() {
    let stage = Stage::new(&[Does::Answer(500), Does::Refuse, Does::Hang, Does::Answer(302), Does::Answer(204)]);
    stage.outbox.tell(warning("core"));
    stage.settle().await;
    assert_eq!(stage.counts(), (0, 1, 0, 0, 4));
    let seen = stage.seen.lock().unwrap();
    let patience = [Duration::ZERO, Duration::ZERO, PATIENCE, Duration::ZERO];
    for (pair, (wait, patience)) in seen.windows(2).zip(WAITS[1..].iter().zip(patience)) {
        let waited = pair[1].after - pair[0].after;
        // The clock goes in milliseconds.
        let most = *wait * 5 / 4 + patience + Duration::from_millis(2);
        assert!(waited >= *wait + patience && waited <= most, "{waited:?}, not {wait:?} to {most:?}");
    }
    let secret = SigningSecret::parse(SECRET).unwrap();
    for attempt in &*seen {
        let [("webhook-id", id), ("webhook-timestamp", at), ("webhook-signature", signature)] = &attempt.headers[..]
        else {
            panic!("{:?}", attempt.headers)
        };
        assert_eq!(*signature, secret.sign(id, at.parse().unwrap(), &attempt.body));
        assert_eq!((id, &attempt.body), (&seen[0].headers[0].1, &seen[0].body), "the same message");
    }
    assert_eq!(seen.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn it_is_given_up_in_the_end() {
    let stage = Stage::new(&[Does::Answer(503); 20]);
    stage.outbox.tell(warning("core"));
    stage.settle().await;
    assert_eq!(stage.counts(), (0, 0, 1, 0, 6));
    assert_eq!(stage.hosts().len(), WAITS.len());
}

#[tokio::test(start_paused = true)]
async fn who_is_gone_is_told_nothing_until_a_reload() {
    let stage = Stage::new(&[Does::Answer(410)]);
    stage.outbox.tell(warning("core"));
    stage.settle().await;
    assert_eq!(stage.counts(), (0, 0, 1, 0, 1), "not told again");
    stage.outbox.tell(warning("edge"));
    stage.settle().await;
    assert_eq!((stage.counts(), stage.hosts().len()), ((0, 0, 1, 1, 1), 1));
    stage.live.publish(to("a.example"));
    stage.outbox.tell(warning("edge"));
    stage.settle().await;
    assert_eq!((stage.counts(), stage.hosts().len()), ((0, 1, 1, 1, 1), 2));
}

#[tokio::test(start_paused = true)]
async fn a_reload_holds_for_what_is_under_way() {
    let stage = Stage::new(&[Does::Answer(500), Does::Answer(500)]);
    stage.outbox.tell(warning("core"));
    sleep(Duration::from_secs(1)).await;
    stage.live.publish(to("b.example"));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.hosts(), ["a.example", "b.example"]);
    stage.live.publish(rules(""));
    stage.settle().await;
    assert_eq!((stage.counts(), stage.hosts().len()), ((0, 0, 0, 1, 2), 2), "nobody is told any more");
}

#[tokio::test(start_paused = true)]
async fn few_attempts_at_one_time() {
    let stage = Stage::new(&[Does::Hang; 6]);
    for n in 0..6 {
        stage.outbox.tell(warning(&n.to_string()));
    }
    sleep(PATIENCE / 2).await;
    assert_eq!(stage.hosts().len(), AT_ONCE);
    sleep(PATIENCE * 2).await;
    // The others had their turn, and the first ones a second one.
    assert!(stage.hosts().len() > 6, "{}", stage.hosts().len());
    stage.settle().await;
    assert_eq!(stage.counts(), (0, 6, 0, 0, 6));
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let metrics = Arc::new(Metrics::default());
    let (outbox, inbox) = Outbox::new(&metrics);
    for n in 0..QUEUE + 3 {
        outbox.tell(warning(&n.to_string()));
    }
    let queued = QUEUE as u64;
    assert_eq!(counts(&metrics), (queued.cast_signed(), 0, 0, 3, 0));
    drop(inbox);
    assert_eq!(counts(&metrics), (0, 0, 0, queued + 3, 0));
    outbox.tell(warning("late"));
    assert_eq!(counts(&metrics), (0, 0, 0, queued + 4, 0));
}

#[tokio::test(start_paused = true)]
async fn however_many_are_told_there_is_a_bound() {
    let stage = Stage::new(&[Does::Hang; 10_000]);
    let most = i64::try_from(MOST + QUEUE).unwrap();
    for n in 0..3_000 {
        stage.outbox.tell(warning(&n.to_string()));
        tokio::task::yield_now().await;
        assert!(stage.counts().0 <= most, "{:?}", stage.counts());
    }
    let (pending, _, _, dropped, _) = stage.counts();
    assert_eq!((pending, dropped), (most, 3_000 - most.cast_unsigned()));
}

#[tokio::test(start_paused = true)]
async fn what_the_end_of_the_process_leaves_is_counted() {
    let stage = Stage::new(&[Does::Answer(500), Does::Hang]);
    for name in ["tried", "under way"] {
        stage.outbox.tell(warning(name));
    }
    sleep(Duration::from_secs(1)).await;
    stage.outbox.tell(warning("not taken up"));
    let Stage { metrics, outbox, postman, .. } = stage;
    postman.finish().await;
    assert_eq!(counts(&metrics), (0, 0, 0, 3, 1));
    outbox.tell(warning("late"));
    assert_eq!(counts(&metrics), (0, 0, 0, 4, 1));
}

//! The memory of names on a paused clock.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::time::{advance, sleep};

use super::*;

const TTL: Duration = Duration::from_secs(30);

/// Each look-up takes 100 ms and brings what the script says, the last of it again and again.
fn scripted(script: &'static [&'static [&'static str]]) -> (Names, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let names = Names::asking(move |_| {
        let turn = count.fetch_add(1, Relaxed).min(script.len() - 1);
        let found = script[turn].iter().map(|ip| ip.parse().unwrap()).collect();
        Box::pin(async move {
            sleep(Duration::from_millis(100)).await;
            found
        })
    });
    (names, asked)
}

async fn ask(names: &Names) -> (String, u128) {
    let start = Instant::now();
    let found = names.addresses("a.example", TTL).await;
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    (found.join(" "), start.elapsed().as_millis())
}

fn said(addresses: &str, after: u128) -> (String, u128) {
    (addresses.to_owned(), after)
}

#[tokio::test(start_paused = true)]
async fn who_asks_at_once_waits_for_one_look_up() {
    let (names, asked) = scripted(&[&["1.0.0.1"]]);
    let (a, b) = tokio::join!(ask(&names), ask(&names));
    assert_eq!((a, b), (said("1.0.0.1", 100), said("1.0.0.1", 100)));
    assert_eq!(ask(&names).await, said("1.0.0.1", 0));
    assert_eq!(asked.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_does_not_begin_a_second_look_up_for_the_next() {
    let (names, asked) = scripted(&[&["1.0.0.1"]]);
    let gave_up = tokio::time::timeout(Duration::from_millis(10), ask(&names)).await;
    assert!(gave_up.is_err());
    assert_eq!(ask(&names).await, said("1.0.0.1", 90));
    assert_eq!(asked.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_used_while_a_new_one_is_looked_up() {
    let (names, asked) = scripted(&[&["1.0.0.1"], &["1.0.0.2"]]);
    ask(&names).await;
    advance(TTL).await;
    assert_eq!(ask(&names).await, said("1.0.0.1", 0));
    sleep(Duration::from_millis(101)).await;
    assert_eq!(ask(&names).await, said("1.0.0.2", 0));
    assert_eq!(asked.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_very_old_answer_is_used_only_if_there_is_no_new_one() {
    let (names, _) = scripted(&[&["1.0.0.1"], &["1.0.0.2"], &[]]);
    ask(&names).await;
    advance(TTL + STALE).await;
    assert_eq!(ask(&names).await, said("1.0.0.2", 100));
    advance(TTL + STALE).await;
    assert_eq!(ask(&names).await, said("1.0.0.2", 100), "the resolver is gone");
    assert_eq!(ask(&names).await, said("1.0.0.2", 0), "and is not asked again at once");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_unknown_is_asked_for_again() {
    let (names, asked) = scripted(&[&[], &["1.0.0.1"]]);
    assert_eq!(ask(&names).await, said("", 100));
    assert_eq!(ask(&names).await, said("1.0.0.1", 100));
    assert_eq!(asked.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_to_connect_a_fresh_answer_is_not_doubted() {
    let (names, asked) = scripted(&[&["1.0.0.1"], &["1.0.0.2"]]);
    ask(&names).await;
    assert_eq!(&*names.again("a.example", TTL).await, ["1.0.0.1".parse::<IpAddr>().unwrap()]);
    advance(RETRY).await;
    assert_eq!(&*names.again("a.example", TTL).await, ["1.0.0.2".parse::<IpAddr>().unwrap()]);
    assert_eq!(asked.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded() {
    let (names, _) = scripted(&[&["1.0.0.1"]]);
    let waiting: Vec<_> = (0..=MOST_HOSTS)
        .map(|n| {
            let names = names.clone();
            async move { names.addresses(&format!("{n}.example"), TTL).await.len() }
        })
        .collect();
    let mut found = 0;
    for ask in waiting {
        found += ask.await;
    }
    assert_eq!(found, MOST_HOSTS + 1);
    assert_eq!(names.hosts().len(), MOST_HOSTS);
}

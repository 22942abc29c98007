//! A hundred thousand keys in ten thousand teams, all with budgets: how long they take to be read, and that nobody notices.
//!
//! `TOLLGATE_KEYS=100000` makes it as large as that (default 5,000). How long a reload may take is asserted leniently: what is
//! built for tests is an order of magnitude slower than what is shipped.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use crate::client::{self, Asked};
use crate::gateway::{Gateway, KEY, config};
use crate::number;
use crate::provider::{Reply, provider};

fn tables(mock: std::net::SocketAddr, keys: u64, cap: &str) -> String {
    let mut text = format!(
        "[[provider]]\nname = 'p'\nspeaks = ['chat']\nbase_url = 'http://{mock}'\n[[model]]\nname = 'm'\nprovider = 'p'\n\
         [[price]]\nmodel = 'm'\ninput = 1\noutput = 10\n\
         [[key]]\nname = 'k'\nteam = 'team-0'\nsecret = {{ env = 'KEY' }}\nbudgets = [{{ dollars = '{cap}', per = 'month' }}]\n\
         [[organisation]]\nname = 'g'\nbudgets = [{{ dollars = 1000000, per = 'month' }}]\n"
    );
    for team in 0..keys / 10 {
        let _ = write!(
            text,
            "[[team]]\nname = 'team-{team}'\norganisation = 'g'\nbudgets = [{{ dollars = 500, per = 'month' }}]\n\
             limits = [{{ requests = 1000, per = '1m' }}]\n"
        );
    }
    for key in 0..keys {
        let (team, digest) = (key % (keys / 10), key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let _ = write!(
            text,
            "[[key]]\nname = 'key-{key}'\nowner = 'owner-{key}'\nteam = 'team-{team}'\nsha256 = '{digest:016x}{key:048x}'\n\
             budgets = [{{ dollars = 50, per = 'day' }}]\n"
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_are_read_soon_and_cost_no_request_anything() {
    let usage = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":10}}"#;
    let mock = provider(|_| Reply::json(200, usage.to_owned())).await;
    let keys = number("TOLLGATE_KEYS", 5_000);
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let gateway = Gateway::start(dir.path(), &tables(mock, keys, "100")).await;
    println!("{keys} keys: it serves after {:?}", begun.elapsed());
    let asked = Asked {
        path: "/v1/chat/completions".to_owned(),
        headers: vec![format!("authorization: Bearer {KEY}")],
        body: r#"{"model":"m","max_completion_tokens":20,"messages":[]}"#.to_owned(),
        leaves_after: None,
    };
    let calls = async || {
        let begun = Instant::now();
        for _ in 0..200 {
            assert_eq!(client::ask(gateway.address, &asked).await.status, 200);
        }
        begun.elapsed() / 200
    };
    println!("a call takes {:?}", calls().await);
    fs::write(dir.path().join("tollgate.toml"), config(&tables(mock, keys, "200"))).unwrap();
    let begun = Instant::now();
    let answer = client::post_page(gateway.admin, "/reload").await;
    let took = begun.elapsed();
    println!("reloaded in {took:?}: {answer}");
    println!("a call takes {:?}", calls().await);
    // What was spent stays spent: 400 calls of 110 micro-dollars.
    fs::write(dir.path().join("tollgate.toml"), config(&tables(mock, keys, "0.044"))).unwrap();
    client::post_page(gateway.admin, "/reload").await;
    assert_eq!(client::ask(gateway.address, &asked).await.status, 402);
    assert!(took < Duration::from_micros(200) * u32::try_from(keys).unwrap() + Duration::from_secs(1), "{took:?}");
}

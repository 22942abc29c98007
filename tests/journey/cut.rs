//! Streams that turn out dearer than what is held for them: more is held, and where nothing is free they are cut.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tollgate::error::limit::Level;
use tollgate::ledger::record::{End, Flags};
use tollgate::money::Pico;

use super::book::{Book, Entry, Journaled};
use super::scripted::{Act, Gateway, RULES, Step, post, read};
use super::{BLOCK, DELTA, START, STOP};

/// A dollar for a million tokens of a prompt, ten for one of an answer.
const PRICE: &str = "[[price]]\ninput = 1\noutput = 10\ncache_read = 0.1\n";
/// As many events as a stream of these tests has before its end; each has fifty tokens.
const EVENTS: usize = 200;

fn rules(budgets: &str) -> String {
    format!("{RULES}\nbudgets = [{budgets}]\n{PRICE}")
}

/// An event of one's dialect with about fifty tokens of text.
fn event(path: &str) -> String {
    let text = "ten ".repeat(50);
    let data = match path {
        "/v1/messages" => {
            return format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
            );
        }
        "/v1/chat/completions" => {
            format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#)
        }
        "/v1/responses" => format!(r#"{{"type":"response.output_text.delta","delta":"{text}"}}"#),
        _ => format!(r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"{text}"}}]}}}}]}}"#),
    };
    format!("data: {data}\n\n")
}

fn stream(events: impl IntoIterator<Item = String>) -> Act {
    let frames = events.into_iter().map(|event| Step::Data(Bytes::from(event))).collect();
    Act::Answer { status: 200, kind: "text/event-stream", frames }
}

fn long(path: &str) -> Act {
    let (before, after): (&[&str], &[&str]) = match path {
        "/v1/messages" => (&[START, BLOCK], &[DELTA, STOP]),
        "/v1/chat/completions" => (&[], &["data: [DONE]\n\n"]),
        "/v1/responses" => (&[], &["data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n"]),
        _ => (&[], &["data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n"]),
    };
    let owned = |events: &[&str]| events.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>();
    let middle = std::iter::repeat_n(event(path), EVENTS);
    stream(owned(before).into_iter().chain(middle).chain(owned(after)))
}

fn ask(path: &str) -> http::Request<super::Upload> {
    match path {
        "/v1/responses" => post(path, r#"{"model":"m","stream":true,"input":"hi"}"#),
        "/v1/messages" | "/v1/chat/completions" => {
            post(path, r#"{"model":"m","stream":true,"max_tokens":50000,"messages":[]}"#)
        }
        _ => post(path, r#"{"contents":[]}"#),
    }
}

const PATHS: [&str; 4] =
    ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1beta/models/m:streamGenerateContent?alt=sse"];

fn spent(gateway: &Gateway) -> (Pico, Pico) {
    let account = gateway.core.ledger.accounts.account(Level::Key, &Arc::from("dev"));
    let now = gateway.core.ledger.at(std::time::Instant::now(), tollgate::telemetry::clock::since_epoch());
    let state = account.budgets(now).remove(0);
    (state.spent, state.held)
}

#[tokio::test]
async fn a_stream_is_cut_where_its_budget_ends_and_the_next_call_hears_why() {
    for path in PATHS {
        // A thousand tokens, which are twenty of its events.
        let gateway = Gateway::with(&rules(r#"{ dollars = "0.01", per = "total" }"#), vec![long(path)], 1);
        let answer = gateway.ask(ask(path)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let (body, whole) = read(answer.into_body()).await;
        let text = String::from_utf8(body).unwrap();
        let passed = text.matches(&"ten ".repeat(50)).count();
        assert!((18..=24).contains(&passed), "{path}: {passed} events");
        let gemini = path.contains("Gemini") || path.contains("v1beta");
        assert_eq!(whole, gemini, "{path}: it breaks, so that the agent asks again");
        assert_eq!(text.contains("a budget was used up"), gemini, "{path}");
        assert_eq!(gateway.stage.cancelled.load(Relaxed), 1, "{path}: nobody goes on paying");
        let (spent, held) = spent(&gateway);
        let cap = Pico::new(10_000_000_000);
        assert!(spent >= cap.saturating_sub(Pico::new(cap.pico() / 10)), "{path}: {spent}");
        assert!(spent <= cap.saturating_add(Pico::new(cap.pico() / 10)), "{path}: {spent}");
        assert_eq!(held, Pico::ZERO, "{path}");
        let page = gateway.core.metrics.render();
        assert!(page.contains("outcome=\"budget_cut\"} 1"), "{path}\n{page}");

        let refused = gateway.ask(ask(path)).await;
        assert!(matches!(refused.status().as_u16(), 402 | 403), "{path}: {}", refused.status());
        let (body, _) = read(refused.into_body()).await;
        assert!(String::from_utf8(body).unwrap().contains("the budget of key 'dev'"), "{path}");
        assert_eq!(gateway.attempts().len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_stream_that_its_budget_can_pay_holds_more_and_passes() {
    for (budgets, path) in [
        (r#"{ dollars = "1", per = "day" }"#, PATHS[0]),
        (r#"{ dollars = "1", per = "day" }"#, PATHS[1]),
        // The ceiling was held from the start.
        (r#"{ dollars = "1", per = "day", mode = "strict" }"#, PATHS[0]),
        (r#"{ dollars = "0.6", per = "day", mode = "strict" }, { dollars = "0.5", per = "5h" }"#, PATHS[1]),
    ] {
        let gateway = Gateway::with(&rules(budgets), vec![long(path)], 1);
        let (_, whole) = read(gateway.ask(ask(path)).await.into_body()).await;
        assert!(whole, "{path} {budgets}");
        assert_eq!(spent(&gateway).1, Pico::ZERO, "{path} {budgets}");
    }
}

/// What nobody has counted yet may have been cached, and nobody is cut for what he may not owe.
#[tokio::test]
async fn a_prompt_that_is_not_counted_yet_cuts_nobody() {
    let path = PATHS[1];
    let prompt = "word ".repeat(20_000);
    let body = format!(
        r#"{{"model":"m","stream":true,"max_tokens":900,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    );
    let events = std::iter::repeat_n(event(path), 15).chain([
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20000,\"completion_tokens\":750,\"prompt_tokens_details\":{\"cached_tokens\":20000}}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]);
    let budgets = r#"{ dollars = "0.02", per = "day" }"#;
    let gateway = Gateway::with(&rules(budgets), vec![stream(events)], 1);
    let answer = gateway.ask(post(path, body)).await;
    assert_eq!(answer.status(), 200);
    assert!(read(answer.into_body()).await.1, "its prompt alone would cost more than there is, were it not cached");
    assert_eq!(spent(&gateway).0, Pico::new(2_000_000_000 + 7_500_000_000));
}

#[tokio::test]
async fn a_long_stream_is_noted_now_and_then_so_that_a_crash_does_not_forget_it() {
    let path = PATHS[0];
    for (budgets, want) in [("", End::Complete), (r#"{ dollars = "0.05", per = "day" }"#, End::Cut)] {
        let journaled = Journaled::with(&rules(budgets), vec![long(path)], 1);
        read(journaled.gateway.ask(ask(path)).await.into_body()).await;
        let Book { notes, finals, attempts } = journaled.read();
        assert!(finals.len() == 1 && attempts.is_empty(), "{finals:?}");
        let Entry { cost, end, flags, .. } = finals[0];
        assert_eq!(end, want);
        assert_eq!(flags.has(Flags::CUT_BY_BUDGET), end == End::Cut);
        assert_eq!(flags.has(Flags::ESTIMATED), end == End::Cut);
        assert!((2..=6).contains(&notes.len()), "{notes:?}");
        assert!(notes.is_sorted() && notes[0].1 > 0, "{notes:?}");
        if end == End::Cut {
            assert!(notes.iter().all(|(noted, _)| *noted <= cost), "{notes:?} {cost}");
        }
    }
}

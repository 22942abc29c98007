//! What a call may cost beyond the tokens of its text: tools of the provider, images, price classes.

use std::sync::Arc;

use tollgate::error::limit::Level;
use tollgate::money::Pico;

use super::scripted::{Gateway, RULES, json, post, read};

const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";
const GEMINI: &str = "/v1beta/models/m:generateContent";
/// A dollar for a million tokens of a prompt, ten for one of an answer; twice that with priority.
const PRICE: &str = "[[price]]\ninput = 1\noutput = 10\npriority = { input = 2, output = 20 }\n";

fn rules(budgets: &str, price: &str) -> String {
    format!("{RULES}\nbudgets = [{budgets}]\n{price}")
}

fn spent(gateway: &Gateway) -> Pico {
    let account = gateway.core.ledger.accounts.account(Level::Key, &Arc::from("dev"));
    let now = gateway.core.ledger.at(std::time::Instant::now(), tollgate::telemetry::clock::since_epoch());
    account.budgets(now).remove(0).spent
}

fn with_tools(path: &str, tools: &str) -> String {
    match path {
        GEMINI => format!(r#"{{"contents":[],"tools":[{tools}]}}"#),
        RESPONSES => format!(r#"{{"model":"m","input":"hi","max_output_tokens":100,"tools":[{tools}]}}"#),
        _ => format!(r#"{{"model":"m","max_tokens":100,"messages":[],"tools":[{tools}]}}"#),
    }
}

#[tokio::test]
async fn a_tool_that_nobody_has_a_price_for_is_never_free_under_a_budget() {
    let day = r#"{ dollars = "5", per = "day" }"#;
    let mine =
        format!("{PRICE}tools = {{ web_search = 0.01, code_execution = {{ per_answer = 0.05 }}, other_tools = 1 }}\n");
    for (path, tool, refused, name) in [
        (MESSAGES, r#"{"type":"code_execution_20250825","name":"c"}"#, true, "code_execution"),
        (MESSAGES, r#"{"type":"web_search_20250305","name":"w"}"#, true, "web_search"),
        (MESSAGES, r#"{"type":"telepathy_20300101","name":"t"}"#, true, "other_tools"),
        (MESSAGES, r#"{"name":"Bash","input_schema":{}}"#, false, ""),
        (RESPONSES, r#"{"type":"code_interpreter","container":{"type":"auto"}}"#, true, "code_execution"),
        (RESPONSES, r#"{"type":"function","name":"f"}"#, false, ""),
        (GEMINI, r#"{"googleSearch":{}}"#, true, "web_search"),
        (GEMINI, r#"{"functionDeclarations":[]}"#, false, ""),
        // Costs what its tokens cost.
        (GEMINI, r#"{"urlContext":{}}"#, false, ""),
    ] {
        let answer = || vec![json(200, r#"{"usage":{"input_tokens":1,"output_tokens":1}}"#)];
        let gateway = Gateway::with(&rules(day, PRICE), answer(), 1);
        let got = gateway.ask(post(path, with_tools(path, tool))).await;
        assert_eq!(got.status() == 403, refused, "{tool}: {}", got.status());
        if refused {
            let (body, _) = read(got.into_body()).await;
            let body = String::from_utf8(body).unwrap();
            assert!(body.contains(&format!("the tool '{name}' has no price")), "{tool}: {body}");
            assert!(gateway.attempts().is_empty(), "{tool}");
        }
        for (rules, why) in [(rules(day, &mine), "it has a price"), (rules("", PRICE), "nobody's budget pays it")] {
            let gateway = Gateway::with(&rules, answer(), 1);
            assert_eq!(gateway.ask(post(path, with_tools(path, tool))).await.status(), 200, "{tool}: {why}");
        }
    }
}

#[tokio::test]
async fn uses_of_tools_are_in_the_cost() {
    let mine = format!("{PRICE}tools = {{ web_search = 0.01, code_execution = {{ per_answer = 0.05 }} }}\n");
    let told = r#"{"usage":{"input_tokens":1000,"output_tokens":100,"server_tool_use":{"web_search_requests":3,"code_execution_requests":2}}}"#;
    let gateway = Gateway::with(&rules(r#"{ dollars = "5", per = "day" }"#, &mine), vec![json(200, told)], 1);
    let tools = r#"{"type":"web_search_20250305","max_uses":4},{"type":"code_execution_20250825"}"#;
    read(gateway.ask(post(MESSAGES, with_tools(MESSAGES, tools))).await.into_body()).await;
    assert_eq!(spent(&gateway), "0.082".parse().unwrap(), "0.001 and 0.001 for tokens, 0.03 for searches, 0.05 once");
}

/// With a strict budget a call begins if the most that it can cost is free, and not otherwise.
async fn begins(body: &str, dollars: &str) -> bool {
    let mine = format!("{PRICE}tools = {{ web_search = 0.01 }}\n");
    let strict = format!(r#"{{ dollars = "{dollars}", per = "day", mode = "strict" }}"#);
    let answer = json(200, r#"{"usage":{"input_tokens":1,"output_tokens":1}}"#);
    let gateway = Gateway::with(&rules(&strict, &mine), vec![answer], 1);
    let path = if body.contains("max_output_tokens") { RESPONSES } else { MESSAGES };
    let status = gateway.ask(post(path, body.to_owned())).await.status().as_u16();
    assert!(matches!(status, 200 | 402), "{body}: {status}");
    status == 200
}

#[tokio::test]
async fn the_ceiling_holds_what_tools_images_and_tiers_may_cost() {
    let search = r#"{"type":"web_search_20250305","max_uses":8}"#;
    let open = r#"{"type":"web_search"}"#;
    let image = |source: &str| {
        let block = format!(r#"{{"type":"image","source":{source}}}"#);
        format!(
            r#"{{"model":"m","max_tokens":100,"service_tier":"standard_only","messages":[{{"role":"user","content":[{block}]}}]}}"#
        )
    };
    let tier =
        |tier: &str| format!(r#"{{"model":"m","max_output_tokens":10000,"service_tier":"{tier}","input":"hi"}}"#);
    for (name, body, least, enough) in [
        // A hundred tokens come out, at most as many as it has bytes go in.
        ("text", with_tools(MESSAGES, ""), "0.001", "0.003"),
        // The prompt may grow to all that any model takes, 2^20 tokens; priority is not ruled out.
        ("eight searches", with_tools(MESSAGES, search), "2.17", "2.19"),
        ("searches without a bound", with_tools(RESPONSES, open), "2.7", "2.8"),
        ("an image by its address", image(r#"{"type":"url","url":"https://x.test/i.png"}"#), "1.04", "1.06"),
        ("an image in it", image(r#"{"type":"base64","media_type":"image/png","data":"AAAA"}"#), "1.04", "1.06"),
        ("no priority", tier("default"), "0.09", "0.11"),
        ("priority", tier("priority"), "0.19", "0.21"),
        ("as the account has it", tier("auto"), "0.19", "0.21"),
    ] {
        assert!(!begins(&body, least).await, "{name}: {least} is not enough");
        assert!(begins(&body, enough).await, "{name}: {enough} is enough");
    }
}

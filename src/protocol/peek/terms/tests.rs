//! Tests of what changes a price: read the same at any chunk borders.

use super::super::Peek;
use super::*;
use crate::error::BodyError;
use crate::protocol::Endpoint;

fn peek(endpoint: Endpoint, frames: &[&[u8]]) -> Result<Terms, BodyError> {
    let mut peek = Peek::new(endpoint);
    frames.iter().try_for_each(|frame| peek.feed(frame))?;
    Ok(peek.finish()?.terms)
}

#[track_caller]
fn terms(endpoint: Endpoint, body: &str) -> Terms {
    let whole = peek(endpoint, &[body.as_bytes()]);
    for at in 0..body.len() {
        let (head, tail) = body.as_bytes().split_at(at);
        assert_eq!(peek(endpoint, &[head, tail]), whole, "{body} cut at {at}");
    }
    let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(peek(endpoint, &bytes), whole, "{body} byte by byte");
    whole.unwrap_or_else(|error| panic!("{body}: {error:?}"))
}

/// So many uses of one tool after another, where a tool that says nothing may be used nine times.
#[track_caller]
fn uses(endpoint: Endpoint, body: &str, want: [u32; 7]) {
    let usage = terms(endpoint, body).tools.usage(9);
    let Usage { web_search, web_fetch, map_search, file_search, code_execution, image_generation, other_tools, .. } =
        usage;
    let got = [web_search, web_fetch, map_search, file_search, code_execution, image_generation, other_tools];
    assert_eq!(got, want, "{body}");
}

#[test]
fn anthropics_tools() {
    let of = |tools: &str| format!(r#"{{"model":"m","tools":[{tools}],"messages":[],"max_tokens":1}}"#);
    for (tools, want) in [
        ("", [0; 7]),
        (
            r#"{"name":"Bash","description":"d","input_schema":{"type":"object","properties":{"type":{"type":"web_search_1"}}}}"#,
            [0; 7],
        ),
        (
            r#"{"type":"custom","name":"x"},{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728"}"#,
            [0; 7],
        ),
        (
            r#"{"type":"tool_search_tool_bm25_20251119","name":"s"},{"type":"memory_20250818"},{"type":"computer_toolset_20260801"}"#,
            [0; 7],
        ),
        (r#"{"type":"web_search_20250305","name":"web_search","max_uses":8}"#, [8, 0, 0, 0, 0, 0, 0]),
        (r#"{"name":"web_search","max_uses": 8 , "type" : "web_search_20250305"}"#, [8, 0, 0, 0, 0, 0, 0]),
        (r#"{"type":"web_search_20250305","name":"web_search"}"#, [9, 0, 0, 0, 0, 0, 0]),
        (r#"{"type":"web_search_20250305","max_uses":null}"#, [9, 0, 0, 0, 0, 0, 0]),
        (
            r#"{"type":"web_search_20250305","max_uses":2},{"type":"web_fetch_20250910","max_uses":3}"#,
            [3, 3, 0, 0, 0, 0, 0],
        ),
        (r#"{"type":"web_search_20250305","max_uses":2},{"type":"code_execution_20250825"}"#, [9, 0, 0, 0, 9, 0, 0]),
        (r#"{"type":"telepathy_20301224"}"#, [0, 0, 0, 0, 0, 0, 9]),
        (r#"{"type":"web\u005fsearch_20250305"}"#, [0, 0, 0, 0, 0, 0, 9]),
        (r#"{"t\u0079pe":"web_search_20250305"}"#, [9, 0, 0, 0, 0, 0, 0]),
        (r#"{"type":17}"#, [0, 0, 0, 0, 0, 0, 9]),
        (r#"{"type":null,"name":"x"}"#, [0; 7]),
    ] {
        uses(Endpoint::Messages, &of(tools), want);
    }
    let elsewhere =
        r#"{"model":"m","messages":[{"type":"web_search_20250305","max_uses":4}],"tools":[],"max_tokens":1}"#;
    uses(Endpoint::Messages, elsewhere, [0; 7]);
}

#[test]
fn openais_tools() {
    let of = |tools: &str| format!(r#"{{"model":"m","input":[{{"type":"web_search_call","id":"w"}}],{tools}}}"#);
    for (body, want) in [
        (
            r#""tools":[{"type":"function","name":"x","parameters":{"type":"web_search"}},{"type":"custom"},{"type":"tool_search"}]"#,
            [0; 7],
        ),
        (r#""tools":[{"type":"web_search","external_web_access":true}]"#, [9, 0, 0, 0, 0, 0, 0]),
        (r#""tools":[{"type":"web_search_preview_2025_03_11"}],"max_tool_calls":3"#, [3, 0, 0, 0, 0, 0, 0]),
        (
            r#""max_tool_calls":20,"tools":[{"type":"file_search","vector_store_ids":["v"]},{"type":"code_interpreter"}]"#,
            [0, 0, 0, 9, 9, 0, 0],
        ),
        (r#""tools":[{"type":"image_generation"},{"type":"mcp"},{"type":"shell"}]"#, [0, 0, 0, 0, 9, 9, 0]),
        (r#""tools":[{"type":"oracle"}]"#, [0, 0, 0, 0, 0, 0, 9]),
    ] {
        uses(Endpoint::Responses, &of(body), want);
    }
    assert!(!terms(Endpoint::Responses, &of(r#""tools":[{"type":"mcp","server_label":"x"}]"#)).tools.is_empty());
    for (body, want) in [
        (r#"{"model":"m","tools":[{"type":"function","function":{"name":"x"}}]}"#, [0; 7]),
        (r#"{"model":"m","web_search_options":{"search_context_size":"low"}}"#, [9, 0, 0, 0, 0, 0, 0]),
        (r#"{"model":"m","web_search_options":null}"#, [0; 7]),
        (r#"{"model":"m","tools":[{"type":"browser_search"}]}"#, [0, 0, 0, 0, 0, 0, 9]),
    ] {
        uses(Endpoint::ChatCompletions, body, want);
    }
}

#[test]
fn geminis_tools() {
    for (body, want, any) in [
        (r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"googleSearch"}]}]}"#, [0; 7], false),
        (r#"{"tools":[{"googleSearch":{}}]}"#, [9, 0, 0, 0, 0, 0, 0], true),
        (r#"{"tools":[{"functionDeclarations":[]},{"google_maps":{}}]}"#, [0, 0, 9, 0, 0, 0, 0], true),
        (r#"{"tools":[{"urlContext":{}},{"codeExecution":{}}]}"#, [0; 7], true),
        (r#"{"contents":[{"googleSearch":{}}]}"#, [0; 7], false),
    ] {
        uses(Endpoint::Generate, body, want);
        assert_eq!(!terms(Endpoint::Generate, body).tools.is_empty(), any, "{body}");
    }
}

#[test]
fn the_price_class_that_is_asked_for() {
    for (endpoint, field, tier, fast, us) in [
        (Endpoint::Messages, r#""service_tier":"auto""#, Tier::Unsaid, false, None),
        (
            Endpoint::Messages,
            r#""service_tier":"standard_only","speed":"fast","inference_geo":"us""#,
            Tier::Standard,
            true,
            Some(true),
        ),
        (Endpoint::Messages, r#""speed":"standard","inference_geo":"global""#, Tier::Unsaid, false, Some(false)),
        (Endpoint::Messages, r#""speed":null,"inference_geo":null,"service_tier":null"#, Tier::Unsaid, false, None),
        (Endpoint::ChatCompletions, r#""service_tier":"default""#, Tier::Standard, false, None),
        (Endpoint::Responses, r#""service_tier":"priority","speed":"fast""#, Tier::Priority, false, None),
        (Endpoint::Responses, r#""service_tier":"ultrafast""#, Tier::Other, false, None),
        (Endpoint::Generate, r#""serviceTier":"flex""#, Tier::Flex, false, None),
        (Endpoint::ChatCompletions, r#""serviceTier":"flex""#, Tier::Unsaid, false, None),
    ] {
        let got = terms(endpoint, &format!(r#"{{"model":"m",{field},"max_tokens":5}}"#));
        assert_eq!((got.tier, got.fast, got.us), (tier, fast, us), "{field}");
    }
    let twice = r#"{"model":"m","service_tier":"default","service_tier":"priority"}"#;
    assert!(peek(Endpoint::Responses, &[twice.as_bytes()]).is_err(), "nobody knows which one is billed");
}

#[test]
fn what_is_no_text() {
    let image = r#"{"type":"image","source":{"type":"url","url":"https://x.test/a.png"}}"#;
    for (endpoint, body, want) in [
        (Endpoint::Messages, format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{image}]}}]}}"#), true),
        (
            Endpoint::Messages,
            r#"{"model":"m","messages":[{"role":"user","content":"source"}],"tools":[]}"#.to_owned(),
            false,
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"data:"}}]}]}"#.to_owned(),
            true,
        ),
        (
            Endpoint::Responses,
            r#"{"model":"m","input":[{"content":[{"type":"input_file","file_url":"https://x.test"}]}]}"#.to_owned(),
            true,
        ),
        (
            Endpoint::Responses,
            r#"{"model":"m","input":[{"content":[{"type":"input_text","text":"image_url"}]}]}"#.to_owned(),
            false,
        ),
        (
            Endpoint::Generate,
            r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"A"}}]}]}"#.to_owned(),
            true,
        ),
        (
            Endpoint::Generate,
            r#"{"contents":[{"parts":[{"file_data":{"file_uri":"https://youtu.be/x"}}]}]}"#.to_owned(),
            true,
        ),
        (Endpoint::Generate, r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#.to_owned(), false),
    ] {
        assert_eq!(terms(endpoint, &body).media, want, "{body}");
    }
}

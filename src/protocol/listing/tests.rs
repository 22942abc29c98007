//! Shapes and pages.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parsed(body: Result<Bytes, Error>) -> Value {
    serde_json::from_slice(&body.unwrap()).unwrap()
}

#[track_caller]
fn refused(dialect: Dialect, query: &str, field: &str) {
    match models(dialect, ["a", "b"], Some(query)) {
        Err(Error::Body(BodyError::FieldInvalid { field: name, .. })) => assert_eq!(name, field, "{query}"),
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn whole_lists() {
    let ids = ["claude-x", "b\"\\/ö"];
    let entry = |id| json!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"});
    assert_eq!(
        parsed(models(Dialect::Anthropic, ids, Some("limit=1000"))),
        json!({"data": [entry(ids[0]), entry(ids[1])], "has_more": false, "first_id": ids[0], "last_id": ids[1]})
    );
    let entry = |id| json!({"id": id, "object": "model", "created": 0, "owned_by": "tollgate"});
    for dialect in [Dialect::Chat, Dialect::Responses] {
        assert_eq!(
            parsed(models(dialect, ids, Some("limit=1"))),
            json!({"object": "list", "data": [entry(ids[0]), entry(ids[1])]})
        );
    }
    let entry = |id| {
        let methods = ["generateContent", "countTokens"];
        json!({"name": format!("models/{id}"), "displayName": id, "supportedGenerationMethods": methods})
    };
    assert_eq!(parsed(models(Dialect::Gemini, ids, None)), json!({"models": [entry(ids[0]), entry(ids[1])]}));
}

#[test]
fn empty_lists() {
    assert_eq!(
        parsed(models(Dialect::Anthropic, [], None)),
        json!({"data": [], "has_more": false, "first_id": null, "last_id": null})
    );
    assert_eq!(parsed(models(Dialect::Chat, [], None)), json!({"object": "list", "data": []}));
    assert_eq!(parsed(models(Dialect::Gemini, [], None)), json!({"models": []}));
}

#[test]
fn one_model_is_an_entry_of_the_list() {
    for (dialect, list) in [(Dialect::Anthropic, "data"), (Dialect::Chat, "data"), (Dialect::Gemini, "models")] {
        let whole = parsed(models(dialect, ["a/b"], None));
        assert_eq!(parsed(model(dialect, "a/b")), whole[list][0], "{}", dialect.name());
    }
}

#[test]
fn pages_of_anthropic() {
    let rows = [
        ("limit=2", "ab", true),
        ("limit=2&after_id=b", "cd", true),
        ("limit=2&after_id=d", "e", false),
        ("after_id=e", "", false),
        ("limit=5", "abcde", false),
        ("limit=&after_id=&before_id=", "abcde", false),
        ("limit=2&before_id=e", "cd", true),
        ("limit=2&before_id=c", "ab", false),
        ("before_id=a", "", false),
        ("after_id=%62", "cde", false),
    ];
    for (query, ids, has_more) in rows {
        let page = parsed(models(Dialect::Anthropic, ["a", "b", "c", "d", "e"], Some(query)));
        let found: String = page["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
        assert_eq!((&*found, page["has_more"].as_bool()), (ids, Some(has_more)), "{query}");
        let end = |n: Option<char>| n.map_or(Value::Null, |c| Value::from(c.to_string()));
        assert_eq!((&page["first_id"], &page["last_id"]), (&end(ids.chars().next()), &end(ids.chars().last())));
    }
    let many: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let page = parsed(models(Dialect::Anthropic, many.iter().map(String::as_str), None));
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (20, &Value::Bool(true)));
}

#[test]
fn positions_and_sizes_that_are_none() {
    for query in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=99999999999999999999"] {
        refused(Dialect::Anthropic, query, "limit");
    }
    refused(Dialect::Anthropic, "after_id=z", "after_id");
    refused(Dialect::Anthropic, "before_id=z", "before_id");
    refused(Dialect::Anthropic, "before_id=b&after_id=a", "before_id");
    refused(Dialect::Gemini, "pageSize=0", "pageSize");
    refused(Dialect::Gemini, "pageSize=ten", "pageSize");
    refused(Dialect::Gemini, "pageToken=z", "pageToken");
    assert!(models(Dialect::Gemini, ["a"], Some("pageSize=5000")).is_ok());
}

proptest! {
    /// Whoever follows the pages meets every model once, in order.
    #[test]
    fn pages_add_up(count in 0_usize..40, size in 1_usize..12) {
        let all: Vec<String> = (0..count).map(|n| format!("m/{n}")).collect();
        let ids = || all.iter().map(String::as_str);

        let (mut seen, mut query) = (Vec::new(), format!("pageSize={size}"));
        loop {
            let page = parsed(models(Dialect::Gemini, ids(), Some(&query)));
            let names = page["models"].as_array().unwrap().iter().map(|m| m["displayName"].as_str().unwrap().to_owned());
            seen.extend(names);
            let Some(token) = page["nextPageToken"].as_str() else { break };
            query = format!("pageSize={size}&pageToken={}", token.replace('/', "%2F"));
        }
        prop_assert_eq!(&seen, &all);

        let (mut seen, mut query) = (Vec::new(), format!("limit={size}"));
        loop {
            let page = parsed(models(Dialect::Anthropic, ids(), Some(&query)));
            seen.extend(page["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()));
            if page["has_more"] == false { break }
            query = format!("limit={size}&after_id={}", page["last_id"].as_str().unwrap());
        }
        prop_assert_eq!(&seen, &all);
    }
}

//! Spellings that arrive, and what they mean.

use proptest::prelude::*;

use super::*;
use Dialect::{Anthropic, Chat, Gemini, Responses};

fn bare() -> Fields {
    Fields::default()
}

fn with(name: &str) -> Fields {
    let mut fields = bare();
    fields.push(name, b"x");
    fields
}

#[track_caller]
fn locates(method: &Method, path: &str, endpoint: Endpoint, dialect: Dialect) {
    match locate(method, path, &bare()) {
        Ok(found) => assert_eq!((found.endpoint, found.dialect), (endpoint, dialect), "{method} {path}"),
        Err(e) => panic!("{method} {path}: {e:?}"),
    }
}

#[test]
fn spellings_of_calls() {
    let rows: &[(Endpoint, Dialect, &[&str])] = &[
        (
            Endpoint::Messages,
            Anthropic,
            &[
                "/v1/messages",
                "/messages",
                "/v1/messages/",
                "//v1//messages",
                "/v1/v1/messages",
                "/anthropic/v1/messages",
                "/anthropic/messages",
                "/anthropic/v1/v1/messages",
                "/v1/anthropic/v1/messages",
                "/t/team-a/v1/messages",
                "/t/team-a/anthropic/v1/messages",
                "/anthropic/t/team-a/v1/messages",
                "/t/team-a/t/team-a/v1/messages",
                "/v1/messages/v1/messages",
                "/anthropic/v1/messages/v1/messages/",
                "/v1/messages/messages",
            ],
        ),
        (
            Endpoint::CountTokens,
            Anthropic,
            &[
                "/v1/messages/count_tokens",
                "/messages/count_tokens",
                "/v1/v1/messages/count_tokens",
                "/anthropic/v1/messages/count_tokens/",
                "/v1/messages/v1/messages/count_tokens",
            ],
        ),
        (
            Endpoint::ChatCompletions,
            Chat,
            &[
                "/v1/chat/completions",
                "/chat/completions",
                "/openai/chat/completions",
                "/openai/v1/chat/completions",
                "/v1/v1/chat/completions",
                "/v1beta/openai/chat/completions",
                "/t/team-a/openai/v1/chat/completions/",
                "/v1/chat/completions/chat/completions",
                "///chat//completions//",
            ],
        ),
        (
            Endpoint::Responses,
            Responses,
            &[
                "/v1/responses",
                "/responses",
                "/openai/responses",
                "/openai/v1/responses",
                "/openai/v1/v1/responses",
                "/backend-api/codex/responses",
                "/backend-api/codex/v1/responses",
                "/t/team-a/responses",
                "/v1/responses/responses",
                "/v1/responses/",
            ],
        ),
        (
            Endpoint::Embeddings,
            Chat,
            &[
                "/v1/embeddings",
                "/embeddings/",
                "/openai/v1/embeddings",
                "/v1/v1/embeddings",
                "/v1beta/openai/embeddings",
                "/t/team-a/v1/embeddings/v1/embeddings",
            ],
        ),
        (
            Endpoint::Compact,
            Responses,
            &[
                "/v1/responses/compact",
                "/responses/compact/",
                "/openai/v1/responses/compact",
                "/backend-api/codex/responses/compact",
                "/v1/responses/v1/responses/compact",
            ],
        ),
        (Endpoint::InputTokens, Responses, &["/v1/responses/input_tokens", "/openai/responses/input_tokens"]),
        (Endpoint::EmbedContent, Gemini, &["/v1beta/models/text-embedding:embedContent", "/models/a/b:embedContent"]),
        (Endpoint::BatchEmbedContents, Gemini, &["/genai/v1beta/models/text-embedding:batchEmbedContents"]),
        (
            Endpoint::Generate,
            Gemini,
            &[
                "/v1beta/models/gemini-2.5-pro:generateContent",
                "/v1/models/gemini-2.5-pro:generateContent",
                "/models/gemini-2.5-pro:generateContent",
                "/genai/v1beta/models/gemini-2.5-pro:generateContent",
                "/v1beta/v1beta/models/gemini-2.5-pro:generateContent",
                "/v1/v1beta/models/gemini-2.5-pro:generateContent",
                "/v1beta/models/models/gemini-2.5-pro:generateContent",
                "/v1beta/models/gemini-2.5-pro%3AgenerateContent",
                "/t/team-a/v1alpha//models/gemini-2.5-pro:generateContent/",
            ],
        ),
        (Endpoint::StreamGenerate, Gemini, &["/v1beta/models/gemini-2.5-pro:streamGenerateContent"]),
        (Endpoint::GeminiCountTokens, Gemini, &["/v1beta/models/gemini-2.5-pro:countTokens"]),
    ];
    for (endpoint, dialect, paths) in rows {
        for path in *paths {
            locates(&Method::POST, path, *endpoint, *dialect);
        }
    }
}

#[test]
fn stored_responses() {
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    for (method, path, endpoint, upstream) in [
        (&get, "/v1/responses/resp_1", Endpoint::Response, "/v1/responses/resp_1"),
        (&get, "/openai/responses/v1/responses/resp_1/", Endpoint::Response, "/v1/responses/resp_1"),
        (&delete, "/t/a/v1/responses/resp_1", Endpoint::DeleteResponse, "/v1/responses/resp_1"),
        (&post, "/backend-api/codex/responses/resp_1/cancel", Endpoint::CancelResponse, "/v1/responses/resp_1/cancel"),
        (&get, "/responses/resp_1/input_items", Endpoint::ResponseItems, "/v1/responses/resp_1/input_items"),
    ] {
        let found = locate(method, path, &bare()).unwrap_or_else(|e| panic!("{path}: {e:?}"));
        assert_eq!((found.endpoint, found.dialect, found.object), (endpoint, Responses, Some("resp_1")), "{path}");
        assert_eq!(endpoint.method(), method.as_str(), "{path}");
        assert_eq!(upstream_path(endpoint, "v1", "resp_1"), upstream, "{path}");
    }
    assert_eq!(locate(&post, "/v1/responses", &bare()).unwrap().object, None);
}

#[test]
fn the_probe_of_claude_code() {
    for path in ["/api/hello", "/t/team-a/api/hello", "/anthropic/api/hello", "/v1/api/hello"] {
        locates(&Method::HEAD, path, Endpoint::Hello, Anthropic);
        locates(&Method::GET, path, Endpoint::Hello, Anthropic);
    }
}

#[test]
fn listings_take_the_shape_that_the_client_reads() {
    let version = || with("anthropic-version");
    let rows: &[(&str, Fields, Dialect)] = &[
        ("/v1/models", bare(), Chat),
        ("/models", bare(), Chat),
        ("/openai/v1/models", bare(), Chat),
        ("/v1/models", version(), Anthropic),
        ("/v1/v1/models", version(), Anthropic),
        ("/anthropic/v1/models", bare(), Anthropic),
        ("/t/team-a/v1/models/", version(), Anthropic),
        ("/openai/v1/models", version(), Anthropic),
        ("/v1beta/models", bare(), Gemini),
        ("/v1alpha/models", bare(), Gemini),
        ("/genai/v1/models", bare(), Gemini),
        ("/genai/models", bare(), Gemini),
        ("/backend-api/codex/models", bare(), Responses),
    ];
    for (path, headers, dialect) in rows {
        for method in [Method::GET, Method::HEAD] {
            let found = locate(&method, path, headers).unwrap_or_else(|e| panic!("{path}: {e:?}"));
            assert_eq!((found.endpoint, found.dialect, found.model), (Endpoint::Models, *dialect, None), "{path}");
            let one = format!("{}/some-model", path.trim_end_matches('/'));
            let found = locate(&method, &one, headers).unwrap_or_else(|e| panic!("{one}: {e:?}"));
            assert_eq!((found.endpoint, found.dialect), (Endpoint::Model, *dialect), "{one}");
            assert_eq!(found.model.as_deref(), Some("some-model"));
        }
    }
}

#[test]
fn a_key_asks_how_it_stands() {
    for (path, headers, dialect) in [
        ("/v1/usage", bare(), Chat),
        ("/usage/", bare(), Chat),
        ("/openai/v1/v1/usage", bare(), Chat),
        ("/v1/usage", with("anthropic-version"), Anthropic),
        ("/t/team-a/anthropic/v1/usage", bare(), Anthropic),
        ("/v1beta/usage", bare(), Gemini),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let found = locate(&method, path, &headers).unwrap_or_else(|e| panic!("{path}: {e:?}"));
            assert_eq!((found.endpoint, found.dialect), (Endpoint::Usage, dialect), "{path}");
        }
        for method in [Method::POST, Method::DELETE] {
            let found = locate(&method, path, &headers);
            assert!(matches!(found, Err(RequestError::MethodNotAllowed { allow: "GET" })), "{path}: {found:?}");
        }
    }
    for path in ["/v1/usage/x", "/v1/usage/messages", "/v1/messages/usage", "/v1/usages"] {
        assert!(matches!(locate(&Method::GET, path, &bare()), Err(RequestError::PathUnknown { .. })), "{path}");
    }
}

#[test]
fn models_in_the_path() {
    let rows: &[(&str, Option<&str>)] = &[
        ("gemini-2.5-pro", Some("gemini-2.5-pro")),
        ("gemini%2D2.5", Some("gemini-2.5")),
        ("qwen3:8b", Some("qwen3:8b")),
        ("qwen3%3a8b", Some("qwen3:8b")),
        ("google/gemini-2.5-pro", Some("google/gemini-2.5-pro")),
        ("google%2Fgemini-2.5-pro", Some("google/gemini-2.5-pro")),
        ("models/gemini-2.5-pro", Some("gemini-2.5-pro")),
        ("mod%C3%A8le", Some("modèle")),
        ("..", None),
        ("%2e%2E", None),
        ("a/../b", None),
        ("a%2F..%2Fb", None),
        ("./a", None),
        ("a//b", None),
        ("a%2F", None),
        ("a%5C..%5Cb", None),
        ("a%00b", None),
        ("a%0D%0Ab", None),
        ("a%7Fb", None),
        ("a%", None),
        ("a%2", None),
        ("a%zz", None),
        ("a%ff", None),
    ];
    for (raw, want) in rows {
        for (method, path) in [
            (Method::POST, format!("/v1beta/models/{raw}:generateContent")),
            (Method::GET, format!("/v1beta/models/{raw}")),
        ] {
            // `..:generateContent` is one segment, and goes out as one.
            if method == Method::POST && matches!(*raw, ".." | "%2e%2E" | "a%2F") {
                continue;
            }
            let found = locate(&method, &path, &bare());
            match want {
                Some(want) => assert_eq!(found.unwrap().model.as_deref(), Some(*want), "{path}"),
                None => assert!(matches!(found, Err(RequestError::PathUnknown { .. })), "{path}: {found:?}"),
            }
        }
    }
    let long = format!("/v1beta/models/{}:generateContent", "m".repeat(MAX_NAME));
    assert!(locate(&Method::POST, &long, &bare()).is_err());
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let found = locate(&method, "/v1beta/models/:generateContent", &bare());
        assert!(!matches!(found, Ok(_) | Err(RequestError::MethodNotAllowed { allow: "POST" })), "{method}: {found:?}");
    }
}

#[test]
fn a_plain_model_is_borrowed() {
    let found = locate(&Method::POST, "/v1beta/models/gemini-2.5-pro:generateContent", &bare()).unwrap();
    assert!(matches!(found.model, Some(Cow::Borrowed("gemini-2.5-pro"))));
}

#[test]
fn versions_and_teams() {
    let rows = [
        ("/v1beta/models/m:generateContent", "v1beta", None),
        ("/v1/models/m:generateContent", "v1", None),
        ("/v1alpha/models/m:generateContent", "v1alpha", None),
        ("/models/m:generateContent", "v1beta", None),
        ("/v1/v1beta/models/m:generateContent", "v1beta", None),
        ("/t/team-a/v1/models/m:generateContent", "v1", Some("team-a")),
        ("/genai/t/team-a/models/m:generateContent", "v1beta", Some("team-a")),
    ];
    for (path, version, team) in rows {
        let found = locate(&Method::POST, path, &bare()).unwrap();
        assert_eq!((found.version, found.team_claim), (version, team), "{path}");
    }
}

#[test]
fn unknown_paths() {
    let rows = [
        "",
        "/",
        "//",
        "/v1",
        "/v1/",
        "/anthropic",
        "/t",
        "/t/team-a",
        "/v1/messages/count_tokens/messages",
        "/v1/count_tokens",
        "/v1/messages/chat/completions",
        "/v1/chat",
        "/v1/chat/messages",
        "/v1/completions",
        "/v1/responses/..",
        "/v1/responses/resp%5F1",
        "/v1/responses/resp_1/x",
        "/v1/responses/backend-api/x",
        "/v1/responses/chat/x",
        "/v1/responses/api/x",
        "/v1/responses/resp_1/resp_2",
        "/v1/responses/resp_1/cancel/cancel",
        "/v1/responses/resp_1/responses",
        "/v1/responses/compact/resp_1",
        "/resp_1",
        "/v1/compact",
        "/v1/input_tokens",
        "/v1/messages/compact",
        "/v1/responses/compact/responses",
        "/v1/responses/compact/input_tokens",
        "/v1/embeddings/x",
        "/v1/embeddings/responses",
        "/v2/messages",
        "/V1/Messages",
        "/v1/messagesx",
        "/xv1/messages",
        "/v1/messages/../files",
        "/v1/messages%2Fcount_tokens",
        "/t/team-a/t/team-b/v1/messages",
        "/backend-api/responses",
        "/backend-api",
        "/api",
        "/api/hello/x",
        "/v1beta/models/m:asyncEmbedContent",
        "/v1beta/models/m:",
        "/health",
    ];
    for path in rows {
        let found = locate(&Method::POST, path, &bare());
        assert_eq!(found, Err(RequestError::PathUnknown { path: path.into() }), "{path}");
    }
    let long = format!("/{}", "é".repeat(MAX_ECHO));
    let Err(RequestError::PathUnknown { path }) = locate(&Method::POST, &long, &bare()) else { panic!("found") };
    assert!(path.len() <= MAX_ECHO && long.starts_with(&*path));
}

#[test]
fn what_cannot_be_counted_is_said_so() {
    for (path, what, dialect) in [
        ("/v1/files/file-1/parts", "files", Chat),
        ("/v1beta/files/f1/x", "files", Gemini),
        ("/v1/messages/batches/b1/x", "batches", Anthropic),
        ("/openai/v1/fine_tuning/jobs", "fine-tuning", Chat),
        ("/backend-api/codex/realtime", "realtime sessions", Responses),
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert_eq!(locate(&method, path, &bare()), Err(RequestError::Unmetered { what }), "{method} {path}");
        }
        assert_eq!(dialect_guess(path, false), dialect, "{path}");
    }
}

#[test]
fn what_cannot_be_counted_but_may_pass_is_found_with_its_path() {
    for (path, what, dialect, upstream) in [
        ("/v1/files/file-1", "files", Chat, "/v1/files/file-1"),
        ("/genai/files/f1", "files", Gemini, "/v1beta/files/f1"),
        ("/v1/messages/batches/b1/results", "batches", Anthropic, "/v1/messages/batches/b1/results"),
        ("/t/a/anthropic/v1/v1/files/f", "files", Anthropic, "/v1/files/f"),
    ] {
        let located = locate(&Method::GET, path, &bare()).unwrap();
        let Endpoint::Unmetered(operation) = located.endpoint else { panic!("{path}") };
        assert_eq!((operation.what(), located.dialect), (what, dialect), "{path}");
        assert_eq!(upstream_path(located.endpoint, located.version, &located.rest.unwrap()), upstream, "{path}");
    }
}

#[test]
fn wrong_methods() {
    let rows = [
        (Method::GET, "/v1/messages", "POST"),
        (Method::PUT, "/anthropic/v1/messages/count_tokens", "POST"),
        (Method::OPTIONS, "/v1/chat/completions", "POST"),
        (Method::GET, "/v1/responses", "POST"),
        (Method::DELETE, "/responses", "POST"),
        (Method::GET, "/v1/responses/compact", "POST"),
        (Method::POST, "/v1/responses/resp_1", "GET, DELETE"),
        (Method::HEAD, "/v1/responses/resp_1", "GET, DELETE"),
        (Method::GET, "/v1/responses/resp_1/cancel", "POST"),
        (Method::DELETE, "/v1/responses/resp_1/input_items", "GET"),
        (Method::GET, "/v1/embeddings", "POST"),
        (Method::GET, "/v1beta/models/m:embedContent", "POST"),
        (Method::GET, "/v1beta/models/m:generateContent", "POST"),
        (Method::POST, "/v1/models", "GET"),
        (Method::POST, "/v1/models/m", "GET"),
        (Method::DELETE, "/v1/models/qwen3:8b", "GET"),
        (Method::POST, "/api/hello", "GET"),
    ];
    for (method, path, allow) in rows {
        assert_eq!(locate(&method, path, &bare()), Err(RequestError::MethodNotAllowed { allow }), "{method} {path}");
    }
}

#[test]
fn the_websocket_is_told_so() {
    for path in ["/v1/responses", "/responses", "/openai/v1/responses", "/backend-api/codex/responses"] {
        assert_eq!(locate(&Method::GET, path, &with("upgrade")), Err(RequestError::UpgradeRefused), "{path}");
    }
    // An `upgrade` elsewhere is an offer that a server may ignore (RFC 9110 section 7.8).
    assert!(locate(&Method::POST, "/v1/responses", &with("upgrade")).is_ok());
    assert!(locate(&Method::GET, "/v1/models", &with("upgrade")).is_ok());
}

#[test]
fn a_refusal_is_shaped_by_what_the_path_hints_at() {
    let rows = [
        ("/v1/messages/batches", false, Anthropic),
        ("/anthropic/v1/files", false, Anthropic),
        ("/v1/files", true, Anthropic),
        ("/v1/files", false, Chat),
        ("/", false, Chat),
        ("/v1/embeddings", true, Chat),
        ("/openai/v1/images", false, Chat),
        ("/v1/responses/resp_1", false, Responses),
        ("/backend-api/codex/alpha", false, Responses),
        ("/v1beta/files", false, Gemini),
        ("/genai/x", true, Gemini),
        ("/v9/models/m:streamGenerateContent", false, Gemini),
    ];
    for (path, version, dialect) in rows {
        assert_eq!(dialect_guess(path, version), dialect, "{path}");
    }
}

#[test]
fn paths_upstream() {
    let rows = [
        (Endpoint::Messages, "/v1/messages"),
        (Endpoint::CountTokens, "/v1/messages/count_tokens"),
        (Endpoint::ChatCompletions, "/v1/chat/completions"),
        (Endpoint::Embeddings, "/v1/embeddings"),
        (Endpoint::Responses, "/v1/responses"),
        (Endpoint::Compact, "/v1/responses/compact"),
        (Endpoint::InputTokens, "/v1/responses/input_tokens"),
        (Endpoint::Generate, "/v1beta/models/m:generateContent"),
        (Endpoint::StreamGenerate, "/v1beta/models/m:streamGenerateContent"),
        (Endpoint::GeminiCountTokens, "/v1beta/models/m:countTokens"),
        (Endpoint::EmbedContent, "/v1beta/models/m:embedContent"),
        (Endpoint::BatchEmbedContents, "/v1beta/models/m:batchEmbedContents"),
        (Endpoint::Models, "/v1/models"),
        (Endpoint::Usage, "/v1/usage"),
        (Endpoint::Model, "/v1/models/m"),
        (Endpoint::Hello, "/api/hello"),
    ];
    for (endpoint, path) in rows {
        assert_eq!(upstream_path(endpoint, "v1beta", "m"), path);
    }
    let names = [
        ("gemini-2.5_pro~x@1:b", "gemini-2.5_pro~x@1:b"),
        ("a/b?c#d e%", "a%2Fb%3Fc%23d%20e%25"),
        ("modèle", "mod%C3%A8le"),
    ];
    for (model, encoded) in names {
        let path = upstream_path(Endpoint::Generate, "v1", model);
        assert_eq!(path, format!("/v1/models/{encoded}:generateContent"));
    }
}

/// Pieces that the reader acts on, in any order, with noise between.
fn paths() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "v1",
        "v1beta",
        "models",
        "messages",
        "count_tokens",
        "chat",
        "completions",
        "responses",
        "t",
        "team",
        "anthropic",
        "openai",
        "genai",
        "backend-api",
        "codex",
        "api",
        "hello",
        "m:generateContent",
        ":",
        "%",
        "%2F",
        "%2e",
        "..",
        "é",
        "\u{0}",
        "x",
    ]);
    prop_oneof![
        prop::collection::vec(piece.clone(), 0..12).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.join("/"))),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_path_is_located_or_refused(path in paths(), post: bool, version: bool) {
        let method = if post { Method::POST } else { Method::GET };
        let headers = if version { with("anthropic-version") } else { bare() };
        let _ = dialect_guess(&path, version);
        if let Ok(found) = locate(&method, &path, &headers) {
            let model = found.model.as_deref().unwrap_or_default();
            let upstream = upstream_path(found.endpoint, found.version, model);
            let uri: http::Uri = upstream.parse().expect("a path");
            prop_assert!(uri.path().split('/').all(|segment| segment != ".." && segment != "."));
            prop_assert!(uri.query().is_none());
        }
    }

    #[test]
    fn a_model_reaches_the_upstream_as_it_was_sent(model in "[a-z0-9._@é/ ?#%-]{1,40}") {
        let sent = upstream_path(Endpoint::Generate, "v1beta", &model);
        if let Ok(found) = locate(&Method::POST, &sent, &bare()) {
            let name = found.model.expect("a model");
            prop_assert_eq!(&*name, model.strip_prefix("models/").unwrap_or(&model));
            prop_assert_eq!(upstream_path(Endpoint::Generate, found.version, &name), sent);
        }
    }
}

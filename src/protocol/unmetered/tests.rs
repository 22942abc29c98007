//! What passes, what it is taken for, and what does not.

use super::table::Does::{Lists, Turns, Uses};
use super::*;
use Object::{Batch, CachedContent, File, Upload, VectorStore};
use Vendor::{Anthropic, Gemini, OpenAi};

/// What is called, the id in its path, and its path at the provider.
type Found = (Operation, Option<String>, String);

fn found(method: &Method, path: &str) -> Option<Result<Found, RequestError>> {
    Some(locate(method, path, &Fields::default())?.map(|located| {
        let Endpoint::Unmetered(operation) = located.endpoint else { panic!("{path}") };
        assert_eq!(operation.method(), method.as_str(), "{path}");
        (operation, located.object.map(str::to_owned), located.rest.unwrap())
    }))
}

#[test]
fn what_may_pass_says_what_it_names_and_makes() {
    for (method, path, vendor, what, uses, id, makes, upstream) in [
        (Method::POST, "/v1/files", OpenAi, "files", None, None, Some(File), "/v1/files"),
        (
            Method::GET,
            "/files/file-1/content",
            OpenAi,
            "files",
            Some(File),
            Some("file-1"),
            None,
            "/v1/files/file-1/content",
        ),
        (
            Method::DELETE,
            "/anthropic/v1/files/file_1",
            Anthropic,
            "files",
            Some(File),
            Some("file_1"),
            None,
            "/v1/files/file_1",
        ),
        (
            Method::GET,
            "/v1beta/files/a-b:download",
            Gemini,
            "files",
            Some(File),
            Some("a-b"),
            None,
            "/v1beta/files/a-b:download",
        ),
        (Method::POST, "/upload/v1beta/files", Gemini, "files", None, None, Some(File), "/upload/v1beta/files"),
        (
            Method::POST,
            "/t/x/v1/messages/batches",
            Anthropic,
            "batches",
            None,
            None,
            Some(Batch),
            "/v1/messages/batches",
        ),
        (
            Method::GET,
            "/v1/messages/batches/msgbatch_1/results",
            Anthropic,
            "batches",
            Some(Batch),
            Some("msgbatch_1"),
            None,
            "/v1/messages/batches/msgbatch_1/results",
        ),
        (
            Method::POST,
            "/v1beta/batches/b1:cancel",
            Gemini,
            "batches",
            Some(Batch),
            Some("b1"),
            None,
            "/v1beta/batches/b1:cancel",
        ),
        (
            Method::POST,
            "/v1beta/models/gemini-2.5-pro:batchGenerateContent",
            Gemini,
            "batches",
            None,
            None,
            Some(Batch),
            "/v1beta/models/gemini-2.5-pro:batchGenerateContent",
        ),
        (
            Method::PATCH,
            "/cachedContents/c1",
            Gemini,
            "cached contents",
            Some(CachedContent),
            Some("c1"),
            None,
            "/v1beta/cachedContents/c1",
        ),
        (
            Method::GET,
            "//openai//v1/vector_stores/vs_1/files/file-2/content/",
            OpenAi,
            "vector stores",
            Some(VectorStore),
            Some("vs_1"),
            None,
            "/v1/vector_stores/vs_1/files/file-2/content",
        ),
        (
            Method::POST,
            "/v1/uploads/upload_1/complete",
            OpenAi,
            "uploads",
            Some(Upload),
            Some("upload_1"),
            Some(File),
            "/v1/uploads/upload_1/complete",
        ),
        (Method::POST, "/v1/images/generations", OpenAi, "images", None, None, None, "/v1/images/generations"),
    ] {
        let (operation, object, rest) = found(&method, path).unwrap().unwrap();
        assert_eq!((operation.vendor(), operation.what()), (vendor, what), "{path}");
        assert_eq!((operation.uses(), object.as_deref(), operation.makes()), (uses, id, makes), "{path}");
        assert_eq!((&*rest, operation.lists()), (upstream, false), "{path}");
    }
}

#[test]
fn listings_are_known_as_such() {
    for path in [
        "/v1/files",
        "/anthropic/v1/files",
        "/v1beta/files",
        "/v1/batches",
        "/v1/messages/batches",
        "/v1beta/batches",
        "/v1beta/cachedContents",
        "/v1/vector_stores",
        "/v1/containers",
        "/v1/videos",
    ] {
        assert!(found(&Method::GET, path).unwrap().unwrap().0.lists(), "{path}");
    }
}

#[test]
fn what_has_no_row_is_named_and_refused() {
    for (path, want) in [
        ("/v1/realtime", Some("realtime sessions")),
        ("/v1/fine_tuning/jobs", Some("fine-tuning")),
        ("/v1/files/../models", Some("files")),
        ("/v1/files/%2e%2e/content", Some("files")),
        ("/v1/files/a%2fb", Some("files")),
        ("/v1/files/file-1/contents", Some("files")),
        ("/v1/files/file-1/content/x", Some("files")),
        ("/v1/messages/batches/b/results/x", Some("batches")),
        ("/v1beta/files/f1:delete", Some("files")),
        ("/v1beta/models/a%2Fb:batchGenerateContent", Some("batches")),
        ("/v1/filesystem", None),
        ("/v1/x/files", None),
        ("/t/files", None),
        ("/v1/messages/x", None),
        ("/v1", None),
        ("", None),
    ] {
        for method in [Method::GET, Method::POST] {
            let want = want.map(|what| RequestError::Unmetered { what });
            assert_eq!(found(&method, path).map(Result::unwrap_err), want, "{method} {path}");
        }
    }
    assert_eq!(
        found(&Method::PUT, "/v1/files/file-1").unwrap().unwrap_err(),
        RequestError::MethodNotAllowed { allow: "DELETE" }
    );
}

#[test]
fn a_file_is_whoevers_the_headers_and_the_prefix_say() {
    let mut headers = Fields::default();
    headers.push("anthropic-version", b"2023-06-01");
    for (path, headers, want) in [
        ("/v1/files/f", &headers, Dialect::Anthropic),
        ("/v1/files/f", &Fields::default(), Dialect::Chat),
        ("/v1beta/files/f", &headers, Dialect::Gemini),
        ("/openai/v1/files/f", &headers, Dialect::Chat),
    ] {
        assert_eq!(locate(&Method::GET, path, headers).unwrap().unwrap().dialect, want, "{path}");
    }
}

#[test]
fn every_row_has_a_kind_and_an_id_where_it_uses_one() {
    for row in TABLE {
        let segments: Vec<&str> = row.path.split('/').collect();
        let model = row.path.replace('*', "m");
        let segments = if row.path.starts_with("models") { vec!["models", &model[7..]] } else { segments };
        assert!(service_of(&segments).is_some(), "{}", row.path);
        let uses = matches!(row.does, Uses(_) | Turns(..));
        assert_eq!(row.path.matches("{id}").count(), usize::from(uses), "{} {}", row.method, row.path);
        let below = row.path.split("{id}").next().unwrap();
        assert!(!below.contains('*') || row.path.starts_with("models/"), "{}: an id without an owner", row.path);
        let collection = row.method == "GET" && !row.path.contains('{');
        assert_eq!(collection, row.does == Lists, "{} {}", row.method, row.path);
    }
    assert!(TABLE.len() < 256 && SERVICE_COUNT < 256);
}

//! Paths of APIs that exist and that we cannot count: the caller hears that, not that he mistyped something.
//!
//! Only asked about a path that is none of ours. Invariant: nothing is served because it is named here.

/// What is refused, by the segment that names it (behind the prefixes that mean nothing), in words for a person.
const NAMED: &[(&str, &str)] = &[
    ("audio", "audio"),
    ("batches", "batches"),
    ("cachedContents", "cached contents"),
    ("containers", "containers"),
    ("conversations", "conversations"),
    ("files", "files"),
    ("fine_tuning", "fine-tuning"),
    ("images", "images"),
    ("moderations", "moderations"),
    ("realtime", "realtime sessions"),
    ("uploads", "uploads"),
    ("vector_stores", "vector stores"),
    ("videos", "videos"),
];

/// What a path asks for that cannot be counted.
pub fn named(path: &str) -> Option<&'static str> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let first = loop {
        match segments.next()? {
            "v1" | "v1beta" | "v1alpha" | "anthropic" | "openai" | "genai" | "backend-api" | "codex" | "upload"
            | "messages" => {}
            "t" => {
                segments.next()?;
            }
            other => break other,
        }
    };
    NAMED.iter().find(|(segment, _)| *segment == first).map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_counted_is_named() {
        for (path, want) in [
            ("/v1/files", Some("files")),
            ("/v1/files/file-1/content", Some("files")),
            ("/upload/v1beta/files", Some("files")),
            ("/v1/messages/batches/msgbatch_1/results", Some("batches")),
            ("/openai/v1/images/generations", Some("images")),
            ("/t/team-a/v1/audio/speech", Some("audio")),
            ("/v1/realtime", Some("realtime sessions")),
            ("/v1beta/cachedContents/c1", Some("cached contents")),
            ("/v1/fine_tuning/jobs", Some("fine-tuning")),
            ("/v1/moderations/", Some("moderations")),
            ("/v1/vector_stores/vs_1/files", Some("vector stores")),
            ("/v1/filesystem", None),
            ("/v1/x/files", None),
            ("/t/files", None),
            ("/v1", None),
            ("", None),
        ] {
            assert_eq!(named(path), want, "{path}");
        }
    }
}

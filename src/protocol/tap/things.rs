//! What the JSON answer of an unmetered call names that is new: files, batches and their like.
//!
//! Only the places where the APIs' own objects have their ids are looked at, at the top or one or two objects deep, so text
//! that a client has put into a thing's metadata never passes for an id of its own. Invariant: nothing is found in an answer
//! that is not JSON. Deliberately not here: whose the things are.

use std::collections::VecDeque;

use super::made::MAX_RAW;
use crate::error::BodyError;
use crate::protocol::Object;
use crate::protocol::json::{Key, Root, Scanner, Value, Want, Watch};
use crate::protocol::unmetered::{Operation, Vendor};

/// See the module.
#[derive(Debug)]
pub struct Things {
    /// Gone after the first fault.
    scanner: Option<Scanner>,
    watch: Find,
}

#[derive(Debug)]
struct Find {
    operation: Operation,
    /// The object that we are in.
    within: Within,
    found: VecDeque<(Object, Box<str>)>,
}

/// The objects that are entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Top,
    /// A completed upload's, or Gemini's new file.
    File,
    /// What became of Gemini's batch.
    Response,
    /// The same, while it is under way.
    Metadata,
    /// Inside the last.
    Output,
}

impl Things {
    /// For the answer of this call.
    pub fn new(operation: Operation) -> Self {
        let watch = Find { operation, within: Within::Top, found: VecDeque::new() };
        Self { scanner: Some(Scanner::new(Root::Object)), watch }
    }

    pub fn feed(&mut self, frame: &[u8]) {
        if let Some(scanner) = &mut self.scanner
            && scanner.feed(frame, &mut self.watch).is_err()
        {
            self.scanner = None;
        }
    }

    /// What was found, each once.
    pub fn take(&mut self) -> Option<(Object, Box<str>)> {
        self.watch.found.pop_front()
    }
}

impl Find {
    /// Whether the thing itself is what has an id here.
    fn is_new(&self, key: &[u8]) -> bool {
        let gemini = self.operation.vendor() == Vendor::Gemini;
        let named = if gemini { key == b"name" } else { key == b"id" };
        // These answers have what is new inside of what was there.
        let inside = self.operation.uses() == Some(Object::Upload) || (gemini && self.operation.is_google_upload());
        let place = if inside { Within::File } else { Within::Top };
        let makes = self.operation.uses() != Some(Object::Batch);
        named && makes && self.within == place
    }

    /// Whether it is a file that a batch has written.
    fn is_result(&self, key: &[u8]) -> bool {
        self.operation.uses() == Some(Object::Batch)
            && match self.within {
                Within::Top => matches!(key, b"output_file_id" | b"error_file_id"),
                Within::Response | Within::Output => key == b"responsesFile",
                Within::File | Within::Metadata => false,
            }
    }
}

impl Watch for Find {
    fn key(&mut self, key: Key<'_>) -> Result<Want, BodyError> {
        match (key.level, self.within) {
            (0, _) => self.within = Within::Top,
            (1, Within::Output) => self.within = Within::Metadata,
            _ => {}
        }
        if self.is_new(key.raw) || self.is_result(key.raw) {
            return Ok(Want::Value { limit: MAX_RAW });
        }
        self.within = match (self.within, key.raw) {
            (Within::Top, b"file") => Within::File,
            (Within::Top, b"response") => Within::Response,
            (Within::Top, b"metadata") => Within::Metadata,
            (Within::Metadata, b"output") => Within::Output,
            _ => return Ok(Want::Pass),
        };
        Ok(Want::Enter)
    }

    fn value(&mut self, value: Value<'_>) -> Result<(), BodyError> {
        let Some(object) = self.operation.makes() else { return Ok(()) };
        let Some(id) = value.raw.and_then(|raw| serde_json::from_slice::<Box<str>>(raw).ok()) else { return Ok(()) };
        // Gemini's names have their collection in front.
        let id = match self.operation.vendor() {
            Vendor::Gemini => id.split_once('/').map(|(_, id)| id.into()),
            Vendor::Anthropic | Vendor::OpenAi => Some(id),
        };
        self.found.extend(id.map(|id| (object, id)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::protocol::{Endpoint, unmetered};

    #[track_caller]
    fn row(method: &Method, path: &str, answer: &str, want: &[(Object, &str)]) {
        let Endpoint::Unmetered(operation) =
            unmetered::locate(method, path, &crate::message::Fields::default()).unwrap().unwrap().endpoint
        else {
            panic!("{path}")
        };
        for at in 0..=answer.len() {
            let mut things = Things::new(operation);
            let mut found = Vec::new();
            for part in [&answer[..at], &answer[at..]] {
                things.feed(part.as_bytes());
                found.extend(std::iter::from_fn(|| things.take()));
            }
            let found: Vec<_> = found.iter().map(|(object, id)| (*object, &**id)).collect();
            assert_eq!(found, want, "{path} {answer} cut at {at}");
        }
    }

    #[test]
    fn what_an_answer_names() {
        let post = &Method::POST;
        row(post, "/v1/files", r#"{"object":"file","id":"file-1","metadata":{"id":"x"}}"#, &[(Object::File, "file-1")]);
        row(post, "/v1/files", r#"{"metadata":{"id":"x","output":{"id":"z"}},"file":{"id":"y"}}"#, &[]);
        row(
            post,
            "/v1/uploads/u/complete",
            r#"{"id":"u","file":{"id":"file-2","name":"n"}}"#,
            &[(Object::File, "file-2")],
        );
        row(
            &Method::GET,
            "/v1/batches/b",
            r#"{"id":"b","output_file_id":"file-3","error_file_id":null,"metadata":{"output":{"output_file_id":"x"}}}"#,
            &[(Object::File, "file-3")],
        );
        row(post, "/upload/v1beta/files", r#"{"file":{"name":"files/a-1","uri":"u"}}"#, &[(Object::File, "a-1")]);
        row(
            post,
            "/v1beta/models/m:batchGenerateContent",
            r#"{"name":"batches/b1","metadata":{"name":"batches/b2"}}"#,
            &[(Object::Batch, "b1")],
        );
        row(
            &Method::GET,
            "/v1beta/batches/b1",
            r#"{"name":"batches/b1","metadata":{"output":{"responsesFile":"files/r1"},"x":1},"response":{"responsesFile":"files/r1"}}"#,
            &[(Object::File, "r1"), (Object::File, "r1")],
        );
        row(post, "/v1/videos/v1/remix", r#"{"id":"v2","remixed_from_video_id":"v1"}"#, &[(Object::Video, "v2")]);
        row(post, "/v1/batches", "not json", &[]);
    }
}

//! The calls that may pass though they cannot be counted, a row each, and what each does with ids.
//!
//! Sources: platform.openai.com/docs/api-reference, docs.anthropic.com/en/api, ai.google.dev/api.

use super::{Takes, Vendor};
use crate::protocol::Object;

/// What a call does with ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It neither names nor makes anything that stays.
    Works,
    /// Its answer names something new.
    Makes(Object),
    /// Its path names something.
    Uses(Object),
    /// Both.
    Turns(Object, Object),
    /// Its answer names everything there is, whoever's.
    Lists,
}

/// One call of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub vendor: Vendor,
    pub method: &'static str,
    /// Behind the API version. `{id}` is an id whose owner is asked for, `*` one that means something only below that, both
    /// perhaps with an action (`{id}:cancel`).
    pub path: &'static str,
    pub does: Does,
    pub takes: Takes,
}

const fn row(vendor: Vendor, method: &'static str, path: &'static str, does: Does) -> Row {
    let takes = if matches!(method.as_bytes(), b"POST" | b"PATCH") { Takes::Json } else { Takes::Nothing };
    Row { vendor, method, path, does, takes }
}

/// A call with a file as its body, which is nothing but bytes to us.
const fn file(vendor: Vendor, path: &'static str, does: Does) -> Row {
    Row { vendor, method: "POST", path, does, takes: Takes::File }
}

/// A call with pictures beside its words.
const fn form(vendor: Vendor, path: &'static str, does: Does) -> Row {
    Row { vendor, method: "POST", path, does, takes: Takes::Form }
}

use Does::{Lists, Makes, Turns, Uses, Works};
use Object::{Batch, CachedContent, Container, Conversation, File, Upload, VectorStore, Video};
use Vendor::{Anthropic, Gemini, OpenAi};

pub static TABLE: &[Row] = &[
    file(Anthropic, "files", Makes(File)),
    row(Anthropic, "GET", "files", Lists),
    row(Anthropic, "GET", "files/{id}", Uses(File)),
    row(Anthropic, "DELETE", "files/{id}", Uses(File)),
    row(Anthropic, "GET", "files/{id}/content", Uses(File)),
    row(Anthropic, "POST", "messages/batches", Makes(Batch)),
    row(Anthropic, "GET", "messages/batches", Lists),
    row(Anthropic, "GET", "messages/batches/{id}", Uses(Batch)),
    row(Anthropic, "DELETE", "messages/batches/{id}", Uses(Batch)),
    row(Anthropic, "POST", "messages/batches/{id}/cancel", Uses(Batch)),
    row(Anthropic, "GET", "messages/batches/{id}/results", Uses(Batch)),
    file(OpenAi, "files", Makes(File)),
    row(OpenAi, "GET", "files", Lists),
    row(OpenAi, "GET", "files/{id}", Uses(File)),
    row(OpenAi, "DELETE", "files/{id}", Uses(File)),
    row(OpenAi, "GET", "files/{id}/content", Uses(File)),
    row(OpenAi, "POST", "uploads", Makes(Upload)),
    file(OpenAi, "uploads/{id}/parts", Uses(Upload)),
    row(OpenAi, "POST", "uploads/{id}/complete", Turns(Upload, File)),
    row(OpenAi, "POST", "uploads/{id}/cancel", Uses(Upload)),
    row(OpenAi, "POST", "batches", Makes(Batch)),
    row(OpenAi, "GET", "batches", Lists),
    row(OpenAi, "GET", "batches/{id}", Turns(Batch, File)),
    row(OpenAi, "POST", "batches/{id}/cancel", Turns(Batch, File)),
    row(OpenAi, "POST", "vector_stores", Makes(VectorStore)),
    row(OpenAi, "GET", "vector_stores", Lists),
    row(OpenAi, "GET", "vector_stores/{id}", Uses(VectorStore)),
    row(OpenAi, "POST", "vector_stores/{id}", Uses(VectorStore)),
    row(OpenAi, "DELETE", "vector_stores/{id}", Uses(VectorStore)),
    row(OpenAi, "POST", "vector_stores/{id}/search", Uses(VectorStore)),
    row(OpenAi, "GET", "vector_stores/{id}/files", Uses(VectorStore)),
    row(OpenAi, "POST", "vector_stores/{id}/files", Uses(VectorStore)),
    row(OpenAi, "GET", "vector_stores/{id}/files/*", Uses(VectorStore)),
    row(OpenAi, "POST", "vector_stores/{id}/files/*", Uses(VectorStore)),
    row(OpenAi, "DELETE", "vector_stores/{id}/files/*", Uses(VectorStore)),
    row(OpenAi, "GET", "vector_stores/{id}/files/*/content", Uses(VectorStore)),
    row(OpenAi, "POST", "vector_stores/{id}/file_batches", Uses(VectorStore)),
    row(OpenAi, "GET", "vector_stores/{id}/file_batches/*", Uses(VectorStore)),
    row(OpenAi, "POST", "vector_stores/{id}/file_batches/*/cancel", Uses(VectorStore)),
    row(OpenAi, "GET", "vector_stores/{id}/file_batches/*/files", Uses(VectorStore)),
    row(OpenAi, "POST", "containers", Makes(Container)),
    row(OpenAi, "GET", "containers", Lists),
    row(OpenAi, "GET", "containers/{id}", Uses(Container)),
    row(OpenAi, "DELETE", "containers/{id}", Uses(Container)),
    row(OpenAi, "GET", "containers/{id}/files", Uses(Container)),
    form(OpenAi, "containers/{id}/files", Uses(Container)),
    row(OpenAi, "GET", "containers/{id}/files/*", Uses(Container)),
    row(OpenAi, "DELETE", "containers/{id}/files/*", Uses(Container)),
    row(OpenAi, "GET", "containers/{id}/files/*/content", Uses(Container)),
    row(OpenAi, "POST", "conversations", Makes(Conversation)),
    row(OpenAi, "GET", "conversations/{id}", Uses(Conversation)),
    row(OpenAi, "POST", "conversations/{id}", Uses(Conversation)),
    row(OpenAi, "DELETE", "conversations/{id}", Uses(Conversation)),
    row(OpenAi, "GET", "conversations/{id}/items", Uses(Conversation)),
    row(OpenAi, "POST", "conversations/{id}/items", Uses(Conversation)),
    row(OpenAi, "GET", "conversations/{id}/items/*", Uses(Conversation)),
    row(OpenAi, "DELETE", "conversations/{id}/items/*", Uses(Conversation)),
    row(OpenAi, "POST", "images/generations", Works),
    form(OpenAi, "images/edits", Works),
    form(OpenAi, "images/variations", Works),
    row(OpenAi, "POST", "audio/speech", Works),
    file(OpenAi, "audio/transcriptions", Works),
    file(OpenAi, "audio/translations", Works),
    row(OpenAi, "POST", "moderations", Works),
    form(OpenAi, "videos", Makes(Video)),
    row(OpenAi, "GET", "videos", Lists),
    row(OpenAi, "GET", "videos/{id}", Uses(Video)),
    row(OpenAi, "DELETE", "videos/{id}", Uses(Video)),
    row(OpenAi, "GET", "videos/{id}/content", Uses(Video)),
    row(OpenAi, "POST", "videos/{id}/remix", Turns(Video, Video)),
    // `POST /upload/v1beta/files`; without the `upload` only metadata would be sent.
    file(Gemini, "upload/files", Makes(File)),
    row(Gemini, "GET", "files", Lists),
    row(Gemini, "GET", "files/{id}", Uses(File)),
    row(Gemini, "DELETE", "files/{id}", Uses(File)),
    row(Gemini, "GET", "files/{id}:download", Uses(File)),
    row(Gemini, "POST", "cachedContents", Makes(CachedContent)),
    row(Gemini, "GET", "cachedContents", Lists),
    row(Gemini, "GET", "cachedContents/{id}", Uses(CachedContent)),
    row(Gemini, "PATCH", "cachedContents/{id}", Uses(CachedContent)),
    row(Gemini, "DELETE", "cachedContents/{id}", Uses(CachedContent)),
    row(Gemini, "POST", "models/*:batchGenerateContent", Makes(Batch)),
    row(Gemini, "POST", "models/*:asyncBatchEmbedContent", Makes(Batch)),
    row(Gemini, "GET", "batches", Lists),
    row(Gemini, "GET", "batches/{id}", Turns(Batch, File)),
    row(Gemini, "DELETE", "batches/{id}", Uses(Batch)),
    row(Gemini, "POST", "batches/{id}:cancel", Uses(Batch)),
];

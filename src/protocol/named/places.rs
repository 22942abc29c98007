//! Where each vendor's bodies name stored things, and where a name means nothing.
//!
//! Invariant: a key that is free to the client (arguments, schemas, metadata, attributes) is free in every object, because
//! no vendor reads a stored thing from inside one; every other key is what it is called wherever it stands, so an object that
//! a vendor invents tomorrow is looked into, too.
//!
//! Sources: docs.anthropic.com/en/api/messages, platform.openai.com/docs/api-reference, ai.google.dev/api.

use super::Vendor;
use crate::protocol::Object;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A body of its own, or a call inside a batch.
    Top,
    /// Looked into.
    Any,
    /// Not looked into.
    Free,
    /// An id, or an array of ids.
    Id(Object, &'static str),
    /// The same with the name of a collection and a slash in front.
    Prefixed(Object, &'static str),
    /// An id, or an object with one as its `id`.
    Named(Object, &'static str),
    /// An object with an id as its `id`; a text of that name is none.
    Holder(Object, &'static str),
    /// The address of a file of Google's, or of anything else.
    Uri,
    /// Items of a conversation.
    Items,
    /// One of them.
    Item,
    /// Its `id`.
    ItemId,
    /// Its `type`.
    ItemType,
    /// What reasoning holds in place of its text.
    Encrypted,
    /// What a picture that was made holds.
    Result,
}

impl Place {
    /// What a value's own object or array is.
    pub fn inside(self, object: bool) -> Self {
        match (self, object) {
            (Self::Items | Self::Item, true) => Self::Item,
            (Self::Top | Self::Free | Self::Named(..) | Self::Holder(..), true) => self,
            (Self::Free | Self::Id(..) | Self::Prefixed(..) | Self::Uri | Self::Items, false) => self,
            _ => Self::Any,
        }
    }

    /// What the value behind a key of such an object is.
    pub fn of(self, vendor: Vendor, key: &[u8]) -> Self {
        let own = match (self, key) {
            (Self::Free, _) => Some(Self::Free),
            (Self::Named(object, field) | Self::Holder(object, field), b"id") => Some(Self::Id(object, field)),
            (Self::Item, b"id") => Some(Self::ItemId),
            (Self::Item, b"type") => Some(Self::ItemType),
            (Self::Item, b"encrypted_content") => Some(Self::Encrypted),
            (Self::Item, b"result") => Some(Self::Result),
            _ => None,
        };
        own.unwrap_or_else(|| match vendor {
            Vendor::Anthropic => anthropic(self, key),
            Vendor::OpenAi => openai(self, key),
            Vendor::Gemini => gemini(key),
        })
    }
}

fn anthropic(place: Place, key: &[u8]) -> Place {
    match key {
        b"input" | b"input_schema" | b"schema" | b"metadata" => Place::Free,
        b"file_id" => Place::Id(Object::File, "file_id"),
        b"container" if place == Place::Top => Place::Named(Object::Container, "container"),
        b"thread" if place == Place::Top => Place::Named(Object::Foreign, "thread"),
        // A call inside a batch.
        b"params" => Place::Top,
        _ => Place::Any,
    }
}

fn openai(place: Place, key: &[u8]) -> Place {
    match key {
        b"parameters" | b"schema" | b"json_schema" | b"input_schema" | b"metadata" | b"attributes" | b"annotations"
        | b"arguments" => Place::Free,
        b"file_id" => Place::Id(Object::File, "file_id"),
        b"file_ids" => Place::Id(Object::File, "file_ids"),
        b"vector_store_ids" => Place::Id(Object::VectorStore, "vector_store_ids"),
        b"vector_store_id" => Place::Id(Object::VectorStore, "vector_store_id"),
        b"container" => Place::Named(Object::Container, "container"),
        b"container_id" => Place::Id(Object::Container, "container_id"),
        b"input_file_id" => Place::Id(Object::BatchInput, "input_file_id"),
        b"approval_request_id" => Place::Id(Object::Item, "approval_request_id"),
        b"input" | b"items" if place == Place::Top => Place::Items,
        b"prompt" if place == Place::Top => Place::Holder(Object::Foreign, "prompt.id"),
        b"previous_response_id" if place == Place::Top => Place::Id(Object::Response, "previous_response_id"),
        b"conversation" if place == Place::Top => Place::Named(Object::Conversation, "conversation"),
        // What an assistant has said before (Chat); at the top it chooses a voice, and has no id.
        b"audio" => Place::Holder(Object::Foreign, "audio.id"),
        // A call inside a batch.
        b"body" => Place::Top,
        _ => Place::Any,
    }
}

fn gemini(key: &[u8]) -> Place {
    match key {
        b"args"
        | b"response"
        | b"parameters"
        | b"parametersJsonSchema"
        | b"parameters_json_schema"
        | b"responseSchema"
        | b"response_schema"
        | b"responseJsonSchema"
        | b"response_json_schema"
        | b"labels"
        | b"metadata" => Place::Free,
        b"fileUri" | b"file_uri" => Place::Uri,
        b"cachedContent" | b"cached_content" => Place::Prefixed(Object::CachedContent, "cachedContent"),
        // A batch's calls.
        b"fileName" | b"file_name" => Place::Prefixed(Object::BatchInput, "fileName"),
        b"fileSearchStoreNames" | b"file_search_store_names" => {
            Place::Prefixed(Object::Foreign, "fileSearchStoreNames")
        }
        _ => Place::Any,
    }
}

/// Whether an item of this type holds all of itself, and the field that it must have for that.
///
/// An unknown one is taken for a reference: a provider may look it up.
pub fn is_whole(kind: &str) -> Option<Option<&'static str>> {
    match kind {
        "message"
        | "function_call"
        | "function_call_output"
        | "custom_tool_call"
        | "custom_tool_call_output"
        | "local_shell_call"
        | "local_shell_call_output"
        | "shell_call"
        | "shell_call_output"
        | "apply_patch_call"
        | "apply_patch_call_output"
        | "computer_call"
        | "computer_call_output"
        | "web_search_call"
        | "tool_search_call"
        | "tool_search_output"
        | "additional_tools"
        | "mcp_list_tools"
        | "mcp_call"
        | "mcp_approval_request"
        | "mcp_approval_response"
        | "program"
        | "program_output"
        | "compaction_trigger" => Some(None),
        "reasoning" | "compaction" | "compaction_summary" => Some(Some("encrypted_content")),
        "image_generation_call" => Some(Some("result")),
        _ => None,
    }
}

/// The file that an address names: every one at Google's own hosts, and whatever has the form of Google's files elsewhere
/// (a provider that speaks Gemini at another host). None for an address of anything else in the web.
pub fn file_of_uri(uri: &str) -> Option<Box<str>> {
    let (host, path) = match uri.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") => {
            rest.split_once('/').unwrap_or((rest, ""))
        }
        // Some other storage, or no address at all.
        Some(_) => return Some(uri.into()),
        None => ("", uri.trim_start_matches('/')),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = ["", "v1/", "v1beta/", "v1alpha/"].iter().find_map(|version| {
        let id = path.strip_prefix(version)?.strip_prefix("files/")?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    });
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    // A host that is spelled in any odd way (a user, a port, an escape) may be anybody's.
    let odd = host.is_empty() || !host.bytes().all(plain);
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_google = ["googleapis.com", "google.com", "goog"]
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')));
    match name {
        Some(id) => Some(id.into()),
        None if odd || is_google => Some(uri.into()),
        None => None,
    }
}

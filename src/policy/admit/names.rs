//! The stored things that a body names, beyond those that every body is looked through for.
//!
//! Asked of few bodies: where `peek` suspects something, and of all that are not counted. Invariant: a body that a provider
//! could read in another way than we have is refused: JSON that is not said to be JSON, or a form where JSON is wanted. What
//! is read in one piece counts among the held bodies meanwhile.

use super::ROOM_RETRY;
use crate::call::{Reference, Room};
use crate::error::{BodyError, Error, GatewayError};
use crate::message::Fields;
use crate::message::name::CONTENT_TYPE;
use crate::protocol::body::Frames;
use crate::protocol::named::{Found, Named, Vendor, find, lines_are_clean};
use crate::protocol::unmetered::{self, Takes};
use crate::protocol::{Endpoint, Object, json};
use crate::snapshot::Snapshot;

/// Adds what a body names to `refers`; returns what the calls in a file name, if it is one of calls.
#[cold]
#[inline(never)]
pub(super) fn read(
    endpoint: Endpoint,
    fields: &Fields,
    frames: &mut Frames,
    refers: &mut Vec<Reference>,
    room: &Room,
    rules: &Snapshot,
) -> Result<Option<Box<[Reference]>>, Error> {
    let takes = match endpoint {
        Endpoint::Unmetered(operation) => operation.takes(),
        _ if endpoint.is_stored() => Takes::Nothing,
        _ => Takes::Json,
    };
    if takes == Takes::Nothing {
        // None of these calls has a body that says anything.
        *frames = Frames::default();
    }
    if frames.is_empty() {
        return Ok(None);
    }
    let mut workspace = room.another();
    let text = whole(frames, &mut workspace, rules)?;
    let (mut found, vendor) = (Found::default(), vendor(endpoint));
    if let Endpoint::Unmetered(operation) = endpoint {
        let form = is_form(fields);
        match takes {
            Takes::File if operation.makes() == Some(Object::File) && lines_are_clean(vendor, &text, &mut found) => {
                return Ok(found.finish().ok().map(|list| list.into_iter().map(reference).collect()));
            }
            Takes::File | Takes::Nothing => return Ok(None),
            Takes::Form if form == Some(true) => return names_nothing(&text).map(|()| None),
            Takes::Json | Takes::Form if form == Some(false) => json::check(&text)?,
            Takes::Json | Takes::Form => {
                return Err(BodyError::FieldInvalid { field: "content-type", want: "application/json" }.into());
            }
        }
    }
    find(vendor, &text, &mut found);
    refers.extend(found.finish()?.into_iter().map(reference));
    Ok(None)
}

fn vendor(endpoint: Endpoint) -> Vendor {
    match endpoint {
        Endpoint::Unmetered(operation) => match operation.vendor() {
            unmetered::Vendor::Anthropic => Vendor::Anthropic,
            unmetered::Vendor::OpenAi => Vendor::OpenAi,
            unmetered::Vendor::Gemini => Vendor::Gemini,
        },
        Endpoint::Messages | Endpoint::CountTokens => Vendor::Anthropic,
        Endpoint::Generate
        | Endpoint::StreamGenerate
        | Endpoint::GeminiCountTokens
        | Endpoint::EmbedContent
        | Endpoint::BatchEmbedContents => Vendor::Gemini,
        _ => Vendor::OpenAi,
    }
}

fn reference(named: Named) -> Reference {
    let Named { object, field, id } = named;
    Reference { object, field: Some(field), id }
}

/// A body in one piece.
fn whole(frames: &Frames, workspace: &mut Room, rules: &Snapshot) -> Result<bytes::Bytes, Error> {
    let mut all = frames.iter();
    if let (Some(only), None) = (all.next(), all.next()) {
        return Ok(only.clone());
    }
    if !workspace.grow_to(frames.len() as u64, rules.limits.inflight_bodies) {
        return Err(GatewayError::BodiesFull { retry_after: ROOM_RETRY }.into());
    }
    let mut joined = Vec::with_capacity(frames.len());
    frames.iter().for_each(|frame| joined.extend_from_slice(frame));
    Ok(joined.into())
}

/// Whether a body is said to be a form, or JSON (as a body that is said to be nothing is read); `None` for anything else.
fn is_form(fields: &Fields) -> Option<bool> {
    let mut kinds = fields.all(CONTENT_TYPE);
    let Some(kind) = kinds.next() else { return Some(false) };
    let kind = std::str::from_utf8(kind).ok().filter(|_| kinds.next().is_none())?.to_ascii_lowercase();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence {
        "multipart/form-data" => Some(true),
        "application/json" => Some(false),
        _ => None,
    }
}

/// A form has its names in clear, so one with none of these bytes names no stored thing.
fn names_nothing(form: &[u8]) -> Result<(), Error> {
    for word in [&b"file_id"[..], b"name*"] {
        if memchr::memmem::find(form, word).is_some() {
            return Err(BodyError::FieldInvalid { field: "file_id", want: "in a JSON body, not in a form" }.into());
        }
    }
    Ok(())
}

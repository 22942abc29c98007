//! The bodies of `GET …/models` and `GET …/models/{id}`, in the shape that each dialect's clients expect.
//!
//! Sources: <https://docs.anthropic.com/en/api/models-list>, <https://platform.openai.com/docs/api-reference/models>,
//! <https://ai.google.dev/api/models>.
//!
//! Invariant: exactly the names that the caller passes, in its order; a page never repeats or loses one as long as the
//! caller's order is stable. Deliberately not here: which names a key may see. Nothing is claimed about a model that we do
//! not know: dates are the epoch (as Anthropic documents for unknown ones), token limits are left out.

use bytes::Bytes;
use serde::Serialize;

use super::Dialect;
use super::path::query;
use crate::error::{BodyError, Error, GatewayError};

/// Anthropic's page size where none is asked for, and its largest.
const ANTHROPIC_PAGE: (usize, usize) = (20, 1000);
/// Google's.
const GEMINI_PAGE: (usize, usize) = (50, 1000);
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// The list of models, or the page of it that `query` asks for. OpenAI's list has no pages.
///
/// # Errors
///
/// [`BodyError::FieldInvalid`] for a page size or position that is none.
pub fn models<'i>(
    dialect: Dialect,
    ids: impl IntoIterator<Item = &'i str>,
    query: Option<&str>,
) -> Result<Bytes, Error> {
    let ids: Vec<&str> = ids.into_iter().collect();
    let query = query.unwrap_or_default();
    match dialect {
        Dialect::Anthropic => anthropic(&ids, query),
        Dialect::Chat | Dialect::Responses => {
            let data = ids.iter().map(|id| OpenAiModel::new(id)).collect();
            json(&OpenAiList { object: "list", data })
        }
        Dialect::Gemini => gemini(&ids, query),
    }
}

/// One model.
///
/// # Errors
///
/// None that a client can cause.
pub fn model(dialect: Dialect, id: &str) -> Result<Bytes, Error> {
    match dialect {
        Dialect::Anthropic => json(&AnthropicModel::new(id)),
        Dialect::Chat | Dialect::Responses => json(&OpenAiModel::new(id)),
        Dialect::Gemini => json(&GeminiModel::new(id)),
    }
}

fn anthropic(ids: &[&str], query: &str) -> Result<Bytes, Error> {
    let want = "an integer from 1 to 1000";
    let limit = match size(query, "limit", ANTHROPIC_PAGE.0, want)? {
        n if n > ANTHROPIC_PAGE.1 => return Err(BodyError::FieldInvalid { field: "limit", want }.into()),
        n => n,
    };
    let after = position(ids, query, "after_id")?;
    let before = position(ids, query, "before_id")?;
    let (page, has_more) = match (after, before) {
        (Some(_), Some(_)) => {
            return Err(BodyError::FieldInvalid { field: "before_id", want: "absent beside after_id" }.into());
        }
        // Backwards: the page ends right in front of the position.
        (None, Some(end)) => (&ids[end.saturating_sub(limit)..end], end > limit),
        (after, None) => {
            let rest = &ids[after.map_or(0, |at| at + 1)..];
            (&rest[..limit.min(rest.len())], rest.len() > limit)
        }
    };
    let data: Vec<_> = page.iter().map(|id| AnthropicModel::new(id)).collect();
    json(&AnthropicList { has_more, first_id: page.first().copied(), last_id: page.last().copied(), data })
}

fn gemini(ids: &[&str], query: &str) -> Result<Bytes, Error> {
    // Google coerces larger sizes instead of refusing them.
    let limit = size(query, "pageSize", GEMINI_PAGE.0, "a positive integer")?.min(GEMINI_PAGE.1);
    let rest = &ids[position(ids, query, "pageToken")?.map_or(0, |at| at + 1)..];
    let page = &rest[..limit.min(rest.len())];
    let next = if rest.len() > limit { page.last().copied() } else { None };
    json(&GeminiList { models: page.iter().map(|id| GeminiModel::new(id)).collect(), next_page_token: next })
}

/// An empty value is an absent one: clients send what is not set as nothing.
fn parameter<'q>(query: &'q str, name: &str) -> Option<std::borrow::Cow<'q, str>> {
    query::value(query, name).filter(|value| !value.is_empty())
}

fn size(query: &str, field: &'static str, default: usize, want: &'static str) -> Result<usize, Error> {
    let Some(value) = parameter(query, field) else { return Ok(default) };
    match value.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(BodyError::FieldInvalid { field, want }.into()),
    }
}

/// Where the model named by a parameter stands. A position that is gone (a reload took the model out) is an error: to begin
/// anew would repeat models without end.
fn position(ids: &[&str], query: &str, field: &'static str) -> Result<Option<usize>, Error> {
    let Some(value) = parameter(query, field) else { return Ok(None) };
    match ids.iter().position(|id| *id == value) {
        Some(at) => Ok(Some(at)),
        None => Err(BodyError::FieldInvalid { field, want: "the id of a listed model" }.into()),
    }
}

fn json(body: &impl Serialize) -> Result<Bytes, Error> {
    match serde_json::to_vec(body) {
        Ok(bytes) => Ok(bytes.into()),
        Err(_) => Err(GatewayError::Internal { what: "a list of models does not serialise" }.into()),
    }
}

#[derive(Serialize)]
struct AnthropicList<'i> {
    data: Vec<AnthropicModel<'i>>,
    has_more: bool,
    first_id: Option<&'i str>,
    last_id: Option<&'i str>,
}

#[derive(Serialize)]
struct AnthropicModel<'i> {
    r#type: &'static str,
    id: &'i str,
    display_name: &'i str,
    created_at: &'static str,
}

impl<'i> AnthropicModel<'i> {
    fn new(id: &'i str) -> Self {
        Self { r#type: "model", id, display_name: id, created_at: EPOCH }
    }
}

#[derive(Serialize)]
struct OpenAiList<'i> {
    object: &'static str,
    data: Vec<OpenAiModel<'i>>,
}

#[derive(Serialize)]
struct OpenAiModel<'i> {
    id: &'i str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'i> OpenAiModel<'i> {
    fn new(id: &'i str) -> Self {
        Self { id, object: "model", created: 0, owned_by: "tollgate" }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiList<'i> {
    models: Vec<GeminiModel<'i>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<&'i str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GeminiModel<'i> {
    name: String,
    display_name: &'i str,
    supported_generation_methods: [&'static str; 2],
}

impl<'i> GeminiModel<'i> {
    fn new(id: &'i str) -> Self {
        Self {
            name: format!("models/{id}"),
            display_name: id,
            // Streaming goes without saying in Google's own list.
            supported_generation_methods: ["generateContent", "countTokens"],
        }
    }
}

#[cfg(test)]
mod tests;

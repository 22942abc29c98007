//! Everything that is answered without a model: lists of models, token counts, compaction.

use super::answer::id;
use super::dialect::responses;
use super::endpoint::Endpoint;
use super::json::{Json, object};
use super::script::Script;
use crate::protocol::Dialect;

/// The body for an endpoint; none if it is not one of these, or the model is not listed.
pub fn body(endpoint: &Endpoint, dialect: Dialect, script: &Script, created: u64) -> Option<Json> {
    let tokens = script.usage.prompt();
    Some(match endpoint {
        Endpoint::CountTokens => object! { "input_tokens": tokens },
        Endpoint::InputTokens => object! { "object": "response.input_tokens", "input_tokens": tokens },
        Endpoint::GeminiCountTokens => {
            let details = object! { "modality": "TEXT", "tokenCount": tokens };
            object! { "totalTokens": tokens, "promptTokensDetails": Json::array(&[details]) }
        }
        Endpoint::Compact => compaction(script, created),
        Endpoint::Models => models(dialect, &script.models),
        Endpoint::Model { model } => self::model(dialect, script.models.iter().find(|listed| *listed == model)?),
        _ => return None,
    })
}

fn compaction(script: &Script, created: u64) -> Json {
    let output = object! { "id": id("cmp_"), "type": "compaction", "encrypted_content": super::answer::PROOF };
    object! {
        "id": id("resp_"),
        "object": "response.compaction",
        "created_at": created,
        "output": Json::array(&[output]),
        "usage": responses::usage(&script.usage),
    }
}

fn models(dialect: Dialect, names: &[String]) -> Json {
    let all: Vec<Json> = names.iter().map(|name| model(dialect, name)).collect();
    let name = |name: Option<&String>| name.map_or_else(Json::null, Json::from);
    match dialect {
        Dialect::Anthropic => object! {
            "data": Json::array(&all),
            "has_more": false,
            "first_id": name(names.first()),
            "last_id": name(names.last()),
        },
        Dialect::Chat | Dialect::Responses => object! { "object": "list", "data": Json::array(&all) },
        Dialect::Gemini => object! { "models": Json::array(&all) },
    }
}

fn model(dialect: Dialect, name: &str) -> Json {
    match dialect {
        Dialect::Anthropic => object! {
            "type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z",
        },
        Dialect::Chat | Dialect::Responses => object! {
            "id": name, "object": "model", "created": 1_767_225_600u64, "owned_by": "simulator",
        },
        Dialect::Gemini => object! {
            "name": format!("models/{name}"),
            "displayName": name,
            "inputTokenLimit": 1_048_576u64,
            "outputTokenLimit": 65_536u64,
            "supportedGenerationMethods": Json::array(&["generateContent".into(), "countTokens".into()]),
        },
    }
}

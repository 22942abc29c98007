//! One file per dialect: reading a request, wording an answer.

pub mod anthropic;
pub mod chat;
pub mod gemini;
pub mod responses;

use super::answer::{Ask, Form, Reply};
use super::endpoint::Endpoint;
use super::script::Script;
use crate::protocol::Dialect;

/// What a request asks for, or why it cannot be read.
pub fn read(endpoint: &Endpoint, query: Option<&str>, body: &[u8], script: &Script) -> Result<Ask, String> {
    let ask = match endpoint {
        Endpoint::Messages => anthropic::read(body),
        Endpoint::Chat => chat::read(body),
        Endpoint::Responses => responses::read(body),
        Endpoint::Generate { model } => gemini::read(body, model, Form::Json),
        Endpoint::StreamGenerate { model } => {
            let events = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
            gemini::read(body, model, if events { Form::Events } else { Form::Array })
        }
        _ => return Err("this path gives no answers".to_owned()),
    };
    let mut ask = ask.map_err(|error| format!("the body cannot be read: {error}"))?;
    if ask.model.is_empty() {
        return Err("model: a name is required".to_owned());
    }
    if script.tools == super::script::Tools::Ignore {
        ask.step = super::scenario::Step::Script;
    }
    Ok(ask)
}

/// The events of an answer, each with its framing; of a JSON answer there is one.
pub fn write(dialect: Dialect, reply: &Reply<'_>) -> Vec<String> {
    match dialect {
        Dialect::Anthropic => anthropic::write(reply),
        Dialect::Chat => chat::write(reply),
        Dialect::Responses => responses::write(reply),
        Dialect::Gemini => gemini::write(reply),
    }
}

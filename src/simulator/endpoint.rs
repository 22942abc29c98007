//! Paths, recognised by their tail: whatever prefix a base URL has, the provider behind it is the same.

use http::{HeaderMap, Method, header};

use crate::protocol::Dialect;

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST …/messages`
    Messages,
    /// `POST …/messages/count_tokens`
    CountTokens,
    /// `POST …/chat/completions`
    Chat,
    /// `POST …/responses`
    Responses,
    /// `GET …/responses` with an `upgrade` header: the WebSocket mode.
    WebSocket,
    /// `POST …/responses/compact`
    Compact,
    /// `POST …/responses/input_tokens`
    InputTokens,
    /// `POST …/models/{model}:generateContent`
    Generate {
        /// From the path.
        model: String,
    },
    /// `POST …/models/{model}:streamGenerateContent`
    StreamGenerate {
        /// From the path.
        model: String,
    },
    /// `POST …/models/{model}:countTokens`
    GeminiCountTokens,
    /// `POST …/embeddings`
    Embeddings,
    /// `POST …/models/{model}:embedContent`
    EmbedContent,
    /// `POST …/models/{model}:batchEmbedContents`
    BatchEmbedContents,
    /// `GET …/models`
    Models,
    /// `GET …/models/{model}`
    Model {
        /// From the path.
        model: String,
    },
    /// `HEAD …/api/hello`, which Claude Code sends when it starts.
    Hello,
    /// `GET /__stats`
    Stats,
    /// `POST /__script`
    Script,
    /// `POST /__hurry`
    Hurry,
    /// None of these.
    Unknown,
}

impl Endpoint {
    /// What a request calls, and the dialect in which it is to be refused.
    pub fn of(method: &Method, path: &str, headers: &HeaderMap) -> (Self, Dialect) {
        let path = path.trim_end_matches('/');
        let endpoint = match *method {
            Method::POST => posted(path),
            Method::GET | Method::HEAD => read(path, headers),
            _ => Self::Unknown,
        };
        let dialect = endpoint.dialect().unwrap_or_else(|| dialect_of(path, headers));
        (endpoint, dialect)
    }

    /// Whether it gives answers, as a model does.
    pub const fn gives_answers(&self) -> bool {
        matches!(
            self,
            Self::Messages | Self::Chat | Self::Responses | Self::Generate { .. } | Self::StreamGenerate { .. }
        )
    }

    /// Whether it is ours, not a provider's.
    pub const fn is_control(&self) -> bool {
        matches!(self, Self::Stats | Self::Script | Self::Hurry)
    }

    const fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Messages | Self::CountTokens | Self::Hello => Some(Dialect::Anthropic),
            Self::Chat | Self::Embeddings => Some(Dialect::Chat),
            Self::Responses | Self::WebSocket | Self::Compact | Self::InputTokens => Some(Dialect::Responses),
            Self::Generate { .. }
            | Self::StreamGenerate { .. }
            | Self::GeminiCountTokens
            | Self::EmbedContent
            | Self::BatchEmbedContents => Some(Dialect::Gemini),
            Self::Models | Self::Model { .. } | Self::Stats | Self::Script | Self::Hurry | Self::Unknown => None,
        }
    }
}

fn posted(path: &str) -> Endpoint {
    // A model's name may hold slashes.
    if let Some((model, verb)) = path.rsplit_once("/models/").and_then(|(_, name)| name.rsplit_once(':')) {
        let model = model.to_owned();
        return match verb {
            "generateContent" => Endpoint::Generate { model },
            "streamGenerateContent" => Endpoint::StreamGenerate { model },
            "countTokens" => Endpoint::GeminiCountTokens,
            "embedContent" => Endpoint::EmbedContent,
            "batchEmbedContents" => Endpoint::BatchEmbedContents,
            _ => Endpoint::Unknown,
        };
    }
    let tails = [
        ("/messages", Endpoint::Messages),
        ("/messages/count_tokens", Endpoint::CountTokens),
        ("/chat/completions", Endpoint::Chat),
        ("/embeddings", Endpoint::Embeddings),
        ("/responses", Endpoint::Responses),
        ("/responses/compact", Endpoint::Compact),
        ("/responses/input_tokens", Endpoint::InputTokens),
        ("/__script", Endpoint::Script),
        ("/__hurry", Endpoint::Hurry),
    ];
    tails.into_iter().find(|(tail, _)| path.ends_with(tail)).map_or(Endpoint::Unknown, |(_, endpoint)| endpoint)
}

fn read(path: &str, headers: &HeaderMap) -> Endpoint {
    if path.ends_with("/responses") && headers.contains_key(header::UPGRADE) {
        return Endpoint::WebSocket;
    }
    if path.ends_with("/models") {
        return Endpoint::Models;
    }
    if let Some((_, model)) = path.rsplit_once("/models/") {
        return Endpoint::Model { model: model.to_owned() };
    }
    match path {
        "/__stats" => Endpoint::Stats,
        _ if path.ends_with("/api/hello") => Endpoint::Hello,
        _ => Endpoint::Unknown,
    }
}

/// From what the providers' clients send beside the path.
fn dialect_of(path: &str, headers: &HeaderMap) -> Dialect {
    if headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else if path.contains("/v1beta") || headers.contains_key("x-goog-api-key") {
        Dialect::Gemini
    } else {
        Dialect::Chat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(method: &str, path: &str, want: Endpoint, dialect: Dialect) {
        let method = method.parse().unwrap();
        assert_eq!(Endpoint::of(&method, path, &HeaderMap::new()), (want, dialect), "{method} {path}");
    }

    #[test]
    fn tails() {
        is("POST", "/v1/messages", Endpoint::Messages, Dialect::Anthropic);
        is("POST", "/t/team/anthropic/v1/messages/", Endpoint::Messages, Dialect::Anthropic);
        is("POST", "/v1/messages/count_tokens", Endpoint::CountTokens, Dialect::Anthropic);
        is("POST", "/openai/v1/chat/completions", Endpoint::Chat, Dialect::Chat);
        is("POST", "/backend-api/codex/responses", Endpoint::Responses, Dialect::Responses);
        is("POST", "/v1/responses/compact", Endpoint::Compact, Dialect::Responses);
        let model = || "a/b:c".to_owned();
        is("POST", "/v1beta/models/a/b:c:generateContent", Endpoint::Generate { model: model() }, Dialect::Gemini);
        is("POST", "/models/a/b:c:streamGenerateContent", Endpoint::StreamGenerate { model: model() }, Dialect::Gemini);
        is("POST", "/v1beta/models/m:embedContent", Endpoint::EmbedContent, Dialect::Gemini);
        is("POST", "/v1beta/models/m:batchEmbedContents", Endpoint::BatchEmbedContents, Dialect::Gemini);
        is("POST", "/v1beta/models/m:predict", Endpoint::Unknown, Dialect::Gemini);
        is("POST", "/openai/v1/embeddings", Endpoint::Embeddings, Dialect::Chat);
        is("GET", "/v1/models", Endpoint::Models, Dialect::Chat);
        is("GET", "/v1beta/models", Endpoint::Models, Dialect::Gemini);
        is("GET", "/v1/models/m", Endpoint::Model { model: "m".into() }, Dialect::Chat);
        is("HEAD", "/api/hello", Endpoint::Hello, Dialect::Anthropic);
        is("GET", "/v1/messages", Endpoint::Unknown, Dialect::Chat);
        is("GET", "/v1/responses", Endpoint::Unknown, Dialect::Chat);
        is("POST", "/other", Endpoint::Unknown, Dialect::Chat);
    }

    #[test]
    fn an_upgrade_is_the_websocket() {
        let headers = HeaderMap::from_iter([(header::UPGRADE, "websocket".parse().unwrap())]);
        assert_eq!(Endpoint::of(&Method::GET, "/v1/responses", &headers).0, Endpoint::WebSocket);
    }
}

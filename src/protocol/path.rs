//! A request line -> what is called, in which dialect.
//!
//! Base URLs are where set-ups go wrong most: the `/v1` is forgotten or doubled, a provider's prefix is kept, the whole
//! endpoint is pasted. What is meant is never in doubt, so all of these arrive. The path is read as a sequence of segments:
//! any number of prefixes that mean nothing by themselves (`/anthropic`, `/openai`, `/genai`, `/backend-api/codex`,
//! `/t/<team>`, an API version), then one API.
//!
//! Invariant: what is not recognised whole is refused; nothing is forwarded because it merely begins or ends like an API.
//! Deliberately not here: `[[mount]]` prefixes (stripped by the caller, who knows the configuration), and whether the team
//! in `/t/<team>` is the key's (it is a claim).

pub mod query;

use std::borrow::Cow;
use std::fmt::Write as _;

use http::Method;

pub use query::{forward_query, redact_query};

use super::{Dialect, Endpoint, unmetered};
use crate::error::RequestError;
use crate::message::{Fields, Name};

/// Sent by every Anthropic client, and by nobody else (<https://docs.anthropic.com/en/api/versioning>).
pub const ANTHROPIC_VERSION: Name = Name::new("anthropic-version");
const UPGRADE: Name = Name::new("upgrade");

/// Longest model name or team claim that is believed to be one, in bytes.
const MAX_NAME: usize = 256;
/// Longest part of an unknown path that is kept for the answer and the log, in bytes.
const MAX_ECHO: usize = 256;
/// Longest id of something stored, in bytes.
const MAX_ID: usize = 256;
/// The version that Google's own clients use, for a client that named none.
const GEMINI_VERSION: &str = "v1beta";

/// What a request line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<'p> {
    /// What is called.
    pub endpoint: Endpoint,
    /// The API it belongs to: the shape of every answer.
    pub dialect: Dialect,
    /// The model that the path names, percent-decoded: Gemini's calls and `GET …/models/{id}`. May hold `/`, never a dot
    /// segment or a control character.
    pub model: Option<Cow<'p, str>>,
    /// The id of what is stored that the path names: plain characters, never a dot segment.
    pub object: Option<&'p str>,
    /// The path at the provider, where it is one that is passed on as it is.
    pub rest: Option<String>,
    /// The API version to ask Gemini for: the last one in the path (`v1`, `v1beta`, `v1alpha`), or Google's default.
    pub version: &'static str,
    /// `/t/<team>`: which team the client believes to belong to.
    pub team_claim: Option<&'p str>,
}

/// Finds what is called. `path` is without query and without any mount.
///
/// `headers` are asked only where the path leaves something open: whose shape `GET /v1/models` is to have, and whether a
/// `GET /v1/responses` wants a WebSocket.
///
/// # Errors
///
/// [`RequestError::PathUnknown`] where no API lives, or the model in the path cannot be one; [`RequestError::Unmetered`]
/// where one lives whose use cannot be counted;
/// [`RequestError::MethodNotAllowed`] for an API that takes another method; [`RequestError::UpgradeRefused`] for Codex's
/// WebSocket, which must hear 426 whatever its key is.
pub fn locate<'p>(method: &Method, path: &'p str, fields: &Fields) -> Result<Located<'p>, RequestError> {
    let Some(parsed) = parse(path) else { return elsewhere(method, path, fields) };
    let (endpoint, dialect) = match parsed.api {
        Api::Messages => (Endpoint::Messages, Dialect::Anthropic),
        Api::CountTokens => (Endpoint::CountTokens, Dialect::Anthropic),
        Api::ChatCompletions => (Endpoint::ChatCompletions, Dialect::Chat),
        Api::Embeddings => (Endpoint::Embeddings, Dialect::Chat),
        Api::Responses => (Endpoint::Responses, Dialect::Responses),
        Api::Compact => (Endpoint::Compact, Dialect::Responses),
        Api::InputTokens => (Endpoint::InputTokens, Dialect::Responses),
        Api::Stored(id, part) => return parsed.stored(method, id, part),
        Api::Hello => (Endpoint::Hello, Dialect::Anthropic),
        Api::Models => (Endpoint::Models, parsed.listing_dialect(fields)),
        Api::Usage => (Endpoint::Usage, parsed.listing_dialect(fields)),
        Api::Model(raw) => return parsed.model(method, raw, path, fields),
    };
    let allow = match endpoint {
        Endpoint::Models | Endpoint::Usage | Endpoint::Hello => "GET",
        _ => "POST",
    };
    if !takes(allow, method) {
        if endpoint == Endpoint::Responses && method == Method::GET && fields.contains(UPGRADE) {
            return Err(RequestError::UpgradeRefused);
        }
        return Err(RequestError::MethodNotAllowed { allow });
    }
    Ok(parsed.located(endpoint, dialect, None))
}

/// The shape in which to refuse a path, known or not: what its segments hint at, else what the client's headers say, else
/// OpenAI's.
#[must_use]
pub fn dialect_guess(path: &str, has_anthropic_version: bool) -> Dialect {
    let mut guess = None;
    for segment in path.split('/') {
        match segment {
            "messages" | "complete" => return Dialect::Anthropic,
            "chat" | "completions" | "embeddings" => return Dialect::Chat,
            "responses" => return Dialect::Responses,
            "cachedContents" => return Dialect::Gemini,
            "anthropic" => guess = Some(Dialect::Anthropic),
            "openai" => guess = Some(Dialect::Chat),
            "backend-api" => guess = Some(Dialect::Responses),
            "genai" | "v1beta" | "v1alpha" => guess = Some(Dialect::Gemini),
            _ if segment.rsplit_once(':').is_some_and(|(_, action)| gemini_action(action).is_some()) => {
                return Dialect::Gemini;
            }
            _ => {}
        }
    }
    match guess {
        Some(Dialect::Gemini | Dialect::Anthropic) => guess.unwrap_or(Dialect::Chat),
        _ if has_anthropic_version => Dialect::Anthropic,
        _ => guess.unwrap_or(Dialect::Chat),
    }
}

/// The path under which a provider serves an endpoint, to be put behind the provider's prefix.
///
/// `version` matters to Gemini only. `name` is Gemini's model, or the id of what is stored; it becomes one path segment
/// (RFC 3986 section 3.3), whatever it holds. For what is unmetered it is the whole path, made of plain segments.
#[must_use]
pub fn upstream_path(endpoint: Endpoint, version: &str, name: &str) -> Cow<'static, str> {
    let action = match endpoint {
        Endpoint::Messages => return Cow::Borrowed("/v1/messages"),
        Endpoint::CountTokens => return Cow::Borrowed("/v1/messages/count_tokens"),
        Endpoint::ChatCompletions => return Cow::Borrowed("/v1/chat/completions"),
        Endpoint::Embeddings => return Cow::Borrowed("/v1/embeddings"),
        Endpoint::Responses => return Cow::Borrowed("/v1/responses"),
        Endpoint::Compact => return Cow::Borrowed("/v1/responses/compact"),
        Endpoint::InputTokens => return Cow::Borrowed("/v1/responses/input_tokens"),
        Endpoint::Models => return Cow::Borrowed("/v1/models"),
        Endpoint::Usage => return Cow::Borrowed("/v1/usage"),
        Endpoint::Hello => return Cow::Borrowed("/api/hello"),
        Endpoint::Unmetered(_) => return Cow::Owned(name.to_owned()),
        Endpoint::Model => return Cow::Owned(named_path(["/", "v1", "/models/"], name, "")),
        Endpoint::Response | Endpoint::DeleteResponse => {
            return Cow::Owned(named_path(["/v1/responses/", "", ""], name, ""));
        }
        Endpoint::CancelResponse => return Cow::Owned(named_path(["/v1/responses/", "", ""], name, "/cancel")),
        Endpoint::ResponseItems => return Cow::Owned(named_path(["/v1/responses/", "", ""], name, "/input_items")),
        Endpoint::Generate => ":generateContent",
        Endpoint::StreamGenerate => ":streamGenerateContent",
        Endpoint::GeminiCountTokens => ":countTokens",
        Endpoint::EmbedContent => ":embedContent",
        Endpoint::BatchEmbedContents => ":batchEmbedContents",
    };
    Cow::Owned(named_path(["/", version, "/models/"], name, action))
}

fn named_path(before: [&str; 3], name: &str, behind: &str) -> String {
    let before_len: usize = before.iter().map(|part| part.len()).sum();
    let mut path = String::with_capacity(before_len + name.len() + behind.len());
    before.iter().for_each(|part| path.push_str(part));
    if name.bytes().all(stays) {
        path.push_str(name);
    } else {
        for byte in name.bytes() {
            if stays(byte) {
                path.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    path.push_str(behind);
    path
}

/// Unreserved, or a `pchar` that model names do use.
fn stays(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'@')
}

/// A path, understood.
struct Parsed<'p> {
    api: Api<'p>,
    below: Option<Below>,
    version: Option<&'static str>,
    team: Option<&'p str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Api<'p> {
    Messages,
    CountTokens,
    ChatCompletions,
    Embeddings,
    Responses,
    Compact,
    InputTokens,
    /// A stored response, by its id, and what of it.
    Stored(&'p str, Part),
    Hello,
    Usage,
    Models,
    /// What stands behind `models/`, without slashes at the end.
    Model(&'p str),
}

/// What stands behind a stored response's id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Cancel,
    Items,
}

impl<'p> Api<'p> {
    /// Whether its path goes on from the other's.
    fn is_below(self, other: Self) -> bool {
        matches!(
            (other, self),
            (Api::Messages, Api::CountTokens)
                | (Api::Responses, Api::Compact | Api::InputTokens | Api::Stored(..))
                | (Api::Stored(_, Part::Whole), Api::Stored(..))
        )
    }

    /// What a segment that means nothing by itself is behind this.
    fn below(self, segment: &'p str) -> Option<Self> {
        match (self, segment) {
            (Api::Responses, id) if is_id(id) => Some(Api::Stored(id, Part::Whole)),
            (Api::Stored(id, Part::Whole), "cancel") => Some(Api::Stored(id, Part::Cancel)),
            (Api::Stored(id, Part::Whole), "input_items") => Some(Api::Stored(id, Part::Items)),
            _ => None,
        }
    }
}

/// Without escapes: no provider needs one, and so nobody can read an id in another way than we do.
pub(super) fn is_id(id: &str) -> bool {
    id.len() <= MAX_ID
        && !matches!(id, "." | "..")
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
}

/// A prefix that says which family of clients came this way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Anthropic,
    OpenAi,
    Gemini,
    Codex,
}

fn parse(path: &str) -> Option<Parsed<'_>> {
    let mut rest = path;
    let (mut below, mut version, mut team, mut earlier) = (None, None, None, None);
    let api = loop {
        let api = match next(&mut rest)? {
            "v1" => {
                version = Some("v1");
                continue;
            }
            "v1beta" => {
                version = Some("v1beta");
                continue;
            }
            "v1alpha" => {
                version = Some("v1alpha");
                continue;
            }
            "messages" => Api::Messages,
            "count_tokens" if earlier == Some(Api::Messages) => Api::CountTokens,
            "responses" => Api::Responses,
            "compact" if earlier == Some(Api::Responses) => Api::Compact,
            "input_tokens" if earlier == Some(Api::Responses) => Api::InputTokens,
            "embeddings" => Api::Embeddings,
            "chat" if goes_on(&mut rest, "completions") => Api::ChatCompletions,
            "usage" => Api::Usage,
            "models" => {
                let id = rest.trim_matches('/');
                break if id.is_empty() { Api::Models } else { Api::Model(id) };
            }
            "anthropic" => {
                below = Some(Below::Anthropic);
                continue;
            }
            "openai" => {
                below = Some(Below::OpenAi);
                continue;
            }
            "genai" => {
                below = Some(Below::Gemini);
                continue;
            }
            "backend-api" if goes_on(&mut rest, "codex") => {
                below = Some(Below::Codex);
                continue;
            }
            "t" => {
                let claim = next(&mut rest).filter(|claim| claim.len() <= MAX_NAME)?;
                if team.is_some_and(|team| team != claim) {
                    return None;
                }
                team = Some(claim);
                continue;
            }
            "api" if goes_on(&mut rest, "hello") => Api::Hello,
            segment => earlier?.below(segment)?,
        };
        // The same API twice is a base URL that was pasted whole (`/v1/messages` + `/v1/messages`). Two APIs are nonsense.
        if earlier.is_some_and(|earlier| earlier != api && !api.is_below(earlier)) {
            return None;
        }
        if rest.bytes().all(|byte| byte == b'/') {
            break api;
        }
        earlier = Some(api);
    };
    Some(Parsed { api, below, version, team })
}

/// The next segment that is not empty.
fn next<'p>(rest: &mut &'p str) -> Option<&'p str> {
    let from = rest.bytes().position(|byte| byte != b'/')?;
    let path = &rest[from..];
    let to = memchr::memchr(b'/', path.as_bytes()).unwrap_or(path.len());
    *rest = &path[to..];
    Some(&path[..to])
}

/// Whether this is the next segment, which is then taken. Another one stays, to be recognised or not.
fn goes_on(rest: &mut &str, with: &str) -> bool {
    let mut behind = *rest;
    let it_does = next(&mut behind) == Some(with);
    if it_does {
        *rest = behind;
    }
    it_does
}

impl<'p> Parsed<'p> {
    fn located(&self, endpoint: Endpoint, dialect: Dialect, model: Option<Cow<'p, str>>) -> Located<'p> {
        let version = self.version.unwrap_or(GEMINI_VERSION);
        Located { endpoint, dialect, model, object: None, rest: None, version, team_claim: self.team }
    }

    fn stored(&self, method: &Method, id: &'p str, part: Part) -> Result<Located<'p>, RequestError> {
        let (endpoint, allow) = match part {
            Part::Whole if method == Method::DELETE => (Endpoint::DeleteResponse, "GET, DELETE"),
            Part::Whole => (Endpoint::Response, "GET, DELETE"),
            Part::Cancel => (Endpoint::CancelResponse, "POST"),
            Part::Items => (Endpoint::ResponseItems, "GET"),
        };
        if method.as_str() != endpoint.method() {
            return Err(RequestError::MethodNotAllowed { allow });
        }
        Ok(Located { object: Some(id), ..self.located(endpoint, Dialect::Responses, None) })
    }

    /// Everybody's clients list models at `/v1/models`, each expecting a shape of its own.
    fn listing_dialect(&self, fields: &Fields) -> Dialect {
        match self.below {
            Some(Below::Anthropic) => return Dialect::Anthropic,
            Some(Below::Gemini) => return Dialect::Gemini,
            Some(Below::OpenAi | Below::Codex) | None => {}
        }
        if matches!(self.version, Some("v1beta" | "v1alpha")) {
            Dialect::Gemini
        } else if fields.contains(ANTHROPIC_VERSION) {
            Dialect::Anthropic
        } else if self.below == Some(Below::Codex) {
            Dialect::Responses
        } else {
            Dialect::Chat
        }
    }

    /// `…/models/{id}` and `…/models/{id}:{action}`.
    fn model(
        &self,
        method: &Method,
        raw: &'p str,
        path: &'p str,
        fields: &Fields,
    ) -> Result<Located<'p>, RequestError> {
        // Google's SDKs accept `models/x` as the name of `x`, and some send it on as it is.
        let raw = raw.strip_prefix("models/").unwrap_or(raw);
        let Some(name) = model_name(raw) else { return Err(unknown(path)) };
        // Behind no model there is no action, whatever the method.
        let colon = name.rfind(':').filter(|colon| *colon > 0);
        let action = colon.and_then(|colon| Some((colon, gemini_action(&name[colon + 1..])?)));
        match action {
            Some((colon, endpoint)) if method == Method::POST => {
                let model = match name {
                    Cow::Borrowed(name) => Cow::Borrowed(&name[..colon]),
                    Cow::Owned(mut name) => {
                        name.truncate(colon);
                        Cow::Owned(name)
                    }
                };
                Ok(self.located(endpoint, Dialect::Gemini, Some(model)))
            }
            Some(_) => Err(RequestError::MethodNotAllowed { allow: "POST" }),
            None if takes("GET", method) => Ok(self.located(Endpoint::Model, self.listing_dialect(fields), Some(name))),
            // An action of Gemini's that we do not serve is a path that we do not know.
            None if method == Method::POST && name.contains(':') => elsewhere(method, path, fields),
            None => Err(RequestError::MethodNotAllowed { allow: "GET" }),
        }
    }
}

fn gemini_action(action: &str) -> Option<Endpoint> {
    match action {
        "generateContent" => Some(Endpoint::Generate),
        "streamGenerateContent" => Some(Endpoint::StreamGenerate),
        "countTokens" => Some(Endpoint::GeminiCountTokens),
        "embedContent" => Some(Endpoint::EmbedContent),
        "batchEmbedContents" => Some(Endpoint::BatchEmbedContents),
        _ => None,
    }
}

/// Whoever takes GET takes HEAD (RFC 9110 section 9.3.2).
fn takes(allow: &str, method: &Method) -> bool {
    method.as_str() == allow || (allow == "GET" && method == Method::HEAD)
}

/// Percent-decodes a model name. `None` for what no provider calls a model: such a name could only be meant to reach
/// another path of the upstream, or to forge a log line.
fn model_name(raw: &str) -> Option<Cow<'_, str>> {
    if raw.len() > MAX_NAME {
        return None;
    }
    let name = match query::decode(raw.as_bytes())? {
        Cow::Borrowed(_) => Cow::Borrowed(raw),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).ok()?),
    };
    if name.chars().any(char::is_control) || name.contains('\\') {
        return None;
    }
    let plain = name.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    plain.then_some(name)
}

/// A path that is none of those that are counted.
fn elsewhere<'p>(method: &Method, path: &'p str, fields: &Fields) -> Result<Located<'p>, RequestError> {
    unmetered::locate(method, path, fields).unwrap_or_else(|| Err(unknown(path)))
}

fn unknown(path: &str) -> RequestError {
    RequestError::PathUnknown { path: path[..path.floor_char_boundary(MAX_ECHO)].into() }
}

#[cfg(test)]
mod tests;

//! The file as the operator writes it.
//!
//! Invariant: unknown fields are errors, every value knows its place, and nothing here acts: meaning, defaults and bounds
//! are [`super::compile`]'s. The comments are what `tollgate schema` prints as descriptions, so they speak to operators.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub mod accounts;
pub mod price;

pub use accounts::{Budget, BudgetDefaults, Limit, Mode, Organisation, Owner, Team, TeamAgent, Webhook};

use super::units::{Address, At, Expiry, HeaderText, Secret, Size, Time};

/// Tollgate's configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tollgate configuration")]
pub struct Config {
    /// Version of this format: 1.
    #[schemars(required, extend("const" = 1))]
    pub version: Option<At<u64>>,
    /// Where Tollgate listens. Takes effect at a restart.
    #[serde(default)]
    pub listen: Listen,
    /// Bounds on requests.
    #[serde(default)]
    pub limits: Limits,
    /// How long clients and providers may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The way to the providers.
    #[serde(default)]
    pub upstream: Upstream,
    /// What is logged, and where to. Takes effect at a restart.
    #[serde(default)]
    pub log: Log,
    /// What is kept over a restart. Takes effect at a restart.
    #[serde(default)]
    pub state: State,
    /// What of the usage is kept, and where. Takes effect at a restart.
    #[serde(default)]
    pub ledger: Ledger,
    /// The upstreams.
    #[serde(default)]
    pub provider: Vec<At<Provider>>,
    /// Which model goes where. A model that no entry names is refused.
    #[serde(default)]
    pub model: Vec<At<Model>>,
    /// What models cost where it is not as listed (`tollgate price` shows what holds).
    #[serde(default)]
    pub price: Vec<At<price::Price>>,
    /// Which provider gets the calls that cannot be counted, of keys with `allow_unmetered`.
    #[serde(default)]
    pub unmetered: Unmetered,
    /// Who may call. Without an entry nobody may.
    #[serde(default)]
    pub key: Vec<At<Key>>,
    /// What all budgets have alike.
    #[serde(default)]
    pub budget: BudgetDefaults,
    /// Developers that are held to limits and budgets.
    #[serde(default)]
    pub owner: Vec<At<Owner>>,
    /// Teams that are held to limits and budgets.
    #[serde(default)]
    pub team: Vec<At<Team>>,
    /// Organisations that are held to limits and budgets.
    #[serde(default)]
    pub organisation: Vec<At<Organisation>>,
    /// Path prefixes with a meaning of their own.
    #[serde(default)]
    pub mount: Vec<At<Mount>>,
}

/// Where Tollgate listens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port for agents. Default: 127.0.0.1:8080. Another address than loopback needs `tls` or `behind_proxy`.
    pub address: Option<At<Address>>,
    /// Address and port for operators: health, metrics, reload. Default: 127.0.0.1:8081.
    pub admin: Option<At<Address>>,
    /// Threads that serve, 1 to 1024. Default: one per core.
    pub workers: Option<At<u64>>,
    /// Client connections at one time, over all workers. Default: 16384.
    pub max_connections: Option<At<u64>>,
    /// From a connection's beginning, TLS included, to the end of its first request's head. A later request's must be complete
    /// within `idle_timeout`. Default: 15s.
    pub header_timeout: Option<At<Time>>,
    /// How long a connection may idle between two requests. Default: 5m.
    pub idle_timeout: Option<At<Time>>,
    /// How long streams in flight may go on once Tollgate was told to stop. Default: 30s.
    pub drain: Option<At<Time>>,
    /// A proxy that ends TLS stands in front, so other addresses than loopback are fine. Default: false.
    #[serde(default)]
    pub behind_proxy: bool,
    /// Addresses and networks, such as "10.0.0.0/8", of the proxies in front: from them alone `x-forwarded-for` is believed
    /// (for the log and for the limit on failed keys). Default: none.
    #[serde(default)]
    pub trusted_proxies: Vec<At<String>>,
    /// Those proxies begin each connection with a header of the PROXY protocol, version 2, and nobody else may connect.
    /// Default: false.
    #[serde(default)]
    pub proxy_protocol: Option<At<bool>>,
    /// A socket file through which a starting Tollgate takes the listening sockets over from a running one, which then
    /// finishes what it has begun: an upgrade without a refused connection. Relative to the folder of the configuration.
    /// Default: none.
    #[schemars(with = "Option<PathBuf>")]
    pub handover: Option<At<PathBuf>>,
    /// TLS on `address`, with HTTP/2 and HTTP/1.1. Without it agents speak HTTP/1.1 in clear text. Its files are read again
    /// when they change.
    pub tls: Option<At<ListenTls>>,
}

/// TLS towards agents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenTls {
    /// PEM file with the certificate and those between it and its authority.
    #[schemars(with = "PathBuf")]
    pub certificate: At<PathBuf>,
    /// PEM file with its private key.
    #[schemars(with = "PathBuf")]
    pub key: At<PathBuf>,
    /// PEM file with the authorities of clients' certificates: with it, only clients that have one may connect (mTLS), and
    /// they still need a key.
    #[schemars(with = "Option<PathBuf>")]
    pub client_ca: Option<At<PathBuf>>,
}

/// Bounds on requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest request body, in bytes. Default: 32MiB.
    pub request_body: Option<At<Size>>,
    /// All request bodies held at one time, in bytes. Default: 1GiB.
    pub inflight_bodies: Option<At<Size>>,
    /// Requests under way at one time, shared out evenly over the workers; beyond it they are told to come back in a
    /// second (503). Default: 10000.
    pub inflight_requests: Option<At<u64>>,
    /// Unknown keys that one address (IPv6: one /64) may show within a minute before it is told to wait (429); a valid key
    /// passes all the same. 0: any number. Default: 300.
    pub failed_keys: Option<At<u64>>,
    /// How often one session may have the very same body answered within a minute, before it is refused as a loop (one more
    /// may pass). Only where the agent names its session. 0: any number. Default: 30.
    pub repeats: Option<At<u64>>,
    /// Ids whose owner is remembered, the newest: so many of responses and their items, and as many of files, batches and
    /// whatever else providers keep; 1 to 10000000. Takes effect at a restart. Default:
    /// 100000.
    pub response_ids: Option<At<u64>>,
}

/// What is kept over a restart.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The folder to keep it in, relative to that of this file. Default: $STATE_DIRECTORY, else tollgate in $XDG_STATE_HOME
    /// or ~/.local/state.
    #[schemars(with = "Option<PathBuf>")]
    pub directory: Option<At<PathBuf>>,
}

/// What of the usage is kept, and where.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The database, an SQLite file, relative to the folder of this file. Default: usage.db in the folder of [state].
    #[schemars(with = "Option<PathBuf>")]
    pub path: Option<At<PathBuf>>,
    /// How long single calls are kept, at least 32d; their sums by hour and day stay. Default: 90d.
    pub retention: Option<At<Time>>,
    /// What happens to calls whose usage cannot be written down, because the disk is full, say: serve or refuse. Default:
    /// serve.
    pub on_full: Option<OnFull>,
    /// What may wait on disk for the database, at least 1MiB; beyond it `on_full` says what happens. Default: 1GiB.
    pub journal_max: Option<At<Size>>,
}

/// What happens to calls whose usage cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFull {
    /// They are served; what finds no room in memory is lost, and counted.
    Serve,
    /// They are refused (503) until there is room.
    Refuse,
}

/// How long clients and providers may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Between two pieces of a client's request body. Default: 30s.
    pub body: Option<At<Time>>,
    /// Silence inside a stream after which the client gets a keep-alive, where its API has one; 0s: never. Default: 15s.
    pub keepalive: Option<At<Time>>,
    /// To connect to a provider, TLS included. Default: 10s.
    pub connect: Option<At<Time>>,
    /// From the request's last byte to the head of the provider's answer. Default: 10m.
    pub first_byte: Option<At<Time>>,
    /// Between two pieces of a provider's answer. Default: 5m.
    pub idle: Option<At<Time>>,
}

/// The way to the providers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Proxy that is asked (CONNECT) for every connection, as in "<http://proxy.example:3128>"; with user and password it is a
    /// secret, { env = "NAME" } or { file = "path" }; "none": connect directly. Default: HTTPS_PROXY, HTTP_PROXY and ALL_PROXY
    /// of the environment. This machine is reached directly.
    pub proxy: Option<At<HeaderText>>,
    /// Who is reached without it: names (and all below them), addresses, networks such as "10.0.0.0/8", each perhaps with a
    /// :port; "*" is all. Default: NO_PROXY of the environment.
    pub no_proxy: Option<Vec<At<String>>>,
    /// How long an address from the system's resolver is as good as new, 1s to 1h. Default: 30s.
    pub dns_ttl: Option<At<Time>>,
}

/// What is logged, and where to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least important messages that are still written to standard error. Default: info.
    pub level: Option<Level>,
    /// How they are written. Default: text.
    pub format: Option<Format>,
    /// Where one JSON line per request goes: off, stdout, or a file. Default: off.
    pub access: Option<Access>,
}

/// How important a message is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// What does not work.
    Error,
    /// What may soon not work.
    Warn,
    /// What happens to the process.
    Info,
    /// What happens to each request.
    Debug,
    /// Everything.
    Trace,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To the end of this file, relative to the folder of the configuration.
    File(PathBuf),
}

/// An upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name here, in metrics and in logs.
    pub name: At<String>,
    /// What it is; sets `speaks`, `base_url` and `auth` for the well-known ones. Default: compatible.
    pub kind: Option<Kind>,
    /// The APIs it speaks. Needed for `kind = "compatible"`.
    pub speaks: Option<At<Vec<DialectName>>>,
    /// Where its APIs begin, as in "<https://api.groq.com/openai/v1>"; a trailing /v1 or /v1beta may stand or be left out.
    pub base_url: Option<At<String>>,
    /// Where the key is that it wants to see. Default: none is sent.
    pub credential: Option<At<Secret>>,
    /// The header that carries the key. Default: what each of its APIs wants.
    pub auth: Option<Auth>,
    /// Headers added to every request.
    #[serde(default)]
    pub headers: BTreeMap<String, At<HeaderText>>,
    /// Its own time-outs; what is left out is as in [timeouts].
    #[serde(default)]
    pub timeouts: ProviderTimeouts,
    /// A client that names its gateway key in `x-tollgate-key` may show a credential of its own, which then goes there in
    /// place of ours; without it, it is dropped. Default: false.
    #[serde(default)]
    pub client_credential: Option<At<bool>>,
    /// Chat streams that do not ask for their usage are made to (`stream_options.include_usage`), and the client does not see
    /// the chunk that it did not ask for. False where the provider refuses that, or tells its usage in any case. Default:
    /// true, but false for <https://api.mistral.ai>.
    pub usage_request: Option<bool>,
    /// Calls under way there at one time; beyond it they go elsewhere or are told to come back (503). Default: no limit.
    pub max_inflight: Option<At<u64>>,
    /// PEM file with certificate authorities to trust for it, besides the public ones.
    #[schemars(with = "Option<PathBuf>")]
    pub ca_file: Option<At<PathBuf>>,
    /// Its own proxy, whatever [upstream] and the environment say; "none": connect directly.
    pub proxy: Option<At<HeaderText>>,
    /// Connections that each worker opens at the start, 0 to 4. Default: 0.
    pub prewarm: Option<At<u64>>,
    /// Whose list prices hold for its models. Default: those of its `kind`, or of the vendor whose own public host `base_url`
    /// names; else none.
    pub prices: Option<At<PriceList>>,
}

/// Whose list prices hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PriceList {
    /// Anthropic's.
    Anthropic,
    /// OpenAI's.
    Openai,
    /// Those of Google's Gemini API.
    Gemini,
    /// DeepSeek's.
    Deepseek,
    /// Mistral's.
    Mistral,
    /// xAI's.
    Xai,
    /// Groq's.
    Groq,
    /// AWS Bedrock's, in us-east-1 and for its cross-region profiles.
    Bedrock,
    /// Those of Google's Vertex AI, global endpoint.
    Vertex,
    /// Azure OpenAI's, for global deployments that are named as their model.
    Azure,
    /// Nobody's: only what [[price]] says.
    None,
}

/// What a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Anthropic: speaks anthropic at <https://api.anthropic.com>.
    Anthropic,
    /// OpenAI: speaks chat and responses at <https://api.openai.com>.
    Openai,
    /// Google's Gemini API: speaks gemini at <https://generativelanguage.googleapis.com>.
    Gemini,
    /// Anything else that speaks one of their APIs: say `speaks` and `base_url`.
    Compatible,
}

/// An API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DialectName {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Gemini generateContent.
    Gemini,
}

/// The header that carries a provider's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`
    XApiKey,
    /// `x-goog-api-key: KEY`
    XGoogApiKey,
    /// `api-key: KEY`
    ApiKey,
    /// No header.
    None,
}

/// A provider's own time-outs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderTimeouts {
    /// To connect, TLS included.
    pub connect: Option<At<Time>>,
    /// From the request's last byte to the head of the answer.
    pub first_byte: Option<At<Time>>,
    /// Between two pieces of the answer.
    pub idle: Option<At<Time>>,
}

/// Which provider gets the calls that cannot be counted in tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmetered {
    /// Anthropic's: the name of a [[provider]] that speaks anthropic. Default: the only one that does.
    pub anthropic: Option<At<String>>,
    /// OpenAI's: the name of a [[provider]] that speaks chat. Default: the only one that does.
    pub openai: Option<At<String>>,
    /// Gemini's: the name of a [[provider]] that speaks gemini. Default: the only one that does.
    pub gemini: Option<At<String>>,
}

/// Where calls for a model go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name that clients ask for; one `*` stands for any text. An exact name wins over a pattern, and a longer pattern
    /// over a shorter one.
    pub name: At<String>,
    /// Further names for the same, without `*`.
    #[serde(default)]
    pub aliases: Vec<At<String>>,
    /// Who answers: the name of a [[provider]].
    pub provider: At<String>,
    /// The name the provider knows it by; its `*` is what the `*` of `name` stood for. Default: the name asked for.
    pub upstream_model: Option<At<String>>,
    /// Only for calls in these APIs. Default: all that the provider speaks.
    #[serde(default)]
    pub dialects: Vec<At<DialectName>>,
    /// Bounds on use, whoever asks for it.
    #[serde(default)]
    pub limits: Vec<At<Limit>>,
    /// Money, whoever asks for it; what was spent is not remembered over a restart.
    #[serde(default)]
    pub budgets: Vec<At<Budget>>,
}

/// A virtual key: what an agent shows to Tollgate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name in metrics, logs and refusals.
    pub name: At<String>,
    /// The developer it belongs to.
    pub owner: Option<At<String>>,
    /// The team it belongs to.
    pub team: Option<At<String>>,
    /// Where the key is, for keys that you chose yourself: at least 16 characters. Either this or `sha256`.
    pub secret: Option<At<Secret>>,
    /// SHA-256 of the key, in hex, as `tollgate key new` prints it. Either this or `secret`.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<At<String>>,
    /// What the key was before it was rotated (`tollgate key rotate`): works on until the moment given.
    #[serde(default)]
    pub previous: Vec<At<Previous>>,
    /// The agents it works for. Default: all.
    #[serde(default)]
    pub agents: Vec<At<AgentName>>,
    /// The models it may use; one `*` in each stands for any text. Default: all that are configured.
    #[serde(default)]
    pub models: Vec<At<String>>,
    /// When it stops working: a date (to the end of that day, UTC) or an RFC 3339 time. Default: never.
    pub expires: Option<At<Expiry>>,
    /// It may also call what cannot be counted in tokens: files, batches, vector stores, containers, images, audio, videos,
    /// cached contents; of any model that the provider serves them with. Default: false.
    pub allow_unmetered: Option<At<bool>>,
    /// Bounds on use.
    #[serde(default)]
    pub limits: Vec<At<Limit>>,
    /// Money.
    #[serde(default)]
    pub budgets: Vec<At<Budget>>,
}

/// A key that another has taken the place of, under the same name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// SHA-256 of the earlier key, in hex.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: At<String>,
    /// When it stops working: a date (to the end of that day, UTC) or an RFC 3339 time.
    pub until: At<Expiry>,
}

/// A coding agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentName {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// OpenAI's Codex CLI.
    Codex,
    /// Google's Gemini CLI.
    GeminiCli,
    /// OpenCode.
    #[serde(rename = "opencode")]
    OpenCode,
    /// Qwen Code.
    QwenCode,
    /// Anything else.
    Other,
}

/// A path prefix with a meaning of its own. It is taken off before the path is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Begins with `/`, as in "/codex" or "/t/team-a".
    pub prefix: At<String>,
    /// Whoever comes this way is this agent.
    pub agent: Option<AgentName>,
    /// Only this API is served here.
    pub dialect: Option<DialectName>,
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;

        impl<'de> Visitor<'de> for Place {
            type Value = Access;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", \"stdout\" or { file = \"path\" }")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Access, E> {
                match word {
                    "off" => Ok(Access::Off),
                    "stdout" => Ok(Access::Stdout),
                    _ => Err(E::unknown_variant(word, &["off", "stdout", "{ file = \"path\" }"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Access, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Fields {
                    file: PathBuf,
                }
                Fields::deserialize(MapAccessDeserializer::new(map)).map(|Fields { file }| Access::File(file))
            }
        }

        deserializer.deserialize_any(Place)
    }
}

impl JsonSchema for Access {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Access".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where the access log goes.",
            "oneOf": [
                { "type": "string", "enum": ["off", "stdout"] },
                { "type": "object", "properties": { "file": { "type": "string", "description": "Path of a file, relative to the folder of this one." } },
                  "required": ["file"], "additionalProperties": false },
            ],
        })
    }
}

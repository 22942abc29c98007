//! Bytes get meaning.
//!
//! Pure: nothing in this folder does I/O, reads a clock, or knows the configuration. Wire facts cite their source.

pub mod body;
pub mod estimate;
pub mod headers;
pub mod inflate;
pub mod json;
pub mod keepalive;
pub mod listing;
pub mod named;
pub mod path;
pub mod peek;
pub mod problem;
pub mod splice;
pub mod sse;
pub mod tap;
pub mod unmetered;
pub mod usage;
pub mod withhold;

/// Deepest nesting of a JSON body that is read (RFC 8259 section 9 allows a limit).
pub const MAX_DEPTH: usize = 128;
/// Largest server-sent event that is looked into; a larger one passes unread.
pub const MAX_EVENT: usize = 8 * 1024 * 1024;

/// The API a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Gemini generateContent.
    Gemini,
}

impl Dialect {
    /// Every dialect, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Anthropic, Self::Chat, Self::Responses, Self::Gemini];

    /// As written in the configuration, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
        }
    }

    /// Position in [`Dialect::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What providers keep, and give an id to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    /// A response of `POST /v1/responses` that is stored.
    Response,
    /// What `conversation` in such a call names.
    Conversation,
    /// A file.
    File,
    /// A batch of calls.
    Batch,
    /// An upload in parts.
    Upload,
    /// A vector store.
    VectorStore,
    /// A container in which a model's programs run.
    Container,
    /// A video.
    Video,
    /// A cached content of Gemini's.
    CachedContent,
    /// An item of a stored response.
    Item,
    /// A file of calls, each of which was read on its way: a batch may be made of it.
    BatchInput,
    /// What is never made through us.
    Foreign,
}

impl Object {
    /// As written where ids are kept: one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Conversation => "conversation",
            Self::File => "file",
            Self::Batch => "batch",
            Self::Upload => "upload",
            Self::VectorStore => "vector_store",
            Self::Container => "container",
            Self::Video => "video",
            Self::CachedContent => "cached_content",
            Self::Item => "item",
            Self::BatchInput => "batch_input",
            Self::Foreign => "foreign",
        }
    }
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/embeddings`: one JSON answer, never a stream.
    Embeddings,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/responses/compact`: a conversation becomes a shorter one, in one JSON answer.
    Compact,
    /// `POST /v1/responses/input_tokens`
    InputTokens,
    /// `GET /v1/responses/{id}`: a stored response, also as the stream that it was.
    Response,
    /// `DELETE /v1/responses/{id}`
    DeleteResponse,
    /// `POST /v1/responses/{id}/cancel`
    CancelResponse,
    /// `GET /v1/responses/{id}/input_items`
    ResponseItems,
    /// `POST /v1beta/models/{m}:generateContent`
    Generate,
    /// `POST /v1beta/models/{m}:streamGenerateContent`
    StreamGenerate,
    /// `POST /v1beta/models/{m}:countTokens`
    GeminiCountTokens,
    /// `POST /v1beta/models/{m}:embedContent`
    EmbedContent,
    /// `POST /v1beta/models/{m}:batchEmbedContents`
    BatchEmbedContents,
    /// `GET /v1/models`, `GET /v1beta/models`
    Models,
    /// `GET /v1/models/{id}`, `GET /v1beta/models/{id}`
    Model,
    /// `GET /v1/usage`: what a key has spent, and what is left; nobody's API but ours.
    Usage,
    /// `HEAD /api/hello`: Claude Code's start-up probe, sent without a key
    Hello,
    /// What cannot be counted, for keys that may all the same.
    Unmetered(unmetered::Operation),
}

impl Endpoint {
    /// Whether it is about something that a provider keeps, named in the path, rather than a call of a model. Such a call
    /// has no model, and no tokens of its own: what its answer counts was counted when it was made.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        matches!(self, Self::Response | Self::DeleteResponse | Self::CancelResponse | Self::ResponseItems)
    }

    /// Whether it asks a model for something that is counted in tokens.
    #[must_use]
    pub const fn is_metered(self) -> bool {
        !self.is_stored() && !matches!(self, Self::Unmetered(_))
    }

    /// Whether its tokens cost anything: counting them beforehand does not.
    #[must_use]
    pub const fn is_charged(self) -> bool {
        self.is_metered() && !matches!(self, Self::CountTokens | Self::InputTokens | Self::GeminiCountTokens)
    }

    /// Its method, which is the one that goes upstream.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Unmetered(operation) => operation.method(),
            Self::Response | Self::ResponseItems | Self::Models | Self::Model | Self::Usage | Self::Hello => "GET",
            Self::DeleteResponse => "DELETE",
            Self::Messages
            | Self::CountTokens
            | Self::ChatCompletions
            | Self::Embeddings
            | Self::Responses
            | Self::Compact
            | Self::InputTokens
            | Self::CancelResponse
            | Self::Generate
            | Self::StreamGenerate
            | Self::GeminiCountTokens
            | Self::EmbedContent
            | Self::BatchEmbedContents => "POST",
        }
    }
}

//! What can go wrong with a call, as facts.
//!
//! Invariant: an `Error` knows no HTTP. [`crate::protocol::problem`] alone turns `(Dialect, Agent, &Error)` into a status,
//! headers and a body; [`crate::policy::observe`] alone logs it, once. Every question below is answered by an exhaustive
//! `match`, so a new variant does not build until somebody has decided whose fault it is, whether another target may be
//! tried, and which label it counts under. No variant carries a secret, a URL or a provider's account.

pub mod limit;

use std::fmt;
use std::time::Duration;

pub use limit::LimitError;
use limit::Measure;

/// A call that was not answered by its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Who is calling?
    Key(KeyError),
    /// Which path, method or encoding?
    Request(RequestError),
    /// What does the body say?
    Body(BodyError),
    /// Which model, and may this key use it?
    Model(ModelError),
    /// Which limit or budget stands in the way?
    Limit(LimitError),
    /// What did the upstream do?
    Upstream(UpstreamError),
    /// What is the matter with us?
    Gateway(GatewayError),
}

/// The caller could not be established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// No key was presented in any of the places an agent puts one.
    Missing,
    /// A key was presented that is in no keyring. `malformed` when its own checksum already says so (a typing error).
    Unknown {
        /// The key has our prefix, but its checksum does not hold.
        malformed: bool,
    },
    /// The key was valid until a moment that has passed.
    Expired {
        /// The key's name.
        key: Box<str>,
        /// RFC 3339 time at which it stopped.
        at: Box<str>,
    },
    /// Two different gateway keys in one request: we do not choose.
    Conflict,
    /// The key is bound to other agents than the one that calls.
    AgentNotAllowed {
        /// The key's name.
        key: Box<str>,
        /// The calling agent's label.
        agent: &'static str,
    },
    /// Too many keys that were none came from this address.
    TooManyFailed {
        /// When to try again.
        retry_after: Duration,
    },
}

/// The request line or a header rules the call out before its body is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// No API of ours lives at this path.
    PathUnknown {
        /// The path, without its query.
        path: Box<str>,
    },
    /// An API whose use cannot be counted.
    Unmetered {
        /// What it deals with, in words.
        what: &'static str,
    },
    /// An unmetered call whose answer would name the things of every team.
    ListingRefused {
        /// What would be listed, in words.
        what: &'static str,
    },
    /// An upload whose answer would lead the client around us, to the provider.
    UploadRefused,
    /// An unmetered call, and no provider that gets those of this API.
    UnmeteredUnserved {
        /// Whose API it is.
        vendor: &'static str,
    },
    /// The path exists, for another method.
    MethodNotAllowed {
        /// The method that the path takes.
        allow: &'static str,
    },
    /// The request does not say exactly once, and validly, whom it is for.
    HostInvalid,
    /// A WebSocket (or other) upgrade, which Codex gives up for plain HTTP on a 426.
    UpgradeRefused,
    /// Nothing stored has this id, or it is not the caller's: nobody learns which.
    ObjectUnknown {
        /// The field of the body that names it; none: the path does.
        field: Option<&'static str>,
        /// The id.
        id: Box<str>,
    },
    /// The body is encoded in a way that we do not read.
    EncodingUnsupported {
        /// The value of `content-encoding`.
        encoding: Box<str>,
    },
}

/// The body cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than one request may have.
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Not one JSON object.
    Broken {
        /// What the reader expected.
        what: &'static str,
        /// Offset of the offending byte.
        at: u64,
    },
    /// Compressed, but not as `content-encoding` says, or damaged, or cut off.
    Undecodable {
        /// The coding.
        coding: &'static str,
        /// What is wrong, of the body as "it".
        what: &'static str,
    },
    /// Deeper than [`crate::protocol::MAX_DEPTH`].
    TooDeep,
    /// A field that we act on is not there.
    FieldMissing {
        /// Its name.
        field: &'static str,
    },
    /// A field that we act on has the wrong type or is out of range.
    FieldInvalid {
        /// Its name.
        field: &'static str,
        /// What it must be.
        want: &'static str,
    },
    /// A field that we act on is there twice: the provider might read the other one.
    FieldDuplicated {
        /// Its name.
        field: &'static str,
    },
    /// A field that we act on is spelled with escapes: the provider might read what we do not.
    FieldEscaped {
        /// Its name.
        field: &'static str,
    },
    /// The client stopped sending in the middle of the body, for longer than the body time-out.
    Stalled,
    /// The client's connection ended before the body did.
    Incomplete,
}

/// The model cannot be served to this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelError {
    /// No rule of the configuration names it.
    Unknown {
        /// The model asked for.
        model: Box<str>,
    },
    /// The key's rules do not include it.
    NotAllowed {
        /// The model asked for.
        model: Box<str>,
        /// The key's name.
        key: Box<str>,
    },
    /// A rule names it, but its provider does not speak the client's dialect.
    DialectUnserved {
        /// The model asked for.
        model: Box<str>,
        /// The provider that serves it.
        provider: Box<str>,
        /// The client's dialect.
        dialect: &'static str,
    },
}

/// One attempt at one target failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamError {
    /// Nothing reached the provider.
    ConnectFailed {
        /// The provider's name.
        provider: Box<str>,
        /// Why, in words without addresses.
        why: Box<str>,
    },
    /// The connection ended before a response head was there.
    HungUp {
        /// The provider's name.
        provider: Box<str>,
        /// The connection had served another request before.
        reused: bool,
    },
    /// No response head within the first-byte time-out.
    Silent {
        /// The provider's name.
        provider: Box<str>,
    },
    /// What came back is not HTTP.
    Garbage {
        /// The provider's name.
        provider: Box<str>,
    },
    /// The provider refuses the credential that Tollgate holds.
    CredentialRefused {
        /// The provider's name.
        provider: Box<str>,
        /// The provider's status.
        status: u16,
    },
    /// The provider answered that it cannot serve now; another target is tried.
    Overloaded {
        /// The provider's name.
        provider: Box<str>,
        /// Its status: 429 or 5xx.
        status: u16,
    },
    /// As many calls are under way there as the configuration allows.
    Saturated {
        /// The provider's name.
        provider: Box<str>,
    },
    /// The response broke off after its head.
    BrokenOff {
        /// The provider's name.
        provider: Box<str>,
    },
}

/// Tollgate itself is why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayError {
    /// Shutting down: streams in flight end, new calls go elsewhere.
    Draining,
    /// The bodies in flight already hold all the memory they may.
    BodiesFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// As many requests are under way as the configuration allows.
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Usage cannot be written down, and the operator wants no call without.
    LedgerFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// A defect of ours.
    Internal {
        /// For the log, never for the client.
        what: &'static str,
    },
}

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Whoever sent the request.
    Caller,
    /// Whoever runs this gateway: a credential, a route.
    Operator,
    /// The provider.
    Provider,
    /// The network between us and the provider.
    Network,
    /// Tollgate.
    Gateway,
}

impl Error {
    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Request(RequestError::UnmeteredUnserved { .. }) => Fault::Operator,
            Self::Limit(LimitError::Unpriced { .. }) => Fault::Operator,
            Self::Key(_) | Self::Request(_) | Self::Body(_) | Self::Limit(_) => Fault::Caller,
            Self::Model(e) => match e {
                ModelError::Unknown { .. } | ModelError::NotAllowed { .. } => Fault::Caller,
                ModelError::DialectUnserved { .. } => Fault::Operator,
            },
            Self::Upstream(e) => match e {
                UpstreamError::ConnectFailed { .. } | UpstreamError::HungUp { .. } => Fault::Network,
                UpstreamError::Silent { .. }
                | UpstreamError::Garbage { .. }
                | UpstreamError::Overloaded { .. }
                | UpstreamError::BrokenOff { .. } => Fault::Provider,
                UpstreamError::Saturated { .. } => Fault::Operator,
                UpstreamError::CredentialRefused { .. } => Fault::Operator,
            },
            Self::Gateway(_) => Fault::Gateway,
        }
    }

    /// May another target be tried with the same call?
    ///
    /// Asked only before any content has reached the client.
    #[must_use]
    pub fn may_try_elsewhere(&self) -> bool {
        match self {
            Self::Upstream(e) => match e {
                UpstreamError::ConnectFailed { .. }
                | UpstreamError::HungUp { .. }
                | UpstreamError::Silent { .. }
                | UpstreamError::Garbage { .. }
                | UpstreamError::CredentialRefused { .. }
                | UpstreamError::Overloaded { .. }
                | UpstreamError::Saturated { .. }
                | UpstreamError::BrokenOff { .. } => true,
            },
            Self::Key(_) | Self::Request(_) | Self::Body(_) | Self::Model(_) | Self::Limit(_) | Self::Gateway(_) => {
                false
            }
        }
    }

    /// May the provider bill the attempt that failed so: had it the request, and did it not refuse it?
    #[must_use]
    pub fn may_be_billed(&self) -> bool {
        match self {
            Self::Upstream(e) => match e {
                UpstreamError::HungUp { .. } | UpstreamError::Silent { .. } | UpstreamError::BrokenOff { .. } => true,
                UpstreamError::ConnectFailed { .. }
                | UpstreamError::Garbage { .. }
                | UpstreamError::CredentialRefused { .. }
                | UpstreamError::Overloaded { .. }
                | UpstreamError::Saturated { .. } => false,
            },
            Self::Key(_) | Self::Request(_) | Self::Body(_) | Self::Model(_) | Self::Limit(_) | Self::Gateway(_) => {
                false
            }
        }
    }

    /// The closed label under which metrics and the access log count this.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Key(e) => match e {
                KeyError::Missing => Kind::KeyMissing,
                KeyError::Unknown { .. } => Kind::KeyUnknown,
                KeyError::Expired { .. } => Kind::KeyExpired,
                KeyError::Conflict => Kind::KeyConflict,
                KeyError::AgentNotAllowed { .. } => Kind::AgentNotAllowed,
                KeyError::TooManyFailed { .. } => Kind::KeysTooManyFailed,
            },
            Self::Request(e) => match e {
                RequestError::PathUnknown { .. } => Kind::PathUnknown,
                RequestError::Unmetered { .. } => Kind::Unmetered,
                RequestError::ListingRefused { .. } => Kind::ListingRefused,
                RequestError::UploadRefused => Kind::UploadRefused,
                RequestError::UnmeteredUnserved { .. } => Kind::UnmeteredUnserved,
                RequestError::MethodNotAllowed { .. } => Kind::MethodNotAllowed,
                RequestError::HostInvalid => Kind::HostInvalid,
                RequestError::UpgradeRefused => Kind::UpgradeRefused,
                RequestError::ObjectUnknown { .. } => Kind::ObjectUnknown,
                RequestError::EncodingUnsupported { .. } => Kind::EncodingUnsupported,
            },
            Self::Body(e) => match e {
                BodyError::TooLarge { .. } => Kind::BodyTooLarge,
                BodyError::Broken { .. } | BodyError::Undecodable { .. } | BodyError::TooDeep => Kind::BodyBroken,
                BodyError::FieldMissing { .. } => Kind::FieldMissing,
                BodyError::FieldInvalid { .. } => Kind::FieldInvalid,
                BodyError::FieldDuplicated { .. } | BodyError::FieldEscaped { .. } => Kind::FieldAmbiguous,
                BodyError::Stalled => Kind::BodyStalled,
                BodyError::Incomplete => Kind::ClientLeft,
            },
            Self::Model(e) => match e {
                ModelError::Unknown { .. } => Kind::ModelUnknown,
                ModelError::NotAllowed { .. } => Kind::ModelNotAllowed,
                ModelError::DialectUnserved { .. } => Kind::DialectUnserved,
            },
            Self::Limit(e) => match e {
                LimitError::Full(full) => match full.measure {
                    Measure::Requests => Kind::RequestLimit,
                    Measure::InputTokens => Kind::InputTokenLimit,
                    Measure::OutputTokens => Kind::OutputTokenLimit,
                    Measure::Tokens => Kind::TokenLimit,
                    Measure::Concurrent => Kind::ConcurrencyLimit,
                },
                LimitError::BudgetSpent(_) | LimitError::UsedUp => Kind::BudgetSpent,
                LimitError::Unpriced { .. } => Kind::Unpriced,
                LimitError::Repeated { .. } => Kind::Repeated,
            },
            Self::Upstream(e) => match e {
                UpstreamError::ConnectFailed { .. } => Kind::ConnectFailed,
                UpstreamError::HungUp { .. } => Kind::UpstreamHungUp,
                UpstreamError::Silent { .. } => Kind::UpstreamSilent,
                UpstreamError::Garbage { .. } => Kind::UpstreamGarbage,
                UpstreamError::CredentialRefused { .. } => Kind::CredentialRefused,
                UpstreamError::Overloaded { .. } => Kind::UpstreamOverloaded,
                UpstreamError::Saturated { .. } => Kind::UpstreamSaturated,
                UpstreamError::BrokenOff { .. } => Kind::UpstreamBrokenOff,
            },
            Self::Gateway(e) => match e {
                GatewayError::Draining => Kind::Draining,
                GatewayError::BodiesFull { .. } => Kind::BodiesFull,
                GatewayError::Overloaded { .. } => Kind::Overloaded,
                GatewayError::LedgerFull { .. } => Kind::LedgerFull,
                GatewayError::Internal { .. } => Kind::Internal,
            },
        }
    }
}

macro_rules! kinds {
    ($($variant:ident = $label:literal),+ $(,)?) => {
        /// Closed set of reasons, for labels.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $label] $variant),+ }

        impl Kind {
            /// Every reason.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            /// As written in metrics and logs.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Kind::$variant => $label),+ }
            }

            /// Position in [`Kind::ALL`].
            #[must_use]
            pub fn index(self) -> usize { self as usize }
        }
    };
}

kinds! {
    KeyMissing = "key_missing",
    KeyUnknown = "key_unknown",
    KeyExpired = "key_expired",
    KeyConflict = "key_conflict",
    AgentNotAllowed = "agent_not_allowed",
    KeysTooManyFailed = "keys_too_many_failed",
    PathUnknown = "path_unknown",
    Unmetered = "unmetered",
    ListingRefused = "listing_refused",
    UploadRefused = "upload_refused",
    UnmeteredUnserved = "unmetered_unserved",
    MethodNotAllowed = "method_not_allowed",
    HostInvalid = "host_invalid",
    UpgradeRefused = "upgrade_refused",
    ObjectUnknown = "object_unknown",
    EncodingUnsupported = "encoding_unsupported",
    BodyTooLarge = "body_too_large",
    BodyBroken = "body_broken",
    FieldMissing = "field_missing",
    FieldInvalid = "field_invalid",
    FieldAmbiguous = "field_ambiguous",
    BodyStalled = "body_stalled",
    ClientLeft = "client_left",
    ModelUnknown = "model_unknown",
    ModelNotAllowed = "model_not_allowed",
    DialectUnserved = "dialect_unserved",
    RequestLimit = "request_limit",
    InputTokenLimit = "input_token_limit",
    OutputTokenLimit = "output_token_limit",
    TokenLimit = "token_limit",
    ConcurrencyLimit = "concurrency_limit",
    BudgetSpent = "budget_spent",
    Unpriced = "unpriced",
    Repeated = "repeated",
    ConnectFailed = "connect_failed",
    UpstreamHungUp = "upstream_hung_up",
    UpstreamSilent = "upstream_silent",
    UpstreamGarbage = "upstream_garbage",
    CredentialRefused = "credential_refused",
    UpstreamOverloaded = "upstream_overloaded",
    UpstreamSaturated = "upstream_saturated",
    UpstreamBrokenOff = "upstream_broken_off",
    Draining = "draining",
    BodiesFull = "bodies_full",
    Overloaded = "overloaded",
    LedgerFull = "ledger_full",
    Internal = "internal",
}

/// For the log. What a client reads is worded in [`crate::protocol::problem`].
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(GatewayError::Internal { what }) => {
                write!(f, "{}: {what}", self.kind().label())
            }
            Self::Body(BodyError::Broken { what, at }) => {
                write!(f, "{}: {what} at byte {at}", self.kind().label())
            }
            Self::Body(BodyError::Undecodable { coding, what }) => {
                write!(f, "{}: {coding}: {what}", self.kind().label())
            }
            Self::Upstream(UpstreamError::ConnectFailed { provider, why }) => {
                write!(f, "{}: {provider}: {why}", self.kind().label())
            }
            Self::Upstream(UpstreamError::CredentialRefused { provider, status }) => {
                write!(f, "{}: {provider} answered {status}", self.kind().label())
            }
            Self::Limit(LimitError::Full(full)) => {
                write!(f, "{}: {} {}", self.kind().label(), full.level.label(), full.name)
            }
            Self::Limit(LimitError::BudgetSpent(spent)) => {
                write!(f, "{}: {} {}", self.kind().label(), spent.level.label(), spent.name)
            }
            Self::Limit(LimitError::Unpriced { what, .. }) => write!(f, "{}: {what}", self.kind().label()),
            _ => f.write_str(self.kind().label()),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! lift {
    ($($domain:ident => $variant:ident),+) => { $(
        impl From<$domain> for Error {
            fn from(e: $domain) -> Self { Self::$variant(e) }
        }
    )+ };
}
lift!(
    KeyError => Key, RequestError => Request, BodyError => Body, ModelError => Model, LimitError => Limit,
    UpstreamError => Upstream, GatewayError => Gateway
);

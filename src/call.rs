//! What is known about a request, stage by stage.
//!
//! `Arrival -> Identified -> Admitted (holding a Call) -> Planned -> Funded`, then one [`Attempt`] per target. Each type has
//! what its stage has learnt and no `Option` that is "always set by then", so a layer in the wrong place does not compile.
//!
//! Two things are shared: the [`Call`] (facts that no later stage changes) and the [`Trail`] (what the access record will
//! say, written once per fact by whichever stage learns it, read once at the end). A `Call` never points at its `Trail`.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, Version, header};
use smallvec::SmallVec;

use crate::agent::Agent;
use crate::error::{Error, RequestError};
use crate::ledger::receipt::Receipt;
use crate::ledger::repeat::Sighting;
use crate::message::name::{CONTENT_LENGTH, TRANSFER_ENCODING};
use crate::message::{Field, Fields};
use crate::money::Pico;
use crate::owned::Holder;
use crate::price::Rates;
use crate::protocol::body::Frames;
use crate::protocol::inflate::Coding;
use crate::protocol::peek::{Asking, Terms};
use crate::protocol::{Dialect, Endpoint, Object};
use crate::provider::Provider;
use crate::snapshot::keyring::Key;
use crate::snapshot::routes::{Route, Target};
use crate::snapshot::{KeyId, View};

/// A head has arrived; the body is unread.
#[derive(Debug)]
pub struct Arrival<B> {
    /// The rules that this request lives by to its end.
    pub rules: View,
    /// What will be reported.
    pub trail: Arc<Trail>,
    /// What is called, or why nothing is.
    pub door: Result<Door, RequestError>,
    /// `authorization` and all others.
    pub fields: Fields,
    /// Unread.
    pub body: B,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// What is called.
    pub endpoint: Endpoint,
    /// The model in the path (Gemini, and `models/{id}`).
    pub model: Option<Box<str>>,
    /// The id of what is stored, where the path names one.
    pub object: Option<Box<str>>,
    /// The path at the provider, where it is passed on as it is.
    pub rest: Option<Box<str>>,
    /// The API version in the path, where the dialect has more than one (Gemini).
    pub version: &'static str,
}

/// The caller is known.
#[derive(Debug)]
pub struct Identified<B> {
    /// The rules that this request lives by.
    pub rules: View,
    /// What will be reported.
    pub trail: Arc<Trail>,
    /// What is called.
    pub door: Door,
    /// Who calls.
    pub key: KeyId,
    /// The client's own credential at a provider, beside a gateway key in `x-tollgate-key`.
    pub own: Option<Box<(HeaderName, HeaderValue)>>,
    /// Only what may go upstream.
    pub fields: Fields,
    /// How the body is compressed, if it is.
    pub coding: Option<Coding>,
    /// Unread.
    pub body: B,
}

/// Facts of a call, once its body is read. Shared by everything that handles it.
#[derive(Debug)]
pub struct Call {
    /// The rules that this call lives by.
    pub rules: View,
    /// Who calls.
    pub key: KeyId,
    /// The client's own credential at a provider; goes only to one that is said to take it.
    pub own: Option<Box<(HeaderName, HeaderValue)>>,
    /// Who the caller says it is.
    pub agent: Agent,
    /// What it speaks.
    pub dialect: Dialect,
    /// What it calls.
    pub endpoint: Endpoint,
    /// The API version in the path.
    pub version: &'static str,
    /// The path at the provider, of what is unmetered.
    pub rest: Option<Box<str>>,
    /// What of the query goes upstream.
    pub query: Option<Box<str>>,
    /// The model asked for; empty for what is stored or unmetered.
    pub model: Box<str>,
    /// Where the body names the model (with its quotes), unless the path does.
    pub model_at: Option<Range<usize>>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// How to ask for the usage of a Chat stream that does not itself.
    pub asking: Option<Asking>,
    /// The largest number of output tokens asked for.
    pub max_output: Option<u64>,
    /// Answers that are asked for at one time.
    pub answers: u32,
    /// What else it says that changes what it may cost.
    pub terms: Terms,
    /// The stored things that it names: first the one in its path.
    pub refers: Vec<Reference>,
    /// Whether its answer makes something that can be asked for again.
    pub makes: bool,
    /// Whether its body was suspected to name stored things, so its answer may make some.
    pub names: bool,
    /// Of a file of calls, which were all read: the stored things that they name.
    pub calls: Option<Box<[Reference]>>,
}

/// Something stored that a call names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What it is.
    pub object: Object,
    /// The field of the body that names it; none: the path does.
    pub field: Option<&'static str>,
    /// Its id.
    pub id: Box<str>,
}

impl Call {
    /// Whether its answer may make items or containers, which later calls name.
    #[must_use]
    pub fn makes_things(&self) -> bool {
        match self.endpoint {
            Endpoint::Responses => self.makes || self.names,
            Endpoint::Messages => true,
            _ => false,
        }
    }

    /// To whom belongs what is made by this call.
    #[must_use]
    pub fn holder(&self) -> Holder {
        let key = self.key();
        match &key.team {
            Some(team) => Holder::Team(Arc::clone(team)),
            None => Holder::Key(Arc::clone(&key.name)),
        }
    }

    /// What a provider is shown: the client's own credential where the provider takes that and there is one, else ours.
    #[must_use]
    pub fn credential<'c>(&'c self, provider: &'c Provider) -> Option<&'c (HeaderName, HeaderValue)> {
        self.own_credential(provider).or_else(|| provider.credential.header(self.dialect))
    }

    /// The client's own credential, where the provider takes that.
    #[must_use]
    pub fn own_credential(&self, provider: &Provider) -> Option<&(HeaderName, HeaderValue)> {
        self.own.as_deref().filter(|_| provider.client_credential)
    }

    /// The rules of the calling key.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.rules.keyring.key(self.key)
    }
}

/// What must be sent again should an attempt die; given up at the first content of an answer.
#[derive(Debug)]
pub struct Held {
    /// Only what may go upstream; shared by all attempts.
    pub fields: Arc<Fields>,
    /// The body as it came.
    pub body: Frames,
    /// Room in the total of held bodies; given back on drop.
    pub room: Room,
}

/// The body is read.
#[derive(Debug)]
pub struct Admitted {
    /// What will be reported.
    pub trail: Arc<Trail>,
    /// The facts.
    pub call: Arc<Call>,
    /// The request itself.
    pub held: Held,
}

/// Where it may go is known.
#[derive(Debug)]
pub struct Planned {
    /// What will be reported.
    pub trail: Arc<Trail>,
    /// The facts.
    pub call: Arc<Call>,
    /// The request itself.
    pub held: Held,
    /// Where it goes.
    pub plan: Plan,
}

/// Targets in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Index of the route in the call's rules.
    pub route: u32,
    /// Indices of its targets; never empty.
    pub order: SmallVec<[u16; 4]>,
    /// What the pattern's `*` stood for, where a target's name for the model needs it.
    pub captured: Option<Box<str>>,
}

impl Plan {
    /// The route in the rules of its call.
    #[must_use]
    pub fn route<'c>(&self, call: &'c Call) -> &'c Route {
        &call.rules.routes.routes[self.route as usize]
    }

    /// The target of the `n`th attempt, from 0.
    #[must_use]
    pub fn target<'c>(&self, call: &'c Call, n: usize) -> Option<&'c Arc<Target>> {
        self.route(call).targets.get(usize::from(*self.order.get(n)?))
    }
}

/// What it may cost is reserved.
#[derive(Debug)]
pub struct Funded {
    /// What will be reported.
    pub trail: Arc<Trail>,
    /// The facts.
    pub call: Arc<Call>,
    /// The request itself.
    pub held: Held,
    /// Where it goes.
    pub plan: Plan,
    /// What is reserved; settled exactly once.
    pub owed: Owed,
}

/// What a call holds, and by which prices it is charged.
#[derive(Debug)]
pub struct Owed {
    /// What is reserved.
    pub receipt: Receipt,
    /// As much money, for the record.
    pub hold: Pico,
    /// The prices of the plan's first target, or of the one that answers; `None` where nobody says, or nothing is charged.
    pub rates: Option<Arc<Rates>>,
    /// When it was admitted, in milliseconds since 1970.
    pub millis: u64,
    /// Which of the route's targets those prices are of.
    pub first: Option<u16>,
    /// By what the loop guard knows the call again; `None` where it does not look.
    pub sighting: Option<Sighting>,
}

/// Somebody else answers for what it costs.
#[derive(Debug)]
pub struct Covered {
    /// What will be reported.
    pub trail: Arc<Trail>,
    /// The facts.
    pub call: Arc<Call>,
    /// The request itself.
    pub held: Held,
    /// Where it goes.
    pub plan: Plan,
}

/// One try at one target.
#[derive(Debug)]
pub struct Attempt {
    /// The facts.
    pub call: Arc<Call>,
    /// Who is asked.
    pub target: Arc<Target>,
    /// Which try this is, from 1.
    pub n: u32,
    /// A new connection must be opened: the pooled one that was tried had been closed.
    pub fresh: bool,
    /// The path and query to ask for.
    pub path: Bytes,
    /// What of the client's header fields goes upstream, as far as it [`passes`](Self::passes).
    pub forwarded: Arc<Fields>,
    /// Ready to be sent.
    pub body: Frames,
}

impl Attempt {
    /// The headers of ours, but for those that frame the body: whom it is for, our credential, what the operator adds. The
    /// operator's are known to be none of the first two (`config::compile` refuses them).
    pub fn ours(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let host = (&header::HOST, &self.target.provider.origin.authority);
        std::iter::once(host).chain(self.besides())
    }

    fn besides(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let provider = &*self.target.provider;
        let credential = self.call.credential(provider);
        credential.into_iter().chain(&provider.headers).map(|(name, value)| (name, value))
    }

    /// Whether a field of the client's goes upstream beside ours: those of our names do not, nor what frames the body.
    #[must_use]
    pub fn passes(&self, field: Field<'_>) -> bool {
        !(field.is(CONTENT_LENGTH)
            || field.is(TRANSFER_ENCODING)
            || self.besides().any(|(name, _)| name.as_str().as_bytes() == field.name))
    }
}

/// Room taken out of the total of held request bodies.
#[derive(Debug, Default)]
pub struct Room {
    total: Option<Arc<AtomicU64>>,
    taken: u64,
}

impl Room {
    /// Nothing taken yet.
    #[must_use]
    pub fn of(total: &Arc<AtomicU64>) -> Self {
        Self { total: Some(Arc::clone(total)), taken: 0 }
    }

    /// Nothing taken yet, out of the same total.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { total: self.total.clone(), taken: 0 }
    }

    /// Takes room up to `bytes` in all; `false` if that passes `limit`.
    pub fn grow_to(&mut self, bytes: u64, limit: u64) -> bool {
        let Some(total) = &self.total else { return true };
        let more = bytes.saturating_sub(self.taken);
        if more == 0 {
            return true;
        }
        if total.fetch_add(more, Ordering::Relaxed).saturating_add(more) > limit {
            total.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.taken += more;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(total) = &self.total {
            total.fetch_sub(self.taken, Ordering::Relaxed);
        }
    }
}

/// What the access record will say.
///
/// Every fact is written at most once, by the stage that learns it.
#[derive(Debug)]
pub struct Trail {
    /// Identifies the request in the log and in `x-tollgate-request-id`.
    pub id: RequestId,
    /// When its head was complete.
    pub at: Instant,
    /// From where it came.
    pub peer: IpAddr,
    /// How.
    pub method: Method,
    /// In which version of HTTP.
    pub version: Version,
    /// What for; never logged with its query.
    pub uri: Uri,
    /// What its path speaks.
    pub dialect: Dialect,
    /// Who it says it is.
    pub agent: Agent,
    /// The conversation, where a header says it.
    pub session: OnceLock<Box<str>>,
    /// Whom it claims to come from (`x-tollgate-user`): recorded, never trusted.
    pub user: Option<Box<str>>,
    /// The team in its path: recorded, never trusted.
    pub team_claim: Option<Box<str>>,
    /// Who calls.
    pub caller: OnceLock<(View, KeyId)>,
    /// What is asked.
    pub call: OnceLock<Arc<Call>>,
    /// Bytes of the request body.
    pub bytes_in: AtomicU64,
    /// Attempts made.
    pub attempts: AtomicU32,
    /// Who answered.
    pub served: OnceLock<Arc<Target>>,
    /// Status of the provider's answer; 0 where there was none.
    pub upstream_status: AtomicU16,
    /// Until when its body was waited for; not set where it came with the head.
    pub whole: Mark,
    /// What of the time was the gateway's own: from the last byte that was waited for to the sending, and the holding back of
    /// an answer that was there.
    pub own: Mark,
    /// When the head of the answer was there.
    pub answered: Mark,
    /// When its first content was there.
    pub content: Mark,
    /// Why it was refused.
    pub refused: OnceLock<Error>,
    /// How the answer's body ended.
    pub tally: OnceLock<Tally>,
    /// What it cost; not set where there is no usage record of it.
    pub charged: OnceLock<Charged>,
}

/// What the usage record says of a call's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charged {
    /// All of it.
    pub cost: Pico,
    /// By an estimate of its tokens.
    pub estimated: bool,
    /// But for something that has no price.
    pub unpriced: bool,
}

/// When something happened first, in nanoseconds since the request's head was complete.
#[derive(Debug, Default)]
pub struct Mark(AtomicU64);

impl Mark {
    /// It has happened. Only the first time counts.
    pub fn set(&self, since_head: Duration) {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.put(since_head);
        }
    }

    /// It has happened again, and the last time counts.
    pub fn put(&self, since_head: Duration) {
        // Whatever happened at once, happened.
        let nanos = u64::try_from(since_head.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.0.store(nanos, Ordering::Relaxed);
    }

    /// When, if it has.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        Some(self.0.load(Ordering::Relaxed)).filter(|nanos| *nanos != 0).map(Duration::from_nanos)
    }
}

/// How an answer's body went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How it ended.
    pub outcome: Outcome,
    /// From the complete head of the request to the end of the answer.
    pub duration: Duration,
    /// Bytes that were handed to the client's connection.
    pub bytes_out: u64,
    /// Events that passed (0 for JSON).
    pub events: u64,
    /// Tokens, where the provider said so or where they could be estimated.
    pub usage: Option<crate::protocol::usage::Usage>,
    /// The provider did not say all of `usage`: part of it, or all, is an estimate from what passed.
    pub estimated: bool,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Whole.
    Complete,
    /// The client left before the end.
    ClientLeft,
    /// The upstream's connection broke.
    UpstreamCut,
    /// The upstream said nothing for longer than its idle time-out.
    UpstreamIdle,
    /// The stream was closed in good order but without its terminal event.
    Unfinished,
    /// We cut it: a budget was used up.
    Cut,
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::Complete, Self::ClientLeft, Self::UpstreamCut, Self::UpstreamIdle, Self::Unfinished, Self::Cut];

    /// As written in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        crate::telemetry::metrics::OUTCOMES[self as usize]
    }
}

/// Unique per process run and, with overwhelming likelihood, anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    number: u64,
    text: [u8; 20],
}

impl RequestId {
    /// The number in it.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// `tgr_` and 16 hexadecimal digits.
    #[must_use]
    pub fn new(n: u64) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"tgr_0000000000000000";
        for (i, digit) in text[4..].iter_mut().enumerate() {
            *digit = HEX[(n >> (60 - 4 * i) & 15) as usize];
        }
        Self { number: n, text }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever put in.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

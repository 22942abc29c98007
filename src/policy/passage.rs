//! An answer on its way to the client: every frame passes as it came, is looked at in passing, and the times are kept.
//!
//! Invariants: no byte of a frame is changed and no frame waits (but for the usage that only we asked for, and the beginning
//! of an event that could be it: [`Withhold`]); what is added is a keep-alive, between complete events of a
//! stream that has gone silent, never after its terminal event. The request's held body is given up at the first content.
//! A stream ends soon after its terminal event even if the upstream holds the connection open, and one that breaks before it
//! ends the way that makes this dialect's agents ask again ([`problem::in_stream`]), never like a whole answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;
use tokio::time::Sleep;

use crate::call::{Call, Held, Outcome, Reference, Tally, Trail};
use crate::error::{Error, LimitError, UpstreamError};
use crate::owned::Owned;
use crate::protocol::keepalive::keepalive;
use crate::protocol::problem::{Ending, in_stream};
use crate::protocol::tap::{Seen, Served, Tap, Used};
use crate::protocol::unmetered::Operation;
use crate::protocol::usage::Usage;
use crate::protocol::withhold::{Passed, Withhold};
use crate::protocol::{Endpoint, Object};
use crate::upstream::body::Answer;

/// How long an upstream may keep a stream open after its terminal event.
const LINGER: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub struct Passage<A: Answer> {
    answer: A,
    /// Frames that were read before the answer was let through.
    before: SmallVec<[Bytes; 1]>,
    tap: Tap,
    /// What the client did not ask for is kept from it.
    sieve: Option<Box<Sieve>>,
    /// Whether this is a stream of events, with an end of its own.
    stream: bool,
    call: Arc<Call>,
    trail: Arc<Trail>,
    /// The request, until it cannot be needed any more.
    held: Option<Held>,
    provider: Arc<str>,
    /// Who is to know whose the things are that this answer makes; nobody if it makes none.
    owned: Option<Arc<Owned>>,
    clock: Clock,
    bytes_out: u64,
    events: u64,
    outcome: Option<Outcome>,
    /// The one frame of an answer that was looked at before its head went out.
    parting: Option<Bytes>,
}

/// Keeps the usage from a client that did not ask for it.
#[derive(Debug, Default)]
struct Sieve {
    withhold: Withhold,
    /// What passes next.
    ready: Passed,
}

/// One timer for keep-alives, idle time and lingering.
///
/// It is re-armed only when it fires, so a frame costs neither a timer nor a look at the clock; a silence that begins while
/// it runs is therefore noticed at most one keep-alive interval late.
#[derive(Debug)]
struct Clock {
    idle: Duration,
    keepalive: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Something has arrived since the timer was armed.
    stirred: bool,
    /// How long nothing had arrived when the timer was armed.
    silent: Duration,
    /// What the timer is armed for.
    armed: Duration,
}

/// What to do about a silence.
enum Silence {
    /// Nothing yet.
    Wait,
    /// Say that we are alive.
    KeepAlive,
    /// Give up.
    TooLong,
}

impl Clock {
    fn new(idle: Duration, keepalive: Duration) -> Self {
        Self { idle, keepalive, timer: None, stirred: false, silent: Duration::ZERO, armed: Duration::ZERO }
    }

    /// Polled only while nothing arrives.
    fn poll(&mut self, lingering: bool, cx: &mut Context<'_>) -> Silence {
        loop {
            if self.timer.is_none() {
                self.armed = self.patience(lingering);
                self.stirred = false;
                self.timer = Some(Box::pin(tokio::time::sleep(self.armed)));
            }
            let Some(timer) = &mut self.timer else { return Silence::Wait };
            if timer.as_mut().poll(cx).is_pending() {
                return Silence::Wait;
            }
            self.timer = None;
            if std::mem::take(&mut self.stirred) {
                self.silent = Duration::ZERO;
                continue;
            }
            self.silent += self.armed;
            if lingering || self.silent >= self.idle {
                return Silence::TooLong;
            }
            return Silence::KeepAlive;
        }
    }

    /// Until the next keep-alive, or the end of all patience.
    fn patience(&self, lingering: bool) -> Duration {
        let left = self.idle.saturating_sub(self.silent);
        match lingering {
            true => LINGER,
            false if self.keepalive.is_zero() => left,
            false => left.min(self.keepalive),
        }
    }
}

/// How an answer is looked at while it passes. Smaller than the [`Tap`] that it becomes.
#[derive(Debug, Clone, Copy)]
pub enum Look {
    /// Events of the call's dialect.
    Stream,
    /// One value in JSON.
    Json,
    /// What an unmetered call makes.
    Things(Operation),
    /// Not at all.
    Away,
}

impl Look {
    fn tap(self, call: &Call) -> Tap {
        let mut tap = match self {
            Self::Stream => Tap::stream(call.dialect),
            Self::Json => Tap::json(call.dialect),
            Self::Things(operation) => Tap::things(operation),
            Self::Away => Tap::blind(),
        };
        if call.makes {
            tap.find_id();
        }
        if call.makes_things() {
            tap.find_things();
        }
        tap
    }
}

/// What a passage begins with.
#[derive(Debug)]
pub struct Opening<A> {
    /// The provider's body.
    pub answer: A,
    /// What was read of it already.
    pub before: SmallVec<[Bytes; 1]>,
    /// How it is looked at.
    pub look: Look,
    /// Whether it is a stream of events.
    pub stream: bool,
    /// Whether its usage was asked for by us alone.
    pub asked: bool,
    /// Longest silence.
    pub idle: Duration,
    /// Who answers.
    pub provider: Arc<str>,
}

impl<A: Answer> Passage<A> {
    pub(super) fn new(
        opening: Opening<A>,
        call: Arc<Call>,
        trail: Arc<Trail>,
        held: Held,
        owned: Option<Arc<Owned>>,
    ) -> Self {
        let Opening { answer, before, look, stream, asked, idle, provider } = opening;
        let keepalive = match stream {
            true => call.rules.timeouts.keepalive,
            false => Duration::ZERO,
        };
        let clock = Clock::new(idle, keepalive);
        Self {
            answer,
            before,
            tap: look.tap(&call),
            sieve: (asked && stream).then(Box::default),
            stream,
            call,
            trail,
            held: Some(held),
            provider,
            owned,
            clock,
            bytes_out: 0,
            events: 0,
            outcome: None,
            parting: None,
        }
    }

    /// Whether all of the answer is here, in one frame. It has been looked at then, and passes next.
    pub(super) fn is_in_one_piece(&mut self) -> bool {
        if self.stream || self.before.len() != 1 || !self.answer.is_end_stream() {
            return false;
        }
        let data = self.before.remove(0);
        self.parting = self.pass(data);
        self.parting.is_some()
    }

    /// Whether the client has all that matters once it has what has passed.
    pub(super) fn has_ended(&self) -> bool {
        self.tap.terminal() && self.sieve.as_ref().is_none_or(|sieve| sieve.ready.is_empty())
    }

    /// Whether it is a stream of events.
    pub(super) const fn is_stream(&self) -> bool {
        self.stream
    }

    /// Bytes that have passed to the client.
    pub(super) const fn passed(&self) -> u64 {
        self.bytes_out
    }

    /// Whether everything that matters has passed.
    pub(super) fn is_over(&self) -> bool {
        self.outcome.is_some() || self.tap.terminal()
    }

    /// The model that the answer names itself.
    pub(super) fn served(&self) -> Served {
        self.tap.served()
    }

    /// What it has used so far, and whether the provider has counted the prompt.
    pub(super) fn so_far(&self) -> Option<(Usage, bool)> {
        let used = self.tap.used(self.trail.bytes_in.load(Relaxed))?;
        Some((used.usage, self.tap.usage().is_some()))
    }

    /// A budget is used up: nothing more passes, and it ends as if it had broken. So the agent asks again, and is told why it
    /// is refused where it shows that to its user.
    pub(super) fn cut(&mut self) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.broken(Outcome::Cut, LimitError::UsedUp.into())
    }

    /// How it went. `left`: the client's connection dropped the body before it was asked to its end, which is no leaving
    /// where everything that matters had passed.
    pub(super) fn tally(&mut self, left: bool, duration: Duration) -> Tally {
        let whole = self.tap.ended_well() || (self.before.is_empty() && self.answer.is_end_stream());
        if left && self.outcome.is_none() && !self.stream {
            self.tap.finish();
        }
        let outcome = self.outcome.unwrap_or(match left && !whole {
            true => Outcome::ClientLeft,
            false => Outcome::Complete,
        });
        // What a stored answer counts was counted when it was made.
        let asked = self.trail.bytes_in.load(Relaxed);
        let used = match self.call.endpoint {
            charged if charged.is_charged() => self.tap.used(asked),
            metered if metered.is_metered() => self.tap.usage().map(|usage| Used { usage, estimated: false }),
            _ => None,
        };
        let estimated = used.is_some_and(|used| used.estimated);
        // Vectors are no tokens, however long they are.
        let vectors =
            matches!(self.call.endpoint, Endpoint::Embeddings | Endpoint::EmbedContent | Endpoint::BatchEmbedContents);
        let usage = used.map(|used| match estimated && vectors {
            true => Usage { output: 0, ..used.usage },
            false => used.usage,
        });
        Tally { outcome, duration, bytes_out: self.bytes_out, events: self.events, usage, estimated }
    }

    /// What of a frame goes to the client now; the rest, if any, is ready.
    fn pass(&mut self, data: Bytes) -> Option<Bytes> {
        let Seen { events, content, terminal, usage_chunk, .. } = self.tap.feed(&data);
        self.events += u64::from(events);
        self.clock.stirred = true;
        // Before the client can know the id, we do.
        if let Some(owned) = &self.owned
            && let Some((object, id)) = self.tap.made()
        {
            let mut made = Some((object, id));
            while let Some((object, id)) = made {
                learn(owned, object, &id, &self.call, &self.provider);
                made = self.tap.made();
            }
        }
        // An answer that is no stream of events has no start-up: its first byte is content.
        if self.held.is_some() && (content || terminal || !self.stream) {
            self.held = None;
            self.trail.content.set(self.trail.at.elapsed());
        }
        if terminal {
            self.answer.nothing_more_matters();
            self.clock.timer = None;
        }
        if let Some(sieve) = &mut self.sieve {
            let boundary = self.tap.at_boundary();
            if usage_chunk || !boundary || !sieve.withhold.is_idle() {
                self.events -= u64::from(usage_chunk);
                sieve.ready = sieve.withhold.pass(&data, boundary);
                return self.next_ready();
            }
        }
        self.bytes_out += data.len() as u64;
        Some(data)
    }

    fn next_ready(&mut self) -> Option<Bytes> {
        let ready = &mut self.sieve.as_mut()?.ready;
        let data = if ready.is_empty() { return None } else { ready.remove(0) };
        self.bytes_out += data.len() as u64;
        Some(data)
    }

    /// The upstream has closed in good order.
    fn end(&mut self) {
        self.tap.finish();
        let unfinished = self.stream && !self.tap.ended_well();
        self.outcome = Some(if unfinished { Outcome::Unfinished } else { Outcome::Complete });
    }

    /// What was kept of a stream that has ended, as far as it is for the client.
    fn waited(&mut self) -> Option<Bytes> {
        let parts = self.sieve.as_mut()?.withhold.finish();
        if parts.is_empty() {
            return None;
        }
        let data: Bytes = parts.concat().into();
        self.bytes_out += data.len() as u64;
        Some(data)
    }

    /// The stream is broken: what its dialect's agents need to see, so that they ask again.
    fn broken(&mut self, outcome: Outcome, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.outcome = Some(outcome);
        if self.stream
            && let Ending::Object(bytes) = in_stream(self.call.dialect, &error)
        {
            self.bytes_out += bytes.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        Poll::Ready(Some(Err(error)))
    }

    fn broken_off(&self) -> Error {
        UpstreamError::BrokenOff { provider: self.provider.as_ref().into() }.into()
    }

    fn silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            match self.clock.poll(self.tap.terminal(), cx) {
                Silence::Wait => return Poll::Pending,
                Silence::KeepAlive => {
                    if self.tap.at_boundary()
                        && let Some(bytes) = keepalive(self.call.dialect)
                    {
                        return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(bytes)))));
                    }
                }
                Silence::TooLong if self.tap.terminal() => {
                    self.outcome = Some(Outcome::Complete);
                    return Poll::Ready(None);
                }
                Silence::TooLong => {
                    let error = UpstreamError::Silent { provider: self.provider.as_ref().into() };
                    return self.broken(Outcome::UpstreamIdle, error.into());
                }
            }
        }
    }
}

/// A batch may be made of a file whose calls name only what its team has at this provider.
fn learn(owned: &Owned, object: Object, id: &str, call: &Call, provider: &Arc<str>) {
    let holder = call.holder();
    let is_there = |named: &Reference| owned.maker(named.object, &named.id, &holder).as_ref() == Some(provider);
    if object == Object::File && call.calls.as_ref().is_some_and(|calls| calls.iter().all(is_there)) {
        owned.learn(Object::BatchInput, id, holder.clone(), provider);
    }
    owned.learn(object, id, holder, provider);
}

impl<A: Answer> Body for Passage<A> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.outcome.is_some() {
            return Poll::Ready(None);
        }
        if let Some(data) = this.parting.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(data) = this.next_ready() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        while !this.before.is_empty() {
            let data = this.before.remove(0);
            if let Some(data) = this.pass(data) {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        loop {
            match Pin::new(&mut this.answer).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers of a provider mean nothing to an agent and are hop-by-hop in effect (RFC 9110 section 6.5).
                    if let Ok(data) = frame.into_data()
                        && let Some(data) = this.pass(data)
                    {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                // Everything that matters has passed: the rest may break as it likes.
                Poll::Ready(Some(Err(_))) if this.tap.terminal() => {
                    this.outcome = Some(Outcome::Complete);
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => return this.broken(Outcome::UpstreamCut, error),
                Poll::Ready(None) => {
                    this.end();
                    if this.outcome == Some(Outcome::Unfinished) {
                        return this.broken(Outcome::Unfinished, this.broken_off());
                    }
                    return Poll::Ready(this.waited().map(|data| Ok(Frame::data(data))));
                }
                Poll::Pending => return this.silence(cx),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.before.is_empty()
            && self.parting.is_none()
            && (self.outcome.is_some() || (!self.stream && self.answer.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        // A stream may get a keep-alive or an ending of ours, so nobody knows its length.
        let Some(exact) = self.answer.size_hint().exact().filter(|_| !self.stream) else { return SizeHint::default() };
        let waiting = self.before.iter().chain(&self.parting);
        SizeHint::with_exact(exact + waiting.map(|b| b.len() as u64).sum::<u64>())
    }
}

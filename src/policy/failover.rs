//! Target by target, until one answers.
//!
//! Invariants: the held request stays here until an attempt has won; an attempt gets copies that share the bytes. What it
//! costs is [`super::settle`]'s, whoever answers. Another target is tried only before anything has reached the client: a head, and for streams the first content
//! event (start-up events are held back, but only while there is another target to turn to), for other answers of a known,
//! short length the first piece. The last target's answer passes
//! whatever it says, for it is the provider's word. A credential that a provider refuses is never the client's business
//! (it would log its user out), so 401 and 403 become an error of ours.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;
use tower::{Layer, Service};

use super::Core;
use super::attempt;
use super::passage::{Look, Opening, Passage};
use super::spoilt::Spoilt;
use crate::call::{Attempt, Call, Covered, Plan, Trail};
use crate::error::{Error, GatewayError, UpstreamError};
use crate::message::Response;
use crate::message::name::{CONTENT_ENCODING, CONTENT_TYPE};
use crate::protocol::tap::Tap;
use crate::protocol::usage::Usage;
use crate::protocol::{Dialect, Endpoint, headers};
use crate::snapshot::routes::{Place, Target};
use crate::upstream::body::Answer;

/// Start-up events that are held back for another target's sake: bytes, and time.
const HOLD_BYTES: usize = 64 * 1024;
const HOLD_TIME: Duration = Duration::from_secs(1);
/// How much of an error is read to find out whose fault it is.
const ERROR_BYTES: usize = 64 * 1024;

/// An attempt has won.
#[derive(Debug)]
pub struct Won<A: Answer> {
    /// Its answer, being looked at as it passes.
    pub response: Response<Box<Passage<A>>>,
    /// Who answered.
    pub target: Arc<Target>,
    /// Room at the provider, given up at the end of the answer.
    pub place: Option<Place>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct FailoverLayer(Arc<Core>);

/// See the module.
#[must_use]
pub fn failover(core: &Arc<Core>) -> FailoverLayer {
    FailoverLayer(Arc::clone(core))
}

impl<S> Layer<S> for FailoverLayer {
    type Service = Failover<S>;

    fn layer(&self, inner: S) -> Failover<S> {
        Failover { core: Arc::clone(&self.0), inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Failover<S> {
    core: Arc<Core>,
    inner: S,
}

impl<A, S> Service<Covered> for Failover<S>
where
    A: Answer + Send + 'static,
    S: Service<Attempt, Response = Response<A>, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Won<A>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Won<A>, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, covered: Covered) -> Self::Future {
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let core = Arc::clone(&self.core);
        Box::pin(async move { until_one_answers(inner, &core, covered).await })
    }
}

async fn until_one_answers<A, S>(mut upstream: S, core: &Core, covered: Covered) -> Result<Won<A>, Error>
where
    A: Answer,
    S: Service<Attempt, Response = Response<A>, Error = Error>,
{
    let Covered { trail, call, held, plan } = covered;
    let mut last = Error::from(GatewayError::Internal { what: "a plan without targets" });
    for n in 0..plan.order.len() {
        let Some(target) = plan.target(&call, n).map(Arc::clone) else { break };
        let more = n + 1 < plan.order.len();
        let place = match room_at(&target) {
            Ok(place) => place,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let (began, mut used) = (Instant::now(), None);
        let tried = try_target(&mut upstream, &trail, &call, &plan, &target, &held).await;
        let judged = match tried {
            Ok(response) => judge(response, &trail, &call, &target, more, &mut used).await,
            Err(error) => Err(error),
        };
        match judged {
            Ok(response) => {
                trail.upstream_status.store(response.status.as_u16(), Relaxed);
                let _ = trail.served.set(Arc::clone(&target));
                trail.answered.set(trail.at.elapsed());
                // Boxed: it is moved through every layer above, and it is large.
                let owned = (call.makes || call.makes_things()).then(|| Arc::clone(&core.owned));
                let response = response.map(|opening| Box::new(Passage::new(opening, call, trail, held, owned)));
                return Ok(Won { response, target, place });
            }
            Err(error) => {
                target.series.cells(call.agent, call.dialect, core.index).failed_attempts.fetch_add(1, Relaxed);
                let (route, captured) = (plan.route, plan.captured.as_deref().unwrap_or_default());
                let spoilt = Spoilt { trail: &trail, call: &call, route, target: &target, captured, began, used };
                spoilt.write_down(core, &error);
                if !error.may_try_elsewhere() {
                    return Err(error);
                }
                last = error;
            }
        }
    }
    Err(last)
}

/// Room for one more call, where the provider's is limited.
fn room_at(target: &Target) -> Result<Option<Place>, Error> {
    let Some(places) = &target.places else { return Ok(None) };
    match places.take() {
        Some(place) => Ok(Some(place)),
        None => Err(UpstreamError::Saturated { provider: target.provider.name.as_ref().into() }.into()),
    }
}

/// One target, and once more on a new connection where only a pooled one was lost.
async fn try_target<A, S>(
    upstream: &mut S,
    trail: &Trail,
    call: &Arc<Call>,
    plan: &Plan,
    target: &Arc<Target>,
    held: &crate::call::Held,
) -> Result<Response<A>, Error>
where
    A: Answer,
    S: Service<Attempt, Response = Response<A>, Error = Error>,
{
    let mut fresh = false;
    loop {
        let n = trail.attempts.fetch_add(1, Relaxed) + 1;
        let attempt = attempt::prepare(call, plan, target, held, n, fresh);
        if n == 1 {
            trail.own.put(trail.at.elapsed().saturating_sub(trail.whole.get().unwrap_or_default()));
        }
        poll_fn(|cx| upstream.poll_ready(cx)).await?;
        match upstream.call(attempt).await {
            Err(Error::Upstream(UpstreamError::HungUp { reused: true, .. })) if !fresh => fresh = true,
            other => return other,
        }
    }
}

type Judged<A> = Response<Opening<A>>;

/// Is this answer one to let through?
async fn judge<A: Answer>(
    response: Response<A>,
    trail: &Trail,
    call: &Call,
    target: &Target,
    more: bool,
    used: &mut Option<Usage>,
) -> Result<Judged<A>, Error> {
    let Response { status: code, mut fields, body: mut answer } = response;
    let status = code.as_u16();
    let provider = &target.provider;
    let refused = || UpstreamError::CredentialRefused { provider: provider.name.as_ref().into(), status };
    // The client's own credential is the client's own business.
    let ours = call.own_credential(provider).is_none();
    if ours && matches!(status, 401 | 403) {
        return Err(refused().into());
    }
    let mut before = SmallVec::new();
    // Gemini says 400 for a bad key, with a reason inside (google.rpc.ErrorInfo).
    if ours && status == 400 && call.dialect == Dialect::Gemini {
        before = Box::pin(read_error(&mut answer, provider.timeouts.idle)).await?;
        // Joined, for the reason may lie across two frames; bounded by ERROR_BYTES, and rare.
        if memchr::memmem::find(&before.concat(), b"API_KEY_INVALID").is_some() {
            return Err(refused().into());
        }
    }
    if more && (status == 429 || status >= 500) {
        return Err(UpstreamError::Overloaded { provider: provider.name.as_ref().into(), status }.into());
    }
    headers::strip_response(&mut fields, &call.model);
    let kind = fields.get(CONTENT_TYPE).unwrap_or_default();
    let plain = !fields.contains(CONTENT_ENCODING);
    let stream = plain
        && call.endpoint.is_metered()
        && kind.len() >= 17
        && kind[..17].eq_ignore_ascii_case(b"text/event-stream");
    let look = match (plain && code.is_success(), call.endpoint) {
        (true, Endpoint::Unmetered(operation)) if call.makes => Look::Things(operation),
        (false, _) | (_, Endpoint::Unmetered(_)) => Look::Away,
        (true, _) if stream => Look::Stream,
        (true, _) => Look::Json,
    };
    if stream && more {
        let since = trail.at.elapsed();
        before = Box::pin(hold_back(&mut answer, call, trail, &provider.name, used)).await?;
        trail.own.put(trail.own.get().unwrap_or_default() + (trail.at.elapsed() - since));
    } else if !stream && before.is_empty() && is_short(&answer) {
        // Its head says nothing to anybody without it, and once that has left nobody else can answer.
        before = first_piece(&mut answer).await?;
    }
    let opening = Opening {
        answer,
        before,
        look,
        stream,
        asked: call.asking.is_some() && provider.usage_request,
        idle: provider.timeouts.idle,
        provider: Arc::clone(&provider.name),
    };
    Ok(Response { status: code, fields, body: opening })
}

/// An answer of a known length that is worth waiting for the first piece of.
fn is_short<A: Answer>(answer: &A) -> bool {
    answer.size_hint().exact().is_some_and(|length| length > 0 && length <= HOLD_BYTES as u64)
}

/// The first piece of an answer. It mostly came with the head, so no timer is set before it is known not to have.
async fn first_piece<A: Answer>(answer: &mut A) -> Result<SmallVec<[Bytes; 1]>, Error> {
    match poll_fn(|cx| Poll::Ready(Pin::new(&mut *answer).poll_frame(cx))).await {
        Poll::Ready(Some(frame)) => Ok(frame?.into_data().into_iter().collect()),
        Poll::Ready(None) => Ok(SmallVec::new()),
        // Boxed, here and in [`judge`]: what seldom happens is no part of what every request moves.
        Poll::Pending => Box::pin(read_until(answer, HOLD_TIME, |_, _| Ok(true))).await,
    }
}

/// The beginning of a stream, up to its first content event. `used`: what it has told, should it end there.
async fn hold_back<A: Answer>(
    answer: &mut A,
    call: &Call,
    trail: &Trail,
    provider: &str,
    used: &mut Option<Usage>,
) -> Result<SmallVec<[Bytes; 1]>, Error> {
    let mut tap = Tap::stream(call.dialect);
    let held = read_until(answer, HOLD_TIME, |frame, bytes| {
        let seen = tap.feed(frame);
        // A stream whose first word is an error has not begun.
        match seen.failed && !seen.content {
            true => Err(UpstreamError::BrokenOff { provider: provider.into() }.into()),
            false => Ok(seen.content || seen.terminal || bytes > HOLD_BYTES),
        }
    })
    .await;
    if held.is_err() {
        let told = tap.used(trail.bytes_in.load(Relaxed)).map(|used| used.usage);
        *used = Some(told.unwrap_or_default());
    }
    held
}

async fn read_error<A: Answer>(answer: &mut A, patience: Duration) -> Result<SmallVec<[Bytes; 1]>, Error> {
    read_until(answer, patience, |_, bytes| Ok(bytes > ERROR_BYTES)).await
}

/// Reads frames until `enough`, the end, or the end of patience, whichever comes first.
async fn read_until<A: Answer>(
    answer: &mut A,
    patience: Duration,
    mut enough: impl FnMut(&Bytes, usize) -> Result<bool, Error>,
) -> Result<SmallVec<[Bytes; 1]>, Error> {
    let mut frames = SmallVec::new();
    let mut bytes = 0;
    let reading = async {
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut *answer).poll_frame(cx)).await {
            if let Ok(data) = frame?.into_data() {
                bytes += data.len();
                let done = enough(&data, bytes)?;
                frames.push(data);
                if done {
                    break;
                }
            }
        }
        Ok(())
    };
    match tokio::time::timeout(patience, reading).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) | Err(_) => Ok(frames),
    }
}

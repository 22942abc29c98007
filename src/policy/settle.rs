//! Once per call: what it used is known, the receipt is settled, tokens are counted.
//!
//! Invariant: what a call owes stays here, whoever answers, and is settled exactly once: when the answer's body ends or is
//! dropped, when every target has failed, or when the client leaves before. It is written down before the request leaves, and
//! what it cost before the client can see its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::Core;
use super::debt::Debt;
use super::failover::Won;
use super::meter::Meter;
use super::passage::Passage;
use super::reply::{Reply, ReplyBody};
use crate::call::{Covered, Funded, Outcome};
use crate::error::Error;
use crate::protocol::Endpoint;
use crate::snapshot::routes::{Place, Target};
use crate::upstream::body::Answer;

/// See the module.
#[derive(Debug, Clone)]
pub struct SettleLayer(Arc<Core>);

/// See the module.
#[must_use]
pub fn settle(core: &Arc<Core>) -> SettleLayer {
    SettleLayer(Arc::clone(core))
}

impl<S> Layer<S> for SettleLayer {
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Settle<S> {
        Settle { core: Arc::clone(&self.0), inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Settle<S> {
    core: Arc<Core>,
    inner: S,
}

impl<A, S> Service<Funded> for Settle<S>
where
    S: Service<Covered, Response = Won<A>, Error = Error>,
    A: Answer,
{
    type Response = Reply<Settling<A>>;
    type Error = Error;
    type Future = SettleFuture<S::Future, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, funded: Funded) -> Self::Future {
        let Funded { trail, call, held, plan, owed } = funded;
        let debt = Debt::new(Arc::clone(&self.core), Arc::clone(&trail), Arc::clone(&call), plan.route, owed);
        if let Err(error) = debt.note() {
            return SettleFuture::Refused { error: Some(error) };
        }
        let future = self.inner.call(Covered { trail, call, held, plan });
        SettleFuture::Under { future, debt: Some(debt), stood_back: false }
    }
}

pin_project! {
    /// See the module.
    #[project = SettleProjection]
    pub enum SettleFuture<F, A>
    where
        A: Answer,
    {
        /// On its way.
        Under {
            #[pin]
            future: F,
            debt: Option<Debt>,
            stood_back: bool,
        },
        /// Answered in one piece, and what it cost is noted but not written.
        Over { reply: Option<Reply<Settling<A>>>, core: Arc<Core> },
        /// It cannot be written down, and so is not made.
        Refused { error: Option<Error> },
    }
}

impl<F, A> Future for SettleFuture<F, A>
where
    F: Future<Output = Result<Won<A>, Error>>,
    A: Answer,
{
    type Output = Result<Reply<Settling<A>>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.as_mut().project() {
            SettleProjection::Under { future, debt, stood_back } => {
                // The other requests of this core that are ready are noted first. Then one write does for all, and their
                // requests go out one right after the other: a provider on the same machine is woken once for them instead
                // of once for each, and the cost of waking it is ours. With nobody else ready this is one more poll.
                if !std::mem::replace(stood_back, true) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if let Some(unwritten) = debt.as_mut().filter(|debt| !debt.has_begun())
                    && let Err(error) = unwritten.write_down()
                {
                    *debt = None;
                    return Poll::Ready(Err(error));
                }
                let won = ready!(future.poll(cx));
                let debt = debt.take();
                let (reply, noted) = match won {
                    Ok(won) => settling(won, debt),
                    Err(error) => {
                        if let Some(debt) = debt {
                            debt.fail();
                        }
                        return Poll::Ready(Err(error));
                    }
                };
                let Some(core) = noted else { return Poll::Ready(Ok(reply)) };
                cx.waker().wake_by_ref();
                self.set(SettleFuture::Over { reply: Some(reply), core });
                Poll::Pending
            }
            // The others of this core that are over are noted too by now.
            SettleProjection::Over { reply, core } => match reply.take() {
                Some(reply) => {
                    // What cannot be written now is written later: the call has been made.
                    let _ = core.journal.flush();
                    Poll::Ready(Ok(reply))
                }
                None => Poll::Pending,
            },
            SettleProjection::Refused { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}

/// An answer with what is to be settled at its end; settled already, and to be written, if it is here in one piece.
fn settling<A: Answer>(won: Won<A>, debt: Option<Debt>) -> (Reply<Settling<A>>, Option<Arc<Core>>) {
    let Won { response, target, place } = won;
    let status = response.status.as_u16();
    let stream = response.body.is_stream();
    let owing = debt.map(|mut debt| {
        let meter = Meter::of(&mut debt, &target, stream);
        Owing { debt, meter, target, place, status }
    });
    let mut response = response.map(|passage| Settling { passage, owing });
    let noted = response.body.settle_whole();
    (response.map(ReplyBody::Passing), noted)
}

/// What is still to be settled, and who answers.
#[derive(Debug)]
struct Owing {
    debt: Debt,
    meter: Meter,
    target: Arc<Target>,
    /// Room at the provider.
    place: Option<Place>,
    status: u16,
}

/// An answer's body whose call is settled at its end.
#[derive(Debug)]
pub struct Settling<A: Answer> {
    passage: Box<Passage<A>>,
    owing: Option<Owing>,
}

impl<A: Answer> Settling<A> {
    /// Settles an answer that is here in one piece before its head goes out; to be written then, as this says.
    fn settle_whole(&mut self) -> Option<Arc<Core>> {
        if !self.passage.is_in_one_piece() {
            return None;
        }
        self.note(false)
    }

    fn settle(&mut self, left: bool) {
        if let Some(core) = self.note(left) {
            // What cannot be written now is written later: the call has been made.
            let _ = core.journal.flush();
        }
    }

    /// Notes what the call cost, once.
    fn note(&mut self, left: bool) -> Option<Arc<Core>> {
        let Owing { debt, target, place, status, .. } = self.owing.take()?;
        drop(place);
        let tally = self.passage.tally(left, debt.trail.at.elapsed());
        let (call, trail, core) = (&debt.call, &debt.trail, &debt.core);
        let cells = target.series.cells(call.agent, call.dialect, core.index);
        cells.answered(status);
        cells.outcomes[tally.outcome as usize].fetch_add(1, Relaxed);
        if let Some(usage) = &tally.usage {
            cells.add_usage(usage);
        }
        let silent = tally.usage.is_none() || tally.estimated;
        if silent && status == 200 && tally.outcome == Outcome::Complete && call.endpoint.is_metered() {
            cells.unmetered.fetch_add(1, Relaxed);
        }
        if let (Endpoint::Unmetered(operation), Some(passed)) = (call.endpoint, &call.key().unmetered) {
            passed.count(call.agent, operation);
        }
        if let Some(own) = trail.own.get() {
            cells.overhead.record(own);
        }
        if let Some(content) = trail.content.get() {
            cells.first_content.record(content);
        }
        cells.duration.record(tally.duration);
        let _ = trail.tally.set(tally);
        let core = Arc::clone(core);
        debt.pay(&target, cells, status, &tally, self.passage.served().name());
        Some(core)
    }
}

impl<A: Answer> Body for Settling<A> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let polled = match &mut this.owing {
            Some(Owing { debt, meter, .. }) if meter.is_due(this.passage.passed()) && !this.passage.is_over() => {
                let so_far = this.passage.so_far();
                let passed = this.passage.passed();
                match so_far.is_none_or(|(usage, told)| meter.look(passed, &usage, told, debt)) {
                    true => Pin::new(&mut this.passage).poll_frame(cx),
                    false => this.passage.cut(),
                }
            }
            _ => Pin::new(&mut this.passage).poll_frame(cx),
        };
        // An end or an error is settled at once: the connection may keep this body for a while longer. So is an event that
        // is the last: the client takes it for the end.
        match &polled {
            Poll::Ready(None | Some(Err(_))) => self.settle(false),
            Poll::Ready(Some(Ok(_))) if self.passage.has_ended() => self.settle(false),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.passage.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.passage.size_hint()
    }
}

impl<A: Answer> Drop for Settling<A> {
    fn drop(&mut self) {
        self.settle(true);
    }
}

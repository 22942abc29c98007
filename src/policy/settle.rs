//! Once per call: what it used is known, the receipt is settled, tokens are counted.
//!
//! Invariant: a receipt that reaches this layer is settled exactly once, when the answer's body ends or is dropped,
//! whichever way. An attempt that failed never gets here; its receipt stays in [`super::failover`].

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
use super::failover::Won;
use super::passage::Passage;
use super::reply::{Reply, ReplyBody};
use crate::call::{Call, Funded, Outcome, Trail};
use crate::error::Error;
use crate::ledger::Receipt;
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
    S: Service<Funded, Response = Won<A>, Error = Error>,
    A: Answer,
{
    type Response = Reply<Settling<A>>;
    type Error = Error;
    type Future = SettleFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, funded: Funded) -> Self::Future {
        let (trail, call) = (Arc::clone(&funded.trail), Arc::clone(&funded.call));
        SettleFuture { future: self.inner.call(funded), owed: Some((Arc::clone(&self.core), trail, call)) }
    }
}

pin_project! {
    /// See the module.
    #[derive(Debug)]
    pub struct SettleFuture<F> {
        #[pin]
        future: F,
        owed: Option<(Arc<Core>, Arc<Trail>, Arc<Call>)>,
    }
}

impl<F, A> Future for SettleFuture<F>
where
    F: Future<Output = Result<Won<A>, Error>>,
    A: Answer,
{
    type Output = Result<Reply<Settling<A>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Won { response, target, place, receipt } = ready!(this.future.poll(cx))?;
        let status = response.status.as_u16();
        Poll::Ready(Ok(response.map(|passage| {
            let debt =
                this.owed.take().map(|(core, trail, call)| Debt { core, trail, call, target, place, receipt, status });
            ReplyBody::Passing(Settling { passage, debt })
        })))
    }
}

/// What is still to be settled.
#[derive(Debug)]
struct Debt {
    core: Arc<Core>,
    trail: Arc<Trail>,
    call: Arc<Call>,
    target: Arc<Target>,
    /// Room at the provider.
    place: Option<Place>,
    receipt: Receipt,
    status: u16,
}

/// An answer's body whose call is settled at its end.
#[derive(Debug)]
pub struct Settling<A: Answer> {
    passage: Box<Passage<A>>,
    debt: Option<Debt>,
}

impl<A: Answer> Settling<A> {
    fn settle(&mut self, left: bool) {
        let Some(debt) = self.debt.take() else { return };
        let Debt { core, trail, call, target, place, receipt, status } = debt;
        drop(place);
        let tally = self.passage.tally(left, trail.at.elapsed());
        receipt.settle(tally.usage);
        let cells = target.series.cells(call.agent, call.dialect, core.index);
        cells.answered(status);
        cells.outcomes[tally.outcome as usize].fetch_add(1, Relaxed);
        match &tally.usage {
            Some(usage) => cells.add_usage(usage),
            None if status == 200 && tally.outcome == Outcome::Complete && call.endpoint.is_metered() => {
                cells.unmetered.fetch_add(1, Relaxed);
            }
            None => {}
        }
        if let (Endpoint::Unmetered(operation), Some(passed)) = (call.endpoint, &call.key().unmetered) {
            passed.count(call.agent, operation);
        }
        if let Some(content) = trail.content.get() {
            cells.first_content.record(content);
        }
        cells.duration.record(tally.duration);
        let _ = trail.tally.set(tally);
    }
}

impl<A: Answer> Body for Settling<A> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.passage).poll_frame(cx);
        // An end or an error is settled at once: the connection may keep this body for a while longer.
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            self.settle(false);
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

//! One access record per request, whatever becomes of it; what is under way is counted.
//!
//! Invariant: the record is written exactly once: when the answer's body ends or is dropped, or when the request itself is
//! dropped before there was one. Errors do not log themselves; this is where they are logged.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::{error, info, warn};

use super::Core;
use super::record;
use crate::call::{Arrival, Trail};
use crate::error::{Error, Fault};
use crate::message::Response;
use crate::protocol::Endpoint;
use crate::snapshot::keyring::Spending;

/// See the module.
#[derive(Debug, Clone)]
pub struct ObserveLayer(Arc<Core>);

/// See the module.
#[must_use]
pub fn observe(core: &Arc<Core>) -> ObserveLayer {
    ObserveLayer(Arc::clone(core))
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { core: Arc::clone(&self.0), inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Observe<S> {
    core: Arc<Core>,
    inner: S,
}

impl<B, R, S> Service<Arrival<B>> for Observe<S>
where
    S: Service<Arrival<B>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes, Error = Error> + Unpin,
{
    type Response = Response<Observed<R>>;
    type Error = Infallible;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, arrival: Arrival<B>) -> Self::Future {
        let probe = arrival.door.as_ref().is_ok_and(|door| door.endpoint == Endpoint::Hello);
        let watch = Watch::new(&self.core, &arrival.trail, probe);
        ObserveFuture { future: self.inner.call(arrival), watch: Some(watch) }
    }
}

pin_project! {
    /// See the module.
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        #[pin]
        future: F,
        watch: Option<Watch>,
    }
}

impl<F, R> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Body<Data = Bytes, Error = Error> + Unpin,
{
    type Output = Result<Response<Observed<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.future.poll(cx));
        let mut watch = this.watch.take();
        if let Some(watch) = &mut watch {
            watch.status = Some(response.status.as_u16());
        }
        Poll::Ready(Ok(response.map(|body| Observed { body, watch })))
    }
}

/// A request under way; its record is written when this is dropped.
#[derive(Debug)]
struct Watch {
    core: Arc<Core>,
    trail: Arc<Trail>,
    /// `None` until there is an answer.
    status: Option<u16>,
    /// A keyless start-up probe: not worth a record.
    probe: bool,
}

impl Watch {
    fn new(core: &Arc<Core>, trail: &Arc<Trail>, probe: bool) -> Self {
        core.metrics.core(core.index).in_flight.fetch_add(1, Relaxed);
        Self { core: Arc::clone(core), trail: Arc::clone(trail), status: None, probe }
    }
}

impl Watch {
    /// A limit or a budget refused it: that is the team's and the owner's to see.
    fn limited(&self) {
        let spending = self.trail.caller.get().and_then(|(rules, key)| rules.keyring.key(*key).spending.as_ref());
        if let Some(Spending { team, owner }) = spending {
            team.refused(self.trail.agent, self.core.index);
            owner.refused(self.trail.agent, self.core.index);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let cells = self.core.metrics.core(self.core.index);
        cells.in_flight.fetch_sub(1, Relaxed);
        if self.probe {
            return;
        }
        if let Some(error) = self.trail.refused.get() {
            cells.refused(error.kind(), self.trail.agent);
            if let Error::Limit(limit) = error {
                cells.limited(limit);
                self.limited();
            }
            log(&self.trail, error);
        }
        self.core.access_log.write(|out, stamp| record::write(out, stamp, &self.trail, self.status));
    }
}

/// A caller's mistake is news, an operator's is a warning, ours is an error.
fn log(trail: &Trail, error: &Error) {
    let id = trail.id.as_str();
    match error.fault() {
        Fault::Caller => info!(request = id, agent = trail.agent.name(), %error, "refused"),
        Fault::Operator | Fault::Provider | Fault::Network => {
            warn!(request = id, agent = trail.agent.name(), %error, "refused");
        }
        Fault::Gateway => error!(request = id, agent = trail.agent.name(), %error, "refused"),
    }
}

/// An answer's body, whose end is recorded.
#[derive(Debug)]
pub struct Observed<R> {
    body: R,
    watch: Option<Watch>,
}

impl<R> Body for Observed<R>
where
    R: Body<Data = Bytes, Error = Error> + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            self.watch = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! Below: `Result<Reply, Error>`. Above: only responses.
//!
//! The one place where an error becomes an answer, worded by [`crate::protocol::problem`] for whoever asked. Claude Code's
//! keyless start-up probe is answered here too, before anybody is asked for a key.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::reply::{Reply, ReplyBody};
use crate::call::{Arrival, Trail};
use crate::error::Error;
use crate::message::Response;
use crate::message::name::TOLLGATE_REQUEST_ID;
use crate::protocol::{Endpoint, problem};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct RescueLayer;

/// See the module.
#[must_use]
pub fn rescue() -> RescueLayer {
    RescueLayer
}

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Rescue<S> {
    inner: S,
}

impl<B, P, S> Service<Arrival<B>> for Rescue<S>
where
    S: Service<Arrival<B>, Response = Reply<P>, Error = Error>,
{
    type Response = Reply<P>;
    type Error = Infallible;
    type Future = RescueFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // An inner service that is not ready for good answers the call with its error.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, arrival: Arrival<B>) -> Self::Future {
        if arrival.door.as_ref().is_ok_and(|door| door.endpoint == Endpoint::Hello) {
            return RescueFuture::Hello;
        }
        let trail = Arc::clone(&arrival.trail);
        RescueFuture::Call { future: self.inner.call(arrival), trail }
    }
}

pin_project! {
    /// A response, whatever happens.
    #[project = RescueProjection]
    #[derive(Debug)]
    pub enum RescueFuture<F> {
        /// The probe.
        Hello,
        /// Everything else.
        Call {
            #[pin]
            future: F,
            trail: Arc<Trail>,
        },
    }
}

impl<F, P> Future for RescueFuture<F>
where
    F: Future<Output = Result<Reply<P>, Error>>,
{
    type Output = Result<Reply<P>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (future, trail) = match self.project() {
            RescueProjection::Hello => return Poll::Ready(Ok(Response::new(ReplyBody::whole(Bytes::new())))),
            RescueProjection::Call { future, trail } => (future, trail),
        };
        let mut reply = ready!(future.poll(cx)).unwrap_or_else(|error| refuse(trail, &error));
        reply.fields.add(TOLLGATE_REQUEST_ID, trail.id.as_str().as_bytes());
        Poll::Ready(Ok(reply))
    }
}

fn refuse<P>(trail: &Trail, error: &Error) -> Reply<P> {
    let _ = trail.refused.set(error.clone());
    problem::problem(trail.dialect, trail.agent, error, trail.id.as_str()).map(ReplyBody::whole)
}

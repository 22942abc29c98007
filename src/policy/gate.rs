//! The one layer for policies that only decide.
//!
//! Invariant: a gate neither waits nor allocates; it turns what is known into what is known next, or into an error.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::error::Error;

/// A decision over one stage of a request.
pub trait Decide<In>: Clone {
    /// The next stage.
    type Out;

    /// Passes the request on or says why not.
    fn decide(&self, input: In) -> Result<Self::Out, Error>;
}

/// The layer that puts a decision in front of a service.
#[derive(Debug, Clone)]
pub struct GateLayer<D>(D);

/// Puts a decision in front of what follows.
pub fn gate<D>(decision: D) -> GateLayer<D> {
    GateLayer(decision)
}

impl<D: Clone, S> Layer<S> for GateLayer<D> {
    type Service = Gate<D, S>;

    fn layer(&self, inner: S) -> Gate<D, S> {
        Gate { decision: self.0.clone(), inner }
    }
}

/// A decision and what follows it.
#[derive(Debug, Clone)]
pub struct Gate<D, S> {
    decision: D,
    inner: S,
}

impl<In, D, S> Service<In> for Gate<D, S>
where
    D: Decide<In>,
    S: Service<D::Out, Error = Error>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = GateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, input: In) -> Self::Future {
        match self.decision.decide(input) {
            Ok(next) => GateFuture::Passed { future: self.inner.call(next) },
            Err(error) => GateFuture::Refused { error: Some(error) },
        }
    }
}

pin_project! {
    /// The answer of what follows, or the refusal.
    #[project = GateProjection]
    #[derive(Debug)]
    pub enum GateFuture<F> {
        /// Passed on.
        Passed {
            #[pin]
            future: F
        },
        /// Refused here.
        Refused {
            error: Option<Error>
        },
    }
}

impl<F, T> Future for GateFuture<F>
where
    F: Future<Output = Result<T, Error>>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            GateProjection::Passed { future } => Poll::Ready(ready!(future.poll(cx))),
            GateProjection::Refused { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                // Polled after completion: a future may do anything but unsound things then; waiting is the quietest.
                None => Poll::Pending,
            },
        }
    }
}

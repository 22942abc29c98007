//! What a key may ask of us rather than of a provider: its models (`GET …/models`, only what it may use, in the shape of the
//! dialect) and its usage (`GET /v1/usage`). Answered here; nothing goes upstream, and nothing is charged.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::Core;
use super::reply::{Reply, ReplyBody};
use super::standing;
use crate::call::Identified;
use crate::error::{Error, ModelError};
use crate::message::Response;
use crate::message::name::CONTENT_TYPE;
use crate::protocol::{Endpoint, listing};

/// See the module.
#[derive(Debug, Clone)]
pub struct CatalogLayer(Arc<Core>);

/// See the module.
#[must_use]
pub fn catalog(core: &Arc<Core>) -> CatalogLayer {
    CatalogLayer(Arc::clone(core))
}

impl<S> Layer<S> for CatalogLayer {
    type Service = Catalog<S>;

    fn layer(&self, inner: S) -> Catalog<S> {
        Catalog { core: Arc::clone(&self.0), inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Catalog<S> {
    core: Arc<Core>,
    inner: S,
}

impl<B, P, S> Service<Identified<B>> for Catalog<S>
where
    S: Service<Identified<B>, Response = Reply<P>, Error = Error>,
{
    type Response = Reply<P>;
    type Error = Error;
    type Future = CatalogFuture<S::Future, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, identified: Identified<B>) -> Self::Future {
        let answer = match identified.door.endpoint {
            Endpoint::Models => list(&identified),
            Endpoint::Model => describe(&identified),
            Endpoint::Usage => {
                let standing = standing::of(Arc::clone(&self.core), Arc::clone(&identified.rules), identified.key);
                return CatalogFuture::Asked { reply: Box::pin(async { standing.await.map(json) }) };
            }
            _ => return CatalogFuture::Passed { future: self.inner.call(identified) },
        };
        CatalogFuture::Answered { reply: Some(answer.map(json)) }
    }
}

pin_project! {
    /// The listing, or the answer of what follows.
    #[project = CatalogProjection]
    pub enum CatalogFuture<F, P> {
        /// Passed on.
        Passed {
            #[pin]
            future: F
        },
        /// Somebody here must be asked first. Boxed: seldom, and larger than what every call needs.
        Asked {
            reply: Pin<Box<dyn Future<Output = Result<Reply<P>, Error>> + Send>>
        },
        /// Answered here.
        Answered {
            reply: Option<Result<Reply<P>, Error>>
        },
    }
}

impl<F, P> Future for CatalogFuture<F, P>
where
    F: Future<Output = Result<Reply<P>, Error>>,
{
    type Output = Result<Reply<P>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CatalogProjection::Passed { future } => Poll::Ready(ready!(future.poll(cx))),
            CatalogProjection::Asked { reply } => reply.as_mut().poll(cx),
            CatalogProjection::Answered { reply } => match reply.take() {
                Some(reply) => Poll::Ready(reply),
                // Polled after completion.
                None => Poll::Pending,
            },
        }
    }
}

fn json<P>(body: Bytes) -> Reply<P> {
    let mut response = Response::new(ReplyBody::whole(body));
    response.fields.add(CONTENT_TYPE, b"application/json");
    response
}

fn list<B>(identified: &Identified<B>) -> Result<Bytes, Error> {
    let (rules, trail) = (&identified.rules, &identified.trail);
    let key = rules.keyring.key(identified.key);
    let names = rules.routes.names(trail.dialect).filter(|name| key.may_use(name));
    listing::models(trail.dialect, names, trail.uri.query())
}

fn describe<B>(identified: &Identified<B>) -> Result<Bytes, Error> {
    let (rules, trail) = (&identified.rules, &identified.trail);
    let model = identified.door.model.as_deref().unwrap_or_default();
    let key = rules.keyring.key(identified.key);
    if rules.routes.find(trail.dialect, model).is_none() || !key.may_use(model) {
        // One answer for both: a key learns nothing about models that it may not use.
        return Err(ModelError::Unknown { model: model.into() }.into());
    }
    listing::model(trail.dialect, model)
}

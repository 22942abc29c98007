//! Bytes leave: the leaf of the stack, `Attempt -> response of the provider`.
//!
//! HTTP/1.1 in clear text; over TLS whichever version the provider chooses.
//! An HTTP/1.1 connection has no task of its own: it is driven by the task of the request that uses it, first while the head
//! of the answer is awaited, then by the [`body::Body`] that the answer carries. That saves two wake-ups and a task switch
//! per request (numbers in `ARCHITECTURE.md`). Invariant: a connection is in exactly one place, a request or the pool, and
//! whoever drops it in any other state than "idle" closes it, so a client that leaves cancels the upstream call at once.

pub mod body;
pub mod connect;
pub mod dial;
pub mod http1;
pub mod http2;
pub mod io;
pub mod pool;
pub mod post;
pub mod prewarm;
pub mod proxy;
pub mod resolve;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use crate::call::Attempt;
use crate::error::{Error, UpstreamError};
use crate::message::{Fields, Response};
use crate::provider::Provider;
use body::Body;
use connect::Opened;
use http1::head::Head;
use http1::request::{NotATarget, Outgoing};
use http1::{Conn, Trouble};
use http2::Lease;
use pool::Pool;

/// Sends attempts; one per core.
#[derive(Debug, Clone)]
pub struct Upstream {
    pool: Arc<Pool>,
}

impl Upstream {
    /// Over a core's pool.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }
}

impl Service<Attempt> for Upstream {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let pool = Arc::clone(&self.pool);
        let provider = Arc::clone(&attempt.target.provider);
        if provider.tls.is_some() {
            // Which version of HTTP it will be is not known yet.
            return Box::pin(async move { Ok(negotiate(pool, &provider, attempt).await?) });
        }
        let fresh = attempt.fresh;
        // Rendered here: what waits for the answer is small, and the attempt is not part of it.
        let request = Outgoing::render(&attempt);
        Box::pin(async move {
            let request = request.map_err(|NotATarget| not_a_target(&provider))?;
            Ok(one_by_one(pool, &provider, fresh, request).await?)
        })
    }
}

fn not_a_target(provider: &Provider) -> UpstreamError {
    let why = "the path is not a valid request target".into();
    UpstreamError::ConnectFailed { provider: provider.name.as_ref().into(), why }
}

/// Sends a request over HTTP/1.1 in clear text, on an idle connection if there is one.
async fn one_by_one(
    pool: Arc<Pool>,
    provider: &Provider,
    fresh: bool,
    mut request: Outgoing,
) -> Result<Response<Body>, UpstreamError> {
    if !fresh {
        match over_idle(&pool, provider, request).await {
            Ok(answered) => return answered,
            Err(unsent) => request = unsent,
        }
    }
    match connect::connect(provider, &pool).await? {
        Opened::Http1(conn) => {
            Box::pin(over(conn, request, provider, &pool)).await.unwrap_or_else(|_| Err(hung_up(provider)))
        }
        // Only TLS can agree on it.
        Opened::Http2(_) => Err(hung_up(provider)),
    }
}

/// Sends a request on whatever connection there is; on a new one, by the version of HTTP that the provider chooses.
async fn negotiate(pool: Arc<Pool>, provider: &Provider, attempt: Attempt) -> Result<Response<Body>, UpstreamError> {
    let origin = &provider.origin;
    if !attempt.fresh {
        if let Some(lease) = pool.lease(origin)
            && let Some(answered) = Box::pin(over_http2(lease, &attempt, provider, &pool, true)).await
        {
            return answered;
        }
        let request = Outgoing::render(&attempt).map_err(|NotATarget| not_a_target(provider))?;
        if let Ok(answered) = over_idle(&pool, provider, request).await {
            return answered;
        }
    }
    // One opens, the others wait for it: a hundred requests need one connection. But no longer than that may take, or with a
    // provider that does not answer each would wait for all before it.
    let turn = match pool.opening(origin) {
        Some(gate) => tokio::time::timeout(provider.timeouts.connect, gate.acquire_owned()).await.ok(),
        None => None,
    };
    let opened_meanwhile = if attempt.fresh { None } else { pool.lease(origin) };
    let lease = match opened_meanwhile {
        Some(lease) => Some(lease),
        None => match connect::connect(provider, &pool).await? {
            Opened::Http1(conn) => {
                drop(turn);
                let request = Outgoing::render(&attempt).map_err(|NotATarget| not_a_target(provider))?;
                return over(conn, request, provider, &pool).await.unwrap_or_else(|_| Err(hung_up(provider)));
            }
            Opened::Http2(shared) => pool.share(origin, shared),
        },
    };
    drop(turn);
    match lease {
        Some(lease) => Box::pin(over_http2(lease, &attempt, provider, &pool, false)).await,
        None => None,
    }
    .unwrap_or_else(|| Err(hung_up(provider)))
}

fn hung_up(provider: &Provider) -> UpstreamError {
    UpstreamError::HungUp { provider: provider.name.as_ref().into(), reused: false }
}

/// Sends a request on idle connections, one after the other, until one was not closed by the provider a moment ago. Gives
/// the request back if there is none.
///
/// Where nothing was sent on a connection yet, the request goes out on the next one; where bytes may have reached the
/// provider, it does not, for it may have been served.
async fn over_idle(
    pool: &Arc<Pool>,
    provider: &Provider,
    mut request: Outgoing,
) -> Result<Result<Response<Body>, UpstreamError>, Outgoing> {
    while let Some(conn) = pool.checkout(&provider.origin) {
        match over(conn, request, provider, pool).await {
            Ok(answered) => {
                pool.count_reuse();
                return Ok(answered);
            }
            Err(unsent) => request = unsent,
        }
    }
    Err(request)
}

/// Sends a request on a connection of HTTP/1.1. Gives the request back if nothing of it was sent.
async fn over(
    mut conn: Box<Conn>,
    request: Outgoing,
    provider: &Provider,
    pool: &Arc<Pool>,
) -> Result<Result<Response<Body>, UpstreamError>, Outgoing> {
    let name = || -> Box<str> { provider.name.as_ref().into() };
    let reused = conn.served > 0;
    conn.send(request);
    match tokio::time::timeout(provider.timeouts.first_byte, poll_fn(|cx| conn.poll_head(cx))).await {
        Ok(Ok(head)) => Ok(Ok(respond(head, conn, Arc::clone(pool), &provider.name))),
        Ok(Err(Trouble::Stale(unsent))) => Err(unsent),
        Ok(Err(Trouble::Garbage)) => Ok(Err(UpstreamError::Garbage { provider: name() })),
        Ok(Err(Trouble::HungUp)) => Ok(Err(UpstreamError::HungUp { provider: name(), reused })),
        Err(_) => Ok(Err(UpstreamError::Silent { provider: name() })),
    }
}

fn respond(head: Head, conn: Box<Conn>, pool: Arc<Pool>, provider: &Arc<str>) -> Response<Body> {
    let Head { status, fields, framing, .. } = head;
    Response { status, fields, body: Body::of_http1(framing, conn, pool, Arc::clone(provider)) }
}

/// Sends a request as a stream of HTTP/2. `None` if the provider has not looked at it.
async fn over_http2(
    lease: Lease,
    attempt: &Attempt,
    provider: &Provider,
    pool: &Pool,
    reused: bool,
) -> Option<Result<Response<Body>, UpstreamError>> {
    let name = || -> Box<str> { provider.name.as_ref().into() };
    let Some(request) = http2::render(attempt) else { return Some(Err(not_a_target(provider))) };
    let answer = tokio::time::timeout(provider.timeouts.first_byte, lease.send(request)).await;
    if reused && !matches!(answer, Ok(Err(http2::Trouble::Unserved))) {
        pool.count_reuse();
    }
    Some(match answer {
        Ok(Ok((response, place))) => {
            let (head, incoming) = response.into_parts();
            let body = Body::of_http2(incoming, place, Arc::clone(&provider.name));
            Ok(Response { status: head.status, fields: Fields::from(&head.headers), body })
        }
        Ok(Err(http2::Trouble::Unserved)) => return None,
        Ok(Err(http2::Trouble::HungUp)) => Err(UpstreamError::HungUp { provider: name(), reused }),
        Ok(Err(http2::Trouble::Garbage)) => Err(UpstreamError::Garbage { provider: name() }),
        Err(_) => Err(UpstreamError::Silent { provider: name() }),
    })
}

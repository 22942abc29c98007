//! Bytes leave: the leaf of the stack, `Attempt -> response of the provider`.
//!
//! An HTTP/1.1 connection has no task of its own: it is driven by the task of the request that uses it, first while the head
//! of the answer is awaited, then by the [`body::Body`] that the answer carries. That saves two wake-ups and a task switch
//! per request (numbers in `ARCHITECTURE.md`). Invariant: a connection is in exactly one place, a request or the pool, and
//! whoever drops it in any other state than "idle" closes it, so a client that leaves cancels the upstream call at once.

pub mod body;
pub mod connect;
pub mod http1;
pub mod io;
pub mod pool;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Response;
use tower::Service;

use crate::call::Attempt;
use crate::error::{Error, UpstreamError};
use crate::provider::Provider;
use body::Body;
use http1::head::Head;
use http1::request::{NotATarget, Outgoing};
use http1::{Conn, Trouble};
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
        // Rendered here: what waits for the answer is small, and the attempt is not part of it.
        let provider = Arc::clone(&attempt.target.provider);
        let fresh = attempt.fresh;
        let request = Outgoing::render(attempt);
        Box::pin(async move {
            let request = request.map_err(|NotATarget| UpstreamError::ConnectFailed {
                provider: provider.name.as_ref().into(),
                why: "the path is not a valid request target".into(),
            })?;
            Ok(send(pool, &provider, fresh, request).await?)
        })
    }
}

/// Sends a request, on an idle connection if there is one.
///
/// A pooled connection may have been closed by the provider a moment ago. Where nothing was sent on it yet, the request goes
/// out on the next one; where bytes may have reached the provider, it does not, for it may have been served.
async fn send(
    pool: Arc<Pool>,
    provider: &Provider,
    fresh: bool,
    mut request: Outgoing,
) -> Result<Response<Body>, UpstreamError> {
    let name = || -> Box<str> { provider.name.as_ref().into() };
    loop {
        let pooled = if fresh { None } else { pool.checkout(&provider.origin) };
        let mut conn = match pooled {
            Some(conn) => conn,
            None => connect::connect(provider, &pool).await?,
        };
        let reused = conn.served > 0;
        conn.send(request);
        let patience = provider.timeouts.first_byte;
        let answer = tokio::time::timeout(patience, poll_fn(|cx| conn.poll_head(cx))).await;
        if let Ok(Err(Trouble::Stale(unsent))) = answer {
            request = unsent;
            continue;
        }
        if reused {
            pool.count_reuse();
        }
        return match answer {
            Ok(Ok(head)) => Ok(respond(head, conn, pool, &provider.name)),
            Ok(Err(Trouble::Garbage)) => Err(UpstreamError::Garbage { provider: name() }),
            Ok(Err(Trouble::HungUp | Trouble::Stale(_))) => Err(UpstreamError::HungUp { provider: name(), reused }),
            Err(_) => Err(UpstreamError::Silent { provider: name() }),
        };
    }
}

fn respond(head: Head, conn: Box<Conn>, pool: Arc<Pool>, provider: &Arc<str>) -> Response<Body> {
    let mut response = Response::new(Body::new(head.framing, conn, pool, Arc::clone(provider)));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

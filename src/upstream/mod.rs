//! Bytes leave: the leaf of the stack, `Attempt -> response of the provider`.
//!
//! An HTTP/1.1 connection has no task of its own: it is driven by the task of the request that uses it, first while the head
//! of the answer is awaited, then by the [`body::Body`] that the answer carries. That saves two wake-ups and a task switch
//! per request (numbers in `ARCHITECTURE.md`). Invariant: a connection is in exactly one place, a request or the pool, and
//! whoever drops it in any other state than "idle" closes it, so a client that leaves cancels the upstream call at once.

pub mod body;
pub mod conn;
pub mod connect;
pub mod pool;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response, Uri, Version};
use tower::Service;

use crate::call::Attempt;
use crate::error::{Error, UpstreamError};
use crate::provider::Provider;
use body::{Body, Sending};
use conn::Conn;
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
        Box::pin(async move { send(pool, attempt).await.map_err(Error::from) })
    }
}

/// Sends one attempt, on an idle connection if there is one.
///
/// A pooled connection may have been closed by the provider a moment ago. Where hyper gives the request back unsent, it is
/// sent once more, on a new connection; where bytes may have reached the provider, it is not, for it may have been served.
async fn send(pool: Arc<Pool>, attempt: Attempt) -> Result<Response<Body>, UpstreamError> {
    let provider = Arc::clone(&attempt.target.provider);
    let pooled = if attempt.fresh { None } else { pool.checkout(&provider.origin) };
    let mut request = render(attempt, &provider)?;
    if let Some(conn) = pooled {
        pool.count_reuse();
        match exchange(conn, request, &provider, &pool).await {
            Ok(response) => return Ok(response),
            Err(Failure::Unsent(back)) => request = *back,
            Err(Failure::Fatal(error)) => return Err(error),
        }
    }
    pool.count_connect();
    let conn = connect::connect(&provider).await?;
    exchange(conn, request, &provider, &pool).await.map_err(|failure| match failure {
        Failure::Fatal(error) => error,
        Failure::Unsent(_) => UpstreamError::HungUp { provider: provider.name.as_ref().into(), reused: false },
    })
}

fn render(attempt: Attempt, provider: &Provider) -> Result<Request<Sending>, UpstreamError> {
    let Attempt { path, headers, body, .. } = attempt;
    let uri = Uri::from_maybe_shared(path).map_err(|_| UpstreamError::ConnectFailed {
        provider: provider.name.as_ref().into(),
        why: "the path is not a valid request target".into(),
    })?;
    let mut request = Request::new(Sending::new(body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok(request)
}

enum Failure {
    /// Nothing was sent; the request is as it was.
    Unsent(Box<Request<Sending>>),
    Fatal(UpstreamError),
}

/// One request and its answer's head over one connection.
async fn exchange(
    mut conn: Box<Conn>,
    request: Request<Sending>,
    provider: &Provider,
    pool: &Arc<Pool>,
) -> Result<Response<Body>, Failure> {
    let reused = conn.served > 0;
    let name = || -> Box<str> { provider.name.as_ref().into() };
    let answer = {
        let mut head = std::pin::pin!(tokio::task::unconstrained(conn.sender.try_send_request(request)));
        let exchange = poll_fn(|cx| {
            // The connection first: it writes the request and reads the answer that `head` then finds.
            let ended = conn.drive(cx).is_ready();
            // With a waker that wakes nobody: whatever brings the head is driven right here, before it is looked for.
            // Hence unconstrained: with the task's budget used up, the head would be pending and its wake-up lost.
            match head.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending if ended => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
            }
        });
        match tokio::time::timeout(provider.timeouts.first_byte, exchange).await {
            Err(_) => return Err(Failure::Fatal(UpstreamError::Silent { provider: name() })),
            Ok(None) => return Err(Failure::Fatal(UpstreamError::HungUp { provider: name(), reused })),
            Ok(Some(answer)) => answer,
        }
    };
    match answer {
        Ok(response) => {
            conn.served += 1;
            let (parts, incoming) = response.into_parts();
            let body = Body::new(incoming, conn, Arc::clone(pool), Arc::clone(&provider.name));
            Ok(Response::from_parts(parts, body))
        }
        Err(mut error) => {
            if let Some(request) = error.take_message().filter(|_| reused) {
                return Err(Failure::Unsent(Box::new(request)));
            }
            let error = error.into_error();
            Err(Failure::Fatal(match error.is_parse() || error.is_parse_too_large() {
                true => UpstreamError::Garbage { provider: name() },
                false => UpstreamError::HungUp { provider: name(), reused },
            }))
        }
    }
}

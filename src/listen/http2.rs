//! One HTTP/2 connection of a client (RFC 9113).
//!
//! Invariant: bounded in every direction: streams at one time, header lists, what is buffered of a stream either way, and
//! resets that a client may cause before it is told to calm down (the rapid reset attack, CVE-2023-44487). A stream that is
//! reset drops its request at once. Time-outs are those of HTTP/1.1: for the first request, and between two.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::sync::watch;
use tower::{Service, ServiceExt};

use super::accept::{Phase, reached};
use super::body::{ClientBody, Source};
use super::line::{Line, Serving};
use super::stream::Stream;
use super::turns::Turns;
use super::{Inbound, Settings};
use crate::message::name::{CONNECTION, HOST};
use crate::message::{Fields, Response};

/// Requests at one time on one connection.
const STREAMS: u32 = 128;
/// What a client may send of one request's body before it is read, and of all of a connection's.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What waits for a slow client, of one stream.
const SEND_BUFFER: usize = 64 * 1024;
/// A request's header list (RFC 9113 section 6.5.2).
const HEADER_LIST: u32 = 64 * 1024;
/// Streams that were reset before we took them up, and resets that we had to answer faults with.
const RESETS: usize = 20;
const FAULTS: usize = 64;
/// A peer that has vanished is found out by pings.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);

/// Serves one connection to its end.
pub(super) async fn serve<S, B>(
    stream: Stream,
    peer: SocketAddr,
    service: S,
    settings: Settings,
    mut phase: watch::Receiver<Phase>,
) where
    S: Service<Inbound<ClientBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let line = Arc::new(Line::default());
    let requests = Arc::clone(&line);
    let trusted = settings.trusted.clone();
    let http = service_fn(move |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let fields = Fields::from(&head.headers);
        let peer = trusted.behind_request(&fields, peer);
        let body = ClientBody(Source::Http2(body));
        let addressed = is_addressed(&head.uri, &fields);
        let (method, target, version) = (head.method, head.uri, head.version);
        let inbound = Inbound { method, target, version, fields, body, peer, addressed };
        answer(service.clone(), inbound, Arc::clone(&requests))
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADER_LIST)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(FAULTS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE)
        .serve_connection(TokioIo::new(Turns::new(stream)), http);
    let mut connection = pin!(connection);
    let mut timer = pin!(tokio::time::sleep(settings.header_timeout));
    // At once: GOAWAY says which streams are still served (RFC 9113 section 6.8), so nothing is lost by it.
    let mut closing = pin!(reached(&mut phase, Phase::Draining));
    let mut closed = false;
    let mut seen = 0;
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            while timer.as_mut().poll(cx).is_ready() {
                if line.is_idle_since(seen) {
                    return Poll::Ready(());
                }
                seen = line.requests();
                timer.as_mut().reset(tokio::time::Instant::now() + settings.idle_timeout);
            }
            if closed || closing.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            closed = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
}

pin_project! {
    /// An answer's body: its request is under way until it is dropped.
    struct Served<B> {
        #[pin]
        body: B,
        serving: Serving,
    }
}

impl<B: Body> Body for Served<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn answer<S, B>(
    service: S,
    inbound: Inbound<ClientBody>,
    line: Arc<Line>,
) -> Result<http::Response<Served<B>>, Infallible>
where
    S: Service<Inbound<ClientBody>, Response = Response<B>, Error = Infallible>,
{
    let serving = Serving::begin(&line);
    let Response { status, fields, body } = service.oneshot(inbound).await?;
    let mut response = http::Response::new(Served { body, serving });
    *response.status_mut() = status;
    // RFC 9113 section 8.2.2: a connection is no matter of one of its streams.
    *response.headers_mut() = fields.to_map(|field| !field.is(CONNECTION));
    Ok(response)
}

/// An authority without a user, and no `host` that says otherwise; or a `host` alone (RFC 9113 section 8.3.1).
fn is_addressed(target: &Uri, fields: &Fields) -> bool {
    let mut hosts = fields.all(HOST);
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return false;
    }
    match (target.authority(), host) {
        (Some(authority), host) => {
            let authority = authority.as_str();
            !authority.contains('@') && host.is_none_or(|host| host.eq_ignore_ascii_case(authority.as_bytes()))
        }
        (None, host) => host.is_some_and(|host| !host.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_whom_a_request_is() {
        for (uri, hosts, want) in [
            ("https://gateway.test/v1", &[][..], true),
            ("https://gateway.test/v1", &["Gateway.test"], true),
            ("https://gateway.test:8443/v1", &["gateway.test:8443"], true),
            ("https://gateway.test/v1", &["other.test"], false),
            ("https://gateway.test/v1", &[""], false),
            ("https://gateway.test/v1", &["gateway.test", "gateway.test"], false),
            ("https://user@gateway.test/v1", &[], false),
            ("/v1", &["gateway.test"], true),
            ("/v1", &[], false),
            ("/v1", &[""], false),
        ] {
            let mut fields = Fields::default();
            hosts.iter().for_each(|host| fields.push("host", host.as_bytes()));
            assert_eq!(is_addressed(&uri.parse().unwrap(), &fields), want, "{uri} {hosts:?}");
        }
    }
}

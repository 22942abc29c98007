//! One POST and the status of its answer, over a connection of its own: for what is seldom and for nobody who waits.
//!
//! The way there is the same as to a provider: names, proxy, TLS. Invariant: no redirection is followed and nothing of the
//! answer's body is read; the connection ends with the future. Deliberately without a time-out: whoever asks has one.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::dial::dial;
use super::resolve::Names;
use crate::provider::webhook::Webhook;

/// An answer's head.
const LONGEST_HEAD: usize = 16 * 1024;
/// Its lines.
const MOST_HEADERS: usize = 64;

/// Posts JSON with these headers. Returns the answer's status, whatever it is.
///
/// # Errors
/// There was no answer: why, in words that name no address and nothing of the URL's path.
pub async fn post(
    names: &Names,
    hook: &Webhook,
    headers: &[(&'static str, String)],
    body: Bytes,
) -> Result<u16, String> {
    let request = request(hook, headers, body).ok_or("this cannot be a request")?;
    let tcp = dial(names, &hook.origin, hook.dns_ttl).await?;
    let Some(config) = &hook.tls else { return exchange(tcp, request).await };
    let name = ServerName::try_from(hook.origin.host.to_string()).map_err(|_| "not a host name".to_owned())?;
    let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(|e| format!("TLS: {e}"))?;
    exchange(tls, request).await
}

fn request(hook: &Webhook, headers: &[(&'static str, String)], body: Bytes) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::post(hook.target.as_str())
        .header(header::HOST, &hook.origin.authority)
        .header(header::USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_str(value).ok()?);
    }
    request.body(Full::new(body)).ok()
}

async fn exchange<I>(io: I, request: Request<Full<Bytes>>) -> Result<u16, String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    let builder = builder.max_buf_size(LONGEST_HEAD).max_headers(MOST_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(|e| e.to_string())?;
    let mut answer = pin!(sender.send_request(request));
    let mut connection = Some(pin!(connection));
    let answer = poll_fn(|cx| {
        // The connection first: it may hand the answer over and end in one poll.
        if connection.as_mut().is_some_and(|running| Pin::as_mut(running).poll(cx).is_ready()) {
            connection = None;
        }
        answer.as_mut().poll(cx)
    });
    answer.await.map(|answer| answer.status().as_u16()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;

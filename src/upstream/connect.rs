//! A new connection: name, TCP, a proxy, TLS, in one time-out.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::dial::dial;
use super::http1::Conn;
use super::http2::Shared;
use super::io::Io;
use super::pool::Pool;
use crate::error::UpstreamError;
use crate::provider::Provider;

/// Connects to a provider, and counts it.
///
/// # Errors
/// `ConnectFailed`, in words that name no address: nothing has reached the provider.
pub async fn connect(provider: &Provider, pool: &Pool) -> Result<Opened, UpstreamError> {
    pool.count_connect();
    let failed = |why: String| UpstreamError::ConnectFailed {
        provider: provider.name.as_ref().into(),
        why: why.into_boxed_str(),
    };
    // Boxed: TLS and HTTP/2 are large while they begin, and a request that needs no new connection must not carry room for
    // them (its future is copied when it is made: 9,000 instructions).
    match tokio::time::timeout(provider.timeouts.connect, Box::pin(open(provider, pool))).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(why)) => Err(failed(why)),
        Err(_) => Err(failed(format!("no connection within {:?}", provider.timeouts.connect))),
    }
}

/// A connection, by the version of HTTP that the provider chose.
#[derive(Debug)]
pub enum Opened {
    /// For one request at a time.
    Http1(Box<Conn>),
    /// For many.
    Http2(Shared),
}

async fn open(provider: &Provider, pool: &Pool) -> Result<Opened, String> {
    let origin = &provider.origin;
    let tcp = dial(&pool.names, origin, provider.dns_ttl).await?;
    // A request is written at once and its answer awaited: nothing to gain from waiting for more (RFC 896).
    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
    let io = match &provider.tls {
        None => Io::Plain(tcp),
        Some(config) => {
            let name = ServerName::try_from(origin.host.to_string()).map_err(|_| "not a host name".to_owned())?;
            let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
            let tls = tls.map_err(|e| format!("TLS: {e}"))?;
            if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                return Shared::begin(tls).await.map(Opened::Http2).map_err(|e| format!("HTTP/2: {e}"));
            }
            Io::Tls(Box::new(tls))
        }
    };
    Ok(Opened::Http1(Conn::new(io, Arc::clone(origin))))
}

//! The baseline: hyper's server and hyper-util's pooled client, one pair per thread, and nothing in between.
//!
//! It is what a proxy costs that decides nothing: the floor that a gateway's cost is told as a multiple of. It can be
//! slowed on purpose, so that one can see a load test find it out.
//!
//! Invariant: bodies pass frame by frame, unread. It has no policy, no time-outs, no TLS, and is meant for loopback.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use http::header::{self, HeaderMap, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// What is done on purpose to make it worse. All zero: nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slowness {
    /// Its thread sleeps so long before every request.
    pub delay: Duration,
    /// Its thread computes so long before every request.
    pub burn: Duration,
    /// Its thread stands still so long,
    pub stall: Duration,
    /// so often.
    pub stall_every: Duration,
}

/// Serves until the process ends, with one thread per worker.
///
/// # Errors
/// The address cannot be bound, or a thread cannot start.
pub fn serve(listen: SocketAddr, upstream: &Authority, workers: usize, slowness: Slowness) -> io::Result<()> {
    let listeners: Vec<_> = (0..workers.max(1)).map(|_| listener(listen)).collect::<io::Result<_>>()?;
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let upstream = upstream.clone();
            std::thread::spawn(move || worker(listener, upstream, slowness))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a worker died"))??;
    }
    Ok(())
}

fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    const BACKLOG: i32 = 4096;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn worker(listener: std::net::TcpListener, upstream: Authority, slowness: Slowness) -> io::Result<()> {
    // The kernel may round a sleep up by its slack, 50 µs unless told otherwise: the delay would not be what was asked for.
    rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(accept(listener, upstream, slowness))
}

async fn accept(listener: std::net::TcpListener, upstream: Authority, slowness: Slowness) -> io::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(3600))
        .build(connector);
    let proxy = Proxy { client, upstream, slowness };
    let listener = TcpListener::from_std(listener)?;
    if !slowness.stall.is_zero() {
        tokio::spawn(stall(slowness));
    }
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let proxy = proxy.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| proxy.clone().forward(request));
            // Clients and providers break off in load tests; there is nobody to tell.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn stall(slowness: Slowness) {
    loop {
        tokio::time::sleep(slowness.stall_every).await;
        // The whole thread, with all that it serves: that is what a stall is.
        std::thread::sleep(slowness.stall);
    }
}

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    slowness: Slowness,
}

impl Proxy {
    async fn forward(self, mut request: Request<Incoming>) -> Result<Response<Incoming>, Failed> {
        if !self.slowness.delay.is_zero() {
            std::thread::sleep(self.slowness.delay);
        }
        if !self.slowness.burn.is_zero() {
            burn(self.slowness.burn);
        }
        let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(self.upstream).path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|error| Failed::Address(error.to_string()))?;
        *request.version_mut() = Version::HTTP_11;
        strip_hop_by_hop(request.headers_mut());
        // The client sets the provider's.
        request.headers_mut().remove(header::HOST);
        let mut response = self.client.request(request).await.map_err(Failed::Provider)?;
        strip_hop_by_hop(response.headers_mut());
        Ok(response)
    }
}

fn burn(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// RFC 9110 section 7.6.1: they are about one connection.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const HOP_BY_HOP: [HeaderName; 6] = [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Why a request could not be passed on; hyper then closes the client's connection.
#[derive(Debug)]
enum Failed {
    Address(String),
    Provider(hyper_util::client::legacy::Error),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(why) => write!(f, "no address: {why}"),
            Self::Provider(why) => write!(f, "the provider failed: {why}"),
        }
    }
}

impl std::error::Error for Failed {}

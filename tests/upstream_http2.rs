//! The real binary in front of providers that speak HTTP/2, or only HTTP/1.1, over TLS.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod program;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use program::{KEY, Process, free, listens, tollgate};

const ANSWER: &str = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

/// What the provider does with a request; the number says which of its process it is, from 0.
type Script = fn(u64) -> Act;

#[derive(Clone, Copy)]
enum Act {
    /// The answer, at once.
    Answer,
    /// The answer, when told to.
    Wait,
    /// 20 events, 20 ms apart.
    Stream,
    /// A first event, and then nothing.
    Hang,
    /// RST_STREAM: not looked at (RFC 9113 section 8.7).
    Refuse,
    /// The answer, and then no more requests on this connection.
    AnswerAndGoAway,
    /// A first event, and then the connection is cut.
    Cut,
}

struct Provider {
    script: Script,
    requests: AtomicU64,
    connections: AtomicU64,
    resets: AtomicU64,
    body_bytes: AtomicU64,
    go: Semaphore,
    /// New connections are accepted and then nothing is said on them.
    mute: AtomicBool,
}

struct Setting {
    provider: Arc<Provider>,
    gateway: SocketAddr,
    _process: Process,
    _dir: tempfile::TempDir,
}

const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

async fn setting(alpn: &[&[u8]], script: Script) -> Setting {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
    let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let provider = Arc::new(Provider {
        script,
        requests: AtomicU64::new(0),
        connections: AtomicU64::new(0),
        resets: AtomicU64::new(0),
        body_bytes: AtomicU64::new(0),
        go: Semaphore::new(0),
        mute: AtomicBool::new(false),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&provider)));
    let (gateway, admin) = (free(), free());
    let config = format!(
        r#"version = 1
[listen]
address = "{gateway}"
admin = "{admin}"
workers = 1
[[provider]]
name = "p"
speaks = ["chat"]
base_url = "https://localhost:{port}"
ca_file = "ca.pem"
timeouts = {{ connect = "1s" }}
[[model]]
name = "*"
provider = "p"
[[key]]
name = "test"
secret = {{ env = "KEY" }}
"#
    );
    let path = dir.path().join("tollgate.toml");
    std::fs::write(&path, config).unwrap();
    let process = tollgate(&["serve", "--config", path.to_str().unwrap()]);
    listens(gateway).await;
    Setting { provider, gateway, _process: process, _dir: dir }
}

async fn accept(listener: tokio::net::TcpListener, tls: TlsAcceptor, provider: Arc<Provider>) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let (tls, provider) = (tls.clone(), Arc::clone(&provider));
        tokio::spawn(async move {
            if provider.mute.load(SeqCst) {
                return std::future::pending().await;
            }
            let Ok(stream) = tls.accept(tcp).await else { return };
            provider.connections.fetch_add(1, SeqCst);
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                serve(stream, provider).await;
            } else {
                let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    let provider = Arc::clone(&provider);
                    async move {
                        request.into_body().collect().await.unwrap();
                        provider.requests.fetch_add(1, SeqCst);
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(
                            ANSWER.as_bytes(),
                        ))))
                    }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

async fn serve(stream: tokio_rustls::server::TlsStream<TcpStream>, provider: Arc<Provider>) {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(1 << 20)
        .max_concurrent_streams(200)
        .handshake::<_, Bytes>(stream)
        .await
        .unwrap();
    let (cut, mut cuts) = tokio::sync::mpsc::channel(1);
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let n = provider.requests.fetch_add(1, SeqCst);
                let act = (provider.script)(n);
                if matches!(act, Act::AnswerAndGoAway) {
                    connection.graceful_shutdown();
                }
                tokio::spawn(answer(act, request, respond, Arc::clone(&provider), cut.clone()));
            }
            // Dropped without a word.
            _ = cuts.recv() => return,
        }
    }
}

async fn answer(
    act: Act,
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    provider: Arc<Provider>,
    cut: tokio::sync::mpsc::Sender<()>,
) {
    if matches!(act, Act::Refuse) {
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        return;
    }
    assert_eq!(request.uri().scheme_str(), Some("https"));
    assert!(request.headers().get("host").is_none(), "the authority says it");
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let Ok(data) = data else { return };
        provider.body_bytes.fetch_add(data.len() as u64, SeqCst);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    let streams = matches!(act, Act::Stream | Act::Hang | Act::Cut);
    if matches!(act, Act::Wait) {
        provider.go.acquire().await.unwrap().forget();
    }
    let kind = if streams { "text/event-stream" } else { "application/json" };
    let head = Response::builder().header("content-type", kind).body(()).unwrap();
    let mut send = respond.send_response(head, false).unwrap();
    if !streams {
        send.send_data(Bytes::from_static(ANSWER.as_bytes()), true).unwrap();
        return;
    }
    let events = if matches!(act, Act::Stream) { 20 } else { 1 };
    for _ in 0..events {
        send.send_data(Bytes::from_static(EVENT.as_bytes()), false).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match act {
        Act::Stream => send.send_data(Bytes::from_static(LAST.as_bytes()), true).unwrap(),
        Act::Cut => cut.send(()).await.unwrap(),
        _ => {
            let reason = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
            assert_eq!(reason.unwrap(), h2::Reason::CANCEL);
            provider.resets.fetch_add(1, SeqCst);
        }
    }
}

async fn call(gateway: SocketAddr, body: impl Into<Bytes>) -> (StatusCode, Result<Bytes, hyper::Error>) {
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/v1/chat/completions")
        .header("host", "gateway")
        .header("authorization", format!("Bearer {KEY}"))
        .body(Full::new(body.into()))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status();
    (status, answer.into_body().collect().await.map(http_body_util::Collected::to_bytes))
}

const ASK: &str = r#"{"model":"m","messages":[]}"#;

#[tokio::test]
async fn many_requests_share_a_connection_and_a_full_one_gets_a_second() {
    let at = setting(&[b"h2"], |n| if n == 0 { Act::Answer } else { Act::Wait }).await;
    assert_eq!(call(at.gateway, ASK).await.0, 200);
    let calls: Vec<_> = (0..150).map(|_| tokio::spawn(call(at.gateway, ASK))).collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while at.provider.requests.load(SeqCst) < 151 {
        assert!(Instant::now() < deadline, "{} requests arrived", at.provider.requests.load(SeqCst));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(at.provider.connections.load(SeqCst), 2);
    at.provider.go.add_permits(150);
    for call in calls {
        let (status, body) = call.await.unwrap();
        assert_eq!((status, body.unwrap()), (StatusCode::OK, Bytes::from_static(ANSWER.as_bytes())));
    }
    assert_eq!(at.provider.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn a_stream_passes_byte_for_byte() {
    let at = setting(&[b"h2"], |_| Act::Stream).await;
    let (status, body) = call(at.gateway, ASK).await;
    assert_eq!(status, 200);
    assert_eq!(body.unwrap(), EVENT.repeat(20) + LAST);
}

#[tokio::test]
async fn a_body_larger_than_every_window_arrives_whole() {
    let at = setting(&[b"h2"], |_| Act::Answer).await;
    let body = format!(r#"{{"model":"m","messages":"{}"}}"#, "x".repeat(6_000_000));
    let len = body.len() as u64;
    assert_eq!(call(at.gateway, body).await.0, 200);
    assert_eq!(at.provider.body_bytes.load(SeqCst), len);
}

#[tokio::test]
async fn a_request_that_was_not_looked_at_is_sent_again() {
    let at = setting(&[b"h2"], |n| if n == 1 { Act::Refuse } else { Act::Answer }).await;
    for _ in 0..3 {
        assert_eq!(call(at.gateway, ASK).await.0, 200);
    }
    assert_eq!(at.provider.requests.load(SeqCst), 4);
}

#[tokio::test]
async fn a_provider_that_goes_away_is_called_on_a_new_connection() {
    let at = setting(&[b"h2"], |_| Act::AnswerAndGoAway).await;
    for _ in 0..20 {
        assert_eq!(call(at.gateway, ASK).await.0, 200);
    }
    assert!(at.provider.connections.load(SeqCst) >= 10, "{}", at.provider.connections.load(SeqCst));
}

/// Those who waited for the one that opens a connection once waited for each other, a connect time-out each.
#[tokio::test]
async fn a_provider_that_has_gone_mute_keeps_nobody_waiting_for_the_others() {
    let at = setting(&[b"h2"], |_| Act::AnswerAndGoAway).await;
    assert_eq!(call(at.gateway, ASK).await.0, 200);
    at.provider.mute.store(true, SeqCst);
    // The connection that is going away is let go of first.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    let calls: Vec<_> = (0..8).map(|_| tokio::spawn(call(at.gateway, ASK))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().0, 503);
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_stream_and_no_other() {
    let at = setting(&[b"h2"], |n| if n == 0 { Act::Hang } else { Act::Stream }).await;
    {
        let leaving = tokio::time::timeout(Duration::from_millis(300), call(at.gateway, ASK));
        assert!(leaving.await.is_err());
    }
    let (status, body) = call(at.gateway, ASK).await;
    assert_eq!((status, body.unwrap()), (StatusCode::OK, Bytes::from(EVENT.repeat(20) + LAST)));
    let deadline = Instant::now() + Duration::from_secs(5);
    while at.provider.resets.load(SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the stream was not reset");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(at.provider.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_dies_breaks_its_streams_and_the_next_call_is_fine() {
    let at = setting(&[b"h2"], |n| if n == 0 { Act::Cut } else { Act::Answer }).await;
    let (status, body) = call(at.gateway, ASK).await;
    assert_eq!(status, 200);
    assert!(body.is_err(), "a broken stream looks whole: {body:?}");
    assert_eq!(call(at.gateway, ASK).await.0, 200);
}

#[tokio::test]
async fn a_provider_without_http2_is_called_over_http1() {
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let at = setting(alpn, |_| panic!("this is HTTP/1.1")).await;
        for _ in 0..5 {
            let (status, body) = call(at.gateway, ASK).await;
            assert_eq!((status, body.unwrap()), (StatusCode::OK, Bytes::from_static(ANSWER.as_bytes())));
        }
        assert_eq!(at.provider.connections.load(SeqCst), 1, "its connection is kept");
    }
}

//! The real binary behind TLS: both HTTP versions, certificates that change, clients that need one, sessions that any core
//! resumes, and HTTP/2 clients that misbehave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod program;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use program::{KEY, Process, free, listens, tollgate};

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
const ASK_STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key, PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

struct Gateway {
    process: Process,
    _mock: Process,
    dir: tempfile::TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    ca: Ca,
}

impl Gateway {
    async fn start(more_tls: &str, limits: &str) -> Self {
        Self::start_over("", more_tls, limits, &[]).await
    }

    async fn start_over(listen: &str, more_tls: &str, limits: &str, simulator: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (address, admin, mock) = (free(), free(), free());
        let ca = Ca::new();
        let (certificate, key) = ca.issue("gateway.test");
        std::fs::write(dir.path().join("cert.pem"), certificate).unwrap();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        let config = format!(
            r#"version = 1
[listen]
address = "{address}"
admin = "{admin}"
workers = 3
drain = "5s"
{listen}
tls = {{ certificate = "cert.pem", key = "key.pem"{more_tls} }}
[limits]
{limits}
[[provider]]
name = "mock"
speaks = ["chat"]
base_url = "http://{mock}"
[[model]]
name = "*"
provider = "mock"
[[key]]
name = "test"
secret = {{ env = "KEY" }}
"#
        );
        let path = dir.path().join("tollgate.toml");
        std::fs::write(&path, config).unwrap();
        let listen = mock.to_string();
        let arguments = [&["mock", "--listen", &listen], simulator].concat();
        let mock = (tollgate(&arguments), mock);
        let process = tollgate(&["serve", "--config", path.to_str().unwrap()]);
        listens(mock.1).await;
        listens(address).await;
        Self { process, _mock: mock.0, dir, address, admin, ca }
    }

    fn client(&self, alpn: &[&[u8]], certificate: Option<(String, String)>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("gateway.test").unwrap();
        TlsConnector::from(Arc::clone(config)).connect(name, tcp).await
    }

    async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = self.connect(&self.client(&[b"h2"], None)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// What the certificate's key is, so that two can be told apart.
    async fn shown(&self) -> Vec<u8> {
        let stream = self.connect(&self.client(&[b"http/1.1"], None)).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    async fn admin(&self, method: &str, path: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let answer = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn ask(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("https://gateway.test/v1/chat/completions")
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

async fn over_http1(stream: TlsStream<TcpStream>, body: &'static str) -> (StatusCode, Bytes) {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = ask(body);
    *request.uri_mut() = "/v1/chat/completions".parse().unwrap();
    request.headers_mut().insert("host", "gateway.test".parse().unwrap());
    let answer = sender.send_request(request).await.unwrap();
    (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
}

async fn over_http2(sender: &http2::SendRequest<Full<Bytes>>, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
    let answer = sender.clone().send_request(ask(body)).await.unwrap();
    (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
}

fn is_whole_stream(body: &[u8]) -> bool {
    body.starts_with(b"data: ") && body.ends_with(b"data: [DONE]\n\n")
}

#[tokio::test]
async fn both_versions_of_http_over_tls() {
    let gateway = Gateway::start("", "").await;
    for body in [ASK, ASK_STREAM] {
        let stream = gateway.connect(&gateway.client(&[b"http/1.1"], None)).await.unwrap();
        let (status, answer) = over_http1(stream, body).await;
        assert_eq!(status, 200);
        assert_eq!(is_whole_stream(&answer), body == ASK_STREAM);
    }
    // Without ALPN it is HTTP/1.1.
    let stream = gateway.connect(&gateway.client(&[], None)).await.unwrap();
    assert_eq!(over_http1(stream, ASK).await.0, 200);

    let sender = gateway.http2().await;
    let calls = (0..100).map(|n| {
        let sender = sender.clone();
        tokio::spawn(async move { over_http2(&sender, if n % 2 == 0 { ASK } else { ASK_STREAM }).await })
    });
    for (n, call) in calls.enumerate().collect::<Vec<_>>() {
        let (status, answer) = call.await.unwrap();
        assert_eq!(status, 200);
        assert_eq!(is_whole_stream(&answer), n % 2 == 1, "{n}");
    }
    // Larger than every window on the way.
    let large = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(5_000_000));
    assert_eq!(over_http2(&sender, large).await.0, 200);
    let (_, metrics) = gateway.admin("GET", "/metrics").await;
    // The look whether it listens at all was one.
    assert!(metrics.contains("tollgate_tls_handshakes_failed_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn refusals_over_http2_are_seen_while_the_client_still_sends() {
    let gateway = Gateway::start("", "request_body = \"1MiB\"").await;
    let sender = gateway.http2().await;
    let large = format!(r#"{{"model":"m","messages":"{}"}}"#, "x".repeat(8_000_000));
    let (status, body) = over_http2(&sender, large).await;
    assert_eq!(status, 413, "{body:?}");
    // The connection is still good.
    assert_eq!(over_http2(&sender, ASK).await.0, 200);
    let mut unknown = ask(ASK);
    unknown.headers_mut().insert("authorization", "Bearer nobody".parse().unwrap());
    assert_eq!(sender.clone().send_request(unknown).await.unwrap().status(), 401);
}

#[tokio::test]
async fn any_core_resumes_a_session() {
    let gateway = Gateway::start("", "").await;
    let client = gateway.client(&[b"http/1.1"], None);
    let mut kinds = Vec::new();
    let mut open = Vec::new();
    for _ in 0..6 {
        let stream = gateway.connect(&client).await.unwrap();
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        // Tickets come with the first answer (TLS 1.3).
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = ask(ASK);
        *request.uri_mut() = "/v1/chat/completions".parse().unwrap();
        request.headers_mut().insert("host", "gateway.test".parse().unwrap());
        let answer = sender.send_request(request).await.unwrap();
        answer.into_body().collect().await.unwrap();
        // Kept open, so that the next one goes to another core.
        open.push(sender);
    }
    assert_eq!(kinds[0], HandshakeKind::Full);
    assert!(kinds[1..].iter().all(|kind| *kind == HandshakeKind::Resumed), "{kinds:?}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let gateway = Gateway::start("", "").await;
    let first = gateway.shown().await;
    let write = |certificate: &str, key: &str| {
        std::fs::write(gateway.dir.path().join("cert.pem"), certificate).unwrap();
        std::fs::write(gateway.dir.path().join("key.pem"), key).unwrap();
    };
    let (certificate, key) = gateway.ca.issue("gateway.test");
    write(&certificate, &key);
    let deadline = Instant::now() + Duration::from_secs(10);
    // By itself, without being told.
    while gateway.shown().await == first {
        assert!(Instant::now() < deadline, "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = gateway.shown().await;
    let (_, other) = gateway.ca.issue("gateway.test");
    write(&certificate, &other);
    let (status, why) = gateway.admin("POST", "/reload").await;
    assert_eq!(status, 422);
    assert!(why.contains("it is not the certificate's key"), "{why}");
    assert_eq!(gateway.shown().await, second);
}

#[tokio::test]
async fn with_client_authorities_only_clients_with_a_certificate_get_in() {
    let gateway = Gateway::start(", client_ca = \"ca.pem\"", "").await;
    let certificate = gateway.ca.issue("developer.test");
    let stream = gateway.connect(&gateway.client(&[b"http/1.1"], Some(certificate))).await.unwrap();
    assert_eq!(over_http1(stream, ASK).await.0, 200);
    for certificate in [None, Some(Ca::new().issue("stranger.test"))] {
        // In TLS 1.3 the refusal comes after the client's own handshake is done.
        let Ok(stream) = gateway.connect(&gateway.client(&[b"http/1.1"], certificate)).await else { continue };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = ask(ASK);
        *request.uri_mut() = "/v1/chat/completions".parse().unwrap();
        assert!(sender.send_request(request).await.is_err());
    }
    let (_, metrics) = gateway.admin("GET", "/metrics").await;
    // And the look whether it listens at all.
    assert!(metrics.contains("tollgate_tls_handshakes_failed_total 3\n"), "{metrics}");
}

#[tokio::test]
async fn rapid_resets_end_their_connection_and_nothing_else() {
    let gateway = Gateway::start("", "").await;
    let stream = gateway.connect(&gateway.client(&[b"h2"], None)).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let ended = tokio::spawn(connection);
    let mut sent = 0;
    for _ in 0..20_000 {
        let Ok(ready) = sender.clone().ready().await else { break };
        sender = ready;
        let request = Request::post("https://gateway.test/v1/chat/completions").body(()).unwrap();
        let Ok((answer, mut body)) = sender.send_request(request, false) else { break };
        drop(answer);
        body.send_reset(h2::Reason::CANCEL);
        sent += 1;
        if sent % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(sent < 20_000, "{sent} streams were reset and nobody minded");
    drop(sender);
    let _ = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    let sender = gateway.http2().await;
    assert_eq!(over_http2(&sender, ASK).await.0, 200);
}

#[tokio::test]
async fn a_header_list_that_is_too_large_is_refused() {
    let gateway = Gateway::start("", "").await;
    let sender = gateway.http2().await;
    let mut request = ask(ASK);
    for n in 0..40 {
        let name: http::HeaderName = format!("x-large-{n}").parse().unwrap();
        request.headers_mut().insert(name, "x".repeat(4_000).parse().unwrap());
    }
    let refused = sender.clone().send_request(request).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(over_http2(&gateway.http2().await, ASK).await.0, 200);
}

#[tokio::test]
async fn a_silent_client_is_not_waited_for() {
    let gateway = Gateway::start("", "").await;
    // The look whether it listens at all was a connection, and may not be over yet.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !gateway.admin("GET", "/metrics").await.1.contains("tollgate_client_connections 0") {
        assert!(Instant::now() < deadline, "a connection is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Neither a handshake nor a clear-text request makes it further than TLS.
    let mut clear = TcpStream::connect(gateway.address).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    clear.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), clear.read_to_end(&mut got)).await.unwrap();
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
}

#[tokio::test]
async fn streams_of_http2_end_before_the_gateway_does() {
    let mut gateway = Gateway::start_over("", "", "", &["--gap-ms", "150", "--chunks", "10"]).await;
    let sender = gateway.http2().await;
    let slow = Request::post("https://gateway.test/v1/chat/completions")
        .header("authorization", format!("Bearer {KEY}"))
        .body(Full::new(Bytes::from(ASK_STREAM)))
        .unwrap();
    let began = Instant::now();
    let answer = sender.clone().send_request(slow).await.unwrap();
    let pid = gateway.process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(is_whole_stream(&body));
    assert!(began.elapsed() > Duration::from_secs(1), "the stream was over before the signal came");
    drop(sender);
    let ended = tokio::task::spawn_blocking(move || gateway.process.0.wait().unwrap()).await.unwrap();
    assert!(ended.success());
}

#[tokio::test]
async fn a_named_proxy_says_who_calls_and_nobody_else_may_connect() {
    use tokio::io::AsyncWriteExt;
    let lines = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true";
    let gateway = Gateway::start_over(lines, "", "failed_keys = 1", &[]).await;
    let call = async |client: Option<[u8; 4]>, key: &str| -> Option<StatusCode> {
        let mut tcp = TcpStream::connect(gateway.address).await.unwrap();
        if let Some(client) = client {
            let addresses = [&client[..], &[127, 0, 0, 1, 0x30, 0x39, 1, 0xbb]].concat();
            tcp.write_all(&[b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", &addresses[..]].concat()).await.unwrap();
        }
        let name = ServerName::try_from("gateway.test").unwrap();
        let tls = TlsConnector::from(gateway.client(&[b"http/1.1"], None)).connect(name, tcp).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let mut request = ask(ASK);
        *request.uri_mut() = "/v1/chat/completions".parse().unwrap();
        request.headers_mut().insert("host", "gateway.test".parse().unwrap());
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        Some(sender.send_request(request).await.ok()?.status())
    };
    assert_eq!(call(Some([192, 0, 2, 7]), KEY).await, Some(StatusCode::OK));
    assert_eq!(call(None, KEY).await, None);
    // The limit counts the clients, not the proxy.
    assert_eq!(call(Some([192, 0, 2, 7]), "tk-unknown").await, Some(StatusCode::UNAUTHORIZED));
    assert_eq!(call(Some([192, 0, 2, 7]), "tk-unknown").await, Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(call(Some([192, 0, 2, 8]), "tk-unknown").await, Some(StatusCode::UNAUTHORIZED));
}

#[test]
fn an_address_of_other_machines_needs_tls_or_a_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    let (certificate, key) = ca.issue("gateway.test");
    std::fs::write(dir.path().join("cert.pem"), certificate).unwrap();
    std::fs::write(dir.path().join("key.pem"), key).unwrap();
    let check = |listen: &str| check(dir.path(), listen);
    assert!(check("address = \"0.0.0.0:8080\"").contains("open to other machines"));
    assert_eq!(check("address = \"0.0.0.0:8080\"\nbehind_proxy = true"), "");
    let tls = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";
    assert_eq!(check(&format!("address = \"0.0.0.0:8080\"\n{tls}")), "");
    assert!(check(&format!("admin = \"0.0.0.0:8081\"\n{tls}")).contains("listen.admin"));
    assert!(check("tls = { certificate = \"cert.pem\", key = \"nothing.pem\" }").contains("listen.tls.key"));
    assert!(check("tls = { certificate = \"cert.pem\" }").contains("key"));
}

/// What `check` says of a file with these lines in `[listen]`; nothing if it is good.
fn check(dir: &Path, listen: &str) -> String {
    let path = dir.join("tollgate.toml");
    std::fs::write(
        &path,
        format!("version = 1\n[listen]\n{listen}\n[[key]]\nname = \"k\"\nsha256 = \"{}\"\n", "a".repeat(64)),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = command.args(["check", "--config", path.to_str().unwrap()]).output().unwrap();
    match output.status.success() {
        true => String::new(),
        false => String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap(),
    }
}

//! The real binary on its way out: through proxies, past addresses that do not answer, before anybody asks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

#[expect(dead_code, reason = "shared with tests that start more of it")]
mod program;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
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
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use program::{KEY, Process, free};

const ANSWER: &[u8] = br#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
/// Nobody resolves it: it reaches the provider only as a name, through a proxy.
const NAME: &str = "provider.invalid";

/// What was heard, in order.
type Heard = Arc<Mutex<Vec<String>>>;

fn heard(what: &Heard) -> Vec<String> {
    what.lock().unwrap().clone()
}

/// A provider at a loopback address: counts connections, notes the names of headers.
struct Provider {
    address: SocketAddr,
    connections: Heard,
    headers: Heard,
}

async fn provider(dir: &Path, tls: bool, at: &str) -> Provider {
    let acceptor = tls.then(|| certificate(dir));
    let listener = TcpListener::bind(at).await.unwrap();
    let made =
        Provider { address: listener.local_addr().unwrap(), connections: Heard::default(), headers: Heard::default() };
    let (connections, headers) = (Arc::clone(&made.connections), Arc::clone(&made.headers));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            connections.lock().unwrap().push("connected".into());
            let (acceptor, headers) = (acceptor.clone(), Arc::clone(&headers));
            tokio::spawn(async move {
                match acceptor {
                    None => serve(tcp, headers).await,
                    Some(acceptor) => {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            serve(tls, headers).await;
                        }
                    }
                }
            });
        }
    });
    made
}

async fn serve<S>(stream: S, headers: Heard)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        headers.lock().unwrap().extend(request.headers().keys().map(ToString::to_string));
        async move {
            request.into_body().collect().await.unwrap();
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(ANSWER))))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn certificate(dir: &Path) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.join("ca.pem"), certificate.pem()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(tls))
}

/// A proxy that leads everybody to `target`, or answers something else.
struct Proxy {
    address: SocketAddr,
    heads: Heard,
}

async fn proxy(target: SocketAddr, answer: &'static str) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let made = Proxy { address: listener.local_addr().unwrap(), heads: Heard::default() };
    let heads = Arc::clone(&made.heads);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let heads = Arc::clone(&heads);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                // In pieces: a head comes as it likes.
                let (first, second) = answer.split_at(answer.len() / 2);
                client.write_all(first.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
                client.write_all(second.as_bytes()).await.unwrap();
                if answer.starts_with("HTTP/1.1 200") {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    made
}

const FINE: &str = "HTTP/1.1 200 Connection established\r\nproxy-agent: test\r\n\r\n";

struct Gateway {
    address: SocketAddr,
    admin: SocketAddr,
    _process: Process,
    file: PathBuf,
    log: PathBuf,
}

fn rules(address: SocketAddr, admin: SocketAddr, rest: &str) -> String {
    format!(
        "version = 1\n[listen]\naddress = '{address}'\nadmin = '{admin}'\nworkers = 1\n\
         [[model]]\nname = '*'\nprovider = 'p'\n[[key]]\nname = 'test'\nsecret = {{ env = 'KEY' }}\n\
         [[provider]]\nname = 'p'\nspeaks = ['chat']\n{rest}\n"
    )
}

/// `rest` is the provider's own lines, and perhaps further tables.
async fn gateway(dir: &Path, rest: &str, environment: &[(&str, String)]) -> Gateway {
    let (address, admin) = (free(), free());
    let (file, log) = (dir.join("tollgate.toml"), dir.join("log"));
    std::fs::write(&file, rules(address, admin, rest)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["serve", "--config", file.to_str().unwrap()]).env_clear().env("KEY", KEY);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let process = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let gateway = Gateway { address, admin, _process: Process(process), file, log };
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "{}", std::fs::read_to_string(&gateway.log).unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gateway
}

/// Status and body of an answer.
async fn send(to: SocketAddr, request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let tcp = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn ask(gateway: &Gateway) -> (StatusCode, String) {
    let request = Request::post("/v1/chat/completions")
        .header("authorization", format!("Bearer {KEY}"))
        .header("host", "t")
        .header("content-type", "application/json")
        .body(Full::from(r#"{"model":"m","messages":[]}"#))
        .unwrap();
    send(gateway.address, request).await
}

fn tls_rest() -> String {
    format!("base_url = 'https://{NAME}'\nca_file = 'ca.pem'")
}

#[tokio::test]
async fn tls_goes_through_the_proxy_of_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(dir.path(), true, "127.0.0.1:0").await;
    let proxy = proxy(provider.address, FINE).await;
    let way = format!("http://me:hunt%20er2@{}", proxy.address);
    let gateway = gateway(dir.path(), &tls_rest(), &[("HTTPS_PROXY", way)]).await;
    for _ in 0..3 {
        assert_eq!(ask(&gateway).await.0, 200);
    }
    // "me:hunt er2"
    let head = format!(
        "CONNECT {NAME}:443 HTTP/1.1\r\nhost: {NAME}:443\r\nproxy-authorization: Basic bWU6aHVudCBlcjI=\r\n\r\n"
    );
    assert_eq!(heard(&proxy.heads), [head], "one tunnel for three requests");
    assert!(!heard(&provider.headers).contains(&"proxy-authorization".to_owned()));
    let log = std::fs::read_to_string(&gateway.log).unwrap();
    assert!(!log.contains("er2") && !log.contains("bWU6"), "{log}");
}

#[tokio::test]
async fn clear_origins_are_tunnelled_too_and_this_machine_only_if_it_says_so_itself() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(dir.path(), false, "127.0.0.1:0").await;
    let proxy = proxy(provider.address, FINE).await;
    let environment = [("HTTP_PROXY", format!("http://{}", proxy.address))];
    let direct = gateway(dir.path(), &format!("base_url = 'http://{}'", provider.address), &environment).await;
    assert_eq!(ask(&direct).await.0, 200);
    assert_eq!(heard(&proxy.heads), [""; 0]);
    let own = format!("base_url = 'http://{}'\nproxy = 'http://{}'", provider.address, proxy.address);
    let proxied = gateway(dir.path(), &own, &[]).await;
    assert_eq!(ask(&proxied).await.0, 200);
    let target = provider.address;
    assert_eq!(heard(&proxy.heads), [format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n")]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_in_the_log_without_the_password() {
    for (name, answer, user, want) in [
        (
            "wants a password",
            "HTTP/1.1 407 Nope\r\ncontent-length: 3\r\n\r\nno!",
            "",
            "wants a user and a password (407)",
        ),
        ("refuses ours", "HTTP/1.1 407 Nope\r\n\r\n", "me:hunter2@", "refuses the user and the password"),
        ("is ill", "HTTP/1.1 503 Ill\r\n\r\n", "me:hunter2@", "the proxy answered 503 to CONNECT"),
        ("hangs up", "HTTP/1.1 ", "", "hung up without an answer"),
        ("is none", "SSH-2.0-OpenSSH\r\n", "", "does not speak HTTP"),
        ("talks", "HTTP/1.1 200 OK\r\n\r\nhello", "", "more than an answer"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let provider = provider(dir.path(), true, "127.0.0.1:0").await;
        let proxy = proxy(provider.address, answer).await;
        let way = format!("http://{user}{}", proxy.address);
        let gateway = gateway(dir.path(), &tls_rest(), &[("https_proxy", way)]).await;
        let (status, body) = ask(&gateway).await;
        let log = std::fs::read_to_string(&gateway.log).unwrap();
        assert!(status.is_server_error() || status.is_client_error(), "{name}: {status}");
        assert!(log.contains(want), "{name}: {log}");
        for secret in ["hunter2", "bWU6"] {
            assert!(!log.contains(secret) && !body.contains(secret), "{name}: {log} {body}");
        }
    }
}

#[tokio::test]
async fn a_reload_that_changes_the_proxy_leaves_the_old_connections() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(dir.path(), true, "127.0.0.1:0").await;
    let (one, two) = (proxy(provider.address, FINE).await, proxy(provider.address, FINE).await);
    let rest = |proxy: &Proxy| format!("{}\n[upstream]\nproxy = 'http://{}'", tls_rest(), proxy.address);
    let gateway = gateway(dir.path(), &rest(&one), &[]).await;
    assert_eq!(ask(&gateway).await.0, 200);
    std::fs::write(&gateway.file, rules(gateway.address, gateway.admin, &rest(&two))).unwrap();
    let reload = Request::post("/reload").header("host", "localhost").body(Full::default()).unwrap();
    assert_eq!(send(gateway.admin, reload).await.0, 200);
    assert_eq!(ask(&gateway).await.0, 200);
    assert_eq!((heard(&one.heads).len(), heard(&two.heads).len()), (1, 1));
}

/// The name has two addresses, and the provider listens on only one of them.
#[tokio::test]
async fn the_address_that_answers_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(dir.path(), false, "127.0.0.1:0").await;
    let rest = format!("base_url = 'http://localhost:{}'", provider.address.port());
    let gateway = gateway(dir.path(), &rest, &[]).await;
    assert_eq!(ask(&gateway).await.0, 200);
}

#[tokio::test]
async fn connections_are_there_before_anybody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(dir.path(), false, "127.0.0.1:0").await;
    let gateway = gateway(dir.path(), &format!("base_url = 'http://{}'\nprewarm = 2", provider.address), &[]).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while heard(&provider.connections).len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", heard(&provider.connections));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ask(&gateway).await.0, 200);
    assert_eq!(heard(&provider.connections).len(), 2, "and it is one of them that is used");
    let metrics = Request::get("/metrics").header("host", "localhost").body(Full::default()).unwrap();
    let (_, page) = send(gateway.admin, metrics).await;
    assert!(page.contains("\ntollgate_upstream_connects_total 2\n"), "{page}");
    assert!(page.contains("\ntollgate_upstream_idle_connections 2\n"), "{page}");
}

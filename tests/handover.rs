//! A new process takes over from a running one under load: no request fails, no stream breaks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod program;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use program::{KEY, Process, free, listens, tollgate};

fn configure(dir: &Path, gateway: SocketAddr, admin: SocketAddr, mock: SocketAddr) -> String {
    let config = format!(
        r#"version = 1
[listen]
address = "{gateway}"
admin = "{admin}"
workers = 2
drain = "20s"
handover = "tollgate.sock"
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
    let path = dir.join("tollgate.toml");
    std::fs::write(&path, config).unwrap();
    path.to_str().unwrap().to_owned()
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    streams: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
    over: AtomicBool,
}

/// Calls again and again, on one connection as long as the gateway keeps it.
async fn call_on(gateway: SocketAddr, body: &'static str, pause: Duration, counts: Arc<Counts>) {
    let mut sender: Option<SendRequest<Full<Bytes>>> = None;
    while !counts.over.load(SeqCst) {
        match call(gateway, body, &mut sender).await {
            Ok(()) => {
                let counter = if body.contains("stream") { &counts.streams } else { &counts.requests };
                counter.fetch_add(1, SeqCst);
            }
            Err(why) => counts.failures.lock().unwrap().push(why),
        }
        tokio::time::sleep(pause).await;
    }
}

async fn call(
    gateway: SocketAddr,
    body: &'static str,
    kept: &mut Option<SendRequest<Full<Bytes>>>,
) -> Result<(), String> {
    let mut sender = match kept.take() {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(gateway).await.map_err(|e| format!("connect: {e}"))?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
            tokio::spawn(connection);
            sender
        }
    };
    let request = Request::post("/v1/chat/completions")
        .header("host", "gateway")
        .header("authorization", format!("Bearer {KEY}"))
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    let answer = sender.send_request(request).await.map_err(|e| format!("send: {e:?}"))?;
    let (status, last) = (answer.status(), answer.headers().get("connection").is_some_and(|v| v == "close"));
    let bytes = answer.into_body().collect().await.map_err(|e| format!("body: {e:?}"))?.to_bytes();
    if status != 200 {
        return Err(format!("{status} {bytes:?}"));
    }
    if body.contains("stream") && !bytes.ends_with(b"data: [DONE]\n\n") {
        return Err("a stream without its end".to_owned());
    }
    if !last && !sender.is_closed() {
        *kept = Some(sender);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_no_stream_breaks() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, admin, provider) = (free(), free(), free());
    let config = configure(dir.path(), gateway, admin, provider);
    // A stream takes two seconds.
    let _mock = tollgate(&["mock", "--listen", &provider.to_string(), "--chunks", "20", "--gap-ms", "100"]);
    listens(provider).await;
    let mut running = tollgate(&["serve", "--config", &config]);
    listens(gateway).await;
    let counts = Arc::new(Counts::default());
    let ask = r#"{"model":"m","messages":[]}"#;
    let ask_stream = r#"{"model":"m","stream":true,"messages":[]}"#;
    let mut callers = Vec::new();
    // More of everything for a longer look: TOLLGATE_HANDOVERS=10 is 1,000 requests a second and 500 streams at a time.
    let handovers: u32 = std::env::var("TOLLGATE_HANDOVERS").map_or(3, |n| n.parse().unwrap());
    let many = if handovers > 3 { 8 } else { 1 };
    for _ in 0..20 * many {
        callers.push(tokio::spawn(call_on(gateway, ask, Duration::from_millis(40), Arc::clone(&counts))));
    }
    for _ in 0..60 * many {
        callers.push(tokio::spawn(call_on(gateway, ask_stream, Duration::ZERO, Arc::clone(&counts))));
    }
    for _ in 0..handovers {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let next = tollgate(&["serve", "--config", &config]);
        let mut old = std::mem::replace(&mut running, next);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = old.0.try_wait().unwrap() {
                assert!(status.success(), "the old process failed: {status}");
                break;
            }
            assert!(Instant::now() < deadline, "the old process does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(running.0.try_wait().unwrap().is_none(), "the new process has ended");
    }
    counts.over.store(true, SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    let failures = counts.failures.lock().unwrap();
    assert!(failures.is_empty(), "{} failures, such as {:?}", failures.len(), &failures[..failures.len().min(3)]);
    let (requests, streams) = (counts.requests.load(SeqCst), counts.streams.load(SeqCst));
    assert!(requests > 300 && streams >= 120, "{requests} requests and {streams} streams");
}

#[tokio::test]
async fn the_same_addresses_without_a_handover_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, admin) = (free(), free());
    let config = configure(dir.path(), gateway, admin, free());
    let first = tollgate(&["serve", "--config", &config]);
    // The socket for the handover comes after those of the gateway: a connection accepted says nothing of it.
    let socket = dir.path().join("tollgate.sock");
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = std::fs::remove_file(&socket) {
        assert!(Instant::now() < deadline, "no socket for the handover: {error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = command.args(["serve", "--config", &config]).env("KEY", KEY).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot listen"));
    drop(first);
}

#[tokio::test]
async fn the_service_manager_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, admin) = (free(), free());
    let config = configure(dir.path(), gateway, admin, free());
    let path = dir.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let command = command.args(["serve", "--config", &config]).env("KEY", KEY).env("NOTIFY_SOCKET", &path);
    let running = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let pid = running.0.id();
    let heard = || {
        let mut bytes = [0; 256];
        let n = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..n].to_vec()).unwrap()
    };
    assert_eq!(heard(), format!("READY=1\nMAINPID={pid}"));
    assert!(TcpStream::connect(gateway).await.is_ok(), "it said that it serves");
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
    signal("-HUP");
    assert_eq!((heard().as_str(), heard().as_str()), ("RELOADING=1", "READY=1"));
    signal("-TERM");
    assert_eq!(heard(), "STOPPING=1");
}

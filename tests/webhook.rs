//! The program tells a receiver that a budget is nearly spent, and `tollgate check --webhook` tries it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

const KEY: &str = "tk-0123456789abcdef";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers every request with the same words, and hands on what it read.
fn answering(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, seen) = channel();
    std::thread::spawn(move || {
        for mut io in listener.incoming().map_while(Result::ok) {
            let mut text = Vec::new();
            let mut piece = [0; 4096];
            // Every body that comes here is a JSON object.
            while !text.ends_with(b"}") {
                match io.read(&mut piece) {
                    Ok(n) if n > 0 => text.extend_from_slice(&piece[..n]),
                    _ => break,
                }
            }
            let _ = io.write_all(answer.as_bytes());
            if sender.send(String::from_utf8_lossy(&text).into_owned()).is_err() {
                return;
            }
        }
    });
    (address, seen)
}

/// The headers of a request, and its body.
fn taken_apart(request: &str) -> (BTreeMap<&str, &str>, &str) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.lines().skip(1).filter_map(|line| line.split_once(": ")).collect(), body)
}

/// As a receiver does it, with nothing of ours.
#[track_caller]
fn verify(headers: &BTreeMap<&str, &str>, body: &str) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(&SECRET[6..]).unwrap());
    let signed = [headers["webhook-id"], headers["webhook-timestamp"], body].join(".");
    let signature = STANDARD.decode(headers["webhook-signature"].strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
}

/// A port that nobody listens on; not one that the system gives to the next socket.
fn free() -> SocketAddr {
    let begin = u16::try_from(std::process::id() % 5_000).unwrap();
    let open = |port| TcpListener::bind(("127.0.0.1", 10_000 + (begin + port) % 10_000)).ok();
    (0..10_000).step_by(7).find_map(open).unwrap().local_addr().unwrap()
}

fn written(dir: &Path, provider: SocketAddr, hook: &str) -> (PathBuf, SocketAddr, SocketAddr) {
    let (address, admin) = (free(), TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let text = format!(
        r#"version = 1
[listen]
address = "{address}"
admin = "{admin}"
workers = 1
[state]
directory = "state"
[budget]
{hook}
[[provider]]
name = "p"
speaks = ["chat"]
base_url = "http://{provider}"
[[model]]
name = "m"
provider = "p"
[[price]]
model = "m"
input = 1_000_000
output = 0
cache_read = 0
[[key]]
name = "dev"
team = "core"
secret = {{ env = "KEY" }}
[[team]]
name = "core"
budgets = [{{ dollars = 10, per = "total" }}]
"#
    );
    let path = dir.join("t.toml");
    fs::write(&path, text).unwrap();
    (path, address, admin)
}

/// A whole answer, with which the connection ends.
fn ask(address: SocketAddr, request: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut io = loop {
        match TcpStream::connect(address) {
            Ok(io) => break io,
            Err(e) => assert!(Instant::now() < deadline, "nothing listens on {address}: {e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    io.set_read_timeout(Some(PATIENCE)).unwrap();
    io.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_receiver_is_told_and_can_tell_that_it_was_us() {
    let dir = tempfile::tempdir().unwrap();
    let body = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (provider, _asked) = answering(answer.leak());
    let (receiver, told) = answering("HTTP/1.1 204 No Content\r\n\r\n");
    let hook = format!(r#"webhook = {{ url = "http://{receiver}/hunter2?a=b", secret = {{ env = "SECRET" }} }}"#);
    let (config, address, admin) = written(dir.path(), provider, &hook);
    let log = dir.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["serve", "--config"]).arg(&config).env("KEY", KEY).env("SECRET", SECRET);
    let mut process = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let call = r#"{"model":"m","messages":[]}"#;
    let answer = ask(
        address,
        &format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{call}",
            call.len()
        ),
    );
    let told = told.recv_timeout(PATIENCE);
    let page = ask(admin, &format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n"));
    process.kill().unwrap();
    process.wait().unwrap();
    let log = fs::read_to_string(&log).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}\n{log}");
    let told = told.unwrap_or_else(|e| panic!("nothing was told: {e}\n{log}"));
    assert!(told.starts_with("POST /hunter2?a=b HTTP/1.1\r\n"), "{told}");
    let (headers, body) = taken_apart(&told);
    verify(&headers, body);
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(event["id"], headers["webhook-id"]);
    assert_eq!(event["type"], "budget.warning");
    let want = serde_json::json!({
        "level": "team", "name": "core", "period": "total", "cap": "10.00", "spent": "9.00", "percent": 90,
        "warn_at": 80, "begins": null, "resets": null,
    });
    assert_eq!(event["data"], want);
    assert!(page.contains("\ntollgate_webhook_attempts_failed_total 0\n"), "{page}");
    assert!(log.contains("a budget is nearly spent"), "{log}");
    for secret in ["hunter2", &SECRET[6..], KEY] {
        assert!(!log.contains(secret) && !page.contains(secret), "{secret}\n{log}");
    }
}

fn check(config: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("check").args(more).arg("--config").arg(config);
    command.env_clear().env("KEY", KEY).env("SECRET", SECRET).output().unwrap()
}

#[test]
fn check_tries_it() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    for (name, answer, code, want) in [
        ("it takes it", "HTTP/1.1 202 Accepted\r\n\r\n", 0, "the webhook took the test (202)"),
        ("it does not", "HTTP/1.1 500 No\r\n\r\n", 1, "the webhook did not take the test: it answered 500"),
        ("it is none", "SSH-2.0-x\r\n", 1, "the webhook did not take the test: "),
    ] {
        let (receiver, told) = answering(answer);
        let hook = format!(r#"webhook = {{ url = "http://{receiver}/hunter2", secret = {{ env = "SECRET" }} }}"#);
        let (config, ..) = written(dir.path(), nobody, &hook);
        let output = check(&config, &["--webhook"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains("\n  webhook    127.0.0.1 (signed)\n"), "{name}: {said}");
        assert!(said.contains(want) && !said.contains("hunter2"), "{name}: {said}");
        let told = told.recv_timeout(PATIENCE).unwrap();
        let (headers, body) = taken_apart(&told);
        verify(&headers, body);
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["type"], "webhook.test", "{name}");
    }
    let (config, ..) = written(dir.path(), nobody, "");
    let output = check(&config, &["--webhook", "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &value["ok"]), (Some(1), &Value::Bool(false)));
    assert_eq!(value["webhook"], "cannot be tested: [budget] names none");
    let output = check(&config, &["--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), value.get("webhook")), (Some(0), None), "only where it is asked for");
}

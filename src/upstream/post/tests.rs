//! A receiver on a socket, in clear text and with TLS.

use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::*;
use crate::provider::{Origin, tls};
use crate::tls::{Papers, server_config};

const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Reads one request, says `answer` and hangs up. Returns what it read.
async fn receive<I: AsyncRead + AsyncWrite + Unpin>(mut io: I, answer: &str) -> String {
    let mut seen = Vec::new();
    // The body is the last thing that comes, and ends like this.
    while !seen.ends_with(b"}") {
        if io.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            break;
        }
    }
    // Whoever was refused has hung up.
    let _ = io.write_all(answer.as_bytes()).await;
    let _ = io.shutdown().await;
    String::from_utf8(seen).unwrap()
}

async fn receiver(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { receive(listener.accept().await.unwrap().0, answer).await }))
}

fn at(address: SocketAddr) -> Webhook {
    Webhook {
        origin: Origin::new(false, "127.0.0.1", address.port(), None).unwrap(),
        target: Zeroizing::new("/hook?x=1".to_owned()),
        secret: None,
        tls: None,
        dns_ttl: Duration::from_secs(30),
    }
}

async fn send(hook: &Webhook) -> Result<u16, String> {
    let headers = [("webhook-id", "msg_1".to_owned()), ("webhook-timestamp", "12".to_owned())];
    let names = Names::system();
    let posted = post(&names, hook, &headers, Bytes::from_static(b"{\"a\":1}"));
    tokio::time::timeout(Duration::from_secs(10), posted).await.unwrap()
}

#[tokio::test]
async fn the_bytes_of_a_message() {
    let (address, seen) = receiver(TAKEN).await;
    assert_eq!(send(&at(address)).await, Ok(204));
    let want = format!(
        "POST /hook?x=1 HTTP/1.1\r\nhost: {address}\r\nuser-agent: tollgate/{}\r\ncontent-type: application/json\r\n\
         connection: close\r\nwebhook-id: msg_1\r\nwebhook-timestamp: 12\r\ncontent-length: 7\r\n\r\n{{\"a\":1}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(seen.await.unwrap(), want);
}

#[tokio::test]
async fn whatever_is_answered() {
    for (name, answer, want) in [
        ("taken, with a body", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Ok(200)),
        ("an endless body", "HTTP/1.1 200 OK\r\n\r\nand so on", Ok(200)),
        ("a redirection is not followed", "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\n\r\n", Ok(307)),
        ("gone", "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Ok(410)),
        ("an interim answer first", "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n", Ok(202)),
        ("garbage", "SSH-2.0-OpenSSH_9.6\r\n", Err(())),
        ("nothing", "", Err(())),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent", Err(())),
    ] {
        let (address, _) = receiver(answer).await;
        assert_eq!(send(&at(address)).await.map_err(|_| ()), want, "{name}");
    }
}

#[tokio::test]
async fn an_endless_head_is_not_read_to_its_end() {
    let head: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)).into());
    let (address, _) = receiver(head).await;
    assert!(send(&at(address)).await.is_err());
}

#[tokio::test]
async fn nobody_listens() {
    let (address, task) = receiver(TAKEN).await;
    task.abort();
    let _ = task.await;
    let why = send(&at(address)).await.unwrap_err();
    assert!(!why.contains("127.0.0.1"), "{why}");
}

#[tokio::test]
async fn under_tls_only_who_is_trusted_is_told() {
    let key = KeyPair::generate().unwrap();
    let paper = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let key = key.serialize_pem();
    let papers = Papers { certificates: paper.as_bytes(), key: key.as_bytes(), client_authorities: None };
    let served = server_config(papers).unwrap();
    for (name, authority, taken) in [("its authority", Some(paper.as_bytes()), true), ("the public ones", None, false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::clone(&served));
        let seen = tokio::spawn(async move {
            let tcp = listener.accept().await.unwrap().0;
            match acceptor.accept(tcp).await {
                Ok(io) => receive(io, TAKEN).await,
                Err(_) => String::new(),
            }
        });
        let mut trust = (*tls::client_config(authority).unwrap()).clone();
        trust.alpn_protocols = vec![b"http/1.1".to_vec()];
        let hook = Webhook { tls: Some(Arc::new(trust)), ..at(address) };
        let sent = send(&hook).await;
        assert_eq!(sent.is_ok(), taken, "{name}: {sent:?}");
        assert_eq!(seen.await.unwrap().contains("{\"a\":1}"), taken, "{name}: nothing is told before it is known");
    }
}

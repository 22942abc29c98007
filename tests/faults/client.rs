//! A client over raw TCP: one request, what came back, and whether its framing says that this is all.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::KEY;

/// Longer than anything here takes, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0: there was no head.
    pub status: u16,
    pub head: String,
    /// Without chunks.
    pub body: Vec<u8>,
    /// The framing says that it is all there.
    pub whole: bool,
}

/// A request as agents make it, on a connection of its own.
pub fn request(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends a request and reads until the connection ends.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let talking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be answered, and closed, before all of it is read.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        while let Ok(1..) = stream.read_buf(&mut bytes).await {}
        read(&bytes)
    };
    tokio::time::timeout(PATIENCE, talking).await.expect("an answer, or an end, in time")
}

/// The first answer in what came, past interim ones.
pub fn read(bytes: &[u8]) -> Answer {
    let nothing = || Answer { status: 0, head: String::new(), body: Vec::new(), whole: false };
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return nothing() };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let rest = &bytes[end + 4..];
    if (100..200).contains(&status) {
        return read(rest);
    }
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let (body, whole) = if header("transfer-encoding: ").is_some() {
        unchunk(rest)
    } else {
        let length = header("content-length: ").map_or(0, |length| length.parse::<usize>().unwrap());
        (rest[..rest.len().min(length)].to_vec(), rest.len() >= length)
    };
    Answer { status, head, body, whole }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        let data = &rest[line + 2..];
        if size == 0 {
            return (body, data.starts_with(b"\r\n"));
        }
        body.extend_from_slice(&data[..data.len().min(size)]);
        rest = data.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}

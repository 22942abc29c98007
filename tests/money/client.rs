//! A client over raw TCP: one request on a connection of its own, and whether the answer's framing says that this is all.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a client that leaves has looked at what it saw last.
const LINGER: Duration = Duration::from_millis(50);

/// An answer, or what there was of it.
#[derive(Debug)]
pub struct Answer {
    /// 0: there was no head.
    pub status: u16,
    /// Without chunks.
    pub body: Vec<u8>,
    /// The framing says that it is all there.
    pub whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    /// Each `name: value`.
    pub headers: Vec<String>,
    pub body: String,
    /// Leaves after as many bytes of body.
    pub leaves_after: Option<usize>,
}

/// Asks, and reads until the end.
pub async fn ask(address: SocketAddr, asked: &Asked) -> Answer {
    let nothing = || Answer { status: 0, body: Vec::new(), whole: false };
    let Ok(mut stream) = TcpStream::connect(address).await else { return nothing() };
    let Asked { path, headers, body, leaves_after } = asked;
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n");
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    let length = body.len();
    request.push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"));
    // It may be answered, and closed, before all of it is read.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        if let Some(enough) = leaves_after
            && read(&bytes).is_some_and(|answer| answer.body.len() >= *enough)
        {
            // What else was sent is on its way.
            tokio::time::sleep(LINGER).await;
            break;
        }
    }
    read(&bytes).unwrap_or_else(nothing)
}

/// The body of a page that must be there.
pub async fn read_page(address: SocketAddr, path: &str) -> String {
    page(address, "GET", path).await
}

/// What operators ask for.
pub async fn post_page(address: SocketAddr, path: &str) -> String {
    page(address, "POST", path).await
}

async fn page(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let answer = read(&bytes).unwrap();
    assert!(answer.status == 200 && answer.whole, "{answer:?}");
    answer.text()
}

fn read(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let rest = &bytes[end + 4..];
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let (body, whole) = match header("content-length: ") {
        Some(length) => {
            let length: usize = length.parse().unwrap();
            (rest[..rest.len().min(length)].to_vec(), rest.len() >= length)
        }
        None if header("transfer-encoding: ").is_some() => unchunk(rest),
        None => (rest.to_vec(), false),
    };
    Some(Answer { status, body, whole })
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

//! An upstream that keeps the exact bytes it receives, and answers each request that is framed as ours must be.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// See the module.
pub struct Recorder {
    pub address: SocketAddr,
    streams: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let ours = Arc::clone(&streams);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let streams = Arc::clone(&ours);
                tokio::spawn(async move {
                    let place = {
                        let mut all = streams.lock().unwrap();
                        all.push(Vec::new());
                        all.len() - 1
                    };
                    let mut answered = 0;
                    let mut bytes = Vec::new();
                    while let Ok(1..) = stream.read_buf(&mut bytes).await {
                        streams.lock().unwrap()[place].clone_from(&bytes);
                        while answered < split(&bytes).0.len() {
                            answered += 1;
                            let answer =
                                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                            let _ = stream.write_all(answer.as_bytes()).await;
                        }
                    }
                });
            }
        });
        Self { address, streams }
    }

    /// What came so far: requests, and whether there is anything that is not a whole one. Connections are kept.
    pub fn requests(&self) -> (Vec<Request>, bool) {
        let mut all = Vec::new();
        let mut more = false;
        for bytes in &*self.streams.lock().unwrap() {
            let (requests, rest) = split(bytes);
            all.extend(requests);
            more |= !rest.is_empty();
        }
        (all, more)
    }
}

/// By one `content-length` each, or not at all.
fn split(mut bytes: &[u8]) -> (Vec<Request>, &[u8]) {
    let mut requests = Vec::new();
    while let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
        let head = &bytes[..end + 2];
        let Some(length) = is_in_form(head) else { break };
        let Some(body) = bytes[end + 4..].get(..length) else { break };
        requests.push(Request { head: head.to_vec(), body: body.to_vec() });
        bytes = &bytes[end + 4 + length..];
    }
    (requests, bytes)
}

/// A head that nobody reads in two ways; the length of its body.
fn is_in_form(head: &[u8]) -> Option<usize> {
    let text = head.to_ascii_lowercase();
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let first = lines.next()?;
    (first.starts_with(b"post /") && first.ends_with(b" http/1.1\r")).then_some(())?;
    (first.iter().filter(|&&byte| byte == b' ').count() == 2).then_some(())?;
    let mut lengths = Vec::new();
    let mut hosts = 0;
    for line in lines {
        let line = line.strip_suffix(b"\r")?;
        let clean =
            !line.iter().any(|&byte| matches!(byte, b'\r' | 0)) && !line.starts_with(b" ") && !line.starts_with(b"\t");
        clean.then_some(())?;
        let colon = line.iter().position(|&byte| byte == b':')?;
        match &line[..colon] {
            b"content-length" => lengths.push(std::str::from_utf8(&line[colon + 2..]).ok()?.parse().ok()?),
            b"transfer-encoding" | b"upgrade" | b"expect" | b"trailer" => return None,
            b"host" => hosts += 1,
            name if name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(byte)) => {}
            _ => return None,
        }
    }
    match (&*lengths, hosts) {
        ([length], 1) => Some(*length),
        _ => None,
    }
}

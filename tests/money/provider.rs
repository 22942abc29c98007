//! A provider in the test's own process: it answers by a script, whoever dies meanwhile, and so knows what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Debug)]
pub struct Request {
    pub path: String,
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Before anything is said.
    pub after: Duration,
    pub said: Said,
    /// Dropped when the answer begins.
    pub place: Option<Arc<Place>>,
}

/// A call that is under way.
#[derive(Debug)]
pub struct Place(Arc<AtomicU64>);

impl Place {
    /// Takes one; and how many are taken now.
    pub fn take(taken: &Arc<AtomicU64>) -> (Arc<Self>, u64) {
        let now = taken.fetch_add(1, SeqCst) + 1;
        (Arc::new(Self(Arc::clone(taken))), now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[derive(Debug, Clone)]
pub enum Said {
    /// A body of JSON, whole.
    Json(String),
    /// Events of a stream, each after a pause, and how it ends.
    Events { events: Vec<String>, gap: Duration, end: End },
}

/// How a stream ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Well,
    /// Without its framing's end.
    Cut,
    /// Not before the client does.
    Never,
}

impl Reply {
    pub fn json(status: u16, body: String) -> Self {
        Self { status, after: Duration::ZERO, said: Said::Json(body), place: None }
    }

    pub fn stream(events: Vec<String>, gap: Duration, end: End) -> Self {
        Self { status: 200, after: Duration::ZERO, said: Said::Events { events, gap, end }, place: None }
    }

    pub fn events(events: Vec<String>, gap: Duration) -> Self {
        Self::stream(events, gap, End::Well)
    }
}

/// Listens until the test is over.
pub async fn provider(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let script = Arc::clone(&script);
            tokio::spawn(async move {
                // A client that leaves is no matter of the provider's.
                let _ = serve(stream, &*script).await;
            });
        }
    });
    address
}

async fn serve(mut stream: TcpStream, script: &(impl Fn(&Request) -> Reply + Sync)) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    while let Some(request) = read(&mut stream, &mut bytes).await? {
        let Reply { status, after, said, place } = script(&request);
        pause(after).await;
        drop(place);
        match said {
            Said::Json(body) => {
                let head = head(status, "application/json", &format!("content-length: {}", body.len()));
                stream.write_all(format!("{head}{body}").as_bytes()).await?;
            }
            Said::Events { events, gap, end } => {
                stream.write_all(head(status, "text/event-stream", "transfer-encoding: chunked").as_bytes()).await?;
                for event in events {
                    pause(gap).await;
                    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
                }
                match end {
                    End::Well => stream.write_all(b"0\r\n\r\n").await?,
                    End::Cut => return Ok(()),
                    End::Never => {
                        let _ = stream.read_buf(&mut bytes).await;
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

fn head(status: u16, kind: &str, framing: &str) -> String {
    format!("HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n")
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// The next request of a connection; its rest stays in `bytes`.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let all = end + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap());
            if bytes.len() >= all {
                let path = String::from_utf8(bytes[..end].to_vec()).unwrap().split(' ').nth(1).unwrap().to_owned();
                let body = bytes[end + 4..all].to_vec();
                bytes.drain(..all);
                return Ok(Some(Request { path, body }));
            }
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

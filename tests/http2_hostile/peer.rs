//! One connection of HTTP/2 in the test's own hands.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::edge::Edge;
use crate::frames::{ACK, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, settings};

/// Longer than any answer takes, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The client's side.
pub struct Peer {
    tls: TlsStream<TcpStream>,
    came: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub id: u32,
    pub payload: Vec<u8>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 200.
    Served,
    /// Another status.
    Refused,
    /// The stream was reset, with this code.
    Reset(u32),
    /// The connection was given up, with this code.
    GoneAway(u32),
    /// It ended without a word.
    Cut,
}

impl Peer {
    /// With these settings of ours.
    pub async fn begin(edge: &Edge, parameters: &[(u16, u32)]) -> Self {
        let mut peer = Self { tls: edge.connect().await, came: Vec::new() };
        peer.send(&[PREFACE, &settings(parameters), &frame(SETTINGS, ACK, 0, &[])].concat()).await;
        peer
    }

    /// Without a word of HTTP/2.
    pub async fn silent(edge: &Edge) -> Self {
        Self { tls: edge.connect().await, came: Vec::new() }
    }

    /// Whether the other side still takes it.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.tls.write_all(bytes).await.is_ok() && self.tls.flush().await.is_ok()
    }

    /// The next frame; `None` at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(head) = self.came.first_chunk::<9>() {
                let length = 9 + (usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]));
                if self.came.len() >= length {
                    let (kind, flags) = (head[3], head[4]);
                    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let rest = self.came.split_off(length);
                    let payload = std::mem::replace(&mut self.came, rest).split_off(9);
                    return Some(Frame { kind, flags, id, payload });
                }
            }
            if !matches!(self.tls.read_buf(&mut self.came).await, Ok(1..)) {
                return None;
            }
        }
    }

    /// What comes of the request on this stream.
    pub async fn verdict(&mut self, id: u32) -> Verdict {
        let reading = async {
            while let Some(frame) = self.frame().await {
                let code = |at: usize| frame.payload.get(at..at + 4).map(|b| u32::from_be_bytes(b.try_into().unwrap()));
                match frame.kind {
                    // `:status: 200` is the eighth of the static table (RFC 7541 appendix A).
                    HEADERS if frame.id == id && frame.payload.first() == Some(&0x88) => return Verdict::Served,
                    HEADERS if frame.id == id => return Verdict::Refused,
                    RST_STREAM if frame.id == id => return Verdict::Reset(code(0).unwrap()),
                    GOAWAY => return Verdict::GoneAway(code(4).unwrap()),
                    _ => {}
                }
            }
            Verdict::Cut
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("something comes of it")
    }

    /// Reads until the other side has closed; within our patience.
    pub async fn ends(&mut self) -> bool {
        let reading = async { while self.frame().await.is_some() {} };
        tokio::time::timeout(PATIENCE, reading).await.is_ok()
    }

    /// Reads and throws away what comes in this time.
    pub async fn read_for(&mut self, time: Duration) {
        let reading = async { while self.frame().await.is_some() {} };
        let _ = tokio::time::timeout(time, reading).await;
    }
}

//! A client's TCP connection, which can be made to misbehave below HTTP.
//!
//! hyper writes correct HTTP or nothing. What is worse than that happens here: a reset instead of a close, and bytes
//! that are not HTTP in place of a response.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

// A mood; 0 is an honest one.
const RESET: u8 = 1;
const GARBAGE: u8 = 2;
const MUTE: u8 = 3;

/// What is sent in place of HTTP: the beginning of a TLS alert, then text.
const NOT_HTTP: &[u8] = b"\x15\x03\x03\x00\x02this is not HTTP\r\n\r\n";

/// How a connection is to misbehave.
#[derive(Debug, Clone, Default)]
pub struct Mood(Arc<AtomicU8>);

impl Mood {
    /// When the connection is dropped, it is reset.
    pub fn reset(&self) {
        self.0.store(RESET, Ordering::Relaxed);
    }

    /// In place of whatever is written next come bytes that are not HTTP, and then nothing.
    pub fn garbage(&self) {
        self.0.store(GARBAGE, Ordering::Relaxed);
    }
}

/// A connection.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    mood: Mood,
}

impl Line {
    /// A connection that obeys the mood.
    pub const fn new(stream: TcpStream, mood: Mood) -> Self {
        Self { stream, mood }
    }

    /// Writes what is not HTTP. True if the caller's bytes are to be swallowed.
    fn poll_garbage(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match self.mood.0.load(Ordering::Relaxed) {
            GARBAGE => {
                // So few bytes fit into the buffer of a connection that has written nothing else in this response.
                let written = Pin::new(&mut self.stream).poll_write(cx, NOT_HTTP);
                written.map_ok(|_| {
                    self.mood.0.store(MUTE, Ordering::Relaxed);
                    true
                })
            }
            mood => Poll::Ready(Ok(mood == MUTE)),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_garbage(cx) {
            Poll::Ready(Ok(false)) => Pin::new(&mut self.stream).poll_write(cx, buf),
            swallowed => swallowed.map_ok(|_| buf.len()),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.poll_garbage(cx) {
            Poll::Ready(Ok(false)) => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
            swallowed => swallowed.map_ok(|_| bufs.iter().map(|buf| buf.len()).sum()),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.mood.0.load(Ordering::Relaxed) == RESET {
            // Without a time to linger the kernel sends RST on close. It fails only if the peer was faster.
            let _ = self.stream.set_zero_linger();
        }
    }
}

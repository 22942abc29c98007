//! The bytes of a connection: clear text or TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::http1::room;

/// Clear text or TLS.
#[derive(Debug)]
pub enum Io {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// What has come; empty at the end.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Plain(io) => room::poll_read(io, cx),
            Self::Tls(io) => room::poll_read(io, cx),
        }
    }

    /// Whether nothing has come, not even the end. Wakes nobody later on.
    pub fn is_quiet(&mut self) -> bool {
        self.poll_read(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Hands bytes to the system; how many it took.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match (self, slices) {
            // A plain write costs the system less than a vectored one.
            (Self::Plain(io), [one]) => Pin::new(io).poll_write(cx, one),
            (Self::Plain(io), many) => Pin::new(io).poll_write_vectored(cx, many),
            (Self::Tls(io), many) => Pin::new(&mut **io).poll_write_vectored(cx, many),
        }
    }

    /// Until all bytes are with the system (TLS keeps some back).
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(io) => Pin::new(&mut **io).poll_flush(cx),
        }
    }
}

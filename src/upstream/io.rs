//! The bytes of a connection: clear text or TLS.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::io::poll_read_buf;

/// Room for what is read next, and how little of it is still worth a read.
const ROOM: usize = 32 * 1024;
const LEAST: usize = 4 * 1024;

thread_local! {
    static READING: RefCell<BytesMut> = RefCell::default();
}

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
    /// All connections of a thread read into one room, and what came is a slice of it: a connection that waits holds no
    /// buffer, and nothing is copied. The room is used anew as soon as nobody holds a slice of it.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        READING.with_borrow_mut(|room| {
            if room.capacity() < LEAST {
                room.reserve(ROOM);
            }
            let read = match self {
                Self::Plain(io) => poll_read_buf(Pin::new(io), cx, room),
                Self::Tls(io) => poll_read_buf(Pin::new(io), cx, room),
            };
            ready!(read)?;
            Poll::Ready(Ok(room.split().freeze()))
        })
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

//! One HTTP/1.1 connection to a provider.
//!
//! It is polled by the task that waits for it, so whatever hyper's connection tells that task's other half (a head has come,
//! a frame is wanted) would wake a task that is running already, and cost one more poll of everything per event: a quarter of
//! the work of a stream (10,200 instructions per event to 7,700). Therefore hyper's parts get a waker that only raises a
//! flag, and only the socket gets the task's own.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::body::Sending;
use crate::provider::Origin;

thread_local! {
    static WAKERS: Wakers = Wakers::default();
}

/// What this thread's connections are polled with.
struct Wakers {
    flag: Arc<Flag>,
    raises_flag: Waker,
    /// The waker of the task that is polling a connection.
    task: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl Default for Wakers {
    fn default() -> Self {
        let flag = Arc::new(Flag::default());
        Self { raises_flag: Waker::from(Arc::clone(&flag)), flag, task: RefCell::default() }
    }
}

impl Wakers {
    /// Polls a connection for a task. The task is woken at once only where hyper wants to be polled again by itself (it
    /// yields after sixteen rounds).
    fn poll<F: Future + Unpin>(&self, connection: &mut F, task: &Waker) -> Poll<F::Output> {
        self.flag.0.store(false, Relaxed);
        let outer = self.task.replace(Some(task.clone()));
        let polled = Pin::new(connection).poll(&mut Context::from_waker(&self.raises_flag));
        self.task.replace(outer);
        if polled.is_pending() && self.flag.0.load(Relaxed) {
            task.wake_by_ref();
        }
        polled
    }
}

/// Calls a socket's poll with the waker of the task that polls its connection.
fn with_task<R>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
    WAKERS.with(|wakers| match &*wakers.task.borrow() {
        Some(task) => poll(&mut Context::from_waker(task)),
        None => poll(cx),
    })
}

/// A connection together with the handle that sends on it.
pub struct Conn {
    pub(super) sender: SendRequest<Sending>,
    connection: Connection<TokioIo<Io>, Sending>,
    /// The connection's future has resolved and must not be polled again.
    ended: bool,
    /// Where it leads.
    pub origin: Arc<Origin>,
    /// Answers that it has brought.
    pub served: u32,
    /// When it became idle.
    pub idle_since: Instant,
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("origin", &self.origin.authority).field("served", &self.served).finish()
    }
}

impl Conn {
    /// Begins HTTP/1.1 on a stream.
    ///
    /// # Errors
    /// hyper's, none of which occurs before bytes are exchanged.
    pub async fn begin(io: Io, origin: Arc<Origin>) -> hyper::Result<Box<Self>> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
        Ok(Box::new(Self { sender, connection, ended: false, origin, served: 0, idle_since: Instant::now() }))
    }

    /// Writes and reads what can be without waiting. Ready once the connection is over.
    pub fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        // An error reaches whoever waits for the head or the next frame; here only the end matters.
        match WAKERS.with(|wakers| wakers.poll(&mut self.connection, cx.waker())) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => {
                self.ended = true;
                Poll::Ready(())
            }
        }
    }

    /// Whether another request may be sent. Polls with a waker that wakes nobody, so an idle connection holds on to no task;
    /// whether it has been closed meanwhile is found out by the next such poll, at check-out or in the sweep.
    pub fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop())).is_pending() && self.sender.is_ready()
    }
}

/// Clear text or TLS.
#[derive(Debug)]
pub enum Io {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        with_task(cx, |cx| match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        })
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        with_task(cx, |cx| match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        with_task(cx, |cx| match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        with_task(cx, |cx| match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        with_task(cx, |cx| match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        })
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }
}

//! Reading in turns: nobody has a core to himself.
//!
//! Small frames cost far more than they weigh: a hundred `SETTINGS` fit into a kilobyte, and each may touch every stream.
//! Whoever sends them fast enough would be read on and on, since the runtime counts reads and not what is done with them:
//! beside a client that opened and closed the windows of a hundred streams, others waited 200 to 430 ms for two connections
//! and answers, and wait 45 to 65 ms like this. Invariant: after [`TURN`] bytes the others run first, the sockets of the core
//! included.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read of one connection before others have their turn.
const TURN: usize = 16 * 1024;

/// A stream that is read in turns.
#[derive(Debug)]
pub(super) struct Turns<S> {
    stream: S,
    left: usize,
}

impl<S> Turns<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, left: TURN }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Turns<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            this.left = TURN;
            // Comes back only after the runtime has looked at its sockets, which waking ourselves would not ask for.
            ready!(pin!(tokio::task::yield_now()).poll(cx));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.left = match read {
            Poll::Ready(_) => this.left.saturating_sub(buf.filled().len() - before),
            Poll::Pending => TURN,
        };
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Turns<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::io::AsyncReadExt;
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn who_has_always_something_to_say_is_not_listened_to_alone() {
        let read = Rc::new(Cell::new(0));
        let count = Rc::clone(&read);
        let most = LocalSet::new()
            .run_until(async move {
                let reading = tokio::task::spawn_local(async move {
                    let mut endless = Turns::new(tokio::io::repeat(7));
                    let mut room = [0; 1000];
                    while count.get() < 100 * TURN {
                        count.set(count.get() + endless.read(&mut room).await.unwrap());
                    }
                });
                let (mut most, mut last) = (0, 0);
                while !reading.is_finished() {
                    tokio::task::yield_now().await;
                    most = most.max(read.get() - last);
                    last = read.get();
                }
                most
            })
            .await;
        assert!((TURN..TURN + 1000).contains(&most), "{most} in one turn");
    }
}

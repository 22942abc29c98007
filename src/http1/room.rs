//! The room that the connections of a core read into.
//!
//! All connections of a thread read into one room, and what came is a slice of it: a connection that waits holds no buffer,
//! and nothing is copied. The room is used anew as soon as nobody holds a slice of it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Room for what is read next, and how little of it is still worth a read.
const ROOM: usize = 32 * 1024;
const LEAST: usize = 4 * 1024;

thread_local! {
    static READING: RefCell<BytesMut> = RefCell::default();
}

/// What has come; empty at the end.
///
/// # Errors
/// The stream's.
pub fn poll_read<R: AsyncRead + Unpin>(stream: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    READING.with_borrow_mut(|room| {
        if room.capacity() < LEAST {
            room.reserve(ROOM);
        }
        ready!(poll_read_buf(Pin::new(stream), cx, room))?;
        Poll::Ready(Ok(room.split().freeze()))
    })
}

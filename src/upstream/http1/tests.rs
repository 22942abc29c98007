//! Connections over real sockets whose other end the test holds.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n";

fn origin() -> Arc<Origin> {
    Arc::new(Origin {
        id: 0,
        tls: false,
        host: "127.0.0.1".into(),
        port: 9,
        authority: http::HeaderValue::from_static("127.0.0.1:9"),
        proxy: None,
    })
}

/// A connection that has served, and its other end.
async fn pooled() -> (Box<Conn>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let mut conn = Conn::new(Io::Plain(ours), origin());
    conn.served = 1;
    // So that the runtime has heard nothing of it: what the other side does next is only seen by a system call.
    assert!(conn.is_quiet());
    (conn, theirs)
}

/// A reset that the runtime has not told us of yet is first seen by the write. The request came back emptied, and what was
/// then sent on the next connection was nothing: the client waited for the whole of `first_byte`.
#[tokio::test]
async fn a_request_whose_first_write_fails_goes_out_whole_on_the_next_connection() {
    let (mut stale, theirs) = pooled().await;
    socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    stale.send(Outgoing::of(REQUEST));
    let trouble = poll_fn(|cx| stale.poll_head(cx)).await.unwrap_err();
    let Trouble::Stale(unsent) = trouble else { panic!("{trouble:?}") };

    let (mut next, mut theirs) = pooled().await;
    next.send(unsent);
    let server = std::thread::spawn(move || {
        let mut bytes = vec![0; REQUEST.len()];
        theirs.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        theirs.read_exact(&mut bytes).unwrap();
        theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        bytes
    });
    let head = poll_fn(|cx| next.poll_head(cx)).await.unwrap();
    assert_eq!(head.status, http::StatusCode::OK);
    assert_eq!(server.join().unwrap(), REQUEST);
    assert!(next.is_reusable());
}

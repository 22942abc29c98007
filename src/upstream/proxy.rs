//! A tunnel through a proxy: CONNECT (RFC 9110 section 9.3.6), for clear origins as for TLS.
//!
//! Invariant: the proxy sees the origin's name and port, and its own credential; never a request of ours. What it answers
//! is read to the end of its head and not a byte further.

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::dial::kind_of;
use crate::provider::proxy::Proxy;

/// The head of a proxy's answer.
const LONGEST_HEAD: usize = 8 * 1024;
const MOST_HEADERS: usize = 64;

/// Asks the proxy at the other end of `tcp` to connect to an origin. What is then written goes there.
///
/// # Errors
/// In words for the log: the proxy refused, or is none.
pub async fn tunnel(mut tcp: TcpStream, proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, String> {
    let lost = |e: std::io::Error| format!("the proxy: {}", kind_of(&e));
    tcp.write_all(&request(proxy, host, port)).await.map_err(lost)?;
    let mut head = BytesMut::with_capacity(1024);
    let status = loop {
        if tcp.read_buf(&mut head).await.map_err(lost)? == 0 {
            return Err("the proxy hung up without an answer".to_owned());
        }
        match status(&head)? {
            Some((status, length)) if (200..300).contains(&status) && head.len() > length => {
                return Err("the proxy sent more than an answer to CONNECT".to_owned());
            }
            Some((status, _)) => break status,
            None if head.len() > LONGEST_HEAD => return Err("the proxy's answer to CONNECT is too long".to_owned()),
            None => {}
        }
    };
    match status {
        200..300 => Ok(tcp),
        407 if proxy.authorization.is_none() => Err("the proxy wants a user and a password (407)".to_owned()),
        407 => Err("the proxy refuses the user and the password that it was given (407)".to_owned()),
        _ => Err(format!("the proxy answered {status} to CONNECT")),
    }
}

fn request(proxy: &Proxy, host: &str, port: u16) -> BytesMut {
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = BytesMut::with_capacity(256);
    for part in ["CONNECT ", &target, " HTTP/1.1\r\nhost: ", &target, "\r\n"] {
        request.put_slice(part.as_bytes());
    }
    if let Some(authorization) = &proxy.authorization {
        request.put_slice(b"proxy-authorization: ");
        request.put_slice(authorization.as_bytes());
        request.put_slice(b"\r\n");
    }
    request.put_slice(b"\r\n");
    request
}

/// The status and the length of a head, once it is whole.
fn status(head: &[u8]) -> Result<Option<(u16, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(length)) => Ok(Some((response.code.unwrap_or_default(), length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err("what should be a proxy does not speak HTTP".to_owned()),
    }
}

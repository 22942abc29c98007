//! A client that sees everything: the chunks of a response, and how its connection ended.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate::simulator::{Script, Simulator, Tokens};

pub const ANSWERS: [&str; 4] =
    ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1beta/models/m:streamGenerateContent?alt=sse"];

pub async fn start(script: Script) -> Simulator {
    Simulator::start(script, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

pub fn script(text: &str) -> Script {
    Script { text: text.to_owned(), fixed_ids: true, ..Script::default() }
}

/// A response as it came: head, the chunks of the body, and how the connection ended.
#[derive(Debug)]
pub struct Raw {
    pub head: String,
    pub chunks: Vec<Vec<u8>>,
    pub end: End,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum End {
    /// The framing says that the response is complete.
    Complete,
    /// The connection was closed before.
    Closed,
    /// The connection was reset before.
    Reset,
    /// Nothing came for a while.
    Silence,
}

impl Raw {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }

    /// Names and data of its events; data that is no JSON becomes a string.
    pub fn events(&self) -> Vec<(String, Value)> {
        let text = self.text().replace("\r\n", "\n");
        let event = |block: &str| {
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
            let data = field("data: ");
            (field("event: "), serde_json::from_str(&data).unwrap_or(Value::String(data)))
        };
        text.split("\n\n").filter(|block| !block.is_empty()).map(event).collect()
    }
}

pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: simulator\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// One request on a new connection, and all that came back.
pub async fn exchange(simulator: &Simulator, request: &str) -> Raw {
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    read(&mut stream).await
}

pub async fn read(stream: &mut TcpStream) -> Raw {
    const LONG_ENOUGH: Duration = Duration::from_millis(300);
    let mut bytes = Vec::new();
    loop {
        if let Some(raw) = parse(&bytes, End::Complete).filter(|raw| raw.end == End::Complete) {
            return raw;
        }
        let end = match tokio::time::timeout(LONG_ENOUGH, stream.read_buf(&mut bytes)).await {
            Ok(Ok(0)) => End::Closed,
            Ok(Ok(_)) => continue,
            Ok(Err(_)) => End::Reset,
            Err(_) => End::Silence,
        };
        let none = Raw { head: String::from_utf8_lossy(&bytes).into_owned(), chunks: Vec::new(), end };
        return parse(&bytes, end).unwrap_or(none);
    }
}

/// None while the head is not there. The end is `Complete` only if the framing says so, else `otherwise` (of which
/// `Complete` then means "not yet", told as `Silence`).
pub fn parse(bytes: &[u8], otherwise: End) -> Option<Raw> {
    let border = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..border].to_vec()).ok()?;
    let otherwise = if otherwise == End::Complete { End::Silence } else { otherwise };
    let mut raw = Raw { head, chunks: Vec::new(), end: otherwise };
    let mut rest = &bytes[border + 4..];
    if raw.header("transfer-encoding") != "chunked" {
        let length: usize = raw.header("content-length").parse().ok()?;
        raw.chunks.push(rest[..rest.len().min(length)].to_vec());
        raw.end = if rest.len() == length { End::Complete } else { otherwise };
        return Some(raw);
    }
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        let Some(chunk) = rest.get(line + 2..line + 2 + size) else { break };
        if size == 0 {
            raw.end = End::Complete;
            break;
        }
        raw.chunks.push(chunk.to_vec());
        rest = rest.get(line + 4 + size..).unwrap_or_default();
    }
    Some(raw)
}

/// A request for a stream (or not) at the path of a dialect.
pub fn ask(path: &str, stream: bool) -> String {
    let body = json!({
        "model": "m", "max_tokens": 9, "stream": stream, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "hello"}], "input": "hello",
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
    });
    let path =
        if stream { path.to_owned() } else { path.replace(":streamGenerateContent?alt=sse", ":generateContent") };
    request("POST", &path, "", &body.to_string())
}

/// With more fields than [`ask`] has.
#[expect(clippy::needless_pass_by_value, reason = "call sites read best with json!(…) alone")]
pub fn asking(path: &str, fields: Value) -> String {
    let mut body = json!({"model": "m"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request("POST", path, "", &body.to_string())
}

pub const TOKENS: Tokens =
    Tokens { input: 1000, cache_read: 200, cache_write_5m: 30, cache_write_1h: 4, output: 50, reasoning: 20 };

pub fn with_tokens() -> Script {
    Script { usage: TOKENS, ..script("hello there") }
}

/// The values of one field, by JSON pointer, joined where they are strings.
pub fn joined(events: &[(String, Value)], pointer: &str) -> String {
    events.iter().filter_map(|(_, data)| data.pointer(pointer)?.as_str()).collect()
}

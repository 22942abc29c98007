//! What happened: counters, and the last requests.
//!
//! Invariant: recordings are bounded in number and in bytes, and a recorded request's credentials cannot be printed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use serde::Serialize;
use serde_json::{Value, json};

use crate::protocol::Dialect;

/// Most requests that are kept.
pub const MAX_RECORDED: usize = 256;
/// Most bytes of bodies that are kept with them; of one larger body nothing else.
pub const MAX_RECORDED_BYTES: usize = 128 * 1024 * 1024;

/// What happened so far.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// All requests, also those to paths that do not exist, and those that a fault took.
    pub requests: u64,
    /// Calls for an answer, in the order of [`Dialect::ALL`].
    #[serde(serialize_with = "by_name")]
    pub calls: [Split; 4],
    /// Requests that a fault took.
    pub faults: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Answers that were not finished because the client left.
    pub abandoned: Split,
    /// The last requests, the oldest first, if the script says `record`.
    #[serde(skip)]
    pub recorded: Vec<Recorded>,
}

impl Counts {
    /// Calls in one dialect.
    #[must_use]
    pub const fn of(&self, dialect: Dialect) -> Split {
        self.calls[dialect.index()]
    }

    /// Calls in all dialects.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.iter().map(|split| split.json + split.stream).sum()
    }
}

/// JSON answers and streamed ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Split {
    /// JSON answers.
    pub json: u64,
    /// Streams.
    pub stream: u64,
}

fn by_name<S: serde::Serializer>(calls: &[Split; 4], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(Dialect::ALL.map(|dialect| (dialect.name(), calls[dialect.index()])))
}

/// A request as it arrived.
#[derive(Clone)]
pub struct Recorded {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path_and_query: String,
    /// Its headers, credentials and all.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Recorded {
    /// One header's value as text; empty if it is not there or is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// As JSON, credentials cut to their first eight characters.
    #[must_use]
    pub fn redacted(&self) -> Value {
        let header = |(name, value): (&HeaderName, &http::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            json!([name.as_str(), if is_credential(name) { shortened(&value) } else { value.into_owned() }])
        };
        let body = serde_json::from_slice(&self.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&self.body)));
        json!({
            "method": self.method.as_str(),
            "path": redacted_path(&self.path_and_query),
            "headers": self.headers.iter().map(header).collect::<Vec<_>>(),
            "body": body,
        })
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method, redacted_path(&self.path_and_query), self.body.len())
    }
}

fn is_credential(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains("authorization") || name.contains("key") || name.contains("token") || name.contains("cookie")
}

/// The scheme and eight characters.
fn shortened(value: &str) -> String {
    let (scheme, secret) = value.split_once(' ').map_or(("", value), |(scheme, secret)| (scheme, secret));
    let shown: String = secret.chars().take(8).collect();
    format!("{scheme}{}{shown}…", if scheme.is_empty() { "" } else { " " })
}

/// Gemini's clients may put their key into the query.
fn redacted_path(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else { return path_and_query.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, secret)) if name.eq_ignore_ascii_case("key") => format!("{name}={}", shortened(secret)),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// The counters of a running simulator.
#[derive(Default)]
pub struct Tally {
    requests: AtomicU64,
    calls: [[AtomicU64; 2]; 4],
    faults: AtomicU64,
    connections: AtomicU64,
    connections_open: AtomicU64,
    abandoned: [AtomicU64; 2],
    recorded: Mutex<VecDeque<Recorded>>,
}

impl Tally {
    /// A request has arrived.
    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// It is kept.
    pub fn record(&self, request: Recorded) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.push_back(request);
        let mut bytes: usize = recorded.iter().map(|request| request.body.len()).sum();
        while recorded.len() > MAX_RECORDED || (bytes > MAX_RECORDED_BYTES && recorded.len() > 1) {
            bytes -= recorded.pop_front().map_or(0, |request| request.body.len());
        }
    }

    /// It was taken by a fault.
    pub fn fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// It is a call for an answer, which is watched until its end.
    pub fn call(self: &Arc<Self>, dialect: Dialect, stream: bool) -> Watch {
        self.calls[dialect.index()][usize::from(stream)].fetch_add(1, Ordering::Relaxed);
        Watch { tally: Some(Arc::clone(self)), stream }
    }

    /// A connection has been accepted; it is open until the guard goes.
    pub fn connection(self: &Arc<Self>) -> Open {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connections_open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(self))
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let split = |pair: &[AtomicU64; 2]| Split { json: read(&pair[0]), stream: read(&pair[1]) };
        Counts {
            requests: read(&self.requests),
            calls: [0, 1, 2, 3].map(|dialect: usize| split(&self.calls[dialect])),
            faults: read(&self.faults),
            connections: read(&self.connections),
            connections_open: read(&self.connections_open),
            abandoned: split(&self.abandoned),
            recorded: self.recorded.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect(),
        }
    }
}

/// An answer that is being given. Dropped before it is done, it counts as abandoned.
pub struct Watch {
    tally: Option<Arc<Tally>>,
    stream: bool,
}

impl Watch {
    /// It ended as the script wanted, if it was an answer at all.
    pub fn done(watch: Option<Self>) {
        if let Some(mut watch) = watch {
            watch.tally = None;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(tally) = &self.tally {
            tally.abandoned[usize::from(self.stream)].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// A connection that is open.
pub struct Open(Arc<Tally>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: usize) -> Recorded {
        let headers =
            [("authorization", "Bearer sk-secret-0123456789"), ("x-api-key", "sk-secret-0123456789"), ("x-app", "cli")];
        let headers =
            headers.map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        Recorded {
            method: Method::POST,
            path_and_query: "/v1/messages?beta=true&key=sk-secret-0123456789".into(),
            headers: HeaderMap::from_iter(headers),
            body: Bytes::from(vec![b' '; body]),
        }
    }

    #[test]
    fn recordings_are_bounded() {
        let tally = Tally::default();
        for _ in 0..MAX_RECORDED + 10 {
            tally.record(request(0));
        }
        assert_eq!(tally.counts().recorded.len(), MAX_RECORDED);
        tally.record(request(MAX_RECORDED_BYTES - 1));
        assert_eq!(tally.counts().recorded.len(), MAX_RECORDED);
        tally.record(request(2));
        assert_eq!(tally.counts().recorded.len(), 1);
    }

    #[test]
    fn credentials_are_not_shown() {
        let request = request(2);
        let shown = format!("{request:?} {}", request.redacted());
        assert!(!shown.contains("0123456789"), "{shown}");
        assert!(shown.contains("Bearer sk-secre…") && shown.contains("beta=true") && shown.contains("cli"), "{shown}");
        assert_eq!(request.header("x-api-key"), "sk-secret-0123456789");
    }
}

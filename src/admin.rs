//! The operators' listener: health, readiness, metrics, reload.
//!
//! Not on the hot path: it has the control runtime and axum. It knows the rules' state only through [`Rules`]. Invariant: a
//! page in a browser cannot reach it: a request with an `Origin` is refused, and while it listens on loopback so is one
//! whose `Host` is not loopback (a name that was rebound to 127.0.0.1).

pub mod money;

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::journal::health::Health;
use crate::ledger::Ledger;
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;

/// The rules, as far as operators ask for them.
pub trait Rules: Send + Sync {
    /// How they stand.
    fn status(&self) -> RulesStatus;
    /// Reads them again. The generation that is in force now, or why the old ones stay.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<u64, String>> + Send>>;
}

/// How the rules stand.
#[derive(Debug, Clone, Serialize)]
pub struct RulesStatus {
    /// Counts publications, from 1.
    pub generation: u64,
    /// Seconds since 1970 of the last publication.
    pub last_success: u64,
    /// The last attempt, if it failed: the old rules are in force.
    pub last_failure: Option<Failure>,
}

/// A reload that kept the old rules.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Seconds since 1970.
    pub at: u64,
    /// Every error, as `tollgate check` prints it.
    pub problems: String,
}

/// What the pages need.
#[derive(Clone)]
pub struct Admin {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The rules.
    pub rules: Arc<dyn Rules>,
    /// Whether the process is shutting down.
    pub draining: Arc<AtomicBool>,
    /// Who pays.
    pub ledger: Arc<Ledger>,
    /// How the usage journal and its store are doing, where there are any.
    pub usage: Option<Arc<Health>>,
}

/// Serves until the process ends.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, admin: Admin) -> io::Result<()> {
    let address = listener.local_addr()?;
    axum::serve(listener, router(address, admin)).await
}

fn router(address: SocketAddr, admin: Admin) -> Router {
    let loopback = address.ip().is_loopback();
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/reload", post(reload))
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            match is_browser(request.headers(), loopback) {
                true => (StatusCode::FORBIDDEN, "this listener is not for browsers\n").into_response(),
                false => next.run(request).await,
            }
        }))
        .with_state(admin)
}

fn is_browser(headers: &HeaderMap, loopback: bool) -> bool {
    if headers.contains_key(header::ORIGIN) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    loopback && !host.is_empty() && !is_loopback(host)
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The process is alive.
async fn health() -> &'static str {
    "ok\n"
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    draining: bool,
    config: RulesStatus,
    /// What is wrong with the usage journal or its store; empty: nothing.
    usage: String,
}

/// 200 while requests are served (also under old rules, when the file is broken: it says so), 503 while shutting down.
async fn ready(State(admin): State<Admin>) -> Response {
    let draining = admin.draining.load(Relaxed);
    let usage = admin.usage.as_ref().filter(|health| !health.is_well()).map(|health| health.last_error());
    let usage = usage.unwrap_or_default();
    let body = Ready { ready: !draining, draining, config: admin.rules.status(), usage };
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    json(status, &body)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut page = admin.metrics.render();
    page.push_str(&money::accounts(&admin.ledger, admin.ledger.at(Instant::now(), clock::since_epoch())));
    if let Some(health) = &admin.usage {
        page.push_str(&money::journal(health));
    }
    if let Some(bytes) = resident_bytes() {
        let _ = writeln!(page, "# HELP process_resident_memory_bytes Resident memory.");
        let _ = writeln!(page, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {bytes}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}

/// Resident memory (`proc_pid_status(5)`, `VmRSS`), on systems that have it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[derive(Serialize)]
struct Reloaded {
    generation: u64,
}

#[derive(Serialize)]
struct Refused {
    error: String,
    generation: u64,
}

/// Reads the rules again. When this has answered 200, every request that begins sees the new ones.
async fn reload(State(admin): State<Admin>) -> Response {
    match admin.rules.reload().await {
        Ok(generation) => json(StatusCode::OK, &Reloaded { generation }),
        Err(error) => {
            let generation = admin.rules.status().generation;
            json(StatusCode::UNPROCESSABLE_ENTITY, &Refused { error, generation })
        }
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_and_rebound_names_are_kept_out() {
        let headers = |pairs: &[(header::HeaderName, &'static str)]| {
            pairs.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect::<HeaderMap>()
        };
        for (what, given, loopback, want) in [
            ("curl", headers(&[(header::HOST, "127.0.0.1:8081")]), true, false),
            ("curl by name", headers(&[(header::HOST, "localhost:8081")]), true, false),
            ("curl on IPv6", headers(&[(header::HOST, "[::1]:8081")]), true, false),
            ("rebound", headers(&[(header::HOST, "evil.example:8081")]), true, true),
            ("looks like loopback", headers(&[(header::HOST, "127.0.0.1.evil.example")]), true, true),
            ("by its service name", headers(&[(header::HOST, "tollgate.svc:8081")]), false, false),
            ("a page", headers(&[(header::HOST, "127.0.0.1"), (header::ORIGIN, "https://a.example")]), true, true),
        ] {
            assert_eq!(is_browser(&given, loopback), want, "{what}");
        }
    }
}

//! `[listen]` and `[log]` -> what only a restart changes.
//!
//! Invariant: without TLS nothing is served to other machines unless the operator says that a proxy in front does TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::ServerConfig;
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::{Context, time};
use crate::config::Env;
use crate::config::schema;
use crate::config::startup::{Access, Listen, Log, State};
use crate::config::units::{Address, At};
use crate::tls::{self, Papers, Wrong};

pub fn listen(cx: &mut Context<'_>, listen: &schema::Listen) -> Listen {
    let schema::Listen {
        address,
        admin,
        workers,
        max_connections,
        header_timeout,
        idle_timeout,
        drain,
        behind_proxy,
        trusted_proxies,
        proxy_protocol,
        handover,
        tls,
    } = listen;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let compiled = Listen {
        address: socket(cx, "listen.address", address.as_ref(), *behind_proxy || tls.is_some(), 8080),
        admin: socket(cx, "listen.admin", admin.as_ref(), *behind_proxy, 8081),
        workers: count(cx, "listen.workers", workers.as_ref(), 1024, cores),
        max_connections: count(cx, "listen.max_connections", max_connections.as_ref(), 1 << 24, 16_384),
        header_timeout: time(cx, "listen.header_timeout", header_timeout.as_ref(), Duration::from_secs(15)),
        idle_timeout: time(cx, "listen.idle_timeout", idle_timeout.as_ref(), Duration::from_secs(300)),
        drain: drain.as_ref().map_or(Duration::from_secs(30), |given| given.value.0),
        behind_proxy: *behind_proxy,
        trusted_proxies: networks(cx, trusted_proxies),
        proxy_protocol: proxy_protocol.as_ref().is_some_and(|given| given.value),
        handover: handover.as_ref().map(|path| cx.path(path)),
        tls: tls.is_some(),
    };
    if compiled.proxy_protocol && compiled.trusted_proxies.is_empty() {
        let at = proxy_protocol.as_ref().map_or(0, |given| given.at);
        cx.error(at, "listen.proxy_protocol".into(), "nobody is named whose word on it would be believed")
            .hint("listen.trusted_proxies = [\"10.0.0.0/8\"]");
    }
    if compiled.address == compiled.admin && compiled.address.port() != 0 {
        let at = admin.as_ref().or(address.as_ref()).map_or(0, |given| given.at);
        cx.error(at, "listen.admin".into(), format!("agents and operators cannot share {}", compiled.admin))
            .hint("give listen.admin a port of its own");
    }
    compiled
}

/// Networks; an address alone is a network of one.
fn networks(cx: &mut Context<'_>, given: &[At<String>]) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in given {
        match text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => {
                let message = format!("{:?} is neither an address nor a network", text.value);
                cx.error(text.at, "listen.trusted_proxies".into(), message).hint("such as \"10.0.0.0/8\"");
            }
        }
    }
    networks
}

/// What is shown to agents; `None` without TLS, and after an error.
pub fn tls(cx: &mut Context<'_>, given: Option<&At<schema::ListenTls>>) -> Option<Arc<ServerConfig>> {
    let schema::ListenTls { certificate, key, client_ca } = &given?.value;
    let certificates = paper(cx, "listen.tls.certificate", certificate);
    let private = paper(cx, "listen.tls.key", key).map(Zeroizing::new);
    let authorities = client_ca.as_ref().map(|file| paper(cx, "listen.tls.client_ca", file));
    let client_authorities = match &authorities {
        None => None,
        Some(read) => Some(read.as_deref()?),
    };
    let papers = Papers { certificates: &certificates?, key: private.as_deref()?, client_authorities };
    let (file, field, why) = match tls::server_config(papers) {
        Ok(config) => return Some(config),
        Err(Wrong::Certificates(why)) => (certificate, "listen.tls.certificate", why),
        Err(Wrong::Key(why)) => (key, "listen.tls.key", why),
        Err(Wrong::ClientAuthorities(why)) => (client_ca.as_ref()?, "listen.tls.client_ca", why),
    };
    let path = cx.path(file);
    cx.error(file.at, field.into(), format!("{}: {why}", path.display()));
    None
}

fn paper(cx: &mut Context<'_>, field: &str, file: &At<PathBuf>) -> Option<Vec<u8>> {
    let path = cx.path(file);
    cx.watched.push(path.clone());
    match std::fs::read(&path) {
        Ok(pem) => Some(pem),
        Err(e) => {
            cx.error(file.at, field.into(), format!("{} cannot be read: {e}", path.display()));
            None
        }
    }
}

pub fn log(cx: &mut Context<'_>, log: &schema::Log) -> Log {
    let schema::Log { level, format, access } = log;
    Log {
        level: match level.unwrap_or(schema::Level::Info) {
            schema::Level::Off => LevelFilter::OFF,
            schema::Level::Error => LevelFilter::ERROR,
            schema::Level::Warn => LevelFilter::WARN,
            schema::Level::Info => LevelFilter::INFO,
            schema::Level::Debug => LevelFilter::DEBUG,
            schema::Level::Trace => LevelFilter::TRACE,
        },
        json: *format == Some(schema::Format::Json),
        access: match access {
            None | Some(schema::Access::Off) => Access::Off,
            Some(schema::Access::Stdout) => Access::Stdout,
            Some(schema::Access::File(path)) => Access::File(cx.path(path)),
        },
    }
}

pub fn state(cx: &mut Context<'_>, state: &schema::State, response_ids: Option<&At<u64>>) -> State {
    let schema::State { directory } = state;
    State {
        directory: directory.as_ref().map_or_else(|| usual_folder(cx.env), |written| Some(cx.path(written))),
        response_ids: count(cx, "limits.response_ids", response_ids, 10_000_000, 100_000),
    }
}

/// Where a service manager says (systemd.exec(5), `StateDirectory=`: a list, of which the first is ours), else where the XDG
/// base directory specification does.
fn usual_folder(env: &Env<'_>) -> Option<PathBuf> {
    let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let named = |name| env(name).and_then(|path| absolute(&path));
    let given = env("STATE_DIRECTORY").and_then(|list| absolute(list.split(':').next().unwrap_or_default()));
    given.or_else(|| {
        let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local").join("state")));
        state.map(|state| state.join("tollgate"))
    })
}

fn socket(cx: &mut Context<'_>, path: &str, given: Option<&At<Address>>, open: bool, default_port: u16) -> SocketAddr {
    let Some(given) = given else { return (Ipv4Addr::LOCALHOST, default_port).into() };
    if !given.0.ip().to_canonical().is_loopback() && !open {
        cx.error(given.at, path.into(), format!("{} is open to other machines, without TLS", given.0)).hint(
            "listen on 127.0.0.1; or set listen.tls (for agents); or put a proxy that ends TLS in front and set \
             listen.behind_proxy = true",
        );
    }
    given.0
}

fn count(cx: &mut Context<'_>, path: &str, given: Option<&At<u64>>, most: usize, default: usize) -> usize {
    let Some(given) = given else { return default };
    match usize::try_from(given.value) {
        Ok(n) if (1..=most).contains(&n) => n,
        _ => {
            cx.error(given.at, path.into(), format!("{} is not between 1 and {most}", given.value));
            default
        }
    }
}

//! `[listen]` and `[log]` -> what only a restart changes.
//!
//! Invariant: without TLS nothing is served to other machines unless the operator says that a proxy in front does TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::{Context, time};
use crate::config::schema;
use crate::config::startup::{Access, Listen, Log};
use crate::config::units::{Address, At};

pub fn listen(cx: &mut Context<'_>, listen: &schema::Listen) -> Listen {
    let schema::Listen { address, admin, workers, max_connections, header_timeout, idle_timeout, drain, behind_proxy } =
        listen;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let compiled = Listen {
        address: socket(cx, "listen.address", address.as_ref(), *behind_proxy, 8080),
        admin: socket(cx, "listen.admin", admin.as_ref(), *behind_proxy, 8081),
        workers: count(cx, "listen.workers", workers.as_ref(), 1024, cores),
        max_connections: count(cx, "listen.max_connections", max_connections.as_ref(), 1 << 24, 16_384),
        header_timeout: time(cx, "listen.header_timeout", header_timeout.as_ref(), Duration::from_secs(15)),
        idle_timeout: time(cx, "listen.idle_timeout", idle_timeout.as_ref(), Duration::from_secs(300)),
        drain: drain.as_ref().map_or(Duration::from_secs(30), |given| given.value.0),
        behind_proxy: *behind_proxy,
    };
    if compiled.address == compiled.admin && compiled.address.port() != 0 {
        let at = admin.as_ref().or(address.as_ref()).map_or(0, |given| given.at);
        cx.error(at, "listen.admin".into(), format!("agents and operators cannot share {}", compiled.admin))
            .hint("give listen.admin a port of its own");
    }
    compiled
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

fn socket(
    cx: &mut Context<'_>,
    path: &str,
    given: Option<&At<Address>>,
    behind_proxy: bool,
    default_port: u16,
) -> SocketAddr {
    let Some(given) = given else { return (Ipv4Addr::LOCALHOST, default_port).into() };
    if !given.0.ip().to_canonical().is_loopback() && !behind_proxy {
        cx.error(given.at, path.into(), format!("{} is open to other machines, without TLS", given.0)).hint(
            "listen on 127.0.0.1; or put a proxy that ends TLS in front and set listen.behind_proxy = true \
             (TLS of Tollgate's own comes with a later release)",
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

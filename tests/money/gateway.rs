//! The real program in a process of its own, its configuration and what it keeps in a folder that outlives it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client;

/// The key that every configuration here knows as `{ env = "KEY" }`.
pub const KEY: &str = "tk-0123456789abcdef";

/// Longer than anything here takes, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
    pub admin: SocketAddr,
}

impl Gateway {
    /// Serves what is told of providers, models, keys and so on from a folder; its ports are its own choice.
    pub async fn start(folder: &Path, tables: &str) -> Self {
        fs::write(folder.join("tollgate.toml"), config(tables)).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        program.arg("serve").arg("--config").arg(folder.join("tollgate.toml")).env_clear().env("KEY", KEY);
        let child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let nowhere = ([127, 0, 0, 1], 0).into();
        let mut gateway = Self { child, folder: folder.to_owned(), address: nowhere, admin: nowhere };
        let begun = Instant::now();
        let line = loop {
            let log = gateway.log();
            if let Some(line) = log.lines().find(|line| line.contains("\"serving\"")) {
                break serde_json::from_str::<Value>(line).unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not serve: {log}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        (gateway.address, gateway.admin) = (address("address"), address("admin"));
        gateway
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it works until it is killed: {}", self.log());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// All series that operators see, by name and labels as they are written.
    pub async fn metrics(&self) -> Metrics {
        let page = client::read_page(self.admin, "/metrics").await;
        let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Metrics(samples.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect())
    }

    /// Waits until metrics are as wanted; what they are then.
    #[track_caller]
    pub fn until(&self, within: Duration, wanted: impl Fn(&Metrics) -> bool) -> impl Future<Output = Metrics> {
        let caller = std::panic::Location::caller();
        async move {
            let begun = Instant::now();
            loop {
                let metrics = self.metrics().await;
                if wanted(&metrics) {
                    return metrics;
                }
                assert!(begun.elapsed() < within, "{caller}: not within {within:?}: {metrics:#?}\n{}", self.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration as all tests here need it, and more tables.
pub fn config(tables: &str) -> String {
    format!(
        "version = 1\n[listen]\naddress = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\nworkers = 2\n[log]\nformat = 'json'\n\
         [state]\ndirectory = 'state'\n{tables}"
    )
}

/// A page of metrics.
#[derive(Debug)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    /// The sum of a family over the series that have all of these labels.
    pub fn sum(&self, family: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |series: &str| {
            let of_family = series.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
            of_family && labels.iter().all(|(name, value)| series.contains(&format!("{name}=\"{value}\"")))
        };
        self.0.iter().filter(|(series, _)| has(series)).map(|(_, value)| *value as u64).sum()
    }
}

/// `tollgate usage --json` of a folder, with more arguments.
pub fn usage(folder: &Path, arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["usage", "--json", "--config"])
        .arg(folder.join("tollgate.toml"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

/// Money of a line of `usage`, in pico-dollars.
pub fn pico(line: &Value, name: &str) -> u64 {
    line[name].as_str().unwrap().parse().unwrap()
}

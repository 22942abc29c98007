//! The real program in a process of its own, and what the system says of that process.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The key that it knows.
pub const KEY: &str = "tk-0123456789abcdef";

/// How soon everything must be given back.
const SOON: Duration = Duration::from_secs(5);

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    folder: TempDir,
    pub address: SocketAddr,
    admin: SocketAddr,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holds {
    /// Open descriptors, without those of idle connections to providers (which stay on purpose).
    pub descriptors: i64,
    pub threads: i64,
    pub rss_kib: i64,
}

impl Gateway {
    /// With two workers, `upstream` behind every model, and more configuration: lines for `[listen]`, and any tables.
    pub async fn start(upstream: SocketAddr, listen: &str, tables: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            r#"version = 1
[listen]
address = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = 2
{listen}
[log]
format = "json"
access = {{ file = "access.log" }}
[[provider]]
name = "simulator"
speaks = ["anthropic", "chat", "responses", "gemini"]
base_url = "http://{upstream}"
[[model]]
name = "*"
provider = "simulator"
[[key]]
name = "try"
secret = {{ env = "KEY" }}
{tables}
"#
        );
        let file = folder.path().join("tollgate.toml");
        fs::write(&file, config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        program.arg("serve").arg("--config").arg(&file).env_clear().env("KEY", KEY).env("RUST_BACKTRACE", "1");
        let child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let nowhere = ([127, 0, 0, 1], 0).into();
        let mut gateway = Self { child, folder, address: nowhere, admin: nowhere };
        let patience = Instant::now() + Duration::from_secs(20);
        let line = loop {
            let line = gateway.log().lines().find(|line| line.contains("\"serving\"")).map(str::to_owned);
            if let Some(line) = line {
                break line;
            }
            assert!(Instant::now() < patience, "it does not serve: {}", gateway.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        (gateway.address, gateway.admin) = (address("address"), address("admin"));
        gateway
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What it holds now.
    pub async fn holds(&self) -> Holds {
        let idle = self.metric("tollgate_upstream_idle_connections").await;
        let process = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let number = |name: &str| -> i64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = i64::try_from(fs::read_dir(format!("{process}/fd")).unwrap().count()).unwrap() - idle;
        Holds { descriptors, threads: number("Threads:"), rss_kib: number("VmRSS:") }
    }

    /// The sum of a family, as operators see it.
    pub async fn metric(&self, family: &str) -> i64 {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.contains(family), "{page}");
        let values = page.lines().filter(|line| line.starts_with(family)).filter_map(|line| line.rsplit_once(' '));
        values.map(|(_, value)| value.parse::<f64>().unwrap() as i64).sum()
    }

    /// Waits until it holds no more descriptors and threads than `before`, and at most `memory` KiB more.
    #[track_caller]
    pub fn settles(&self, before: Holds, memory: i64) -> impl Future<Output = Holds> {
        let caller = std::panic::Location::caller();
        async move {
            let patience = Instant::now() + SOON;
            loop {
                let now = self.holds().await;
                let settled = now.descriptors <= before.descriptors
                    && now.threads <= before.threads
                    && now.rss_kib <= before.rss_kib + memory;
                if settled {
                    return now;
                }
                assert!(Instant::now() < patience, "{caller}: before {before:?}, now {now:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// It lives, and nothing in it has panicked.
    #[track_caller]
    pub fn is_unharmed(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it has ended: {}", self.log());
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

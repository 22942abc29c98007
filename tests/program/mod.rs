//! The real program in a process of its own, for tests that speak to it over sockets.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// The key that the gateway knows; its configuration reads it from `KEY`.
pub const KEY: &str = "tk-0123456789abcdef";

/// Killed when dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it.
pub fn tollgate(arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    Process(command.args(arguments).env("KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// An address that nobody listens on. Not one that the system would give to the next socket that asks for any: another
/// test's would take it before the program does.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Linux gives out 32768 and above. Each test process begins elsewhere.
    let begin = std::process::id() % 100 * 100;
    loop {
        let port = 20_000 + u16::try_from((begin + u32::from(NEXT.fetch_add(1, Relaxed))) % 10_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// Waits until somebody listens there.
pub async fn listens(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {address}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

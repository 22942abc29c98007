//! Processes that a load test starts, and the folder in which they work.
//!
//! Invariant: they end, and the folder goes, with the value that stands for them. If this process is killed, they end with it
//! all the same, for their standard input does (`--end-with-stdin`); the folder is removed by the next test.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use super::cores;

/// A process, killed when it is dropped.
#[derive(Debug)]
pub struct Child {
    process: Process,
    name: String,
    log: PathBuf,
}

impl Child {
    /// Starts this very program with other arguments, on these cores, its output in a file of `place`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        name: &str,
        arguments: &[String],
        environment: &[(&str, &str)],
        cores: &[usize],
        place: &Workplace,
    ) -> Result<Self, String> {
        let told = |error: io::Error| format!("cannot start {name}: {error}");
        let log = place.path(&format!("{name}.log"));
        let output = File::create(&log).map_err(told)?;
        let errors = output.try_clone().map_err(told)?;
        let program = std::env::current_exe().map_err(told)?;
        let mut command = Command::new(program);
        command.args(arguments).arg("--end-with-stdin").envs(environment.iter().copied());
        // Held as long as the process is, and by nobody else.
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        // A child inherits where it may run. A thread of its own is bound, so that we are not.
        let process = std::thread::scope(|scope| {
            let starting = scope.spawn(|| {
                cores::pin(cores)?;
                command.spawn()
            });
            starting.join().unwrap_or_else(|_| Err(io::Error::other("a thread died")))
        });
        Ok(Self { process: process.map_err(told)?, name: name.to_owned(), log })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// It has ended, or does not listen in time; with the end of what it wrote.
    pub fn listens(&mut self, at: SocketAddr) -> Result<(), String> {
        const PATIENCE: Duration = Duration::from_secs(15);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(at).is_err() {
            self.lives()?;
            if Instant::now() > deadline {
                return Err(format!("{} does not listen on {at}: {}", self.name, self.last_words()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// It has ended; with the end of what it wrote.
    pub fn lives(&mut self) -> Result<(), String> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} ended ({status}): {}", self.name, self.last_words())),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    fn last_words(&self) -> String {
        const LINES: usize = 5;
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join(" | ")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const NAME: &str = "tollgate-loadtest-";

/// Removes what tests have left that were killed.
fn sweep(temporary: &Path) {
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let whose = name.to_str().and_then(|name| name.strip_prefix(NAME)?.parse::<u32>().ok());
        if whose.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder for configurations and logs, removed when it is dropped.
#[derive(Debug)]
pub struct Workplace {
    folder: PathBuf,
    keep: bool,
}

impl Workplace {
    /// `keep`: it is not removed.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(keep: bool) -> Result<Self, String> {
        let temporary = std::env::temp_dir();
        sweep(&temporary);
        let kept = if keep { "-kept" } else { "" };
        let folder = temporary.join(format!("{NAME}{}{kept}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { folder, keep })
    }

    /// Of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// An address on loopback that is free now.
///
/// # Errors
/// There is none.
pub fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no port is free: {error}"))?;
    listener.local_addr().map_err(|error| error.to_string())
}

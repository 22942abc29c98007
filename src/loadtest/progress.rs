//! How far it is: a bar on a terminal, a line now and then elsewhere.
//!
//! Invariant: only standard error, and on a terminal nothing is left of it.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// How far it is.
#[derive(Debug)]
pub struct Progress {
    all: Duration,
    done: Duration,
    began: Instant,
    terminal: bool,
    shown: String,
    quiet: bool,
}

impl Progress {
    /// Of work that takes about so long.
    #[must_use]
    pub fn new(all: Duration, quiet: bool) -> Self {
        Self {
            all,
            done: Duration::ZERO,
            began: Instant::now(),
            terminal: stderr().is_terminal(),
            shown: String::new(),
            quiet,
        }
    }

    /// What is done now.
    pub fn now(&mut self, what: &str) {
        if self.quiet {
            return;
        }
        // Elsewhere than on a terminal one line a profile is enough.
        let topic = what.split(':').next().unwrap_or_default();
        if !self.terminal {
            if topic != self.shown {
                topic.clone_into(&mut self.shown);
                let _ = writeln!(stderr(), "{topic} … {}", self.left());
            }
            return;
        }
        const WIDTH: usize = 24;
        let full = (self.part() * WIDTH as f64).round() as usize;
        let line = format!(
            "\r\x1b[K[{}{}] {:3.0} %  {what}  {}",
            "#".repeat(full.min(WIDTH)),
            ".".repeat(WIDTH.saturating_sub(full)),
            100.0 * self.part(),
            self.left()
        );
        let _ = stderr().write_all(line.as_bytes()).and_then(|()| stderr().flush());
    }

    /// So much is done.
    pub fn did(&mut self, work: Duration) {
        self.done += work;
    }

    /// Nothing more comes.
    pub fn end(&self) {
        if self.terminal && !self.quiet {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
    }

    fn part(&self) -> f64 {
        (self.done.as_secs_f64() / self.all.as_secs_f64().max(0.001)).min(1.0)
    }

    fn left(&self) -> String {
        // What was planned, corrected by how long the part that is done really took.
        let slower =
            if self.done.is_zero() { 1.0 } else { self.began.elapsed().as_secs_f64() / self.done.as_secs_f64() };
        let seconds = self.all.saturating_sub(self.done).as_secs_f64() * slower.clamp(1.0, 10.0);
        if seconds < 90.0 { format!("{seconds:.0} s left") } else { format!("{:.0} min left", seconds / 60.0) }
    }
}

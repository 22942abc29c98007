//! `--end-with-stdin`, hidden: for processes that another one starts and must not outlive.
//!
//! Whoever starts them holds the other end of their standard input, which the kernel closes when he ends, however he ends.
//!
//! Invariant: it ends at once, and without any goodbye: nobody is left who would want one.

use std::io::{self, Read};

use rustix::process::{Signal, getpid, kill_process};

/// See the module.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Leash {
    /// End when standard input ends
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

impl Leash {
    /// From now on, if it was asked for.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn hold(self) -> io::Result<()> {
        if self.end_with_stdin {
            std::thread::Builder::new().name("leash".to_owned()).spawn(watch)?;
        }
        Ok(())
    }
}

fn watch() {
    let mut byte = [0];
    let mut input = io::stdin().lock();
    // Whatever comes is nothing to us; an error is an end, too.
    while matches!(input.read(&mut byte), Ok(1..)) {}
    let _ = kill_process(getpid(), Signal::KILL);
}

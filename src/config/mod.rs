//! What the operator wrote: file and environment in, rules or a list of every error out.
//!
//! Invariant: either the whole file makes sense or nothing of it is used, and what is wrong is said with file, line and a
//! hint. The environment comes in as a function, so a test (and the first minute) can be its own.

pub mod compile;
pub mod problem;
pub mod schema;
pub mod shape;
pub mod startup;
pub mod units;
pub mod watch;

use std::path::{Path, PathBuf};

pub use compile::{Loaded, agent, ledger_of, load, load_text, name_fault};
pub use problem::{Problem, Problems};
pub use startup::Startup;

/// Looks an environment variable up.
pub type Env<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// The process's environment. A variable that is not Unicode counts as absent.
#[must_use]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where the configuration is: what the command line says, else `$TOLLGATE_CONFIG`, else the first that exists of
/// `./tollgate.toml` and `$XDG_CONFIG_HOME/tollgate/tollgate.toml` (`~/.config` where that is not set).
///
/// What was named is returned even if it is not there: loading it then says so.
#[must_use]
pub fn search(named: Option<&Path>, env: &Env<'_>) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.to_owned());
    }
    if let Some(path) = env("TOLLGATE_CONFIG").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let home = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.or_else(|| Some(Path::new(&env("HOME")?).join(".config")));
    let places = [Some(PathBuf::from("tollgate.toml")), home.map(|home| home.join("tollgate").join("tollgate.toml"))];
    places.into_iter().flatten().find(|path| path.exists())
}

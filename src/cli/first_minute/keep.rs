//! The first minute's one key, and the folder it is kept in.
//!
//! Invariant: the key is made once. It appears under its name complete and readable by its owner only, or not at all, and
//! what is found there is used or complained about, never replaced: an agent somewhere was told this key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::Env;
use crate::snapshot::key::{self, VirtualKey};

/// The key and where it is kept.
#[derive(Debug)]
pub struct Kept {
    /// The key.
    pub key: VirtualKey,
    /// Its file.
    pub file: PathBuf,
}

/// `$XDG_STATE_HOME/tollgate`, or `~/.local/state/tollgate` where that is not set or not absolute (XDG base directory
/// specification).
///
/// # Errors
///
/// A text for people, when there is no home either.
pub fn folder(env: &Env<'_>) -> Result<PathBuf, String> {
    let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local").join("state")));
    state.map(|state| state.join("tollgate")).ok_or_else(|| {
        "error: there is no place to keep a key: neither XDG_STATE_HOME nor HOME is set to an absolute path\n  \
         hint: set one of them, or write a tollgate.toml"
            .to_owned()
    })
}

/// The key that is kept in a folder, made now if there is none.
///
/// # Errors
///
/// A text for people: the folder cannot be made or read, or what is in it is not a key that only its owner can read.
pub fn key(folder: &Path) -> Result<Kept, String> {
    let file = folder.join("first-key");
    // Modes are given at creation: a later chmod would leave a moment in which others can look.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| {
        format!("error: {} cannot be made: {e}\n  hint: set XDG_STATE_HOME to a folder that you own", folder.display())
    })?;
    match read(&file)? {
        Some(key) => Ok(Kept { key, file }),
        None => make(&file),
    }
}

/// The key in the file; `None` if there is no file.
fn read(file: &Path) -> Result<Option<VirtualKey>, String> {
    let cannot = |e: std::io::Error| {
        format!(
            "error: {} cannot be read: {e}\n  hint: it holds the key of the first minute; make it yours",
            file.display()
        )
    };
    let open = match File::open(file) {
        Ok(open) => open,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(cannot(e)),
    };
    let mode = open.metadata().map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        let file = file.display();
        return Err(format!("error: others on this machine can reach the key in {file}\n  hint: chmod 600 {file}"));
    }
    // One byte more than a key and its line end: a longer file is damaged, however long it is.
    let mut text = Zeroizing::new(Vec::with_capacity(64));
    open.take(64).read_to_end(&mut text).map_err(cannot)?;
    let line = str::from_utf8(&text).ok().map(|text| text.strip_suffix('\n').unwrap_or(text));
    match line.and_then(VirtualKey::parse) {
        Some(key) => Ok(Some(key)),
        None => Err(format!(
            "error: {} is damaged: it does not hold a key of Tollgate's\n  \
             hint: put it back from a copy; or remove it to get a new key, and give that to the agents that had the old one",
            file.display()
        )),
    }
}

fn make(file: &Path) -> Result<Kept, String> {
    let cannot = |e: std::io::Error| {
        format!("error: {} cannot be written: {e}\n  hint: set XDG_STATE_HOME to a folder that you own", file.display())
    };
    let key = key::generate().map_err(|e| format!("error: no key can be made: {e}"))?;
    let draft = file.with_extension(std::process::id().to_string());
    // A draft under our own process number can only be what a dead process left.
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(cannot(e)),
        _ => {}
    }
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut out| {
        out.write_all(key.expose().as_bytes())?;
        out.write_all(b"\n")?;
        out.sync_all()?;
        // Unlike a rename, a link never replaces a key that somebody else made meanwhile.
        fs::hard_link(&draft, file)
    });
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => Ok(Kept { key, file: file.to_owned() }),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => match read(file)? {
            Some(key) => Ok(Kept { key, file: file.to_owned() }),
            None => Err(cannot(e)),
        },
        Err(e) => Err(cannot(e)),
    }
}

//! The configuration file, while a command changes it.
//!
//! Invariant: at every moment the file is the old one or the new one, complete, and the new one is one that `check` accepts.
//! Two commands at once do not lose each other's change: each holds a lock on the folder from its reading to its writing.
//! An editor takes no lock, so the file is compared once more right before it is replaced.
//!
//! The variables that secrets come from are the gateway's, not those of the shell that a key is made in: one that is not set
//! here is said, and is no reason to refuse.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::{self, Loaded, Problems};
use crate::telemetry::metrics::Metrics;

/// How long another command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A configuration file as it was read.
#[derive(Debug)]
pub struct ConfigFile {
    /// As it was named, for people.
    named: PathBuf,
    /// The file itself, should the name be a link.
    path: PathBuf,
    text: String,
    /// The folder, locked until this is dropped.
    lock: Option<File>,
}

impl ConfigFile {
    /// Reads a file that will be replaced.
    ///
    /// # Errors
    ///
    /// A text for people.
    pub fn open(named: &Path) -> Result<Self, String> {
        let path = fs::canonicalize(named).map_err(|e| unreadable(named, &e))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let lock = Some(lock(folder)?);
        // Read only now: whoever held the lock may have replaced it.
        Ok(Self { text: text(named, &path)?, named: named.to_owned(), path, lock })
    }

    /// Reads a file that stays as it is.
    ///
    /// # Errors
    ///
    /// A text for people.
    pub fn look(named: &Path) -> Result<Self, String> {
        Ok(Self { text: text(named, named)?, named: named.to_owned(), path: named.to_owned(), lock: None })
    }

    /// Its name.
    #[must_use]
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// Its content.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts a text in its place, if it is a good configuration with keys of these names. What is odd about the last of them
    /// is said if it is new.
    ///
    /// # Errors
    ///
    /// A text for people; then nothing has changed.
    pub fn replace(self, new: &str, names: &[&str]) -> Result<(), String> {
        debug_assert!(self.lock.is_some(), "opened for looking");
        let loaded = self.check(new)?;
        // The text was cut by its layout: here is seen what it means.
        if !loaded.prepared.0.keyring.iter().map(|key| &*key.name).eq(names.iter().copied()) {
            let named = self.named.display();
            return Err(format!(
                "{named} is laid out in a way that Tollgate cannot change
  hint: nothing was changed; do it by hand"
            ));
        }
        let last = format!("key[{}].", names.len().saturating_sub(1));
        for warning in
            loaded.warnings.iter().filter(|warning| new.starts_with(&self.text) && warning.path.starts_with(&last))
        {
            eprintln!("warning: {warning}");
        }
        let cannot = |what: &str, e: &std::io::Error| {
            format!(
                "{} cannot be {what}: {e}\n  hint: nothing was changed; see to it that its folder can be written to",
                self.named.display()
            )
        };
        let old = fs::metadata(&self.path).map_err(|e| cannot("read", &e))?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let draft = Draft(self.path.with_file_name(format!(".{name}.{}.new", std::process::id())));
        draft.write(new, &old).map_err(|e| cannot("written", &e))?;
        if text(&self.named, &self.path)? != self.text {
            let named = self.named.display();
            return Err(format!(
                "{named} was changed by somebody else meanwhile\n  hint: nothing was changed; try again"
            ));
        }
        fs::rename(&draft.0, &self.path).map_err(|e| cannot("replaced", &e))?;
        // Until the folder is on disk too, a power failure may bring the old file back: a key revoked in vain.
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| format!("{} is replaced, but its folder cannot be synced to disk: {e}", self.named.display()))
    }

    fn check(&self, new: &str) -> Result<Loaded, String> {
        let unset = RefCell::new(BTreeSet::new());
        let env = |name: &str| {
            config::process_env(name).or_else(|| {
                // What does not look like a variable may be a secret in the wrong place: `check` says so, without it.
                let usual = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
                usual.then(|| {
                    unset.borrow_mut().insert(name.to_owned());
                    format!("{name}-is-not-set-in-this-shell")
                })
            })
        };
        let load = |text: &str| config::load_text(&self.path, text, &env, &Metrics::default());
        let loaded = load(new).map_err(|problems| match load(&self.text) {
            Ok(_) => refused("what would come out does not pass `tollgate check`; nothing was changed", &problems),
            Err(before) => {
                refused("the configuration does not pass `tollgate check` as it is; nothing was changed", &before)
            }
        })?;
        for name in unset.into_inner() {
            eprintln!("note: {name} is not set in this shell; the gateway needs it");
        }
        Ok(loaded)
    }
}

fn refused(what: &str, problems: &Problems) -> String {
    format!("{what}:\n{problems}")
}

fn unreadable(named: &Path, e: &std::io::Error) -> String {
    format!("{} cannot be read: {e}\n  hint: name another with --config FILE", named.display())
}

fn text(named: &Path, path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| unreadable(named, &e))
}

/// Locks a folder; the lock ends with the process, however it ends, and leaves no file behind.
fn lock(folder: &Path) -> Result<File, String> {
    let cannot = |why: &dyn std::fmt::Display| format!("{} cannot be locked: {why}", folder.display());
    let open = File::open(folder).map_err(|e| cannot(&e))?;
    let begun = Instant::now();
    loop {
        match open.try_lock() {
            Ok(()) => return Ok(open),
            Err(TryLockError::Error(e)) => return Err(cannot(&e)),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= PATIENCE => {
                return Err(cannot(&"another command is changing a configuration there; try again"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A file beside the configuration, gone when this is dropped (by then it is the configuration, or nothing).
struct Draft(PathBuf);

impl Draft {
    /// Complete and on disk, with mode and, where we may, owner of the old one.
    fn write(&self, text: &str, old: &Metadata) -> std::io::Result<()> {
        // A draft under our own process number can only be what a dead process left.
        let _ = fs::remove_file(&self.0);
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.0)?;
        let made = out.metadata()?;
        if made.uid() != old.uid() && fchown(&out, Some(old.uid()), None).is_err() {
            eprintln!("note: the file will be owned by whoever ran this command: only root may give it back");
        }
        if made.gid() != old.gid() && fchown(&out, None, Some(old.gid())).is_err() {
            eprintln!("note: the file will not keep its group: only a member may give it");
        }
        // After the owner, whose change would clear some of it.
        out.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        out.write_all(text.as_bytes())?;
        out.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "version = 1\n[[provider]]\nname = \"p\"\nspeaks = [\"chat\"]\nbase_url = \"http://127.0.0.1:1\"\n[[model]]\nname = \"m\"\nprovider = \"p\"\n[[key]]\nname = \"a\"\nsha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n";

    #[test]
    fn what_an_editor_saved_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, RULES).unwrap();
        let file = ConfigFile::open(&path).unwrap();
        fs::write(&path, format!("# saved\n{RULES}")).unwrap();
        let error = file.replace(&format!("# ours\n{RULES}"), &["a"]).unwrap_err();
        assert!(error.contains("meanwhile") && error.contains("nothing was changed"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("# saved\n{RULES}"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn a_text_with_other_keys_than_meant_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, RULES).unwrap();
        let error = ConfigFile::open(&path).unwrap().replace(RULES, &["a", "b"]).unwrap_err();
        assert!(error.contains("by hand"), "{error}");
        let error = ConfigFile::open(&path).unwrap().replace("version = 2", &[]).unwrap_err();
        assert!(error.contains("what would come out") && error.contains("version 1, not 2"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), RULES);
    }

    #[test]
    fn the_folder_stays_locked_until_the_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, RULES).unwrap();
        let file = ConfigFile::open(&path).unwrap();
        let free = || File::open(folder.path()).unwrap().try_lock().is_ok();
        assert!(!free());
        assert!(ConfigFile::look(&path).is_ok(), "reading waits for nobody");
        file.replace(&format!("{RULES}# x\n"), &["a"]).unwrap();
        assert!(free());
    }
}

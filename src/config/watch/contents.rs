//! What files hold, as far as one must know to see that it changed.
//!
//! Invariant: equal contents are equal, whatever became of names, links, times and inodes. A file that cannot be read has
//! contents too, so its coming back is a change. Nothing of a secret stays in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::snapshot::keyring::Digest;

/// By file, the SHA-256 of what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<PathBuf, Option<Digest>>);

impl Contents {
    /// Reads the files.
    #[must_use]
    pub fn of(files: BTreeSet<PathBuf>) -> Self {
        let look = |file: PathBuf| {
            let digest = digest(&file);
            (file, digest)
        };
        Self(files.into_iter().map(look).collect())
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Forgets all other files. Whether all of these were known.
    pub(super) fn narrow(&mut self, files: &BTreeSet<PathBuf>) -> bool {
        self.0.retain(|file, _| files.contains(file));
        self.0.len() == files.len()
    }
}

/// `None` if the file cannot be read.
fn digest(file: &Path) -> Option<Digest> {
    // Asked before it is opened: opening a pipe would wait for a writer.
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut file = File::open(file).ok()?;
    let mut piece = Zeroizing::new([0; 16 * 1024]);
    let mut context = Context::new(&SHA256);
    loop {
        let n = file.read(&mut piece[..]).ok()?;
        if n == 0 {
            return context.finish().as_ref().try_into().ok();
        }
        context.update(&piece[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_files_hold_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let look = || Contents::of([file("a"), file("b")].into());
        std::fs::write(file("a"), "1").unwrap();
        let first = look();
        assert_eq!(first.0[&file("b")], None, "a missing file is known to be missing");

        std::fs::write(file("other"), "1").unwrap();
        std::fs::rename(file("other"), file("a")).unwrap();
        assert_eq!(look(), first, "another inode with the same content");

        std::fs::write(file("a"), "2").unwrap();
        assert_ne!(look(), first, "another content of the same length");
        std::fs::write(file("a"), "1").unwrap();
        std::fs::write(file("b"), "").unwrap();
        assert_ne!(look(), first, "an empty file is no missing file");
    }

    #[test]
    fn narrow_tells_whether_a_file_is_new() {
        let path = |name: &str| PathBuf::from("/nowhere").join(name);
        let both = || Contents::of([path("a"), path("b")].into());
        for (name, files, want) in [
            ("the same", vec!["a", "b"], true),
            ("fewer", vec!["a"], true),
            ("another", vec!["a", "c"], false),
            ("more", vec!["a", "b", "c"], false),
        ] {
            let files: BTreeSet<_> = files.into_iter().map(path).collect();
            let mut contents = both();
            assert_eq!(contents.narrow(&files), want, "{name}");
            assert!(contents.files().all(|file| files.contains(file)), "{name}");
        }
    }
}

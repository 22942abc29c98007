//! Hears from the file system that something happened near the watched files.
//!
//! It watches folders, not files: editors, deployments and Kubernetes (`..data` is a link that is renamed over) put another
//! file in a file's place, and a watch on the old one would never hear again. It only rouses; whether anything changed is
//! for those to find out who look. It may be deaf: then it says so, once, and the regular look remains.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tracing::warn;

/// Where to look, and what for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// With their inodes: a folder that was made anew needs a new watch.
    folders: BTreeSet<(PathBuf, u64)>,
    /// Of the files, without folders.
    names: BTreeSet<OsString>,
}

impl Places {
    /// The folders of files and of what they link to.
    pub fn of<'f>(files: impl Iterator<Item = &'f Path>) -> Self {
        let mut places = Self::default();
        for file in files {
            places.add(file);
            if let Ok(target) = file.canonicalize() {
                places.add(&target);
            }
        }
        places
    }

    fn add(&mut self, file: &Path) {
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        // One that is not there is looked for again before the next wait.
        if let Ok(metadata) = folder.metadata() {
            self.folders.insert((folder.to_owned(), metadata.ino()));
        }
        self.names.insert(name.to_owned());
    }

    /// A log in the same folder is written all the time, and reading the files is an event as well: neither rouses.
    fn concern(&self, event: &Event) -> bool {
        let ours = || event.paths.iter().filter_map(|path| path.file_name()).any(|name| self.names.contains(name));
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => ours(),
            EventKind::Access(_) => false,
            EventKind::Modify(ModifyKind::Name(_)) => true,
            EventKind::Modify(_) => ours(),
            EventKind::Any | EventKind::Create(_) | EventKind::Remove(_) | EventKind::Other => true,
        }
    }
}

/// The watch on the places.
#[derive(Debug, Default)]
pub struct Eyes {
    /// Which ones.
    pub places: Places,
    // Dropping it ends the watch.
    _watch: Option<RecommendedWatcher>,
}

impl Eyes {
    /// Begins to watch; rouses `changed` from here on.
    pub fn open(places: Places, changed: &Arc<Notify>) -> Self {
        let watch = watch(&places, changed);
        if let Err(why) = &watch {
            warn!(error = %why, "the file system will not tell of changes; they are looked for every 30 seconds");
        }
        Self { places, _watch: watch.ok() }
    }
}

fn watch(places: &Places, changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let (concern, changed) = (places.clone(), Arc::clone(changed));
    // An error means that events were lost: look.
    let mut watch = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.map_or(true, |event| concern.concern(&event)) {
            changed.notify_one();
        }
    })?;
    for (folder, _) in &places.folders {
        watch.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watch)
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RenameMode};

    use super::*;

    #[test]
    fn a_log_beside_the_file_and_our_own_reading_do_not_rouse() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::of([folder.path().join("t.toml").as_path()].into_iter());
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for (name, kind, file, want) in [
            ("written", data, "t.toml", true),
            ("written and closed", EventKind::Access(AccessKind::Close(AccessMode::Write)), "t.toml", true),
            ("read", EventKind::Access(AccessKind::Open(AccessMode::Any)), "t.toml", false),
            ("read to the end", EventKind::Access(AccessKind::Close(AccessMode::Read)), "t.toml", false),
            ("a log", data, "access.log", false),
            ("a link is swapped", EventKind::Modify(ModifyKind::Name(RenameMode::To)), "..data", true),
            ("a file appears", EventKind::Create(CreateKind::File), "other", true),
        ] {
            let event = Event::new(kind).add_path(folder.path().join(file));
            assert_eq!(places.concern(&event), want, "{name}");
        }
    }

    #[test]
    fn a_folder_that_was_made_anew_is_another_place() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let file = inner.join("t.toml");
        let look = || Places::of([file.as_path()].into_iter());
        let absent = look();
        assert!(absent.folders.is_empty());
        std::fs::create_dir(&inner).unwrap();
        let first = look();
        assert_ne!(first, absent);
        // The old inode stays taken, so that the new folder cannot have it.
        std::fs::rename(&inner, folder.path().join("old")).unwrap();
        std::fs::create_dir(&inner).unwrap();
        assert_ne!(look(), first);
    }
}

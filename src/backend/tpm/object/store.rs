//! The folder of key files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::keyfile::KeyFile;
use crate::backend::tss2::MAX_FILE;
use crate::primitives::random;

/// The folder of key files. What is in them is wrapped by the TPM: it says nothing without it.
#[derive(Debug)]
pub(in crate::backend::tpm) struct Store {
    folder: PathBuf,
}

/// Tells a file from one that was put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::tpm) struct Stamp {
    inode: u64,
    modified: (i64, i64),
}

/// Why a key file could not be read.
pub(in crate::backend::tpm) enum Unread {
    Missing,
    Wrong(String),
}

impl Store {
    /// Takes the folder; it is made when the first key is.
    pub(in crate::backend::tpm) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns the path of a file.
    pub(in crate::backend::tpm) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns whether there is such a file.
    pub(in crate::backend::tpm) fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// Returns what tells the file from another; `None` if there is none.
    pub(in crate::backend::tpm) fn stamp(&self, name: &str) -> Option<Stamp> {
        let metadata = fs::metadata(self.path(name)).ok()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Some(Stamp { inode: metadata.ino(), modified })
    }

    /// Reads a key file.
    pub(in crate::backend::tpm) fn read(&self, name: &str) -> Result<KeyFile, Unread> {
        let path = self.path(name);
        let wrong = |what: String| Unread::Wrong(format!("key file {}: {what}", path.display()));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let mut text = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut text).map_err(|error| wrong(error.to_string()))?;
        KeyFile::decode(&text).map_err(wrong)
    }

    /// Writes a new key file: whole, or not at all, and never over another.
    pub(in crate::backend::tpm) fn write(&self, name: &str, key: &KeyFile) -> Result<(), String> {
        let path = self.path(name);
        let wrong = |error: io::Error| format!("key file {}: {error}", path.display());
        let text = key.encode()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(wrong)?;
        let mut suffix = [0; 8];
        random::fill(&mut suffix);
        let beside = self.folder.join(format!(".{:016x}.tmp", u64::from_be_bytes(suffix)));
        let written = write_synced(&beside, text.as_bytes()).and_then(|()| {
            // Unlike a rename, this fails where the name is taken.
            fs::hard_link(&beside, &path)
        });
        let removed = fs::remove_file(&beside);
        written.and(removed).and_then(|()| sync(&self.folder)).map_err(wrong)
    }

    /// Removes a key file: the key is gone with it. Returns whether there was one.
    pub(in crate::backend::tpm) fn remove(&self, name: &str) -> Result<bool, String> {
        let path = self.path(name);
        match fs::remove_file(&path).and_then(|()| sync(&self.folder)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(format!("key file {}: {error}", path.display())),
        }
    }

    /// Returns the names of the key files, sorted.
    pub(in crate::backend::tpm) fn names(&self) -> Result<Vec<String>, String> {
        let wrong = |error: io::Error| format!("key files {}: {error}", self.folder.display());
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrong(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(wrong)?.file_name();
            names.extend(name.into_string().ok().filter(|name| {
                name.ends_with(".pem") && crate::backend::locator::is_file_name(name)
            }));
        }
        names.sort();
        Ok(names)
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// So that the name survives a crash too.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

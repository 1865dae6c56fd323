//! The keyring's file: read without a lock, written whole, beside and renamed, under one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Keyring, SCHEMA};
use crate::error::{Error, Result};
use crate::jose::json;

/// The largest keyring file that is read, in bytes: some ten thousand keys.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How long a writer waits for another: generating an RSA key in a slow device takes this order.
const LOCK_WAIT: Duration = Duration::from_secs(60);

const LOCK_POLL: Duration = Duration::from_millis(20);

/// Where a keyring is kept.
///
/// Beside `FILE` there are `FILE.lock` (taken by writers, never removed), `FILE.bak` (the last
/// copy), and, after a crash, perhaps `FILE.new`. A new file is world-readable (0644, less the
/// umask), as it holds public keys and places only; an existing one keeps its mode and its owner.
///
/// ```
/// use hsm_jose::keyring::KeyringFile;
///
/// let directory = tempfile::tempdir().unwrap();
/// let file = KeyringFile::new(&directory.path().join("keyring.json"));
/// assert!(file.read()?.keys().is_empty(), "one that was never written is empty");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyringFile {
    path: PathBuf,
}

/// The right to write the keyring, held from before the first look until dropped.
///
/// While it is held, nobody else writes: a pending version seen now is the trace of a crash.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// # use hsm_jose::keyring::KeyringFile;
/// # use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
/// # let directory = tempfile::tempdir().unwrap();
/// # let file = KeyringFile::new(&directory.path().join("keyring.json"));
/// # let keystore = MemoryKeystore::new("test");
/// # let key = KeyRequest {
/// #     name: "issuer-sig".into(),
/// #     algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::Es256)],
/// #     kid: None,
/// #     profile: hsm_jose::policy::Profile::Strict,
/// # };
/// # let request = GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
/// # let entered = generate(&file, &keystore, &request)?;
///
/// let writer = file.lock()?;
/// assert_eq!(writer.keyring().keys().len(), 1);
/// // While the lock is held, another writer waits, and gives up.
/// assert!(file.lock_within(std::time::Duration::from_millis(1)).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct KeyringWriter {
    path: PathBuf,
    keyring: Keyring,
    /// Unlocked by the system when it is closed, however the process ends.
    _lock: File,
}

impl Keyring {
    /// Checks the text of a keyring as if it were read from `path`.
    ///
    /// # Errors
    /// [`Error::Config`] if it is not a keyring, or is of a newer schema.
    pub fn parse(path: &Path, json: &[u8]) -> Result<Self> {
        parse(path, json)
    }
}

impl KeyringFile {
    /// Names the file. Nothing is read yet; a symbolic link is followed, so that the file behind
    /// it is the one that is replaced.
    pub fn new(path: &Path) -> Self {
        Self { path: fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()) }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the keyring as it is now. A file that was never written is an empty keyring.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Config`] if it is not a keyring, is of a newer
    /// schema, or is gone while its last copy is there.
    pub fn read(&self) -> Result<Keyring> {
        read(&self.path)?.map_or_else(|| Ok(Keyring::default()), |bytes| parse(&self.path, &bytes))
    }

    /// Takes the writers' lock, waiting up to a minute for it, and reads the keyring.
    ///
    /// # Errors
    /// [`Error::Io`] if the lock is not to be had; else as [`KeyringFile::read`].
    pub fn lock(&self) -> Result<KeyringWriter> {
        self.lock_within(LOCK_WAIT)
    }

    /// As [`KeyringFile::lock`], with another bound on the wait.
    ///
    /// # Errors
    /// As [`KeyringFile::lock`].
    pub fn lock_within(&self, wait: Duration) -> Result<KeyringWriter> {
        let path = beside(&self.path, "lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(|error| io("open the lock", &path, &error))?;
        // A lock that root made is of no use to whoever owns the keyring. Best effort: nobody else
        // can make it theirs, and the lock can be taken all the same.
        keep_owner(&self.path, &lock).unwrap_or_default();
        let deadline = Instant::now() + wait;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Io(format!(
                        "another process has held the keyring's lock {} for {} seconds; \
                         see who it is with: fuser {}",
                        path.display(),
                        wait.as_secs(),
                        path.display()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(io("take the lock", &path, &error)),
            }
        }
        Ok(KeyringWriter { path: self.path.clone(), keyring: self.read()?, _lock: lock })
    }
}

impl KeyringWriter {
    /// Returns the keyring, as it was read or last saved.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Changes the keyring and writes it: all of the change, or nothing of it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the changed keyring would not be a good one (a kid that is taken, say);
    /// [`Error::Config`] if the file was changed by somebody who does not take the lock;
    /// [`Error::Io`] if it cannot be written.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Keyring) -> T) -> Result<T> {
        let mut changed = self.keyring.clone();
        let result = change(&mut changed);
        changed.check().map_err(Error::Usage)?;
        changed.generation += 1;
        self.replace(&changed)?;
        self.keyring = changed;
        Ok(result)
    }

    fn replace(&self, keyring: &Keyring) -> Result<()> {
        let present = read(&self.path)?;
        let generation = match &present {
            Some(bytes) => parse(&self.path, bytes)?.generation,
            None => 0,
        };
        if generation != self.keyring.generation {
            return Err(Error::Config(format!(
                "keyring {} went from generation {} to {generation} under our lock: \
                 something writes it without taking the lock; nothing was written",
                self.path.display(),
                self.keyring.generation
            )));
        }
        let mut text = serde_json::to_vec_pretty(keyring)
            .map_err(|error| Error::Io(format!("the keyring does not serialize: {error}")))?;
        text.push(b'\n');
        if let Some(present) = present {
            write_beside(&self.path, &beside(&self.path, "bak"), &present)?;
        }
        write_beside(&self.path, &self.path, &text)
    }
}

/// Writes `target` whole: beside it, synced, renamed, and the directory synced.
fn write_beside(original: &Path, target: &Path, bytes: &[u8]) -> Result<()> {
    let new = beside(target, "new");
    // A crash may have left one; under the lock it is nobody's.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(io("remove", &new, &error));
        }
        _ => {}
    }
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
        keep_owner(original, &file)?;
        if let Ok(metadata) = fs::metadata(original) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, target)?;
        File::open(directory(target))?.sync_all()
    };
    write().map_err(|error| {
        // Nobody is to take it for the keyring; the first error says more than a second.
        let _ = fs::remove_file(&new);
        io("write", target, &error)
    })
}

/// Gives a new file the owner and group of `original`, if that is there and they differ.
fn keep_owner(original: &Path, new: &File) -> std::io::Result<()> {
    let Ok(original) = fs::metadata(original) else { return Ok(()) };
    let (uid, gid) = (original.uid(), original.gid());
    let new_metadata = new.metadata()?;
    if (new_metadata.uid(), new_metadata.gid()) == (uid, gid) {
        return Ok(());
    }
    fchown(new, Some(uid), Some(gid)).map_err(|error| {
        let what = format!(
            "the keyring belongs to uid {uid} and gid {gid}, which a file written now could not \
             keep ({error}): run the command as that user, or as root"
        );
        std::io::Error::new(error.kind(), what)
    })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let copy = beside(path, "bak");
            if copy.exists() {
                return Err(Error::Config(format!(
                    "keyring {} is gone, its last copy is there: to go on from it, copy {} to {}",
                    path.display(),
                    copy.display(),
                    path.display()
                )));
            }
            return Ok(None);
        }
        Err(error) => return Err(io("read", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| io("read", path, &error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::Config(format!("keyring {} is over {MAX_FILE} bytes", path.display())));
    }
    Ok(Some(bytes))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Keyring> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u64,
    }

    let unfit = |what: &str| Error::Config(format!("keyring {}: {what}", path.display()));
    // serde_json quotes unknown names as they are.
    let wrong = |what: String| unfit(&json::told(&what));
    // Duplicate members first: a typed parse would name them only in typed objects.
    json::parse_own_object(bytes).map_err(|error| {
        let copy = beside(path, "bak");
        let advice = match copy.is_file() {
            true => format!("; {} is the copy before the last change", copy.display()),
            false => String::new(),
        };
        unfit(&format!("{error}{advice}"))
    })?;
    let mistyped = |error: serde_json::Error| wrong(error.to_string());
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(mistyped)?;
    if versioned.schema != SCHEMA {
        return Err(wrong(format!(
            "schema {}, this build knows {SCHEMA}: use the version that wrote it; \
             nothing was changed",
            versioned.schema
        )));
    }
    let keyring: Keyring = serde_json::from_slice(bytes).map_err(mistyped)?;
    keyring.check().map_err(wrong)?;
    Ok(keyring)
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
    let message = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        // For the operator to put right, not for us to wonder at.
        ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            Error::Config(format!("{message}; its place is [keyring] file of the configuration"))
        }
        _ => Error::Io(message),
    }
}

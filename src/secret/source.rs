//! Where a PIN comes from: a configuration says where to find it and never holds it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Pin, descriptor};

/// The longest PIN taken, in bytes.
const MAX_PIN_LEN: u64 = 4096;

/// Where the PIN of a token is to be had, when it is needed: exactly one of these in a
/// configuration, as in `pin = { file = "pin" }`.
///
/// The PIN is opaque text: colons, spaces and non-ASCII characters are kept. Of a file, descriptor
/// or credential, one newline at the end is not part of it.
///
/// ```
/// use hsm_jose::secret::PinSource;
///
/// // A PIN pad has the PIN; there is none for us to read.
/// assert!(PinSource::Protected.read("issuer")?.is_none());
/// assert!(PinSource::File("no/such/file".into()).read("issuer").is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinSource {
    /// `{ file = "path" }`: a regular file of this user or root that only its owner can read (mode
    /// 0600 or 0400).
    File(PathBuf),
    /// `{ fd = 3 }`: a file descriptor that was open when the process started. It is read to its end
    /// at the first login and not closed. A second login, after the device was away, finds it at
    /// its end and fails: a service that is to reconnect by itself needs another source.
    Fd(u32),
    /// `{ env = "NAME" }`: an environment variable, which every process of the user can read:
    /// for tests.
    Env(String),
    /// `{ credential = "name" }`: a file of `$CREDENTIALS_DIRECTORY`, as systemd passes it.
    Credential(String),
    /// `{ prompt = true }`: asked on the terminal, without echo.
    Prompt,
    /// `{ protected = true }`: entered on the device itself (its PIN pad).
    Protected,
    /// `{ none = true }`: no login is made.
    None,
}

impl PinSource {
    /// Reads the PIN; `what` names the keystore, for a prompt. `None` where the PIN is not ours to
    /// have ([`PinSource::Protected`], [`PinSource::None`]).
    ///
    /// # Errors
    /// Words for an operator: what was tried, what is wrong and what would be right; never any
    /// part of the PIN.
    pub fn read(&self, what: &str) -> Result<Option<Pin>, String> {
        let text = match self {
            Self::File(path) => read_file(path)?,
            Self::Fd(fd) => read_descriptor(*fd)?,
            Self::Env(name) => match std::env::var(name) {
                Ok(text) => Zeroizing::new(text),
                Err(std::env::VarError::NotPresent) => {
                    return Err(format!("the environment variable {name} is not set"));
                }
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(format!("the environment variable {name} is not UTF-8"));
                }
            },
            Self::Credential(name) => read_credential(name)?,
            Self::Prompt => prompt(what)?,
            Self::Protected | Self::None => return Ok(None),
        };
        if text.is_empty() {
            return Err(format!("{self} is empty"));
        }
        Ok(Some(Pin::new(text.as_str().to_owned())))
    }

    /// Makes a relative file path relative to `base`: the directory of the configuration file.
    #[must_use]
    pub fn rebased(self, base: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(base.join(path)),
            other => other,
        }
    }
}

impl std::fmt::Display for PinSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "the PIN file {}", path.display()),
            Self::Fd(fd) => write!(f, "the PIN on file descriptor {fd}"),
            Self::Env(name) => write!(f, "the PIN in the environment variable {name}"),
            Self::Credential(name) => write!(f, "the PIN in the credential {name}"),
            Self::Prompt => f.write_str("the PIN that was entered"),
            Self::Protected => f.write_str("the PIN entered on the device"),
            Self::None => f.write_str("no PIN"),
        }
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let what = format!("the PIN file {}", path.display());
    let (file, metadata) = open_regular(path, &what)?;
    let shown = path.display();
    // Root may act for the user of a service, with that user's file.
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != 0 && own != 0 && owner != own {
        return Err(format!(
            "{what} belongs to another user (uid {owner}), who could read and replace it: chown \
             it to the user that runs this"
        ));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!(
            "{what} is open to group or others (mode {:04o}): chmod 600 {shown}",
            metadata.mode() & 0o7777
        ));
    }
    read_text(file, &what)
}

fn read_credential(name: &str) -> Result<Zeroizing<String>, String> {
    if name.is_empty() || name == ".." || name == "." || name.contains('/') {
        return Err(format!("{name:?} is not the name of a credential"));
    }
    let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Err(format!(
            "the credential {name}: $CREDENTIALS_DIRECTORY is not set (systemd sets it for a \
             service with LoadCredential= or LoadCredentialEncrypted=)"
        ));
    };
    let what = format!("the credential {name} in {}", Path::new(&directory).display());
    let (file, _) = open_regular(&Path::new(&directory).join(name), &what)?;
    read_text(file, &what)
}

fn read_descriptor(fd: u32) -> Result<Zeroizing<String>, String> {
    let what = format!("the PIN on file descriptor {fd}");
    let file = descriptor::duplicate(fd).map_err(|error| format!("{what}: {error}"))?;
    let text = read_text(file, &what)?;
    if text.is_empty() {
        return Err(format!(
            "{what}: the descriptor is at its end; a PIN is read from it once, for the first login"
        ));
    }
    Ok(text)
}

/// Opens a regular file, and looks at it through the open file, so that what was checked is what is
/// read. Does not wait for a writer, where it is a pipe.
fn open_regular(path: &Path, what: &str) -> Result<(File, Metadata), String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| format!("{what}: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("{what}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{what} is not a regular file"));
    }
    Ok((file, metadata))
}

/// Reads it whole, without the one newline at its end.
fn read_text(file: File, what: &str) -> Result<Zeroizing<String>, String> {
    // Read into a buffer that never grows: a grown one leaves a copy behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_PIN_LEN as usize + 2]);
    let mut len = 0;
    let mut reader = file.take(bytes.len() as u64);
    loop {
        match reader.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("{what}: {error}")),
        }
    }
    let mut content = &bytes[..len];
    content = content.strip_suffix(b"\n").unwrap_or(content);
    if content.len() as u64 > MAX_PIN_LEN {
        return Err(format!("{what} has more than {MAX_PIN_LEN} bytes"));
    }
    match std::str::from_utf8(content) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(format!("{what} is not UTF-8 text")),
    }
}

#[cfg(feature = "cli")]
fn prompt(what: &str) -> Result<Zeroizing<String>, String> {
    rpassword::prompt_password(format!("PIN for {what}: "))
        .map(Zeroizing::new)
        .map_err(|error| format!("the PIN could not be asked for on the terminal: {error}"))
}

#[cfg(not(feature = "cli"))]
fn prompt(_what: &str) -> Result<Zeroizing<String>, String> {
    Err("this build cannot ask for a PIN on the terminal (feature `cli` is off)".to_owned())
}

//! What comes in: files and stdin, never more than a bound.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::jose::header::MAX_HEADER_LEN;
use crate::jose::json;
use crate::jose::serialization::MAX_TOKEN_LEN;

/// The largest key or JWK Set file, in bytes.
pub(crate) const MAX_KEYS: usize = 1024 * 1024;

/// The largest content that is signed or encrypted, in bytes: three quarters of a token, less its
/// other parts.
pub(crate) const MAX_CONTENT: usize = MAX_TOKEN_LEN / 4 * 3 - 64 * 1024;

/// The first buffer for what tells no length, or a large one; most tokens fit.
const FIRST_READ: usize = 64 * 1024;

/// By how much the buffer grows at once: what is not read into is cleared with it all the same.
const MAX_GROWTH: usize = 4 * 1024 * 1024;

/// Reads a file, or stdin where `path` is `-` or not given; at most `max` bytes.
///
/// The buffer is zeroized, and so is each smaller one that it replaces while the input goes on.
pub(crate) fn read(path: Option<&Path>, max: usize) -> Result<Zeroizing<Vec<u8>>> {
    read_or(path, max, Error::Usage)
}

/// As [`read`], with `too_long` making the error of an input over `max`.
fn read_or(
    path: Option<&Path>,
    max: usize,
    too_long: fn(String) -> Error,
) -> Result<Zeroizing<Vec<u8>>> {
    match path.filter(|path| *path != Path::new("-")) {
        None => {
            let stdin = std::io::stdin().lock();
            if stdin.is_terminal() {
                eprintln!("reading from the terminal, end with Ctrl-D");
            }
            read_bounded(stdin, "stdin", max, max, too_long)
        }
        Some(path) => {
            let (file, shown) = open(path)?;
            let length = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
            let expected = usize::try_from(length).unwrap_or(max).min(max);
            // Of a pipe or a device the length is 0 and says nothing.
            let expected = if expected == 0 { max } else { expected };
            read_bounded(file, &shown, expected, max, too_long)
        }
    }
}

/// Returns a remark if others than the owner can read the file, which holds a secret.
pub(crate) fn remark_on_access(path: &Path) -> Option<String> {
    others_mode(path).map(|mode| {
        format!(
            "others can read {} (mode {mode:04o}), which holds a private key: \
             chmod 600 it, and remove it once it is no longer needed",
            path.display()
        )
    })
}

/// Returns the mode of a file that is open to others than its owner.
pub(crate) fn others_mode(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

/// What stands around a token in a file: the white space of JSON (RFC 8259 section 2).
const WHITE_SPACE: &[u8] = b" \t\r\n";

/// Reads a token; white space around it is not part of it.
pub(crate) fn read_token(path: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    // With room for a line end. A token that is too long is refused as such, whoever finds it.
    let mut token = read_or(path, MAX_TOKEN_LEN + 2, Error::Malformed)?;
    // Where it is: a token can be long, and a copy is as long again.
    let is_part = |byte: &u8| !WHITE_SPACE.contains(byte);
    let end = token.iter().rposition(is_part).map_or(0, |last| last + 1);
    token.truncate(end);
    let before = token.iter().position(is_part).unwrap_or(0);
    token.drain(..before);
    Ok(token)
}

/// Reads what is to be signed or encrypted: what still fits a token that is taken.
pub(crate) fn read_content(path: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    read(path, MAX_CONTENT)
}

/// Opens what is to be read once, whatever its length: a file, or stdin where `path` is `-` or not
/// given.
pub(crate) fn open_content(path: Option<&Path>) -> Result<Box<dyn Read>> {
    match path.filter(|path| *path != Path::new("-")) {
        None => Ok(Box::new(std::io::stdin())),
        Some(path) => Ok(Box::new(open(path)?.0)),
    }
}

/// Whether `path` is a file that is longer than what [`read_content`] takes.
pub(crate) fn is_large(path: &Path) -> bool {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
    metadata.is_some_and(|metadata| metadata.len() > MAX_CONTENT as u64)
}

/// Reads a file with the members of a header.
pub(crate) fn read_members(path: &Path) -> Result<Map<String, Value>> {
    let text = read(Some(path), MAX_HEADER_LEN)?;
    json::parse_object(&text).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
}

fn open(path: &Path) -> Result<(File, String)> {
    let shown = path.display().to_string();
    let file = File::open(path);
    file.map(|file| (file, shown.clone()))
        .map_err(|error| Error::Usage(format!("cannot read {shown}: {error}")))
}

fn read_bounded(
    mut source: impl Read,
    shown: &str,
    expected: usize,
    max: usize,
    too_long: fn(String) -> Error,
) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; expected.min(FIRST_READ) + 1]);
    let mut length = 0;
    loop {
        if length > expected {
            return Err(too_long(format!(
                "{shown} has more than {} bytes{}",
                expected,
                if expected < max { ": it grew while it was read" } else { ", the most taken" }
            )));
        }
        if length == bytes.len() {
            let larger = length + length.min(MAX_GROWTH);
            let mut larger = Zeroizing::new(vec![0; larger.min(expected + 1)]);
            larger[..length].copy_from_slice(&bytes);
            bytes = larger;
        }
        match source.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Usage(format!("cannot read {shown}: {error}"))),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

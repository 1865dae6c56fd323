//! Reading what is too long to be held.

use std::io::{ErrorKind, Read, Result};

/// How much of a message that is read is held at a time, in bytes.
pub(crate) const PART: usize = 64 * 1024;

/// Fills a buffer, less only at the end; returns how much was read.
pub(crate) fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match source.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

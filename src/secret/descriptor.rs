//! A file descriptor that the process was started with: the one other place with `unsafe`.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::fd::{BorrowedFd, RawFd};

/// Returns a descriptor of our own for what `fd` stands for.
///
/// The descriptor itself is duplicated: `/dev/fd` would open the file anew, which a process that
/// has given up its privileges may not, and which starts a file at its beginning for whoever reads
/// it next.
///
/// # Errors
/// No such descriptor is open.
pub(super) fn duplicate(fd: u32) -> Result<File, Error> {
    let fd = RawFd::try_from(fd).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    // SAFETY: `fd` is not -1: it comes of a u32. It is looked at for the one call that duplicates
    // it, and neither read, written nor closed by its number; where nothing is open under it, that
    // call answers EBADF. The configuration names it as ours to read from.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map(File::from)
}

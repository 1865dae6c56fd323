//! Random bytes from the operating system.

/// Fills `bytes` from the operating system's generator.
pub fn fill(_bytes: &mut [u8]) {
    todo!()
}

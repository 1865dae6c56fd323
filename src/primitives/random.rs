//! Random bytes.

/// Fills `bytes` from the generator of aws-lc: a CTR-DRBG (SP 800-90A) that is seeded from the
/// operating system, and seeded again after a fork and after a snapshot that the kernel tells of.
pub fn fill(bytes: &mut [u8]) {
    let filled = aws_lc_rs::rand::fill(bytes);
    assert!(filled.is_ok(), "no random bytes"); // invariant: aws-lc aborts rather than fail
}

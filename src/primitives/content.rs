//! Content encryption: AES-GCM and AES-CBC with HMAC (RFC 7518 section 5).

use crate::jose::alg::ContentEncryption;
use crate::secret::Plaintext;

/// What content encryption gives: IV, ciphertext and tag, with the lengths of the `enc`.
#[derive(Debug)]
pub struct Sealed {
    /// The initialization vector.
    pub iv: Vec<u8>,
    /// The ciphertext; for GCM as long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// The authentication tag.
    pub tag: Vec<u8>,
}

/// Encrypts under a fresh random IV. `key` has [`ContentEncryption::key_len`] bytes and is never
/// used for another message: its caller consumes it.
pub(crate) fn encrypt(
    _enc: ContentEncryption,
    _key: &[u8],
    _aad: &[u8],
    _plaintext: &[u8],
) -> Sealed {
    todo!()
}

/// Decrypts and authenticates; `None` when the tag does not match, or a length is not that of `enc`.
pub(crate) fn decrypt(
    _enc: ContentEncryption,
    _key: &[u8],
    _iv: &[u8],
    _aad: &[u8],
    _ciphertext: &[u8],
    _tag: &[u8],
) -> Option<Plaintext> {
    todo!()
}

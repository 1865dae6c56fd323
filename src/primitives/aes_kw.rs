//! AES key wrap (RFC 3394), for `ECDH-ES+A*KW`.

use zeroize::Zeroizing;

use crate::jose::alg::AesKeyWrap;

/// Wraps `key` (a multiple of 8 bytes, at least 16) under `kek` ([`AesKeyWrap::key_len`] bytes);
/// the result is 8 bytes longer.
pub fn wrap(_wrap: AesKeyWrap, _kek: &[u8], _key: &[u8]) -> Vec<u8> {
    todo!()
}

/// Unwraps; `None` when the integrity check fails or the length is not one of a wrapped key.
pub fn unwrap(_wrap: AesKeyWrap, _kek: &[u8], _wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    todo!()
}

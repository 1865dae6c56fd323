//! What follows every ECDH agreement, wherever it ran: the key derivation and the key wrap.

use subtle::ConstantTimeEq;

use super::{BackendError, HostCek};
use crate::jose::alg::{AesKeyWrap, ContentEncryption};
use crate::primitives::{aes_kw, concat_kdf};
use crate::secret::SharedSecret;

/// Makes the CEK of Z: derived (`wrapped` is `None`), or unwrapped under the derived key (RFC 7518
/// section 4.6). Z is as long as the field of the curve, leading zeros kept.
///
/// # Errors
/// [`BackendError::Rejected`] if Z is all zero (RFC 7748 section 6.1; no honest agreement gives it
/// on any curve), the wrapped key does not unwrap, or the CEK has not the length of `enc`.
pub(crate) fn cek_from_z(
    z: SharedSecret,
    other_info: &[u8],
    wrapped: Option<(AesKeyWrap, &[u8])>,
    enc: ContentEncryption,
) -> Result<HostCek, BackendError> {
    let bits = z.expose().iter().fold(0u8, |bits, byte| bits | byte);
    let is_zero = bits.ct_eq(&0);
    let bytes = match wrapped {
        None => Some(concat_kdf::derive(&z, other_info, enc.key_len())),
        Some((wrap, wrapped)) => {
            let kek = concat_kdf::derive(&z, other_info, wrap.key_len());
            aes_kw::unwrap(wrap, &kek, wrapped)
        }
    };
    let cek = bytes.and_then(|bytes| HostCek::new(enc, bytes));
    cek.filter(|_| !bool::from(is_zero)).ok_or(BackendError::Rejected)
}

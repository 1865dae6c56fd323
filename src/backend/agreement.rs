//! What follows every ECDH agreement, wherever it ran: the key derivation and the key wrap.

use super::{BackendError, HostCek};
use crate::jose::alg::{AesKeyWrap, ContentEncryption};
use crate::primitives::{aes_kw, concat_kdf};
use crate::secret::SharedSecret;

/// Makes the CEK of Z: derived (`wrapped` is `None`), or unwrapped under the derived key (RFC 7518
/// section 4.6). Z is as long as the field of the curve, leading zeros kept.
///
/// An all-zero Z of X25519, which RFC 7748 section 6.1 has refused, comes of a point of low order
/// and of nothing else: `primitives::ecdh::check_point` has refused that before. On a P curve it is
/// a good Z.
///
/// # Errors
/// [`BackendError::Rejected`] if the wrapped key does not unwrap, or the CEK has not the length of
/// `enc`.
pub(crate) fn cek_from_z(
    z: SharedSecret,
    other_info: &[u8],
    wrapped: Option<(AesKeyWrap, &[u8])>,
    enc: ContentEncryption,
) -> Result<HostCek, BackendError> {
    let bytes = match wrapped {
        None => Some(concat_kdf::derive(&z, other_info, enc.key_len())),
        Some((wrap, wrapped)) => {
            let kek = concat_kdf::derive(&z, other_info, wrap.key_len());
            // One block more than a CEK is as wrong as a megabyte, and costs less.
            let longest = enc.key_len() + aes_kw::OVERHEAD + 8;
            aes_kw::unwrap(wrap, kek.expose(), &wrapped[..wrapped.len().min(longest)])
        }
    };
    bytes.and_then(|bytes| HostCek::new(enc, bytes)).ok_or(BackendError::Rejected)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::backend::Cek;

    fn z(byte: u8) -> SharedSecret {
        SharedSecret::new(Zeroizing::new(vec![byte; 32]))
    }

    #[test]
    fn a_wrapped_cek_is_the_one_that_was_wrapped() {
        let (enc, wrap) = (ContentEncryption::A128CbcHs256, AesKeyWrap::A192Kw);
        let kek = concat_kdf::derive(&z(7), b"info", wrap.key_len());
        let sent = HostCek::random(enc);
        let wrapped = aes_kw::wrap(wrap, kek.expose(), sent.expose_to_wrap());
        let got = cek_from_z(z(7), b"info", Some((wrap, &wrapped)), enc).unwrap();
        let sealed = sent.encrypt(b"aad", b"message");
        let opened = got.decrypt(&sealed.iv, b"aad", &sealed.ciphertext, &sealed.tag).unwrap();
        assert_eq!(opened.as_bytes(), b"message");
    }

    #[test]
    fn every_fault_is_the_same_rejection() {
        let (enc, wrap) = (ContentEncryption::A128Gcm, AesKeyWrap::A128Kw);
        let kek = concat_kdf::derive(&z(7), b"info", wrap.key_len());
        let too_long = aes_kw::wrap(wrap, kek.expose(), &[1; 32]);
        let good = aes_kw::wrap(wrap, kek.expose(), &[1; 16]);
        let faults = [
            cek_from_z(z(7), b"info", Some((wrap, &too_long)), enc),
            cek_from_z(z(7), b"other", Some((wrap, &good)), enc),
            cek_from_z(z(7), b"info", Some((wrap, &good[1..])), enc),
            cek_from_z(z(7), b"info", Some((wrap, b"")), enc),
        ];
        for fault in faults {
            assert!(matches!(fault, Err(BackendError::Rejected)));
        }
        assert!(cek_from_z(z(7), b"info", Some((wrap, &good)), enc).is_ok());
        assert!(cek_from_z(z(7), b"info", None, enc).is_ok());
    }
}

//! AES key wrap (RFC 3394), for `ECDH-ES+A*KW`.

use aes_kw::{AesKw, KeyInit, KwAes128, KwAes192, KwAes256};
use zeroize::Zeroizing;

use crate::jose::alg::AesKeyWrap;
use crate::secret::KeyBytes;

/// How much longer a wrapped key is than the key, in bytes.
pub const OVERHEAD: usize = aes_kw::IV_LEN;

/// Wraps `key` (a multiple of 8 bytes, at least 16) under `kek` ([`AesKeyWrap::key_len`] bytes);
/// the result is [`OVERHEAD`] bytes longer (RFC 3394 section 2.2.1).
///
/// # Panics
/// If `kek` or `key` has another length: both are made by the caller, never taken from a token.
pub fn wrap(wrap: AesKeyWrap, kek: &[u8], key: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![0; key.len() + OVERHEAD];
    let is_wrapped = is_key_len(key.len())
        && match wrap {
            AesKeyWrap::A128Kw => wrap_under::<KwAes128>(kek, key, &mut wrapped),
            AesKeyWrap::A192Kw => wrap_under::<KwAes192>(kek, key, &mut wrapped),
            AesKeyWrap::A256Kw => wrap_under::<KwAes256>(kek, key, &mut wrapped),
        };
    assert!(is_wrapped, "lengths for {wrap:?}"); // invariant: the lengths are the caller's own
    wrapped
}

/// Unwraps (RFC 3394 section 2.2.2); `None` when the integrity check fails, when the length is not
/// one of a wrapped key, or when `kek` does not have [`AesKeyWrap::key_len`] bytes.
#[must_use]
pub fn unwrap(wrap: AesKeyWrap, kek: &[u8], wrapped: &[u8]) -> Option<KeyBytes> {
    let key_len = wrapped.len().checked_sub(OVERHEAD).filter(|len| is_key_len(*len))?;
    let mut key = Zeroizing::new(vec![0; key_len]);
    let is_authentic = match wrap {
        AesKeyWrap::A128Kw => unwrap_under::<KwAes128>(kek, wrapped, &mut key),
        AesKeyWrap::A192Kw => unwrap_under::<KwAes192>(kek, wrapped, &mut key),
        AesKeyWrap::A256Kw => unwrap_under::<KwAes256>(kek, wrapped, &mut key),
    };
    is_authentic.then(|| key.into())
}

/// RFC 3394 wraps two or more blocks of 8 bytes.
fn is_key_len(len: usize) -> bool {
    len >= 16 && len.is_multiple_of(8)
}

/// What the key wrap of each AES key length has in common.
trait KeyWrap: KeyInit {
    fn wrap_into(&self, key: &[u8], wrapped: &mut [u8]) -> bool;
    fn unwrap_into(&self, wrapped: &[u8], key: &mut [u8]) -> bool;
}

impl<C> KeyWrap for AesKw<C>
where
    Self: KeyInit,
    C: aes_kw::cipher::BlockCipherEncrypt<BlockSize = aes_kw::cipher::consts::U16>
        + aes_kw::cipher::BlockCipherDecrypt,
{
    fn wrap_into(&self, key: &[u8], wrapped: &mut [u8]) -> bool {
        self.wrap_key(key, wrapped).is_ok()
    }

    fn unwrap_into(&self, wrapped: &[u8], key: &mut [u8]) -> bool {
        self.unwrap_key(wrapped, key).is_ok()
    }
}

fn wrap_under<W: KeyWrap>(kek: &[u8], key: &[u8], wrapped: &mut [u8]) -> bool {
    W::new_from_slice(kek).is_ok_and(|kek| kek.wrap_into(key, wrapped))
}

fn unwrap_under<W: KeyWrap>(kek: &[u8], wrapped: &[u8], key: &mut [u8]) -> bool {
    W::new_from_slice(kek).is_ok_and(|kek| kek.unwrap_into(wrapped, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEK: [u8; 32] = {
        let mut kek = [0; 32];
        let mut i = 0;
        while i < 32 {
            kek[i] = i as u8;
            i += 1;
        }
        kek
    };

    /// RFC 3394 section 4.1 to 4.6: the key is 00112233..EEFF, then 0001..0F.
    const KEY: [u8; 32] = [
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
        0xff, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,
        0x0e, 0x0f,
    ];

    const RFC_3394: [(AesKeyWrap, usize, &str); 6] = [
        (AesKeyWrap::A128Kw, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (AesKeyWrap::A192Kw, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"),
        (AesKeyWrap::A256Kw, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
        (
            AesKeyWrap::A192Kw,
            24,
            "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2",
        ),
        (
            AesKeyWrap::A256Kw,
            24,
            "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1",
        ),
        (
            AesKeyWrap::A256Kw,
            32,
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ];

    #[test]
    fn rfc_3394_section_4() {
        for (alg, key_len, expected) in RFC_3394 {
            let (kek, key) = (&KEK[..alg.key_len()], &KEY[..key_len]);
            let wrapped = wrap(alg, kek, key);
            assert_eq!(crate::primitives::test_hex::encode(&wrapped), expected);
            assert_eq!(unwrap(alg, kek, &wrapped).unwrap().expose(), key);
            for i in 0..wrapped.len() {
                let mut changed = wrapped.clone();
                changed[i] ^= 1;
                assert!(unwrap(alg, kek, &changed).is_none());
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        for len in [0, 7, 8, 15, 16, 17, 23, 25, 31] {
            assert!(unwrap(AesKeyWrap::A128Kw, &KEK[..16], &vec![0; len]).is_none(), "{len}");
        }
        let wrapped = wrap(AesKeyWrap::A128Kw, &KEK[..16], &KEY);
        assert!(unwrap(AesKeyWrap::A128Kw, &KEK[..24], &wrapped).is_none());
    }
}

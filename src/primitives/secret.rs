//! What a symmetric key does on the host: HMAC, and the check value by which the key is known.

use std::io::Read;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::digest;
use super::read::{PART, fill};
use crate::jose::alg::Hash;

/// Authenticates `message` with HMAC (RFC 2104); the MAC has [`Hash::len`] bytes.
pub fn hmac(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm(hash), key), message).as_ref().to_vec()
}

/// As [`hmac()`], of a message that is read to its end.
///
/// # Errors
/// Those of the reader.
pub fn hmac_reader(hash: Hash, key: &[u8], message: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm(hash), key));
    let mut part = Zeroizing::new(vec![0; PART]);
    loop {
        let len = fill(message, &mut part)?;
        context.update(&part[..len]);
        if len < PART {
            break;
        }
    }
    Ok(context.sign().as_ref().to_vec())
}

/// Compares two MACs in a time that tells nothing but whether their lengths are equal.
#[must_use]
pub fn is_equal(mac: &[u8], other: &[u8]) -> bool {
    mac.ct_eq(other).into()
}

/// Returns the check value of an AES key: the first 3 bytes of the encryption of a block of zeros;
/// `None` for a key that does not have 16, 24 or 32 bytes.
pub fn aes_check_value(key: &[u8]) -> Option<[u8; 3]> {
    match key.len() {
        16 => first_of_zeros::<Aes128>(key),
        24 => first_of_zeros::<Aes192>(key),
        32 => first_of_zeros::<Aes256>(key),
        _ => None,
    }
}

/// Returns the check value of a generic secret: the first 3 bytes of its SHA-1.
pub fn generic_check_value(key: &[u8]) -> [u8; 3] {
    let digest = digest::digest(Hash::Sha1, key);
    [digest[0], digest[1], digest[2]]
}

fn algorithm(hash: Hash) -> hmac::Algorithm {
    match hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha384 => hmac::HMAC_SHA384,
        Hash::Sha512 => hmac::HMAC_SHA512,
    }
}

fn first_of_zeros<C>(key: &[u8]) -> Option<[u8; 3]>
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
{
    let mut block = Array::default();
    C::new_from_slice(key).ok()?.encrypt_block(&mut block);
    block.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::test_hex;

    /// RFC 4231 section 4.3 (test case 2).
    #[test]
    fn hmac_of_rfc_4231() {
        let expected = [
            (Hash::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Hash::Sha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Hash::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ];
        for (hash, expected) in expected {
            let mac = hmac(hash, b"Jefe", b"what do ya want for nothing?");
            assert_eq!(test_hex::encode(&mac), expected);
            assert!(is_equal(&mac, &mac) && !is_equal(&mac, &mac[1..]) && !is_equal(&mac, b""));
            let mut changed = mac.clone();
            changed[31] ^= 1;
            assert!(!is_equal(&mac, &changed));
        }
    }

    /// FIPS 197: AES of zeros under a key of zeros; FIPS 180-4: SHA-1 of `abc`.
    #[test]
    fn check_values_are_those_of_pkcs_11() {
        assert_eq!(aes_check_value(&[0; 16]), Some([0x66, 0xe9, 0x4b]));
        assert_eq!(aes_check_value(&[0; 24]), Some([0xaa, 0xe0, 0x69]));
        assert_eq!(aes_check_value(&[0; 32]), Some([0xdc, 0x95, 0xc0]));
        assert_eq!(aes_check_value(&[0; 48]), None);
        assert_eq!(generic_check_value(b"abc"), [0xa9, 0x99, 0x3e]);
    }
}

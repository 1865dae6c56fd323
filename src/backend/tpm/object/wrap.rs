//! A known private key on its way into the TPM: wrapped to the parent, so that it does not cross the
//! bus in the clear (TPM 2.0 part 1, section "Protected Storage", outer duplication wrapper).

use aes::Aes128;
use cbc::cipher::{Array, BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use tss_esapi::structures::{EncryptedSecret, Private, Public};
use zeroize::Zeroizing;

use crate::jose::alg::Curve;
use crate::jose::jwk::{PrivateParts, PublicPoint};
use crate::primitives::ecdh;

/// A private key that only the parent can unwrap.
pub(in crate::backend::tpm) struct Duplicate {
    pub(in crate::backend::tpm) private: Private,
    pub(in crate::backend::tpm) secret: EncryptedSecret,
}

/// Wraps `parts`, with the authorization value that it shall have, to `parent`, an ECC P-256 key of
/// the template of this backend; `name` is that of the new key's public area.
///
/// `None` where the parent is of another kind, or the key does not fit.
pub(in crate::backend::tpm) fn wrap(
    parent: &Public,
    name: &[u8],
    parts: &PrivateParts,
    auth: &[u8],
) -> Option<Duplicate> {
    let Public::Ecc { unique, .. } = parent else { return None };
    let point = [&[4], unique.x().value(), unique.y().value()].concat();
    let point = PublicPoint::new(Curve::P256, point).ok()?;
    let (ephemeral, z) = ecdh::agree_ephemeral(&point).ok()?;
    let (parent_x, _) = point.coordinates();
    let (x, y) = ephemeral.coordinates();
    let seed = kdfe(z.expose(), b"DUPLICATE\0", x, parent_x);

    let mut sensitive = sensitive(parts, auth)?;
    let key = kdfa(&seed, b"STORAGE\0", name, 128);
    encrypt_cfb(key.as_slice().first_chunk()?, &mut sensitive);
    let key = kdfa(&seed, b"INTEGRITY\0", b"", 256);
    let mac = hmac(&key).chain_update(sensitive.as_slice()).chain_update(name).finalize();
    let duplicate = [&sized(&mac.into_bytes())?[..], &sensitive].concat();
    let secret = [sized(x)?, sized(y?)?].concat();
    Some(Duplicate {
        private: Private::try_from(duplicate).ok()?,
        secret: EncryptedSecret::try_from(secret).ok()?,
    })
}

/// TPM2B_SENSITIVE: type, authorization value, an empty seed, and a prime or the scalar.
fn sensitive(parts: &PrivateParts, auth: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (kind, number): (u16, &[u8]) = match parts {
        PrivateParts::Rsa { p, .. } => (0x0001, p),
        PrivateParts::Scalar(scalar) => (0x0023, scalar),
    };
    let parts: [&[u8]; 6] = [
        &kind.to_be_bytes(),
        &u16::try_from(auth.len()).ok()?.to_be_bytes(),
        auth,
        &[0, 0],
        &u16::try_from(number.len()).ok()?.to_be_bytes(),
        number,
    ];
    let len: usize = parts.iter().map(|part| part.len()).sum();
    // Never grown, so that no copy is left behind.
    let mut sensitive = Zeroizing::new(Vec::with_capacity(2 + len));
    sensitive.extend_from_slice(&u16::try_from(len).ok()?.to_be_bytes());
    parts.iter().for_each(|part| sensitive.extend_from_slice(part));
    Some(sensitive)
}

fn sized(bytes: &[u8]) -> Option<Vec<u8>> {
    Some([&u16::try_from(bytes.len()).ok()?.to_be_bytes(), bytes].concat())
}

/// KDFe with SHA-256, for 256 bits; `label` ends in a zero (TPM 2.0 part 1, "KDFe for ECDH").
fn kdfe(z: &[u8], label: &[u8], u: &[u8], v: &[u8]) -> Zeroizing<Vec<u8>> {
    let digest = Sha256::new().chain_update(1_u32.to_be_bytes()).chain_update(z);
    let digest = digest.chain_update(label).chain_update(u).chain_update(v);
    Zeroizing::new(digest.finalize().to_vec())
}

/// KDFa with SHA-256, for at most 256 bits; `label` ends in a zero (TPM 2.0 part 1, "KDFa").
fn kdfa(key: &[u8], label: &[u8], context: &[u8], bits: u32) -> Zeroizing<Vec<u8>> {
    let mac = hmac(key).chain_update(1_u32.to_be_bytes()).chain_update(label);
    let mac = mac.chain_update(context).chain_update(bits.to_be_bytes());
    let mut key = Zeroizing::new(mac.finalize().into_bytes().to_vec());
    key.truncate(bits as usize / 8);
    key
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // invariant: HMAC takes a key of any length
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("a key")
}

/// AES-128 in CFB with an IV of zeros: every key here encrypts once.
fn encrypt_cfb(key: &[u8; 16], text: &mut [u8]) {
    let cipher = Aes128::new(&(*key).into());
    let mut mask = Array::from([0; 16]);
    for block in text.chunks_mut(16) {
        cipher.encrypt_block(&mut mask);
        for (byte, mask) in block.iter_mut().zip(mask.iter_mut()) {
            *byte ^= *mask;
            *mask = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::test_hex;

    /// OpenSSL: `openssl enc -aes-128-cfb` of 20 bytes with an IV of zeros.
    #[test]
    fn cfb_is_that_of_openssl() {
        let key = *test_hex::decode("2b7e151628aed2a6abf7158809cf4f3c").first_chunk().unwrap();
        let mut text: Vec<u8> = (0..20).collect();
        encrypt_cfb(&key, &mut text);
        assert_eq!(test_hex::encode(&text), "7df6690f1ebd9fb4364bfa4cb5165a602fdd85ac");
    }
}

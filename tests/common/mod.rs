//! What several test files need: senders that know no private key, and a SoftHSM token directory.

#![allow(dead_code, reason = "each test file uses what it needs")]

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use cbc::cipher::consts::{U12, U16};
use cbc::cipher::{Array, BlockCipherEncrypt, BlockSizeUser};
use hmac::{Hmac, Mac};
use hsm_jose::backend::{Cek, CekRequest, HardwareKey};
use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::jose::jwk::{PublicKey, PublicPoint};
use hsm_jose::primitives::rsa::RsaRecipient;
use hsm_jose::primitives::{aes_kw, concat_kdf, ecdh, random};
use sha2::{Sha256, Sha384, Sha512};

#[cfg(feature = "pkcs11")]
mod softhsm;
#[cfg(feature = "pkcs11")]
#[allow(unused_imports, reason = "each test file uses what it needs")]
pub use softhsm::*;

#[cfg(feature = "tpm")]
pub mod proxy;
#[cfg(feature = "tpm")]
pub mod swtpm;

/// What a sender hands over.
pub struct Sent {
    /// The CEK in the clear.
    pub cek: Vec<u8>,
    /// The JWE Encrypted Key.
    pub encrypted_key: Vec<u8>,
    /// The ephemeral key and the `OtherInfo`, for ECDH-ES.
    pub agreed: Option<(PublicPoint, Vec<u8>)>,
}

/// Sends a fresh CEK for `enc` to `public` under `alg`.
pub fn send(public: &PublicKey, alg: KeyManagement, enc: ContentEncryption) -> Sent {
    let mut cek = vec![0; enc.key_len()];
    random::fill(&mut cek);
    match public {
        PublicKey::Rsa(rsa) => {
            let recipient = RsaRecipient::new(rsa).expect("a recipient");
            let hash = alg.oaep_hash().expect("an OAEP alg");
            let encrypted_key = recipient.encrypt(hash, &cek).expect("an encrypted key");
            Sent { cek, encrypted_key, agreed: None }
        }
        PublicKey::Point(point) => {
            let (epk, z) = ecdh::agree_ephemeral(point).expect("an agreement");
            let (name, len) = match alg.key_wrap() {
                None => (enc.name(), enc.key_len()),
                Some(wrap) => (alg.name(), wrap.key_len()),
            };
            let other_info = concat_kdf::other_info(name, b"apu", b"apv", len);
            let derived = concat_kdf::derive(&z, &other_info, len);
            let (cek, encrypted_key) = match alg.key_wrap() {
                None => (derived.expose().to_vec(), Vec::new()),
                Some(wrap) => {
                    let wrapped = aes_kw::wrap(wrap, derived.expose(), &cek);
                    (cek, wrapped)
                }
            };
            Sent { cek, encrypted_key, agreed: Some((epk, other_info)) }
        }
        _ => panic!("an unknown kind of key"),
    }
}

/// Makes the request that belongs to what was sent.
pub fn request<'a>(sent: &'a Sent, alg: KeyManagement) -> CekRequest<'a> {
    match (&sent.agreed, alg.oaep_hash()) {
        (Some((epk, other_info)), _) => CekRequest::EcdhEs {
            epk,
            other_info,
            wrapped: alg.key_wrap().map(|wrap| (wrap, sent.encrypted_key.as_slice())),
        },
        (None, hash) => CekRequest::RsaOaep {
            hash: hash.expect("an OAEP alg"),
            encrypted_key: &sent.encrypted_key,
        },
    }
}

/// Returns whether `cek` is the one that was sent: it opens what that one has sealed.
pub fn is_the_cek(cek: &dyn Cek, sent: &Sent, enc: ContentEncryption) -> bool {
    let (iv, ciphertext, tag) = seal(enc, &sent.cek, b"aad", b"plaintext");
    cek.decrypt(&iv, b"aad", &ciphertext, &tag)
        .is_ok_and(|plaintext| plaintext.as_bytes() == b"plaintext")
}

/// Seals with a key of the test's own: the engine has no way to pass one in. Returns IV, ciphertext
/// and tag.
pub fn seal(
    enc: ContentEncryption,
    cek: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut iv = vec![0; enc.iv_len()];
    random::fill(&mut iv);
    let (ciphertext, mut tag) = match enc {
        ContentEncryption::A128Gcm => gcm::<Aes128>(cek, &iv, aad, plaintext),
        ContentEncryption::A192Gcm => gcm::<Aes192>(cek, &iv, aad, plaintext),
        ContentEncryption::A256Gcm => gcm::<Aes256>(cek, &iv, aad, plaintext),
        ContentEncryption::A128CbcHs256 => cbc::<Aes128, Hmac<Sha256>>(cek, &iv, aad, plaintext),
        ContentEncryption::A192CbcHs384 => cbc::<Aes192, Hmac<Sha384>>(cek, &iv, aad, plaintext),
        ContentEncryption::A256CbcHs512 => cbc::<Aes256, Hmac<Sha512>>(cek, &iv, aad, plaintext),
        other => panic!("{other}"),
    };
    tag.truncate(enc.tag_len());
    (iv, ciphertext, tag)
}

fn gcm<C>(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> (Vec<u8>, Vec<u8>)
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    let mut text = plaintext.to_vec();
    let cipher = AesGcm::<C, U12>::new_from_slice(key).expect("a key");
    let iv = iv.try_into().expect("an IV");
    let tag = cipher.encrypt_inout_detached(iv, aad, text.as_mut_slice().into()).expect("a tag");
    (text, tag.to_vec())
}

/// RFC 7518 section 5.2.2.1.
fn cbc<C, M>(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> (Vec<u8>, Vec<u8>)
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
    M: Mac + KeyInit,
{
    let (mac_key, enc_key) = key.split_at(key.len() / 2);
    let mut text = plaintext.to_vec();
    let padding = 16 - text.len() % 16;
    text.resize(text.len() + padding, padding as u8);
    let mut previous: [u8; 16] = iv.try_into().expect("an IV");
    let cipher = C::new_from_slice(enc_key).expect("a key");
    for block in text.chunks_mut(16) {
        block.iter_mut().zip(previous).for_each(|(byte, mask)| *byte ^= mask);
        let block: &mut Array<u8, U16> = block.try_into().expect("a block");
        cipher.encrypt_block(block);
        previous = (*block).into();
    }
    let mac = <M as KeyInit>::new_from_slice(mac_key).expect("a key");
    let al = (aad.len() as u64 * 8).to_be_bytes();
    let mac = mac.chain_update(aad).chain_update(iv).chain_update(&text).chain_update(al);
    (text, mac.finalize().into_bytes().to_vec())
}

/// Sends a CEK to `key`, and has it unwrapped.
pub fn round_trip(key: &dyn HardwareKey, alg: KeyManagement, enc: ContentEncryption) {
    let public = key.info().public.clone().expect("a public half");
    let sent = send(&public, alg, enc);
    let cek = key.unwrap_cek(&request(&sent, alg), enc).expect("the CEK");
    assert!(is_the_cek(&*cek, &sent, enc), "{alg} {enc}");
}

/// Decodes hexadecimal text.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16).expect("hex") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// An RSA modulus, big-endian, with the fingerprint of CVE-2017-15361: a power of 65537 modulo every
/// small prime, as a power of 65537 itself is.
pub fn roca_modulus(power: u32) -> Vec<u8> {
    let mut n = vec![1u8];
    for _ in 0..power {
        // n * 65537 = (n << 16) + n, the least significant octet first.
        let (mut product, mut carry) = (vec![0; n.len() + 3], 0);
        for (place, octet) in product.iter_mut().enumerate() {
            let shifted = place.checked_sub(2).and_then(|place| n.get(place));
            carry +=
                [shifted, n.get(place)].into_iter().flatten().map(|it| u32::from(*it)).sum::<u32>();
            *octet = carry as u8;
            carry >>= 8;
        }
        n = product;
    }
    let zeros = n.iter().rev().take_while(|octet| **octet == 0).count();
    n.truncate(n.len() - zeros);
    n.reverse();
    n
}

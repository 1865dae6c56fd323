//! AES-GCM with 128, 192 or 256 bits of key, IVs of 96 bits and tags of 128 (RFC 7518 section 5.3).
//!
//! The library clears the key schedule when it is dropped, as all memory that it frees.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey,
};
use zeroize::Zeroizing;

const TAG_LEN: usize = 16;

/// Encrypts; returns the ciphertext, as long as the plaintext, and the tag of 16 bytes. `None` when
/// `key` has another length than 16, 24 or 32 bytes, `iv` another than 12, or `plaintext` 64 GiB.
///
/// No `iv` may meet a key twice: that is the caller's to see to.
pub(crate) fn seal(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Option<(Vec<u8>, Vec<u8>)> {
    let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
    let (mut ciphertext, mut tag) = (vec![0; plaintext.len()], vec![0; TAG_LEN]);
    let (aad, out) = (Aad::from(aad), &mut ciphertext);
    schedule(key)?.seal_out_of_place_scatter(nonce, aad, plaintext, out, &[], &mut tag).ok()?;
    Some((ciphertext, tag))
}

/// Decrypts and authenticates; `None` when the tag does not match, or a length is not as [`seal`]
/// has it. Then what was decrypted is cleared before anyone can see it.
pub(crate) fn open(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
    if tag.len() != TAG_LEN {
        return None;
    }
    let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
    let (aad, out) = (Aad::from(aad), &mut plaintext);
    schedule(key)?.open_separate_gather(nonce, aad, ciphertext, tag, out).ok()?;
    Some(plaintext)
}

fn schedule(key: &[u8]) -> Option<LessSafeKey> {
    let algorithm: &'static Algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        32 => &AES_256_GCM,
        _ => return None,
    };
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}

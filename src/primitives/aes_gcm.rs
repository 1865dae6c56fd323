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

/// Decrypts in place and authenticates; `None` when the tag does not match, or a length is not as
/// [`seal`] has it. Then what was decrypted is cleared before anyone can see it.
pub(crate) fn open(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: Vec<u8>,
    tag: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(ciphertext);
    let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
    if tag.len() != TAG_LEN {
        return None;
    }
    schedule(key)?.open_in_place_separate_tag(nonce, Aad::from(aad), tag, &mut text).ok()?;
    Some(text)
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

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm::aead::consts::U12;
    use aes_gcm::aes::cipher::consts::U16;
    use aes_gcm::aes::cipher::{BlockCipherEncrypt, BlockSizeUser};
    use aes_gcm::aes::{Aes128, Aes192, Aes256};
    use aes_gcm::{AeadInOut, AesGcm, KeyInit};

    /// What another implementation makes of it.
    fn seal_elsewhere<C>(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> (Vec<u8>, Vec<u8>)
    where
        C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
    {
        let mut ciphertext = plaintext.to_vec();
        let cipher = AesGcm::<C, U12>::new_from_slice(key).unwrap();
        let iv = iv.try_into().unwrap();
        let tag = cipher.encrypt_inout_detached(iv, aad, ciphertext.as_mut_slice().into()).unwrap();
        (ciphertext, tag.to_vec())
    }

    #[test]
    fn another_implementation_agrees() {
        let octets: Vec<u8> = (0..=255u8).cycle().take(70_000).collect();
        for len in [0, 1, 15, 16, 17, 255, 4096, 65_537] {
            for (key_len, elsewhere) in [
                (16, seal_elsewhere::<Aes128> as fn(&[u8], &[u8], &[u8], &[u8]) -> _),
                (24, seal_elsewhere::<Aes192>),
                (32, seal_elsewhere::<Aes256>),
            ] {
                let (key, iv, aad) =
                    (&octets[100..100 + key_len], &octets[..12], &octets[..len % 50]);
                let sealed = seal(key, iv, aad, &octets[..len]).unwrap();
                assert_eq!(sealed, elsewhere(key, iv, aad, &octets[..len]));
                let opened = open(key, iv, aad, sealed.0, &sealed.1).unwrap();
                assert_eq!(opened.as_slice(), &octets[..len]);
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let (ciphertext, tag) = seal(&[1; 16], &[2; 12], b"", b"message").unwrap();
        let open = |key: &[u8], iv: &[u8], tag: &[u8]| open(key, iv, b"", ciphertext.clone(), tag);
        assert!(open(&[1; 16], &[2; 12], &tag).is_some());
        for len in [0, 11, 13, 16] {
            assert!(seal(&[1; 16], &vec![2; len], b"", b"message").is_none());
            assert!(open(&[1; 16], &vec![2; len], &tag).is_none());
        }
        for len in [0, 15, 17, 31, 33] {
            assert!(seal(&vec![1; len], &[2; 12], b"", b"message").is_none());
            assert!(open(&vec![1; len], &[2; 12], &tag).is_none());
        }
        for len in 0..16 {
            assert!(open(&[1; 16], &[2; 12], &tag[..len]).is_none());
        }
        assert!(open(&[1; 16], &[2; 12], &[&tag[..], &[0]].concat()).is_none());
    }
}

//! Content encryption: AES-GCM and AES-CBC with HMAC (RFC 7518 section 5).

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::consts::U16;
use cbc::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};
use zeroize::Zeroizing;

use super::{aes_gcm, random};
use crate::jose::alg::ContentEncryption;
use crate::secret::Plaintext;

/// What content encryption gives: IV, ciphertext and tag, with the lengths of the `enc`.
///
/// ```
/// use hsm_jose::backend::{Cek, HostCek};
/// use hsm_jose::jose::alg::ContentEncryption;
///
/// let cek = Box::new(HostCek::random(ContentEncryption::A256CbcHs512));
/// let sealed = Cek::encrypt(cek, b"aad", b"content")?;
/// let lengths = (sealed.iv.len(), sealed.ciphertext.len(), sealed.tag.len());
/// assert_eq!(lengths, (16, 16, 32));
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Debug)]
pub struct Sealed {
    /// The initialization vector.
    pub iv: Vec<u8>,
    /// The ciphertext: for GCM as long as the plaintext, for CBC the next multiple of 16 bytes.
    pub ciphertext: Vec<u8>,
    /// The authentication tag.
    pub tag: Vec<u8>,
}

/// Encrypts under a fresh random IV. `key` has [`ContentEncryption::key_len`] bytes and is never
/// used for another message: its caller consumes it. `plaintext` is below the 64 GiB of GCM.
pub(crate) fn encrypt(enc: ContentEncryption, key: &[u8], aad: &[u8], plaintext: &[u8]) -> Sealed {
    let mut iv = vec![0; enc.iv_len()];
    random::fill(&mut iv);
    encrypt_with_iv(enc, key, iv, aad, plaintext)
}

/// Decrypts in place and authenticates; `None` when the tag does not match, or a length is not that of
/// `enc`.
///
/// No plaintext is returned, whole or in part, unless the tag matches, and a padding that is wrong
/// all the same is no different answer (RFC 7518 section 5.2.2.2).
pub(crate) fn decrypt(
    enc: ContentEncryption,
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: Vec<u8>,
    tag: &[u8],
) -> Option<Plaintext> {
    use ContentEncryption as Enc;
    if key.len() != enc.key_len() || iv.len() != enc.iv_len() || tag.len() != enc.tag_len() {
        return None;
    }
    let open = match enc {
        Enc::A128Gcm | Enc::A192Gcm | Enc::A256Gcm => aes_gcm::open,
        Enc::A128CbcHs256 => cbc_open::<Aes128, Hmac<Sha256>>,
        Enc::A192CbcHs384 => cbc_open::<Aes192, Hmac<Sha384>>,
        Enc::A256CbcHs512 => cbc_open::<Aes256, Hmac<Sha512>>,
    };
    open(key, iv, aad, ciphertext, tag).map(Plaintext::new)
}

fn encrypt_with_iv(
    enc: ContentEncryption,
    key: &[u8],
    iv: Vec<u8>,
    aad: &[u8],
    plaintext: &[u8],
) -> Sealed {
    use ContentEncryption as Enc;
    let seal = match enc {
        Enc::A128Gcm | Enc::A192Gcm | Enc::A256Gcm => aes_gcm::seal,
        Enc::A128CbcHs256 => cbc_seal::<Aes128, Hmac<Sha256>>,
        Enc::A192CbcHs384 => cbc_seal::<Aes192, Hmac<Sha384>>,
        Enc::A256CbcHs512 => cbc_seal::<Aes256, Hmac<Sha512>>,
    };
    let sealed = seal(key, &iv, aad, plaintext);
    let (ciphertext, mut tag) = sealed.expect("lengths of enc"); // invariant: see encrypt
    tag.truncate(enc.tag_len());
    Sealed { iv, ciphertext, tag }
}

/// RFC 7518 section 5.2.2.1. The tag is not yet truncated.
fn cbc_seal<C, M>(key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<(Vec<u8>, Vec<u8>)>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
    M: Mac + KeyInit,
{
    let (mac_key, enc_key) = key.split_at(key.len() / 2);
    let padding = 16 - plaintext.len() % 16;
    let mut ciphertext = Vec::with_capacity(plaintext.len() + padding);
    ciphertext.extend_from_slice(plaintext);
    ciphertext.resize(plaintext.len() + padding, padding as u8);
    let (blocks, _) = Array::slice_as_chunks_mut(&mut ciphertext);
    cbc::Encryptor::<C>::new_from_slices(enc_key, iv).ok()?.encrypt_blocks(blocks);
    let tag = mac::<M>(mac_key, iv, aad, &ciphertext)?;
    Some((ciphertext, tag.finalize().into_bytes().to_vec()))
}

/// RFC 7518 section 5.2.2.2.
fn cbc_open<C, M>(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    ciphertext: Vec<u8>,
    tag: &[u8],
) -> Option<Zeroizing<Vec<u8>>>
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
    M: Mac + KeyInit,
{
    let (mac_key, enc_key) = key.split_at(key.len() / 2);
    let mut text = Zeroizing::new(ciphertext);
    let expected = mac::<M>(mac_key, iv, aad, &text)?.finalize().into_bytes();
    if !bool::from(expected.get(..tag.len())?.ct_eq(tag)) {
        return None;
    }
    let (blocks, []) = Array::slice_as_chunks_mut(&mut text) else { return None };
    cbc::Decryptor::<C>::new_from_slices(enc_key, iv).ok()?.decrypt_blocks(blocks);
    let len = unpadded_len(&text)?;
    text.truncate(len);
    Some(text)
}

/// Starts the MAC over AAD || IV || ciphertext || AL, where AL is the length of AAD in bits, 64 bits
/// big-endian.
fn mac<M: Mac + KeyInit>(key: &[u8], iv: &[u8], aad: &[u8], ciphertext: &[u8]) -> Option<M> {
    let al = (aad.len() as u64).checked_mul(8)?.to_be_bytes();
    let mac = <M as KeyInit>::new_from_slice(key).ok()?;
    Some(mac.chain_update(aad).chain_update(iv).chain_update(ciphertext).chain_update(al))
}

/// Finds the length without PKCS #7 padding, looking at all 16 bytes of the last block whatever
/// they are.
fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let block: &[u8; 16] = padded.last_chunk()?;
    let padding = block[15];
    let mut is_valid = !padding.ct_eq(&0) & !padding.ct_gt(&16);
    for (i, byte) in (1..=16u8).zip(block.iter().rev()) {
        let is_content: Choice = i.ct_gt(&padding);
        is_valid &= is_content | byte.ct_eq(&padding);
    }
    let len = padded.len() - usize::from(u8::conditional_select(&0, &padding, is_valid));
    bool::from(is_valid).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::test_hex;

    fn enc_and_key(enc: ContentEncryption) -> Vec<u8> {
        (0..enc.key_len() as u8).collect()
    }

    #[test]
    fn rfc_7518_appendix_b() {
        let vectors = include_str!("../../tests/data/rfc/rfc7518-appendix-b.json");
        let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).unwrap();
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let octets = |name: &str| test_hex::decode(text(name));
            let enc = ContentEncryption::from_name(text("enc")).unwrap();
            let (key, iv, aad) = (octets("key_hex"), octets("iv_hex"), octets("aad_hex"));
            let plaintext = octets("plaintext_hex");
            let sealed = encrypt_with_iv(enc, &key, iv.clone(), &aad, &plaintext);
            assert_eq!(test_hex::encode(&sealed.ciphertext), text("ciphertext_hex"));
            assert_eq!(test_hex::encode(&sealed.tag), text("tag_hex"));
            let opened = decrypt(enc, &key, &iv, &aad, sealed.ciphertext, &sealed.tag);
            assert_eq!(opened.unwrap().as_bytes(), plaintext);
        }
    }

    #[test]
    fn what_was_sealed_opens_and_every_changed_bit_is_refused() {
        for enc in ContentEncryption::ALL {
            let key = enc_and_key(*enc);
            for len in [0, 1, 15, 16, 17, 300] {
                let plaintext = vec![0x10; len];
                let sealed = encrypt(*enc, &key, b"aad", &plaintext);
                let Sealed { iv, ciphertext, tag } = &sealed;
                assert_eq!((iv.len(), tag.len()), (enc.iv_len(), enc.tag_len()));
                let open = |iv: &[u8], aad: &[u8], ciphertext: &[u8], tag: &[u8]| {
                    decrypt(*enc, &key, iv, aad, ciphertext.to_vec(), tag)
                };
                assert_eq!(open(iv, b"aad", ciphertext, tag).unwrap().as_bytes(), plaintext);
                assert!(open(iv, b"aae", ciphertext, tag).is_none());
                for part in [iv, ciphertext, tag] {
                    for i in 0..part.len() {
                        let mut changed = part.clone();
                        changed[i] ^= 0x80;
                        let pick = |original: &Vec<u8>| match std::ptr::eq(original, part) {
                            true => changed.clone(),
                            false => original.clone(),
                        };
                        let opened = open(&pick(iv), b"aad", &pick(ciphertext), &pick(tag));
                        assert!(opened.is_none());
                    }
                }
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        for enc in ContentEncryption::ALL {
            let key = enc_and_key(*enc);
            let Sealed { iv, ciphertext, tag } = encrypt(*enc, &key, b"", b"message");
            let longer = |part: &[u8]| [part, &[0]].concat();
            let open = |key: &[u8], iv: &[u8], tag: &[u8]| {
                decrypt(*enc, key, iv, b"", ciphertext.clone(), tag).is_some()
            };
            assert!(open(&key, &iv, &tag));
            for shorter in 0..tag.len() {
                assert!(!open(&key, &iv, &tag[..shorter]));
            }
            assert!(!open(&key, &iv, &longer(&tag)));
            assert!(!open(&key, &iv[1..], &tag) && !open(&key, &longer(&iv), &tag));
            assert!(!open(&key[1..], &iv, &tag) && !open(&longer(&key), &iv, &tag));
        }
    }

    #[test]
    fn authenticated_content_with_bad_padding_or_a_partial_block_is_refused() {
        let enc = ContentEncryption::A128CbcHs256;
        let (key, iv) = (enc_and_key(enc), [0; 16]);
        let seal_raw = |padded: &[u8]| {
            let mut ciphertext = padded.to_vec();
            let (blocks, _) = Array::slice_as_chunks_mut(&mut ciphertext);
            let cipher = cbc::Encryptor::<Aes128>::new_from_slices(&key[16..], &iv);
            cipher.unwrap().encrypt_blocks(blocks);
            let mac = mac::<Hmac<Sha256>>(&key[..16], &iv, b"", &ciphertext).unwrap();
            (ciphertext, mac.finalize().into_bytes()[..16].to_vec())
        };
        let open = |padded: &[u8]| {
            let (ciphertext, tag) = seal_raw(padded);
            decrypt(enc, &key, &iv, b"", ciphertext, &tag)
        };
        for padding in 0..=255u8 {
            let opened = open(&[padding; 16]);
            assert_eq!(opened.is_some(), (1..=16).contains(&padding), "{padding}");
            if let Some(plaintext) = opened {
                assert_eq!(plaintext.as_bytes().len(), 16 - usize::from(padding));
            }
        }
        for position in 11..15 {
            let mut padded = [5; 16];
            padded[position] = 4;
            assert!(open(&padded).is_none());
        }
        assert!(open(&[]).is_none());
        assert!(open(&[1; 17]).is_none());
    }
}

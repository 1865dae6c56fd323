//! RSAES-OAEP decoding in constant time (RFC 8017 section 7.1.2, step 3), for devices that do the
//! RSA private-key operation but not the padding.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::{Choice, ConstantTimeEq, CtOption};
use zeroize::{Zeroize, Zeroizing};

use crate::jose::alg::Hash;
use crate::secret::KeyBytes;

/// Decodes the encoded message `em` (as long as the modulus, leading zeros kept) with an empty label
/// and MGF1 over the same hash; the message must have exactly `message_len` bytes.
///
/// Which of the checks failed, and where, cannot be told from the time taken: all of them are folded
/// into one mask (Manger, CRYPTO 2001), and the mask is looked at once, at the end. A device that
/// strips leading zeros needs them put back first, without a branch on how many there were.
///
/// `None` on any fault; at once where `em` is too short to hold such a message, which only the
/// length of the modulus decides.
#[must_use]
pub fn decode(hash: Hash, em: &[u8], message_len: usize) -> Option<KeyBytes> {
    decode_masked(hash, em, message_len)?.into_option()
}

/// As [`decode`], and leaves the one look at the mask to the caller: what is in the [`CtOption`] has
/// `message_len` bytes whether the checks passed or not, and was made by the same steps.
#[must_use]
pub fn decode_masked(hash: Hash, em: &[u8], message_len: usize) -> Option<CtOption<KeyBytes>> {
    match hash {
        Hash::Sha1 => decode_with::<Sha1>(em, message_len),
        Hash::Sha256 => decode_with::<Sha256>(em, message_len),
        Hash::Sha384 => decode_with::<Sha384>(em, message_len),
        Hash::Sha512 => decode_with::<Sha512>(em, message_len),
    }
}

fn decode_with<D: Digest>(em: &[u8], message_len: usize) -> Option<CtOption<KeyBytes>> {
    let hash_len = <D as Digest>::output_size();
    // Both lengths are public: that of the modulus, and that of the CEK of the header's enc.
    let padding_len = em.len().checked_sub(2 * hash_len + 2)?.checked_sub(message_len)?;

    // EM = Y || maskedSeed || maskedDB, and DB = lHash || PS || 0x01 || M.
    let mut em = Zeroizing::new(em.to_vec());
    let (y, masked) = em.split_at_mut(1);
    let (seed, db) = masked.split_at_mut(hash_len);
    xor_mgf1::<D>(db, seed);
    xor_mgf1::<D>(seed, db);

    let (label_hash, rest) = db.split_at(hash_len);
    let (padding, rest) = rest.split_at(padding_len);
    let (separator, message) = rest.split_at(1);

    // M has a known length, so that 0x01 has a known place: nothing is searched for.
    let padding_bits = padding.iter().fold(0, |bits, byte| bits | byte);
    let is_valid: Choice = y.ct_eq(&[0])
        & label_hash.ct_eq(&D::digest(b""))
        & padding_bits.ct_eq(&0)
        & separator.ct_eq(&[1]);
    Some(CtOption::new(message.to_vec().into(), is_valid))
}

/// Masks `target` with MGF1 of `seed` (RFC 8017 appendix B.2.1).
fn xor_mgf1<D: Digest>(seed: &[u8], target: &mut [u8]) {
    for (block, counter) in target.chunks_mut(<D as Digest>::output_size()).zip(0u32..) {
        let mut mask = D::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        block.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
        mask.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::digest::digest;

    const HASHES: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];

    /// Encodes `db` under a fixed seed; the inverse of what is tested.
    fn mask(hash: Hash, y: u8, db: &[u8]) -> Vec<u8> {
        let mut db = db.to_vec();
        let mut seed = vec![0x5a; hash.len()];
        mgf1(hash, &seed, &mut db);
        mgf1(hash, &db, &mut seed);
        [&[y], seed.as_slice(), db.as_slice()].concat()
    }

    fn mgf1(hash: Hash, seed: &[u8], target: &mut [u8]) {
        for (i, block) in target.chunks_mut(hash.len()).enumerate() {
            let mask = digest(hash, &[seed, &(i as u32).to_be_bytes()].concat());
            block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
    }

    fn db(hash: Hash, modulus_len: usize, message: &[u8]) -> Vec<u8> {
        let mut db = digest(hash, b"");
        db.resize(modulus_len - hash.len() - 2 - message.len(), 0);
        db.push(1);
        db.extend_from_slice(message);
        db
    }

    #[test]
    fn what_was_encoded_comes_back() {
        for hash in HASHES {
            for message_len in [0, 16, 32, 64] {
                let message = vec![0xa5; message_len];
                let em = mask(hash, 0, &db(hash, 256, &message));
                assert_eq!(decode(hash, &em, message_len).unwrap().expose(), message);
                assert!(decode(hash, &em, message_len + 1).is_none());
                if message_len > 0 {
                    assert!(decode(hash, &em, message_len - 1).is_none());
                }
            }
        }
    }

    #[test]
    fn every_byte_outside_the_message_counts() {
        for hash in HASHES {
            let good = db(hash, 256, &[0xa5; 32]);
            for i in 0..good.len() - 32 {
                for bit in 0..8 {
                    let mut changed = good.clone();
                    changed[i] ^= 1 << bit;
                    assert!(decode(hash, &mask(hash, 0, &changed), 32).is_none(), "{hash:?} {i}");
                }
            }
            for y in 1..=255 {
                assert!(decode(hash, &mask(hash, y, &good), 32).is_none());
            }
        }
    }

    #[test]
    fn an_encoding_too_short_for_the_message_is_refused() {
        for hash in HASHES {
            for len in [0, 1, 2 * hash.len() + 1, 2 * hash.len() + 33] {
                assert!(decode(hash, &vec![0; len], 32).is_none());
            }
            let fullest = vec![7; 256 - 2 * hash.len() - 2];
            let em = mask(hash, 0, &db(hash, 256, &fullest));
            assert_eq!(decode(hash, &em, fullest.len()).unwrap().expose(), fullest);
        }
    }
}

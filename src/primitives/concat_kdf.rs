//! The Concat KDF of NIST SP 800-56A with SHA-256, as RFC 7518 section 4.6.2 uses it.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::secret::{KeyBytes, SharedSecret};

/// Builds `OtherInfo`: AlgorithmID, PartyUInfo, PartyVInfo (each with a 32-bit length before it) and
/// SuppPubInfo, the length of the key in bits.
///
/// `algorithm` is the `enc` for direct agreement and the `alg` for agreement with key wrap; `apu`
/// and `apv` are the decoded header parameters, empty where absent; `key_len` is in bytes
/// (RFC 7518 section 4.6.2).
///
/// # Panics
/// If a length does not fit its 32 bits: `key_len` from 2^29 bytes, a field from 2^32. The lengths are
/// the caller's own: that of a key is its algorithm's, and headers are capped far below.
pub fn other_info(algorithm: &str, apu: &[u8], apv: &[u8], key_len: usize) -> Vec<u8> {
    let mut info = Vec::with_capacity(16 + algorithm.len() + apu.len() + apv.len());
    for field in [algorithm.as_bytes(), apu, apv] {
        info.extend_from_slice(&length(field.len()));
        info.extend_from_slice(field);
    }
    let bits = key_len.checked_mul(8).expect("a length in bits"); // invariant: an algorithm's
    info.extend_from_slice(&length(bits));
    info
}

/// Derives `key_len` bytes from Z (SP 800-56A revision 3 section 5.8.2.1: SHA-256 over a 32-bit
/// counter, Z and `other_info`).
///
/// # Panics
/// If `key_len` is more than the counter is for: 2^32 - 1 blocks of 32 bytes.
pub fn derive(z: &SharedSecret, other_info: &[u8], key_len: usize) -> KeyBytes {
    // invariant: the length is that of an algorithm's key
    assert!(u32::try_from(key_len.div_ceil(32)).is_ok(), "a key of {key_len} bytes");
    let mut key = Zeroizing::new(vec![0; key_len]);
    for (block, counter) in key.chunks_mut(32).zip(1u32..) {
        let mut digest = Sha256::new()
            .chain_update(counter.to_be_bytes())
            .chain_update(z.expose())
            .chain_update(other_info)
            .finalize();
        block.copy_from_slice(&digest[..block.len()]);
        digest.zeroize();
    }
    key.into()
}

/// The 32-bit field of a length.
fn length(len: usize) -> [u8; 4] {
    let len = u32::try_from(len).expect("a length of 32 bits"); // invariant: the caller's own
    len.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::test_hex;

    #[test]
    fn rfc_7518_appendix_c() {
        let z = "9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4";
        let info = other_info("A128GCM", b"Alice", b"Bob", 16);
        assert_eq!(
            test_hex::encode(&info),
            "000000074131323847434d00000005416c69636500000003426f6200000080"
        );
        let key = derive(&SharedSecret::new(Zeroizing::new(test_hex::decode(z))), &info, 16);
        assert_eq!(crate::jose::base64url::encode(key.expose()), "VqqN6vgjbSBcIijNcacQGg");
    }

    #[test]
    fn long_keys_take_more_blocks_and_agree_on_the_first() {
        let z = SharedSecret::new(Zeroizing::new(vec![7; 32]));
        let long = derive(&z, b"info", 64);
        let (first, second) = long.expose().split_at(32);
        assert_eq!(derive(&z, b"info", 32).expose(), first);
        assert_ne!(first, second);
    }
}

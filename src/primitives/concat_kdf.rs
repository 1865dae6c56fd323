//! The Concat KDF of NIST SP 800-56A with SHA-256, as RFC 7518 section 4.6.2 uses it.

use zeroize::Zeroizing;

use crate::secret::SharedSecret;

/// Builds `OtherInfo`: AlgorithmID, PartyUInfo, PartyVInfo (each with a 32-bit length before it) and
/// SuppPubInfo, the length of the key in bits.
pub fn other_info(_algorithm: &str, _apu: &[u8], _apv: &[u8], _key_len: usize) -> Vec<u8> {
    todo!()
}

/// Derives `key_len` bytes from Z.
pub fn derive(_z: &SharedSecret, _other_info: &[u8], _key_len: usize) -> Zeroizing<Vec<u8>> {
    todo!()
}

//! RSAES-OAEP decoding in constant time (RFC 8017 section 7.1.2, step 3), for devices that do the
//! RSA private-key operation but not the padding.

use zeroize::Zeroizing;

use crate::jose::alg::Hash;

/// Decodes the encoded message `em` (as long as the modulus, leading zeros kept) with an empty label
/// and MGF1 over the same hash; the message must have exactly `message_len` bytes.
///
/// Which of the checks failed, and where, cannot be told from the time taken: all of them are folded
/// into one mask (Manger, CRYPTO 2001).
pub fn decode(_hash: Hash, _em: &[u8], _message_len: usize) -> Option<Zeroizing<Vec<u8>>> {
    todo!()
}

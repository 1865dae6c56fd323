//! RSAES-OAEP encryption to a recipient's public key.

use crate::jose::alg::Hash;
use crate::jose::jwk::{JwkError, RsaPublic};

/// A recipient's RSA key, parsed once.
#[derive(Debug)]
pub struct RsaRecipient {}

impl RsaRecipient {
    /// Parses the key.
    ///
    /// # Errors
    /// A key that the library refuses.
    pub fn new(_key: &RsaPublic) -> Result<Self, JwkError> {
        todo!()
    }

    /// Encrypts `message` (a CEK: at most modulus length - 2 * hash length - 2 bytes) with an empty
    /// label and MGF1 over the same hash; the result is as long as the modulus.
    ///
    /// # Errors
    /// A message that does not fit the modulus.
    pub fn encrypt(&self, _hash: Hash, _message: &[u8]) -> Result<Vec<u8>, JwkError> {
        todo!()
    }
}

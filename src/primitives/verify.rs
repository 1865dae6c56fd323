//! Signature verification with public keys.

use crate::jose::alg::SignatureAlgorithm;
use crate::jose::jwk::{JwkError, PublicKey};

/// A public key that verifies signatures, parsed once.
#[derive(Debug)]
pub struct VerifyingKey {}

impl VerifyingKey {
    /// Parses the key; a point is checked to lie on its curve.
    ///
    /// # Errors
    /// A key that cannot verify signatures (X25519), or that the library refuses.
    pub fn new(_key: &PublicKey) -> Result<Self, JwkError> {
        todo!()
    }

    /// Returns whether `signature`, in the form of RFC 7518 section 3, is one of `message` under
    /// `alg`. False too when `alg` does not fit the key or the signature has another length.
    pub fn verify(&self, _alg: SignatureAlgorithm, _message: &[u8], _signature: &[u8]) -> bool {
        todo!()
    }
}

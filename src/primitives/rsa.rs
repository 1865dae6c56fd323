//! RSAES-OAEP encryption to a recipient's public key.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::RsaPublicKeyComponents;

use crate::jose::alg::Hash;
use crate::jose::jwk::{JwkError, RsaPublic};

/// A recipient's RSA key, parsed once.
#[derive(Debug)]
pub struct RsaRecipient {
    key: OaepPublicEncryptingKey,
}

impl RsaRecipient {
    /// Parses the key.
    ///
    /// # Errors
    /// A key that the library refuses: it takes exponents of up to 33 bits.
    pub fn new(key: &RsaPublic) -> Result<Self, JwkError> {
        let refused = |_| JwkError("RSA key refused by the cryptographic library".into());
        let components = RsaPublicKeyComponents { n: key.n(), e: key.e() };
        let key: PublicEncryptingKey = components.try_into().map_err(refused)?;
        Ok(Self { key: OaepPublicEncryptingKey::new(key).map_err(refused)? })
    }

    /// Encrypts `message` (a CEK: at most modulus length - 2 * hash length - 2 bytes) with an empty
    /// label and MGF1 over the same hash; the result is as long as the modulus (RFC 8017 section
    /// 7.1.1).
    ///
    /// # Errors
    /// A message that does not fit the modulus.
    pub fn encrypt(&self, hash: Hash, message: &[u8]) -> Result<Vec<u8>, JwkError> {
        let mut ciphertext = vec![0; self.key.ciphertext_size()];
        let encrypted = self.key.encrypt(oaep(hash), message, &mut ciphertext, None);
        match encrypted.map(|ciphertext| ciphertext.len()) {
            Ok(len) if len == ciphertext.len() => Ok(ciphertext),
            _ => Err(JwkError(format!(
                "an RSA key of {} bits cannot carry {} bytes in OAEP with {hash:?}",
                self.key.key_size_bits(),
                message.len()
            ))),
        }
    }
}

/// Returns the library's OAEP with `hash` in both places.
pub(crate) fn oaep(hash: Hash) -> &'static OaepAlgorithm {
    match hash {
        Hash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Hash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Hash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        Hash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
}

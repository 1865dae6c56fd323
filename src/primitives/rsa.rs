//! RSA keys: RSAES-OAEP encryption to a recipient's, and a pair of parts that belong together.

use aws_lc_rs::rsa::{
    KeyPairComponents, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384,
    OAEP_SHA512_MGF1SHA512, OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{RsaKeyPair, RsaPublicKeyComponents};

use crate::jose::alg::Hash;
use crate::jose::jwk::{JwkError, PrivateParts, RsaPublic};

/// A recipient's RSA key, parsed once.
///
/// ```
/// use hsm_jose::jose::alg::Hash;
/// use hsm_jose::jose::jwk::RsaPublic;
/// use hsm_jose::primitives::rsa::RsaRecipient;
///
/// let recipient = RsaRecipient::new(&RsaPublic::new(&[0xc5; 256], &[1, 0, 1])?)?;
/// assert_eq!(recipient.encrypt(Hash::Sha256, &[7; 32])?.len(), 256);
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Debug)]
pub struct RsaRecipient {
    key: OaepPublicEncryptingKey,
}

impl RsaRecipient {
    /// Parses the key.
    ///
    /// # Errors
    /// An exponent of more than 33 bits, which the library does not take: it would be a cheap way to
    /// burn the sender's time. A key of a keyring or device that is not to be used
    /// ([`RsaPublic::weakness`]).
    pub fn new(key: &RsaPublic) -> Result<Self, JwkError> {
        check_key(key)?;
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

/// Refuses a key that anyone can factor, and the exponents that the library refuses only when it comes
/// to use them.
pub(super) fn check_key(key: &RsaPublic) -> Result<(), JwkError> {
    if let Some(what) = key.weakness() {
        return Err(JwkError(what.into()));
    }
    match key.e() {
        [1, _, _, _, _] => Ok(()),
        e if e.len() < 5 => Ok(()),
        _ => Err(JwkError("an RSA exponent of more than 33 bits".into())),
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

/// Makes a key pair of its parts; `None` where they do not belong together: the factors, the exponents
/// and the coefficient are all compared (FIPS 186-5 appendix A.1.1).
pub(crate) fn pair(public: &RsaPublic, private: &PrivateParts) -> Option<RsaKeyPair> {
    let PrivateParts::Rsa { d, p, q, dp, dq, qi } = private else { return None };
    let pair = RsaKeyPair::from_components(&KeyPairComponents {
        public_key: RsaPublicKeyComponents { n: public.n(), e: public.e() },
        d: d.as_slice(),
        p: p.as_slice(),
        q: q.as_slice(),
        dP: dp.as_slice(),
        dQ: dq.as_slice(),
        qInv: qi.as_slice(),
    });
    pair.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHES: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];

    #[test]
    fn a_message_has_to_fit_the_modulus() {
        let key = RsaPublic::new(&[0xc5; 256], &[1, 0, 1]).unwrap();
        let recipient = RsaRecipient::new(&key).unwrap();
        for hash in HASHES {
            let most = 256 - 2 * hash.len() - 2;
            assert_eq!(recipient.encrypt(hash, &vec![7; most]).unwrap().len(), 256);
            assert!(recipient.encrypt(hash, &vec![7; most + 1]).is_err());
        }
    }

    #[test]
    fn exponents_have_at_most_33_bits() {
        let exponent = |e: &[u8]| RsaRecipient::new(&RsaPublic::new(&[0xc5; 256], e).unwrap());
        for e in [[3].as_slice(), &[1, 0, 1], &[0xff; 4], &[1, 0xff, 0xff, 0xff, 0xff]] {
            let recipient = exponent(e).unwrap();
            assert!(recipient.encrypt(Hash::Sha256, &[7; 32]).is_ok());
        }
        for e in [[2, 0, 0, 0, 1].as_slice(), &[0xff; 8]] {
            assert!(exponent(e).is_err());
        }
    }
}

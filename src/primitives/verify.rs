//! Signature verification with public keys.

use std::sync::OnceLock;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use super::digest::algorithm;
use super::ecdh::check_point;
use super::rsa::check_key;
use crate::jose::alg::{Curve, KeyKind, SignatureAlgorithm};
use crate::jose::jwk::{JwkError, PublicKey, PublicPoint, RsaPublic};

/// A public key that verifies signatures, parsed once.
///
/// ```
/// use hsm_jose::jose::alg::SignatureAlgorithm;
/// use hsm_jose::jose::base64url;
/// use hsm_jose::jose::jwk::PublicJwk;
/// use hsm_jose::primitives::verify::VerifyingKey;
///
/// // RFC 8037 appendix A.4.
/// let jwk = PublicJwk::parse(
///     br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
/// let signature = base64url::decode(
///     b"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
/// )?;
/// let key = VerifyingKey::new(&jwk.key)?;
/// assert!(key.verify(SignatureAlgorithm::EdDsa, input, &signature));
/// assert!(!key.verify(SignatureAlgorithm::EdDsa, b"another", &signature));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct VerifyingKey {
    kind: KeyKind,
    signature_len: usize,
    parsed: Parsed,
}

/// The library binds a parsed key to one algorithm; an RSA key has six.
#[derive(Debug)]
enum Parsed {
    Rsa { key: RsaPublic, by_alg: Box<[OnceLock<Option<ParsedPublicKey>>; 6]> },
    Point(ParsedPublicKey),
}

impl VerifyingKey {
    /// Parses the key; a point is checked to lie on its curve.
    ///
    /// # Errors
    /// A key that cannot verify signatures (X25519), a point that is not one of its curve, an RSA
    /// exponent of more than 33 bits, or a key of a keyring or device that is not to be used
    /// ([`PublicKey::weakness`]).
    pub fn new(key: &PublicKey) -> Result<Self, JwkError> {
        let kind = key.kind();
        match key {
            PublicKey::Rsa(rsa) => {
                check_key(rsa)?;
                let parsed = Parsed::Rsa { key: rsa.clone(), by_alg: Box::default() };
                let key = Self { kind, signature_len: rsa.modulus_len(), parsed };
                // Parsing with one algorithm tells whether the library takes the key at all.
                key.parsed_for(SignatureAlgorithm::Ps256).ok_or_else(refused)?;
                Ok(key)
            }
            PublicKey::Point(point) => {
                let signature_len = 2 * point.curve().field_len();
                Ok(Self { kind, signature_len, parsed: Parsed::Point(parse_point(point)?) })
            }
        }
    }

    /// Returns whether `signature`, in the form of RFC 7518 section 3, is one of `message` under
    /// `alg`. False too when `alg` does not fit the key or the signature has another length.
    ///
    /// The form is exact: ECDSA `r || s`, each as long as the field; RSA as long as the modulus,
    /// PSS with a salt as long as the hash and MGF1 over the same hash; Ed25519 64 bytes.
    #[must_use]
    pub fn verify(&self, alg: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        alg.fits(self.kind)
            && signature.len() == self.signature_len
            && self.parsed_for(alg).is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }

    /// As [`VerifyingKey::verify`], with the digest of the message made with the hash of `alg`. False
    /// too when it has another length, and for Ed25519, which has no digest.
    #[must_use]
    pub fn verify_digest(&self, alg: SignatureAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
        let import = |hash| Digest::import_less_safe(digest, algorithm(hash)).ok();
        let Some(digest) = alg.hash().and_then(import) else { return false };
        alg.fits(self.kind)
            && signature.len() == self.signature_len
            && self
                .parsed_for(alg)
                .is_some_and(|key| key.verify_digest_sig(&digest, signature).is_ok())
    }

    fn parsed_for(&self, alg: SignatureAlgorithm) -> Option<&ParsedPublicKey> {
        match &self.parsed {
            Parsed::Point(key) => Some(key),
            Parsed::Rsa { key, by_alg } => {
                let (slot, parameters) = rsa_parameters(alg)?;
                let components = RsaPublicKeyComponents { n: key.n(), e: key.e() };
                let parse = || components.to_parsed_public_key(parameters).ok();
                by_alg[slot].get_or_init(parse).as_ref()
            }
        }
    }
}

fn parse_point(point: &PublicPoint) -> Result<ParsedPublicKey, JwkError> {
    let algorithm: &'static dyn VerificationAlgorithm = match point.curve() {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED,
        Curve::Ed25519 => &ED25519,
        Curve::X25519 => return Err(JwkError("an X25519 key verifies no signatures".into())),
    };
    check_point(point).map_err(|error| JwkError(error.to_string()))?;
    ParsedPublicKey::new(algorithm, point.as_bytes()).map_err(|_| refused())
}

fn rsa_parameters(alg: SignatureAlgorithm) -> Option<(usize, &'static RsaParameters)> {
    match alg {
        SignatureAlgorithm::Rs256 => Some((0, &RSA_PKCS1_2048_8192_SHA256)),
        SignatureAlgorithm::Rs384 => Some((1, &RSA_PKCS1_2048_8192_SHA384)),
        SignatureAlgorithm::Rs512 => Some((2, &RSA_PKCS1_2048_8192_SHA512)),
        SignatureAlgorithm::Ps256 => Some((3, &RSA_PSS_2048_8192_SHA256)),
        SignatureAlgorithm::Ps384 => Some((4, &RSA_PSS_2048_8192_SHA384)),
        SignatureAlgorithm::Ps512 => Some((5, &RSA_PSS_2048_8192_SHA512)),
        _ => None,
    }
}

fn refused() -> JwkError {
    JwkError("public key refused by the cryptographic library".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::base64url;

    fn octets(text: &str) -> Vec<u8> {
        base64url::decode(text.as_bytes()).unwrap()
    }

    /// RFC 8037 appendix A.4 and A.5.
    #[test]
    fn an_ed25519_signature_is_that_of_one_message() {
        let x = octets("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let point = PublicPoint::new(Curve::Ed25519, x).unwrap();
        let key = VerifyingKey::new(&PublicKey::Point(point)).unwrap();
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = octets(
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        );
        assert!(key.verify(SignatureAlgorithm::EdDsa, message, &signature));
        assert!(key.verify(SignatureAlgorithm::Ed25519, message, &signature));
        assert!(!key.verify(SignatureAlgorithm::Es256, message, &signature));
        assert!(!key.verify(SignatureAlgorithm::EdDsa, &message[1..], &signature));
        assert!(!key.verify(SignatureAlgorithm::EdDsa, message, &signature[1..]));
        assert!(!key.verify(SignatureAlgorithm::EdDsa, message, b""));
    }

    #[test]
    fn an_ed25519_key_that_verifies_anything_is_refused() {
        let mut identity = vec![0; 32];
        identity[0] = 1;
        let point = PublicPoint::new(Curve::Ed25519, identity.clone()).unwrap();
        // R = 0 * B = the identity and s = 0 satisfy s * B = R + h * A for every message.
        let forged = [identity.as_slice(), &[0; 32]].concat();
        let unchecked = ParsedPublicKey::new(&ED25519, point.as_bytes()).unwrap();
        assert!(unchecked.verify_sig(b"anything", &forged).is_ok());
        assert!(VerifyingKey::new(&PublicKey::Point(point)).is_err());
    }

    #[test]
    fn keys_that_verify_nothing_are_refused() {
        let agreement = PublicPoint::new(Curve::X25519, vec![9; 32]).unwrap();
        let off_curve = PublicPoint::new(Curve::P256, [&[4], [1; 64].as_slice()].concat()).unwrap();
        for point in [agreement, off_curve] {
            assert!(VerifyingKey::new(&PublicKey::Point(point)).is_err());
        }
        let mut n = vec![0xff; 256];
        let long_exponent = RsaPublic::new(&n, &[0xff; 8]).unwrap();
        assert!(VerifyingKey::new(&PublicKey::Rsa(long_exponent)).is_err());
        n[0] = 0x80;
        let key = VerifyingKey::new(&PublicKey::Rsa(RsaPublic::new(&n, &[1, 0, 1]).unwrap()));
        let key = key.unwrap();
        for alg in SignatureAlgorithm::ALL {
            for len in [0, 255, 256, 257] {
                assert!(!key.verify(*alg, b"message", &vec![1; len]));
            }
        }
    }
}

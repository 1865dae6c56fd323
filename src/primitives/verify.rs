//! Signature verification with public keys.

use std::sync::OnceLock;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use super::ecdh::check_point;
use crate::jose::alg::{Curve, KeyKind, SignatureAlgorithm};
use crate::jose::jwk::{JwkError, PublicKey, PublicPoint, RsaPublic};

/// A public key that verifies signatures, parsed once.
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
    /// A key that cannot verify signatures (X25519), or that the library refuses (RSA: an exponent
    /// of more than 33 bits).
    pub fn new(key: &PublicKey) -> Result<Self, JwkError> {
        let kind = key.kind();
        match key {
            PublicKey::Rsa(rsa) => {
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
    pub fn verify(&self, alg: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        alg.fits(self.kind)
            && signature.len() == self.signature_len
            && self.parsed_for(alg).is_some_and(|key| key.verify_sig(message, signature).is_ok())
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

//! What the signatures of a JWS vouch for, where there may be several.

use super::verify::Verified;
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::header::Header;
use crate::jose::jwk::PublicJwk;

/// Something that one or more signatures vouch for. Only a verification makes one.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let keystore = MemoryKeystore::new("test");
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let policy = Policy::of(Profile::Strict);
/// # let es256 = SignatureAlgorithm::Es256;
/// # let key = make(KeyAlgorithm::Sign(es256))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let parameters = hsm_jose::jws::JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// # use hsm_jose::jose::serialization::Serialization;
/// # let form = hsm_jose::jws::JwsForm { serialization: Serialization::General, ..Default::default() };
/// # let signer = hsm_jose::jws::Signer::new(&*key, &parameters);
/// # let token = hsm_jose::jws::sign_as(&[signer.clone(), signer], form, b"payload")?;
/// # let trusted = hsm_jose::jws::TrustedKeys::new(JwkSet { keys: vec![jwk] }, &policy);
/// use hsm_jose::jws::{Jws, Require};
///
/// let verified = Jws::parse(token.as_bytes(), &policy.jws)?.verify(&trusted, &Require::Any)?;
/// let (payload, signatures) = verified.into_parts();
/// assert_eq!(payload.as_bytes(), b"payload");
/// assert!(!signatures.is_empty());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct VerifiedJws<T> {
    pub(super) value: T,
    pub(super) signatures: Vec<VerifiedSignature>,
}

/// A signature that a trusted key verified.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// # use hsm_jose::jose::alg::SignatureAlgorithm;
/// # use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
/// # use hsm_jose::policy::{Policy, Profile};
/// # let keystore = MemoryKeystore::new("test");
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let make = |alg| keystore.generate_ephemeral(&KeySpec { shape, algs: vec![alg] });
/// # let policy = Policy::of(Profile::Strict);
/// # let es256 = SignatureAlgorithm::Es256;
/// # let key = make(KeyAlgorithm::Sign(es256))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let parameters = hsm_jose::jws::JwsParameters { alg: es256, kid: None, typ: None, cty: None };
/// # use hsm_jose::jose::serialization::Serialization;
/// # let form = hsm_jose::jws::JwsForm { serialization: Serialization::General, ..Default::default() };
/// # let signer = hsm_jose::jws::Signer::new(&*key, &parameters);
/// # let token = hsm_jose::jws::sign_as(&[signer.clone(), signer], form, b"payload")?;
/// # let trusted = hsm_jose::jws::TrustedKeys::new(JwkSet { keys: vec![jwk] }, &policy);
/// use hsm_jose::jws::{Jws, Require};
///
/// let verified = Jws::parse(token.as_bytes(), &policy.jws)?.verify(&trusted, &Require::All)?;
/// let second = &verified.signatures()[1];
/// assert_eq!((second.index(), second.alg()), (1, es256));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct VerifiedSignature {
    pub(super) index: usize,
    pub(super) header: Header,
    pub(super) alg: SignatureAlgorithm,
    pub(super) key: PublicJwk,
}

impl<T> VerifiedJws<T> {
    /// Returns what was verified.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Hands over what was verified.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the signatures that verified, in the order of the JWS: one or more. Of others that it
    /// has nothing is told.
    pub fn signatures(&self) -> &[VerifiedSignature] {
        &self.signatures
    }

    /// Hands over what was verified, with the signatures.
    pub fn into_parts(self) -> (T, Vec<VerifiedSignature>) {
        (self.value, self.signatures)
    }

    /// Hands over what an only signature verified.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are several.
    pub fn into_single(mut self) -> Result<Verified<T>> {
        match (self.signatures.pop(), self.signatures.len()) {
            (Some(signature), 0) => Ok(Verified::new(self.value, signature.header, signature.key)),
            _ => Err(Error::Usage("the token has several signatures".into())),
        }
    }
}

impl VerifiedSignature {
    /// Returns which signature of the JWS it is, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the protected header, which the signature covers; without members if there is none.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the algorithm that it verified under.
    pub fn alg(&self) -> SignatureAlgorithm {
        self.alg
    }

    /// Returns the trusted key that verified it.
    pub fn key(&self) -> &PublicJwk {
        &self.key
    }
}

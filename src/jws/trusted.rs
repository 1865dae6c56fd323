//! The keys whose signatures are believed, and the one place where a signature is checked by one.

use crate::error::{Error, Result};
use crate::jose::alg::{Purpose, SignatureAlgorithm};
use crate::jose::jwk::{JwkSet, PublicJwk};
use crate::policy::Policy;
use crate::primitives::verify::VerifyingKey;

/// How many keys are tried for a signature that names none: enough for any rotation, too few to burn
/// a verifier's time with a large set.
pub const MAX_CANDIDATES: usize = 16;

/// Keys whose signatures are believed, parsed once.
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
/// # let token = hsm_jose::jws::sign(&*key, &parameters, b"payload")?;
/// use hsm_jose::jws::{JwsToken, TrustedKeys};
///
/// let trusted = TrustedKeys::new(JwkSet { keys: vec![jwk] }, &policy);
/// let verified = JwsToken::parse(token.as_bytes(), &policy.jws)?.verify(&trusted)?;
/// assert_eq!(verified.get().as_bytes(), b"payload");
/// // Nobody is trusted by default.
/// assert!(JwsToken::parse(token.as_bytes(), &policy.jws)?.verify(&TrustedKeys::default()).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct TrustedKeys {
    keys: Vec<TrustedKey>,
    /// Keys that are not used: their kid and why.
    refused: Vec<(Option<String>, Error)>,
}

#[derive(Debug)]
struct TrustedKey {
    jwk: PublicJwk,
    verifying: VerifyingKey,
}

/// What a signature says of itself, as far as policy believes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed<'a> {
    pub(super) alg: SignatureAlgorithm,
    pub(super) kid: Option<&'a str>,
    pub(super) signature: &'a [u8],
}

/// What a signature is to be one of.
#[derive(Clone, Copy, Debug)]
pub(super) enum SigningInput<'a> {
    /// The JWS Signing Input.
    Message(&'a [u8]),
    /// Its digest, made with the hash of the algorithm.
    Digest(&'a [u8]),
}

impl TrustedKeys {
    /// Takes the keys of a set that verify signatures; keys for encryption are passed over.
    ///
    /// A key that policy or the library refuses is no reason to do without the others (RFC 7517
    /// section 5): only a token that means it is told why.
    pub fn new(set: JwkSet, policy: &Policy) -> Self {
        let mut trusted = Self::default();
        for jwk in set.keys.into_iter().filter(is_for_signatures) {
            let verifying = policy.check_partner_key(&jwk.key).and_then(|()| {
                VerifyingKey::new(&jwk.key).map_err(|error| {
                    Error::Policy(format!("a trusted key cannot be used: {error}"))
                })
            });
            match verifying {
                Ok(verifying) => trusted.keys.push(TrustedKey { jwk, verifying }),
                Err(error) => trusted.refused.push((jwk.kid, error)),
            }
        }
        trusted
    }

    /// Returns whether a key is bound to an issuer by its `iss`.
    pub(super) fn has_issuer(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.jwk.iss.as_deref() == Some(name))
    }

    /// Finds the key that made a signature of `input`; with `issuers`, only among the keys that are
    /// bound to one of them.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`]; [`Error::KeyNotFound`] or [`Error::Policy`] if no key could be
    /// tried.
    pub(super) fn signer_of(
        &self,
        input: SigningInput<'_>,
        claimed: Claimed<'_>,
        issuers: Option<&[&str]>,
    ) -> Result<&PublicJwk> {
        let Claimed { alg, signature, .. } = claimed;
        let verifies = |key: &&TrustedKey| match input {
            SigningInput::Message(message) => key.verifying.verify(alg, message, signature),
            SigningInput::Digest(digest) => key.verifying.verify_digest(alg, digest, signature),
        };
        let candidates = self.candidates(claimed, issuers)?;
        let count = candidates.len();
        match candidates.into_iter().take(MAX_CANDIDATES).find(verifies) {
            Some(signed_by) => Ok(&signed_by.jwk),
            None if count > MAX_CANDIDATES => Err(Error::Policy(format!(
                "{count} trusted keys could have signed the token, of which {MAX_CANDIDATES} are tried \
                 and did not: give keys and tokens a kid"
            ))),
            None => Err(Error::SignatureInvalid),
        }
    }

    /// Finds the keys that a signature can mean: those of its `kid`, then those without one, which can
    /// be meant by any; all that are allowed to do its `alg`. Two keys with one `kid` are both looked at (FAPI
    /// 2.0 security profile section 5.6).
    fn candidates(
        &self,
        claimed: Claimed<'_>,
        issuers: Option<&[&str]>,
    ) -> Result<Vec<&TrustedKey>> {
        let Claimed { alg, kid, .. } = claimed;
        let is_meant = |own: &Option<String>| match (kid, own) {
            (Some(kid), Some(own)) => kid == own,
            _ => true,
        };
        let is_of_issuer = |key: &PublicJwk| {
            issuers.is_none_or(|names| key.iss.as_deref().is_some_and(|iss| names.contains(&iss)))
        };
        let meant = self.keys.iter().filter(|key| is_meant(&key.jwk.kid));
        let named: Vec<_> = meant.filter(|key| is_of_issuer(&key.jwk)).collect();
        if named.is_empty() {
            if let Some((_, error)) = self.refused.iter().find(|(kid, _)| is_meant(kid)) {
                return Err(error.clone());
            }
            // There are keys of the issuers: this signature is by none of them.
            return Err(match issuers {
                Some(_) => Error::SignatureInvalid,
                None if kid.is_none() => {
                    Error::KeyNotFound("no key for signatures is among the trusted ones".into())
                }
                None => Error::KeyNotFound(
                    "no trusted key for signatures has the kid that the token names".into(),
                ),
            });
        }
        let fits = |key: &&TrustedKey| {
            let own = key.jwk.alg.as_deref();
            let is_own = own.is_none_or(|name| {
                SignatureAlgorithm::from_name(name).is_some_and(|own| own.is_same_as(alg))
            });
            is_own && alg.fits(key.jwk.key.kind())
        };
        let mut fitting: Vec<_> = named.into_iter().filter(fits).collect();
        fitting.sort_by_key(|key| key.jwk.kid.is_none());
        if fitting.is_empty() {
            return Err(Error::Policy(format!(
                "no trusted key that the token can mean is for {alg}"
            )));
        }
        Ok(fitting)
    }
}

/// Whether a key of a set, by its kind, `use` and `key_ops`, verifies signatures.
pub(crate) fn is_for_signatures(jwk: &PublicJwk) -> bool {
    let purpose = Purpose::Sign;
    jwk.leaves_room(purpose, purpose.public_operations()) && purpose.fits(jwk.key.kind())
}

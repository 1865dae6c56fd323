//! Verification with public keys that were registered, never with one that a token brings along.

use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::base64url;
use crate::jose::header::Header;
use crate::jose::jwk::{JwkSet, PublicJwk};
use crate::jose::serialization::{self, CompactJws, bounded};
use crate::policy::{JwsRules, Policy};
use crate::primitives::verify::VerifyingKey;
use crate::secret::Plaintext;
use zeroize::Zeroizing;

/// How many keys are tried for a token that names none: enough for any rotation, too few to burn a
/// verifier's time with a large set.
pub const MAX_CANDIDATES: usize = 16;

/// Keys whose signatures are believed, parsed once.
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

/// A JWS that policy has let through: parsed once, its header checked, no signature verified yet.
#[derive(Debug)]
pub struct JwsToken<'a> {
    /// The protected header.
    pub header: Header,
    /// Its `alg`.
    pub alg: SignatureAlgorithm,
    parts: CompactJws<'a>,
}

/// Something that a signature vouches for. Only a verification makes one.
#[derive(Debug)]
pub struct Verified<T> {
    value: T,
    header: Header,
    key: PublicJwk,
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

    /// Finds the keys that a header can mean: those of its `kid` (a key without one can be meant by
    /// any), that are allowed to do its `alg`. Two keys with one `kid` are both looked at (FAPI 2.0
    /// security profile section 5.6).
    fn candidates(&self, header: &Header, alg: SignatureAlgorithm) -> Result<Vec<&TrustedKey>> {
        let is_meant = |own: &Option<String>| match (header.kid(), own) {
            (Some(kid), Some(own)) => kid == own,
            _ => true,
        };
        let named: Vec<_> = self.keys.iter().filter(|key| is_meant(&key.jwk.kid)).collect();
        if named.is_empty() {
            if let Some((_, error)) = self.refused.iter().find(|(kid, _)| is_meant(kid)) {
                return Err(error.clone());
            }
            return Err(Error::KeyNotFound(
                "no trusted key has the kid that the token names".into(),
            ));
        }
        let fits = |key: &&TrustedKey| {
            let own = key.jwk.alg.as_deref();
            let is_own = own.is_none_or(|name| {
                SignatureAlgorithm::from_name(name).is_some_and(|own| own.is_same_as(alg))
            });
            is_own && alg.fits(key.jwk.key.kind())
        };
        let fitting: Vec<_> = named.into_iter().filter(fits).take(MAX_CANDIDATES).collect();
        if fitting.is_empty() {
            return Err(Error::Policy(format!(
                "no trusted key that the token can mean is for {alg}"
            )));
        }
        Ok(fitting)
    }
}

impl<'a> JwsToken<'a> {
    /// Parses a compact JWS and checks its header.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Policy`].
    pub fn parse(token: &'a [u8], rules: &JwsRules) -> Result<Self> {
        let text = bounded(token, rules.limits.max_token_len)?;
        let parts = CompactJws::split(text)?;
        let header = Header::parse(parts.protected)?;
        let alg = rules.check(&header)?;
        Ok(Self { header, alg, parts })
    }

    /// Verifies the signature and returns the payload.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`]; [`Error::KeyNotFound`] or [`Error::Policy`] if no key could be
    /// tried; [`Error::Malformed`] for a payload that is not base64url.
    pub fn verify(self, keys: &TrustedKeys) -> Result<Verified<Plaintext>> {
        let payload = self.parts.payload;
        let verified = self.verify_input(payload, keys)?;
        let value = Zeroizing::new(serialization::decode(payload, "payload")?);
        Ok(verified.map(|()| Plaintext::new(value)))
    }

    /// Verifies the signature of a token without payload (RFC 7515 appendix F) over `payload`.
    ///
    /// # Errors
    /// As [`JwsToken::verify`]; [`Error::Malformed`] too if the token has a payload of its own.
    pub fn verify_detached(self, payload: &[u8], keys: &TrustedKeys) -> Result<Verified<()>> {
        if !self.parts.payload.is_empty() {
            return Err(Error::Malformed("the token has a payload of its own".into()));
        }
        self.verify_input(&Zeroizing::new(base64url::encode(payload)), keys)
    }

    fn verify_input(self, payload: &str, keys: &TrustedKeys) -> Result<Verified<()>> {
        let candidates = keys.candidates(&self.header, self.alg)?;
        // The payload may come out of a JWE: no copy of it stays behind.
        let input = Zeroizing::new([self.parts.protected, payload].join("."));
        let signed_by = candidates
            .into_iter()
            .find(|key| key.verifying.verify(self.alg, input.as_bytes(), &self.parts.signature))
            .ok_or(Error::SignatureInvalid)?;
        Ok(Verified { value: (), header: self.header, key: signed_by.jwk.clone() })
    }
}

impl<T> Verified<T> {
    /// Returns what was verified.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Hands over what was verified.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the protected header that the signature covers.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the key that verified.
    pub fn key(&self) -> &PublicJwk {
        &self.key
    }

    /// Changes the form of what was verified.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Verified<U> {
        Verified { value: change(self.value), header: self.header, key: self.key }
    }
}

/// Whether a key of a set, by its kind, `use` and `key_ops`, verifies signatures.
pub(crate) fn is_for_signatures(jwk: &PublicJwk) -> bool {
    jwk.use_.as_deref().is_none_or(|value| value == "sig")
        && jwk
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.is_empty() || ops.iter().any(|op| op == "verify"))
        && SignatureAlgorithm::ALL.iter().any(|alg| alg.fits(jwk.key.kind()))
}

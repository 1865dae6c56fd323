//! JWK Sets: tolerant where they are consumed, strict where they are published (RFC 7517 section 5).

use std::collections::HashSet;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::alg::{KeyAlgorithm, Purpose};
use super::super::json::quotable;
use super::{Finding, JwkError, PublicJwk, Severity, parse_members, refuse_private};

/// A JWK Set as it is consumed: keys of unknown kinds are passed over (RFC 7517 section 5).
///
/// ```
/// use hsm_jose::jose::jwk::JwkSet;
///
/// // What this build does not know is passed over (RFC 7517 section 5).
/// let set = JwkSet::parse(br#"{"keys":[{"kty":"AKP","alg":"ML-DSA-44"}]}"#)?;
/// assert!(set.keys.is_empty());
/// assert!(JwkSet::parse(br#"{"keys":[{"kty":"EC","d":"AQ"}]}"#).is_err(), "a private key");
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    /// The keys that this build can use, in the order of the set.
    pub keys: Vec<PublicJwk>,
}

/// Which key of a set is meant. What is not given is not asked for.
///
/// ```
/// use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// use hsm_jose::jose::jwk::{JwkSet, SelectError, Selector};
///
/// let set = JwkSet::parse(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
/// let alg = Some(KeyAlgorithm::Sign(SignatureAlgorithm::EdDsa));
/// let meant = Selector { kid: Some("a"), alg, ..Selector::default() };
/// assert_eq!(set.select(&meant)?.kid.as_deref(), Some("a"));
///
/// let other = Selector { kid: Some("b"), ..meant };
/// assert_eq!(set.select(&other), Err(SelectError::UnknownKid));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Selector<'a> {
    /// The key's `kid`, octet by octet (RFC 7517 section 4.5).
    pub kid: Option<&'a str>,
    /// The SHA-256 of the key's certificate (RFC 7515 section 4.1.8), by the key's own `x5t#S256` or
    /// `x5c`.
    pub x5t_s256: Option<[u8; 32]>,
    /// An algorithm that the key does: it fits its kind, and its `alg` if it has one.
    pub alg: Option<KeyAlgorithm>,
    /// What the key is for, by its `use`, `key_ops`, `alg` and kind.
    pub purpose: Option<Purpose>,
}

/// Why a set has not one key that is meant.
///
/// ```
/// use hsm_jose::jose::jwk::{JwkSet, SelectError, Selector};
///
/// let meant = Selector { kid: Some("1"), ..Selector::default() };
/// assert_eq!(JwkSet::default().select(&meant).unwrap_err(), SelectError::UnknownKid);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No key has the `kid`.
    #[error("no key of the set has this kid")]
    UnknownKid,
    /// Keys have the `kid`, or none was asked for, and none of them is for this.
    #[error("no key of the set that can be meant is for this algorithm or use")]
    NoneFits,
    /// That many keys are meant.
    #[error("{0} keys of the set can be meant: name one by its kid")]
    Several(usize),
}

impl JwkSet {
    /// Parses a JWK Set, or a single JWK as a set of one.
    ///
    /// In a set, a key that this build cannot use is passed over: an unknown `kty` or `crv`, a member
    /// missing or misformed. A private member anywhere is refused. [`super::check`] tells which were
    /// passed over, and why.
    ///
    /// # Errors
    /// Bad JSON, a private member, `keys` missing or not an array, or a misformed single JWK.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        let members = parse_members(json)?;
        if members.contains_key("kty") {
            return Ok(Self { keys: vec![PublicJwk::from_members(&members)?] });
        }
        let Some(Value::Array(values)) = members.get("keys") else {
            return Err(JwkError::new("neither a JWK (no kty) nor a JWK Set (no array keys)"));
        };
        let mut keys = Vec::new();
        for value in values {
            let Value::Object(members) = value else {
                return Err(JwkError::new("a member of keys is not an object"));
            };
            refuse_private(members)?;
            keys.extend(PublicJwk::public_half(members));
        }
        Ok(Self { keys })
    }

    /// Returns the keys that are meant, in the order of the set. An unknown `use` or `alg` of a key is
    /// no match for any that is asked for.
    pub fn matching<'a>(&'a self, meant: &Selector<'_>) -> impl Iterator<Item = &'a PublicJwk> {
        let meant = *meant;
        self.keys.iter().filter(move |jwk| {
            meant.kid.is_none_or(|kid| jwk.kid.as_deref() == Some(kid))
                && meant.x5t_s256.is_none_or(|own| jwk.certificate_sha256() == Some(own))
                && jwk.is_for(&meant)
        })
    }

    /// Returns the one key that is meant.
    ///
    /// # Errors
    /// None, or several: which of them it is, is not for this function to guess.
    pub fn select(&self, meant: &Selector<'_>) -> Result<&PublicJwk, SelectError> {
        let mut matching = self.matching(meant);
        match (matching.next(), matching.count()) {
            (Some(jwk), 0) => Ok(jwk),
            (Some(_), others) => Err(SelectError::Several(others + 1)),
            (None, _) => {
                let has_kid = |kid| self.keys.iter().any(|jwk| jwk.kid.as_deref() == Some(kid));
                match meant.kid {
                    Some(kid) if !has_kid(kid) => Err(SelectError::UnknownKid),
                    _ => Err(SelectError::NoneFits),
                }
            }
        }
    }

    /// Returns the set as it is published: the keys in their order, the members of each in the order
    /// of their names. What is returned has been read again, as a reader will: [`JwkSet::parse`] makes
    /// the same keys of it, and [`check`](super::check) finds no fault with any of them at the time
    /// `at`, which is that for the dates of certificates. Remarks are no reason against it. A set
    /// without keys is published too.
    ///
    /// # Errors
    /// The first key, and its member, that is not fit: without `kid`, or with that of a key before it;
    /// with a fault; a set of more values than are taken
    /// ([`MAX_VALUES`](crate::jose::json::MAX_VALUES)).
    pub fn to_published(&self, at: SystemTime) -> Result<Value, JwkError> {
        let mut kids = HashSet::new();
        for jwk in &self.keys {
            let kid = jwk.kid.as_deref().unwrap_or_default();
            let shown = quotable(kid);
            if kid.is_empty() || !kids.insert(kid) {
                return Err(JwkError(format!("the kid {shown:?} is missing or there twice")));
            }
            let mut findings = jwk.check(at).into_iter();
            if let Some(fault) = findings.find(|finding| finding.severity == Severity::Fault) {
                let Finding { member, what, .. } = fault;
                return Err(JwkError(format!("the key {shown:?}: {member}: {what}")));
            }
        }
        let set = json!({ "keys": self.keys });
        let again = Self::parse(set.to_string().as_bytes())
            .map_err(|error| JwkError(format!("no reader would take the set: {error}")))?;
        match again.keys == self.keys {
            true => Ok(set),
            false => Err(JwkError::new("a reader would not find the same keys in the set")),
        }
    }
}

impl PublicJwk {
    /// Returns whether the key, by what is said of it and by its kind, is for an algorithm and a
    /// purpose; `kid` and certificate are not looked at.
    #[must_use]
    pub fn is_for(&self, meant: &Selector<'_>) -> bool {
        let does = |alg: KeyAlgorithm| {
            let own = self.alg.as_deref().map(KeyAlgorithm::from_name);
            alg.fits(self.key.kind())
                && own.is_none_or(|own| own.is_some_and(|own| own.is_same_as(alg)))
                && self.serves(alg.purpose())
        };
        meant.alg.is_none_or(does) && meant.purpose.is_none_or(|purpose| self.serves(purpose))
    }

    fn certificate_sha256(&self) -> Option<[u8; 32]> {
        self.x5t_s256.or_else(|| self.x5c.as_ref().map(|chain| chain.leaf().sha256()))
    }

    /// Whether `use`, `key_ops`, `alg` and kind leave room for a purpose.
    fn serves(&self, purpose: Purpose) -> bool {
        let is_of = |alg: KeyAlgorithm| alg.purpose() == purpose && alg.fits(self.key.kind());
        let own = self.alg.as_deref().map(KeyAlgorithm::from_name);
        self.leaves_room(purpose, purpose.operations())
            && own.map_or_else(|| KeyAlgorithm::all().any(is_of), |own| own.is_some_and(is_of))
    }

    /// Whether `use` and `key_ops` leave room for a purpose, of whose operations one has to be there. An
    /// empty `key_ops` says nothing: WebCrypto writes one for the public keys of an agreement.
    pub(crate) fn leaves_room(&self, purpose: Purpose, meant: &[&str]) -> bool {
        let operations = self.key_ops.as_deref().unwrap_or_default();
        self.use_.as_deref().is_none_or(|own| own == purpose.jwk_use())
            && (operations.is_empty() || operations.iter().any(|own| meant.contains(&own.as_str())))
    }
}

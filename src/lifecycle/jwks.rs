//! What is published of the keys: public JWKs, and the JWK Set.

use std::time::SystemTime;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, Purpose};
use crate::jose::json::quotable;
use crate::jose::jwk::{JwkSet, PublicJwk};
use crate::keyring::{KeyEntry, KeyRef, KeyState, KeyVersion, Keyring};

/// Makes the JWK Set of a keyring, as [`published_keys`] chooses them.
///
/// # Errors
/// [`Error::Config`] if it is not fit to be published, with the key it fails on.
pub fn jwks(keyring: &Keyring) -> Result<Value> {
    let set = published_keys(keyring).to_published(SystemTime::now());
    set.map_err(|error| Error::Config(format!("the JWK Set was not published: {error}")))
}

/// Returns the keys of a keyring that are published: signing keys that are active or retiring (their signatures are
/// still about), decryption keys that are active (nothing new is to be encrypted to others). None that
/// [`KeyVersion::weakness`] tells of.
///
/// Every key has its `kid` and `use`, and `alg` where it is bound to exactly one. The order is that
/// of the keyring. [`JwkSet::to_published`] checks that they are fit to be published, and no kid is there twice.
pub fn published_keys(keyring: &Keyring) -> JwkSet {
    let is_published = |found: &KeyRef<'_>| match found.key.purpose {
        Purpose::Sign => found.version.state.serves(),
        Purpose::Decrypt => found.version.state == KeyState::Active,
    };
    JwkSet { keys: keyring.versions().filter(is_published).filter_map(published).collect() }
}

/// Returns the public JWK of a version as it is published; `None` if it has no public half, or one that
/// [`KeyVersion::weakness`] tells of.
pub fn published(found: KeyRef<'_>) -> Option<PublicJwk> {
    let KeyRef { key: KeyEntry { algs, .. }, version, .. } = found;
    if version.weakness().is_some() {
        return None;
    }
    Some(published_version(version.public.as_ref()?, version, algs))
}

pub(super) fn published_version(
    public: &PublicJwk,
    version: &KeyVersion,
    algs: &[KeyAlgorithm],
) -> PublicJwk {
    let mut jwk = PublicJwk::bare(public.key.clone());
    jwk.kid.clone_from(&version.kid);
    jwk.use_ = algs.first().map(|alg| alg.purpose().jwk_use().to_owned());
    jwk.alg = match algs {
        [alg] => Some(alg.name().to_owned()),
        _ => None,
    };
    jwk
}

/// Checks that what a JWK says of itself agrees with what its key shall be bound to.
pub(super) fn check_claims(jwk: &PublicJwk, purpose: Purpose, algs: &[KeyAlgorithm]) -> Result<()> {
    Stated::of(jwk).check(purpose, purpose.operations(), algs)
}

/// Checks the same of a private JWK, whose `key_ops` have to leave room for its private half: a key
/// that is to verify alone does not come to sign.
pub(super) fn check_private_claims(
    jwk: &PublicJwk,
    purpose: Purpose,
    algs: &[KeyAlgorithm],
) -> Result<()> {
    Stated::of(jwk).check(purpose, purpose.private_operations(), algs)
}

/// What a JWK says of its key.
pub(super) struct Stated<'a> {
    pub(super) use_: &'a Option<String>,
    pub(super) key_ops: &'a Option<Vec<String>>,
    pub(super) alg: &'a Option<String>,
}

impl<'a> Stated<'a> {
    fn of(jwk: &'a PublicJwk) -> Self {
        Self { use_: &jwk.use_, key_ops: &jwk.key_ops, alg: &jwk.alg }
    }

    /// Checks that it agrees with what the key shall be bound to, and do: one of `meant`.
    pub(super) fn check(
        &self,
        purpose: Purpose,
        meant: &[&str],
        algs: &[KeyAlgorithm],
    ) -> Result<()> {
        if let Some(own) = self.use_.as_deref().filter(|own| *own != purpose.jwk_use()) {
            return Err(Error::Usage(format!(
                "the key says use {:?}, and the key shall be for {:?}",
                quotable(own),
                purpose.jwk_use()
            )));
        }
        // An empty list says nothing: WebCrypto writes one for the public keys of an agreement.
        let operations = self.key_ops.as_deref().unwrap_or_default();
        let is_meant = |own: &String| meant.contains(&own.as_str());
        if !operations.is_empty() && !operations.iter().any(is_meant) {
            return Err(Error::Usage(format!(
                "the key has none of the key_ops that a key for {:?} has: {}",
                purpose.jwk_use(),
                meant.join(", ")
            )));
        }
        let is_named = |name: &str| match KeyAlgorithm::from_name(name) {
            Some(own) => algs.iter().any(|alg| alg.is_same_as(own)),
            // The key of `dir` is that of its enc, which is what a JWK may name (RFC 7517 section
            // 4.4; RFC 7520 section 5.6.1).
            None => {
                let is_dir = algs == [KeyAlgorithm::Unwrap(KeyManagement::Dir)];
                is_dir && ContentEncryption::from_name(name).is_some()
            }
        };
        match self.alg.as_deref() {
            Some(own) if !is_named(own) => {
                let own = quotable(own);
                Err(Error::Usage(format!("the key says alg {own:?}, which `algs` does not name")))
            }
            _ => Ok(()),
        }
    }
}

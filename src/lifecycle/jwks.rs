//! What is published of the keys: public JWKs, and the JWK Set.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement, Purpose};
use crate::jose::json::quotable;
use crate::jose::jwk::{PRIVATE_MEMBERS, PublicJwk};
use crate::keyring::{KeyEntry, KeyRef, KeyState, KeyVersion, Keyring};

/// Makes the JWK Set of a keyring: signing keys that are active or retiring (their signatures are
/// still about), decryption keys that are active (nothing new is to be encrypted to others).
///
/// Every key has its `kid` and `use`, and `alg` where it is bound to exactly one. The order is that
/// of the keyring. What is returned has been checked to hold no private member and no kid twice.
///
/// # Errors
/// [`Error::Config`] if the check fails, with the key it fails on.
pub fn jwks(keyring: &Keyring) -> Result<Value> {
    let is_published = |found: &KeyRef<'_>| match found.key.purpose {
        Purpose::Sign => found.version.state.serves(),
        Purpose::Decrypt => found.version.state == KeyState::Active,
    };
    let keys: Vec<PublicJwk> =
        keyring.versions().filter(is_published).filter_map(published).collect();
    let set = json!({ "keys": keys });
    check(&set.to_string())?;
    Ok(set)
}

/// Returns the public JWK of a version as it is published; `None` if it has no public half.
pub fn published(found: KeyRef<'_>) -> Option<PublicJwk> {
    let KeyRef { key: KeyEntry { algs, .. }, version, .. } = found;
    Some(published_version(version.public.as_ref()?, version, algs))
}

pub(super) fn published_version(
    public: &PublicJwk,
    version: &KeyVersion,
    algs: &[KeyAlgorithm],
) -> PublicJwk {
    let mut jwk = PublicJwk::bare(public.key.clone());
    jwk.kid.clone_from(&version.kid);
    jwk.use_ = algs.first().map(|alg| use_of(alg.purpose()).to_owned());
    jwk.alg = match algs {
        [alg] => Some(alg.name().to_owned()),
        _ => None,
    };
    jwk
}

/// Checks that what a JWK says of itself agrees with what its key shall be bound to.
pub(super) fn check_claims(jwk: &PublicJwk, purpose: Purpose, algs: &[KeyAlgorithm]) -> Result<()> {
    Stated { use_: &jwk.use_, key_ops: &jwk.key_ops, alg: &jwk.alg }.check(purpose, algs)
}

/// What a JWK says of its key.
pub(super) struct Stated<'a> {
    pub(super) use_: &'a Option<String>,
    pub(super) key_ops: &'a Option<Vec<String>>,
    pub(super) alg: &'a Option<String>,
}

impl Stated<'_> {
    /// Checks that it agrees with what the key shall be bound to.
    pub(super) fn check(&self, purpose: Purpose, algs: &[KeyAlgorithm]) -> Result<()> {
        if let Some(own) = self.use_.as_deref().filter(|own| *own != use_of(purpose)) {
            return Err(Error::Usage(format!(
                "the JWK says use {:?}, and the key shall be for {:?}",
                quotable(own),
                use_of(purpose)
            )));
        }
        // An empty list says nothing: WebCrypto writes one for the public keys of an agreement.
        let operations = self.key_ops.as_deref().unwrap_or_default();
        let is_meant = |own: &String| operations_of(purpose).contains(&own.as_str());
        if !operations.is_empty() && !operations.iter().any(is_meant) {
            return Err(Error::Usage(format!(
                "the JWK has none of the key_ops that a key for {:?} has: {}",
                use_of(purpose),
                operations_of(purpose).join(", ")
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
                Err(Error::Usage(format!("the JWK says alg {own:?}, which --alg does not name")))
            }
            _ => Ok(()),
        }
    }
}

fn use_of(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Decrypt => "enc",
        Purpose::Sign => "sig",
    }
}

/// The operations of either half of a key (RFC 7517 section 4.3).
fn operations_of(purpose: Purpose) -> &'static [&'static str] {
    match purpose {
        Purpose::Decrypt => {
            &["decrypt", "encrypt", "unwrapKey", "wrapKey", "deriveKey", "deriveBits"]
        }
        Purpose::Sign => &["sign", "verify"],
    }
}

/// Looks at the serialized set, as a reader will.
fn check(text: &str) -> Result<()> {
    let wrong = |what: String| Error::Config(format!("the JWK Set was not published: {what}"));
    let set: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut kids = HashSet::new();
    for key in set["keys"].as_array().into_iter().flatten() {
        let kid = key["kid"].as_str().unwrap_or_default();
        if let Some(name) = PRIVATE_MEMBERS.iter().find(|name| key.get(**name).is_some()) {
            return Err(wrong(format!("the key {kid:?} has the private member {name:?}")));
        }
        if kid.is_empty() || !kids.insert(kid.to_owned()) {
            return Err(wrong(format!("the kid {kid:?} is missing or there twice")));
        }
    }
    Ok(())
}

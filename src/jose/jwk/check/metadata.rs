//! What a JWK says of its key: whether it can be read, is known, and agrees with itself.

use std::collections::HashSet;
use std::time::SystemTime;

use super::super::super::alg::{KeyAlgorithm, Purpose};
use super::super::super::refused;
use super::super::{PublicKey, optional_text};
use super::{Examination, public, quotable};

/// Every operation that RFC 7517 section 4.3 defines.
const OPERATIONS: [&str; 8] =
    ["sign", "verify", "encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"];

/// Those that only a private key does.
const PRIVATE_OPERATIONS: [&str; 3] = ["sign", "decrypt", "unwrapKey"];

/// Beginnings of the registered algorithms that need a symmetric key: no public key does them, and to
/// take one for such a key is an old attack.
const SYMMETRIC: [&str; 6] = ["HS", "A128", "A192", "A256", "PBES2", "dir"];

/// The two purposes, and what a key was found to say of them.
const PURPOSES: [Purpose; 2] = [Purpose::Sign, Purpose::Decrypt];

impl Examination<'_> {
    /// Checks all members but those that make the key.
    pub(super) fn metadata(&mut self, key: Option<&PublicKey>, at: SystemTime) {
        let kid = self.read("kid", public::kid(self.members));
        if kid.is_some_and(|kid| kid.is_empty() || kid.chars().any(char::is_control)) {
            self.fault("kid", "empty, or with control characters");
        }
        self.read("iss", optional_text(self.members, "iss"));
        let purpose = self.use_(key);
        self.key_ops(key, purpose);
        self.alg(key, purpose);
        self.x509(key, purpose, at);
    }

    /// Checks `use`, and returns the purpose that it names.
    fn use_(&mut self, key: Option<&PublicKey>) -> Option<Purpose> {
        let own = self.read("use", optional_text(self.members, "use"))?;
        let Some(purpose) = PURPOSES.into_iter().find(|purpose| purpose.jwk_use() == own) else {
            let own = quotable(&own);
            self.remark("use", format!("{own:?} is not known here: the key is not used"));
            return None;
        };
        if let Some(kind) = key.map(PublicKey::kind).filter(|kind| !purpose.fits(*kind)) {
            self.fault("use", format!("{own:?} is not for a key of {kind}"));
        }
        Some(purpose)
    }

    /// Checks `key_ops` (RFC 7517 section 4.3).
    fn key_ops(&mut self, key: Option<&PublicKey>, purpose: Option<Purpose>) {
        let Some(operations) = self.read("key_ops", public::key_ops(self.members)) else { return };
        let is_of = |purpose: Purpose, operation: &String| {
            purpose.operations().contains(&operation.as_str())
        };
        let kind = key.map(PublicKey::kind);
        let serves = |purpose: Purpose| {
            kind.is_none_or(|kind| purpose.fits(kind))
                && operations.iter().any(|own| purpose.public_operations().contains(&own.as_str()))
        };
        if !operations.is_empty() && !PURPOSES.into_iter().any(serves) {
            self.remark("key_ops", "none of them is done with this key here: it is not used");
        }
        let mut seen = HashSet::new();
        for operation in &operations {
            let shown = quotable(operation);
            if !seen.insert(operation) {
                self.fault("key_ops", format!("{shown:?} twice"));
            } else if !OPERATIONS.contains(&operation.as_str()) {
                self.remark("key_ops", format!("{shown:?} is not known here"));
            } else if PRIVATE_OPERATIONS.contains(&operation.as_str()) {
                self.remark("key_ops", format!("{shown:?} is not done with a public key"));
            }
        }
        let other = purpose.and_then(|purpose| {
            let is_other = |operation: &&String| {
                PURPOSES.into_iter().any(|other| other != purpose && is_of(other, operation))
            };
            operations.iter().find(is_other).map(|operation| (purpose.jwk_use(), operation))
        });
        match other {
            Some((use_, operation)) => {
                self.fault("key_ops", format!("{operation:?} is not for use {use_:?}"));
            }
            None => {
                if PURPOSES.into_iter().all(|one| operations.iter().any(|op| is_of(one, op))) {
                    self.remark("key_ops", "both to sign and to encrypt (RFC 7517 section 4.3)");
                }
            }
        }
    }

    /// Checks that `alg` fits the key and agrees with `use` and `key_ops`.
    fn alg(&mut self, key: Option<&PublicKey>, purpose: Option<Purpose>) {
        let Some(name) = self.read("alg", optional_text(self.members, "alg")) else { return };
        let shown = quotable(&name).to_owned();
        let is_asymmetric = key.is_some();
        if is_asymmetric && SYMMETRIC.iter().any(|beginning| name.starts_with(beginning)) {
            return self.fault("alg", format!("{shown:?} needs a symmetric key"));
        }
        let Some(alg) = KeyAlgorithm::from_name(&name) else {
            let what = match refused::find(&name) {
                Some(refused) if refused.name == "none" => {
                    return self.fault("alg", "\"none\" is for no key");
                }
                Some(refused) if refused.on_purpose => {
                    format!("is refused on purpose ({})", refused.why)
                }
                Some(refused) => format!("is not in this build ({})", refused.why),
                None => "is not known here".into(),
            };
            return self.remark("alg", format!("{shown:?} {what}: the key is not used"));
        };
        if let Some(kind) = key.map(PublicKey::kind).filter(|kind| !alg.fits(*kind)) {
            self.fault("alg", format!("{shown:?} is not for a key of {kind}"));
        }
        let own = alg.purpose();
        if let Some(other) = purpose.filter(|purpose| *purpose != own) {
            self.fault("alg", format!("{shown:?} is not for use {:?}", other.jwk_use()));
        }
        let operations = public::key_ops(self.members).ok().flatten().unwrap_or_default();
        let is_own = |operation: &String| own.operations().contains(&operation.as_str());
        if !operations.is_empty() && !operations.iter().any(is_own) {
            self.fault("alg", format!("{shown:?} is none of the key_ops"));
        }
    }

    /// Checks `x5u`, `x5c`, `x5t` and `x5t#S256` (RFC 7517 sections 4.6 to 4.9).
    fn x509(&mut self, key: Option<&PublicKey>, purpose: Option<Purpose>, at: SystemTime) {
        let x5u = self.read("x5u", public::x5u(self.members));
        if x5u.is_some_and(|x5u| !x5u.starts_with("https://")) {
            self.fault("x5u", "not an https URL (RFC 7517 section 4.6)");
        }
        let x5t = self.read("x5t", public::thumbprint::<20>(self.members, "x5t"));
        let x5t_s256 = self.read("x5t#S256", public::thumbprint::<32>(self.members, "x5t#S256"));
        let Some(chain) = self.read("x5c", public::x5c(self.members)) else { return };
        let leaf = chain.leaf();
        match (leaf.key(), key) {
            (Ok(own), Some(key)) if own.key != *key => {
                self.fault("x5c", "the first certificate is that of another key");
            }
            (Err(error), _) => self.fault("x5c", format!("the first certificate: {error}")),
            _ => {}
        }
        if x5t_s256.is_some_and(|own| own != leaf.sha256()) {
            self.fault("x5t#S256", "not that of the first certificate of x5c");
        }
        if x5t.is_some_and(|own| own != leaf.sha1()) {
            self.fault("x5t", "not that of the first certificate of x5c");
        }
        if !chain.is_in_order() {
            self.fault("x5c", "not in order: each certificate is followed by that of its issuer");
        }
        if purpose.is_some_and(|purpose| !leaf.serves(purpose)) {
            self.fault("use", "against the key usage of the first certificate of x5c");
        }
        for (index, certificate) in chain.certificates().iter().enumerate() {
            let (not_before, not_after) = certificate.validity();
            if at < not_before {
                self.fault("x5c", format!("certificate {index} is not valid yet"));
            } else if at > not_after {
                self.fault("x5c", format!("certificate {index} has expired"));
            }
        }
    }
}

//! Signatures outside a context.

use super::Engine;
use super::served::ServedKey;
use crate::backend::HardwareKey;
use crate::error::{Error, Result};
use crate::jose::alg::{KeyAlgorithm, Purpose, SignatureAlgorithm};
use crate::jws::{self, JwsParameters, JwsToken, TrustedKeys, Verified};
use crate::secret::Plaintext;

/// What a signature shall be; what is left out is chosen by the key and policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignOptions<'a> {
    /// The `alg`, one of the key's own.
    pub alg: Option<SignatureAlgorithm>,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
    /// Leave the payload out of the token (RFC 7515 appendix F).
    pub detached: bool,
}

impl Engine {
    /// Signs a payload with the active version of the key called `key`.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::Usage`] for a key that is not for signing, or not for the
    /// `alg`; [`Error::Policy`]; or a device fault.
    pub fn sign(&self, key: &str, options: &SignOptions<'_>, payload: &[u8]) -> Result<String> {
        let (handle, key, alg) = self.signer(key, options.alg)?;
        let SignOptions { typ, cty, detached, .. } = *options;
        let parameters = JwsParameters { alg, kid: Some(&key.kid), typ, cty };
        match detached {
            true => jws::sign_detached(handle, &parameters, payload),
            false => jws::sign(handle, &parameters, payload),
        }
    }

    /// Verifies a JWS with keys that the caller trusts.
    ///
    /// # Errors
    /// As [`JwsToken::verify`].
    pub fn verify(&self, token: &[u8], keys: &TrustedKeys) -> Result<Verified<Plaintext>> {
        JwsToken::parse(token, &self.policy.jws)?.verify(keys)
    }

    /// The active version of a signing key, and the algorithm it shall sign with: the one asked for,
    /// or the first of its own that policy allows.
    pub(super) fn signer(
        &self,
        name: &str,
        asked: Option<SignatureAlgorithm>,
    ) -> Result<(&dyn HardwareKey, &ServedKey, SignatureAlgorithm)> {
        let key = self.keys.active(name, Purpose::Sign)?;
        let own = key.entry.algs.iter().filter_map(|alg| match alg {
            KeyAlgorithm::Sign(alg) => Some(*alg),
            KeyAlgorithm::Unwrap(_) => None,
        });
        let alg = match asked {
            Some(asked) if own.clone().any(|alg| alg.is_same_as(asked)) => Some(asked),
            Some(asked) => {
                return Err(Error::Usage(format!("key {name} is not for {asked}")));
            }
            None => own.clone().find(|alg| self.policy.jws.algs.contains(*alg)),
        };
        let alg = alg.filter(|alg| self.policy.jws.algs.contains(*alg)).ok_or_else(|| {
            Error::Policy(format!(
                "key {name} has no algorithm that policy allows ({})",
                self.policy.jws.algs
            ))
        })?;
        Ok((self.keys.handle(key)?, key, alg))
    }
}

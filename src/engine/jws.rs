//! Signatures outside a context.

use std::io::Read;

use super::Engine;
use super::served::ServedKey;
use crate::backend::HardwareKey;
use crate::error::{Error, Result};
use crate::jose::alg::{KeyAlgorithm, Purpose, SignatureAlgorithm};
use crate::jws::{self, Among, Jws, JwsForm, JwsParameters, Require, Signer, TrustedKeys};
use crate::jws::{Authenticated, Verified, VerifiedJws};
use crate::policy::{AllowList, Policy};
use crate::secret::Plaintext;

/// What a signature shall be; what is left out is chosen by the key and policy.
///
/// ```
/// use hsm_jose::engine::SignOptions;
///
/// let options = SignOptions { typ: Some("JOSE"), detached: true, ..SignOptions::default() };
/// assert!(options.alg.is_none(), "the key and policy choose");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SignOptions<'a> {
    /// The `alg`, one of the key's own.
    pub alg: Option<SignatureAlgorithm>,
    /// `typ`.
    pub typ: Option<&'a str>,
    /// `cty`.
    pub cty: Option<&'a str>,
    /// Leave the payload out of the token (RFC 7515 appendix F). For [`Engine::sign`] only: a
    /// [`JwsForm`] says it for others.
    pub detached: bool,
}

impl Engine {
    /// Signs a payload with the active version of the key called `key`, into a compact JWS.
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

    /// Returns the active version of the key called `key` as a signer, for [`Engine::sign_as`].
    ///
    /// # Errors
    /// As [`Engine::sign`].
    pub fn signer_named(&self, key: &str, options: &SignOptions<'_>) -> Result<Signer<'_>> {
        let (handle, key, alg) = self.signer(key, options.alg)?;
        let SignOptions { typ, cty, .. } = *options;
        Ok(Signer::new(handle, &JwsParameters { alg, kid: Some(&key.kid), typ, cty }))
    }

    /// Signs a payload by each of `signers`, in any form.
    ///
    /// # Errors
    /// [`Error::Policy`]: a header that policy would not take itself; else as [`jws::sign_as`].
    pub fn sign_as(&self, signers: &[Signer<'_>], form: JwsForm, payload: &[u8]) -> Result<String> {
        self.check_signers(signers, form)?;
        jws::sign_as(signers, form, payload)
    }

    /// As [`Engine::sign_as`], detached, without holding the payload in memory.
    ///
    /// # Errors
    /// As [`Engine::sign_as`] and [`jws::sign_reader`].
    pub fn sign_reader(
        &self,
        signers: &[Signer<'_>],
        form: JwsForm,
        payload: impl Read,
    ) -> Result<String> {
        self.check_signers(signers, form)?;
        jws::sign_reader(signers, form, payload)
    }

    /// Verifies a JWS that has one signature, in any serialization, with keys that the caller trusts.
    ///
    /// # Errors
    /// As [`Jws::parse`] and [`Jws::verify`]; [`Error::Usage`] for one with several signatures, which
    /// is for [`Engine::verify_jws`].
    pub fn verify(&self, token: &[u8], keys: &TrustedKeys) -> Result<Verified<Plaintext>> {
        let jws = Jws::parse(token, &self.policy.jws)?;
        if jws.count() > 1 {
            return Err(Error::Usage(format!(
                "the token has {} signatures: say which must verify",
                jws.count()
            )));
        }
        jws.verify(keys, &Require::All)?.into_single()
    }

    /// Verifies a JWS with any number of signatures, in any serialization.
    ///
    /// # Errors
    /// As [`Jws::parse`] and [`Jws::verify`].
    pub fn verify_jws(
        &self,
        token: &[u8],
        keys: &TrustedKeys,
        require: &Require<'_>,
    ) -> Result<VerifiedJws<Plaintext>> {
        Jws::parse(token, &self.policy.jws)?.verify(keys, require)
    }

    /// Verifies the MAC of a JWS (`HS*`) with the active version of the symmetric key called `key`, in
    /// its device.
    ///
    /// # Errors
    /// As [`Jws::parse`] and [`Jws::authenticate`]; [`Error::KeyNotFound`]; [`Error::Usage`] for a key
    /// of another purpose.
    pub fn authenticate(&self, token: &[u8], key: &str) -> Result<Authenticated<Plaintext>> {
        let jws = Jws::parse(token, &self.policy.jws)?;
        let (key, kid, _) = self.mac_key(&jws, key, false, false)?;
        jws.authenticate(key, Some(kid))
    }

    /// As [`Engine::authenticate`], of a JWS without payload over `payload`.
    ///
    /// # Errors
    /// As [`Engine::authenticate`] and [`Jws::authenticate_detached`].
    pub fn authenticate_detached(
        &self,
        token: &[u8],
        payload: &[u8],
        key: &str,
    ) -> Result<Authenticated<()>> {
        let jws = Jws::parse(token, &self.policy.jws)?;
        let (key, kid, _) = self.mac_key(&jws, key, false, true)?;
        jws.authenticate_detached(payload, key, Some(kid))
    }

    /// As [`Engine::authenticate_detached`], without holding the payload in memory: where the key takes
    /// a reader ([`HardwareKey::takes_reader`]). A session of its device is taken until the reader ends; a
    /// TPM takes 1024 bytes at most (see [`HardwareKey::mac_reader`]).
    ///
    /// # Errors
    /// As [`Engine::authenticate`] and [`Jws::authenticate_reader`].
    pub fn authenticate_reader(
        &self,
        token: &[u8],
        payload: impl Read,
        key: &str,
    ) -> Result<Authenticated<()>> {
        let jws = Jws::parse(token, &self.policy.jws)?;
        let (key, kid, _) = self.mac_key(&jws, key, false, true)?;
        jws.authenticate_reader(payload, key, Some(kid))
    }

    /// As [`Engine::authenticate`], of a JWS with any number of signatures, of which one has to be the
    /// MAC of the key; nothing is said of the others.
    ///
    /// # Errors
    /// As [`Engine::authenticate`] and [`Jws::authenticate_any`].
    pub fn authenticate_any(&self, token: &[u8], key: &str) -> Result<Authenticated<Plaintext>> {
        let jws = Jws::parse(token, &self.policy.jws)?;
        let (key, kid, alg) = self.mac_key(&jws, key, true, false)?;
        jws.authenticate_any(alg, key, Some(kid))
    }

    /// As [`Engine::authenticate_any`], of a JWS without payload over `payload`.
    ///
    /// # Errors
    /// As [`Engine::authenticate_any`] and [`Jws::authenticate_any_detached`].
    pub fn authenticate_any_detached(
        &self,
        token: &[u8],
        payload: &[u8],
        key: &str,
    ) -> Result<Authenticated<()>> {
        let jws = Jws::parse(token, &self.policy.jws)?;
        let (key, kid, alg) = self.mac_key(&jws, key, true, true)?;
        jws.authenticate_any_detached(payload, alg, key, Some(kid))
    }

    /// The active version of a symmetric key that the MAC of a JWS can be of: as far as the token
    /// tells, before the device of the key is asked for it.
    fn mac_key(
        &self,
        jws: &Jws<'_>,
        name: &str,
        any: bool,
        detached: bool,
    ) -> Result<(&dyn HardwareKey, &str, SignatureAlgorithm)> {
        let key = self.keys.active(name, Purpose::Sign)?;
        let mut macs = key.entry.algs.iter().filter_map(|alg| match alg {
            KeyAlgorithm::Sign(alg) if alg.is_symmetric() => Some(*alg),
            _ => None,
        });
        let (alg, among) = match any {
            // A symmetric key is bound to one.
            true => {
                let alg = macs.next();
                let alg =
                    alg.ok_or_else(|| Error::Policy(format!("key {name} verifies no MAC")))?;
                (alg, Among::Any(alg))
            }
            false => {
                let alg = jws.only_alg()?;
                if !macs.any(|own| own == alg) {
                    return Err(Error::Policy(format!("key {name} does not verify {alg}")));
                }
                (alg, Among::One)
            }
        };
        jws.check_claim(among, Some(&key.kid), detached)?;
        Ok((self.keys.handle(key)?, &key.kid, alg))
    }

    /// What policy would not take is not made.
    fn check_signers(&self, signers: &[Signer<'_>], form: JwsForm) -> Result<()> {
        signers.iter().try_for_each(|it| self.policy.jws.check(&it.protected(form)).map(drop))
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
        let alg = alg.filter(|alg| self.policy.jws.algs.contains(*alg));
        let alg = alg.ok_or_else(|| no_algorithm(name, &self.policy.jws.algs))?;
        Ok((self.keys.handle(key)?, key, alg))
    }

    /// The active version of the signing key of a context, and the first algorithm of its own that a
    /// context may name.
    pub(super) fn signer_in_context(
        &self,
        name: &str,
    ) -> Result<(&dyn HardwareKey, &ServedKey, SignatureAlgorithm)> {
        let key = self.keys.active(name, Purpose::Sign)?;
        let alg = key.entry.algs.iter().find_map(|own| match own {
            KeyAlgorithm::Sign(alg) if self.policy.allows_in_context(*own) => Some(*alg),
            _ => None,
        });
        let profile = Policy::of(self.policy.profile).jws.algs;
        let alg = alg.ok_or_else(|| no_algorithm(name, &profile))?;
        Ok((self.keys.handle(key)?, key, alg))
    }
}

fn no_algorithm(name: &str, allowed: &AllowList<SignatureAlgorithm>) -> Error {
    Error::Policy(format!("key {name} has no algorithm that policy allows ({allowed})"))
}

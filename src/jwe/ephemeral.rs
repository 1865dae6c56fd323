//! A decryption key for one request.

use std::cell::RefCell;
use std::sync::Arc;

use super::decrypt::{Attempt, Decrypted, decrypt};
use super::token::JweToken;
use crate::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
use crate::error::{Error, Result};
use crate::jose::alg::{KeyAlgorithm, KeyManagement};
use crate::jose::jwk::PublicJwk;
use crate::jwt::OuterKeys;
use crate::keyring::MAX_CANDIDATES;

/// A decryption key that is made for one request and used once: its public half is sent along with
/// the request, and the answer is encrypted to it (as OpenID for Verifiable Presentations 1.0 section
/// 8.3 has verifiers do).
///
/// It is in the memory of a device and in no keyring. [`EphemeralKey::decrypt`] takes it: once the device
/// has been asked with it, it is destroyed, whatever comes out; so it is when it is dropped unused. What
/// is refused before that, such as a token for another key, gives it back ([`NotOpened`]).
///
/// ```
/// use hsm_jose::backend::KeyShape;
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyManagement};
/// use hsm_jose::jose::serialization::Serialization;
/// use hsm_jose::jwe::{EphemeralKey, JweBuilder, JweToken, Recipient};
/// use hsm_jose::policy::{Policy, Profile};
///
/// let keystore = MemoryKeystore::new("test");
/// let alg = KeyManagement::EcdhEs;
/// let key = EphemeralKey::generate(&keystore, alg, KeyShape::Curve(Curve::P256))?;
///
/// // Whoever answers has the public half.
/// let recipient = Recipient::new(key.jwk().clone())?;
/// let answer = JweBuilder::new(ContentEncryption::A256Gcm)
///     .to(&recipient, alg)
///     .encrypt(Serialization::Compact, b"answer")?;
///
/// let token = JweToken::parse(answer.as_bytes(), &Policy::of(Profile::Strict).jwe)?;
/// assert_eq!(key.decrypt(token)?.plaintext.as_bytes(), b"answer");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
///
/// There is no second use:
///
/// ```compile_fail,E0382
/// # use hsm_jose::jwe::{Decrypted, EphemeralKey, JweToken};
/// fn twice(key: EphemeralKey, one: JweToken<'_>, two: JweToken<'_>) -> hsm_jose::Result<Decrypted> {
///     key.decrypt(one)?;
///     Ok(key.decrypt(two)?)
/// }
/// ```
#[derive(Debug)]
pub struct EphemeralKey {
    key: Arc<dyn HardwareKey>,
    alg: KeyManagement,
    jwk: PublicJwk,
}

/// Why nothing was opened with an ephemeral key, and the key, if no device has been asked with it: junk
/// that anyone can send does not cost it.
///
/// Where the key is not wanted, it is an [`Error`] like any other, and the key is destroyed.
///
/// ```
/// # use hsm_jose::backend::KeyShape;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyManagement};
/// # use hsm_jose::jose::serialization::Serialization;
/// # use hsm_jose::jwe::{JweBuilder, Recipient};
/// # use hsm_jose::policy::{Policy, Profile};
/// use hsm_jose::jwe::{EphemeralKey, JweToken};
///
/// # let (keystore, alg) = (MemoryKeystore::new("test"), KeyManagement::EcdhEs);
/// # let rules = Policy::of(Profile::Strict).jwe;
/// # let generate = || EphemeralKey::generate(&keystore, alg, KeyShape::Curve(Curve::P256));
/// let (key, other) = (generate()?, generate()?);
/// # let to = |key: &EphemeralKey| {
/// #     let recipient = Recipient::new(key.jwk().clone())?;
/// #     let jwe = JweBuilder::new(ContentEncryption::A256Gcm).to(&recipient, alg);
/// #     jwe.encrypt(Serialization::Compact, b"answer")
/// # };
/// let (junk, answer) = (to(&other)?, to(&key)?);
///
/// let refused = key.decrypt(JweToken::parse(junk.as_bytes(), &rules)?).unwrap_err();
/// let (_, key) = refused.into_parts();
/// let key = key.expect("no device has been asked");
/// assert!(key.decrypt(JweToken::parse(answer.as_bytes(), &rules)?).is_ok());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct NotOpened(Box<(Error, Option<EphemeralKey>)>);

/// An ephemeral key for whoever opens a token of a context.
#[derive(Debug)]
pub(crate) struct Once(RefCell<Option<EphemeralKey>>);

impl EphemeralKey {
    /// Makes a key for `alg` in the memory of a device.
    ///
    /// # Errors
    /// [`Error::Usage`], before the device is asked, for an algorithm of symmetric keys, a shape that
    /// does not fit, or a length that no RSA key is made with; else as
    /// [`Keystore::generate_ephemeral`].
    pub fn generate(keystore: &dyn Keystore, alg: KeyManagement, shape: KeyShape) -> Result<Self> {
        Self::check(alg, shape)?;
        let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(alg)] };
        let key = keystore.generate_ephemeral(&spec)?;
        let Some(public) = key.info().public.clone() else {
            return Err(Error::Usage("the device does not tell the public half".into()));
        };
        let jwk = PublicJwk {
            kid: Some(public.thumbprint()),
            use_: Some("enc".into()),
            alg: Some(alg.name().into()),
            ..PublicJwk::bare(public)
        };
        Ok(Self { key, alg, jwk })
    }

    /// Checks what [`EphemeralKey::generate`] refuses before the device is asked.
    pub(crate) fn check(alg: KeyManagement, shape: KeyShape) -> Result<()> {
        if alg.is_symmetric() {
            return Err(Error::Usage(format!("{alg} has no public half to send")));
        }
        if !alg.fits(shape.kind()) {
            return Err(Error::Usage(format!("{alg} does not work with a key of {shape}")));
        }
        shape.wrong_length().map_or(Ok(()), |what| Err(Error::Usage(what)))
    }

    /// Returns the public half, with `kid`, `use` and `alg`.
    pub fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// Decrypts the one answer. What is malformed or against policy is refused by [`JweToken::parse`],
    /// which takes no key.
    ///
    /// # Errors
    /// With the key: [`Error::KeyNotFound`] if no recipient of the token is this key, [`Error::Policy`] if
    /// too many could be. Without it: as [`decrypt`].
    pub fn decrypt(self, token: JweToken<'_>) -> std::result::Result<Decrypted, NotOpened> {
        let kind = self.jwk.key.kind();
        let is_meant =
            |kid: Option<&str>| kid.is_none_or(|kid| Some(kid) == self.jwk.kid.as_deref());
        let algs = [KeyAlgorithm::Unwrap(self.alg)];
        let meant = token
            .recipients()
            .iter()
            .enumerate()
            .filter(|(_, recipient)| is_meant(recipient.kid()) && recipient.fits(&algs, kind));
        let attempts: Vec<_> =
            meant.map(|(recipient, _)| Attempt { recipient, key: &*self.key }).collect();
        let refusal = match attempts.len() {
            0 => Error::KeyNotFound("the token is not for this ephemeral key".into()),
            1..=MAX_CANDIDATES => {
                return decrypt(token, &attempts).map_err(|error| NotOpened::new(error, None));
            }
            count => Error::Policy(format!(
                "{count} recipients of the token could be this key, at most {MAX_CANDIDATES} are tried"
            )),
        };
        drop(attempts);
        Err(NotOpened::new(refusal, Some(self)))
    }
}

impl NotOpened {
    fn new(error: Error, key: Option<EphemeralKey>) -> Self {
        Self(Box::new((error, key)))
    }

    /// Returns why.
    pub fn error(&self) -> &Error {
        &self.0.0
    }

    /// Returns why, and the key; `None` if a device has been asked with it.
    pub fn into_parts(self) -> (Error, Option<EphemeralKey>) {
        *self.0
    }
}

impl std::fmt::Display for NotOpened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for NotOpened {}

impl From<NotOpened> for Error {
    fn from(not_opened: NotOpened) -> Self {
        not_opened.into_parts().0
    }
}

impl Once {
    pub(crate) fn new(key: EphemeralKey) -> Self {
        Self(RefCell::new(Some(key)))
    }

    /// Says why nothing was opened, with the key if it is still there.
    pub(crate) fn not_opened(self, error: Error) -> NotOpened {
        NotOpened::new(error, self.0.into_inner())
    }
}

impl OuterKeys for Once {
    fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> Result<Decrypted> {
        let spent = || Error::KeyNotFound("the ephemeral key was used".into());
        let key = self.0.take().ok_or_else(spent)?;
        key.decrypt(token).map_err(|not_opened| {
            let (error, key) = not_opened.into_parts();
            self.0.replace(key);
            error
        })
    }
}

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
/// It is in the memory of a device and in no keyring. [`EphemeralKey::decrypt`] takes it, whatever
/// comes out, and with that it is destroyed; so it is when it is dropped unused.
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
///     key.decrypt(two)
/// }
/// ```
#[derive(Debug)]
pub struct EphemeralKey {
    key: Arc<dyn HardwareKey>,
    alg: KeyManagement,
    jwk: PublicJwk,
}

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
        if alg.is_symmetric() {
            return Err(Error::Usage(format!("{alg} has no public half to send")));
        }
        if !alg.fits(shape.kind()) {
            return Err(Error::Usage(format!("{alg} does not work with a key of {shape}")));
        }
        if let Some(what) = shape.wrong_length() {
            return Err(Error::Usage(what));
        }
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

    /// Returns the public half, with `kid`, `use` and `alg`.
    pub fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// Decrypts the one answer. A token that is to be refused before the key is spent is refused by
    /// [`JweToken::parse`].
    ///
    /// # Errors
    /// [`Error::KeyNotFound`] if no recipient of the token is this key; else as [`decrypt`].
    pub fn decrypt(self, token: JweToken<'_>) -> Result<Decrypted> {
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
        match attempts.len() {
            0 => Err(Error::KeyNotFound("the token is not for this ephemeral key".into())),
            1..=MAX_CANDIDATES => decrypt(token, &attempts),
            count => Err(Error::Policy(format!(
                "{count} recipients of the token could be this key, at most {MAX_CANDIDATES} are tried"
            ))),
        }
    }
}

impl Once {
    pub(crate) fn new(key: EphemeralKey) -> Self {
        Self(RefCell::new(Some(key)))
    }
}

impl OuterKeys for Once {
    fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> Result<Decrypted> {
        let spent = || Error::KeyNotFound("the ephemeral key was used".into());
        self.0.borrow_mut().take().ok_or_else(spent)?.decrypt(token)
    }
}

//! Decryption: the one place where a content encryption key is replaced by a random one.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::token::JweToken;
use crate::backend::{BackendError, Cek, CekPlacement, HardwareKey, HostCek};
use crate::error::{Error, Result};
use crate::jose::alg::KeyManagement;
use crate::jose::header::Header;
use crate::keyring::MAX_CANDIDATES;
use crate::secret::Plaintext;

/// A recipient of the token, and a key that could be its.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// use hsm_jose::jose::jwk::PublicJwk;
/// use hsm_jose::jose::serialization::Serialization;
/// use hsm_jose::jwe::{self, Attempt, JweBuilder, JweToken, Recipient};
/// use hsm_jose::policy::{Policy, Profile};
///
/// # fn main() -> hsm_jose::Result<()> {
/// let alg = KeyManagement::EcdhEsA256Kw;
/// let keystore = MemoryKeystore::new("memory");
/// let spec = KeySpec {
///     shape: KeyShape::Curve(Curve::P256),
///     algs: vec![KeyAlgorithm::Unwrap(alg)],
/// };
/// let key = keystore.generate(&keystore.new_locator("enc")?, &spec)?;
/// let public = key.info().public.clone().expect("a public half");
/// let recipient = Recipient::new(PublicJwk::bare(public))?;
/// let token = JweBuilder::new(ContentEncryption::A256Gcm)
///     .to(&recipient, alg)
///     .encrypt(Serialization::Flattened, b"content")?;
///
/// let token = JweToken::parse(token.as_bytes(), &Policy::of(Profile::Strict).jwe)?;
/// let decrypted = jwe::decrypt(token, &[Attempt { recipient: 0, key: &*key }])?;
/// assert_eq!(decrypted.plaintext.as_bytes(), b"content");
/// assert!(decrypted.unprotected().is_empty() && decrypted.aad().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'k> {
    /// The recipient's place in [`JweToken::recipients`].
    pub recipient: usize,
    /// The key. That it is for the recipient's `alg` is the caller's to see to: a device may do more
    /// with it (see [`HardwareKey`]).
    pub key: &'k dyn HardwareKey,
}

/// What decryption gives.
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
/// # let alg = KeyManagement::EcdhEsA256Kw;
/// # let key = make(KeyAlgorithm::Unwrap(alg))?;
/// # let jwk = PublicJwk::bare(key.info().public.clone().unwrap());
/// # let recipient = hsm_jose::jwe::Recipient::new(jwk.clone())?;
/// # let token = hsm_jose::jwe::JweBuilder::new(ContentEncryption::A256Gcm)
/// #     .to(&recipient, alg)
/// #     .encrypt(Default::default(), b"content")?;
/// use hsm_jose::jwe::{Attempt, JweToken, decrypt};
///
/// let token = JweToken::parse(token.as_bytes(), &policy.jwe)?;
/// let decrypted = decrypt(token, &[Attempt { recipient: 0, key: &*key }])?;
/// assert_eq!(decrypted.plaintext.as_bytes(), b"content");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct Decrypted {
    /// The content.
    pub plaintext: Plaintext,
    /// The protected header, which the content's tag vouches for.
    pub header: Header,
    /// Which of the attempts given was the one.
    pub attempt: usize,
    /// Which recipient of the token that was, from 0.
    pub recipient: usize,
    /// The `alg` of that recipient.
    pub alg: KeyManagement,
    /// Where the content encryption key was while it was used.
    pub cek_placement: CekPlacement,
    pub(crate) unprotected: Map<String, Value>,
    pub(crate) aad: Vec<u8>,
}

impl Decrypted {
    /// Returns what the recipient's header has beside the protected one: nothing vouches for it.
    pub fn unprotected(&self) -> &Map<String, Value> {
        &self.unprotected
    }

    /// Returns the additional authenticated data of a JSON serialization, which the content's tag
    /// vouches for; empty if there is none.
    pub fn aad(&self) -> &[u8] {
        &self.aad
    }
}

/// Decrypts with the keys that could be the one: one if the token names it, else the candidates of
/// its recipients. Every device is asked each time, and a token that does not open has been tried with
/// every key, so that neither the answer nor the time says which came close. Once the content is open it
/// is not decrypted again. The rules of the token say what `alg` it may have, not which key is for it: an
/// engine compares the keyring, whoever calls this his own list.
///
/// It takes the memory of the ciphertext, decrypted in place, and once more that of the ciphertext while
/// there are keys left to try.
///
/// # Errors
/// [`Error::Usage`] for no attempt, and for more than [`MAX_CANDIDATES`]; [`Error::Policy`] for `dir` with an `enc`
/// that the key's device does not do; [`Error::DecryptionFailed`], bare, on any fault of the token; a
/// device fault as [`Error::Backend`] where no key opened it.
pub fn decrypt(mut token: JweToken<'_>, attempts: &[Attempt<'_>]) -> Result<Decrypted> {
    if attempts.is_empty() {
        return Err(Error::Usage("no key was given to decrypt the token with".into()));
    }
    let count = token.recipients().len();
    if attempts.len() > MAX_CANDIDATES || attempts.iter().any(|it| it.recipient >= count) {
        return Err(Error::Usage(format!(
            "at most {MAX_CANDIDATES} keys are tried for a token, each for a recipient of it"
        )));
    }
    let mut ciphertext = std::mem::take(&mut token.ciphertext);
    let aad = token.parts.authenticated();
    let mut opened = None;
    let mut fault = Error::DecryptionFailed;
    for (place, attempt) in attempts.iter().enumerate() {
        // It can be long: it is there twice only while another attempt may need it.
        let content = match &opened {
            Some(_) => None,
            None if place + 1 == attempts.len() => {
                Some(Cow::Owned(std::mem::take(&mut ciphertext)))
            }
            None => Some(Cow::Borrowed(&ciphertext[..])),
        };
        match attempt.run(&token, aad.as_bytes(), content) {
            Ok(content) => {
                opened = Some((content, place));
                ciphertext = Vec::new();
            }
            Err(Error::DecryptionFailed) => {}
            Err(error) => fault = error,
        }
    }
    let Some(((plaintext, cek_placement), attempt)) = opened else { return Err(fault) };
    let place = attempts[attempt].recipient;
    let (recipient, alg) = (token.recipients()[place].index, token.recipients()[place].alg);
    drop(aad);
    let (header, unprotected, aad) = token.into_headers(place);
    Ok(Decrypted { plaintext, header, attempt, recipient, alg, cek_placement, unprotected, aad })
}

impl Attempt<'_> {
    /// Asks the device; decrypts the content, if another key has not done so.
    fn run(
        &self,
        token: &JweToken<'_>,
        aad: &[u8],
        content: Option<Cow<'_, [u8]>>,
    ) -> Result<(Plaintext, CekPlacement)> {
        let recipient = &token.recipients()[self.recipient];
        let request = recipient.recovery.request(&recipient.encrypted_key);
        // A direct key has no encrypted key (RFC 7516 section 5.2 step 10); one that is there is a
        // fault of the token like any other, found in the same way.
        let has_stray_key = recipient.recovery.is_direct() && !recipient.encrypted_key.is_empty();

        // RFC 7516 section 11.5: "the recipient MUST NOT distinguish between format, padding, and
        // length errors of encrypted keys. It is strongly recommended, in the event of receiving an
        // improperly formatted key, that the recipient substitute a randomly generated CEK and
        // proceed to the next step, to mitigate timing attacks." The substitute is made before the
        // device is asked.
        let substitute = HostCek::random(token.enc);
        let cek: Box<dyn Cek> = match self.key.unwrap_cek(&request, token.enc) {
            // A key that stays in the device decrypts there in any case, so that the device sees the
            // same calls; what comes out beside a stray key is thrown away.
            Ok(cek) if !has_stray_key || cek.placement() == CekPlacement::Device => cek,
            Ok(_) | Err(BackendError::Rejected) => Box::new(substitute),
            // Which enc the key of `dir` is used with is the token's choice, and no fault of the device.
            Err(BackendError::Unsupported { what, reason, .. })
                if recipient.alg == KeyManagement::Dir =>
            {
                return Err(Error::Policy(format!("{what} cannot be done by the key: {reason}")));
            }
            Err(error) => return Err(error.into()),
        };
        let (iv, tag) = (&token.iv, &token.tag);
        let opened = match content {
            // Nothing is left to decrypt: as if it had failed, for the device's sake.
            None => Err(BackendError::Rejected),
            Some(Cow::Owned(ciphertext)) => cek.decrypt_in_place(iv, aad, ciphertext, tag),
            Some(Cow::Borrowed(ciphertext)) => cek.decrypt(iv, aad, ciphertext, tag),
        };
        match opened {
            Ok(plaintext) if !has_stray_key => Ok((plaintext, cek.placement())),
            Ok(_) | Err(BackendError::Rejected) => {
                // Asked on every path that ends here, so that the device sees the same calls whatever
                // was wrong, and a dead device is never called a bad token.
                self.key.confirm_alive()?;
                Err(Error::DecryptionFailed)
            }
            Err(error) => Err(error.into()),
        }
    }
}

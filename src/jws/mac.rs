//! JWS with a MAC (`HS*`), alone or among several signatures: verified in the device that holds the
//! symmetric key, with a key that the caller names. No public key has a way in here, and no symmetric key into
//! [`TrustedKeys`](super::TrustedKeys).

use std::io::Read;

use super::several::{Checked, Jws};
use super::sign::told_of_message;
use super::stream::{self, SigningInput};
use crate::backend::{BackendError, HardwareKey};
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jose::header::Header;
use crate::keyring::MAX_CANDIDATES;
use crate::primitives::secret::is_equal;
use crate::secret::Plaintext;

/// Something that a MAC vouches for: a holder of the shared key made it. Which of them is not known,
/// so that this is no [`Verified`](super::Verified).
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// use hsm_jose::jws::{self, Jws, JwsParameters};
/// use hsm_jose::policy::{Policy, Profile};
///
/// # fn main() -> hsm_jose::Result<()> {
/// let alg = SignatureAlgorithm::Hs256;
/// let keystore = MemoryKeystore::new("memory");
/// let algs = vec![KeyAlgorithm::Sign(alg)];
/// let spec = KeySpec { shape: KeyShape::Oct { bits: 256 }, algs: algs.clone() };
/// let key = keystore.generate(&keystore.new_locator("shared")?, &spec)?;
/// let parameters = JwsParameters { alg, kid: None, typ: None, cty: None };
/// let token = jws::sign(&*key, &parameters, b"payload")?;
///
/// let policy = Policy::of(Profile::Strict).with_symmetric(&algs)?;
/// let jws = Jws::parse(token.as_bytes(), &policy.jws)?;
/// let authenticated = jws.authenticate(&*key, None)?;
/// assert_eq!(authenticated.get().as_bytes(), b"payload");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Authenticated<T> {
    value: T,
    header: Header,
    alg: SignatureAlgorithm,
    index: usize,
}

/// Which signatures are looked at.
#[derive(Clone, Copy)]
pub(crate) enum Among {
    /// The only one.
    One,
    /// Those with this algorithm that the key could have made.
    Any(SignatureAlgorithm),
}

impl Jws<'_> {
    /// Verifies the MAC of a JWS that has one, with the symmetric key of a device, and returns the
    /// payload. A token that names a kid must name `kid`, where the caller gives one.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`]; [`Error::Policy`] for an `alg` that is not a MAC or not for the
    /// key, and for several signatures; [`Error::KeyNotFound`] for another kid; [`Error::Malformed`]
    /// for a payload that is not base64url, or not there (as [`Jws::verify`] has it); or a device fault,
    /// among them that the token is longer than the device takes, whatever its MAC is.
    pub fn authenticate(
        self,
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<Authenticated<Plaintext>> {
        self.carried(Among::One, key, kid)
    }

    /// As [`Jws::authenticate`], of a JWS without payload (RFC 7515 appendix F) over `payload`.
    ///
    /// # Errors
    /// As [`Jws::authenticate`]; [`Error::Malformed`] if the JWS has a payload of its own.
    pub fn authenticate_detached(
        self,
        payload: &[u8],
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<Authenticated<()>> {
        self.detached(Among::One, payload, key, kid)
    }

    /// As [`Jws::authenticate`], of a JWS with any number of signatures, of which one has to be the MAC
    /// by `alg` of the key. Nothing is said of the others: who must have signed besides is for
    /// [`Jws::verify`].
    ///
    /// # Errors
    /// As [`Jws::authenticate`]; [`Error::KeyNotFound`] if no signature could be the key's;
    /// [`Error::Policy`] if more than [`MAX_CANDIDATES`] could, each of which costs a call to the device.
    pub fn authenticate_any(
        self,
        alg: SignatureAlgorithm,
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<Authenticated<Plaintext>> {
        self.carried(Among::Any(alg), key, kid)
    }

    /// As [`Jws::authenticate_any`], of a JWS without payload over `payload`.
    ///
    /// # Errors
    /// As [`Jws::authenticate_any`]; [`Error::Malformed`] if the JWS has a payload of its own.
    pub fn authenticate_any_detached(
        self,
        payload: &[u8],
        alg: SignatureAlgorithm,
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<Authenticated<()>> {
        self.detached(Among::Any(alg), payload, key, kid)
    }

    /// As [`Jws::authenticate_detached`], reading the payload once and holding a few kilobytes of it. A
    /// session of the device is taken until the reader ends: for files, and not for what a stranger
    /// sends as slowly as he likes.
    ///
    /// # Errors
    /// As [`Jws::authenticate_detached`]; [`BackendError::Unsupported`] by a key that takes no reader
    /// (see [`HardwareKey::takes_reader`]), or not as much; [`Error::Io`] if the payload cannot be read.
    pub fn authenticate_reader(
        self,
        payload: impl Read,
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<Authenticated<()>> {
        self.check_detached()?;
        let (index, checked) = self.candidates_of(key, Among::One, kid)?[0];
        let mut input = SigningInput::new(&checked.text, payload, self.encoded);
        let mac = key.mac_reader(checked.alg, &mut input).map_err(told_of_message)?;
        match is_equal(&mac, &checked.signature) {
            true => Ok(Authenticated::new((), index, checked)),
            false => Err(Error::SignatureInvalid),
        }
    }

    fn carried(
        self,
        among: Among,
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<Authenticated<Plaintext>> {
        let payload = self.own_payload()?;
        let (index, checked) = self.check_mac(among, payload.as_bytes(), key, kid)?;
        Ok(Authenticated::new(self.decoded(payload)?, index, checked))
    }

    fn detached(
        self,
        among: Among,
        payload: &[u8],
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<Authenticated<()>> {
        self.check_detached()?;
        let (index, checked) = self.check_mac(among, &self.signed_form(payload), key, kid)?;
        Ok(Authenticated::new((), index, checked))
    }

    /// Checks, before a device is asked, that a MAC may be by a key of this `kid`, and that the payload
    /// is there or, if it is to be `detached`, is not.
    ///
    /// # Errors
    /// As [`Jws::authenticate`] and [`Jws::authenticate_any`].
    pub(crate) fn check_claim(
        &self,
        among: Among,
        kid: Option<&str>,
        detached: bool,
    ) -> Result<()> {
        self.candidates(among, kid)?;
        match detached {
            true => self.check_detached(),
            false => self.own_payload().map(drop),
        }
    }

    /// Finds the MAC of the key.
    fn check_mac(
        &self,
        among: Among,
        payload: &[u8],
        key: &dyn HardwareKey,
        kid: Option<&str>,
    ) -> Result<(usize, &Checked<'_>)> {
        let mut too_long = None;
        for (index, checked) in self.candidates_of(key, among, kid)? {
            let input = stream::whole(&checked.text, payload);
            match key.verify_mac(checked.alg, &input, &checked.signature) {
                Ok(()) => return Ok((index, checked)),
                Err(BackendError::Rejected) => {}
                // Its own header makes it longer than the device takes: another may be shorter.
                Err(error @ BackendError::Unsupported { .. }) => too_long = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_long.map_or(Error::SignatureInvalid, Error::from))
    }

    /// As [`Jws::candidates`], for a key that is at hand.
    fn candidates_of(
        &self,
        key: &dyn HardwareKey,
        among: Among,
        kid: Option<&str>,
    ) -> Result<Vec<(usize, &Checked<'_>)>> {
        let candidates = self.candidates(among, kid)?;
        let alg = candidates[0].1.alg;
        let fits = |kind| alg.is_symmetric() && alg.fits(kind);
        match key.info().secret.is_some_and(|secret| fits(secret.shape().kind())) {
            true => Ok(candidates),
            false => Err(Error::Policy(format!("the key named here is not for {alg}"))),
        }
    }

    /// The signatures that can be MACs of a key, with their places; at least one, all with one `alg`.
    fn candidates(&self, among: Among, kid: Option<&str>) -> Result<Vec<(usize, &Checked<'_>)>> {
        let alg = match among {
            Among::One => self.only()?.alg,
            Among::Any(alg) => alg,
        };
        let is_meant = |checked: &Checked<'_>| match (checked.kid.as_deref(), kid) {
            (Some(told), Some(kid)) => told == kid,
            _ => true,
        };
        let candidates = self.passed().filter(|(_, it)| it.alg == alg && is_meant(it));
        let candidates: Vec<_> = candidates.collect();
        match (candidates.len(), among) {
            (0, Among::One) => Err(Error::KeyNotFound(
                "the token names a kid that is not that of the key named here".into(),
            )),
            // One that policy refuses may be what is meant.
            (0, Among::Any(_)) => Err(self.refused_by_policy().unwrap_or_else(|| {
                Error::KeyNotFound(format!(
                    "no signature of the token could be a MAC by {alg} of the key named here"
                ))
            })),
            (1..=MAX_CANDIDATES, _) => Ok(candidates),
            (count, _) => Err(Error::Policy(format!(
                "{count} signatures could be MACs of the key named here, at most {MAX_CANDIDATES} \
                 are tried"
            ))),
        }
    }
}

impl<T> Authenticated<T> {
    fn new(value: T, index: usize, checked: &Checked<'_>) -> Self {
        Self { value, header: checked.protected.clone(), alg: checked.alg, index }
    }

    /// Returns what the MAC vouches for.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Hands over what the MAC vouches for.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the protected header, which the MAC covers.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the algorithm.
    pub fn alg(&self) -> SignatureAlgorithm {
        self.alg
    }

    /// Returns the place of the MAC among the signatures of the token, from 0.
    pub fn index(&self) -> usize {
        self.index
    }
}

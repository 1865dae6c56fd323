//! The seam between the JOSE core and the devices that hold private keys.
//!
//! Three rules hold here whatever else moves:
//!
//! 1. Private and secret keys never cross the seam. A content encryption key does (as a [`Cek`]),
//!    and signatures do; each operation can say where its steps ran ([`Support`], [`CekPlacement`]).
//! 2. A fault of the *input* is [`BackendError::Rejected`] and nothing more. It is decided by the
//!    call that failed, not by the code the device chose for it.
//! 3. Nothing attacker-controlled arrives here before policy has seen it; a point in a
//!    [`CekRequest::EcdhEs`] has been checked to lie on its curve.
//!
//! Every call blocks until the device has answered. From async code, wrap the engine's calls in
//! the runtime's `spawn_blocking`.

use std::fmt::Debug;
use std::io::Read;
use std::sync::Arc;

use crate::jose::alg::{
    ContentEncryption, KeyAlgorithm, KeyKind, KeyManagement, SignatureAlgorithm,
};
use crate::jose::jwk::{PrivateJwk, PublicKey};
use crate::jose::oct::SecretJwk;
use crate::primitives::content::Sealed;
use crate::primitives::secret::is_equal;
use crate::secret::Plaintext;

pub(crate) mod agreement;
#[cfg(all(feature = "cli", any(feature = "pkcs11", feature = "tpm")))]
pub(crate) mod bare;
mod cek;
mod error;
mod info;
pub(crate) mod known_answer;
mod locator;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod request;
mod shape;
mod symmetric;

pub mod memory;
#[cfg(feature = "tpm")]
pub mod tpm;
pub mod tss2;

pub use cek::HostCek;
pub use error::BackendError;
pub use info::{DeviceInfo, KeyInfo};
#[cfg(feature = "cli")]
pub(crate) use locator::percent_decode;
pub use locator::{Locator, LocatorError};
pub use request::{CekPlacement, CekRequest, ToSign};
pub use shape::{KeyShape, KeySpec, Support};
pub(crate) use symmetric::Invocations;
pub use symmetric::{CheckValue, CheckValueError, MAX_GCM_INVOCATIONS, SecretInfo, WrappedCek};

/// A device that holds private keys: a PKCS#11 token or a TPM 2.0.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
///
/// let keystore = MemoryKeystore::new("test"); // or a PKCS#11 token, or a TPM
/// let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![alg] };
/// assert!(keystore.supports(alg, spec.shape)?.is_available());
/// let key = keystore.generate(&keystore.new_locator("issuer-sig")?, &spec)?;
/// assert!(keystore.find(&key.info().locator).is_ok());
/// keystore.destroy(&key.info().locator)?;
/// assert!(keystore.find(&key.info().locator).is_err());
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
pub trait Keystore: Debug + Send + Sync {
    /// Returns the name this keystore has in the configuration.
    fn name(&self) -> &str;

    /// Tells what the device is and says of itself, for `doctor` and for the production check.
    ///
    /// # Errors
    /// A device fault: [`BackendError::Unavailable`], or the PIN's ([`BackendError::PinRefused`]).
    fn describe(&self) -> Result<DeviceInfo, BackendError>;

    /// Tells whether and how the device does `alg` with a key of `shape`.
    ///
    /// Found by doing it once with a key made for the purpose (a known answer), never read from a
    /// mechanism list; remembered for the life of the keystore.
    ///
    /// # Errors
    /// A device fault. That the device cannot do it is not an error but [`Support::No`].
    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Result<Support, BackendError>;

    /// Finds the one private key at `locator`. What it is for, the device may not know:
    /// see [`HardwareKey`].
    ///
    /// # Errors
    /// [`BackendError::NotFound`], [`BackendError::Ambiguous`], [`BackendError::WeakKey`], or a device
    /// fault.
    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError>;

    /// Finds the one private key at `locator`, whose public half shall be `public`: what the keyring
    /// or the operator says it is. For devices that do not tell it, and against a key that was put
    /// in another's place. That the private half belongs to it is proved by [`HardwareKey::support`].
    ///
    /// # Errors
    /// As [`Keystore::find`]; [`BackendError::Misconfigured`] if the device tells another public
    /// half, or a key of another kind; only then [`BackendError::WeakKey`];
    /// [`BackendError::Unsupported`] if it tells none and the keystore cannot take one.
    fn find_with_public(
        &self,
        locator: &Locator,
        public: &PublicKey,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let key = self.find(locator)?;
        check_public(self.name(), locator, key.info(), public.kind(), public)?;
        if key.info().public.is_none() {
            return Err(BackendError::Unsupported {
                keystore: self.name().to_owned(),
                what: format!("the key at {locator}"),
                reason: "the device does not tell its public half".to_owned(),
            });
        }
        Ok(key)
    }

    /// Finds the one symmetric key at `locator`, which shall be the one of `secret`: what the keyring
    /// says of it. Against a key that was put in another's place by mistake; a check value of 24 bits
    /// does not withstand intent.
    ///
    /// # Errors
    /// As [`Keystore::find`]; [`BackendError::Misconfigured`] if the device tells another length or
    /// check value, or has a private key there.
    fn find_with_secret(
        &self,
        locator: &Locator,
        secret: &SecretInfo,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let key = self.find(locator)?;
        if key.info().secret.is_some_and(|told| told.agrees_with(secret)) {
            return Ok(key);
        }
        Err(BackendError::Misconfigured {
            keystore: self.name().to_owned(),
            reason: format!(
                "the key at {locator} is not the one expected: its length or check value is another"
            ),
        })
    }

    /// Lists the private and symmetric keys of the device that could be ours.
    ///
    /// # Errors
    /// A device fault.
    fn list(&self) -> Result<Vec<KeyInfo>, BackendError>;

    /// Returns a locator that no key of the device has, for a key to be called `name`.
    ///
    /// It is recorded before [`Keystore::generate`] is called, so that a crash in between leaves
    /// a key that can be found again.
    ///
    /// # Errors
    /// A device fault.
    fn new_locator(&self, name: &str) -> Result<Locator, BackendError>;

    /// Makes a key in the device; its private part never leaves it.
    ///
    /// What the device kept of the request is read back. A key that is not sensitive, can be
    /// extracted, or has another usage than asked is destroyed and reported as
    /// [`BackendError::NotAsAsked`]; what the device does not tell is listed in
    /// [`KeyInfo::unproven`].
    ///
    /// # Errors
    /// [`BackendError::Unsupported`], [`BackendError::NotAsAsked`], or a device fault.
    fn generate(
        &self,
        locator: &Locator,
        spec: &KeySpec,
    ) -> Result<Arc<dyn HardwareKey>, BackendError>;

    /// Makes a key that is never stored: in the memory of the device, for as long as the answer is
    /// held; it is destroyed when that is dropped, or with the process.
    ///
    /// # Errors
    /// As [`Keystore::generate`]; [`BackendError::Unsupported`] where the device holds only keys that
    /// are stored.
    fn generate_ephemeral(&self, spec: &KeySpec) -> Result<Arc<dyn HardwareKey>, BackendError>;

    /// Puts a known private key into the device, sensitive and not extractable from then on.
    ///
    /// # Errors
    /// As [`Keystore::generate`].
    fn import(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        private: &PrivateJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError>;

    /// Puts a known symmetric key into the device, sensitive and not extractable from then on.
    ///
    /// What the device then does with it is compared with what the key does here.
    ///
    /// # Errors
    /// As [`Keystore::generate`].
    fn import_secret(
        &self,
        _locator: &Locator,
        spec: &KeySpec,
        _secret: &SecretJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        Err(BackendError::Unsupported {
            keystore: self.name().to_owned(),
            what: format!("a symmetric key ({})", spec.shape),
            reason: "the keystore takes none in".to_owned(),
        })
    }

    /// Destroys the key at `locator`, with its public object where the device has one.
    ///
    /// # Errors
    /// [`BackendError::NotFound`], [`BackendError::Ambiguous`], or a device fault.
    fn destroy(&self, locator: &Locator) -> Result<(), BackendError>;

    /// Asks the device, by a call of its own, whether it is there and we are logged in.
    ///
    /// # Errors
    /// What the device, or the way to it, answered.
    fn health(&self) -> Result<(), BackendError>;
}

/// One private or symmetric key in a device. What it cannot do answers [`BackendError::Unsupported`].
///
/// What it can do may be more than what it was made for. The memory keystore binds a key to its
/// algorithms, but a TPM to a scheme, and a PKCS#11 token at most to mechanisms (CKA_ALLOWED_MECHANISMS).
/// One of these serves several: TPM_ALG_ECDH and CKM_ECDH1_DERIVE every `ECDH-ES`, CKM_RSA_X_509 every hash
/// of OAEP on the host. What a key is for is in the keyring
/// ([`KeyEntry::algs`](crate::keyring::KeyEntry::algs)), and an [`Engine`](crate::engine::Engine) compares
/// that with the token or the call before it asks the device. Whoever calls
/// [`jwe::decrypt`](crate::jwe::decrypt) or [`jws::sign`](crate::jws::sign) with a key from
/// [`Keystore::find`] does so with an allow-list of his own.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
///
/// let keystore = MemoryKeystore::new("test"); // or a PKCS#11 token, or a TPM
/// let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![alg] };
/// use hsm_jose::backend::ToSign;
///
/// let key = keystore.generate_ephemeral(&spec)?;
/// let signature = key.sign(SignatureAlgorithm::Es256, ToSign::Message(b"message"))?;
/// assert_eq!(signature.len(), 64);
/// assert!(key.sign(SignatureAlgorithm::Ps256, ToSign::Message(b"message")).is_err());
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
pub trait HardwareKey: Debug + Send + Sync {
    /// Returns the name of the keystore that holds the key.
    fn keystore(&self) -> &str;

    /// Returns what is known of the key.
    fn info(&self) -> &KeyInfo;

    /// Tells whether and how this very key does `alg`: by a known answer, remembered.
    ///
    /// # Errors
    /// A device fault.
    fn support(&self, alg: KeyAlgorithm) -> Result<Support, BackendError>;

    /// Recovers the content encryption key of a JWE.
    ///
    /// A key of another length than `enc` needs is a fault of the input too. For
    /// [`CekRequest::Dir`] the key itself is what is returned, to encrypt as well as to decrypt.
    ///
    /// # Errors
    /// [`BackendError::Rejected`] on any fault of the input; else a device fault.
    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError>;

    /// Wraps a content encryption key under a symmetric key: `A*KW` and `A*GCMKW`.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] or a device fault.
    fn wrap_cek(&self, alg: KeyManagement, _cek: &HostCek) -> Result<WrappedCek, BackendError> {
        Err(BackendError::Unsupported {
            keystore: self.keystore().to_owned(),
            what: format!("wrapping with {alg}"),
            reason: "the key is not a symmetric key for it".to_owned(),
        })
    }

    /// Signs, and answers the form a JWS carries: for ECDSA `r || s`, each left-padded to the
    /// field's length (RFC 7518 section 3.4); for RSA the modulus length; for Ed25519 64 bytes; for
    /// HMAC the length of the hash.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] or a device fault.
    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError>;

    /// Verifies that `mac` is that of `message` under a symmetric key: `HS*`. It is computed anew and
    /// compared here, in constant time; the device's own comparison may not be.
    ///
    /// # Errors
    /// [`BackendError::Rejected`] for another MAC, which is to be matched: passed on, it becomes a failed
    /// decryption. [`BackendError::Unsupported`], also for a message that is longer than the device takes,
    /// whatever `mac` is; or a device fault.
    fn verify_mac(
        &self,
        alg: SignatureAlgorithm,
        message: &[u8],
        mac: &[u8],
    ) -> Result<(), BackendError> {
        if !alg.is_symmetric() {
            return Err(BackendError::Unsupported {
                keystore: self.keystore().to_owned(),
                what: format!("verifying {alg}"),
                reason: "it is verified with the public key, on the host".to_owned(),
            });
        }
        let expected = self.sign(alg, ToSign::Message(message))?;
        if is_equal(&expected, mac) { Ok(()) } else { Err(BackendError::Rejected) }
    }

    /// Returns whether [`HardwareKey::mac_reader`] works with this key.
    fn takes_reader(&self) -> bool {
        false
    }

    /// Computes the MAC of a message that is read to its end: `HS*`.
    ///
    /// A PKCS#11 token gets it a part at a time, whatever its length. A session of the device is taken
    /// from the second part on until then: the reader is for files, and not for what a stranger sends as
    /// slowly as he likes. A TPM gets it whole, when it has been read: as many bytes as TPM2_HMAC takes at
    /// once, which are 1024 at most.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`], also by a device that takes no message by reader, and for one that
    /// is longer than the device takes; [`BackendError::Message`] if it cannot be read; or a device fault.
    fn mac_reader(
        &self,
        alg: SignatureAlgorithm,
        _message: &mut dyn Read,
    ) -> Result<Vec<u8>, BackendError> {
        Err(BackendError::Unsupported {
            keystore: self.keystore().to_owned(),
            what: format!("{alg} of a message that is read in parts"),
            reason: "the key takes a message only whole".to_owned(),
        })
    }

    /// Asks the device whether it is alive, through the same road as the key's operations.
    ///
    /// Called once on every path to a failed decryption, so that a dead device is never reported
    /// as a bad token and a bad token never as a dead device.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] when the device does not answer.
    fn confirm_alive(&self) -> Result<(), BackendError>;
}

/// A content encryption key: bytes on the host (zeroized), or a handle to an object in the device.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{CekRequest, KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// use hsm_jose::jose::jwk::PublicKey;
/// use hsm_jose::primitives::{concat_kdf, ecdh};
///
/// # let keystore = MemoryKeystore::new("test");
/// # let (alg, enc) = (KeyManagement::EcdhEs, ContentEncryption::A256Gcm);
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(alg)] };
/// let key = keystore.generate_ephemeral(&spec)?;
/// let Some(PublicKey::Point(point)) = &key.info().public else { panic!("a key on P-256") };
/// let (epk, _) = ecdh::agree_ephemeral(point).expect("a good point");
/// let other_info = concat_kdf::other_info(enc.name(), b"", b"", enc.key_len());
/// let request = CekRequest::EcdhEs { epk: &epk, other_info: &other_info, wrapped: None };
/// let cek = key.unwrap_cek(&request, enc)?;
/// assert!(cek.decrypt(&[0; 12], b"", b"never sealed", &[0; 16]).is_err());
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
pub trait Cek: Debug + Send {
    /// Tells where the key is.
    fn placement(&self) -> CekPlacement;

    /// Encrypts under a fresh IV and consumes the key, so that no fresh key meets two messages.
    ///
    /// # Errors
    /// A device fault; [`BackendError::Unsupported`] after [`MAX_GCM_INVOCATIONS`] of a key that
    /// stays.
    fn encrypt(self: Box<Self>, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, BackendError>;

    /// Decrypts and authenticates; with a key on the host, in the place of the ciphertext, so that a
    /// long content is held once. `iv` and `tag` may have any length: another than that of the key's
    /// `enc` is a tag that does not match.
    ///
    /// # Errors
    /// [`BackendError::Rejected`] when the tag does not match.
    fn decrypt_in_place(
        &self,
        iv: &[u8],
        aad: &[u8],
        ciphertext: Vec<u8>,
        tag: &[u8],
    ) -> Result<Plaintext, BackendError>;

    /// As [`Cek::decrypt_in_place`], of a ciphertext that others still need.
    ///
    /// # Errors
    /// As [`Cek::decrypt_in_place`].
    fn decrypt(
        &self,
        iv: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<Plaintext, BackendError> {
        self.decrypt_in_place(iv, aad, ciphertext.to_vec(), tag)
    }
}

/// Checks that a key is of the kind of `public`, does not tell another public half, and may be used.
fn check_public(
    keystore: &str,
    locator: &Locator,
    info: &KeyInfo,
    kind: KeyKind,
    public: &PublicKey,
) -> Result<(), BackendError> {
    let is_other = info.public.as_ref().is_some_and(|told| told != public);
    if is_other || kind != public.kind() {
        return Err(BackendError::Misconfigured {
            keystore: keystore.to_owned(),
            reason: format!(
                "the key at {locator} is not the one expected: its public half is another"
            ),
        });
    }
    refuse_weak(keystore, locator, Some(public))
}

/// Refuses a key that is in its device and is not to be used.
fn refuse_weak(
    keystore: &str,
    locator: &Locator,
    public: Option<&PublicKey>,
) -> Result<(), BackendError> {
    match public.and_then(PublicKey::weakness) {
        None => Ok(()),
        Some(reason) => Err(BackendError::WeakKey {
            keystore: keystore.to_owned(),
            locator: locator.clone(),
            reason: reason.to_owned(),
        }),
    }
}

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

use crate::jose::alg::{AesKeyWrap, ContentEncryption, KeyAlgorithm, KeyKind, KeyManagement};
use crate::jose::alg::{Hash, Purpose, SignatureAlgorithm};
use crate::jose::jwk::{PrivateJwk, PublicKey, PublicPoint};
use crate::jose::oct::SecretJwk;
use crate::primitives::content::Sealed;
use crate::primitives::secret::is_equal;
use crate::secret::Plaintext;

pub(crate) mod agreement;
#[cfg(all(feature = "cli", any(feature = "pkcs11", feature = "tpm")))]
pub(crate) mod bare;
mod cek;
mod error;
pub(crate) mod known_answer;
mod locator;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod symmetric;

pub mod memory;
#[cfg(feature = "tpm")]
pub mod tpm;

pub use cek::HostCek;
pub use error::BackendError;
#[cfg(feature = "cli")]
pub(crate) use locator::percent_decode;
pub use locator::{Locator, LocatorError};
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

    /// Finds the one private key at `locator`.
    ///
    /// # Errors
    /// [`BackendError::NotFound`], [`BackendError::Ambiguous`], or a device fault.
    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError>;

    /// Finds the one private key at `locator`, whose public half shall be `public`: what the keyring
    /// or the operator says it is. For devices that do not tell it, and against a key that was put
    /// in another's place. That the private half belongs to it is proved by [`HardwareKey::support`].
    ///
    /// # Errors
    /// As [`Keystore::find`]; [`BackendError::Misconfigured`] if the device tells another public
    /// half, or a key of another kind; [`BackendError::Unsupported`] if it tells none and the
    /// keystore cannot take one.
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

    /// Tells whether `mac` is that of `message` under a symmetric key: `HS*`. It is computed anew and
    /// compared here, in constant time; the device's own comparison may not be.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] or a device fault; never that a MAC is wrong.
    fn verify_mac(
        &self,
        alg: SignatureAlgorithm,
        message: &[u8],
        mac: &[u8],
    ) -> Result<bool, BackendError> {
        if !alg.is_symmetric() {
            return Err(BackendError::Unsupported {
                keystore: self.keystore().to_owned(),
                what: format!("verifying {alg}"),
                reason: "it is verified with the public key, on the host".to_owned(),
            });
        }
        self.sign(alg, ToSign::Message(message)).map(|expected| is_equal(&expected, mac))
    }

    /// Returns whether [`HardwareKey::mac_reader`] works with this key.
    fn takes_reader(&self) -> bool {
        false
    }

    /// Computes the MAC of a message that is read to its end, a part at a time: `HS*`. The device is
    /// busy with it until then.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`], also by a device that takes a message only whole;
    /// [`BackendError::Message`] if it cannot be read; or a device fault.
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

    /// Decrypts and authenticates. `iv` and `tag` may have any length: another than that of the
    /// key's `enc` is a tag that does not match.
    ///
    /// # Errors
    /// [`BackendError::Rejected`] when the tag does not match.
    fn decrypt(
        &self,
        iv: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<Plaintext, BackendError>;
}

/// Where a content encryption key is while it is used.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{CekPlacement, CekRequest, KeyShape, KeySpec, Keystore};
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
/// assert_eq!(key.unwrap_cek(&request, enc)?.placement(), CekPlacement::Host);
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CekPlacement {
    /// In the memory of this process, zeroized after use.
    Host,
    /// In the device, which it never leaves.
    Device,
}

/// How a CEK is to be recovered: RFC 7518 section 4, seen from the recipient.
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
/// assert_eq!(request.alg(), KeyManagement::EcdhEs);
/// assert!(key.unwrap_cek(&request, enc).is_ok());
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CekRequest<'a> {
    /// RSAES-OAEP; `hash` is also that of MGF1, the label is empty (section 4.3).
    RsaOaep {
        /// The OAEP hash.
        hash: Hash,
        /// The JWE Encrypted Key: as long as the modulus.
        encrypted_key: &'a [u8],
    },
    /// ECDH-ES (section 4.6).
    EcdhEs {
        /// The sender's ephemeral key, checked to lie on its curve.
        epk: &'a PublicPoint,
        /// The `OtherInfo` of the Concat KDF (section 4.6.2), complete.
        other_info: &'a [u8],
        /// The key wrap and the JWE Encrypted Key; `None` for direct key agreement.
        wrapped: Option<(AesKeyWrap, &'a [u8])>,
    },
    /// AES key wrap under the shared key (section 4.4).
    AesKw {
        /// The key wrap.
        wrap: AesKeyWrap,
        /// The JWE Encrypted Key: the CEK and 8 bytes.
        encrypted_key: &'a [u8],
    },
    /// AES in GCM under the shared key (section 4.7).
    AesGcmKw {
        /// The length of the shared key, as that of this key wrap.
        wrap: AesKeyWrap,
        /// The JWE Encrypted Key: as long as the CEK.
        encrypted_key: &'a [u8],
        /// The header parameter `iv`, decoded; 12 bytes in a good token.
        iv: &'a [u8],
        /// The header parameter `tag`, decoded; 16 bytes in a good token.
        tag: &'a [u8],
    },
    /// The shared key is the CEK (section 4.5).
    Dir,
}

/// What is to be signed.
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
/// use hsm_jose::jose::alg::Hash;
/// use hsm_jose::primitives::digest::digest;
///
/// let key = keystore.generate_ephemeral(&spec)?;
/// let digest = digest(Hash::Sha256, b"message");
/// assert_eq!(key.sign(SignatureAlgorithm::Es256, ToSign::Digest(&digest))?.len(), 64);
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ToSign<'a> {
    /// The whole message; the backend hashes it with the hash of the algorithm.
    Message(&'a [u8]),
    /// The digest, made with the hash of the algorithm; signed as it is. Not for Ed25519 and HMAC.
    Digest(&'a [u8]),
}

/// Whether and how a device does an operation.
///
/// ```
/// use hsm_jose::backend::Support;
///
/// let support = Support::HostAssisted { mechanism: "CKM_ECDH1_DERIVE", step: "Concat KDF" };
/// assert!(support.is_available());
/// assert!(!Support::No { reason: "the token has no RSA".into() }.is_available());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// All of the private-key operation runs in the device.
    Hardware {
        /// The device's mechanism or scheme, by its name in the standard.
        mechanism: &'static str,
    },
    /// The private key stays in the device, a step of its operation runs on the host.
    HostAssisted {
        /// The device's mechanism or scheme.
        mechanism: &'static str,
        /// What the host does, and what that means.
        step: &'static str,
    },
    /// The device does not do it.
    No {
        /// Why, in words for an operator.
        reason: String,
    },
}

/// The kind and size of a key.
///
/// ```
/// use hsm_jose::backend::KeyShape;
/// use hsm_jose::jose::alg::KeyKind;
///
/// let shape = KeyShape::Rsa { bits: 3072 };
/// assert_eq!((shape.kind(), shape.to_string().as_str()), (KeyKind::Rsa, "RSA-3072"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyShape {
    /// RSA with a modulus of this many bits, and the public exponent 65537.
    Rsa {
        /// Modulus length in bits.
        bits: u32,
    },
    /// A key on a curve.
    Curve(crate::jose::alg::Curve),
    /// A symmetric key.
    Oct {
        /// Length in bits, a multiple of 8.
        bits: u32,
    },
}

/// What a new key shall be.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
///
/// let keystore = MemoryKeystore::new("test"); // or a PKCS#11 token, or a TPM
/// let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![alg] };
/// assert_eq!(spec.purpose().map(|purpose| purpose == alg.purpose()), Some(true));
/// assert!(keystore.generate_ephemeral(&KeySpec { algs: vec![], ..spec }).is_err());
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Kind and size.
    pub shape: KeyShape,
    /// The algorithms the key is bound to: at least one, all of one purpose.
    pub algs: Vec<KeyAlgorithm>,
}

/// What is known of a key in a device.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
///
/// let keystore = MemoryKeystore::new("test"); // or a PKCS#11 token, or a TPM
/// let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![alg] };
/// let key = keystore.generate_ephemeral(&spec)?;
/// assert!(key.info().public.is_some() && !key.info().exportable);
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Where the key is.
    pub locator: Locator,
    /// The label the device shows for it, if any.
    pub label: Option<String>,
    /// Its public half, where the device tells it; a symmetric key has none.
    pub public: Option<PublicKey>,
    /// By what a symmetric key is known; `None` for a private key.
    pub secret: Option<SecretInfo>,
    /// Guarantees that the device did not prove: each a short phrase with the attribute's name.
    pub unproven: Vec<String>,
    /// Attributes that are wrong for a key of ours (extractable, wrong usage), in the same form.
    pub weak: Vec<String>,
    /// The attributes that the device tells of it, for `doctor`; empty where they are in the lists
    /// above.
    pub attributes: Vec<String>,
    /// The device says that the key can leave it: extractable, or not sensitive.
    pub exportable: bool,
}

/// What a device says of itself.
///
/// ```
/// use hsm_jose::backend::Keystore;
/// use hsm_jose::backend::memory::MemoryKeystore;
///
/// let device = MemoryKeystore::new("test").describe()?;
/// assert!(device.software, "production refuses it");
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The kind: `pkcs11`, `tpm` or `memory`.
    pub kind: &'static str,
    /// Manufacturer, as the device gives it.
    pub manufacturer: String,
    /// Model, as the device gives it.
    pub model: String,
    /// Serial number, as the device gives it.
    pub serial: String,
    /// Firmware or library version, as the device gives it.
    pub version: String,
    /// The token's label, where it has one.
    pub label: String,
    /// The device is software: its keys are files that can be copied.
    pub software: bool,
    /// What else it says of itself, for `doctor`.
    pub details: Vec<String>,
    /// Warnings about the device or the way to it, for an operator.
    pub warnings: Vec<String>,
}

/// Checks that a key is of the kind of `public` and does not tell another public half.
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
    Ok(())
}

impl<'a> CekRequest<'a> {
    /// Returns the JWE `alg` that this request belongs to.
    pub const fn alg(&self) -> KeyManagement {
        match self {
            Self::RsaOaep { hash: Hash::Sha1, .. } => KeyManagement::RsaOaep,
            Self::RsaOaep { hash: Hash::Sha256, .. } => KeyManagement::RsaOaep256,
            Self::RsaOaep { hash: Hash::Sha384, .. } => KeyManagement::RsaOaep384,
            Self::RsaOaep { hash: Hash::Sha512, .. } => KeyManagement::RsaOaep512,
            Self::EcdhEs { wrapped: None, .. } => KeyManagement::EcdhEs,
            Self::EcdhEs { wrapped: Some((wrap, _)), .. } => match wrap {
                AesKeyWrap::A128Kw => KeyManagement::EcdhEsA128Kw,
                AesKeyWrap::A192Kw => KeyManagement::EcdhEsA192Kw,
                AesKeyWrap::A256Kw => KeyManagement::EcdhEsA256Kw,
            },
            Self::AesKw { wrap, .. } => match wrap {
                AesKeyWrap::A128Kw => KeyManagement::A128Kw,
                AesKeyWrap::A192Kw => KeyManagement::A192Kw,
                AesKeyWrap::A256Kw => KeyManagement::A256Kw,
            },
            Self::AesGcmKw { wrap, .. } => match wrap {
                AesKeyWrap::A128Kw => KeyManagement::A128GcmKw,
                AesKeyWrap::A192Kw => KeyManagement::A192GcmKw,
                AesKeyWrap::A256Kw => KeyManagement::A256GcmKw,
            },
            Self::Dir => KeyManagement::Dir,
        }
    }
}

impl Support {
    /// Returns whether the operation can be done at all.
    pub const fn is_available(&self) -> bool {
        !matches!(self, Self::No { .. })
    }
}

impl KeyShape {
    /// Returns the shape of a public key.
    pub fn of(public: &PublicKey) -> Self {
        match public {
            PublicKey::Rsa(rsa) => Self::Rsa { bits: rsa.bits() as u32 },
            PublicKey::Point(point) => Self::Curve(point.curve()),
        }
    }

    /// Returns the kind of key.
    pub const fn kind(self) -> KeyKind {
        match self {
            Self::Rsa { .. } => KeyKind::Rsa,
            Self::Curve(curve) => KeyKind::Curve(curve),
            Self::Oct { bits } => KeyKind::Oct { bits },
        }
    }
}

impl std::fmt::Display for KeyShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::Curve(curve) => f.write_str(curve.name()),
            Self::Oct { bits } => write!(f, "oct-{bits}"),
        }
    }
}

impl KeySpec {
    /// Returns the purpose that all algorithms of the key share, or `None` where they do not.
    pub fn purpose(&self) -> Option<Purpose> {
        let purpose = self.algs.first()?.purpose();
        self.algs.iter().all(|alg| alg.purpose() == purpose).then_some(purpose)
    }
}

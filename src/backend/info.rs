//! What a device tells of itself and of a key.

use super::{Locator, SecretInfo};
use crate::jose::jwk::PublicKey;

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
    /// Attributes that are wrong for a key of ours (extractable, wrong usage), in the same form; and what
    /// [`PublicKey::weakness`] says.
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

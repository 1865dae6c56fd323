//! The life of a key: generated, adopted or imported into the keyring, published, destroyed.
//!
//! Each step that makes a key in a device is written down before it is taken. The keyring's lock
//! is held over the whole of it, so that a pending version seen under the lock is always the trace
//! of a crash, and running the same command again completes it.

use crate::backend::{BackendError, HardwareKey, KeyShape, KeySpec, Keystore, Support};
use crate::config::Profile;
use crate::error::{Error, Result};
use crate::jose::alg::{Curve, Hash, KeyAlgorithm, KeyKind, KeyManagementMode as Mode, Purpose};
use crate::jose::jwk::PublicJwk;
use crate::keyring::{KeyVersion, check_kid, check_name};
use crate::policy::Policy;

mod adopt;
mod destroy;
mod enter;
mod entry;
mod identity;
mod jwks;
mod orphans;

pub use adopt::{AdoptRequest, adopt};
pub use destroy::{DestroyRequest, Destroyed, confirmation, destroy, keystore_of};
pub use enter::import_secret;
pub use enter::{GenerateRequest, ImportRequest, ImportSecretRequest, generate, import};
pub use jwks::{jwks, published, published_keys};
pub use orphans::{Orphans, PendingKey, orphans};

/// What every way into the keyring needs to know of the key.
///
/// ```
/// use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement};
/// use hsm_jose::lifecycle::KeyRequest;
/// use hsm_jose::policy::Profile;
///
/// let key = KeyRequest {
///     name: "partner-enc".into(),
///     algs: vec![KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw)],
///     kid: None, // the thumbprint
///     profile: Profile::Strict,
/// };
/// assert_eq!(key.algs.len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// The name it shall have.
    pub name: String,
    /// The algorithms it shall be bound to.
    pub algs: Vec<KeyAlgorithm>,
    /// The kid it shall have; unless given, the RFC 7638 thumbprint, or random for a symmetric key.
    pub kid: Option<String>,
    /// `strict` binds a key to one algorithm, and makes RSA keys from 3072 bits.
    pub profile: Profile,
}

/// A key that is in the keyring now, or would be.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// # use hsm_jose::keyring::KeyringFile;
/// # use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
/// # let directory = tempfile::tempdir().unwrap();
/// # let file = KeyringFile::new(&directory.path().join("keyring.json"));
/// # let keystore = MemoryKeystore::new("test");
/// # let key = KeyRequest {
/// #     name: "issuer-sig".into(),
/// #     algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::Es256)],
/// #     kid: None,
/// #     profile: hsm_jose::policy::Profile::Strict,
/// # };
/// # let request = GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
/// # let entered = generate(&file, &keystore, &request)?;
///
/// use hsm_jose::lifecycle::Outcome;
///
/// assert_eq!(entered.outcome, Outcome::Entered);
/// let jwk = entered.jwk().expect("a key that was entered has a public half");
/// assert_eq!(jwk.use_.as_deref(), Some("sig"));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entered {
    /// What happened.
    pub outcome: Outcome,
    /// The key's name.
    pub name: String,
    /// The algorithms it is bound to.
    pub algs: Vec<KeyAlgorithm>,
    /// Kind and size.
    pub shape: KeyShape,
    /// The version, with kid, locator and public half or check value; `None` for a dry run.
    pub version: Option<KeyVersion>,
    /// How the device does each of the algorithms; empty if the key was there already.
    pub support: Vec<(KeyAlgorithm, Support)>,
}

/// What a command that brings a key into the keyring did.
///
/// ```
/// use hsm_jose::lifecycle::Outcome;
///
/// assert_eq!(Outcome::Present.name(), "present");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing yet: it was a dry run, and the device can do it.
    Planned,
    /// The key was entered.
    Entered,
    /// A crash had interrupted this before; it is done now.
    Completed,
    /// The key was there already, as asked.
    Present,
}

impl Entered {
    /// Returns the public JWK as it is published; `None` for a symmetric key, and for a dry run.
    pub fn jwk(&self) -> Option<PublicJwk> {
        let version = self.version.as_ref()?;
        Some(jwks::published_version(version.public.as_ref()?, version, &self.algs))
    }
}

impl Outcome {
    /// Returns a word for it, stable for scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Entered => "entered",
            Self::Completed => "completed",
            Self::Present => "present",
        }
    }
}

impl KeyRequest {
    /// Checks what can be checked without keyring and device.
    fn check(&self) -> Result<Purpose> {
        check_name("key", &self.name)?;
        self.kid.as_deref().map_or(Ok(()), check_kid)?;
        let Some(first) = self.algs.first() else {
            return Err(Error::Usage(format!("key {} needs an algorithm: `algs`", self.name)));
        };
        for (at, alg) in self.algs.iter().enumerate() {
            if self.algs[..at].contains(alg) {
                return Err(Error::Usage(format!("{alg} is named twice for key {}", self.name)));
            }
            if alg.purpose() != first.purpose() {
                return Err(Error::Usage(format!(
                    "{first} and {alg} are for different purposes, and a key has one: \
                     make two keys"
                )));
            }
        }
        if first.is_symmetric() && self.algs.len() > 1 {
            return Err(Error::Usage(format!(
                "{first} is for a symmetric key, which is bound to one algorithm: key {} has {}",
                self.name,
                self.algs.len()
            )));
        }
        let has_several = !self.algs.iter().all(|alg| alg.is_same_as(*first));
        if has_several && !Policy::of(self.profile).several_algs {
            return Err(Error::Usage(format!(
                "the {} profile binds key {} to one algorithm, {} are named: \
                 make a key for each, or use profile \"all\" outside production",
                self.profile.name(),
                self.name,
                self.algs.len()
            )));
        }
        Ok(first.purpose())
    }

    /// Chooses the shape of a new key.
    fn shape(&self, bits: Option<u32>, curve: Option<Curve>) -> Result<KeyShape> {
        let Some(first) = self.algs.first().copied() else {
            return Err(Error::Usage(format!("key {} needs an algorithm: `algs`", self.name)));
        };
        let shape = if first.is_symmetric() {
            if let Some(curve) = curve {
                return Err(Error::Usage(format!(
                    "{first} is for symmetric keys, not for {curve}"
                )));
            }
            KeyShape::Oct { bits: bits.unwrap_or_else(|| secret_bits(first)) }
        } else if first.fits(KeyKind::Rsa) {
            if let Some(curve) = curve {
                return Err(Error::Usage(format!("{first} is for RSA keys, not for {curve}")));
            }
            KeyShape::Rsa { bits: rsa_bits(bits, self.profile)? }
        } else {
            if let Some(bits) = bits {
                return Err(Error::Usage(format!(
                    "{first} is for keys on a curve, which have no `bits` ({bits}): use `curve`"
                )));
            }
            let own = match first {
                KeyAlgorithm::Sign(alg) => alg.curve(),
                KeyAlgorithm::Unwrap(_) => None,
            };
            KeyShape::Curve(curve.or(own).unwrap_or(Curve::P256))
        };
        self.check_fit(shape.kind())?;
        Ok(shape)
    }

    fn check_fit(&self, kind: KeyKind) -> Result<()> {
        match self.algs.iter().find(|alg| !alg.fits(kind)) {
            Some(alg) => {
                Err(Error::Usage(format!("{alg} does not work with a key of kind {kind}")))
            }
            None => Ok(()),
        }
    }

    fn has_same_algs(&self, algs: &[KeyAlgorithm]) -> bool {
        self.algs.len() == algs.len() && self.algs.iter().all(|alg| algs.contains(alg))
    }
}

/// The length of a new symmetric key where none is asked for: the one that a key wrap has; 256 for
/// `dir`; that of the hash for HMAC (RFC 7518 section 3.2).
fn secret_bits(alg: KeyAlgorithm) -> u32 {
    let bytes = match alg {
        KeyAlgorithm::Unwrap(alg) => match alg.mode() {
            Mode::KeyWrapping(wrap) | Mode::GcmKeyWrapping(wrap) => wrap.key_len(),
            _ => 32,
        },
        KeyAlgorithm::Sign(alg) => alg.hash().map_or(32, Hash::len),
    };
    8 * bytes as u32
}

fn rsa_bits(bits: Option<u32>, profile: Profile) -> Result<u32> {
    let bits = bits.unwrap_or(3072);
    let least = Policy::of(profile).rsa_made_bits;
    if bits < least {
        return Err(Error::Usage(format!(
            "the {} profile makes RSA keys from {least} bits, not {bits}: leave `bits` out",
            profile.name()
        )));
    }
    match (KeyShape::Rsa { bits }).wrong_length() {
        Some(what) => Err(Error::Usage(what)),
        None => Ok(bits),
    }
}

/// Asks the keystore for each algorithm of a key that is not there yet.
fn probe(keystore: &dyn Keystore, spec: &KeySpec) -> Result<Vec<(KeyAlgorithm, Support)>> {
    let answer = |alg: &KeyAlgorithm| {
        let what = || format!("{alg} with {}", spec.shape);
        available(keystore.name(), what, *alg, keystore.supports(*alg, spec.shape)?)
    };
    spec.algs.iter().map(answer).collect()
}

/// Has the key do each of its algorithms, with a known answer.
fn prove(key: &dyn HardwareKey, algs: &[KeyAlgorithm]) -> Result<Vec<(KeyAlgorithm, Support)>> {
    let answer = |alg: &KeyAlgorithm| {
        let what = || format!("{alg} with the key at {}", key.info().locator);
        available(key.keystore(), what, *alg, key.support(*alg)?)
    };
    algs.iter().map(answer).collect()
}

fn available(
    keystore: &str,
    what: impl Fn() -> String,
    alg: KeyAlgorithm,
    support: Support,
) -> Result<(KeyAlgorithm, Support)> {
    match support {
        Support::No { reason } => {
            let keystore = keystore.to_owned();
            Err(Error::Backend(BackendError::Unsupported { keystore, what: what(), reason }))
        }
        support => Ok((alg, support)),
    }
}

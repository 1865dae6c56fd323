//! The keyring: which keys there are, under which names and kids, and where each is in its device.
//!
//! A key has a name that stays; its versions have kids, states and locators. Nothing here is
//! secret: private parts and symmetric keys are in the devices, the file holds public keys, check
//! values and places.

use serde::{Deserialize, Serialize};

use crate::backend::{Locator, SecretInfo};
use crate::error::{Error, Result};
use crate::jose::alg::{KeyAlgorithm, KeyKind, Purpose};
use crate::jose::jwk::{MAX_KID_LEN, PublicJwk};

mod check;
mod file;
mod state;
mod timestamp;
mod weakness;

pub use file::{KeyringFile, KeyringWriter};
pub use state::{KeyState, Provenance};
pub use timestamp::Timestamp;

/// The schema of the keyring file that this build reads and writes.
pub const SCHEMA: u64 = 1;

/// How many keys are tried for a token that names none.
pub const MAX_CANDIDATES: usize = 4;

/// The longest name of a key, keystore, context or recipient, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// All keys of one keyring file.
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
/// let keyring = file.read()?;
/// assert_eq!(keyring.keys()[0].name, "issuer-sig");
/// assert!(keyring.named("partner-enc").is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    schema: u64,
    generation: u64,
    pub(crate) keys: Vec<KeyEntry>,
}

/// A key: a name, what it is for, and its versions.
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
/// let keyring = file.read()?;
/// let entry = keyring.named("issuer-sig")?;
/// assert_eq!(entry.versions.len(), 1);
/// assert!(entry.active().is_some());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// The name: `[A-Za-z0-9._-]`, at most [`MAX_NAME_LEN`] characters. It stays through rotations.
    pub name: String,
    /// What the key is for.
    pub purpose: Purpose,
    /// The algorithms it is bound to: at least one, all of the purpose.
    pub algs: Vec<KeyAlgorithm>,
    /// The versions, oldest first.
    pub versions: Vec<KeyVersion>,
}

/// One version of a key: one private or symmetric key in one device.
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
/// let keyring = file.read()?;
/// let version = &keyring.named("issuer-sig")?.versions[0];
/// assert_eq!((version.version, version.keystore.as_str()), (1, "test"));
/// // The kid is the RFC 7638 thumbprint unless one was given.
/// let jwk = version.public.as_ref().expect("an active version has a public half");
/// assert_eq!(version.kid.as_deref(), Some(jwk.key.thumbprint().as_str()));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyVersion {
    /// Counted from 1.
    pub version: u32,
    /// The kid, at most [`MAX_KID_LEN`] bytes; only a pending version may have none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The kid was chosen by the operator, and is not the RFC 7638 thumbprint, nor, for a symmetric
    /// key, 16 random bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kid_given: bool,
    /// Where the version is in its life.
    pub state: KeyState,
    /// When the version entered the keyring.
    pub created: Timestamp,
    /// The name of the keystore that holds the key.
    pub keystore: String,
    /// Where the key is in the keystore.
    pub locator: Locator,
    /// How the key came into the device.
    pub provenance: Provenance,
    /// Why an imported key may serve in production, in the words of who decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<String>,
    /// Guarantees that the device did not prove, or that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<String>,
    /// The public half; only a pending version and a symmetric key may have none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "weakness::recorded_public"
    )]
    pub public: Option<PublicJwk>,
    /// By what a symmetric key is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretInfo>,
}

/// A version of a key that has a kid, with the key it belongs to.
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
/// use hsm_jose::jose::alg::Purpose;
///
/// let keyring = file.read()?;
/// let found = keyring.active("issuer-sig", Purpose::Sign)?;
/// assert_eq!(Some(found.kid), found.version.kid.as_deref());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeyRef<'a> {
    /// The key.
    pub key: &'a KeyEntry,
    /// The version.
    pub version: &'a KeyVersion,
    /// The version's kid.
    pub kid: &'a str,
}

impl Keyring {
    /// Returns how often the keyring was written; 0 for one that never was.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the keys, in the order in which they entered.
    pub fn keys(&self) -> &[KeyEntry] {
        &self.keys
    }

    /// Finds a key by its name.
    pub fn key(&self, name: &str) -> Option<&KeyEntry> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Finds the active version of the key with this name, for this purpose.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`] if there is no such key, it has no active version, or it is for
    /// another purpose; [`Error::Policy`] as [`KeyRef::check_strength`].
    pub fn active(&self, name: &str, purpose: Purpose) -> Result<KeyRef<'_>> {
        let key = self.named(name)?;
        let mut versions = key.in_state(KeyState::Active);
        let found = versions.next().ok_or_else(|| no_version(key, "active"))?;
        found.check_strength()?;
        found.for_purpose(purpose)
    }

    /// Lists what may decrypt a token that names no key: of the keys with these names, the active
    /// versions, then the retiring ones, at most [`MAX_CANDIDATES`]. What [`KeyVersion::weakness`] tells
    /// of is none.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`] if a name is unknown, or its key is not for decryption.
    pub fn decryption_candidates<'a>(&'a self, names: &[&str]) -> Result<Vec<KeyRef<'a>>> {
        let mut candidates = Vec::new();
        for state in [KeyState::Active, KeyState::Retiring] {
            for name in names {
                for found in self.named(name)?.in_state(state) {
                    let found = found.for_purpose(Purpose::Decrypt)?;
                    candidates.extend(found.version.weakness().is_none().then_some(found));
                }
            }
        }
        candidates.truncate(MAX_CANDIDATES);
        Ok(candidates)
    }

    /// Finds a key by its name, or says so.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`].
    pub fn named(&self, name: &str) -> Result<&KeyEntry> {
        self.key(name)
            .ok_or_else(|| Error::KeyNotFound(format!("no key named {name:?} in the keyring")))
    }

    /// Iterates over every version that has a kid, in any state but pending.
    pub fn versions(&self) -> impl Iterator<Item = KeyRef<'_>> {
        self.keys.iter().flat_map(|key| {
            key.versions.iter().filter_map(move |version| match version.state {
                KeyState::Pending => None,
                _ => Some(KeyRef { key, version, kid: version.kid.as_deref()? }),
            })
        })
    }

    pub(crate) fn key_mut(&mut self, name: &str) -> Option<&mut KeyEntry> {
        self.keys.iter_mut().find(|key| key.name == name)
    }
}

impl Default for Keyring {
    fn default() -> Self {
        Self { schema: SCHEMA, generation: 0, keys: Vec::new() }
    }
}

impl KeyEntry {
    /// Returns the active version, if there is one.
    pub fn active(&self) -> Option<KeyRef<'_>> {
        self.in_state(KeyState::Active).next()
    }

    /// Returns the pending version, if there is one.
    pub fn pending(&self) -> Option<&KeyVersion> {
        self.versions.iter().find(|version| version.state == KeyState::Pending)
    }

    fn in_state(&self, state: KeyState) -> impl Iterator<Item = KeyRef<'_>> {
        let versions = self.versions.iter().filter(move |version| version.state == state);
        versions
            .filter_map(|version| Some(KeyRef { key: self, version, kid: version.kid.as_deref()? }))
    }
}

impl KeyVersion {
    /// Returns the kind of key; `None` for a pending version that does not have it yet.
    pub fn kind(&self) -> Option<KeyKind> {
        let public = self.public.as_ref().map(|jwk| jwk.key.kind());
        public.or_else(|| self.secret.map(|secret| secret.shape().kind()))
    }
}

impl<'a> KeyRef<'a> {
    fn for_purpose(self, purpose: Purpose) -> Result<Self> {
        if self.key.purpose == purpose {
            return Ok(self);
        }
        let (is, asked) = match purpose {
            Purpose::Decrypt => ("signing", "decrypt"),
            Purpose::Sign => ("decryption", "sign"),
        };
        Err(Error::KeyNotFound(format!(
            "key {} is for {is} and cannot {asked}; a key has one purpose",
            self.key.name
        )))
    }
}

/// Checks a name of a key, keystore, context or recipient.
///
/// # Errors
/// [`Error::Usage`], naming what `what` is.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=MAX_NAME_LEN).contains(&name.len()) && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{name:?} cannot name a {what}: use 1 to {MAX_NAME_LEN} of the characters A-Z a-z 0-9 . _ -"
    )))
}

/// Checks a kid that an operator gives.
///
/// # Errors
/// [`Error::Usage`] if it is empty, over [`MAX_KID_LEN`] bytes, or has control characters.
pub fn check_kid(kid: &str) -> Result<()> {
    if kid.is_empty() || kid.len() > MAX_KID_LEN || kid.chars().any(char::is_control) {
        return Err(Error::Usage(format!(
            "a kid has 1 to {MAX_KID_LEN} bytes and no control characters"
        )));
    }
    Ok(())
}

fn no_version(key: &KeyEntry, state: &str) -> Error {
    let states: Vec<&str> = key.versions.iter().map(|version| version.state.name()).collect();
    Error::KeyNotFound(format!(
        "key {} has no {state} version (its versions are {})",
        key.name,
        states.join(", ")
    ))
}

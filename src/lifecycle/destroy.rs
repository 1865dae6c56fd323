//! The end of a key: in the device first, then in the keyring.

use super::identity::Identity;
use crate::backend::{BackendError, Keystore, Locator, SecretInfo};
use crate::error::{Error, Result};
use crate::keyring::{KeyEntry, KeyState, KeyVersion, KeyringFile};

/// A key to be destroyed.
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
/// use hsm_jose::lifecycle::{DestroyRequest, destroy};
///
/// let thumbprint = entered.jwk().expect("a public half").key.thumbprint();
/// let careless =
///     DestroyRequest { name: "issuer-sig".into(), confirm: thumbprint.clone(), force: false };
/// assert!(destroy(&file, &keystore, &careless).is_err(), "it is active");
/// destroy(&file, &keystore, &DestroyRequest { force: true, ..careless })?;
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DestroyRequest {
    /// The key's name.
    pub name: String,
    /// What [`confirmation`] says of the version that is meant.
    pub confirm: String,
    /// Destroy a version that still serves.
    pub force: bool,
}

/// What was destroyed.
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
/// use hsm_jose::lifecycle::{DestroyRequest, destroy};
///
/// let confirm = entered.jwk().expect("a public half").key.thumbprint();
/// let request = DestroyRequest { name: "issuer-sig".into(), confirm, force: true };
/// let destroyed = destroy(&file, &keystore, &request)?;
/// assert!(destroyed.in_device && destroyed.was_last);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Destroyed {
    /// The version as it was.
    pub version: KeyVersion,
    /// The device had the key, and no longer has it.
    pub in_device: bool,
    /// The keyring has no other version of the key left.
    pub was_last: bool,
}

/// Returns what confirms that a version is meant: the RFC 7638 thumbprint of its public half; the check
/// value of a symmetric key, or its kid where the device told none; the locator of a pending version.
pub fn confirmation(version: &KeyVersion) -> String {
    match (Identity::recorded(version), &version.kid) {
        (Some(Identity::Public(public)), _) => public.thumbprint(),
        (Some(Identity::Secret(SecretInfo { check_value: Some(value), .. })), _) => {
            value.to_string()
        }
        (Some(Identity::Secret(_)), Some(kid)) => kid.clone(),
        _ => version.locator.to_string(),
    }
}

/// Returns the name of the keystore that [`destroy`] needs for this request.
///
/// # Errors
/// [`Error::KeyNotFound`]; [`Error::Usage`] if the confirmation fits no version.
pub fn keystore_of(file: &KeyringFile, request: &DestroyRequest) -> Result<String> {
    let keyring = file.read()?;
    let key = keyring.named(&request.name)?;
    let version = confirmed(key, &request.confirm).or_else(|| key.pending());
    Ok(version.ok_or_else(|| wrong(key))?.keystore.clone())
}

/// Destroys a version of a key, in the device and then in the keyring.
///
/// A crash in between leaves an entry without a key, which `doctor` reports, and which the same
/// command then removes.
///
/// # Errors
/// [`Error::KeyNotFound`] if there is no such key; [`Error::Usage`] if the confirmation is not its
/// thumbprint, or it serves and `force` is not given; [`Error::Config`] if another key than the
/// recorded one is in its place; else a device fault, after which the keyring is as it was.
pub fn destroy(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &DestroyRequest,
) -> Result<Destroyed> {
    let mut writer = file.lock()?;
    let key = writer.keyring().named(&request.name)?;
    let version = match confirmed(key, &request.confirm) {
        Some(version) => version.clone(),
        None => pending_in_device(key, keystore, &request.confirm)?,
    };
    if version.keystore != keystore.name() {
        return Err(Error::Usage(format!(
            "key {} is in keystore {}, not in {}",
            key.name,
            version.keystore,
            keystore.name()
        )));
    }
    if version.state.serves() && !request.force {
        return Err(Error::Usage(format!(
            "key {} (version {}) is {}: what it serves would fail from now on, and what is \
             encrypted to it would be lost; `force` destroys it all the same",
            key.name, version.version, version.state
        )));
    }
    let in_device = destroy_in_device(&key.name, keystore, &version)?;
    let was_last = writer.change(|keyring| {
        let Some(key) = keyring.key_mut(&request.name) else { return true };
        key.versions.retain(|other| other.version != version.version);
        let was_last = key.versions.is_empty();
        if was_last {
            keyring.keys.retain(|key| key.name != request.name);
        }
        was_last
    })?;
    tracing::info!(target: "hsm_jose", name = %request.name, in_device, "key destroyed");
    Ok(Destroyed { version, in_device, was_last })
}

/// Destroys the key of a version, if it is the recorded one; returns whether the device had it.
fn destroy_in_device(name: &str, keystore: &dyn Keystore, version: &KeyVersion) -> Result<bool> {
    // What was confirmed is the recorded key: another one in its place is not destroyed.
    let found = match Identity::recorded(version) {
        Some(identity) => identity.find(keystore, &version.locator).map(drop),
        None => Ok(()),
    };
    // A key that is not there may have left its public half behind.
    let destroyed = match found {
        Ok(()) | Err(BackendError::NotFound { .. }) => keystore.destroy(&version.locator),
        // It is the recorded one: what is another key's was told before.
        Err(BackendError::WeakKey { .. }) if version.weakness().is_some() => {
            keystore.destroy(&version.locator)
        }
        Err(error) => Err(error),
    };
    match destroyed {
        Ok(()) => Ok(true),
        Err(BackendError::NotFound { .. }) => Ok(false),
        Err(error @ BackendError::Misconfigured { .. }) => Err(Error::Config(format!(
            "nothing was destroyed for key {name}: {error}; find out who put it there: once it is \
             gone, this command removes the entry"
        ))),
        Err(error) => Err(error.into()),
    }
}

fn confirmed<'a>(key: &'a KeyEntry, confirm: &str) -> Option<&'a KeyVersion> {
    let mut meant = key.versions.iter().filter(|version| confirmation(version) == confirm);
    // A check value may be that of two.
    meant.next().filter(|_| meant.next().is_none())
}

/// A pending version may have a key in the device that the keyring does not know the thumbprint of.
fn pending_in_device(key: &KeyEntry, keystore: &dyn Keystore, confirm: &str) -> Result<KeyVersion> {
    let pending = key.pending().filter(|pending| pending.keystore == keystore.name());
    let pending = pending.ok_or_else(|| wrong(key))?;
    match keystore.find(&pending.locator) {
        Ok(found) => {
            let mut made = pending.clone();
            if let Some(identity) = Identity::told(found.info()) {
                identity.record(&mut made);
            }
            if confirmation(&made) == confirm { Ok(pending.clone()) } else { Err(wrong(key)) }
        }
        Err(BackendError::NotFound { .. }) => Err(wrong(key)),
        Err(error) => Err(error.into()),
    }
}

fn wrong(key: &KeyEntry) -> Error {
    let is_pending = key.versions.iter().all(|version| version.state == KeyState::Pending);
    let what = match (is_pending, key.pending()) {
        (true, Some(KeyVersion { locator, .. })) => by_locator(locator),
        _ => "the thumbprint or check value of one of its versions".into(),
    };
    Error::Usage(format!(
        "the confirmation for key {} is not {what}: nothing was destroyed; \
         `key show {}` tells it",
        key.name, key.name
    ))
}

fn by_locator(locator: &Locator) -> String {
    format!("its locator {locator} (it is pending)")
}

//! Where a keyring and a device disagree.

use crate::backend::{BackendError, KeyInfo, Keystore, Locator};
use crate::error::Result;
use crate::keyring::{KeyState, Keyring};

/// What the keyring and one keystore do not agree on.
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
/// use hsm_jose::lifecycle::orphans;
///
/// let found = orphans(&file.read()?, &keystore)?;
/// assert!(found.pending.is_empty() && found.missing.is_empty() && found.unknown.is_empty());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Orphans {
    /// Intents that a crash left. Running their command again completes them.
    pub pending: Vec<PendingKey>,
    /// Versions of the keyring whose key the device does not have: name and kid.
    pub missing: Vec<(String, String)>,
    /// Keys of the device that the keyring does not know.
    pub unknown: Vec<KeyInfo>,
}

/// An intent that a crash left.
///
/// ```
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::keyring::Keyring;
/// // What a command wrote before it asked the device, and was stopped.
/// let keyring = r#"{ "schema": 1, "generation": 1, "keys": [{
///     "name": "issuer-sig", "purpose": "sign", "algs": ["ES256"], "versions": [{
///         "version": 1, "state": "pending", "created": "2026-01-01T00:00:00Z",
///         "keystore": "test", "locator": "memory:issuer-sig", "provenance": "generated"
///     }]
/// }] }"#;
/// let keyring = Keyring::parse("keyring.json".as_ref(), keyring.as_bytes())?;
/// let found = hsm_jose::lifecycle::orphans(&keyring, &MemoryKeystore::new("test"))?;
/// let key = &found.pending[0];
/// assert!(key.name == "issuer-sig" && !key.in_device);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PendingKey {
    /// The key's name.
    pub name: String,
    /// Where its key would be.
    pub locator: Locator,
    /// The device has it.
    pub in_device: bool,
}

/// Compares a keyring with a keystore. Meaningful while no writer is at work, or under the lock.
///
/// # Errors
/// A device fault.
pub fn orphans(keyring: &Keyring, keystore: &dyn Keystore) -> Result<Orphans> {
    let mut orphans = Orphans::default();
    let mut recorded = Vec::new();
    for key in keyring.keys() {
        for version in key.versions.iter().filter(|version| version.keystore == keystore.name()) {
            recorded.push(&version.locator);
            let in_device = match keystore.find(&version.locator) {
                Ok(_)
                | Err(
                    BackendError::Ambiguous { .. }
                    | BackendError::Unsupported { .. }
                    | BackendError::WeakKey { .. },
                ) => true,
                Err(BackendError::NotFound { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            if version.state == KeyState::Pending {
                orphans.pending.push(PendingKey {
                    name: key.name.clone(),
                    locator: version.locator.clone(),
                    in_device,
                });
            } else if !in_device {
                let kid = version.kid.clone().unwrap_or_default();
                orphans.missing.push((key.name.clone(), kid));
            }
        }
    }
    let is_unknown = |info: &KeyInfo| !recorded.iter().any(|locator| leads_to(locator, info));
    orphans.unknown = keystore.list()?.into_iter().filter(is_unknown).collect();
    Ok(orphans)
}

/// Whether a recorded locator, which may name less than there is, leads to the key.
fn leads_to(recorded: &Locator, info: &KeyInfo) -> bool {
    match (recorded, &info.locator) {
        (Locator::Object { id, label }, Locator::Object { id: listed_id, label: listed_label }) => {
            let listed_label = listed_label.as_ref().or(info.label.as_ref());
            id.as_ref().is_none_or(|id| Some(id) == listed_id.as_ref())
                && label.as_ref().is_none_or(|label| Some(label) == listed_label)
        }
        (recorded, listed) => recorded == listed,
    }
}

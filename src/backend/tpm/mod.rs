//! Keys in a TPM 2.0.
//!
//! | file | role |
//! |---|---|
//! | `tcti` | the text that names the way to the TPM |
//! | `context` | the way: one protected session, the parent key, the slots for loaded keys |
//! | `object`, `make` | key files and public areas: finding, judging, making and destroying keys |
//! | `scheme` | what an operation is in TPM 2.0, and what a key is bound to |
//! | `key` | one private key: the operations of the seam |
//! | `shared` | what the keys of a keystore share, and the words of an error |
//! | `identity`, `parent` | what the TPM says of itself, and by what it is known |
//! | `fault` | what a code of the TPM means |
//! | `bare` | the same commands by hand, for a measurement |
//!
//! A key for HMAC is one that the TPM has made and keeps, as long as the hash; it is known by a check
//! value of its name. fixedTPM and fixedParent have to be set as well as sensitiveDataOrigin, which
//! TPM2_Import takes as it comes. TPM2_HMAC takes 1024 bytes at once with most TPMs: a longer message is refused, as the binding
//! has no sequence commands.
//!
//! The bus is not trusted. Every command with a private key runs in an HMAC session whose keys come
//! of a salt that is encrypted to the parent key, with the first parameter encrypted both ways: no
//! CEK, shared secret or authorization value crosses in the clear, an answer that was altered is
//! refused, and so is a handle that names another object. That holds if the parent key is the TPM's
//! own: pin its name ([`ParentName`]). It does not hold for what a TPM says of itself
//! (TPM2_GetCapability, TPM2_TestParms): an answer that was altered can have a key refused or a number
//! shown that is wrong, and no more is made of it.
//!
//! tpm2-tss writes to stderr at every error that the TPM answers, also at those that whoever sends
//! tokens can cause. The environment variable `TSS2_LOG`, with the value `all+none`, silences it; it
//! is read when the TPM is first used, and only the program can set it before its threads start.
//!
//! tpm2-tss keeps authorization values, and what it has decrypted, in buffers of its own that it
//! does not clear.
//!
//! A process that forks must open its keystores after the fork. tpm2-tss opens its sockets without
//! FD_CLOEXEC: a program that another thread starts meanwhile inherits the connection, and an swtpm
//! serves nobody else until that program ends.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tss_esapi::constants::CapabilityType;
use tss_esapi::handles::{PersistentTpmHandle, TpmHandle};
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::resource_handles::Provision;
use tss_esapi::structures::CapabilityData;
use zeroize::Zeroizing;

use crate::jose::alg::KeyAlgorithm;
use crate::jose::jwk::{PrivateJwk, PublicKey};
use crate::jose::oct::SecretJwk;
use crate::secret::PinSource;

use super::{
    BackendError, DeviceInfo, HardwareKey, KeyInfo, KeyShape, KeySpec, Keystore, Locator, Support,
};

#[cfg(feature = "cli")]
mod bare;
mod context;
mod fault;
mod identity;
mod key;
mod make;
mod object;
mod parent;
mod scheme;
mod shared;
mod tcti;

pub use object::keyfile::describe_key_file;
pub use parent::{ParentName, ParentNameError};
pub use tcti::{Tcti, TctiError};

use context::{Device, Live, lock};
use fault::Fault;
use key::TpmKey;
use object::keyfile::KeyFile;
use object::store::{Store, Unread};
use object::{Material, Place, describe};
use shared::Shared;

/// The longest authorization value: a digest of the hash that names the key.
const MAX_AUTH: usize = 32;

/// The configuration of a keystore.
///
/// ```
/// use hsm_jose::backend::tpm::TpmConfig;
/// use hsm_jose::secret::PinSource;
///
/// let config = TpmConfig {
///     name: "edge".into(),
///     tcti: "device:/dev/tpmrm0".parse().expect("a TCTI"),
///     keys: "tpm-keys".into(),
///     auth: PinSource::File("tpm-auth".into()),
///     parent_name: None, // pin it in production
/// };
/// assert_eq!(config.name, "edge");
/// ```
#[derive(Clone, Debug)]
pub struct TpmConfig {
    /// The keystore's name.
    pub name: String,
    /// The way to the TPM.
    pub tcti: Tcti,
    /// The folder of key files; made when the first key is.
    pub keys: PathBuf,
    /// Where the authorization value of the keys is to be had: at most 32 bytes. With
    /// [`PinSource::None`] it is empty, and whoever reaches the TPM can use the key files.
    pub auth: PinSource,
    /// The name of the parent key, to be compared before anything is sent to it. Without it, a
    /// device between us and the TPM can put a key of its own in its place.
    pub parent_name: Option<ParentName>,
}

/// A TPM 2.0.
///
/// ```no_run
/// use hsm_jose::backend::Keystore;
/// use hsm_jose::backend::tpm::{TpmConfig, TpmKeystore};
/// use hsm_jose::secret::PinSource;
///
/// let keystore = TpmKeystore::open(TpmConfig {
///     name: "edge".into(),
///     tcti: "device:/dev/tpmrm0".parse().expect("a TCTI"),
///     keys: "tpm-keys".into(),
///     auth: PinSource::File("tpm-auth".into()),
///     parent_name: None,
/// })?;
/// keystore.health()?;
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
///
/// Where no TPM answers, that is said at once:
///
/// ```
/// # use hsm_jose::backend::BackendError;
/// # use hsm_jose::backend::tpm::{TpmConfig, TpmKeystore};
/// # use hsm_jose::secret::PinSource;
/// let nobody = TpmConfig {
///     name: "edge".into(),
///     tcti: "device:/nowhere/tpmrm0".parse().expect("a TCTI"),
///     keys: "tpm-keys".into(),
///     auth: PinSource::None,
///     parent_name: None,
/// };
/// let error = TpmKeystore::open(nobody).err().expect("no TPM there");
/// assert!(matches!(error, BackendError::Unavailable { .. }));
/// ```
pub struct TpmKeystore {
    shared: Arc<Shared>,
    tcti: Tcti,
    supports: Mutex<HashMap<KeyShape, HashMap<KeyAlgorithm, Support>>>,
    /// The file names that were given to new keys.
    promised: Mutex<HashSet<String>>,
}

impl TpmKeystore {
    /// Reaches the TPM, compares the parent's name and starts the session; reads the authorization
    /// value, which is kept for as long as the keystore and its keys are.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] (no TPM behind the TCTI, or no free slot),
    /// [`BackendError::Misconfigured`] (another parent key than the pinned one, an authorization
    /// value that is too long), [`BackendError::PinUnavailable`].
    pub fn open(config: TpmConfig) -> Result<Self, BackendError> {
        let TpmConfig { name, tcti, keys, auth, parent_name } = config;
        let auth = read_auth(&name, &auth)?;
        let shared = Shared {
            device: Device::at(tcti.as_str()),
            auth,
            store: Store::new(keys),
            pinned: parent_name,
            refused: Mutex::default(),
            name,
        };
        let keystore = Self {
            shared: Arc::new(shared),
            tcti,
            supports: Mutex::default(),
            promised: Mutex::default(),
        };
        keystore.health()?;
        Ok(keystore)
    }

    /// Returns the name of the parent key, and whether it is pinned.
    ///
    /// # Errors
    /// A device fault.
    pub fn parent_name(&self) -> Result<(ParentName, bool), BackendError> {
        let name = self.shared.run(|live| Ok(live.parent_name().to_vec()))?;
        Ok((ParentName(name), self.shared.pinned.is_some()))
    }

    fn file_name<'a>(&self, locator: &'a Locator) -> Result<&'a str, BackendError> {
        match locator {
            Locator::KeyFile(name) if super::locator::is_file_name(name) => Ok(name),
            _ => Err(self.shared.misconfigured(format!(
                "a new key of a TPM is at file:NAME.pem, not at {locator}"
            ))),
        }
    }

    /// Checks that a key can be put at `locator`, makes it, and writes its file.
    fn put(
        &self,
        locator: &Locator,
        make: impl FnOnce() -> Result<TpmKey, BackendError>,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let (shared, name) = (&self.shared, self.file_name(locator)?);
        if shared.store.has(name) {
            return Err(shared.misconfigured(format!("there is a key at {locator} already")));
        }
        let key = make()?;
        if let Material { public, place: Place::Wrapped { parent, private }, .. } = key.material() {
            let file = KeyFile {
                parent: *parent,
                empty_auth: shared.auth.is_empty(),
                public: public.clone(),
                private: private.clone(),
            };
            shared.store.write(name, &file).map_err(|reason| shared.misconfigured(reason))?;
        }
        key.stored(shared.store.stamp(name));
        Ok(Arc::new(key))
    }

    fn found(&self, locator: &Locator) -> Result<TpmKey, BackendError> {
        let shared = &self.shared;
        match locator {
            Locator::KeyFile(name) if super::locator::is_file_name(name) => {
                // Before the reading, so that a file that is replaced meanwhile is looked at again.
                let stamp = shared.store.stamp(name);
                let file = match shared.store.read(name) {
                    Ok(file) => file,
                    Err(Unread::Missing) => return Err(self.not_found(locator)),
                    Err(Unread::Wrong(reason)) => return Err(shared.misconfigured(reason)),
                };
                let place = Place::Wrapped { parent: file.parent, private: file.private };
                let material = Material { id: shared.device.new_id(), public: file.public, place };
                shared.key(locator, material, file.empty_auth, stamp)
            }
            Locator::Handle(handle) => {
                let public = shared.run(|live| match live.read_persistent(*handle) {
                    Err(fault) if fault.is_no_handle() => Ok(None),
                    answer => Ok(Some(answer?)),
                })?;
                let Some(public) = public else { return Err(self.not_found(locator)) };
                let place = Place::Persistent(*handle);
                let material = Material { id: shared.device.new_id(), public, place };
                shared.key(locator, material, shared.auth.is_empty(), None)
            }
            _ => Err(self.not_found(locator)),
        }
    }

    /// Lists the persistent handles with keys that are not the TPM's own.
    fn persistent(&self) -> Result<Vec<KeyInfo>, BackendError> {
        let shared = &self.shared;
        let found = shared.run(|live| {
            let (answer, _) = live.send_bare("TPM2_GetCapability", |context| {
                context.get_capability(CapabilityType::Handles, 0x8100_0000, 256)
            })?;
            let CapabilityData::Handles(handles) = answer else { return Ok(Vec::new()) };
            let mut found = Vec::new();
            for handle in handles.into_inner() {
                let TpmHandle::Persistent(handle) = handle else { continue };
                let handle = u32::from(handle);
                let public = live.read_persistent(handle)?;
                if !public.object_attributes().restricted() {
                    found.push((handle, public));
                }
            }
            Ok(found)
        })?;
        let info = |(handle, public): &(u32, _)| {
            let told = describe(public, !shared.auth.is_empty())?;
            Some(told.into_info(&Locator::Handle(*handle)).1)
        };
        Ok(found.iter().filter_map(info).collect())
    }

    fn not_found(&self, locator: &Locator) -> BackendError {
        BackendError::NotFound { keystore: self.shared.name.clone(), locator: locator.clone() }
    }
}

impl Keystore for TpmKeystore {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn describe(&self) -> Result<DeviceInfo, BackendError> {
        identity::describe(&self.shared, &self.tcti)
    }

    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Result<Support, BackendError> {
        if !alg.fits(shape.kind()) {
            return Ok(Support::No { reason: format!("{alg} does not fit a key of {shape}") });
        }
        // Held while probing: two threads that ask at once would make the keys twice.
        let mut known = lock(&self.supports);
        let algs = match known.entry(shape) {
            Entry::Occupied(algs) => algs.into_mut(),
            Entry::Vacant(place) => place.insert(make::probe(&self.shared, shape)?),
        };
        let support = algs.get(&alg).cloned();
        Ok(support.unwrap_or_else(|| Support::No { reason: "not tried".to_owned() }))
    }

    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let key = self.found(locator)?;
        super::refuse_weak(self.name(), locator, key.info().public.as_ref())?;
        Ok(Arc::new(key))
    }

    fn find_with_public(
        &self,
        locator: &Locator,
        public: &PublicKey,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let key = self.found(locator)?;
        let secret = key.info().secret.map(|secret| secret.shape().kind());
        let kind = secret.unwrap_or(public.kind());
        super::check_public(self.name(), locator, key.info(), kind, public)?;
        Ok(Arc::new(key))
    }

    fn list(&self) -> Result<Vec<KeyInfo>, BackendError> {
        let shared = &self.shared;
        let mut keys = Vec::new();
        for name in shared.store.names().map_err(|reason| shared.misconfigured(reason))? {
            match shared.store.read(&name) {
                Ok(file) => {
                    let told = describe(&file.public, !file.empty_auth);
                    keys.extend(told.map(|told| told.into_info(&Locator::KeyFile(name)).1));
                }
                Err(Unread::Missing) => {}
                Err(Unread::Wrong(reason)) => {
                    tracing::warn!(target: "hsm_jose", keystore = shared.name, reason, "passed over");
                }
            }
        }
        keys.extend(self.persistent()?);
        Ok(keys)
    }

    fn new_locator(&self, name: &str) -> Result<Locator, BackendError> {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
        let plain = |c: char| if is_plain(&c) { c } else { '-' };
        let stem: String = name.chars().map(plain).take(100).collect();
        let stem = stem.trim_start_matches('.');
        let stem = if stem.is_empty() { "key" } else { stem };
        let numbered = (2..).map(|number: u64| format!("{stem}-{number}.pem"));
        let mut names = std::iter::once(format!("{stem}.pem")).chain(numbered);
        // Two threads that ask at once get two names.
        let mut promised = lock(&self.promised);
        let free = names.find(|name| !self.shared.store.has(name) && !promised.contains(name));
        promised.extend(free.clone());
        Ok(Locator::KeyFile(free.unwrap_or_else(|| format!("{stem}.pem"))))
    }

    fn generate(
        &self,
        locator: &Locator,
        spec: &KeySpec,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.put(locator, || make::generate(&self.shared, locator, spec))
    }

    fn generate_ephemeral(&self, spec: &KeySpec) -> Result<Arc<dyn HardwareKey>, BackendError> {
        Ok(Arc::new(make::generate_ephemeral(&self.shared, spec)?))
    }

    fn import(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        private: &PrivateJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.put(locator, || make::import(&self.shared, locator, spec, private))
    }

    fn import_secret(
        &self,
        _: &Locator,
        spec: &KeySpec,
        _: &SecretJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let what = format!("a known key of {}", spec.shape);
        let reason = scheme::Scheme::of_spec(spec).err().unwrap_or_else(|| {
            "a TPM does not tell how long a symmetric key is, and here only those that it made, of \
             a known length, are served: generate one, or use a PKCS#11 token"
                .to_owned()
        });
        Err(self.shared.unsupported(&what, reason))
    }

    fn destroy(&self, locator: &Locator) -> Result<(), BackendError> {
        let shared = &self.shared;
        match locator {
            Locator::KeyFile(name) if super::locator::is_file_name(name) => {
                match shared.store.remove(name) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(self.not_found(locator)),
                    Err(reason) => Err(shared.misconfigured(reason)),
                }
            }
            Locator::Handle(number) => {
                let is_gone = shared.run(|live| match evict(live, *number) {
                    Err(fault) if fault.is_no_handle() => Ok(false),
                    answer => Ok(answer.map(|()| true)?),
                })?;
                if is_gone { Ok(()) } else { Err(self.not_found(locator)) }
            }
            _ => Err(self.not_found(locator)),
        }
    }

    fn health(&self) -> Result<(), BackendError> {
        self.shared.run(|live| Ok(live.ask()?))
    }
}

impl fmt::Debug for TpmKeystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TpmKeystore")
            .field("name", &self.shared.name)
            .field("device", &self.shared.device)
            .finish_non_exhaustive()
    }
}

fn read_auth(name: &str, source: &PinSource) -> Result<Zeroizing<Vec<u8>>, BackendError> {
    if *source == PinSource::Protected {
        return Err(BackendError::Misconfigured {
            keystore: name.to_owned(),
            reason: "a TPM has no PIN pad: auth is not { protected = true }".to_owned(),
        });
    }
    let pin = source
        .read(name)
        .map_err(|reason| BackendError::PinUnavailable { keystore: name.to_owned(), reason })?;
    let auth = pin.map(|pin| pin.expose().as_bytes().to_vec()).unwrap_or_default();
    let auth = Zeroizing::new(auth);
    if auth.len() > MAX_AUTH {
        return Err(BackendError::Misconfigured {
            keystore: name.to_owned(),
            reason: format!("{source} has more than the {MAX_AUTH} bytes that a TPM takes"),
        });
    }
    Ok(auth)
}

fn evict(live: &mut Live, number: u32) -> Result<(), Fault> {
    let handle = live.open_persistent(number)?;
    live.send("TPM2_EvictControl", |context| {
        let persistent = Persistent::Persistent(PersistentTpmHandle::new(number)?);
        context.evict_control(Provision::Owner, handle, persistent).map(|_| ())
    })
}

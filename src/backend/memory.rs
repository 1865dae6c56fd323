//! Software keys. NO SECURITY: for tests and examples only.
//!
//! A [`MemoryKeystore`] keeps its private keys in the memory of this process and forgets them with
//! it. It behaves as a device does at the seam, so that everything above can be tried without one,
//! and it says of itself that it is software, so that production refuses it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Support;
use super::{BackendError, DeviceInfo, HardwareKey, KeyInfo, KeyShape, KeySpec, Keystore, Locator};
use crate::jose::alg::KeyAlgorithm;
use crate::jose::jwk::PrivateJwk;
use crate::jose::oct::SecretJwk;
use key::MemoryKey;
use secret::MemorySecret;

mod key;
mod secret;

/// A keystore of software keys. NO SECURITY: for tests and examples only.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore, Locator, ToSign};
/// use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
///
/// let keystore = MemoryKeystore::new("test");
/// let alg = SignatureAlgorithm::Es256;
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![KeyAlgorithm::Sign(alg)] };
/// let key = keystore.generate(&Locator::Memory("issuer-sig".into()), &spec)?;
/// assert_eq!(key.sign(alg, ToSign::Message(b"message"))?.len(), 64);
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Debug)]
pub struct MemoryKeystore {
    name: String,
    keys: RwLock<BTreeMap<String, Arc<dyn HardwareKey>>>,
    supports: Mutex<HashMap<(KeyAlgorithm, KeyShape), Support>>,
}

impl MemoryKeystore {
    /// Makes an empty keystore with the name it shall have in the configuration.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), keys: RwLock::default(), supports: Mutex::default() }
    }

    fn put(
        &self,
        locator: &Locator,
        key: Arc<dyn HardwareKey>,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let name = self.free_name(locator)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        match keys.entry(name.to_owned()) {
            Entry::Vacant(entry) => entry.insert(Arc::clone(&key)),
            Entry::Occupied(_) => return Err(self.taken(locator)),
        };
        Ok(key)
    }

    fn made(&self, locator: Locator, spec: &KeySpec) -> Result<Arc<dyn HardwareKey>, BackendError> {
        Ok(match spec.shape {
            KeyShape::Oct { bits } => {
                Arc::new(MemorySecret::generate(&self.name, locator, spec, bits))
            }
            _ => Arc::new(MemoryKey::generate(&self.name, locator, spec)?),
        })
    }

    fn free_name<'a>(&self, locator: &'a Locator) -> Result<&'a str, BackendError> {
        let Ok(name) = self.key_name(locator) else {
            return Err(
                self.unsupported("a new key", &format!("{locator} is not a memory: locator"))
            );
        };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.contains_key(name) { Err(self.taken(locator)) } else { Ok(name) }
    }

    fn key_name<'a>(&self, locator: &'a Locator) -> Result<&'a str, BackendError> {
        match locator {
            Locator::Memory(name) => Ok(name),
            _ => Err(self.not_found(locator)),
        }
    }

    /// Checks that a key of `spec` can be: one purpose, and algorithms that fit the shape.
    fn check(&self, spec: &KeySpec) -> Result<(), BackendError> {
        if spec.purpose().is_none() {
            return Err(self.unsupported("a new key", "it needs algorithms of one purpose"));
        }
        match spec.algs.iter().find(|alg| !alg.fits(spec.shape.kind())) {
            None => Ok(()),
            Some(alg) => {
                Err(self.unsupported(alg.name(), &format!("{} does not fit it", spec.shape)))
            }
        }
    }

    fn taken(&self, locator: &Locator) -> BackendError {
        self.unsupported("a new key", &format!("there is a key at {locator}"))
    }

    fn not_found(&self, locator: &Locator) -> BackendError {
        BackendError::NotFound { keystore: self.name.clone(), locator: locator.clone() }
    }

    fn unsupported(&self, what: &str, reason: &str) -> BackendError {
        let (keystore, what, reason) = (self.name.clone(), what.into(), reason.into());
        BackendError::Unsupported { keystore, what, reason }
    }
}

impl Keystore for MemoryKeystore {
    fn name(&self) -> &str {
        &self.name
    }

    fn describe(&self) -> Result<DeviceInfo, BackendError> {
        Ok(DeviceInfo {
            kind: "memory",
            manufacturer: "hsm-jose".into(),
            model: "software keys".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            software: true,
            warnings: vec!["NO SECURITY: for tests and examples only".into()],
            ..DeviceInfo::default()
        })
    }

    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Result<Support, BackendError> {
        let remembered = |this: &Self| {
            let supports = this.supports.lock().unwrap_or_else(PoisonError::into_inner);
            supports.get(&(alg, shape)).cloned()
        };
        if let Some(support) = remembered(self) {
            return Ok(support);
        }
        let spec = KeySpec { shape, algs: vec![alg] };
        let locator = Locator::Memory("probe".into());
        let made = self.check(&spec).and_then(|()| self.made(locator, &spec));
        let support = match made {
            Ok(key) => key.support(alg)?,
            Err(BackendError::Unsupported { reason, .. }) => Support::No { reason },
            Err(error) => return Err(error),
        };
        let mut supports = self.supports.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(supports.entry((alg, shape)).or_insert(support).clone())
    }

    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match keys.get(self.key_name(locator)?) {
            Some(key) => Ok(Arc::clone(key)),
            None => Err(self.not_found(locator)),
        }
    }

    fn list(&self) -> Result<Vec<KeyInfo>, BackendError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.values().map(|key| key.info().clone()).collect())
    }

    fn new_locator(&self, name: &str) -> Result<Locator, BackendError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let numbered = (2..).map(|number: u64| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        let free = names.find(|name| !keys.contains_key(name));
        Ok(Locator::Memory(free.unwrap_or_else(|| name.to_owned())))
    }

    fn generate(
        &self,
        locator: &Locator,
        spec: &KeySpec,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.check(spec)?;
        self.free_name(locator)?;
        self.put(locator, self.made(locator.clone(), spec)?)
    }

    fn generate_ephemeral(&self, spec: &KeySpec) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.check(spec)?;
        let locator = Locator::Memory("ephemeral".into());
        self.made(locator, spec)
    }

    fn import(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        private: &PrivateJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.check(spec)?;
        self.free_name(locator)?;
        let key = MemoryKey::import(&self.name, locator.clone(), spec, private)?;
        self.put(locator, Arc::new(key))
    }

    fn import_secret(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        secret: &SecretJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.check(spec)?;
        self.free_name(locator)?;
        let key = MemorySecret::import(&self.name, locator.clone(), spec, secret)?;
        self.put(locator, Arc::new(key))
    }

    fn destroy(&self, locator: &Locator) -> Result<(), BackendError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let removed = keys.remove(self.key_name(locator)?);
        removed.map(drop).ok_or_else(|| self.not_found(locator))
    }

    fn health(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

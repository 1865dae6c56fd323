//! The keystores of a configuration: each opened once, at its first use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::backend::Keystore;
use crate::backend::memory::MemoryKeystore;
#[cfg(any())]
use crate::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore};
use crate::config::{Config, Environment, KeystoreConfig};
use crate::error::{Error, Result};

/// Keystores by name. Opening one loads its module and logs in; it happens once, at the first use.
#[derive(Debug)]
pub struct Keystores {
    environment: Environment,
    slots: BTreeMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    config: Option<KeystoreConfig>,
    opened: OnceLock<Arc<dyn Keystore>>,
    /// Held while opening, so that two threads do not log in twice.
    opening: Mutex<()>,
}

impl Keystores {
    /// Takes the keystores of a configuration, unopened.
    pub fn new(config: &Config) -> Self {
        let slots = config.keystores.iter().map(|(name, settings)| {
            let slot = Slot {
                config: Some(settings.clone()),
                opened: OnceLock::new(),
                opening: Mutex::new(()),
            };
            (name.clone(), slot)
        });
        Self { environment: config.environment, slots: slots.collect() }
    }

    /// Takes keystores that the caller has opened.
    pub fn opened(environment: Environment, keystores: Vec<Arc<dyn Keystore>>) -> Self {
        let slots = keystores.into_iter().map(|keystore| {
            let name = keystore.name().to_owned();
            (name, Slot { config: None, opened: OnceLock::from(keystore), opening: Mutex::new(()) })
        });
        Self { environment, slots: slots.collect() }
    }

    /// Returns the names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    /// Returns whether software tokens and imported keys are refused.
    pub fn is_production(&self) -> bool {
        self.environment == Environment::Production
    }

    /// Returns a keystore, opening it if nobody has yet.
    ///
    /// # Errors
    /// [`Error::Config`] if none has the name; [`Error::Policy`] in production for a software token;
    /// a device fault.
    pub fn open(&self, name: &str) -> Result<&Arc<dyn Keystore>> {
        let Some(slot) = self.slots.get(name) else {
            let names: Vec<_> = self.names().collect();
            return Err(Error::Config(format!(
                "no [keystore.{name}] in the configuration; there are: {}",
                names.join(", ")
            )));
        };
        if let Some(keystore) = slot.opened.get() {
            return Ok(keystore);
        }
        let _guard = slot.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keystore) = slot.opened.get() {
            return Ok(keystore);
        }
        let keystore = self.open_new(name, slot.config.as_ref())?;
        Ok(slot.opened.get_or_init(|| keystore))
    }

    fn open_new(&self, name: &str, config: Option<&KeystoreConfig>) -> Result<Arc<dyn Keystore>> {
        let keystore: Arc<dyn Keystore> = match config {
            #[cfg(any())]
            Some(KeystoreConfig::Pkcs11(settings)) => {
                Arc::new(Pkcs11Keystore::open(Pkcs11Config::of(name, settings)?)?)
            }
            #[cfg(all())]
            Some(KeystoreConfig::Pkcs11(_)) => {
                return Err(Error::Config(format!(
                    "keystore {name}: this build has no PKCS#11 support"
                )));
            }
            Some(KeystoreConfig::Memory) | None => Arc::new(MemoryKeystore::new(name)),
        };
        if self.is_production() {
            let device = keystore.describe()?;
            if device.software {
                return Err(Error::Policy(format!(
                    "keystore {name} is a software token ({} {}), which production refuses",
                    device.manufacturer, device.model
                )));
            }
        }
        Ok(keystore)
    }
}

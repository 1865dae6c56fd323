//! The keystores of a configuration, each opened once, when it is first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::memory::MemoryKeystore;
#[cfg(feature = "pkcs11")]
use crate::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore};
use crate::backend::{BackendError, HardwareKey, Keystore};
#[cfg(feature = "pkcs11")]
use crate::config::Pkcs11Settings;
use crate::config::{Config, KeystoreConfig};
use crate::error::{Error, Result};
use crate::keyring::{KeyRef, Provenance};

/// The keystores of a configuration.
///
/// Opening one logs in. A PIN that was refused is not tried again for the life of this value:
/// devices lock after a few attempts.
///
/// ```
/// use std::sync::Arc;
///
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::keystores::Keystores;
///
/// let soft = Arc::new(MemoryKeystore::new("soft"));
/// let keystores = Keystores::opened(vec![soft.clone()], false)?;
/// assert_eq!(keystores.only()?, "soft");
/// assert!(Keystores::opened(vec![soft], true).is_err(), "software keys in production");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct Keystores {
    is_production: bool,
    slots: BTreeMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    /// `None` for a keystore that the caller opened.
    config: Option<KeystoreConfig>,
    opened: Mutex<Option<std::result::Result<Arc<dyn Keystore>, Error>>>,
}

impl Keystores {
    /// Takes the keystores of a configuration. Nothing is opened yet.
    pub fn new(config: &Config) -> Self {
        let slot = |config: &KeystoreConfig| Slot {
            config: Some(config.clone()),
            opened: Mutex::new(None),
        };
        let slots = config.keystores.iter().map(|(name, config)| (name.clone(), slot(config)));
        Self { is_production: config.is_production(), slots: slots.collect() }
    }

    /// Takes keystores that the caller has opened; in production, no software tokens.
    ///
    /// # Errors
    /// [`Error::Config`] for a software token in production; a device fault.
    pub fn opened(keystores: Vec<Arc<dyn Keystore>>, is_production: bool) -> Result<Self> {
        let mut slots = BTreeMap::new();
        for keystore in keystores {
            let name = keystore.name().to_owned();
            if is_production {
                refuse_software(&name, &*keystore)?;
            }
            slots.insert(name, Slot { config: None, opened: Mutex::new(Some(Ok(keystore))) });
        }
        Ok(Self { is_production, slots })
    }

    /// Iterates over the names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    /// Returns the name of the one keystore there is.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none; [`Error::Usage`] with the names if there are more.
    pub fn only(&self) -> Result<&str> {
        let mut names = self.names();
        match (names.next(), names.next()) {
            (Some(name), None) => Ok(name),
            (None, _) => Err(Error::Config("the configuration has no [keystore.NAME]".into())),
            _ => {
                let names: Vec<&str> = self.names().collect();
                let names = names.join(", ");
                Err(Error::Usage(format!("which `keystore`? It is one of {names}")))
            }
        }
    }

    /// Opens a keystore, or returns it as it was opened before.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none of this name, or in production it is a software token, or
    /// a TPM whose parent key is not pinned; else what the device, or the way to it, answered.
    pub fn open(&self, name: &str) -> Result<Arc<dyn Keystore>> {
        let Some(slot) = self.slots.get(name) else {
            let names: Vec<&str> = self.names().collect();
            return Err(Error::Config(format!(
                "no [keystore.{name}] in the configuration, which has: {}",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            )));
        };
        // Held while opening, so that one login is made and not one for each thread.
        let mut opened = slot.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = opened.as_ref() {
            return result.clone();
        }
        let Some(config) = &slot.config else {
            return Err(Error::Config(format!("keystore {name} is not open")));
        };
        let result = self.open_now(name, config);
        let is_final = match &result {
            Ok(_) => true,
            Err(Error::Backend(error)) => {
                matches!(error, BackendError::PinRefused { .. } | BackendError::PinLocked { .. })
            }
            Err(_) => false,
        };
        if is_final {
            *opened = Some(result.clone());
        }
        result
    }

    /// Finds the private key of a version, and checks that it may serve and is the recorded one.
    ///
    /// # Errors
    /// [`Error::Policy`] for a key that is not to be used ([`KeyRef::check_strength`]), and in production
    /// for an imported key without a waiver, or a key that its device says can leave it; else as
    /// [`Keystores::open`] and [`Keystore::find_with_public`].
    pub fn key(&self, found: KeyRef<'_>) -> Result<Arc<dyn HardwareKey>> {
        found.check_strength()?;
        let version = found.version;
        let is_waived = version.provenance != Provenance::Imported || version.waiver.is_some();
        if self.is_production && !is_waived {
            return Err(Error::Policy(format!(
                "key {} (kid {:?}) was imported: its private part has been outside a device, and \
                 in production it serves only if imported with a `waiver`",
                found.key.name, found.kid
            )));
        }
        let keystore = self.open(&version.keystore)?;
        let key = match (&version.public, &version.secret) {
            (Some(public), _) => keystore.find_with_public(&version.locator, &public.key)?,
            (None, Some(secret)) => keystore.find_with_secret(&version.locator, secret)?,
            (None, None) => keystore.find(&version.locator)?,
        };
        let info = key.info();
        if self.is_production && info.exportable {
            return Err(Error::Policy(format!(
                "key {} (kid {:?}) at {} in keystore {} can leave the device, which says of it: \
                 {}; production does not serve it: generate another with `key generate`",
                found.key.name,
                found.kid,
                info.locator,
                version.keystore,
                info.weak.join(", ")
            )));
        }
        Ok(key)
    }

    fn open_now(&self, name: &str, config: &KeystoreConfig) -> Result<Arc<dyn Keystore>> {
        #[cfg(feature = "tpm")]
        if self.is_production {
            refuse_unpinned(name, config)?;
        }
        let keystore = open_backend(name, config)?;
        if self.is_production {
            refuse_software(name, &*keystore)?;
        }
        Ok(keystore)
    }
}

fn refuse_software(name: &str, keystore: &dyn Keystore) -> Result<()> {
    if keystore.describe()?.software {
        return Err(Error::Config(format!(
            "keystore {name} is a software token: its keys are files that can be copied, and \
             environment = \"production\" refuses it"
        )));
    }
    Ok(())
}

/// Nothing tells a TPM that is not pinned from a device that somebody put in its place.
#[cfg(feature = "tpm")]
fn refuse_unpinned(name: &str, config: &KeystoreConfig) -> Result<()> {
    if let KeystoreConfig::Tpm(settings) = config
        && settings.parent_name.is_none()
    {
        return Err(Error::Config(format!(
            "keystore {name} is a TPM whose parent key is not pinned, and environment = \
             \"production\" refuses it: `token pin {name}` writes parent_name"
        )));
    }
    Ok(())
}

fn open_backend(name: &str, config: &KeystoreConfig) -> Result<Arc<dyn Keystore>> {
    match config {
        KeystoreConfig::Memory => Ok(Arc::new(MemoryKeystore::new(name))),
        #[cfg(feature = "tpm")]
        KeystoreConfig::Tpm(settings) => Ok(Arc::new(open_tpm(name, settings)?)),
        #[cfg(feature = "pkcs11")]
        KeystoreConfig::Pkcs11(settings) => Ok(Arc::new(open_pkcs11(name, settings)?)),
        #[cfg(not(feature = "tpm"))]
        KeystoreConfig::Tpm => Err(Error::Config(format!(
            "keystore {name} is of type tpm, which this build lacks: build with --features tpm"
        ))),
        #[cfg(not(feature = "pkcs11"))]
        KeystoreConfig::Pkcs11(_) => Err(Error::Config(format!(
            "keystore {name} is of type pkcs11, which this build lacks: build with --features pkcs11"
        ))),
    }
}

/// Opens a PKCS#11 keystore by itself.
#[cfg(feature = "pkcs11")]
pub(crate) fn open_pkcs11(name: &str, settings: &Pkcs11Settings) -> Result<Pkcs11Keystore> {
    // The text is not quoted: a URI may have a PIN in it, where none belongs.
    let token = settings.token.parse();
    let token = token.map_err(|error| Error::Config(format!("keystore {name}: token: {error}")))?;
    Ok(Pkcs11Keystore::open(Pkcs11Config {
        name: name.to_owned(),
        module: settings.module.clone(),
        token,
        pin: settings.pin.clone(),
        sessions: settings.sessions,
        host_oaep: settings.host_oaep,
    })?)
}

/// Opens a TPM as what it is, for the commands that ask more of it than a keystore does.
#[cfg(feature = "tpm")]
pub(crate) fn open_tpm(
    name: &str,
    settings: &crate::config::TpmSettings,
) -> Result<crate::backend::tpm::TpmKeystore> {
    let settings = settings.clone();
    Ok(crate::backend::tpm::TpmKeystore::open(crate::backend::tpm::TpmConfig {
        name: name.to_owned(),
        tcti: settings.tcti,
        keys: settings.keys,
        auth: settings.auth,
        parent_name: settings.parent_name,
    })?)
}

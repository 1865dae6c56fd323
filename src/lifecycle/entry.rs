//! One way into a device and the keyring: intent first, then the device, then active.

use std::sync::Arc;

use super::identity::Identity;
use super::{Entered, KeyRequest, Outcome, prove};
use crate::backend::{BackendError, HardwareKey, Keystore, Locator, Support};
use crate::error::{Error, Result};
use crate::jose::alg::KeyAlgorithm;
use crate::keyring::{KeyEntry, KeyRef, KeyState, KeyVersion, Keyring, KeyringWriter};
use crate::keyring::{Provenance, Timestamp};

pub(super) type Make<'a> =
    dyn Fn(&Locator) -> std::result::Result<Arc<dyn HardwareKey>, BackendError> + 'a;

/// One way of getting a key into a device and the keyring.
pub(super) struct Entry<'a> {
    pub(super) keystore: &'a dyn Keystore,
    pub(super) request: &'a KeyRequest,
    pub(super) provenance: Provenance,
    pub(super) waiver: Option<String>,
    pub(super) make: &'a Make<'a>,
    /// Whether a key that a crash left is the one that is asked for now.
    pub(super) expected: &'a dyn Fn(&Identity) -> bool,
    /// By what the key is known without the device.
    pub(super) known: Option<&'a Identity>,
}

impl Entry<'_> {
    pub(super) fn enter(&self, writer: &mut KeyringWriter) -> Result<Entered> {
        let interrupted = writer.keyring().key(&self.request.name).and_then(KeyEntry::pending);
        if let Some(locator) = interrupted.map(|pending| pending.locator.clone()) {
            self.check_interrupted(writer)?;
            let found = match self.known {
                Some(known) => known.find(self.keystore, &locator),
                None => self.keystore.find(&locator),
            };
            match found {
                Ok(key) => return self.complete(writer, &locator, key.as_ref()),
                Err(BackendError::NotFound { .. }) => self.forget(writer)?,
                Err(BackendError::WeakKey { reason, .. }) => {
                    return Err(self.give_up(writer, &locator, reason)?);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.check_free(writer.keyring())?;
        let locator = self.keystore.new_locator(&self.request.name)?;
        self.intend(writer, &locator)?;
        let key = match (self.make)(&locator) {
            Ok(key) => key,
            Err(error) => {
                let is_clean =
                    matches!(self.keystore.find(&locator), Err(BackendError::NotFound { .. }));
                self.after_failure(writer, &locator, is_clean);
                return Err(error.into());
            }
        };
        let proved = self
            .identity(key.as_ref())
            .and_then(|identity| Ok((identity, prove(key.as_ref(), &self.request.algs)?)));
        match proved {
            Ok((identity, support)) => {
                self.activate(writer, key.as_ref(), identity, support, Outcome::Entered)
            }
            Err(error) => {
                let is_clean = self.keystore.destroy(&locator).is_ok();
                self.after_failure(writer, &locator, is_clean);
                Err(error)
            }
        }
    }

    /// What the keyring would refuse in the end is refused before the device has a key of it.
    fn check_free(&self, keyring: &Keyring) -> Result<()> {
        // Two symmetric keys may have one check value, and be two all the same.
        let public = self.known.filter(|known| matches!(known, Identity::Public(_)));
        let is_same = |found: &KeyRef<'_>| {
            public.is_some() && Identity::recorded(found.version).as_ref() == public
        };
        if let Some(found) = keyring.versions().find(is_same) {
            return Err(Error::Usage(format!(
                "this very key is in the keyring already: it is key {}",
                found.key.name
            )));
        }
        let kid = self.request.kid.clone().or_else(|| public.map(Identity::kid));
        let is_taken = |found: &KeyRef<'_>| Some(found.kid) == kid.as_deref();
        match keyring.versions().find(is_taken) {
            Some(found) => Err(Error::Usage(format!(
                "the kid {:?} is that of key {}: give another `kid`",
                found.kid, found.key.name
            ))),
            None => Ok(()),
        }
    }

    /// The pending version must be of this very command, or completing it is not what was asked.
    fn check_interrupted(&self, writer: &KeyringWriter) -> Result<()> {
        let key = writer.keyring().named(&self.request.name)?;
        let Some(pending) = key.pending() else { return Ok(()) };
        let differs = if pending.keystore != self.keystore.name() {
            format!("in keystore {}", pending.keystore)
        } else if pending.provenance != self.provenance {
            format!("as {}", pending.provenance)
        } else if !self.request.has_same_algs(&key.algs) {
            let algs: Vec<&str> = key.algs.iter().map(|alg| alg.name()).collect();
            format!("with {}", algs.join(" and "))
        } else {
            return Ok(());
        };
        Err(Error::Usage(format!(
            "key {} was begun {differs} and interrupted: run that command again to complete it, \
             or `key destroy {}` to give it up",
            key.name, key.name
        )))
    }

    fn complete(
        &self,
        writer: &mut KeyringWriter,
        locator: &Locator,
        key: &dyn HardwareKey,
    ) -> Result<Entered> {
        let identity = self.identity(key)?;
        if !(self.expected)(&identity) {
            return Err(Error::Usage(format!(
                "key {} was begun with another key ({}) and interrupted: run that command again \
                 to complete it, or `key destroy {}` to give it up",
                self.request.name,
                identity.shape(),
                self.request.name
            )));
        }
        // The crash may have come before the keystore had read back what it made.
        let weak = &key.info().weak;
        if !weak.is_empty() {
            return Err(self.give_up(writer, locator, weak.join(", "))?);
        }
        let support = prove(key, &self.request.algs)?;
        self.activate(writer, key, identity, support, Outcome::Completed)
    }

    /// Destroys what a crash left and is not as a key of ours shall be; returns what is said of it.
    fn give_up(
        &self,
        writer: &mut KeyringWriter,
        locator: &Locator,
        what: String,
    ) -> Result<Error> {
        self.keystore.destroy(locator)?;
        self.forget(writer)?;
        Ok(self.not_as_asked(what))
    }

    fn identity(&self, key: &dyn HardwareKey) -> Result<Identity> {
        let identity = match (Identity::told(key.info()), self.known) {
            (Some(told), Some(known)) => told.joined(known).ok_or_else(|| {
                self.not_as_asked("its public half or check value is another one".into())
            })?,
            (Some(told), None) => told,
            (None, Some(known)) => known.clone(),
            (None, None) => {
                return Err(self.not_as_asked("the device does not tell its public half".into()));
            }
        };
        self.request.check_fit(identity.shape().kind())?;
        Ok(identity)
    }

    fn not_as_asked(&self, what: String) -> Error {
        let keystore = self.keystore.name().to_owned();
        Error::Backend(BackendError::NotAsAsked { keystore, what })
    }

    fn intend(&self, writer: &mut KeyringWriter, locator: &Locator) -> Result<()> {
        let version = KeyVersion {
            version: 1,
            kid: self.request.kid.clone(),
            kid_given: self.request.kid.is_some(),
            state: KeyState::Pending,
            created: Timestamp::now(),
            keystore: self.keystore.name().to_owned(),
            locator: locator.clone(),
            provenance: self.provenance,
            waiver: self.waiver.clone(),
            unproven: Vec::new(),
            public: None,
            secret: None,
        };
        let entry = super::adopt::entry(self.request, version);
        writer.change(|keyring| keyring.keys.push(entry))
    }

    fn activate(
        &self,
        writer: &mut KeyringWriter,
        key: &dyn HardwareKey,
        identity: Identity,
        support: Vec<(KeyAlgorithm, Support)>,
        outcome: Outcome,
    ) -> Result<Entered> {
        let shape = identity.shape();
        let name = self.request.name.as_str();
        let version = writer.change(|keyring| {
            let entry = keyring.key_mut(name)?;
            let mut versions = entry.versions.iter_mut();
            let version = versions.find(|version| version.state == KeyState::Pending)?;
            version.kid_given = self.request.kid.is_some();
            version.kid = Some(self.request.kid.clone().unwrap_or_else(|| identity.kid()));
            version.unproven = super::adopt::doubts(key.info());
            version.waiver.clone_from(&self.waiver);
            identity.record(version);
            version.state = KeyState::Active;
            Some(version.clone())
        })?;
        tracing::info!(target: "hsm_jose", name, keystore = key.keystore(), "key is active");
        Ok(Entered {
            outcome,
            name: name.to_owned(),
            algs: self.request.algs.clone(),
            shape,
            version,
            support,
        })
    }

    /// Takes the intent back if the device has no key of it; else it stays, to be found.
    fn after_failure(&self, writer: &mut KeyringWriter, locator: &Locator, is_clean: bool) {
        let name = self.request.name.as_str();
        let cleaned = if is_clean { self.forget(writer) } else { Ok(()) };
        match cleaned {
            Ok(()) if is_clean => {}
            Ok(()) => tracing::warn!(
                target: "hsm_jose", name, %locator,
                "the device may hold a key of the failed attempt; the intent stays pending"
            ),
            Err(error) => tracing::warn!(
                target: "hsm_jose", name, %locator, %error, "the intent could not be taken back"
            ),
        }
    }

    fn forget(&self, writer: &mut KeyringWriter) -> Result<()> {
        let name = self.request.name.as_str();
        writer.change(|keyring| keyring.keys.retain(|key| key.name != name || !is_interrupted(key)))
    }
}

/// Whether all there is of the key is an intent that a crash left.
pub(super) fn is_interrupted(key: &KeyEntry) -> bool {
    key.versions.iter().all(|version| version.state == KeyState::Pending)
}

//! Keys that are made in a device, or put into it: intent first, then the device, then active.

use std::sync::Arc;

use super::{Entered, KeyRequest, Outcome, probe, prove};
use crate::backend::{BackendError, HardwareKey, KeyShape, KeySpec, Keystore, Locator, Support};
use crate::error::{Error, Result};
use crate::jose::alg::{Curve, KeyAlgorithm};
use crate::jose::jwk::{PrivateJwk, PublicJwk, PublicKey};
use crate::keyring::{KeyEntry, KeyRef, KeyState, KeyVersion, Keyring, KeyringFile, KeyringWriter};
use crate::keyring::{Provenance, Timestamp};

/// A key to be made in a device.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// What every way in needs.
    pub key: KeyRequest,
    /// The RSA modulus, in bits; 3072 unless given.
    pub bits: Option<u32>,
    /// The curve; that of the algorithm, or P-256, unless given.
    pub curve: Option<Curve>,
    /// A key of this name with the same algorithms is as good as a new one.
    pub if_absent: bool,
    /// Ask the device and look at the keyring, but make nothing.
    pub dry_run: bool,
}

/// A known private key to be put into a device.
#[derive(Debug)]
pub struct ImportRequest {
    /// What every way in needs. Without a kid, the JWK's own is kept: tokens out there name it.
    pub key: KeyRequest,
    /// The key.
    pub private: PrivateJwk,
    /// Why it may serve in production, in the words of who decided it.
    pub waiver: Option<String>,
}

/// Makes a key in the device and enters it, active.
///
/// A version that a crash left pending is completed: its key is looked for at its locator, proved
/// and activated, or made anew.
///
/// # Errors
/// [`Error::Usage`] for a request that cannot be, or a name or kid that is taken;
/// [`BackendError::Unsupported`] before anything is written or made; else a device fault, after
/// which the intent is gone if the device has no key of it, and pending if that is not known.
pub fn generate(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &GenerateRequest,
) -> Result<Entered> {
    request.key.check()?;
    let shape = request.key.shape(request.bits, request.curve)?;
    let spec = KeySpec { shape, algs: request.key.algs.clone() };
    // Without the lock first, so that a name that is taken costs no probe of the device.
    let present = |key: &KeyEntry| match request.if_absent {
        true => present_as_asked(key, keystore.name(), request),
        false => Err(taken(key, "; --if-absent takes it as it is")),
    };
    let keyring = file.read()?;
    if let Some(key) = keyring.key(&request.key.name).filter(|key| !is_interrupted(key)) {
        return present(key);
    }
    let support = probe(keystore, &spec)?;
    if request.dry_run {
        return Ok(Entered {
            outcome: Outcome::Planned,
            name: request.key.name.clone(),
            algs: spec.algs,
            shape,
            version: None,
            support,
        });
    }
    let mut writer = file.lock()?;
    match writer.keyring().key(&request.key.name) {
        Some(key) if !is_interrupted(key) => present(key),
        _ => {
            let is_sized = request.bits.is_some() || request.curve.is_some();
            let expected = |public: &PublicKey| !is_sized || KeyShape::of(public) == shape;
            Entry {
                keystore,
                request: &request.key,
                provenance: Provenance::Generated,
                waiver: None,
                make: &|locator| keystore.generate(locator, &spec),
                expected: &expected,
                known: None,
            }
            .enter(&mut writer)
        }
    }
}

/// Puts a known private key into the device and enters it, active, recorded as imported.
///
/// # Errors
/// As [`generate`]; [`Error::Usage`] too if the JWK says another `alg` or `use`.
pub fn import(
    file: &KeyringFile,
    keystore: &dyn Keystore,
    request: &ImportRequest,
) -> Result<Entered> {
    let public = &request.private.public;
    let mut key = request.key.clone();
    key.kid = key.kid.or_else(|| public.kid.clone());
    let purpose = key.check()?;
    key.check_fit(public.key.kind())?;
    super::jwks::check_claims(public, purpose, &key.algs)?;
    let spec = KeySpec { shape: KeyShape::of(&public.key), algs: key.algs.clone() };
    probe(keystore, &spec)?;
    let mut writer = file.lock()?;
    if let Some(present) = writer.keyring().key(&key.name).filter(|key| !is_interrupted(key)) {
        return Err(taken(present, ""));
    }
    Entry {
        keystore,
        request: &key,
        provenance: Provenance::Imported,
        waiver: request.waiver.clone(),
        make: &|locator| keystore.import(locator, &spec, &request.private),
        expected: &|found| *found == public.key,
        known: Some(&public.key),
    }
    .enter(&mut writer)
}

type Make<'a> = dyn Fn(&Locator) -> std::result::Result<Arc<dyn HardwareKey>, BackendError> + 'a;

/// One way of getting a key into a device and the keyring.
struct Entry<'a> {
    keystore: &'a dyn Keystore,
    request: &'a KeyRequest,
    provenance: Provenance,
    waiver: Option<String>,
    make: &'a Make<'a>,
    /// Whether a key that a crash left is the one that is asked for now.
    expected: &'a dyn Fn(&PublicKey) -> bool,
    /// The public half, where it is known without the device.
    known: Option<&'a PublicKey>,
}

impl Entry<'_> {
    fn enter(&self, writer: &mut KeyringWriter) -> Result<Entered> {
        let interrupted = writer.keyring().key(&self.request.name).and_then(KeyEntry::pending);
        if let Some(locator) = interrupted.map(|pending| pending.locator.clone()) {
            self.check_interrupted(writer)?;
            let found = match self.known {
                Some(public) => self.keystore.find_with_public(&locator, public),
                None => self.keystore.find(&locator),
            };
            match found {
                Ok(key) => return self.complete(writer, &locator, key.as_ref()),
                Err(BackendError::NotFound { .. }) => self.forget(writer)?,
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
            .public_half(key.as_ref())
            .and_then(|public| Ok((public, prove(key.as_ref(), &self.request.algs)?)));
        match proved {
            Ok((public, support)) => {
                self.activate(writer, key.as_ref(), public, support, Outcome::Entered)
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
        let public = self.known;
        let is_same = |found: &KeyRef<'_>| {
            let recorded = found.version.public.as_ref().map(|jwk| &jwk.key);
            public.is_some() && recorded == public
        };
        if let Some(found) = keyring.versions().find(is_same) {
            return Err(Error::Usage(format!(
                "this very key is in the keyring already, as {}",
                found.key.name
            )));
        }
        let kid = self.request.kid.clone().or_else(|| public.map(PublicKey::thumbprint));
        match kid.as_deref().and_then(|kid| keyring.by_kid(kid)) {
            Some(found) => Err(Error::Usage(format!(
                "the kid {:?} is that of key {}: give another with --kid",
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
        let public = self.public_half(key)?;
        if !(self.expected)(&public) {
            return Err(Error::Usage(format!(
                "key {} was begun with another key ({}) and interrupted: run that command again \
                 to complete it, or `key destroy {}` to give it up",
                self.request.name,
                KeyShape::of(&public),
                self.request.name
            )));
        }
        // The crash may have come before the keystore had read back what it made.
        let weak = &key.info().weak;
        if !weak.is_empty() {
            self.keystore.destroy(locator)?;
            self.forget(writer)?;
            return Err(self.not_as_asked(weak.join(", ")));
        }
        let support = prove(key, &self.request.algs)?;
        self.activate(writer, key, public, support, Outcome::Completed)
    }

    fn public_half(&self, key: &dyn HardwareKey) -> Result<PublicKey> {
        let public = match (&key.info().public, self.known) {
            (Some(told), Some(known)) if told != known => {
                return Err(self.not_as_asked("its public half is another one".into()));
            }
            (Some(told), _) => told,
            (None, Some(known)) => known,
            (None, None) => {
                return Err(self.not_as_asked("the device does not tell its public half".into()));
            }
        };
        self.request.check_fit(public.kind())?;
        Ok(public.clone())
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
        };
        let entry = super::adopt::entry(self.request, version);
        writer.change(|keyring| keyring.keys.push(entry))
    }

    fn activate(
        &self,
        writer: &mut KeyringWriter,
        key: &dyn HardwareKey,
        public: PublicKey,
        support: Vec<(KeyAlgorithm, Support)>,
        outcome: Outcome,
    ) -> Result<Entered> {
        let shape = KeyShape::of(&public);
        let name = self.request.name.as_str();
        let version = writer.change(|keyring| {
            let entry = keyring.key_mut(name)?;
            let mut versions = entry.versions.iter_mut();
            let version = versions.find(|version| version.state == KeyState::Pending)?;
            version.kid_given = self.request.kid.is_some();
            version.kid = Some(self.request.kid.clone().unwrap_or_else(|| public.thumbprint()));
            version.unproven = super::adopt::doubts(key.info());
            version.waiver.clone_from(&self.waiver);
            version.public = Some(PublicJwk::bare(public));
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
fn is_interrupted(key: &KeyEntry) -> bool {
    key.versions.iter().all(|version| version.state == KeyState::Pending)
}

fn present_as_asked(key: &KeyEntry, keystore: &str, request: &GenerateRequest) -> Result<Entered> {
    let algs: Vec<&str> = key.algs.iter().map(|alg| alg.name()).collect();
    let differs =
        |what: String| Err(Error::Usage(format!("key {} is there already, but {what}", key.name)));
    if !request.key.has_same_algs(&key.algs) {
        return differs(format!("for {}", algs.join(" and ")));
    }
    let Some(active) = key.active() else {
        return differs("has no active version".into());
    };
    if active.version.keystore != keystore {
        return differs(format!("in keystore {}", active.version.keystore));
    }
    let Some(public) = &active.version.public else {
        return differs("without its public half".into());
    };
    let shape = KeyShape::of(&public.key);
    let is_sized = request.bits.is_some() || request.curve.is_some();
    if is_sized && shape != request.key.shape(request.bits, request.curve)? {
        return differs(format!("is {shape}"));
    }
    if request.key.kid.as_deref().is_some_and(|kid| kid != active.kid) {
        return differs(format!("has the kid {:?}", active.kid));
    }
    Ok(Entered {
        outcome: Outcome::Present,
        name: key.name.clone(),
        algs: key.algs.clone(),
        shape,
        version: Some(active.version.clone()),
        support: Vec::new(),
    })
}

fn taken(key: &KeyEntry, hint: &str) -> Error {
    Error::Usage(format!("key {} is there already: choose another name{hint}", key.name))
}

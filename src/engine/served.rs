//! The keys that an engine serves: the keyring with a handle to each key's device, found once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::failures::{FailureCounts, Failures};
use crate::backend::{BackendError, HardwareKey, Support};
use crate::error::{Error, Result};
use crate::jose::alg::{KeyKind, Purpose};
use crate::jwe::{self, Attempt, Decrypted, JweRecipient, JweToken};
use crate::jwt::OuterKeys;
use crate::keyring::{KeyEntry, KeyRef, KeyState, KeyVersion, Keyring, MAX_CANDIDATES};
use crate::keystores::Keystores;
use crate::policy::FailureBudget;

/// Every key of a keyring that serves (active or retiring), ready to be used from any thread.
#[derive(Debug)]
pub(crate) struct ServedKeys {
    keys: Vec<ServedKey>,
    by_kid: HashMap<String, usize>,
    active: HashMap<String, usize>,
    /// What would serve, and is not to be used: name, kid, and what is said of it.
    weak: Vec<(String, String, Error)>,
    keystores: Keystores,
    failures: Option<Failures>,
}

/// The keys, for tokens of one peer; `None` for tokens whose sender is not known.
#[derive(Debug)]
pub(super) struct KeysFor<'k> {
    pub(super) keys: &'k ServedKeys,
    pub(super) peer: Option<&'k str>,
}

/// One serving version of a key.
#[derive(Debug)]
pub(crate) struct ServedKey {
    pub(crate) entry: KeyEntry,
    pub(crate) kid: String,
    version: KeyVersion,
    pub(crate) kind: KeyKind,
    handle: OnceLock<Arc<dyn HardwareKey>>,
}

impl ServedKeys {
    pub(crate) fn new(
        keyring: &Keyring,
        keystores: Keystores,
        budget: Option<FailureBudget>,
    ) -> Self {
        let keys: Vec<_> = keyring.versions().filter_map(ServedKey::of).collect();
        let kids = keys.iter().enumerate();
        let by_kid = kids.map(|(index, key)| (key.kid.clone(), index)).collect();
        let active = keys.iter().enumerate().filter(|(_, key)| key.is_active());
        let active = active.map(|(index, key)| (key.name().to_owned(), index)).collect();
        let weak = keyring.versions().filter(|found| found.version.state.serves());
        let weak = weak.filter_map(|found| {
            let error = found.check_strength().err()?;
            Some((found.key.name.clone(), found.kid.to_owned(), error))
        });
        let failures = budget.map(Failures::new);
        Self { keys, by_kid, active, weak: weak.collect(), keystores, failures }
    }

    /// What is said of a key that is not served as it is not to be used; else that there is none.
    fn none_serves(&self, is_meant: impl Fn(&str, &str) -> bool, none: String) -> Error {
        let weak = self.weak.iter().find(|(name, kid, _)| is_meant(name, kid));
        weak.map_or(Error::KeyNotFound(none), |(_, _, error)| error.clone())
    }

    pub(super) fn failure_counts(&self) -> FailureCounts {
        self.failures.as_ref().map(Failures::counts).unwrap_or_default()
    }

    pub(crate) fn keystores(&self) -> &Keystores {
        &self.keystores
    }

    /// Opens the keystores of all keys, finds each key and has it do each of its algorithms.
    pub(crate) fn connect(&self) -> Result<()> {
        for key in &self.keys {
            let handle = self.handle(key)?;
            for alg in &key.entry.algs {
                if let Support::No { reason } = handle.support(*alg)? {
                    return Err(Error::Backend(BackendError::Unsupported {
                        keystore: handle.keystore().to_owned(),
                        what: format!("{alg} with key {}", key.name()),
                        reason,
                    }));
                }
            }
        }
        Ok(())
    }

    /// Finds the active version of a name.
    pub(crate) fn active(&self, name: &str, purpose: Purpose) -> Result<&ServedKey> {
        let Some(index) = self.active.get(name) else {
            let none = format!("no key named {name:?} with an active version");
            return Err(self.none_serves(|weak, _| weak == name, none));
        };
        let key = &self.keys[*index];
        match key.entry.purpose == purpose {
            true => Ok(key),
            false => Err(Error::Usage(wrong_purpose(key))),
        }
    }

    /// Checks that a name that a caller gives is that of a serving key for decryption.
    pub(crate) fn check_decrypts(&self, name: &str) -> Result<()> {
        match self.keys.iter().find(|key| key.name() == name) {
            Some(key) if key.entry.purpose == Purpose::Decrypt => Ok(()),
            Some(key) => Err(Error::Usage(wrong_purpose(key))),
            None => {
                let none = format!("no serving key is named {name:?}");
                Err(self.none_serves(|weak, _| weak == name, none))
            }
        }
    }

    /// Returns the device's handle of a key: found at the first use, compared with the keyring,
    /// then kept.
    pub(crate) fn handle<'k>(&self, key: &'k ServedKey) -> Result<&'k dyn HardwareKey> {
        if let Some(handle) = key.handle.get() {
            return Ok(&**handle);
        }
        let ServedKey { entry, version, kid, .. } = key;
        let found = self.keystores.key(KeyRef { key: entry, version, kid })?;
        Ok(&**key.handle.get_or_init(|| found))
    }

    /// Decrypts with the key that a recipient's `kid` names, or with the candidates of `names`
    /// (active, then retiring) where it names none. `None` for `names` means any key. A failure
    /// counts against the budget of `peer` with each key that was tried.
    pub(crate) fn decrypt_with(
        &self,
        token: JweToken<'_>,
        names: Option<&[String]>,
        peer: Option<&str>,
    ) -> Result<(Decrypted, &ServedKey)> {
        let chosen = self.chosen(&token, names)?;
        // A key that cannot be reached does not keep the others from being tried; it is the answer
        // where none of them opens the token.
        let (mut attempts, mut keys, mut fault) = (Vec::new(), Vec::new(), None);
        for (recipient, key) in chosen {
            match self.handle(key) {
                Ok(handle) => {
                    attempts.push(Attempt { recipient, key: handle });
                    keys.push(key);
                }
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        if let (true, Some(fault)) = (attempts.is_empty(), &fault) {
            return Err(fault.clone());
        }
        let leave = match (&self.failures, peer) {
            (Some(failures), Some(peer)) => {
                let kids: Vec<_> = keys.iter().map(|key| key.kid.as_str()).collect();
                Some(failures.leave(&kids, peer)?)
            }
            _ => None,
        };
        let decrypted = jwe::decrypt(token, &attempts);
        if let (Some(leave), Err(Error::DecryptionFailed)) = (leave, &decrypted) {
            leave.failed();
        }
        match (decrypted, fault) {
            (Ok(decrypted), _) => {
                let key = keys[decrypted.attempt];
                Ok((decrypted, key))
            }
            (Err(Error::DecryptionFailed), Some(fault)) => Err(fault),
            (Err(error), _) => Err(error),
        }
    }

    /// The keys to try, each for its recipient. A recipient that is somebody else's is passed over.
    fn chosen(
        &self,
        token: &JweToken<'_>,
        names: Option<&[String]>,
    ) -> Result<Vec<(usize, &ServedKey)>> {
        let (mut chosen, mut unnamed, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        for (place, recipient) in token.recipients().iter().enumerate() {
            let found = match recipient.kid() {
                Some(kid) => {
                    self.by_kid(kid, recipient, names).map(|key| chosen.push((place, key)))
                }
                None => self
                    .candidates(recipient, names)
                    .map(|keys| unnamed.extend(keys.into_iter().map(|key| (place, key)))),
            };
            refusals.extend(found.err());
        }
        if chosen.is_empty() && unnamed.is_empty() {
            return Err(self.not_ours(token, refusals));
        }
        // Recipients without a kid are most often somebody else's: they have the room that is left.
        if !chosen.is_empty() {
            unnamed.truncate(MAX_CANDIDATES.saturating_sub(chosen.len()));
        }
        chosen.append(&mut unnamed);
        if chosen.len() > MAX_CANDIDATES {
            return Err(Error::Policy(format!(
                "{} keys of ours could open the token for one or another of its recipients, at most \
                 {MAX_CANDIDATES} are tried",
                chosen.len()
            )));
        }
        Ok(chosen)
    }

    /// Says why no key of ours is tried: a key of ours that is refused before one that is not there.
    fn not_ours(&self, token: &JweToken<'_>, mut refusals: Vec<Error>) -> Error {
        let is_of_ours = |error: &Error| !matches!(error, Error::KeyNotFound(_));
        if let Some(place) = refusals.iter().position(is_of_ours) {
            return refusals.swap_remove(place);
        }
        let is_meant = |kid: &String| self.by_kid.contains_key(kid);
        if let Some(ours) =
            token.passed_over.iter().find(|it| it.kid.as_ref().is_some_and(is_meant))
        {
            return ours.why.clone();
        }
        let count = token.recipient_count();
        if count == 1 && refusals.len() == 1 {
            return refusals.swap_remove(0);
        }
        let passed_over = token.passed_over.first();
        let passed_over = passed_over.map(|it| format!("; of another: {}", it.why));
        Error::KeyNotFound(format!(
            "none of the token's {count} recipients is a serving key{}",
            passed_over.unwrap_or_default()
        ))
    }

    fn by_kid(
        &self,
        kid: &str,
        recipient: &JweRecipient,
        names: Option<&[String]>,
    ) -> Result<&ServedKey> {
        let Some(key) = self.by_kid.get(kid).map(|index| &self.keys[*index]) else {
            let none = format!("no serving key has the kid {kid:?}");
            return Err(self.none_serves(|_, weak| weak == kid, none));
        };
        if key.entry.purpose != Purpose::Decrypt {
            return Err(Error::Policy(wrong_purpose(key)));
        }
        if names.is_some_and(|names| !names.contains(&key.entry.name)) {
            return Err(Error::Policy(format!(
                "the token names kid {kid:?}, a version of {}, which is not a key to be used here",
                key.name()
            )));
        }
        if !recipient.fits(&key.entry.algs, key.kind) {
            return Err(Error::Policy(format!(
                "key {} is not for {} with this token",
                key.name(),
                recipient.alg
            )));
        }
        Ok(key)
    }

    fn candidates(
        &self,
        recipient: &JweRecipient,
        names: Option<&[String]>,
    ) -> Result<Vec<&ServedKey>> {
        let is_meant = |key: &&ServedKey| {
            names.is_none_or(|names| names.contains(&key.entry.name))
                && key.entry.purpose == Purpose::Decrypt
        };
        let mut fitting: Vec<_> = self
            .keys
            .iter()
            .filter(is_meant)
            .filter(|key| recipient.fits(&key.entry.algs, key.kind))
            .collect();
        fitting.sort_by_key(|key| !key.is_active());
        if fitting.is_empty() {
            let none = format!(
                "the token names no kid, and no key to be used here fits {}",
                recipient.alg
            );
            let is_named = |weak: &str, _: &str| {
                names.is_some_and(|names| names.iter().any(|name| name == weak))
            };
            return Err(self.none_serves(is_named, none));
        }
        if names.is_none() && fitting.len() > MAX_CANDIDATES {
            return Err(Error::KeyAmbiguous(format!(
                "the token names no kid, and {} keys fit {}; name one",
                fitting.len(),
                recipient.alg
            )));
        }
        fitting.truncate(MAX_CANDIDATES);
        Ok(fitting)
    }
}

impl OuterKeys for KeysFor<'_> {
    fn decrypt(&self, token: JweToken<'_>, names: &[String]) -> Result<Decrypted> {
        self.keys.decrypt_with(token, Some(names), self.peer).map(|(decrypted, _)| decrypted)
    }
}

impl ServedKey {
    fn of(found: KeyRef<'_>) -> Option<Self> {
        let KeyRef { key, version, kid } = found;
        let kind = version.kind()?;
        version.serves().then(|| Self {
            entry: key.clone(),
            kid: kid.to_owned(),
            version: version.clone(),
            kind,
            handle: OnceLock::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.entry.name
    }

    fn is_active(&self) -> bool {
        self.version.state == KeyState::Active
    }
}

fn wrong_purpose(key: &ServedKey) -> String {
    let does = match key.entry.purpose {
        Purpose::Decrypt => "decrypts",
        Purpose::Sign => "signs",
    };
    format!("key {} only {does}: a key has one purpose", key.name())
}

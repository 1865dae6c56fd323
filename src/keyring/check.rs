//! What must hold of a keyring, whoever wrote it.

use std::collections::{HashMap, HashSet};

use super::{KeyEntry, KeyState, KeyVersion, Keyring, Provenance, check_kid, check_name};

impl Keyring {
    /// Checks everything that the types do not enforce: names, kids and places are unique, a key
    /// serves one purpose under one name, and each version has what its state needs.
    ///
    /// # Errors
    /// Says which key is wrong, and how.
    pub(super) fn check(&self) -> Result<(), String> {
        let (mut names, mut kids, mut publics) = (HashSet::new(), HashMap::new(), HashMap::new());
        let mut places = HashMap::new();
        for key in &self.keys {
            let name = key.name.as_str();
            check_name("key", name).map_err(|error| error.to_string())?;
            if !names.insert(name) {
                return Err(format!("two keys are named {name}"));
            }
            check_key(key).map_err(|what| format!("key {name}: {what}"))?;
            for version in &key.versions {
                if let Some(kid) = &version.kid
                    && let Some(other) = kids.insert(kid.as_str(), name)
                {
                    return Err(format!(
                        "the kid {kid:?} is that of key {other} and of key {name}"
                    ));
                }
                if let Some(public) = &version.public
                    && let Some(other) = publics.insert(public.key.thumbprint(), name)
                {
                    return Err(format!(
                        "keys {other} and {name} are one and the same key; a key has one name \
                         and one purpose"
                    ));
                }
                let place = (version.keystore.as_str(), &version.locator);
                if let Some(other) = places.insert(place, name) {
                    return Err(format!(
                        "keys {other} and {name} are at one place, {} in keystore {}",
                        version.locator, version.keystore
                    ));
                }
            }
        }
        Ok(())
    }
}

fn check_key(key: &KeyEntry) -> Result<(), String> {
    if key.algs.is_empty() {
        return Err("it has no algs".into());
    }
    if let Some(alg) = key.algs.iter().find(|alg| alg.purpose() != key.purpose) {
        return Err(format!("{alg} is not for its purpose"));
    }
    if key.versions.is_empty() {
        return Err("it has no versions".into());
    }
    let mut numbers = HashSet::new();
    for version in &key.versions {
        let number = version.version;
        if number == 0 || !numbers.insert(number) {
            return Err(format!("version {number} is there twice, or 0"));
        }
        check_version(key, version).map_err(|what| format!("version {number}: {what}"))?;
    }
    for state in [KeyState::Active, KeyState::Pending] {
        if key.versions.iter().filter(|version| version.state == state).count() > 1 {
            return Err(format!("more than one version is {state}"));
        }
    }
    Ok(())
}

fn check_version(key: &KeyEntry, version: &KeyVersion) -> Result<(), String> {
    if let Some(kid) = &version.kid {
        check_kid(kid).map_err(|error| error.to_string())?;
    }
    let is_known = version.public.is_some() || version.secret.is_some();
    if version.state != KeyState::Pending && (version.kid.is_none() || !is_known) {
        return Err(format!("it is {} and lacks its kid or its public key", version.state));
    }
    if version.public.is_some() && version.secret.is_some() {
        return Err("a symmetric key has no public key".into());
    }
    if version.waiver.is_some() && version.provenance != Provenance::Imported {
        return Err("a waiver is for imported keys".into());
    }
    if let Some(kind) = version.kind() {
        if let Some(alg) = key.algs.iter().find(|alg| !alg.fits(kind)) {
            return Err(format!("a key of kind {kind} cannot do {alg}"));
        }
        if kind.is_secret() && key.algs.len() > 1 {
            return Err("a symmetric key has one alg".into());
        }
    }
    if let Some(public) = &version.public {
        let thumbprint = public.key.thumbprint();
        if !version.kid_given && version.kid.as_deref().is_some_and(|kid| kid != thumbprint) {
            return Err("its kid is not the thumbprint of its public key".into());
        }
    }
    Ok(())
}

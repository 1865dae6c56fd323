//! What the keys of a keystore share: the way to the TPM, the authorization value, the key files, and
//! the words of an error.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::ParentName;
use super::context::{Device, Live, Trouble};
use super::fault::Fault;
use super::key::TpmKey;
use super::object::store::{Stamp, Store};
use super::object::{Identity, Material, NOT_SERVED, describe};
use crate::backend::{BackendError, Locator};
use crate::jose::jwk::PublicKey;
use crate::primitives::ecdh;

/// What the keys of a keystore share.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) device: Arc<Device>,
    pub(super) auth: Zeroizing<Vec<u8>>,
    pub(super) store: Store,
    pub(super) pinned: Option<ParentName>,
    /// The keys that refused the authorization value: it is not tried again.
    pub(super) refused: Mutex<HashSet<Locator>>,
}

impl Shared {
    pub(super) fn run<T>(
        &self,
        commands: impl Fn(&mut Live) -> Result<T, Trouble>,
    ) -> Result<T, BackendError> {
        self.device.run(self.pinned(), commands).map_err(|trouble| self.error(trouble))
    }

    pub(super) fn pinned(&self) -> Option<&[u8]> {
        self.pinned.as_ref().map(ParentName::as_bytes)
    }

    /// Makes a key of what was read, found or made.
    pub(super) fn key(
        self: &Arc<Self>,
        locator: &Locator,
        material: Material,
        empty_auth: bool,
        stamp: Option<Stamp>,
    ) -> Result<TpmKey, BackendError> {
        let Some(told) = describe(&material.public, !empty_auth) else {
            return Err(self.unsupported(&format!("the key at {locator}"), NOT_SERVED.to_owned()));
        };
        if let Identity::Public(PublicKey::Point(point)) = &told.key
            && ecdh::check_point(point).is_err()
        {
            return Err(self.misconfigured(format!(
                "the public area at {locator} was changed: its point is not on the curve"
            )));
        }
        let (identity, info) = told.into_info(locator);
        Ok(TpmKey::new(Arc::clone(self), info, identity, material, empty_auth, stamp))
    }

    pub(super) fn error(&self, trouble: Trouble) -> BackendError {
        match trouble {
            Trouble::Fault(fault) if fault.is_failure() => fault.into_unavailable(&self.name),
            Trouble::Fault(fault) => fault.into_error(&self.name),
            Trouble::Parent { expected, found } => self.misconfigured(format!(
                "the parent key is {}, expected {}: another TPM, one that was cleared, or somebody \
                 on the way to it; nothing was sent to it",
                ParentName(found),
                ParentName(expected)
            )),
            Trouble::Replaced => self.misconfigured("another key is in its place".to_owned()),
            Trouble::Locked(lockout) => BackendError::PinLocked {
                keystore: self.name.clone(),
                code: format!(
                    "TPM_RC_LOCKOUT, {} of {} failures",
                    lockout.failures, lockout.max_failures
                ),
            },
        }
    }

    pub(super) fn built<T>(
        &self,
        what: &'static str,
        value: tss_esapi::Result<T>,
    ) -> Result<T, BackendError> {
        value.map_err(|error| Fault::of(error, what).into_error(&self.name))
    }

    pub(super) fn misconfigured(&self, reason: String) -> BackendError {
        BackendError::Misconfigured { keystore: self.name.clone(), reason }
    }

    pub(super) fn unsupported(&self, what: &str, reason: String) -> BackendError {
        let keystore = self.name.clone();
        BackendError::Unsupported { keystore, what: what.to_owned(), reason }
    }
}

//! Whether a key may be used now: it is there, its authorization value is known, the TPM takes it.

use super::*;

impl TpmKey {
    /// A key that was destroyed, or replaced, is not there, though it can be in a slot still.
    pub(super) fn check_present(&self) -> Result<(), BackendError> {
        let (Locator::KeyFile(name), Some(stamp)) = (&self.info.locator, *lock(&self.stamp)) else {
            return Ok(());
        };
        let now = self.shared.store.stamp(name);
        if now == Some(stamp) {
            return Ok(());
        }
        match self.shared.store.read(name) {
            Ok(file) if file.public == self.material.public => {
                self.stored(now);
                Ok(())
            }
            Err(Unread::Wrong(reason)) => Err(self.shared.misconfigured(reason)),
            Ok(_) | Err(Unread::Missing) => Err(self.not_found()),
        }
    }

    pub(super) fn auth(&self) -> Result<&[u8], BackendError> {
        if self.empty_auth {
            return Ok(&[]);
        }
        if lock(&self.shared.refused).contains(&self.info.locator) {
            return Err(BackendError::PinRefused {
                keystore: self.keystore().to_owned(),
                code: "TPM_RC_AUTH_FAIL, when it was tried before".to_owned(),
            });
        }
        let is_file = matches!(self.info.locator, Locator::KeyFile(_));
        if is_file && self.shared.auth.is_empty() {
            return Err(BackendError::PinUnavailable {
                keystore: self.keystore().to_owned(),
                reason: format!(
                    "the key at {} has an authorization value, and auth is {{ none = true }}",
                    self.info.locator
                ),
            });
        }
        Ok(&self.shared.auth)
    }

    /// Looks at the counters before the first attempt with a value that may be wrong.
    pub(super) fn check_lockout(&self, live: &mut Live, auth: &[u8]) -> Result<(), Trouble> {
        let is_protected = !self.material.public.object_attributes().no_da();
        if auth.is_empty() || !is_protected || self.is_authorized.load(Ordering::Relaxed) {
            return Ok(());
        }
        let lockout = live.lockout()?;
        if lockout.is_locked {
            return Err(Trouble::Locked(lockout));
        }
        if lockout.failures > 0 {
            tracing::warn!(
                target: "hsm_jose",
                keystore = self.keystore(),
                failures = lockout.failures,
                locks_at = lockout.max_failures,
                "the TPM counts failed authorizations"
            );
        }
        Ok(())
    }

    pub(super) fn refused(&self, fault: Fault) -> BackendError {
        if self.is_authorized.load(Ordering::Relaxed) {
            // The value was right: what the handles name is not what it was. Nothing is tried again.
            self.shared.device.forget();
            return fault.into_unavailable(self.keystore());
        }
        lock(&self.shared.refused).insert(self.info.locator.clone());
        BackendError::PinRefused { keystore: self.keystore().to_owned(), code: fault.code() }
    }

    pub(super) fn loading_error(&self, trouble: Trouble) -> BackendError {
        let locator = &self.info.locator;
        match trouble {
            Trouble::Fault(fault) if fault.is_integrity() => self.shared.misconfigured(format!(
                "the TPM refuses the key at {locator} ({fault}): it was changed, or is of \
                     another TPM or parent"
            )),
            Trouble::Fault(fault) if fault.is_no_handle() => self.not_found(),
            Trouble::Fault(fault) if fault.is_auth() => {
                self.shared.device.forget();
                fault.into_unavailable(self.keystore())
            }
            Trouble::Fault(fault) if !fault.is_of_device() => self
                .shared
                .misconfigured(format!("the TPM does not load the key at {locator} ({fault})")),
            Trouble::Replaced => self.shared.misconfigured(format!(
                "the key at {locator} is not the one that was there: another has its place"
            )),
            other => self.shared.error(other),
        }
    }

    pub(super) fn not_found(&self) -> BackendError {
        BackendError::NotFound {
            keystore: self.keystore().to_owned(),
            locator: self.info.locator.clone(),
        }
    }
}

//! Running an operation: a session, the handle that is good for it, and one healing.

use super::*;

/// Why a run did not come to its end.
pub(super) enum Failure {
    /// Nothing of the input was looked at.
    Init(Fault),
    /// The call with the input was refused.
    Data(Fault),
    /// The calls went well, and what they gave is not what was to be.
    Wrong,
    /// The connection, or the login for one operation.
    Other(BackendError),
}

impl Failure {
    /// Returns whether the input may be what is wrong.
    pub(super) const fn is_of_input(&self) -> bool {
        match self {
            Self::Data(fault) => fault.is_of_input() && !fault.is_transport(),
            Self::Wrong => true,
            Self::Init(_) | Self::Other(_) => false,
        }
    }
}

impl Pkcs11Key {
    /// Runs an operation on a lent session. What fails before the input was looked at is healed and
    /// run once more; what fails after is never run again, here or on another device.
    pub(super) fn run<T>(
        &self,
        mechanism: &'static str,
        operation: impl Fn(&Lease<'_>, ObjectHandle) -> Result<T, Trouble>,
        fate_of_rejected: impl Fn(Fault) -> Fate,
    ) -> Result<T, Failure> {
        let mut is_second = false;
        loop {
            let (lease, handle) = self.lease().map_err(Failure::Other)?;
            let result = operation(&lease, handle);
            tracing::debug!(
                target: "hsm_jose::custody",
                keystore = self.keystore(),
                token = self.connection.token().label.as_str(),
                mechanism,
                place = "token",
                "private key used"
            );
            let fault = match result {
                Ok(value) => {
                    lease.end(Fate::Keep);
                    return Ok(value);
                }
                Err(Trouble::Other(error)) => {
                    lease.end(Fate::Close);
                    return Err(Failure::Other(error));
                }
                Err(Trouble::Fault(fault)) => fault,
            };
            if !fault.is_at_init(self.has_agreed_or_unwrapped()) {
                if fault.is_transport() {
                    lease.end(fate_of(fault));
                    self.connection.lose();
                } else {
                    lease.end(fate_of_rejected(fault));
                }
                return Err(Failure::Data(fault));
            }
            lease.end(fate_of(fault));
            // A session that another operation has left unusable is closed by now.
            let is_left_over = fault.native() == Some(RvError::OperationActive);
            if is_second
                || !(is_left_over || self.connection.heal(fault).map_err(Failure::Other)?)
            {
                return Err(Failure::Init(fault));
            }
            is_second = true;
            self.epoch.store(0, Ordering::Release);
        }
    }

    /// Lends a session together with the handle that is good for it.
    pub(super) fn lease(&self) -> Result<(Lease<'_>, ObjectHandle), BackendError> {
        loop {
            let losses = self.connection.losses();
            let (handle, epoch) = self.handle()?;
            let lease = self.connection.checkout()?;
            // The module may have been reinitialized in between: the number could be another
            // object's now. While the lease is held, it is not.
            if self.connection.epoch() == epoch && self.connection.losses() == losses {
                self.connection.begin(losses);
                return Ok((lease, handle));
            }
            lease.end(Fate::Keep);
        }
    }

    fn handle(&self) -> Result<(ObjectHandle, u64), BackendError> {
        let epoch = self.connection.epoch();
        if self.epoch.load(Ordering::Acquire) == epoch {
            let handle = self.handle.load(Ordering::Acquire);
            return Ok((raw::object(handle as cryptoki_sys::CK_OBJECT_HANDLE), epoch));
        }
        let admin = self.connection.admin()?;
        let epoch = self.connection.epoch();
        let handle = object::find_one(&admin, self.keystore(), &self.info.locator)?;
        // The handle before its epoch: whoever sees the epoch sees the handle.
        self.handle.store(handle.handle() as usize, Ordering::Release);
        self.epoch.store(epoch, Ordering::Release);
        Ok((handle, epoch))
    }
}

/// Returns what becomes of a session after a fault that is not about an input.
pub(super) fn fate_of(fault: Fault) -> Fate {
    if fault.is_stale_session() { Fate::Forget } else { Fate::Close }
}

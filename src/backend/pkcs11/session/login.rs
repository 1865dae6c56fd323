//! Logging in: once for the life of the connection, and never again with a PIN that was refused.

use cryptoki::session::UserType;

use super::*;

impl Connection {
    /// Logs in for the one operation that was just initialized (CKA_ALWAYS_AUTHENTICATE).
    pub(in super::super) fn login_context(&self, session: &Session) -> Result<(), BackendError> {
        self.login_as(session, UserType::ContextSpecific)
    }

    /// Logs in, unless somebody in this process has.
    pub(super) fn login(&self, session: &Session) -> Result<(), BackendError> {
        if !self.logs_in() && !self.token.login_required {
            return Ok(());
        }
        let state = session_state(session, self.module.known_calls());
        if let State::LoggedIn = state.map_err(|fault| fault.into_unavailable(self.name()))? {
            return Ok(());
        }
        if !self.logs_in() {
            return Err(BackendError::PinUnavailable {
                keystore: self.name().to_owned(),
                reason: "the configuration says none, the token requires a login, and nobody in \
                         this process has made one"
                    .to_owned(),
            });
        }
        self.login_as(session, UserType::User)
    }

    /// Tries the PIN once. Refused, it is not tried again by this process: devices lock after a
    /// few attempts, and a service that starts, fails and is started again would lock them.
    fn login_as(&self, session: &Session, user: UserType) -> Result<(), BackendError> {
        let keystore = || self.name().to_owned();
        let latch = format!("{}\0{}\0{}", self.config.name, self.token.label, self.token.serial);
        // Held during the attempt, so that two threads do not both make one.
        let attempts = self.module.attempts(latch);
        let mut attempts = lock(&attempts);
        if let Some(refused) = &attempts.refused {
            return Err(refused.clone());
        }
        if let Ok(token) = self.module.token(self.pool.slot()) {
            if self.config.pin == PinSource::Protected && !token.protected_path {
                return Err(BackendError::Misconfigured {
                    keystore: keystore(),
                    reason: "pin says protected, and the token has no way to take a PIN by itself \
                             (CKF_PROTECTED_AUTHENTICATION_PATH)"
                        .to_owned(),
                });
            }
            if token.pin_locked {
                let code = "CKF_USER_PIN_LOCKED".to_owned();
                return Err(BackendError::PinLocked { keystore: keystore(), code });
            }
            if token.pin_final_try {
                return Err(BackendError::PinRefused {
                    keystore: keystore(),
                    code: "CKF_USER_PIN_FINAL_TRY: one attempt is left before the PIN locks; log \
                           in once with the vendor's tool and the right PIN"
                        .to_owned(),
                });
            }
        }
        let read = self.config.pin.read(&format!("keystore {}", self.name()));
        let pin =
            read.map_err(|reason| BackendError::PinUnavailable { keystore: keystore(), reason })?;
        let answer = session.login(user, pin.as_ref().map(|pin| pin.as_secret()));
        drop(pin);
        let code = match answer {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                attempts.unclear = 0;
                return Ok(());
            }
            Err(error) => Fault::of(&error, Function::Login),
        };
        let error = match code.native() {
            Some(RvError::PinLocked) => {
                BackendError::PinLocked { keystore: keystore(), code: "CKR_PIN_LOCKED".to_owned() }
            }
            // No PIN was looked at.
            Some(
                RvError::UserPinNotInitialized
                | RvError::UserAnotherAlreadyLoggedIn
                | RvError::OperationNotInitialized
                | RvError::DeviceError
                | RvError::DeviceMemory,
            ) => return Err(code.into_unavailable(self.name())),
            _ if code.is_transport() => return Err(code.into_unavailable(self.name())),
            // SoftHSM answers so while another process writes the token's file. Once more is
            // harmless; for ever would lock a token that means the PIN by it.
            Some(RvError::GeneralError | RvError::FunctionFailed) if attempts.unclear == 0 => {
                attempts.unclear += 1;
                return Err(code.into_unavailable(self.name()));
            }
            _ => BackendError::PinRefused { keystore: keystore(), code: code.code() },
        };
        attempts.refused = Some(error.clone());
        Err(error)
    }
}

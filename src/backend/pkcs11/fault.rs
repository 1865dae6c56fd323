//! A PKCS#11 call that failed: which call, which code, and what that means.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::{Error, Rv, RvError};

use crate::backend::BackendError;

/// A call that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    function: Function,
    code: Code,
}

/// What the call answered.
#[derive(Clone, Copy, Debug)]
enum Code {
    /// A code of the module.
    Native(RvError),
    /// The binding could not make the call or read its answer.
    Binding(&'static str),
}

impl Fault {
    /// The module has no such function.
    pub(super) const fn missing(function: Function) -> Self {
        Self { function, code: Code::Binding("the module does not have the function") }
    }

    /// The module's answer makes no sense.
    pub(super) const fn nonsense(function: Function, what: &'static str) -> Self {
        Self { function, code: Code::Binding(what) }
    }

    /// Tells a native return code apart.
    pub(super) fn check(rv: cryptoki_sys::CK_RV, function: Function) -> Result<(), Self> {
        match Rv::from(rv) {
            Rv::Ok => Ok(()),
            Rv::Error(code) => Err(Self { function, code: Code::Native(code) }),
        }
    }

    /// Takes an error of the binding; `function` is the call that was asked for.
    pub(super) fn of(error: &Error, function: Function) -> Self {
        let code = match error {
            Error::Pkcs11(code, function) => {
                return Self { function: *function, code: Code::Native(*code) };
            }
            Error::NullFunctionPointer | Error::MissingSymbol(_) => {
                "the module does not have the function"
            }
            Error::LibraryLoading(_) => "the module cannot be loaded",
            Error::NotSupported => "the binding does not support the answer",
            _ => "the answer cannot be read",
        };
        Self { function, code: Code::Binding(code) }
    }

    /// Returns the module's code, if it was the module that answered.
    pub(super) const fn native(self) -> Option<RvError> {
        match self.code {
            Code::Native(code) => Some(code),
            Code::Binding(_) => None,
        }
    }

    /// Returns whether the fault came before any input of a token was looked at: in the call that
    /// names mechanism, parameters and key.
    ///
    /// C_DeriveKey and C_UnwrapKey have no Init: what they refuse before the key `is_proved` may be
    /// the mechanism; of a key that has agreed or unwrapped already, only the peer's point or the
    /// wrapped key is new.
    pub(super) const fn is_at_init(self, is_proved: bool) -> bool {
        match self.function {
            Function::DecryptInit | Function::EncryptInit | Function::SignInit => true,
            Function::DeriveKey | Function::UnwrapKey => {
                self.is_stale() || (!is_proved && self.is_refusal())
            }
            // What is wrapped was made here.
            Function::CreateObject | Function::WrapKey => self.is_stale() || self.is_refusal(),
            _ => false,
        }
    }

    /// Returns whether the call that failed looked at an input that came from outside.
    pub(super) const fn is_of_input(self) -> bool {
        matches!(self.function, Function::Decrypt | Function::DeriveKey | Function::UnwrapKey)
    }

    /// Returns whether a session, a handle or the login has gone: what a new session, a search or
    /// a login can heal.
    pub(super) const fn is_stale(self) -> bool {
        self.is_stale_session()
            || matches!(
                self.native(),
                Some(
                    RvError::ObjectHandleInvalid
                        | RvError::KeyHandleInvalid
                        | RvError::UnwrappingKeyHandleInvalid
                        | RvError::WrappingKeyHandleInvalid
                        | RvError::UserNotLoggedIn
                )
            )
    }

    /// Returns whether the session has gone.
    pub(super) const fn is_stale_session(self) -> bool {
        matches!(self.native(), Some(RvError::SessionHandleInvalid | RvError::SessionClosed))
    }

    /// Returns whether the key or the module does not do the mechanism, or not with its parameters
    /// (SoftHSM answers CKR_ARGUMENTS_BAD to a hash that it does not know).
    pub(super) const fn is_refusal(self) -> bool {
        matches!(
            self.native(),
            Some(
                RvError::MechanismInvalid
                    | RvError::MechanismParamInvalid
                    | RvError::ArgumentsBad
                    | RvError::FunctionNotSupported
                    | RvError::KeyFunctionNotPermitted
                    | RvError::KeyTypeInconsistent
                    | RvError::KeySizeRange
                    | RvError::KeyNotWrappable
                    | RvError::UnwrappingKeyTypeInconsistent
                    | RvError::UnwrappingKeySizeRange
                    | RvError::WrappingKeyTypeInconsistent
                    | RvError::WrappingKeySizeRange
                    | RvError::CurveNotSupported
                    | RvError::DomainParamsInvalid
                    | RvError::TemplateInconsistent
                    | RvError::TemplateIncomplete
                    | RvError::AttributeTypeInvalid
                    | RvError::AttributeValueInvalid
                    | RvError::AttributeReadOnly
                    | RvError::AttributeSensitive
            )
        ) || self.native().is_none()
    }

    /// Returns whether the way to the device is gone, whatever the call was.
    ///
    /// The list is short on purpose: a code that a module answers to a bad ciphertext must never
    /// be on it, and modules answer CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED and CKR_DEVICE_ERROR.
    pub(super) const fn is_transport(self) -> bool {
        match self.native() {
            // What a stranger sent may be what there is no room for.
            Some(RvError::HostMemory) => !self.is_of_input(),
            Some(
                RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::SlotIdInvalid
                | RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::UserNotLoggedIn
                | RvError::CryptokiNotInitialized,
            ) => true,
            _ => false,
        }
    }

    /// Returns the error of the seam for a fault that is not about an input.
    pub(super) fn into_error(self, keystore: &str) -> BackendError {
        let (keystore, call, code) = (keystore.to_owned(), self.call(), self.code());
        if self.is_transport() {
            BackendError::Unavailable { keystore, call, code }
        } else {
            BackendError::Device { keystore, call, code }
        }
    }

    /// Returns the error of the seam for a device that cannot be reached.
    pub(super) fn into_unavailable(self, keystore: &str) -> BackendError {
        BackendError::Unavailable {
            keystore: keystore.to_owned(),
            call: self.call(),
            code: self.code(),
        }
    }

    /// Returns the name of the call, as PKCS#11 has it.
    pub(super) fn call(self) -> String {
        format!("C_{:?}", self.function)
    }

    /// Returns the name of the code, as PKCS#11 has it.
    pub(super) fn code(self) -> String {
        match self.code {
            Code::Native(RvError::VendorDefined(code) | RvError::UnknownErrorCode(code)) => {
                format!("0x{code:08X}")
            }
            Code::Native(code) => {
                let mut name = String::from("CKR");
                for letter in format!("{code:?}").chars() {
                    if letter.is_ascii_uppercase() {
                        name.push('_');
                    }
                    name.push(letter.to_ascii_uppercase());
                }
                name
            }
            Code::Binding(what) => what.to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call(), self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_the_names_of_the_standard() {
        let fault = Fault::check(cryptoki_sys::CKR_GENERAL_ERROR, Function::Decrypt).unwrap_err();
        assert_eq!(fault.to_string(), "C_Decrypt: CKR_GENERAL_ERROR");
        let fault = Fault::check(0x8000_0001, Function::InitPIN).unwrap_err();
        assert_eq!(fault.to_string(), "C_InitPIN: 0x80000001");
    }
}

//! A TPM command that failed: which command, which code, and what that means.

use std::fmt;

use tss_esapi::Error;
use tss_esapi::constants::response_code::Tss2ResponseCode;

use crate::backend::BackendError;

/// A command that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    command: &'static str,
    /// The command takes nothing but a context or a handle of ours.
    is_housekeeping: bool,
    code: Code,
}

/// What the command answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// A TSS2_RC: the TPM's own code, or one of a layer between.
    Native(u32),
    /// The binding could not make the command or read its answer.
    Binding(&'static str),
}

/// The bits of a TSS2_RC that name the layer; none of them is set in a code of the TPM itself.
const LAYER: u32 = 0x00ff_0000;

/// A code of the TPM that a resource manager passed on (TSS2_RESMGR_TPM_RC_LAYER).
const RESOURCE_MANAGER_TPM: u32 = 0x000c_0000;

const FORMAT_ONE: u32 = 0x80;
const INITIALIZE: u32 = 0x100;
const FAILURE: u32 = 0x101;
const LOCKOUT: u32 = 0x921;
const INTEGRITY: u32 = 0x9f;

impl Fault {
    /// Takes an error of the binding; `command` is the one that was asked for.
    pub(super) fn of(error: Error, command: &'static str) -> Self {
        let code = match error {
            Error::Tss2Error(code) => number(code)
                .map_or(Code::Binding("a code that the binding does not tell"), Code::Native),
            Error::WrapperError(_) => Code::Binding("the binding refuses the parameters or answer"),
        };
        Self {
            command,
            is_housekeeping: matches!(command, "TPM2_ContextLoad" | "TPM2_FlushContext"),
            code,
        }
    }

    /// The answer makes no sense.
    pub(super) const fn nonsense(command: &'static str, what: &'static str) -> Self {
        Self { command, is_housekeeping: false, code: Code::Binding(what) }
    }

    /// Returns the TPM's code without the numbers of parameter, handle or session; `None` if it
    /// was not the TPM that answered.
    pub(super) const fn tpm_code(self) -> Option<u32> {
        match self.code {
            Code::Native(code) if matches!(code & LAYER, 0 | RESOURCE_MANAGER_TPM) => {
                Some(match code & FORMAT_ONE {
                    0 => code & 0xfff,
                    _ => code & 0xbf,
                })
            }
            _ => None,
        }
    }

    /// Returns whether the way to the TPM is gone or not to be trusted any more: no answer, an
    /// answer with a wrong HMAC, a TPM that was reset without TPM2_Startup.
    pub(super) const fn is_transport(self) -> bool {
        match self.code {
            Code::Native(_) => matches!(self.tpm_code(), None | Some(INITIALIZE)),
            Code::Binding(_) => false,
        }
    }

    /// Returns whether a session, an object or a saved context has gone: the TPM was restarted, or
    /// another user of it has flushed what was ours.
    pub(super) const fn is_stale(self) -> bool {
        // TPM_RC_CONTEXT_GAP, TPM_RC_REFERENCE_H0 to H6 and S0 to S6.
        matches!(self.tpm_code(), Some(0x901 | 0x910..=0x916 | 0x918..=0x91e))
            || self.is_stale_context()
    }

    /// Returns whether a context or a handle of ours is of before a restart of the TPM.
    const fn is_stale_context(self) -> bool {
        self.is_housekeeping && matches!(self.tpm_code(), Some(code) if code & 0xf00 == 0)
    }

    /// Returns whether the context of tpm2-tss gave up, rather than the way to the TPM.
    pub(super) const fn is_of_context(self) -> bool {
        matches!(self.code, Code::Native(code) if code & LAYER == 0x0007_0000)
    }

    /// Returns whether the TPM has no room for another object or session.
    pub(super) const fn is_full(self) -> bool {
        // TPM_RC_OBJECT_MEMORY, SESSION_MEMORY, MEMORY, SESSION_HANDLES, OBJECT_HANDLES.
        matches!(self.tpm_code(), Some(0x902..=0x906))
    }

    /// Returns whether an authorization was refused: never to be tried again.
    pub(super) const fn is_auth(self) -> bool {
        // TPM_RC_AUTH_FAIL, TPM_RC_BAD_AUTH.
        matches!(self.tpm_code(), Some(0x8e | 0xa2))
    }

    /// Returns whether the TPM takes no authorization of protected keys for now.
    pub(super) fn is_locked(self) -> bool {
        self.tpm_code() == Some(LOCKOUT)
    }

    /// Returns whether the TPM is in failure mode, if the command was one that cannot fail else.
    pub(super) fn is_failure(self) -> bool {
        self.tpm_code() == Some(FAILURE)
    }

    /// Returns whether something that the TPM had wrapped was changed, or is of another TPM.
    pub(super) fn is_integrity(self) -> bool {
        self.tpm_code() == Some(INTEGRITY)
    }

    /// Returns whether there is nothing at a persistent handle.
    pub(super) fn is_no_handle(self) -> bool {
        self.tpm_code() == Some(0x8b)
    }

    /// Returns whether the fault speaks of the TPM, the session, the key's handle or its
    /// authorization, and not of a command's input.
    ///
    /// A code that the TPM answers to a bad ciphertext must never be here, and libtpms answers
    /// TPM_RC_FAILURE; whether it is in failure mode is asked by a command of its own.
    pub(super) fn is_of_device(self) -> bool {
        let is_warning = self.tpm_code().is_some_and(|code| code & 0x900 == 0x900);
        // TPM_RC_AUTH_TYPE, AUTH_MISSING, POLICY, AUTH_UNAVAILABLE, REBOOT, UNBALANCED,
        // TPM_RC_HANDLE, and every code that comes with the number of a session.
        let is_named = matches!(self.tpm_code(), Some(0x124..=0x126 | 0x12f..=0x131 | 0x8b));
        let is_session = matches!(self.code, Code::Native(code) if code & 0x8c0 == 0x880)
            && self.tpm_code().is_some_and(|code| code & FORMAT_ONE != 0);
        self.is_transport()
            || is_warning
            || is_named
            || is_session
            || self.is_auth()
            || matches!(self.code, Code::Binding(_))
    }

    /// Returns the error of the seam for a fault that is not about an input.
    pub(super) fn into_error(self, keystore: &str) -> BackendError {
        let (keystore, code) = (keystore.to_owned(), self.code());
        if self.is_locked() {
            return BackendError::PinLocked { keystore, code };
        }
        let call = self.command.to_owned();
        if self.is_transport() || self.is_stale() {
            BackendError::Unavailable { keystore, call, code }
        } else if self.is_full() {
            let code = format!(
                "{code}: other users of the TPM hold its slots; /dev/tpmrm0 or tpm2-abrmd \
                 shares them"
            );
            BackendError::Unavailable { keystore, call, code }
        } else {
            BackendError::Device { keystore, call, code }
        }
    }

    /// Returns the error of the seam for a TPM that cannot be used.
    pub(super) fn into_unavailable(self, keystore: &str) -> BackendError {
        BackendError::Unavailable {
            keystore: keystore.to_owned(),
            call: self.command.to_owned(),
            code: self.code(),
        }
    }

    /// Returns the name of the code, as TPM 2.0 has it, and its number.
    pub(super) fn code(self) -> String {
        match self.code {
            Code::Native(code) => match self.tpm_code().and_then(name) {
                Some(name) => format!("TPM_RC_{name} (0x{code:03x})"),
                None => match code & LAYER {
                    0x0007_0000 => format!("TSS2_ESYS_RC 0x{code:x}"),
                    0x0008_0000 => format!("TSS2_SYS_RC 0x{code:x}"),
                    0x000a_0000 => format!("TSS2_TCTI_RC 0x{code:x}"),
                    _ => format!("0x{code:x}"),
                },
            },
            Code::Binding(what) => what.to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.command, self.code())
    }
}

/// Returns the number of a code, which the binding tells in its text only.
fn number(code: Tss2ResponseCode) -> Option<u32> {
    let text = match code {
        Tss2ResponseCode::Success => return Some(0),
        Tss2ResponseCode::FormatZero(code) => code.to_string(),
        Tss2ResponseCode::FormatOne(code) => code.to_string(),
    };
    let (_, digits) = text.rsplit_once("0x")?;
    u32::from_str_radix(digits, 16).ok()
}

/// TPM 2.0 part 2, table "TPM_RC": the codes that are met.
const fn name(code: u32) -> Option<&'static str> {
    Some(match code {
        0x100 => "INITIALIZE",
        0x101 => "FAILURE",
        0x120 => "DISABLED",
        0x124 => "AUTH_TYPE",
        0x125 => "AUTH_MISSING",
        0x126 => "POLICY",
        0x12f => "AUTH_UNAVAILABLE",
        0x130 => "REBOOT",
        0x131 => "UNBALANCED",
        0x142 => "COMMAND_SIZE",
        0x143 => "COMMAND_CODE",
        0x14c => "NV_DEFINED",
        0x150 => "BAD_CONTEXT",
        0x153 => "NEEDS_TEST",
        0x155 => "SENSITIVE",
        0x81 => "ASYMMETRIC",
        0x82 => "ATTRIBUTES",
        0x83 => "HASH",
        0x84 => "VALUE",
        0x85 => "HIERARCHY",
        0x87 => "KEY_SIZE",
        0x8a => "TYPE",
        0x8b => "HANDLE",
        0x8e => "AUTH_FAIL",
        0x8f => "NONCE",
        0x92 => "SCHEME",
        0x95 => "SIZE",
        0x96 => "SYMMETRIC",
        0x9a => "INSUFFICIENT",
        0x9c => "KEY",
        0x9d => "POLICY_FAIL",
        INTEGRITY => "INTEGRITY",
        0xa0 => "TICKET",
        0xa2 => "BAD_AUTH",
        0xa5 => "BINDING",
        0xa6 => "CURVE",
        0xa7 => "ECC_POINT",
        0x901 => "CONTEXT_GAP",
        0x902 => "OBJECT_MEMORY",
        0x903 => "SESSION_MEMORY",
        0x904 => "MEMORY",
        0x905 => "SESSION_HANDLES",
        0x906 => "OBJECT_HANDLES",
        0x908 => "YIELDED",
        0x909 => "CANCELED",
        0x90a => "TESTING",
        0x910 => "REFERENCE_H0",
        0x911 => "REFERENCE_H1",
        0x918 => "REFERENCE_S0",
        0x919 => "REFERENCE_S1",
        0x920 => "NV_RATE",
        LOCKOUT => "LOCKOUT",
        0x922 => "RETRY",
        0x923 => "NV_UNAVAILABLE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: u32) -> Fault {
        Fault::of(Error::Tss2Error(Tss2ResponseCode::from(code)), "TPM2_RSA_Decrypt")
    }

    #[test]
    fn codes_keep_their_number_and_have_the_names_of_the_standard() {
        for (code, text) in [
            (0x101, "TPM_RC_FAILURE (0x101)"),
            (0x98e, "TPM_RC_AUTH_FAIL (0x98e)"),
            (0x1df, "TPM_RC_INTEGRITY (0x1df)"),
            (0x921, "TPM_RC_LOCKOUT (0x921)"),
            (0x902, "TPM_RC_OBJECT_MEMORY (0x902)"),
            (0x000a_000a, "TSS2_TCTI_RC 0xa000a"),
            (0x0007_001b, "TSS2_ESYS_RC 0x7001b"),
        ] {
            assert_eq!(fault(code).code(), text);
        }
    }

    #[test]
    fn what_a_bad_ciphertext_answers_is_not_of_the_device() {
        for code in [0x101, 0x095, 0x1c4, 0x084, 0x1e7, 0x2d2] {
            assert!(!fault(code).is_of_device(), "{code:x}");
        }
        for code in [
            0x98e,
            0x9a2,
            0x921,
            0x910,
            0x918,
            0x902,
            0x18b,
            0x982,
            0x99d,
            0x100,
            0x000a_000a,
            0x7_001b,
        ] {
            assert!(fault(code).is_of_device(), "{code:x}");
        }
        assert!(fault(0x000a_000a).is_transport() && fault(0x0007_0007).is_transport());
        assert!(fault(0x000c_0910).is_stale() && !fault(0x101).is_transport());
    }
}

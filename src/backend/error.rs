//! What a backend can answer instead of a result.

use super::Locator;

/// An error of a device, or of the way to it.
///
/// Only [`BackendError::Rejected`] speaks of the input, and it says nothing more: everything else
/// is about the device, the key or the configuration, and may be told to anyone.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{BackendError, Keystore, Locator};
///
/// let keystore = MemoryKeystore::new("test");
/// let missing = keystore.find(&Locator::Memory("nobody".into()));
/// assert!(matches!(missing, Err(BackendError::NotFound { .. })));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The device refused the input. Why is not told (RFC 7516 section 11.5).
    #[error("the input was refused")]
    Rejected,

    /// The device, or this key, cannot do what was asked. Choose another algorithm or keystore.
    #[error("keystore {keystore} does not support {what}: {reason}")]
    Unsupported {
        /// The keystore's name.
        keystore: String,
        /// The algorithm or operation.
        what: String,
        /// Why, in words for an operator.
        reason: String,
    },

    /// No private key is at the locator.
    #[error("no private key at {locator} in keystore {keystore}")]
    NotFound {
        /// The keystore's name.
        keystore: String,
        /// Where it was looked for.
        locator: Locator,
    },

    /// More than one private key is at the locator. Name it more closely, by its id.
    #[error("{count} private keys at {locator} in keystore {keystore}, expected one")]
    Ambiguous {
        /// The keystore's name.
        keystore: String,
        /// Where it was looked for.
        locator: Locator,
        /// How many were found.
        count: usize,
    },

    /// The device refused the PIN. It is not tried again: devices lock after a few attempts.
    #[error("keystore {keystore} refused the PIN ({code}); it is not tried again")]
    PinRefused {
        /// The keystore's name.
        keystore: String,
        /// The native code.
        code: String,
    },

    /// The PIN is locked. The security officer can set a new one.
    #[error("the PIN of keystore {keystore} is locked ({code})")]
    PinLocked {
        /// The keystore's name.
        keystore: String,
        /// The native code.
        code: String,
    },

    /// The PIN could not be had from where the configuration says it is.
    #[error("no PIN for keystore {keystore}: {reason}")]
    PinUnavailable {
        /// The keystore's name.
        keystore: String,
        /// What was tried and what went wrong; never the PIN.
        reason: String,
    },

    /// The device cannot be reached: gone, not there, or busy for too long.
    #[error("keystore {keystore} is unavailable: {call}: {code}")]
    Unavailable {
        /// The keystore's name.
        keystore: String,
        /// The native call, or what was tried.
        call: String,
        /// The native code, or the reason.
        code: String,
    },

    /// The device answered an error that is not about the input.
    #[error("keystore {keystore}: {call} failed with {code}")]
    Device {
        /// The keystore's name.
        keystore: String,
        /// The native call.
        call: String,
        /// The native code.
        code: String,
    },

    /// A new key did not come out as asked, and was destroyed.
    #[error("keystore {keystore} made a key that is not as asked ({what}); it was destroyed")]
    NotAsAsked {
        /// The keystore's name.
        keystore: String,
        /// Which guarantee is missing.
        what: String,
    },

    /// The key is in the device, and is not to be used: anyone can have its private half. Make another.
    #[error(
        "the key at {locator} in keystore {keystore} is not used: {reason}; generate another, and \
         destroy it"
    )]
    WeakKey {
        /// The keystore's name.
        keystore: String,
        /// Where the key is.
        locator: Locator,
        /// What is wrong with it.
        reason: String,
    },

    /// The message that was to be signed could not be read to its end.
    #[error("cannot read the message: {reason}")]
    Message {
        /// What the reader said.
        reason: String,
    },

    /// The configuration of the keystore cannot work.
    #[error("keystore {keystore}: {reason}")]
    Misconfigured {
        /// The keystore's name.
        keystore: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

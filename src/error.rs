//! Every error of the engine, sorted by who is at fault, each with a stable code.

use crate::backend::BackendError;

/// Shorthand for results of the engine.
///
/// ```
/// fn first(names: &[String]) -> hsm_jose::Result<&String> {
///     names.first().ok_or_else(|| hsm_jose::Error::Usage("name a key".into()))
/// }
/// assert!(first(&[]).is_err());
/// ```
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the engine.
///
/// Variants are sorted by who is at fault. Nothing secret, and nothing of a token's payload, is in
/// any of them; what they quote of a token's header (a kid, an alg) is short and escaped.
/// [`Error::DecryptionFailed`] is bare on purpose (RFC 7516 section 11.5).
///
/// ```
/// use hsm_jose::Error;
///
/// let refused = Error::Policy("alg \"none\" is not allowed here".into());
/// assert_eq!(refused.code(), "policy");
/// assert_eq!(Error::DecryptionFailed.to_string(), "decryption failed");
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // --- The token, or whoever made it ---
    /// The token is not what its serialization must be: refused before any key was looked at.
    #[error("malformed token: {0}")]
    Malformed(String),

    /// Policy does not allow the token, the algorithm or the key: refused before any device was asked.
    #[error("refused by policy: {0}")]
    Policy(String),

    /// The content could not be decrypted. Why is not told, to anyone.
    #[error("decryption failed")]
    DecryptionFailed,

    /// Whoever sent the token has caused too many failed decryptions with this key: the token was
    /// parsed and its header checked, and no device was asked.
    #[error(
        "too many failed decryptions of this peer with the key {kid:?}: nothing of it is decrypted \
         with that key for {retry_after} s"
    )]
    BudgetSpent {
        /// The kid of the key.
        kid: String,
        /// When the next token of the peer is tried, in seconds from now.
        retry_after: u64,
    },

    /// No signature by an accepted key. Why is not told.
    #[error("signature verification failed")]
    SignatureInvalid,

    /// A claim is missing or wrong.
    #[error("claim {claim}: {reason}")]
    Claim {
        /// The claim's name.
        claim: &'static str,
        /// What is wrong with it; never its value.
        reason: String,
    },

    // --- The caller, the operator or the configuration ---
    /// The call, the command line or an input of our own side is wrong.
    #[error("{0}")]
    Usage(String),

    /// The configuration or the keyring cannot be used.
    #[error("{0}")]
    Config(String),

    /// A key that the caller named does not exist, or none fits.
    #[error("{0}")]
    KeyNotFound(String),

    /// More than one key fits.
    #[error("{0}")]
    KeyAmbiguous(String),

    /// A check that was asked for found something.
    #[error("{0}")]
    Check(String),

    // --- The device, or the way to it ---
    /// A device could not do what was asked. Never [`BackendError::Rejected`].
    #[error(transparent)]
    Backend(BackendError),

    // --- The machine ---
    /// A file could not be read or written.
    #[error("{0}")]
    Io(String),
}

impl Error {
    /// Returns the stable code of the error: lower-case words joined by `_`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Policy(_) => "policy",
            Self::DecryptionFailed => "decryption_failed",
            Self::BudgetSpent { .. } => "decryption_budget_spent",
            Self::SignatureInvalid => "signature_invalid",
            Self::Claim { .. } => "claim",
            Self::Usage(_) => "usage",
            Self::Config(_) => "config",
            Self::KeyNotFound(_) => "key_not_found",
            Self::KeyAmbiguous(_) => "key_ambiguous",
            Self::Check(_) => "check",
            Self::Backend(error) => match error {
                // A rejected input never leaves the core under this name.
                BackendError::Rejected => "decryption_failed",
                BackendError::Unsupported { .. } => "unsupported",
                BackendError::NotFound { .. } => "key_not_found",
                BackendError::Ambiguous { .. } => "key_ambiguous",
                BackendError::PinRefused { .. } => "pin_refused",
                BackendError::PinLocked { .. } => "pin_locked",
                BackendError::PinUnavailable { .. } => "pin_unavailable",
                BackendError::Unavailable { .. } => "device_unavailable",
                BackendError::Device { .. } => "device_error",
                BackendError::NotAsAsked { .. } => "key_not_as_asked",
                BackendError::WeakKey { .. } => "policy",
                BackendError::Misconfigured { .. } => "config",
                BackendError::Message { .. } => "io",
            },
            Self::Io(_) => "io",
        }
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Rejected => Self::DecryptionFailed,
            other => Self::Backend(other),
        }
    }
}

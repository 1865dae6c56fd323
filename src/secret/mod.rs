//! Secrets: zeroized on drop, without `Clone` or `Serialize`, with a `Debug` that tells nothing.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

#[allow(unsafe_code, reason = "borrows an inherited descriptor; the block says why it is sound")]
mod descriptor;
mod source;
mod wiped;

pub use source::PinSource;
pub(crate) use wiped::Wiped;

/// The PIN of a token: opaque text, which may hold colons, spaces and any other character.
///
/// ```
/// use hsm_jose::secret::Pin;
///
/// let pin = Pin::new("12:34 56".into());
/// assert_eq!(format!("{pin:?}"), "Pin(redacted)");
/// ```
pub struct Pin(SecretString);

/// A decrypted content. Zeroized on drop; what the caller copies out is the caller's.
///
/// ```
/// use hsm_jose::secret::Plaintext;
///
/// let plaintext = Plaintext::new(b"content".to_vec().into());
/// assert_eq!(plaintext.as_bytes(), b"content");
/// assert_eq!(format!("{plaintext:?}"), "Plaintext(redacted)");
/// ```
pub struct Plaintext(Wiped);

/// The shared secret Z of a key agreement: lives inside a backend, between the device's answer and
/// the key derivation.
///
/// ```
/// use hsm_jose::jose::alg::ContentEncryption;
/// use hsm_jose::primitives::concat_kdf;
/// use hsm_jose::secret::SharedSecret;
///
/// let z = SharedSecret::new(vec![7; 32].into());
/// let other_info = concat_kdf::other_info("A256GCM", b"", b"", 32);
/// let key = concat_kdf::derive(&z, &other_info, 32);
/// assert_eq!(key.expose().len(), ContentEncryption::A256Gcm.key_len());
/// ```
pub struct SharedSecret(Zeroizing<Vec<u8>>);

/// The bytes of a key on the host: derived, unwrapped or decoded.
///
/// ```
/// use hsm_jose::secret::KeyBytes;
///
/// let key = KeyBytes::from(vec![7; 16]);
/// assert_eq!(key.expose(), [7; 16]);
/// assert_eq!(format!("{key:?}"), "KeyBytes(redacted)");
/// ```
///
/// There is one of each:
///
/// ```compile_fail,E0599
/// # use hsm_jose::secret::KeyBytes;
/// fn copied(key: &KeyBytes) -> KeyBytes {
///     key.clone()
/// }
/// ```
pub struct KeyBytes(Zeroizing<Vec<u8>>);

impl Pin {
    /// Takes the text of a PIN.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// Gives the PIN to the call that logs in. Nothing else may read it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Gives the PIN, still wrapped, to a binding that takes it so.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn as_secret(&self) -> &SecretString {
        &self.0
    }
}

impl Plaintext {
    /// Takes decrypted bytes.
    pub fn new(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Wiped::new(std::mem::take(&mut *bytes)))
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Hands the bytes over; zeroizing them is the caller's from here on.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

impl SharedSecret {
    /// Takes Z, as long as the field of the curve, leading zeros kept (RFC 7518 section 4.6.2).
    pub fn new(z: Zeroizing<Vec<u8>>) -> Self {
        Self(z)
    }

    /// Gives Z to the key derivation. Nothing else may read it.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl KeyBytes {
    /// Gives the key to a primitive, or to a device that takes it. Nothing else may read it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Zeroizing<Vec<u8>>> for KeyBytes {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for KeyBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

macro_rules! redacted {
    ($($type:ident),+) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(redacted)"))
            }
        }
    )+};
}

redacted!(Pin, Plaintext, SharedSecret, KeyBytes);

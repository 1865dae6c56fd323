//! A content encryption key in the memory of this process.

use std::fmt;

use zeroize::Zeroizing;

use super::{BackendError, Cek, CekPlacement};
use crate::jose::alg::ContentEncryption;
use crate::primitives::content::{self, Sealed};
use crate::primitives::random;
use crate::secret::{KeyBytes, Plaintext};

/// A content encryption key as bytes: zeroized on drop, without `Clone`, `Serialize` or a telling
/// `Debug`.
///
/// ```
/// use hsm_jose::backend::HostCek;
/// use hsm_jose::jose::alg::ContentEncryption;
///
/// let enc = ContentEncryption::A256Gcm;
/// assert!(HostCek::new(enc, vec![7; 16].into()).is_none(), "too short");
/// assert_eq!(format!("{:?}", HostCek::random(enc)), "HostCek(A256GCM, redacted)");
/// ```
///
/// There is one of each:
///
/// ```compile_fail,E0599
/// # use hsm_jose::backend::HostCek;
/// fn copied(cek: &HostCek) -> HostCek {
///     cek.clone()
/// }
/// ```
pub struct HostCek {
    enc: ContentEncryption,
    bytes: KeyBytes,
}

impl HostCek {
    /// Takes the bytes of a key for `enc`; `None` if their number is not [`ContentEncryption::key_len`].
    pub fn new(enc: ContentEncryption, bytes: KeyBytes) -> Option<Self> {
        (bytes.expose().len() == enc.key_len()).then_some(Self { enc, bytes })
    }

    /// Draws a fresh key for `enc` from the operating system's generator.
    pub fn random(enc: ContentEncryption) -> Self {
        let mut bytes = Zeroizing::new(vec![0; enc.key_len()]);
        random::fill(&mut bytes);
        Self { enc, bytes: bytes.into() }
    }

    /// Gives the key to a primitive that wraps it for a recipient. Nothing else may read it.
    pub(crate) fn expose_to_wrap(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// Encrypts under a fresh IV and consumes the key, so that no key ever meets two messages.
    pub(crate) fn encrypt(self, aad: &[u8], plaintext: &[u8]) -> Sealed {
        content::encrypt(self.enc, self.bytes.expose(), aad, plaintext)
    }
}

impl Cek for HostCek {
    fn placement(&self) -> CekPlacement {
        CekPlacement::Host
    }

    fn encrypt(self: Box<Self>, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, BackendError> {
        Ok(HostCek::encrypt(*self, aad, plaintext))
    }

    fn decrypt_in_place(
        &self,
        iv: &[u8],
        aad: &[u8],
        ciphertext: Vec<u8>,
        tag: &[u8],
    ) -> Result<Plaintext, BackendError> {
        content::decrypt(self.enc, self.bytes.expose(), iv, aad, ciphertext, tag)
            .ok_or(BackendError::Rejected)
    }
}

impl fmt::Debug for HostCek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostCek({}, redacted)", self.enc)
    }
}

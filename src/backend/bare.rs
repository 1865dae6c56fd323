//! The bare native calls of an operation, for measuring what the engine adds to them.

use super::{BackendError, Keystore, Locator};
use crate::jose::alg::{Hash, KeyManagement};
use crate::jose::jwk::PublicPoint;

/// A private-key operation with its input, as the engine would ask the device for it.
#[derive(Clone, Debug)]
pub(crate) enum BareOperation {
    /// RSAES-OAEP with this hash, of a ciphertext as long as the modulus.
    DecryptOaep(Hash, Vec<u8>),
    /// RSASSA-PSS of a SHA-256 digest (32 bytes).
    SignPss(Vec<u8>),
    /// ECDSA of a SHA-256 digest (32 bytes).
    SignEcdsa(Vec<u8>),
    /// ECDH with a peer's point.
    Agree(PublicPoint),
}

/// A prepared operation: each call runs the native calls once and drops their result.
pub(crate) type BareCall<'a> = Box<dyn FnMut() -> Result<(), BackendError> + Send + 'a>;

/// A keystore whose native calls can be measured.
pub(crate) trait BareKeystore: Keystore {
    /// Returns the RSA-OAEP that is measured.
    fn oaep(&self) -> KeyManagement;

    /// Returns how many operations can be prepared at once.
    fn most_bare(&self) -> usize;

    /// Names the native calls of an operation.
    fn calls(&self, operation: &BareOperation) -> &'static str;

    /// Prepares an operation of the key at `key`. What it needs of the device is the keystore's, and
    /// is taken from it for as long as the value lives.
    ///
    /// # Errors
    /// As [`Keystore::find`], or the device has no room.
    fn bare(&self, key: &Locator, operation: &BareOperation) -> Result<BareCall<'_>, BackendError>;

    /// As [`BareKeystore::bare`], without what protects the way to the device; `None` where nothing
    /// does.
    ///
    /// # Errors
    /// As [`BareKeystore::bare`].
    fn bare_in_clear(
        &self,
        _key: &Locator,
        _operation: &BareOperation,
    ) -> Result<Option<BareCall<'_>>, BackendError> {
        Ok(None)
    }

    /// Returns how many keys are measured in turn, where the device has room for a few at a time.
    fn in_turn(&self) -> usize {
        0
    }

    /// As [`BareKeystore::bare`], where each call takes the next key and makes room for it by hand;
    /// `None` where the device has room for all.
    ///
    /// # Errors
    /// As [`BareKeystore::bare`].
    fn bare_in_turn(
        &self,
        _keys: &[Locator],
        _operation: &BareOperation,
    ) -> Result<Option<BareCall<'_>>, BackendError> {
        Ok(None)
    }
}

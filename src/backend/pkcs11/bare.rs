//! The bare native calls of an operation, for measuring what the engine adds to them.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::object::ObjectHandle;

use super::fault::Fault;
use super::mechanism::Mech;
use super::pool::Lease;
use super::road::Trouble;
use super::{Pkcs11Keystore, object};
use crate::backend::{BackendError, Locator};
use crate::jose::alg::Hash;

/// A private-key operation with its input, as the engine would ask the token for it.
#[derive(Clone, Debug)]
pub(crate) enum BareOperation {
    /// RSAES-OAEP with SHA-1 of a ciphertext as long as the modulus: C_DecryptInit, C_Decrypt.
    DecryptOaepSha1(Vec<u8>),
    /// RSASSA-PSS of a SHA-256 digest (32 bytes): C_SignInit, C_Sign.
    SignPss(Vec<u8>),
    /// ECDSA of a digest: C_SignInit, C_Sign.
    SignEcdsa(Vec<u8>),
    /// ECDH with a peer's point (0x04 || X || Y, or 32 bytes): C_DeriveKey, C_GetAttributeValue,
    /// C_DestroyObject. With the length of Z in bytes.
    Agree(Vec<u8>, usize),
}

/// An operation on a session of its own, ready to be repeated.
pub(crate) struct BareKey<'a> {
    lease: Lease<'a>,
    key: ObjectHandle,
    operation: BareOperation,
    buffer: Vec<u8>,
    keystore: &'a str,
}

impl Pkcs11Keystore {
    /// Prepares an operation of the key at `locator`: the session is taken from the keystore's for
    /// as long as the value lives.
    ///
    /// # Errors
    /// As [`crate::backend::Keystore::find`], or no free session.
    pub(crate) fn bare(
        &self,
        locator: &Locator,
        operation: BareOperation,
    ) -> Result<BareKey<'_>, BackendError> {
        let keystore = self.connection.name();
        let key = self.with_admin(|admin| object::find_one(admin, keystore, locator))?;
        let lease = self.connection.checkout()?;
        // As long as the longest modulus.
        Ok(BareKey { lease, key, operation, buffer: vec![0; 1024], keystore })
    }
}

impl BareKey<'_> {
    /// Runs the native calls once and drops their result.
    ///
    /// # Errors
    /// What the token answered.
    pub(crate) fn run(&mut self) -> Result<(), BackendError> {
        let Self { lease, key, operation, buffer, .. } = self;
        let done = match operation {
            BareOperation::DecryptOaepSha1(ciphertext) => {
                lease.decrypt(Mech::RsaOaep(Hash::Sha1), *key, ciphertext, buffer, None)
            }
            BareOperation::SignPss(digest) => {
                lease.sign(Mech::RsaPss(Hash::Sha256), *key, digest, buffer, None)
            }
            BareOperation::SignEcdsa(digest) => lease.sign(Mech::Ecdsa, *key, digest, buffer, None),
            BareOperation::Agree(point, z_len) => match buffer.get_mut(..*z_len) {
                Some(z) => lease.agree(*key, point, z),
                None => Err(Fault::nonsense(Function::DeriveKey, "more bytes than room").into()),
            },
        };
        done.map(drop).map_err(|trouble| match trouble {
            Trouble::Fault(fault) => fault.into_error(self.keystore),
            Trouble::Login(error) => error,
        })
    }
}

impl fmt::Debug for BareKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BareKey").field("keystore", &self.keystore).finish_non_exhaustive()
    }
}

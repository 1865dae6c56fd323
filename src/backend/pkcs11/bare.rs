//! The bare calls of PKCS#11.

use cryptoki::context::Function;
use cryptoki::object::ObjectHandle;

use super::fault::Fault;
use super::mechanism::Mech;
use super::pool::Lease;
use super::road::Trouble;
use super::{Pkcs11Keystore, object};
use crate::backend::bare::{BareCall, BareKeystore, BareOperation};
use crate::backend::{BackendError, Locator};
use crate::jose::alg::{Hash, KeyManagement};

/// An operation on a session of its own, ready to be repeated.
struct BareKey<'a> {
    lease: Lease<'a>,
    key: ObjectHandle,
    operation: BareOperation,
    buffer: Vec<u8>,
    keystore: &'a str,
}

impl BareKeystore for Pkcs11Keystore {
    fn oaep(&self) -> KeyManagement {
        // The one that every token has.
        KeyManagement::RsaOaep
    }

    fn most_bare(&self) -> usize {
        // One is the administrator's.
        self.connection.config().sessions.saturating_sub(1)
    }

    fn calls(&self, operation: &BareOperation) -> &'static str {
        match operation {
            BareOperation::DecryptOaep(..) => "C_DecryptInit, C_Decrypt (OAEP)",
            BareOperation::SignPss(_) => "C_SignInit, C_Sign (PSS)",
            BareOperation::SignEcdsa(_) => "C_SignInit, C_Sign (ECDSA)",
            BareOperation::Agree(_) => "C_DeriveKey, C_GetAttributeValue, C_DestroyObject",
        }
    }

    fn bare(&self, key: &Locator, operation: &BareOperation) -> Result<BareCall<'_>, BackendError> {
        let keystore = self.connection.name();
        let key = self.with_admin(|admin| object::find_one(admin, keystore, key))?;
        let lease = self.connection.checkout()?;
        let operation = operation.clone();
        // As long as the longest modulus.
        let mut key = BareKey { lease, key, operation, buffer: vec![0; 1024], keystore };
        Ok(Box::new(move || key.run()))
    }
}

impl BareKey<'_> {
    fn run(&mut self) -> Result<(), BackendError> {
        let Self { lease, key, operation, buffer, .. } = self;
        let done = match operation {
            BareOperation::DecryptOaep(hash, ciphertext) => {
                lease.decrypt(Mech::RsaOaep(*hash), *key, ciphertext, buffer, None)
            }
            BareOperation::SignPss(digest) => {
                lease.sign(Mech::RsaPss(Hash::Sha256), *key, digest, buffer, None)
            }
            BareOperation::SignEcdsa(digest) => lease.sign(Mech::Ecdsa, *key, digest, buffer, None),
            BareOperation::Agree(point) => match buffer.get_mut(..point.curve().field_len()) {
                Some(z) => lease.agree(*key, point.as_bytes(), z),
                None => Err(Fault::nonsense(Function::DeriveKey, "more bytes than room").into()),
            },
        };
        done.map(drop).map_err(|trouble| match trouble {
            Trouble::Fault(fault) => fault.into_error(self.keystore),
            Trouble::Other(error) => error,
        })
    }
}

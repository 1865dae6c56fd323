//! The operations of a private key on a lent session, by one of two roads: the module's function
//! list with buffers of our own (two calls for each operation), or, where that list belongs to
//! another instance of the module, the binding with its length queries.

use cryptoki::context::Function;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use zeroize::{Zeroize, Zeroizing};

use super::fault::Fault;
use super::mechanism::Mech;
use super::pool::Lease;
use super::raw;
use super::session::Connection;
use crate::backend::BackendError;

mod secret;

/// Why an operation did not come to its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A call failed.
    Fault(Fault),
    /// The login for this one operation failed, or the message could not be read.
    Other(BackendError),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Other(BackendError::Message { reason: error.to_string() })
    }
}

/// Logs in for one operation, between its Init and its data call.
pub(super) type Authenticate<'a> = Option<&'a Connection>;

impl Lease<'_> {
    /// Decrypts into `plain`, as long as the modulus; returns how much was written.
    pub(super) fn decrypt(
        &self,
        mech: Mech,
        key: ObjectHandle,
        cipher: &[u8],
        plain: &mut [u8],
        authenticate: Authenticate<'_>,
    ) -> Result<usize, Trouble> {
        if let Some(calls) = self.calls() {
            calls.decrypt_init(self.session(), mech, key)?;
            self.authenticate(authenticate)?;
            return Ok(calls.decrypt(self.session(), cipher, plain)?);
        }
        refuse(authenticate)?;
        let bytes = self
            .session()
            .decrypt(&mech.binding(), key, cipher)
            .map_err(|error| Fault::of(&error, Function::Decrypt))?;
        fill(plain, Zeroizing::new(bytes), Function::Decrypt)
    }

    /// Signs `data` into `signature`; returns how much was written.
    pub(super) fn sign(
        &self,
        mech: Mech,
        key: ObjectHandle,
        data: &[u8],
        signature: &mut [u8],
        authenticate: Authenticate<'_>,
    ) -> Result<usize, Trouble> {
        if let Some(calls) = self.calls() {
            calls.sign_init(self.session(), mech, key)?;
            self.authenticate(authenticate)?;
            return Ok(calls.sign(self.session(), data, signature)?);
        }
        refuse(authenticate)?;
        let bytes = self
            .session()
            .sign(&mech.binding(), key, data)
            .map_err(|error| Fault::of(&error, Function::Sign))?;
        fill(signature, Zeroizing::new(bytes), Function::Sign)
    }

    /// Agrees with the peer's `point` and reads Z, at most as long as `z`; returns its length. The
    /// object that held it in the token is destroyed.
    pub(super) fn agree(
        &self,
        key: ObjectHandle,
        point: &[u8],
        z: &mut [u8],
    ) -> Result<usize, Trouble> {
        if let Some(calls) = self.calls() {
            let secret = match calls.derive(self.session(), key, point, z.len()) {
                Ok(secret) => secret,
                Err(fault) => {
                    if !fault.is_stale() && !fault.is_transport() {
                        // Every path makes the same calls; nothing is there to be found by them.
                        let _ = calls.value(self.session(), raw::no_object(), z);
                        let _ = calls.destroy(self.session(), raw::no_object());
                    }
                    return Err(fault.into());
                }
            };
            let read = calls.value(self.session(), secret, z);
            let destroyed = calls.destroy(self.session(), secret);
            let read = read?;
            destroyed?;
            return Ok(read);
        }
        let params = Ecdh1DeriveParams::new(EcKdf::null(), point);
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::ValueLen((z.len() as cryptoki_sys::CK_ULONG).into()),
        ];
        let secret = self
            .session()
            .derive_key(&Mechanism::Ecdh1Derive(params), key, &template)
            .map_err(|error| Fault::of(&error, Function::DeriveKey))?;
        let read = self
            .session()
            .get_attributes(secret, &[AttributeType::Value])
            .map_err(|error| Fault::of(&error, Function::GetAttributeValue));
        let destroyed = self
            .session()
            .destroy_object(secret)
            .map_err(|error| Fault::of(&error, Function::DestroyObject));
        let value = match read?.pop() {
            Some(Attribute::Value(value)) => Zeroizing::new(value),
            _ => return Err(Fault::nonsense(Function::GetAttributeValue, "no CKA_VALUE").into()),
        };
        destroyed?;
        fill(z, value, Function::GetAttributeValue)
    }

    fn authenticate(&self, authenticate: Authenticate<'_>) -> Result<(), Trouble> {
        match authenticate {
            Some(connection) => connection.login_context(self.session()).map_err(Trouble::Other),
            None => Ok(()),
        }
    }
}

/// The binding's Init and data call are one: there is no place for a login between them.
fn refuse(authenticate: Authenticate<'_>) -> Result<(), Trouble> {
    match authenticate {
        Some(connection) => Err(Trouble::Other(BackendError::Unsupported {
            keystore: connection.name().to_owned(),
            what: "a key with CKA_ALWAYS_AUTHENTICATE".to_owned(),
            reason: "the module makes a new instance for each function list".to_owned(),
        })),
        None => Ok(()),
    }
}

fn fill(
    buffer: &mut [u8],
    mut bytes: Zeroizing<Vec<u8>>,
    function: Function,
) -> Result<usize, Trouble> {
    let len = bytes.len();
    let Some(place) = buffer.get_mut(..len) else {
        return Err(Fault::nonsense(function, "more bytes than room").into());
    };
    place.copy_from_slice(&bytes);
    bytes.zeroize();
    Ok(len)
}

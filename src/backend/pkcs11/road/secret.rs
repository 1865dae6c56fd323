//! The operations of a symmetric key on a lent session, by the module's function list only: what
//! makes another instance for each list refuses these mechanisms (p11-kit 0.24).

use std::io::Read;

use super::*;
use crate::backend::pkcs11::mechanism::Cipher;
use crate::backend::pkcs11::raw::Calls;
use crate::primitives::read::fill;

impl Lease<'_> {
    /// Computes the MAC of `part` and what is still read from `message`, into `mac`; returns how much
    /// was written. `part` is read into again.
    pub(in super::super) fn mac_reader(
        &self,
        mech: Mech,
        key: ObjectHandle,
        part: &mut [u8],
        message: &mut dyn Read,
        mac: &mut [u8],
        authenticate: Authenticate<'_>,
    ) -> Result<usize, Trouble> {
        let calls = self.own_calls(Function::SignInit)?;
        calls.sign_init(self.session(), mech, key)?;
        self.authenticate(authenticate)?;
        let mut len = part.len();
        while len > 0 {
            calls.sign_update(self.session(), &part[..len])?;
            len = fill(message, part)?;
        }
        Ok(calls.sign_final(self.session(), mac)?)
    }

    /// Decrypts into `plain`, at least as long as `cipher`; returns how much was written.
    pub(in super::super) fn open(
        &self,
        cipher: Cipher<'_>,
        key: ObjectHandle,
        data: &[u8],
        plain: &mut [u8],
    ) -> Result<usize, Trouble> {
        let calls = self.own_calls(Function::DecryptInit)?;
        calls.open_init(self.session(), cipher, key)?;
        Ok(calls.decrypt(self.session(), data, plain)?)
    }

    /// Encrypts into `sealed`; returns how much was written.
    pub(in super::super) fn seal(
        &self,
        cipher: Cipher<'_>,
        key: ObjectHandle,
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, Trouble> {
        let calls = self.own_calls(Function::EncryptInit)?;
        calls.seal_init(self.session(), cipher, key)?;
        Ok(calls.encrypt(self.session(), plain, sealed)?)
    }

    /// Unwraps a key and reads it, at most as long as `value`; returns its length. The object that
    /// held it in the token is destroyed.
    pub(in super::super) fn unwrap(
        &self,
        key: ObjectHandle,
        wrapped: &[u8],
        value: &mut [u8],
    ) -> Result<usize, Trouble> {
        let calls = self.own_calls(Function::UnwrapKey)?;
        let secret = match calls.unwrap(self.session(), key, wrapped) {
            Ok(secret) => secret,
            Err(fault) => {
                if !fault.is_stale() && !fault.is_transport() {
                    // Every path makes the same calls; nothing is there to be found by them.
                    let _ = calls.value(self.session(), raw::no_object(), value);
                    let _ = calls.destroy(self.session(), raw::no_object());
                }
                return Err(fault.into());
            }
        };
        let read = calls.value(self.session(), secret, value);
        let destroyed = calls.destroy(self.session(), secret);
        let read = read?;
        destroyed?;
        Ok(read)
    }

    /// Wraps `value` into `wrapped` and returns how much was written. The token holds the value as a
    /// session object meanwhile.
    pub(in super::super) fn wrap(
        &self,
        key: ObjectHandle,
        value: &[u8],
        wrapped: &mut [u8],
    ) -> Result<usize, Trouble> {
        let calls = self.own_calls(Function::WrapKey)?;
        let secret = calls.create_secret(self.session(), value)?;
        let written = calls.wrap(self.session(), key, secret, wrapped);
        let destroyed = calls.destroy(self.session(), secret);
        let written = written?;
        destroyed?;
        Ok(written)
    }

    fn own_calls(&self, function: Function) -> Result<&Calls, Fault> {
        const OTHER: &str = "the module makes a new instance for each function list";
        self.calls().ok_or(Fault::nonsense(function, OTHER))
    }
}

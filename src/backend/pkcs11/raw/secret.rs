//! The calls of symmetric keys: encryption, and keys that are wrapped through session objects.

use std::ptr;

use cryptoki::context::Function;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys as ck;

use super::{Calls, attribute, checked, len, object};
use crate::backend::pkcs11::fault::Fault;
use crate::backend::pkcs11::mechanism::{Cipher, GCM_TAG_LEN};

impl Calls {
    /// C_DecryptInit with a cipher of a symmetric key.
    pub(in super::super) fn open_init(
        &self,
        session: &Session,
        cipher: Cipher<'_>,
        key: ObjectHandle,
    ) -> Result<(), Fault> {
        let call = self.list.C_DecryptInit.ok_or(Fault::missing(Function::DecryptInit))?;
        with_cipher(cipher, |mechanism| {
            // SAFETY: `mechanism` and its parameters live until the call has returned.
            let rv = unsafe { call(session.handle(), mechanism, key.handle()) };
            Fault::check(rv, Function::DecryptInit)
        })
    }

    /// C_EncryptInit with a cipher of a symmetric key.
    pub(in super::super) fn seal_init(
        &self,
        session: &Session,
        cipher: Cipher<'_>,
        key: ObjectHandle,
    ) -> Result<(), Fault> {
        let call = self.list.C_EncryptInit.ok_or(Fault::missing(Function::EncryptInit))?;
        with_cipher(cipher, |mechanism| {
            // SAFETY: `mechanism` and its parameters live until the call has returned.
            let rv = unsafe { call(session.handle(), mechanism, key.handle()) };
            Fault::check(rv, Function::EncryptInit)
        })
    }

    /// C_Encrypt, once, into `cipher`; returns how much was written.
    pub(in super::super) fn encrypt(
        &self,
        session: &Session,
        plain: &[u8],
        cipher: &mut [u8],
    ) -> Result<usize, Fault> {
        let call = self.list.C_Encrypt.ok_or(Fault::missing(Function::Encrypt))?;
        let mut written = len(cipher);
        // SAFETY: both pairs of pointer and length are those of a slice; the module only reads the
        // first (the interface has no const) and writes at most `written` bytes to the second.
        let rv = unsafe {
            call(
                session.handle(),
                plain.as_ptr().cast_mut(),
                len(plain),
                cipher.as_mut_ptr(),
                &mut written,
            )
        };
        Fault::check(rv, Function::Encrypt)?;
        checked(written, cipher.len(), Function::Encrypt)
    }

    /// C_UnwrapKey with CKM_AES_KEY_WRAP: a session object that can be read.
    pub(in super::super) fn unwrap(
        &self,
        session: &Session,
        key: ObjectHandle,
        wrapped: &[u8],
    ) -> Result<ObjectHandle, Fault> {
        let call = self.list.C_UnwrapKey.ok_or(Fault::missing(Function::UnwrapKey))?;
        let mut parts = ReadableSecret::new();
        let mut template = parts.template();
        let mut handle = 0;
        with_cipher(Cipher::KeyWrap, |mechanism| {
            // SAFETY: the mechanism, the wrapped key, the template and what it points to all live
            // until the call has returned; the module only reads them. `handle` is its place.
            let rv = unsafe {
                call(
                    session.handle(),
                    mechanism,
                    key.handle(),
                    wrapped.as_ptr().cast_mut(),
                    len(wrapped),
                    template.as_mut_ptr(),
                    template.len() as ck::CK_ULONG,
                    &mut handle,
                )
            };
            Fault::check(rv, Function::UnwrapKey).map(|()| object(handle))
        })
    }

    /// C_CreateObject of a session object with this value, to be wrapped.
    pub(in super::super) fn create_secret(
        &self,
        session: &Session,
        value: &[u8],
    ) -> Result<ObjectHandle, Fault> {
        let call = self.list.C_CreateObject.ok_or(Fault::missing(Function::CreateObject))?;
        let mut parts = ReadableSecret::new();
        let [class, kind, token, sensitive, extractable] = parts.template();
        let value = ck::CK_ATTRIBUTE {
            type_: ck::CKA_VALUE,
            pValue: value.as_ptr().cast_mut().cast(),
            ulValueLen: len(value),
        };
        let mut template = [class, kind, token, sensitive, extractable, value];
        let mut handle = 0;
        // SAFETY: the template and what it points to live until the call has returned; the module
        // only reads them. `handle` is its place.
        let rv = unsafe {
            call(
                session.handle(),
                template.as_mut_ptr(),
                template.len() as ck::CK_ULONG,
                &mut handle,
            )
        };
        Fault::check(rv, Function::CreateObject).map(|()| object(handle))
    }

    /// C_WrapKey with CKM_AES_KEY_WRAP, once, into `wrapped`; returns how much was written.
    pub(in super::super) fn wrap(
        &self,
        session: &Session,
        key: ObjectHandle,
        secret: ObjectHandle,
        wrapped: &mut [u8],
    ) -> Result<usize, Fault> {
        let call = self.list.C_WrapKey.ok_or(Fault::missing(Function::WrapKey))?;
        let mut written = len(wrapped);
        with_cipher(Cipher::KeyWrap, |mechanism| {
            // SAFETY: `mechanism` lives until the call has returned; the module writes at most
            // `written` bytes to a slice that nobody else holds.
            let rv = unsafe {
                call(
                    session.handle(),
                    mechanism,
                    key.handle(),
                    secret.handle(),
                    wrapped.as_mut_ptr(),
                    &mut written,
                )
            };
            Fault::check(rv, Function::WrapKey)
        })?;
        checked(written, wrapped.len(), Function::WrapKey)
    }
}

/// The attributes of a session object whose value can be read and wrapped.
struct ReadableSecret {
    class: ck::CK_OBJECT_CLASS,
    kind: ck::CK_KEY_TYPE,
    token: ck::CK_BBOOL,
    sensitive: ck::CK_BBOOL,
    extractable: ck::CK_BBOOL,
}

impl ReadableSecret {
    const fn new() -> Self {
        Self {
            class: ck::CKO_SECRET_KEY,
            kind: ck::CKK_GENERIC_SECRET,
            token: ck::CK_FALSE,
            sensitive: ck::CK_FALSE,
            extractable: ck::CK_TRUE,
        }
    }

    /// The template; it points into `self`.
    fn template(&mut self) -> [ck::CK_ATTRIBUTE; 5] {
        [
            attribute(ck::CKA_CLASS, &mut self.class),
            attribute(ck::CKA_KEY_TYPE, &mut self.kind),
            attribute(ck::CKA_TOKEN, &mut self.token),
            attribute(ck::CKA_SENSITIVE, &mut self.sensitive),
            attribute(ck::CKA_EXTRACTABLE, &mut self.extractable),
        ]
    }
}

fn with_cipher<T>(cipher: Cipher<'_>, call: impl FnOnce(ck::CK_MECHANISM_PTR) -> T) -> T {
    let Cipher::Gcm { iv, aad } = cipher else {
        let mut mechanism = ck::CK_MECHANISM {
            mechanism: ck::CKM_AES_KEY_WRAP,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        return call(&mut mechanism);
    };
    // A copy: the interface does not promise that the module leaves it alone.
    let mut iv = *iv;
    let mut params = ck::CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: len(&iv),
        ulIvBits: 8 * len(&iv),
        pAAD: if aad.is_empty() { ptr::null_mut() } else { aad.as_ptr().cast_mut() },
        ulAADLen: len(aad),
        ulTagBits: 8 * GCM_TAG_LEN as ck::CK_ULONG,
    };
    let mut mechanism = ck::CK_MECHANISM {
        mechanism: ck::CKM_AES_GCM,
        pParameter: ptr::from_mut(&mut params).cast(),
        ulParameterLen: size_of::<ck::CK_GCM_PARAMS>() as ck::CK_ULONG,
    };
    call(&mut mechanism)
}

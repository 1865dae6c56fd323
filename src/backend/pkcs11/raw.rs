//! The calls of the hot path, made without the binding's length queries: with the PIN's
//! descriptor the one place of this crate with `unsafe`.
//!
//! What each block relies on, beside what its comment says: the function list was read from the file
//! of the module that the binding has initialized, `_library` keeps it loaded for as long as the
//! list lives, and a `&Session` can be used by one thread only (the type is not `Sync`), as PKCS#11
//! asks. A list may belong to an instance of its own, which nobody has initialized: every function
//! of it answers CKR_CRYPTOKI_NOT_INITIALIZED, as the standard has it, so that asking is sound;
//! [`Calls::same_instance`] tells it apart before anything but a slot or a session is asked about.

use std::path::Path;
use std::ptr;

use cryptoki::context::Function;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use cryptoki_sys as ck;

use super::fault::Fault;
use super::mechanism::{Mech, NativeParams};

mod secret;

/// The function list of a module.
pub(super) struct Calls {
    list: ck::CK_FUNCTION_LIST,
    _library: ck::Pkcs11,
}

impl Calls {
    /// Reads the function list of a module that the binding has loaded already.
    pub(super) fn load(path: &Path) -> Option<Self> {
        // SAFETY: the binding loaded the same file a moment ago, so that its constructors have run
        // and the loader only counts one more use.
        let library = unsafe { ck::Pkcs11::new(path) }.ok()?;
        if library.C_GetFunctionList.is_err() {
            return None;
        }
        let mut list: ck::CK_FUNCTION_LIST_PTR = ptr::null_mut();
        // SAFETY: the symbol exists; `list` is a valid place for the pointer.
        let rv = unsafe { library.C_GetFunctionList(&mut list) };
        if rv != ck::CKR_OK || list.is_null() {
            return None;
        }
        // SAFETY: PKCS#11 promises a list that is valid as long as the module is loaded; every
        // version of the structure starts with the members of 2.40. It is copied.
        let list = unsafe { ptr::read_unaligned(list) };
        Some(Self { list, _library: library })
    }

    /// Returns whether this list belongs to the instance that opened `session`: some modules make
    /// a new instance for each C_GetFunctionList.
    pub(super) fn same_instance(&self, session: &Session, slot: Slot) -> bool {
        self.session_info(session).is_ok_and(|info| info.slotID == ck::CK_SLOT_ID::from(slot))
    }

    /// C_GetSessionInfo.
    pub(super) fn session_info(&self, session: &Session) -> Result<ck::CK_SESSION_INFO, Fault> {
        let call = self.list.C_GetSessionInfo.ok_or(Fault::missing(Function::GetSessionInfo))?;
        let mut info = ck::CK_SESSION_INFO::default();
        // SAFETY: `info` is a valid place for the structure; a wrong handle is an error code.
        let rv = unsafe { call(session.handle(), &mut info) };
        Fault::check(rv, Function::GetSessionInfo).map(|()| info)
    }

    /// C_GetTokenInfo. The binding's own fails on tokens whose clock is not made of digits.
    pub(super) fn token_info(&self, slot: Slot) -> Result<ck::CK_TOKEN_INFO, Fault> {
        let call = self.list.C_GetTokenInfo.ok_or(Fault::missing(Function::GetTokenInfo))?;
        let mut info = ck::CK_TOKEN_INFO::default();
        // SAFETY: `info` is a valid place for the structure; a wrong slot is an error code.
        let rv = unsafe { call(slot.into(), &mut info) };
        Fault::check(rv, Function::GetTokenInfo).map(|()| info)
    }

    /// C_GenerateRandom.
    pub(super) fn random(&self, session: &Session, bytes: &mut [u8]) -> Result<(), Fault> {
        let call = self.list.C_GenerateRandom.ok_or(Fault::missing(Function::GenerateRandom))?;
        // SAFETY: the pointer and the length are those of one slice that nobody else holds.
        let rv = unsafe { call(session.handle(), bytes.as_mut_ptr(), len(bytes)) };
        Fault::check(rv, Function::GenerateRandom)
    }

    /// C_DecryptInit.
    pub(super) fn decrypt_init(
        &self,
        session: &Session,
        mech: Mech,
        key: ObjectHandle,
    ) -> Result<(), Fault> {
        let call = self.list.C_DecryptInit.ok_or(Fault::missing(Function::DecryptInit))?;
        with_mechanism(mech, |mechanism| {
            // SAFETY: `mechanism` and its parameters live until the call has returned.
            let rv = unsafe { call(session.handle(), mechanism, key.handle()) };
            Fault::check(rv, Function::DecryptInit)
        })
    }

    /// C_Decrypt, once, into `plain`, which has room for any answer; returns how much was written.
    pub(super) fn decrypt(
        &self,
        session: &Session,
        cipher: &[u8],
        plain: &mut [u8],
    ) -> Result<usize, Fault> {
        let call = self.list.C_Decrypt.ok_or(Fault::missing(Function::Decrypt))?;
        let mut written = len(plain);
        // SAFETY: both pairs of pointer and length are those of a slice; the module only reads the
        // first (the interface has no const) and writes at most `written` bytes to the second.
        let rv = unsafe {
            call(
                session.handle(),
                cipher.as_ptr().cast_mut(),
                len(cipher),
                plain.as_mut_ptr(),
                &mut written,
            )
        };
        Fault::check(rv, Function::Decrypt)?;
        checked(written, plain.len(), Function::Decrypt)
    }

    /// C_SignInit.
    pub(super) fn sign_init(
        &self,
        session: &Session,
        mech: Mech,
        key: ObjectHandle,
    ) -> Result<(), Fault> {
        let call = self.list.C_SignInit.ok_or(Fault::missing(Function::SignInit))?;
        with_mechanism(mech, |mechanism| {
            // SAFETY: `mechanism` and its parameters live until the call has returned.
            let rv = unsafe { call(session.handle(), mechanism, key.handle()) };
            Fault::check(rv, Function::SignInit)
        })
    }

    /// C_Sign, once, into `signature`; returns how much was written.
    pub(super) fn sign(
        &self,
        session: &Session,
        data: &[u8],
        signature: &mut [u8],
    ) -> Result<usize, Fault> {
        let call = self.list.C_Sign.ok_or(Fault::missing(Function::Sign))?;
        let mut written = len(signature);
        // SAFETY: as in `decrypt`.
        let rv = unsafe {
            call(
                session.handle(),
                data.as_ptr().cast_mut(),
                len(data),
                signature.as_mut_ptr(),
                &mut written,
            )
        };
        Fault::check(rv, Function::Sign)?;
        checked(written, signature.len(), Function::Sign)
    }

    /// C_SignUpdate.
    pub(super) fn sign_update(&self, session: &Session, part: &[u8]) -> Result<(), Fault> {
        let call = self.list.C_SignUpdate.ok_or(Fault::missing(Function::SignUpdate))?;
        // SAFETY: pointer and length are those of one slice, which the module only reads.
        let rv = unsafe { call(session.handle(), part.as_ptr().cast_mut(), len(part)) };
        Fault::check(rv, Function::SignUpdate)
    }

    /// C_SignFinal, once, into `signature`; returns how much was written.
    pub(super) fn sign_final(
        &self,
        session: &Session,
        signature: &mut [u8],
    ) -> Result<usize, Fault> {
        let call = self.list.C_SignFinal.ok_or(Fault::missing(Function::SignFinal))?;
        let mut written = len(signature);
        // SAFETY: pointer and length are those of one slice; the module writes at most that length.
        let rv = unsafe { call(session.handle(), signature.as_mut_ptr(), &mut written) };
        Fault::check(rv, Function::SignFinal)?;
        checked(written, signature.len(), Function::SignFinal)
    }

    /// C_DeriveKey with CKM_ECDH1_DERIVE and CKD_NULL: a session object of `z_len` bytes that can
    /// be read.
    pub(super) fn derive(
        &self,
        session: &Session,
        key: ObjectHandle,
        point: &[u8],
        z_len: usize,
    ) -> Result<ObjectHandle, Fault> {
        let call = self.list.C_DeriveKey.ok_or(Fault::missing(Function::DeriveKey))?;
        let mut params = ck::CK_ECDH1_DERIVE_PARAMS {
            kdf: ck::CKD_NULL,
            ulSharedDataLen: 0,
            pSharedData: ptr::null_mut(),
            ulPublicDataLen: len(point),
            pPublicData: point.as_ptr().cast_mut(),
        };
        let mut mechanism = ck::CK_MECHANISM {
            mechanism: ck::CKM_ECDH1_DERIVE,
            pParameter: ptr::from_mut(&mut params).cast(),
            ulParameterLen: size_of::<ck::CK_ECDH1_DERIVE_PARAMS>() as ck::CK_ULONG,
        };
        let (mut class, mut kind) = (ck::CKO_SECRET_KEY, ck::CKK_GENERIC_SECRET);
        let (mut yes, mut no) = (ck::CK_TRUE, ck::CK_FALSE);
        let (mut also_no, mut value_len) = (ck::CK_FALSE, z_len as ck::CK_ULONG);
        let mut template = [
            attribute(ck::CKA_CLASS, &mut class),
            attribute(ck::CKA_KEY_TYPE, &mut kind),
            attribute(ck::CKA_TOKEN, &mut no),
            attribute(ck::CKA_SENSITIVE, &mut also_no),
            attribute(ck::CKA_EXTRACTABLE, &mut yes),
            attribute(ck::CKA_VALUE_LEN, &mut value_len),
        ];
        let mut handle = 0;
        // SAFETY: the mechanism, its parameters, the point, the template and what it points to all
        // live until the call has returned; the module only reads them. `handle` is its place.
        let rv = unsafe {
            call(
                session.handle(),
                &mut mechanism,
                key.handle(),
                template.as_mut_ptr(),
                template.len() as ck::CK_ULONG,
                &mut handle,
            )
        };
        Fault::check(rv, Function::DeriveKey).map(|()| object(handle))
    }

    /// C_GetAttributeValue of CKA_VALUE into `value`; returns how much was written.
    pub(super) fn value(
        &self,
        session: &Session,
        object: ObjectHandle,
        value: &mut [u8],
    ) -> Result<usize, Fault> {
        let call =
            self.list.C_GetAttributeValue.ok_or(Fault::missing(Function::GetAttributeValue))?;
        let mut wanted = ck::CK_ATTRIBUTE {
            type_: ck::CKA_VALUE,
            pValue: value.as_mut_ptr().cast(),
            ulValueLen: len(value),
        };
        // SAFETY: the attribute's pointer and length are those of a slice that nobody else holds,
        // and the module writes at most that length.
        let rv = unsafe { call(session.handle(), object.handle(), &mut wanted, 1) };
        Fault::check(rv, Function::GetAttributeValue)?;
        checked(wanted.ulValueLen, value.len(), Function::GetAttributeValue)
    }

    /// C_DestroyObject.
    pub(super) fn destroy(&self, session: &Session, object: ObjectHandle) -> Result<(), Fault> {
        let call = self.list.C_DestroyObject.ok_or(Fault::missing(Function::DestroyObject))?;
        // SAFETY: both arguments are numbers; a wrong one is an error code.
        let rv = unsafe { call(session.handle(), object.handle()) };
        Fault::check(rv, Function::DestroyObject)
    }
}

/// Makes an object handle of a number that a module gave earlier.
pub(super) fn object(handle: ck::CK_OBJECT_HANDLE) -> ObjectHandle {
    // SAFETY: the number is only ever given back to a module, and every module checks it: a wrong
    // one is CKR_OBJECT_HANDLE_INVALID.
    unsafe { ObjectHandle::new_from_raw(handle) }
}

/// Returns the handle that no object has (CK_INVALID_HANDLE).
pub(super) fn no_object() -> ObjectHandle {
    object(ck::CK_INVALID_HANDLE)
}

fn with_mechanism<T>(mech: Mech, call: impl FnOnce(ck::CK_MECHANISM_PTR) -> T) -> T {
    let (kind, mut params) = mech.native();
    let (pointer, size) = match &mut params {
        NativeParams::None => (ptr::null_mut(), 0),
        NativeParams::Oaep(params) => (ptr::from_mut(params).cast(), size_of_val(params)),
        NativeParams::Pss(params) => (ptr::from_mut(params).cast(), size_of_val(params)),
    };
    let mut mechanism = ck::CK_MECHANISM {
        mechanism: kind,
        pParameter: pointer,
        ulParameterLen: size as ck::CK_ULONG,
    };
    call(&mut mechanism)
}

fn attribute<T>(kind: ck::CK_ATTRIBUTE_TYPE, value: &mut T) -> ck::CK_ATTRIBUTE {
    ck::CK_ATTRIBUTE {
        type_: kind,
        pValue: ptr::from_mut(value).cast(),
        ulValueLen: size_of::<T>() as ck::CK_ULONG,
    }
}

fn len(bytes: &[u8]) -> ck::CK_ULONG {
    bytes.len() as ck::CK_ULONG
}

/// A module that says it wrote more than there was room for has not told the truth.
fn checked(written: ck::CK_ULONG, room: usize, function: Function) -> Result<usize, Fault> {
    let written = written as usize;
    (written <= room).then_some(written).ok_or(Fault::nonsense(function, "more bytes than room"))
}

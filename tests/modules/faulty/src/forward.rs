//! The function list: each entry asks [`control`] what to do and then calls the real module.

#![allow(non_snake_case, reason = "the names are the standard's")]

use std::ffi::c_void;

use cryptoki_sys::{CK_ATTRIBUTE, CK_BBOOL, CK_BYTE, CK_FLAGS, CK_FUNCTION_LIST, CK_INFO};
use cryptoki_sys::{CK_MECHANISM, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_NOTIFY};
use cryptoki_sys::{CK_OBJECT_HANDLE as Object, CK_RV, CK_SESSION_HANDLE as Session};
use cryptoki_sys::{CK_SESSION_INFO, CK_SLOT_ID as Slot, CK_SLOT_INFO, CK_TOKEN_INFO};
use cryptoki_sys::{CK_ULONG as Len, CK_USER_TYPE, CK_VERSION, CKR_FUNCTION_NOT_SUPPORTED};

use crate::{control, lies};

type Bytes = *mut CK_BYTE;
type Mechanism = *mut CK_MECHANISM;
type Template = *mut CK_ATTRIBUTE;

/// Makes one function per line and the list of them all. `then` changes what the real module
/// answered.
macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) $(then $lie:expr)?;)+) => {
        $(
            unsafe extern "C" fn $name($($arg: $type),*) -> CK_RV {
                control::call(stringify!($name), || {
                    let Some(function) = crate::real().$name else {
                        return CKR_FUNCTION_NOT_SUPPORTED;
                    };
                    // SAFETY: the caller's own arguments, to the function it meant to call.
                    let rv = unsafe { function($($arg),*) };
                    $(
                        // SAFETY: the real module was given the same pointers and has returned.
                        let rv = unsafe { $lie(rv) };
                    )?
                    rv
                })
            }
        )+

        pub(crate) static LIST: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            C_GetFunctionList: Some(crate::C_GetFunctionList),
            $($name: Some($name),)+
        };

        /// The names a control file can say.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

forward! {
    C_Initialize(a: *mut c_void);
    C_Finalize(a: *mut c_void);
    C_GetInfo(a: *mut CK_INFO) then |rv| lies::module(rv, a);
    C_GetSlotList(a: CK_BBOOL, b: *mut Slot, c: *mut Len);
    C_GetSlotInfo(a: Slot, b: *mut CK_SLOT_INFO);
    C_GetTokenInfo(a: Slot, b: *mut CK_TOKEN_INFO) then |rv| lies::token(rv, b);
    C_GetMechanismList(a: Slot, b: *mut CK_MECHANISM_TYPE, c: *mut Len);
    C_GetMechanismInfo(a: Slot, b: CK_MECHANISM_TYPE, c: *mut CK_MECHANISM_INFO);
    C_InitToken(a: Slot, b: Bytes, c: Len, d: Bytes);
    C_InitPIN(a: Session, b: Bytes, c: Len);
    C_SetPIN(a: Session, b: Bytes, c: Len, d: Bytes, e: Len);
    C_OpenSession(a: Slot, b: CK_FLAGS, c: *mut c_void, d: CK_NOTIFY, e: *mut Session);
    C_CloseSession(a: Session);
    C_CloseAllSessions(a: Slot);
    C_GetSessionInfo(a: Session, b: *mut CK_SESSION_INFO);
    C_GetOperationState(a: Session, b: Bytes, c: *mut Len);
    C_SetOperationState(a: Session, b: Bytes, c: Len, d: Object, e: Object);
    C_Login(a: Session, b: CK_USER_TYPE, c: Bytes, d: Len);
    C_Logout(a: Session);
    C_CreateObject(a: Session, b: Template, c: Len, d: *mut Object);
    C_CopyObject(a: Session, b: Object, c: Template, d: Len, e: *mut Object);
    C_DestroyObject(a: Session, b: Object);
    C_GetObjectSize(a: Session, b: Object, c: *mut Len);
    C_GetAttributeValue(a: Session, b: Object, c: Template, d: Len) then |rv| lies::attributes(rv, c, d);
    C_SetAttributeValue(a: Session, b: Object, c: Template, d: Len);
    C_FindObjectsInit(a: Session, b: Template, c: Len);
    C_FindObjects(a: Session, b: *mut Object, c: Len, d: *mut Len);
    C_FindObjectsFinal(a: Session);
    C_EncryptInit(a: Session, b: Mechanism, c: Object);
    C_Encrypt(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_EncryptUpdate(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_EncryptFinal(a: Session, b: Bytes, c: *mut Len);
    C_DecryptInit(a: Session, b: Mechanism, c: Object);
    C_Decrypt(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_DecryptUpdate(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_DecryptFinal(a: Session, b: Bytes, c: *mut Len);
    C_DigestInit(a: Session, b: Mechanism);
    C_Digest(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_DigestUpdate(a: Session, b: Bytes, c: Len);
    C_DigestKey(a: Session, b: Object);
    C_DigestFinal(a: Session, b: Bytes, c: *mut Len);
    C_SignInit(a: Session, b: Mechanism, c: Object);
    C_Sign(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_SignUpdate(a: Session, b: Bytes, c: Len);
    C_SignFinal(a: Session, b: Bytes, c: *mut Len);
    C_SignRecoverInit(a: Session, b: Mechanism, c: Object);
    C_SignRecover(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_VerifyInit(a: Session, b: Mechanism, c: Object);
    C_Verify(a: Session, b: Bytes, c: Len, d: Bytes, e: Len);
    C_VerifyUpdate(a: Session, b: Bytes, c: Len);
    C_VerifyFinal(a: Session, b: Bytes, c: Len);
    C_VerifyRecoverInit(a: Session, b: Mechanism, c: Object);
    C_VerifyRecover(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_DigestEncryptUpdate(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_DecryptDigestUpdate(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_SignEncryptUpdate(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_DecryptVerifyUpdate(a: Session, b: Bytes, c: Len, d: Bytes, e: *mut Len);
    C_GenerateKey(a: Session, b: Mechanism, c: Template, d: Len, e: *mut Object);
    C_GenerateKeyPair(a: Session, b: Mechanism, c: Template, d: Len, e: Template, f: Len, g: *mut Object, h: *mut Object);
    C_WrapKey(a: Session, b: Mechanism, c: Object, d: Object, e: Bytes, f: *mut Len);
    C_UnwrapKey(a: Session, b: Mechanism, c: Object, d: Bytes, e: Len, f: Template, g: Len, h: *mut Object);
    C_DeriveKey(a: Session, b: Mechanism, c: Object, d: Template, e: Len, f: *mut Object);
    C_SeedRandom(a: Session, b: Bytes, c: Len);
    C_GenerateRandom(a: Session, b: Bytes, c: Len);
    C_GetFunctionStatus(a: Session);
    C_CancelFunction(a: Session);
    C_WaitForSlotEvent(a: CK_FLAGS, b: *mut Slot, c: *mut c_void);
}

//! What the real module answered, changed as the control file says.

use cryptoki_sys::{CK_ATTRIBUTE, CK_INFO, CK_RV, CK_TOKEN_INFO, CK_ULONG};
use cryptoki_sys::{CK_UNAVAILABLE_INFORMATION, CKR_ATTRIBUTE_TYPE_INVALID, CKR_OK};

use crate::control;

/// Changes attribute values; a value that is longer than the caller's room is left alone.
///
/// # Safety
/// `template` is what the real module was given, with `count` entries.
pub(crate) unsafe fn attributes(rv: CK_RV, template: *mut CK_ATTRIBUTE, count: CK_ULONG) -> CK_RV {
    if template.is_null() || (rv != CKR_OK && rv != CKR_ATTRIBUTE_TYPE_INVALID) {
        return rv;
    }
    // SAFETY: by the contract above.
    let entries = unsafe { std::slice::from_raw_parts_mut(template, count as usize) };
    control::with(|control| {
        let mut rv = rv;
        for entry in entries {
            let told = control.attributes.iter().find(|(kind, _)| *kind == entry.type_);
            let absent = entry.ulValueLen == CK_UNAVAILABLE_INFORMATION;
            match told {
                None => {}
                Some((_, None)) => {
                    entry.ulValueLen = CK_UNAVAILABLE_INFORMATION;
                    rv = CKR_ATTRIBUTE_TYPE_INVALID;
                }
                Some(_) if absent => {}
                Some((_, Some(value))) if entry.pValue.is_null() => {
                    entry.ulValueLen = value.len() as CK_ULONG;
                }
                Some((_, Some(value))) if value.len() <= entry.ulValueLen as usize => {
                    // SAFETY: the real module has just written `ulValueLen` bytes there.
                    unsafe {
                        std::ptr::copy_nonoverlapping(
                            value.as_ptr(),
                            entry.pValue.cast(),
                            value.len(),
                        );
                    }
                    entry.ulValueLen = value.len() as CK_ULONG;
                }
                Some(_) => {}
            }
        }
        rv
    })
}

/// Changes who made the module.
///
/// # Safety
/// `info` is what the real module was given.
pub(crate) unsafe fn module(rv: CK_RV, info: *mut CK_INFO) -> CK_RV {
    // SAFETY: by the contract above; filled in after CKR_OK.
    if let (CKR_OK, Some(info)) = (rv, unsafe { info.as_mut() }) {
        control::with(|control| {
            replace(&mut info.manufacturerID, control.manufacturer.as_deref());
            replace(&mut info.libraryDescription, control.model.as_deref());
        });
    }
    rv
}

/// Changes who made the token, and its model.
///
/// # Safety
/// `info` is what the real module was given.
pub(crate) unsafe fn token(rv: CK_RV, info: *mut CK_TOKEN_INFO) -> CK_RV {
    // SAFETY: by the contract above; filled in after CKR_OK.
    if let (CKR_OK, Some(info)) = (rv, unsafe { info.as_mut() }) {
        control::with(|control| {
            replace(&mut info.manufacturerID, control.manufacturer.as_deref());
            replace(&mut info.model, control.model.as_deref());
        });
    }
    rv
}

/// Fills a field padded with blanks, as the standard has it.
fn replace(field: &mut [u8], text: Option<&str>) {
    if let Some(text) = text {
        field.fill(b' ');
        field.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    }
}

//! A PKCS#11 module that stands before a real one.
//!
//! It forwards every call, writes the name of the call to a log, and fails, waits or lies when a
//! control file tells it to. README.md beside this package has the format. For tests only.

use std::sync::OnceLock;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR, CK_RV, CKR_OK};
use cryptoki_sys::{CKR_ARGUMENTS_BAD, CKR_GENERAL_ERROR};

mod control;
mod forward;
mod lies;
mod names;

/// The functions of the module behind this one.
struct Real(&'static CK_FUNCTION_LIST);

// SAFETY: the list is a constant table of function pointers, and PKCS#11 lets every thread call
// them; whether they lock is agreed between the caller and the real module in C_Initialize.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

static REAL: OnceLock<Result<Real, String>> = OnceLock::new();

/// The one exported function (PKCS#11 v2.40 section 5.4).
///
/// # Safety
/// `list` is null or points to room for a pointer.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the name is the standard's")]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    if let Err(message) = REAL.get_or_init(load) {
        eprintln!("hsm-jose-faulty: {message}");
        return CKR_GENERAL_ERROR;
    }
    // SAFETY: not null, and the caller answers for the rest. The table is only ever read.
    unsafe { *list = (&raw const forward::LIST).cast_mut() };
    CKR_OK
}

/// Answers the real module's functions. Only called by way of our list, so after [`load`].
fn real() -> &'static CK_FUNCTION_LIST {
    match REAL.get() {
        Some(Ok(real)) => real.0,
        _ => unreachable!("a function of the list was called before the list was handed out"),
    }
}

fn load() -> Result<Real, String> {
    const MODULE: &str = "HSM_JOSE_FAULTY_MODULE";
    let path = std::env::var_os(MODULE).ok_or_else(|| format!("{MODULE} is not set"))?;
    // SAFETY: running the initializers of the module named by the tests is what this is for.
    let library = unsafe { libloading::Library::new(&path) }.map_err(|error| error.to_string())?;
    // Never unloaded: PKCS#11 modules do not expect it while the process lives.
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: the symbol's type is fixed by the standard.
    let get_list = unsafe {
        library
            .get::<unsafe extern "C" fn(CK_FUNCTION_LIST_PTR_PTR) -> CK_RV>(b"C_GetFunctionList\0")
    }
    .map_err(|error| error.to_string())?;
    let mut list = std::ptr::null_mut();
    // SAFETY: `list` has room for the one pointer.
    match unsafe { get_list(&raw mut list) } {
        // SAFETY: after CKR_OK the pointer, if any, is to a table as long-lived as the module.
        CKR_OK => unsafe { list.as_ref() }.map(Real).ok_or_else(|| "no function list".to_owned()),
        rv => Err(format!("C_GetFunctionList of the real module answered {rv:#x}")),
    }
}

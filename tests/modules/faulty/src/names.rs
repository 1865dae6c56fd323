//! The standard's names, as they stand in a control file; any code or attribute may also be given
//! as a number, `0x...`.

use cryptoki_sys::*;

macro_rules! table {
    ($text:expr, $($name:ident),+ $(,)?) => {
        match $text {
            $(stringify!($name) => Ok($name),)+
            text => text
                .strip_prefix("0x")
                .and_then(|digits| CK_ULONG::from_str_radix(digits, 16).ok())
                .ok_or_else(|| format!("{text:?} is neither a name known here nor 0x...")),
        }
    };
}

/// Reads a `CKR_` code.
pub(crate) fn code(text: &str) -> Result<CK_RV, String> {
    table!(
        text,
        CKR_OK,
        CKR_ACTION_PROHIBITED,
        CKR_ARGUMENTS_BAD,
        CKR_ATTRIBUTE_TYPE_INVALID,
        CKR_BUFFER_TOO_SMALL,
        CKR_CRYPTOKI_NOT_INITIALIZED,
        CKR_DATA_INVALID,
        CKR_DATA_LEN_RANGE,
        CKR_DEVICE_ERROR,
        CKR_DEVICE_MEMORY,
        CKR_DEVICE_REMOVED,
        CKR_ENCRYPTED_DATA_INVALID,
        CKR_ENCRYPTED_DATA_LEN_RANGE,
        CKR_FUNCTION_CANCELED,
        CKR_FUNCTION_FAILED,
        CKR_FUNCTION_NOT_SUPPORTED,
        CKR_GENERAL_ERROR,
        CKR_HOST_MEMORY,
        CKR_KEY_FUNCTION_NOT_PERMITTED,
        CKR_KEY_HANDLE_INVALID,
        CKR_KEY_SIZE_RANGE,
        CKR_KEY_TYPE_INCONSISTENT,
        CKR_MECHANISM_INVALID,
        CKR_MECHANISM_PARAM_INVALID,
        CKR_OBJECT_HANDLE_INVALID,
        CKR_OPERATION_ACTIVE,
        CKR_OPERATION_NOT_INITIALIZED,
        CKR_PIN_INCORRECT,
        CKR_PIN_LOCKED,
        CKR_SESSION_CLOSED,
        CKR_SESSION_COUNT,
        CKR_SESSION_HANDLE_INVALID,
        CKR_SESSION_READ_ONLY,
        CKR_SLOT_ID_INVALID,
        CKR_TEMPLATE_INCONSISTENT,
        CKR_TOKEN_NOT_PRESENT,
        CKR_TOKEN_NOT_RECOGNIZED,
        CKR_USER_ALREADY_LOGGED_IN,
        CKR_USER_NOT_LOGGED_IN,
        CKR_USER_PIN_NOT_INITIALIZED,
        CKR_WRAPPED_KEY_INVALID,
    )
}

/// Reads a `CKA_` type.
pub(crate) fn attribute(text: &str) -> Result<CK_ATTRIBUTE_TYPE, String> {
    table!(
        text,
        CKA_ALLOWED_MECHANISMS,
        CKA_ALWAYS_AUTHENTICATE,
        CKA_ALWAYS_SENSITIVE,
        CKA_CLASS,
        CKA_COPYABLE,
        CKA_DECRYPT,
        CKA_DERIVE,
        CKA_EC_PARAMS,
        CKA_EC_POINT,
        CKA_EXTRACTABLE,
        CKA_ID,
        CKA_KEY_GEN_MECHANISM,
        CKA_KEY_TYPE,
        CKA_LABEL,
        CKA_LOCAL,
        CKA_MODIFIABLE,
        CKA_MODULUS,
        CKA_NEVER_EXTRACTABLE,
        CKA_PRIVATE,
        CKA_PUBLIC_EXPONENT,
        CKA_SENSITIVE,
        CKA_SIGN,
        CKA_SIGN_RECOVER,
        CKA_TOKEN,
        CKA_UNWRAP,
        CKA_WRAP_WITH_TRUSTED,
    )
}

/// Reads a function's name, so that a slip of the pen is not silence.
pub(crate) fn function(text: &str) -> Result<String, String> {
    match crate::forward::NAMES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not a function of PKCS#11 v2.40")),
    }
}

/// Reads pairs of hexadecimal digits.
pub(crate) fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            Ok(digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
        }
        _ => Err(format!("{text:?} is not hexadecimal")),
    }
}

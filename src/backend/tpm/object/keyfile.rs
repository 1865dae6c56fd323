//! TSS2 PRIVATE KEY: the PEM form in which a wrapped key lies in a file.
//!
//! ```text
//! TPMKey ::= SEQUENCE {
//!     type        OBJECT IDENTIFIER,            -- 2.23.133.10.1.3: to be loaded under its parent
//!     emptyAuth   [0] EXPLICIT BOOLEAN OPTIONAL,
//!     policy      [1] EXPLICIT ... OPTIONAL,  secret [2] ... OPTIONAL,  authPolicy [3] ... OPTIONAL,
//!     parent      INTEGER,                      -- a handle; 0x40000001 is the primary key of the owner
//!     pubkey      OCTET STRING,                 -- TPM2B_PUBLIC
//!     privkey     OCTET STRING }                -- TPM2B_PRIVATE
//! ```

use pkcs8::der::pem::{self, LineEnding};
use tss_esapi::structures::{Private, Public};
use tss_esapi::traits::{Marshall, UnMarshall};

use super::template::OWNER;

const LABEL: &str = "TSS2 PRIVATE KEY";

/// 2.23.133.10.1.3, id-loadablekey.
const LOADABLE: [u8; 6] = [0x67, 0x81, 0x05, 0x0a, 0x01, 0x03];

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// [0], [1], ... EXPLICIT.
const CONTEXT: u8 = 0xa0;

/// The largest key file that is read, in bytes: RSA keys of 4096 bits have under 3000.
pub(in crate::backend::tpm) const MAX_FILE: u64 = 64 * 1024;

/// A key as it lies in a file: wrapped by its parent.
pub(in crate::backend::tpm) struct KeyFile {
    /// The parent: the primary key of the owner hierarchy, or a persistent handle.
    pub(in crate::backend::tpm) parent: u32,
    /// The key's authorization value is empty.
    pub(in crate::backend::tpm) empty_auth: bool,
    pub(in crate::backend::tpm) public: Public,
    pub(in crate::backend::tpm) private: Private,
}

impl KeyFile {
    /// Writes the PEM text.
    ///
    /// # Errors
    /// What does not fit the form.
    pub(in crate::backend::tpm) fn encode(&self) -> Result<String, String> {
        let public = self.public.marshall().map_err(|_| "the public area cannot be written")?;
        // DER's TRUE is a byte of ones; an integer with its top bit set has a zero before it.
        // FALSE is said too: tpm2-openssl takes its absence for TRUE.
        let empty_auth = tlv(BOOLEAN, &[if self.empty_auth { 0xff } else { 0 }]);
        let parent = self.parent.to_be_bytes();
        let sign: &[u8] = if parent[0] & 0x80 == 0 { &[] } else { &[0] };
        let body = [
            tlv(OBJECT_IDENTIFIER, &LOADABLE),
            tlv(CONTEXT, &empty_auth),
            tlv(INTEGER, &[sign, &parent].concat()),
            tlv(OCTET_STRING, &prefixed(&public)?),
            tlv(OCTET_STRING, &prefixed(self.private.value())?),
        ];
        pem::encode_string(LABEL, LineEnding::LF, &tlv(SEQUENCE, &body.concat()))
            .map_err(|error| error.to_string())
    }

    /// Reads the PEM text.
    ///
    /// # Errors
    /// What is wrong with it, in words for an operator.
    pub(in crate::backend::tpm) fn decode(text: &[u8]) -> Result<Self, String> {
        let (label, der) =
            pem::decode_vec(text).map_err(|error| format!("not a whole PEM text ({error})"))?;
        if label != LABEL {
            return Err(format!("PEM of {label:?}, expected {LABEL:?}"));
        }
        let file = Self::from_der(&der).ok_or_else(|| format!("not a {LABEL} to be loaded"))?;
        let parent = file.parent;
        if parent != OWNER && parent >> 24 != 0x81 {
            return Err(format!(
                "its parent is 0x{parent:08x}, expected 0x{OWNER:08x} or a persistent handle"
            ));
        }
        Ok(file)
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let (SEQUENCE, mut body, []) = take(der)? else { return None };
        let mut next = |tag: u8| {
            let (found, value, rest) = take(body)?;
            (found == tag).then(|| body = rest).map(|()| value)
        };
        if next(OBJECT_IDENTIFIER)? != LOADABLE {
            return None;
        }
        // tpm2-openssl writes TRUE as 01, which BER allows and DER does not.
        let empty_auth =
            next(CONTEXT).is_some_and(|flag| matches!(flag, [BOOLEAN, 1, value] if *value != 0));
        // A policy, a secret, or an INTEGER of another length: refused, none of them is passed over.
        let parent = match next(INTEGER)? {
            [0, parent @ ..] | parent => u32::from_be_bytes(parent.try_into().ok()?),
        };
        let public = Public::unmarshall(unprefixed(next(OCTET_STRING)?)?).ok()?;
        let private = Private::try_from(unprefixed(next(OCTET_STRING)?)?).ok()?;
        body.is_empty().then_some(Self { parent, empty_auth, public, private })
    }
}

/// Writes one DER element.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len();
    let mut element = vec![tag];
    match len {
        0..=0x7f => element.push(len as u8),
        0x80..=0xff => element.extend([0x81, len as u8]),
        _ => element.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    element.extend_from_slice(value);
    element
}

/// Takes one DER element of under 64 KiB: its tag, its value, and what follows.
fn take(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (len, rest) = match der {
        [_, len @ 0..=0x7f, rest @ ..] => (usize::from(*len), rest),
        [_, 0x81, len, rest @ ..] => (usize::from(*len), rest),
        [_, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((der[0], value, rest))
}

/// Puts the length before, as a TPM2B has it.
fn prefixed(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let len = u16::try_from(bytes.len()).map_err(|_| "the key is too long".to_owned())?;
    Ok([&len.to_be_bytes(), bytes].concat())
}

fn unprefixed(bytes: &[u8]) -> Option<&[u8]> {
    let (len, bytes) = bytes.split_first_chunk::<2>()?;
    (usize::from(u16::from_be_bytes(*len)) == bytes.len()).then_some(bytes)
}

//! TSS2 PRIVATE KEY: the PEM form in which a key that a TPM has wrapped lies in a file, here and with
//! tpm2-openssl and the Linux kernel. Read without a TPM, and without its C libraries.
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

use crate::jose::json::quotable;

/// TPM_RH_OWNER: as the parent in a key file, the primary key of the owner hierarchy.
pub const OWNER: u32 = 0x4000_0001;

/// The largest key file that is read, in bytes: RSA keys of 4096 bits have under 3000.
pub const MAX_FILE: u64 = 64 * 1024;

const LABEL: &str = "TSS2 PRIVATE KEY";

/// 2.23.133.10.1.3, id-loadablekey.
const LOADABLE: [u8; 6] = [0x67, 0x81, 0x05, 0x0a, 0x01, 0x03];

/// The longest value of a DER element here, in bytes: its length has two.
const MAX_ELEMENT: usize = 0xffff;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// [0], [1], ... EXPLICIT.
const CONTEXT: u8 = 0xa0;

/// A key as it lies in a file: wrapped by its parent.
///
/// ```
/// use hsm_jose::backend::tss2::{KeyFile, OWNER};
///
/// // The areas are of the TPM that made the key, as it marshals them.
/// let file = KeyFile { parent: OWNER, empty_auth: false, public: vec![1], private: vec![2] };
/// let text = file.encode()?;
/// assert!(text.starts_with("-----BEGIN TSS2 PRIVATE KEY-----\n"));
/// assert_eq!(KeyFile::decode(text.as_bytes())?, file);
/// # Ok::<(), hsm_jose::backend::tss2::KeyFileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The parent: the primary key of the owner hierarchy, or a persistent handle.
    pub parent: u32,
    /// The key's authorization value is empty.
    pub empty_auth: bool,
    /// The public area: TPMT_PUBLIC, without the length before it.
    pub public: Vec<u8>,
    /// The private area, which only the parent's TPM can open, without the length before it.
    pub private: Vec<u8>,
}

/// Why a key file is not taken, in words for an operator.
///
/// ```
/// use hsm_jose::backend::tss2::KeyFile;
///
/// let pem = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
/// let error = KeyFile::decode(pem).unwrap_err();
/// assert_eq!(error.to_string(), r#"PEM of "PRIVATE KEY", expected "TSS2 PRIVATE KEY""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyFileError(String);

impl KeyFile {
    /// Writes the PEM text.
    ///
    /// # Errors
    /// Areas of together about 64 KiB or more, which no key has.
    pub fn encode(&self) -> Result<String, KeyFileError> {
        // DER's TRUE is a byte of ones; an integer with its top bit set has a zero before it.
        // FALSE is said too: tpm2-openssl takes its absence for TRUE.
        let empty_auth = tlv(BOOLEAN, &[if self.empty_auth { 0xff } else { 0 }]);
        let parent = self.parent.to_be_bytes();
        let sign: &[u8] = if parent[0] & 0x80 == 0 { &[] } else { &[0] };
        let body = [
            tlv(OBJECT_IDENTIFIER, &LOADABLE),
            tlv(CONTEXT, &empty_auth),
            tlv(INTEGER, &[sign, &parent].concat()),
            tlv(OCTET_STRING, &prefixed(&self.public)?),
            tlv(OCTET_STRING, &prefixed(&self.private)?),
        ];
        let body = body.concat();
        if body.len() > MAX_ELEMENT {
            return Err(too_long());
        }
        pem::encode_string(LABEL, LineEnding::LF, &tlv(SEQUENCE, &body))
            .map_err(|error| KeyFileError(error.to_string()))
    }

    /// Reads the PEM text.
    ///
    /// # Errors
    /// What is wrong with it. The areas are not looked into.
    pub fn decode(text: &[u8]) -> Result<Self, KeyFileError> {
        let (label, der) = pem::decode_vec(text)
            .map_err(|error| KeyFileError(format!("not a whole PEM text ({error})")))?;
        if label != LABEL {
            return Err(KeyFileError(format!("PEM of {:?}, expected {LABEL:?}", quotable(label))));
        }
        let file = Self::from_der(&der)
            .ok_or_else(|| KeyFileError(format!("not a {LABEL} to be loaded")))?;
        let parent = file.parent;
        if parent != OWNER && parent >> 24 != 0x81 {
            return Err(KeyFileError(format!(
                "its parent is 0x{parent:08x}, expected 0x{OWNER:08x} or a persistent handle"
            )));
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
        let public = unprefixed(next(OCTET_STRING)?)?.to_vec();
        let private = unprefixed(next(OCTET_STRING)?)?.to_vec();
        body.is_empty().then_some(Self { parent, empty_auth, public, private })
    }
}

/// Writes one DER element, of at most [`MAX_ELEMENT`].
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
fn prefixed(bytes: &[u8]) -> Result<Vec<u8>, KeyFileError> {
    let len = u16::try_from(bytes.len()).map_err(|_| too_long())?;
    Ok([&len.to_be_bytes(), bytes].concat())
}

fn too_long() -> KeyFileError {
    KeyFileError("the key is too long".to_owned())
}

fn unprefixed(bytes: &[u8]) -> Option<&[u8]> {
    let (len, bytes) = bytes.split_first_chunk::<2>()?;
    (usize::from(u16::from_be_bytes(*len)) == bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of tpm2-openssl 1.1.1: `openssl genpkey -provider tpm2 -algorithm EC -pkeyopt group:P-256`.
    const OTHERS: &str = "\
-----BEGIN TSS2 PRIVATE KEY-----
MIHwBgZngQUKAQOgAwEBAQIEQAAAAQRYAFYAIwALAAYAcgAAABAAEAADABAAIC0I
phrsSz3RiNQT9suJ6FFU7pHMb2b4BqER/Dw1wiljACCCYT6DdsVIChKJD47sbiqT
IAzTN4dEd3fTsf7Vw06zRASBgAB+ACDIFpaeizM/oSow7Zrmgzq89Nt99bUF/1f+
UZ+sPcxZAgAQcQLeUTe1nejuQvzKEyvdvl4sGG54QwNQq88p80hOOSjN2Nag5Xfn
gBPip5rQCrn9yEqDRbPrllQSYDECqUl0UwyIKjEIlyJeDj/YvY8b7xAGNC2Pk9lk
Ji7k
-----END TSS2 PRIVATE KEY-----
";

    fn der_of(parts: &[&[u8]]) -> String {
        let der = tlv(SEQUENCE, &parts.concat());
        pem::encode_string(LABEL, LineEnding::LF, &der).unwrap()
    }

    #[test]
    fn a_file_of_tpm2_openssl_is_read() {
        let file = KeyFile::decode(OTHERS.as_bytes()).unwrap();
        assert_eq!((file.parent, file.empty_auth), (OWNER, true));
        // TPM_ALG_ECC, TPM_ALG_SHA256.
        assert_eq!(file.public[..4], [0x00, 0x23, 0x00, 0x0b]);
        let written = file.encode().unwrap();
        assert_eq!(KeyFile::decode(written.as_bytes()), Ok(file));
    }

    #[test]
    fn what_is_no_loadable_key_under_a_known_parent_is_refused() {
        let kind = tlv(OBJECT_IDENTIFIER, &LOADABLE);
        let parent = tlv(INTEGER, &OWNER.to_be_bytes());
        let area = tlv(OCTET_STRING, &[0, 1, 7]);
        let good: [&[u8]; 4] = [&kind, &parent, &area, &area];
        assert!(KeyFile::decode(der_of(&good).as_bytes()).is_ok());
        // 2.23.133.10.1.5 is sealed data; [1] is a policy, [2] a secret to be imported with.
        let sealed = tlv(OBJECT_IDENTIFIER, &[0x67, 0x81, 0x05, 0x0a, 0x01, 0x05]);
        let (policy, secret) = (tlv(CONTEXT | 1, &[]), tlv(CONTEXT | 2, &[]));
        let (transient, short) = (tlv(INTEGER, &[0, 0x80, 0, 0, 1]), tlv(INTEGER, &[1]));
        let (long, lying) = (tlv(INTEGER, &[1; 5]), tlv(OCTET_STRING, &[0, 2, 7]));
        let cases: [&[&[u8]]; 9] = [
            &[&sealed, &parent, &area, &area],
            &[&kind, &policy, &parent, &area, &area],
            &[&kind, &secret, &parent, &area, &area],
            &[&kind, &transient, &area, &area],
            &[&kind, &short, &area, &area],
            &[&kind, &long, &area, &area],
            &[&kind, &parent, &lying, &area],
            &[&kind, &parent, &area],
            &[&kind, &parent, &area, &area, &area],
        ];
        for case in cases {
            assert!(KeyFile::decode(der_of(case).as_bytes()).is_err(), "{case:?}");
        }
    }

    #[test]
    fn what_would_not_be_read_again_is_not_written() {
        let file = |len| KeyFile {
            parent: OWNER,
            empty_auth: true,
            public: vec![1; len],
            private: vec![],
        };
        let most = file(MAX_ELEMENT - 30);
        assert_eq!(KeyFile::decode(most.encode().unwrap().as_bytes()), Ok(most));
        for len in [MAX_ELEMENT - 1, MAX_ELEMENT, 2 * MAX_ELEMENT] {
            assert!(file(len).encode().is_err());
        }
    }
}

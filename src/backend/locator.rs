//! Where a key is inside its keystore.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::jose::json::told;

/// Where a key is inside its keystore: what the keyring remembers to find it again.
///
/// Written as an RFC 7512 `pkcs11:` URI of `id` and `object`; other kinds of keystore have other
/// schemes. The token is the keystore's to choose and is not repeated here.
///
/// ```
/// use hsm_jose::backend::Locator;
///
/// let locator: Locator = "pkcs11:id=%01%02;object=issuer-sig".parse()?;
/// let parts = Locator::Object { id: Some(vec![1, 2]), label: Some("issuer-sig".into()) };
/// assert_eq!(locator, parts);
/// assert_eq!(parts.to_string(), "pkcs11:id=%01%02;object=issuer-sig");
/// # Ok::<(), hsm_jose::backend::LocatorError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Locator {
    /// A PKCS#11 object, by CKA_ID, CKA_LABEL or both: `pkcs11:id=%01%02;object=name`.
    Object {
        /// CKA_ID, raw bytes.
        id: Option<Vec<u8>>,
        /// CKA_LABEL.
        label: Option<String>,
    },
    /// A key of the memory keystore: `memory:name`.
    Memory(String),
    /// A key file in the folder of a TPM keystore: `file:name.pem`.
    KeyFile(String),
    /// A persistent handle of a TPM: `handle:0x81000001`.
    Handle(u32),
}

/// The text is not a locator; the message says which part is wrong.
///
/// ```
/// use hsm_jose::backend::Locator;
///
/// let error = "pkcs11:pin-value=1234".parse::<Locator>().unwrap_err();
/// assert!(!error.to_string().contains("1234"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LocatorError(String);

impl LocatorError {
    fn new(message: String) -> Self {
        Self(told(&message))
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { id, label } => {
                f.write_str("pkcs11:")?;
                if let Some(id) = id {
                    f.write_str("id=")?;
                    id.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
                }
                if id.is_some() && label.is_some() {
                    f.write_char(';')?;
                }
                match label {
                    Some(label) => write!(f, "object={}", percent_encode(label.as_bytes())),
                    None => Ok(()),
                }
            }
            Self::Memory(name) => write!(f, "memory:{}", percent_encode(name.as_bytes())),
            Self::KeyFile(name) => write!(f, "file:{}", percent_encode(name.as_bytes())),
            Self::Handle(handle) => write!(f, "handle:0x{handle:08x}"),
        }
    }
}

impl FromStr for Locator {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, LocatorError> {
        if let Some(name) = text.strip_prefix("memory:") {
            return Ok(Self::Memory(decode_text(name)?));
        }
        if let Some(name) = text.strip_prefix("file:") {
            return key_file(decode_text(name)?);
        }
        if let Some(handle) = text.strip_prefix("handle:") {
            return persistent(handle);
        }
        let Some(path) = text.strip_prefix("pkcs11:") else {
            return Err(LocatorError(
                "not a pkcs11: URI, as pkcs11:object=name; a key of a TPM is file:NAME.pem or \
                 handle:0x81000001"
                    .to_owned(),
            ));
        };
        let (mut id, mut label) = (None, None);
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            match attribute.split_once('=') {
                Some(("id", value)) if id.is_none() => id = Some(percent_decode(value)?),
                Some(("object", value)) if label.is_none() => label = Some(decode_text(value)?),
                Some(("type", "private")) => {}
                // By its name alone: the value may be a PIN that does not belong here.
                other => {
                    return Err(LocatorError::new(format!(
                        "{:?} cannot locate a key: use id= and object=, each once",
                        other.map_or(attribute, |(name, _)| name)
                    )));
                }
            }
        }
        if id.is_none() && label.is_none() {
            return Err(LocatorError("the URI names neither id= nor object=".to_owned()));
        }
        Ok(Self::Object { id, label })
    }
}

impl serde::Serialize for Locator {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Locator {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Encodes all but the unreserved characters of RFC 3986 section 2.3.
pub(crate) fn percent_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            _ => text.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
    text
}

/// Decodes `%XX`; everything else stands for itself.
pub(crate) fn percent_decode(text: &str) -> Result<Vec<u8>, LocatorError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut nibble = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match (nibble(), nibble()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => {
                return Err(LocatorError::new(format!(
                    "{text:?} has a % without two hexadecimal digits"
                )));
            }
        }
    }
    Ok(bytes)
}

/// Returns whether `name` names a file of the folder it is looked for in, and no other: letters,
/// digits, dot, underscore and hyphen, and no dot at the start.
pub(crate) fn is_file_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_allowed)
}

fn key_file(name: String) -> Result<Locator, LocatorError> {
    if is_file_name(&name) {
        return Ok(Locator::KeyFile(name));
    }
    Err(LocatorError::new(format!(
        "{name:?} is not the name of a key file: it is in the folder `keys` of the keystore's \
         configuration, and is made of letters, digits, dot, underscore and hyphen"
    )))
}

fn persistent(text: &str) -> Result<Locator, LocatorError> {
    let handle = text.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match handle.filter(|handle| handle >> 24 == 0x81) {
        Some(handle) => Ok(Locator::Handle(handle)),
        None => Err(LocatorError::new(format!(
            "{text:?} is not a persistent handle: 0x81000000 to 0x81ffffff"
        ))),
    }
}

fn decode_text(text: &str) -> Result<String, LocatorError> {
    String::from_utf8(percent_decode(text)?)
        .map_err(|_| LocatorError::new(format!("{text:?} does not decode to UTF-8")))
}

fn hex_digit(nibble: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(nibble)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_reads_back_what_it_wrote() {
        let locators = [
            Locator::Object { id: Some(vec![0, 0x2f, 0xff]), label: Some("a;b=c %".into()) },
            Locator::Object { id: Some(vec![]), label: None },
            Locator::Object { id: None, label: Some("schlüssel".into()) },
            Locator::Memory("name with spaces".into()),
            Locator::KeyFile("issuer-sig.pem".into()),
            Locator::Handle(0x8100_0001),
        ];
        for locator in locators {
            assert_eq!(locator.to_string().parse(), Ok(locator.clone()), "{locator}");
        }
    }

    #[test]
    fn a_locator_that_names_no_key_is_refused() {
        for text in [
            "pkcs11:",
            "files:x",
            "file:",
            "file:.hidden",
            "file:..",
            "file:a/b.pem",
            "file:a%2Fb.pem",
            "handle:0x80000001",
            "handle:81000001",
            "handle:0x181000001",
            "pkcs11:id=%0",
            "pkcs11:id=%zz",
            "pkcs11:object=%ff",
            "pkcs11:token=x;object=y",
            "pkcs11:object=a;object=b",
            "pkcs11:pin-value=1;object=a",
        ] {
            assert!(text.parse::<Locator>().is_err(), "{text}");
        }
    }
}

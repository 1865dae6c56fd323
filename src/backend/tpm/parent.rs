//! The name of the parent key.

use std::fmt;
use std::str::FromStr;

/// The name of a parent key: the hash of its public area, by which it is told from any other.
///
/// ```
/// use hsm_jose::backend::tpm::ParentName;
///
/// // The algorithm of the hash (SHA-256), then the digest of the public area.
/// let text = format!("000b{}", "5a".repeat(32));
/// assert_eq!(text.parse::<ParentName>().expect("a name").to_string(), text);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ParentName(pub(super) Vec<u8>);

/// The text is not a name: `000b` and 64 hexadecimal digits of SHA-256.
///
/// ```
/// use hsm_jose::backend::tpm::ParentName;
///
/// assert!("000b".parse::<ParentName>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a parent key is 000b and the 64 hexadecimal digits of a SHA-256 digest")]
pub struct ParentNameError;

impl ParentName {
    /// Returns the bytes: the hash algorithm, then the digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for ParentName {
    type Err = ParentNameError;

    fn from_str(text: &str) -> Result<Self, ParentNameError> {
        let digits = text.as_bytes();
        if digits.len() != 68 || !text.starts_with("000b") {
            return Err(ParentNameError);
        }
        let byte = |pair: &[u8]| {
            let nibble = |digit: u8| char::from(digit).to_digit(16).ok_or(ParentNameError);
            Ok((nibble(pair[0])? * 16 + nibble(pair[1])?) as u8)
        };
        digits.chunks_exact(2).map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for ParentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ParentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParentName({self})")
    }
}

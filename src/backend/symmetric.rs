//! What the seam says of symmetric keys: by what they are known, and what they give.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::{BackendError, KeyShape};
use crate::jose::alg::Purpose;
use crate::primitives::secret::{aes_check_value, generic_check_value};

/// How many times a key of AES in GCM may encrypt under a random IV of 96 bits: 2^32 (NIST SP
/// 800-38D section 8.3). Counted by each process for itself; what other processes and other holders
/// of the key do is for whoever rotates it to add up.
pub const MAX_GCM_INVOCATIONS: u64 = 1 << 32;

/// By what a symmetric key is known: it has no public half, and no thumbprint of it is ever made.
///
/// ```
/// use hsm_jose::backend::SecretInfo;
///
/// let told = SecretInfo { bits: 256, check_value: None };
/// assert!(told.agrees_with(&SecretInfo { bits: 256, check_value: None }));
/// assert!(!told.agrees_with(&SecretInfo { bits: 128, check_value: None }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretInfo {
    /// Length in bits.
    pub bits: u32,
    /// The check value; `None` where the device neither tells nor computes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_value: Option<CheckValue>,
}

/// The check value of a symmetric key, 3 bytes, as CKA_CHECK_VALUE has it (PKCS#11 3.0 section 4.10.2
/// and 2.40 section 4.10.2): of an AES key, the first bytes of the encryption of one block of zeros in
/// ECB; of a generic secret, the first bytes of its SHA-1. A TPM gives neither: there it is the first
/// bytes of the digest in the key's name (TPM 2.0 part 1, section "Names"), which differs in each TPM.
///
/// It tells one key from another by mistake, not by malice: 24 bits are soon found twice.
///
/// ```
/// use hsm_jose::backend::CheckValue;
///
/// assert!(CheckValue::new(&[1, 2, 3]).is_some());
/// assert!(CheckValue::new(&[1, 2, 3, 4]).is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CheckValue([u8; 3]);

/// Not 6 hexadecimal digits.
///
/// ```
/// use hsm_jose::backend::CheckValue;
///
/// assert!("0102".parse::<CheckValue>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a check value is 6 hexadecimal digits")]
pub struct CheckValueError;

/// A content encryption key, wrapped under a symmetric key.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{HostCek, KeyShape, KeySpec, Keystore, Locator};
/// use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement};
///
/// let (alg, enc) = (KeyManagement::A256GcmKw, ContentEncryption::A128Gcm);
/// let spec =
///     KeySpec { shape: KeyShape::Oct { bits: 256 }, algs: vec![KeyAlgorithm::Unwrap(alg)] };
/// let keystore = MemoryKeystore::new("test");
/// let key = keystore.generate(&Locator::Memory("shared".into()), &spec)?;
/// let wrapped = key.wrap_cek(alg, &HostCek::random(enc))?;
/// assert_eq!(wrapped.encrypted_key.len(), enc.key_len());
/// assert!(wrapped.gcm.is_some(), "iv and tag, which AES key wrap has not");
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrappedCek {
    /// The JWE Encrypted Key: 8 bytes longer than the CEK for AES key wrap, as long for AES in GCM.
    pub encrypted_key: Vec<u8>,
    /// The header parameters `iv` and `tag` of AES in GCM (RFC 7518 section 4.7.1).
    pub gcm: Option<([u8; 12], [u8; 16])>,
}

/// The encryptions that a key of AES in GCM has left in this process.
#[derive(Debug)]
pub(crate) struct Invocations(AtomicU64);

impl SecretInfo {
    /// Returns kind and size.
    pub const fn shape(&self) -> KeyShape {
        KeyShape::Oct { bits: self.bits }
    }

    /// Returns whether both can be of one key: of one length, and of one check value where both have
    /// one.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let is_same = match (self.check_value, other.check_value) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        self.bits == other.bits && is_same
    }
}

impl CheckValue {
    /// Computes it of a key that is known here: of an AES key where it is for encryption, of a
    /// generic secret else.
    pub(crate) fn of(value: &[u8], purpose: Purpose) -> Self {
        let of_aes = aes_check_value(value).filter(|_| purpose == Purpose::Decrypt);
        Self(of_aes.unwrap_or_else(|| generic_check_value(value)))
    }

    /// Takes the 3 bytes that a device tells; `None` if it tells another number of them.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a:02X}{b:02X}{c:02X}")
    }
}

impl fmt::Debug for CheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckValue({self})")
    }
}

impl FromStr for CheckValue {
    type Err = CheckValueError;

    fn from_str(text: &str) -> Result<Self, CheckValueError> {
        let is_hex = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok().filter(|_| is_hex);
        let [_, bytes @ ..] = number.ok_or(CheckValueError)?.to_be_bytes();
        Ok(Self(bytes))
    }
}

impl Serialize for CheckValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CheckValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl WrappedCek {
    /// The result of AES key wrap.
    pub(crate) fn key_wrap(encrypted_key: Vec<u8>) -> Self {
        Self { encrypted_key, gcm: None }
    }

    /// The result of AES in GCM.
    pub(crate) fn gcm(encrypted_key: Vec<u8>, iv: [u8; 12], tag: [u8; 16]) -> Self {
        Self { encrypted_key, gcm: Some((iv, tag)) }
    }
}

impl Invocations {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(MAX_GCM_INVOCATIONS))
    }

    /// Takes one, before the IV is drawn.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] when none is left.
    pub(crate) fn take(&self, keystore: &str) -> Result<(), BackendError> {
        let taken =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_| BackendError::Unsupported {
            keystore: keystore.to_owned(),
            what: "another encryption with this key".to_owned(),
            reason: format!(
                "it has done {MAX_GCM_INVOCATIONS} under random IVs, the most that is safe (NIST SP \
                 800-38D section 8.3): make another key"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_value_is_read_in_either_case_and_written_in_one() {
        let value: CheckValue = "dC95c0".parse().unwrap();
        assert_eq!(value, CheckValue::new(&[0xdc, 0x95, 0xc0]).unwrap());
        assert_eq!(
            (value.to_string(), format!("{value:?}")),
            ("DC95C0".into(), "CheckValue(DC95C0)".into())
        );
        for wrong in ["", "DC95C", "DC95C00", "+C95C0", "DC 5C0", "GC95C0", "é95C0"] {
            assert_eq!(wrong.parse::<CheckValue>(), Err(CheckValueError), "{wrong:?}");
        }
        assert_eq!(CheckValue::new(&[1, 2, 3, 4]), None);
    }

    #[test]
    fn an_unknown_check_value_agrees_with_any_of_the_same_length() {
        let known =
            |bits, text: &str| SecretInfo { bits, check_value: Some(text.parse().unwrap()) };
        let unknown = SecretInfo { bits: 256, check_value: None };
        assert!(known(256, "000001").agrees_with(&known(256, "000001")));
        assert!(!known(256, "000001").agrees_with(&known(256, "000002")));
        assert!(!known(256, "000001").agrees_with(&known(128, "000001")));
        assert!(known(256, "000001").agrees_with(&unknown) && unknown.agrees_with(&unknown));
        assert!(!known(128, "000001").agrees_with(&unknown));
    }

    /// NIST SP 800-38D section 8.3.
    #[test]
    fn a_key_does_not_encrypt_more_often_than_random_ivs_allow() {
        let last = Invocations(AtomicU64::new(1));
        assert!(last.take("test").is_ok());
        for _ in 0..2 {
            let error = last.take("test").unwrap_err();
            assert!(matches!(error, BackendError::Unsupported { .. }));
        }
        assert_eq!(Invocations::new().0.into_inner(), 4_294_967_296);
    }
}

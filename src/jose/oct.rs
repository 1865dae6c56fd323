//! Symmetric keys as JWKs (RFC 7518 section 6.4), on their way into a keystore.

use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::alg::{KeyKind, MAX_SECRET_BITS};
use super::base64url;
use super::json::{self, SecretMembers, quotable};
use super::jwk::{JwkError, MAX_KID_LEN};

/// A symmetric JWK on its way *into* a keystore: zeroized, without `Clone`, `Serialize` or `Debug` of
/// its value. None ever comes out, and none is made of a public key: the two types do not meet.
///
/// ```
/// use hsm_jose::jose::oct::SecretJwk;
///
/// let secret = SecretJwk::parse(br#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMko"}"#)?;
/// assert_eq!(secret.bits(), 192);
/// assert!(!format!("{secret:?}").contains("AyM1"));
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
pub struct SecretJwk {
    /// `kid`, at most [`MAX_KID_LEN`] bytes.
    pub kid: Option<String>,
    /// `use`.
    pub use_: Option<String>,
    /// `key_ops`.
    pub key_ops: Option<Vec<String>>,
    /// `alg`, as it stands.
    pub alg: Option<String>,
    value: Zeroizing<Vec<u8>>,
}

impl SecretJwk {
    /// Parses a JWK of `kty` `oct`, with 1 to [`MAX_SECRET_BITS`] bits.
    ///
    /// # Errors
    /// Bad JSON, another `kty`, a missing or misformed member. The value is never quoted.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        let members = json::parse_object(json).map_err(|error| JwkError(error.to_string()))?;
        let members = SecretMembers(members);
        let members = &members.0;
        match members.get("kty").and_then(Value::as_str) {
            Some("oct") => {}
            Some(other) => {
                let other = quotable(other);
                return Err(JwkError(format!("kty is {other:?}: not a symmetric key (\"oct\")")));
            }
            None => return Err(JwkError("\"kty\" is missing or not a string".into())),
        }
        let value = text(members, "k")?.ok_or_else(|| JwkError("\"k\" is missing".into()))?;
        let value = base64url::decode(value.as_bytes()).map(Zeroizing::new);
        let value = value.map_err(|error| JwkError(format!("\"k\" is {error}")))?;
        if value.is_empty() || value.len() > MAX_SECRET_BITS as usize / 8 {
            return Err(JwkError(format!(
                "a symmetric key of {} bytes, expected 1 to {}",
                value.len(),
                MAX_SECRET_BITS / 8
            )));
        }
        let kid = text(members, "kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_LEN) {
            return Err(JwkError(format!("kid over {MAX_KID_LEN} bytes")));
        }
        let key_ops = members.get("key_ops").map(Vec::<String>::deserialize).transpose();
        let key_ops = key_ops.map_err(|_| JwkError("key_ops is not an array of strings".into()))?;
        let use_ = text(members, "use")?.map(str::to_owned);
        let alg = text(members, "alg")?.map(str::to_owned);
        Ok(Self { kid, use_, key_ops, alg, value })
    }

    /// Returns the length of the key in bits.
    pub fn bits(&self) -> u32 {
        8 * self.value.len() as u32
    }

    /// Returns the kind of key.
    pub fn kind(&self) -> KeyKind {
        KeyKind::Oct { bits: self.bits() }
    }

    /// Gives the key to the keystore that takes it in. Nothing else may read it.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.value
    }
}

impl std::fmt::Debug for SecretJwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretJwk({}, redacted)", self.kind())
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, JwkError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError(format!("{name:?} is not a string"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::jwk::{JwkSet, PrivateJwk, PublicJwk};

    /// RFC 7517 appendix A.3, second key.
    const HMAC: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"HMAC key used in JWS spec Appendix A.1 example"}"#;

    #[test]
    fn a_symmetric_key_is_read_and_tells_nothing_but_its_length() {
        let jwk = SecretJwk::parse(HMAC.as_bytes()).unwrap();
        assert_eq!((jwk.bits(), jwk.expose()[0], jwk.expose()[63]), (512, 0x03, 0xa3));
        assert_eq!(jwk.kid.as_deref(), Some("HMAC key used in JWS spec Appendix A.1 example"));
        assert_eq!(format!("{jwk:?}"), "SecretJwk(oct-512, redacted)");
    }

    #[test]
    fn a_symmetric_key_is_neither_a_public_nor_a_private_one() {
        assert!(PublicJwk::parse(HMAC.as_bytes()).is_err());
        assert!(PrivateJwk::parse(HMAC.as_bytes()).is_err());
        assert!(JwkSet::parse(format!("{{\"keys\":[{HMAC}]}}").as_bytes()).is_err());
        let rsa = r#"{"kty":"RSA","n":"AQ","e":"AQAB","k":"AAAA"}"#;
        assert!(SecretJwk::parse(rsa.as_bytes()).is_err());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        let secret = "c2VjcmV0c2VjcmV0";
        for (json, what) in [
            (format!(r#"{{"kty":"oct","k":"{secret}=","kid":"x"}}"#), "\"k\" is"),
            (format!(r#"{{"kty":"oct","k":["{secret}"]}}"#), "\"k\" is not a string"),
            (format!(r#"{{"kty":"oct","K":"{secret}"}}"#), "\"k\" is missing"),
            (format!(r#"{{"kty":"oct","k":"{secret}","k":"{secret}"}}"#), "duplicate"),
            (format!(r#"{{"kty":"oct","k":"{secret}","key_ops":"sign"}}"#), "key_ops"),
            (r#"{"kty":"oct","k":""}"#.to_owned(), "of 0 bytes"),
            (format!(r#"{{"kty":"oct","k":"{}"}}"#, "AAAA".repeat(43)), "of 129 bytes"),
        ] {
            let error = SecretJwk::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(what) && !error.contains(secret), "{error}");
        }
    }
}

//! JWK Sets as they are consumed.

use serde_json::Value;

use super::{JwkError, PublicJwk, parse_members, refuse_private};

/// A JWK Set as it is consumed: keys of unknown kinds are passed over (RFC 7517 section 5).
///
/// ```
/// use hsm_jose::jose::jwk::JwkSet;
///
/// // What this build does not know is passed over (RFC 7517 section 5).
/// let set = JwkSet::parse(br#"{"keys":[{"kty":"AKP","alg":"ML-DSA-44"}]}"#)?;
/// assert!(set.keys.is_empty());
/// assert!(JwkSet::parse(br#"{"keys":[{"kty":"EC","d":"AQ"}]}"#).is_err(), "a private key");
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    /// The keys that this build can use, in the order of the set.
    pub keys: Vec<PublicJwk>,
}

impl JwkSet {
    /// Parses a JWK Set, or a single JWK as a set of one.
    ///
    /// In a set, a key that this build cannot use is passed over; a private member anywhere is
    /// refused.
    ///
    /// # Errors
    /// Bad JSON, a private member, `keys` missing or not an array, or a misformed single JWK.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        let members = parse_members(json)?;
        if members.contains_key("kty") {
            return Ok(Self { keys: vec![PublicJwk::from_members(&members)?] });
        }
        let Some(Value::Array(values)) = members.get("keys") else {
            return Err(JwkError::new("neither a JWK (no kty) nor a JWK Set (no array keys)"));
        };
        let mut keys = Vec::new();
        for value in values {
            let Value::Object(members) = value else {
                return Err(JwkError::new("a member of keys is not an object"));
            };
            refuse_private(members)?;
            keys.extend(PublicJwk::public_half(members));
        }
        Ok(Self { keys })
    }
}

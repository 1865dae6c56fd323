//! JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2): parsed, checked, thumbprinted.

use serde_json::{Map, Value};

use super::{base64url, json};

mod check;
mod foreign;
mod key;
mod private;
mod public;
mod set;
mod thumbprint;

pub use check::{Finding, MAX_FINDINGS, Severity, check};
pub use key::{PublicKey, PublicPoint, RsaPublic};
pub use private::PrivateJwk;
pub(crate) use private::PrivateParts;
pub use public::PublicJwk;
pub use set::{JwkSet, SelectError, Selector};
pub use thumbprint::{Thumbprint, ThumbprintHash};

/// The largest RSA modulus taken, in bits: what aws-lc-rs takes, and larger ones are a cheap way
/// to burn a verifier's time.
pub const MAX_RSA_BITS: usize = 8192;

/// The smallest RSA modulus taken, in bits (RFC 7518 sections 3.3 and 4.3).
pub const MIN_RSA_BITS: usize = 2048;

/// Members that no public key may have (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
pub(crate) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The longest `kid` taken, in bytes. Thumbprints have 43, thumbprint URIs 95.
pub const MAX_KID_LEN: usize = 256;

/// Whether a header may have it as its `kid`: of at most [`MAX_KID_LEN`], and without control characters.
pub(crate) fn is_kid(kid: &str) -> bool {
    kid.len() <= MAX_KID_LEN && !kid.chars().any(char::is_control)
}

/// The longest `x5u` taken, in bytes: it is kept, and never fetched.
pub const MAX_X5U_LEN: usize = 2048;

/// What is wrong with a JWK. Never quotes a private member.
///
/// ```
/// use hsm_jose::jose::jwk::PublicJwk;
///
/// let error = PublicJwk::parse(br#"{"kty":"OKP","crv":"Ed25519","d":"AQ"}"#).unwrap_err();
/// assert!(error.to_string().contains("private"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JwkError(pub(crate) String);

impl JwkError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

fn refuse_private(members: &Map<String, Value>) -> Result<(), JwkError> {
    match PRIVATE_MEMBERS.iter().find(|name| members.contains_key(**name)) {
        Some(name) => Err(JwkError(format!(
            "the private member {name:?} in a public JWK: this key must be taken as exposed"
        ))),
        None => Ok(()),
    }
}

fn parse_members(json: &[u8]) -> Result<Map<String, Value>, JwkError> {
    json::parse_object(json).map_err(|error| JwkError(error.to_string()))
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, JwkError> {
    let value = members.get(name).and_then(Value::as_str);
    value.ok_or_else(|| JwkError(format!("{name:?} is missing or not a string")))
}

fn optional_text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, JwkError> {
    members.contains_key(name).then(|| text(members, name).map(str::to_owned)).transpose()
}

fn octets(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JwkError> {
    base64url::decode(text(members, name)?.as_bytes())
        .map_err(|error| JwkError(format!("{name:?} is {error}")))
}

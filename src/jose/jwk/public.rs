//! Public JWKs: the key and what its owner says of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::json::quotable;
use super::{
    JwkError, MAX_KID_LEN, PublicKey, PublicPoint, RsaPublic, octets, optional_text, parse_members,
    refuse_private, text,
};

/// A public JWK: the key and what its owner says of it.
///
/// ```
/// use hsm_jose::jose::jwk::PublicJwk;
///
/// // RFC 8037 appendix A.2.
/// let jwk = PublicJwk::parse(
///     br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// assert_eq!(jwk.kid, None);
/// assert_eq!(jwk.to_members()["crv"], "Ed25519");
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicJwk {
    /// The key.
    pub key: PublicKey,
    /// `kid`, at most [`MAX_KID_LEN`] bytes: an opaque map key, nothing else.
    pub kid: Option<String>,
    /// `use`: `sig`, `enc`, or an extension.
    pub use_: Option<String>,
    /// `key_ops`.
    pub key_ops: Option<Vec<String>>,
    /// `alg`, as it stands: it may name an algorithm that this build does not know.
    pub alg: Option<String>,
    /// `iss`: the one issuer whose tokens this key verifies. An extension of ours for trust files.
    pub iss: Option<String>,
}

impl PublicJwk {
    /// Makes a JWK of a bare key.
    pub fn bare(key: PublicKey) -> Self {
        Self { key, kid: None, use_: None, key_ops: None, alg: None, iss: None }
    }

    /// Parses one public JWK.
    ///
    /// # Errors
    /// Bad JSON, a private member, a misformed or unknown key.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        Self::from_members(&parse_members(json)?)
    }

    /// Reads a public JWK from its members; unknown members are ignored.
    ///
    /// # Errors
    /// A private member (which has been where it should not have been), a misformed or unknown key.
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, JwkError> {
        refuse_private(members)?;
        Self::public_half(members)
    }

    /// Returns the members of the JWK.
    pub fn to_members(&self) -> Map<String, Value> {
        let mut members = self.key.to_members();
        let metadata =
            [("kid", &self.kid), ("use", &self.use_), ("alg", &self.alg), ("iss", &self.iss)];
        for (name, value) in metadata {
            if let Some(value) = value {
                members.insert(name.into(), value.as_str().into());
            }
        }
        if let Some(key_ops) = &self.key_ops {
            members.insert("key_ops".into(), json!(key_ops));
        }
        members
    }

    pub(super) fn public_half(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let key = match text(members, "kty")? {
            "RSA" => {
                PublicKey::Rsa(RsaPublic::new(&octets(members, "n")?, &octets(members, "e")?)?)
            }
            "EC" | "OKP" => PublicKey::Point(PublicPoint::from_members(members)?),
            other => {
                let other = quotable(other);
                return Err(JwkError(format!("no key type {other:?} in this build")));
            }
        };
        let kid = optional_text(members, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_LEN) {
            return Err(JwkError(format!("kid over {MAX_KID_LEN} bytes")));
        }
        let key_ops = match members.get("key_ops") {
            None => None,
            Some(value) => Some(
                Vec::<String>::deserialize(value)
                    .map_err(|_| JwkError::new("key_ops is not an array of strings"))?,
            ),
        };
        Ok(Self {
            key,
            kid,
            use_: optional_text(members, "use")?,
            key_ops,
            alg: optional_text(members, "alg")?,
            iss: optional_text(members, "iss")?,
        })
    }
}

impl Serialize for PublicJwk {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_members().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicJwk {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::<String, Value>::deserialize(deserializer)?;
        Self::from_members(&members).map_err(serde::de::Error::custom)
    }
}

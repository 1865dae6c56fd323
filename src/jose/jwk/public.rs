//! Public JWKs: the key and what its owner says of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::alg::Purpose;
use super::super::base64url;
use super::super::x509::CertificateChain;
use super::{
    JwkError, MAX_KID_LEN, MAX_X5U_LEN, PublicKey, octets, optional_text, parse_members,
    refuse_private,
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
    /// `x5u`: where certificates are said to be. Data: nothing is fetched (RFC 7517 section 4.6).
    pub x5u: Option<String>,
    /// `x5c`: certificates, the first of which is this key's. Data, until
    /// [`crate::jose::x509::Anchors::verify`] has seen it (RFC 7517 section 4.7).
    pub x5c: Option<CertificateChain>,
    /// `x5t`: the SHA-1 of the key's certificate, 20 bytes. Never relied on (RFC 7517 section 4.8).
    pub x5t: Option<[u8; 20]>,
    /// `x5t#S256`: the SHA-256 of the key's certificate, 32 bytes (RFC 7517 section 4.9).
    pub x5t_s256: Option<[u8; 32]>,
    /// `iss`: the one issuer whose tokens this key verifies. An extension of ours for trust files.
    pub iss: Option<String>,
}

impl PublicJwk {
    /// Makes a JWK of a bare key.
    pub fn bare(key: PublicKey) -> Self {
        Self {
            key,
            kid: None,
            use_: None,
            key_ops: None,
            alg: None,
            x5u: None,
            x5c: None,
            x5t: None,
            x5t_s256: None,
            iss: None,
        }
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

    /// As [`PublicJwk::from_members`], for a key that is recorded already: one that anyone can factor is
    /// read too, so that it can be told of and destroyed ([`PublicKey::weakness`]).
    pub(crate) fn existing(members: &Map<String, Value>) -> Result<Self, JwkError> {
        refuse_private(members)?;
        Self::of_key(PublicKey::existing(members)?, members)
    }

    /// Makes the JWK of a certificate's key, with `x5c` and `x5t#S256`, and with `use` where the key
    /// usage of the certificate leaves only one. The chain is not verified, and its dates are not
    /// looked at.
    ///
    /// # Errors
    /// A kind of key that this build does not have; a certificate whose key usage is neither to sign
    /// nor to encrypt, as that of an issuer.
    pub fn certified(chain: CertificateChain) -> Result<Self, JwkError> {
        let leaf = chain.leaf();
        let mut jwk = leaf.key()?.clone();
        jwk.use_ = match (leaf.serves(Purpose::Sign), leaf.serves(Purpose::Decrypt)) {
            (true, true) => None,
            (true, false) => Some("sig".to_owned()),
            (false, true) => Some("enc".to_owned()),
            (false, false) => {
                return Err(JwkError::new(
                    "a certificate whose key usage is neither to sign nor to encrypt",
                ));
            }
        };
        jwk.attach(chain)?;
        Ok(jwk)
    }

    /// Adds `x5c` and `x5t#S256`.
    ///
    /// # Errors
    /// A chain whose first certificate is that of another key, or whose key usage is not that of this
    /// key's `use`; one that is not in order.
    pub fn attach(&mut self, chain: CertificateChain) -> Result<(), JwkError> {
        let leaf = chain.leaf();
        if leaf.key()?.key != self.key {
            return Err(JwkError::new("the first certificate is that of another key"));
        }
        if !chain.is_in_order() {
            return Err(JwkError::new("each certificate is to be followed by that of its issuer"));
        }
        let is_meant = |purpose: &Purpose| self.use_.as_deref() == Some(purpose.jwk_use());
        let purpose = [Purpose::Sign, Purpose::Decrypt].into_iter().find(is_meant);
        if purpose.is_some_and(|purpose| !leaf.serves(purpose)) {
            return Err(JwkError::new("the certificate's key usage is not that of the key's use"));
        }
        self.x5t_s256 = Some(leaf.sha256());
        self.x5c = Some(chain);
        Ok(())
    }

    /// Returns the members of the JWK.
    pub fn to_members(&self) -> Map<String, Value> {
        let mut members = self.key.to_members();
        let metadata = [
            ("kid", &self.kid),
            ("use", &self.use_),
            ("alg", &self.alg),
            ("x5u", &self.x5u),
            ("iss", &self.iss),
        ];
        for (name, value) in metadata {
            if let Some(value) = value {
                members.insert(name.into(), value.as_str().into());
            }
        }
        let thumbprints = [
            ("x5t", self.x5t.as_ref().map(<[u8; 20]>::as_slice)),
            ("x5t#S256", self.x5t_s256.as_ref().map(<[u8; 32]>::as_slice)),
        ];
        for (name, value) in thumbprints {
            if let Some(value) = value {
                members.insert(name.into(), base64url::encode(value).into());
            }
        }
        if let Some(chain) = &self.x5c {
            members.insert("x5c".into(), chain.to_x5c());
        }
        if let Some(key_ops) = &self.key_ops {
            members.insert("key_ops".into(), json!(key_ops));
        }
        members
    }

    pub(super) fn public_half(members: &Map<String, Value>) -> Result<Self, JwkError> {
        Self::of_key(PublicKey::from_members(members)?, members)
    }

    fn of_key(key: PublicKey, members: &Map<String, Value>) -> Result<Self, JwkError> {
        let jwk = Self {
            key,
            kid: kid(members)?,
            use_: optional_text(members, "use")?,
            key_ops: key_ops(members)?,
            alg: optional_text(members, "alg")?,
            x5u: x5u(members)?,
            x5c: x5c(members)?,
            x5t: thumbprint(members, "x5t")?,
            x5t_s256: thumbprint(members, "x5t#S256")?,
            iss: optional_text(members, "iss")?,
        };
        jwk.check_certificate()?;
        Ok(jwk)
    }

    /// RFC 7517 section 4.7: the key of the first certificate is this key. Section 4.9: the
    /// thumbprint is that of the certificate.
    pub(super) fn check_certificate(&self) -> Result<(), JwkError> {
        let Some(leaf) = self.x5c.as_ref().map(CertificateChain::leaf) else { return Ok(()) };
        if leaf.key()?.key != self.key {
            return Err(JwkError::new("the first certificate of x5c is that of another key"));
        }
        match self.x5t_s256 {
            Some(own) if own != leaf.sha256() => {
                Err(JwkError::new("x5t#S256 is not that of the first certificate of x5c"))
            }
            _ => Ok(()),
        }
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

pub(super) fn kid(members: &Map<String, Value>) -> Result<Option<String>, JwkError> {
    let kid = optional_text(members, "kid")?;
    match kid {
        Some(kid) if kid.len() > MAX_KID_LEN => {
            Err(JwkError(format!("kid over {MAX_KID_LEN} bytes")))
        }
        kid => Ok(kid),
    }
}

pub(super) fn key_ops(members: &Map<String, Value>) -> Result<Option<Vec<String>>, JwkError> {
    let read = |value| {
        Vec::<String>::deserialize(value)
            .map_err(|_| JwkError::new("key_ops is not an array of strings"))
    };
    members.get("key_ops").map(read).transpose()
}

pub(super) fn x5u(members: &Map<String, Value>) -> Result<Option<String>, JwkError> {
    match optional_text(members, "x5u")? {
        Some(x5u) if x5u.len() > MAX_X5U_LEN => {
            Err(JwkError(format!("x5u over {MAX_X5U_LEN} bytes")))
        }
        x5u => Ok(x5u),
    }
}

pub(super) fn x5c(members: &Map<String, Value>) -> Result<Option<CertificateChain>, JwkError> {
    CertificateChain::of_members(members).map_err(|error| JwkError(error.to_string()))
}

/// Reads `x5t` or `x5t#S256`.
pub(super) fn thumbprint<const N: usize>(
    members: &Map<String, Value>,
    name: &str,
) -> Result<Option<[u8; N]>, JwkError> {
    if !members.contains_key(name) {
        return Ok(None);
    }
    let digest: Result<[u8; N], _> = octets(members, name)?.try_into();
    digest.map(Some).map_err(|_| JwkError(format!("{name:?} is not of {N} bytes")))
}

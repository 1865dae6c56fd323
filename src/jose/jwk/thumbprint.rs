//! JWK thumbprints (RFC 7638) and thumbprint URIs (RFC 9278).

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::super::base64url;
use super::{JwkError, PublicJwk, PublicKey};

/// What every thumbprint URI begins with (RFC 9278 section 3).
const URI: &str = "urn:ietf:params:oauth:jwk-thumbprint:";

/// A hash of a thumbprint: those of IANA's Named Information registry that keep the whole digest of
/// SHA-2. RFC 9278 section 5 demands the first.
///
/// ```
/// use hsm_jose::jose::jwk::ThumbprintHash;
///
/// assert_eq!(ThumbprintHash::from_name("sha-256"), Some(ThumbprintHash::Sha256));
/// assert_eq!(ThumbprintHash::from_name("md5"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThumbprintHash {
    /// `sha-256`, 32 bytes.
    Sha256,
    /// `sha-384`, 48 bytes.
    Sha384,
    /// `sha-512`, 64 bytes.
    Sha512,
}

/// The thumbprint of a key: a hash of what makes it, whatever is said of it.
///
/// Written, it is base64url; [`Thumbprint::uri`] and [`FromStr`] are for the URI.
///
/// ```
/// use hsm_jose::jose::jwk::{PublicJwk, Thumbprint, ThumbprintHash};
///
/// // RFC 8037 appendix A.3.
/// let jwk = PublicJwk::parse(br#"{"kty":"OKP","crv":"Ed25519",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// let thumbprint = jwk.key.thumbprint_with(ThumbprintHash::Sha256);
/// assert_eq!(thumbprint.to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
///
/// let told: Thumbprint = thumbprint.uri().parse()?;
/// assert!(told.is_of(&jwk));
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Thumbprint {
    hash: ThumbprintHash,
    digest: Vec<u8>,
}

impl ThumbprintHash {
    /// Every hash, the usual one first.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Returns the registered name, as it stands in a URI.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Finds the hash of a registered name, exact.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.name() == name)
    }

    const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl PublicKey {
    /// Returns the SHA-256 thumbprint, 43 characters of base64url (RFC 7638, RFC 8037 appendix A).
    pub fn thumbprint(&self) -> String {
        self.thumbprint_with(ThumbprintHash::Sha256).to_string()
    }

    /// Returns the thumbprint with a hash (RFC 7638 section 3.1).
    pub fn thumbprint_with(&self, hash: ThumbprintHash) -> Thumbprint {
        // serde_json's map is ordered by name and written without white space: section 3.3.
        let canonical = Value::Object(self.to_members()).to_string();
        let digest = match hash {
            ThumbprintHash::Sha256 => Sha256::digest(canonical).to_vec(),
            ThumbprintHash::Sha384 => Sha384::digest(canonical).to_vec(),
            ThumbprintHash::Sha512 => Sha512::digest(canonical).to_vec(),
        };
        Thumbprint { hash, digest }
    }
}

impl Thumbprint {
    /// Returns the hash.
    pub fn hash(&self) -> ThumbprintHash {
        self.hash
    }

    /// Returns the digest, as long as the hash's.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digest
    }

    /// Returns the URI (RFC 9278 section 3): 95 characters with SHA-256.
    pub fn uri(&self) -> String {
        format!("{URI}{}:{self}", self.hash.name())
    }

    /// Returns whether this is the thumbprint of a key.
    #[must_use]
    pub fn is_of(&self, jwk: &PublicJwk) -> bool {
        jwk.key.thumbprint_with(self.hash) == *self
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.digest))
    }
}

/// Reads a thumbprint URI (RFC 9278).
impl FromStr for Thumbprint {
    type Err = JwkError;

    fn from_str(uri: &str) -> Result<Self, JwkError> {
        let refused = |what: &str| Err(JwkError(format!("thumbprint URI {what}")));
        let Some((name, text)) = uri.strip_prefix(URI).and_then(|rest| rest.split_once(':')) else {
            return refused("does not begin as RFC 9278 says");
        };
        let Some(hash) = ThumbprintHash::from_name(name) else {
            return refused("with a hash that this build does not have");
        };
        match base64url::decode(text.as_bytes()) {
            Ok(digest) if digest.len() == hash.digest_len() => Ok(Self { hash, digest }),
            _ => refused("without a digest of its hash in base64url"),
        }
    }
}

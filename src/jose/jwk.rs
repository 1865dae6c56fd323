//! JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2): parsed, checked, thumbprinted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::alg::{Curve, KeyKind};
use super::{base64url, json as strict_json};

/// The largest RSA modulus taken, in bits: what aws-lc-rs takes, and larger ones are a cheap way
/// to burn a verifier's time.
pub const MAX_RSA_BITS: usize = 8192;

/// The smallest RSA modulus taken, in bits (RFC 7518 sections 3.3 and 4.3).
pub const MIN_RSA_BITS: usize = 2048;

/// Members that no public key may have (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
pub(crate) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The longest `kid` taken, in bytes. Thumbprints have 43, thumbprint URIs 95.
pub const MAX_KID_LEN: usize = 256;

/// A public key: of the right form, though a point has yet to be checked to lie on its curve.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// An RSA key.
    Rsa(RsaPublic),
    /// A point on a curve.
    Point(PublicPoint),
}

/// An RSA public key: both numbers big-endian, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    n: Vec<u8>,
    e: Vec<u8>,
}

/// A public point: 0x04 || X || Y for a P curve, 32 bytes for X25519 and Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPoint {
    curve: Curve,
    bytes: Vec<u8>,
}

/// A public JWK: the key and what its owner says of it.
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

/// A JWK Set as it is consumed: keys of unknown kinds are passed over (RFC 7517 section 5).
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    /// The keys that this build can use, in the order of the set.
    pub keys: Vec<PublicJwk>,
}

/// A private key on its way *into* a keystore: zeroized, without `Clone`, `Serialize` or `Debug`
/// of its private part. None ever comes out.
pub struct PrivateJwk {
    /// The public half.
    pub public: PublicJwk,
    pub(crate) private: PrivateParts,
}

/// The private numbers, big-endian.
pub(crate) enum PrivateParts {
    Rsa {
        d: Zeroizing<Vec<u8>>,
        p: Zeroizing<Vec<u8>>,
        q: Zeroizing<Vec<u8>>,
        dp: Zeroizing<Vec<u8>>,
        dq: Zeroizing<Vec<u8>>,
        qi: Zeroizing<Vec<u8>>,
    },
    /// The scalar of a P curve (as long as the field), or the 32-byte private key of X25519 or
    /// Ed25519 (its seed).
    Scalar(Zeroizing<Vec<u8>>),
}

/// What is wrong with a JWK. Never quotes a private member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JwkError(pub(crate) String);

impl JwkError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl RsaPublic {
    /// Takes modulus and exponent, big-endian; leading zeros are dropped.
    ///
    /// # Errors
    /// A modulus outside [`MIN_RSA_BITS`] to [`MAX_RSA_BITS`] or even; an exponent that is even,
    /// below 3, or over 64 bits long.
    pub fn new(n: &[u8], e: &[u8]) -> Result<Self, JwkError> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = bit_len(n);
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(JwkError(format!(
                "RSA modulus of {bits} bits, expected {MIN_RSA_BITS} to {MAX_RSA_BITS}"
            )));
        }
        if n.last().is_none_or(|byte| byte % 2 == 0) {
            return Err(JwkError::new("RSA modulus is even"));
        }
        let e_is_odd = e.last().is_some_and(|byte| byte % 2 == 1);
        if !e_is_odd || e == [1] || e.len() > 8 {
            return Err(JwkError::new("RSA exponent is even, below 3 or over 64 bits"));
        }
        Ok(Self { n: n.to_vec(), e: e.to_vec() })
    }

    /// Returns the modulus, big-endian.
    pub fn n(&self) -> &[u8] {
        &self.n
    }

    /// Returns the public exponent, big-endian.
    pub fn e(&self) -> &[u8] {
        &self.e
    }

    /// Returns the length of the modulus in bits.
    pub fn bits(&self) -> usize {
        bit_len(&self.n)
    }

    /// Returns the length of the modulus in bytes: that of a ciphertext and of a signature.
    pub fn modulus_len(&self) -> usize {
        self.n.len()
    }
}

impl PublicPoint {
    /// Takes the encoded point: 0x04 || X || Y for a P curve, 32 bytes else. Whether it lies on
    /// the curve is for [`crate::primitives::ecdh::check_point`] to say.
    ///
    /// # Errors
    /// Another length or form: compressed points are not accepted (RFC 7518 section 6.2.1).
    pub fn new(curve: Curve, bytes: Vec<u8>) -> Result<Self, JwkError> {
        let is_well_formed = match curve.kty() {
            "EC" => bytes.len() == 1 + 2 * curve.field_len() && bytes[0] == 4,
            _ => bytes.len() == curve.field_len(),
        };
        if !is_well_formed {
            return Err(JwkError(format!("a {curve} public key of the wrong length or form")));
        }
        Ok(Self { curve, bytes })
    }

    /// Returns the curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// Returns the encoded point: 0x04 || X || Y for a P curve, 32 bytes else.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns `x`, and `y` where the curve has it, each as long as the field.
    pub fn coordinates(&self) -> (&[u8], Option<&[u8]>) {
        match self.curve.kty() {
            "EC" => {
                let (x, y) = self.bytes[1..].split_at(self.curve.field_len());
                (x, Some(y))
            }
            _ => (&self.bytes, None),
        }
    }

    /// Reads `kty`, `crv`, `x` and `y` of a JWK, and nothing else.
    ///
    /// # Errors
    /// A missing or misformed member, an unknown curve.
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let kty = text(members, "kty")?;
        let crv = text(members, "crv")?;
        let curve = Curve::from_name(crv).filter(|curve| curve.kty() == kty).ok_or_else(|| {
            let (crv, kty) = (strict_json::quotable(crv), strict_json::quotable(kty));
            JwkError(format!("no curve {crv:?} of kty {kty:?} in this build"))
        })?;
        let mut bytes = coordinate(members, "x", curve)?;
        if kty == "EC" {
            bytes.insert(0, 4);
            bytes.extend(coordinate(members, "y", curve)?);
        }
        Self::new(curve, bytes)
    }

    /// Returns the JWK members `kty`, `crv`, `x` and `y`: the form of `epk`.
    pub fn to_members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let (x, y) = self.coordinates();
        members.insert("crv".into(), self.curve.name().into());
        members.insert("kty".into(), self.curve.kty().into());
        members.insert("x".into(), base64url::encode(x).into());
        if let Some(y) = y {
            members.insert("y".into(), base64url::encode(y).into());
        }
        members
    }
}

impl PublicKey {
    /// Returns the kind of key.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Rsa(_) => KeyKind::Rsa,
            Self::Point(point) => KeyKind::Curve(point.curve),
        }
    }

    /// Returns the members that make the key, without any metadata.
    pub fn to_members(&self) -> Map<String, Value> {
        match self {
            Self::Rsa(rsa) => {
                let mut members = Map::new();
                members.insert("e".into(), base64url::encode(&rsa.e).into());
                members.insert("kty".into(), "RSA".into());
                members.insert("n".into(), base64url::encode(&rsa.n).into());
                members
            }
            Self::Point(point) => point.to_members(),
        }
    }

    /// Returns the SHA-256 thumbprint, 43 characters of base64url (RFC 7638, RFC 8037 appendix A).
    pub fn thumbprint(&self) -> String {
        // serde_json's map is ordered by name and written without white space: section 3.3.
        let canonical = Value::Object(self.to_members()).to_string();
        base64url::encode(&Sha256::digest(canonical.as_bytes()))
    }
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

    fn public_half(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let key = match text(members, "kty")? {
            "RSA" => {
                PublicKey::Rsa(RsaPublic::new(&octets(members, "n")?, &octets(members, "e")?)?)
            }
            "EC" | "OKP" => PublicKey::Point(PublicPoint::from_members(members)?),
            other => {
                let other = strict_json::quotable(other);
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

impl PrivateJwk {
    /// Parses a private JWK. An RSA key needs its factors: `p`, `q`, `dp`, `dq` and `qi`; one of
    /// more than two primes (`oth`) is refused.
    ///
    /// # Errors
    /// Bad JSON, a missing or misformed member. No private member is quoted.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        let members = ZeroizingMembers(parse_members(json)?);
        let members = &members.0;
        let public = PublicJwk::public_half(members)?;
        let secret = |name| octets(members, name).map(Zeroizing::new);
        let private = match &public.key {
            // RFC 7518 section 6.3.2.7: who does not know `oth` must not use the key.
            PublicKey::Rsa(_) if members.contains_key("oth") => {
                return Err(JwkError::new("private RSA JWK of more than two primes (\"oth\")"));
            }
            PublicKey::Rsa(_) => {
                let factor = |name| {
                    secret(name).map_err(|_| {
                        JwkError(format!(
                            "private RSA JWK without a good {name:?}: the factors are needed"
                        ))
                    })
                };
                PrivateParts::Rsa {
                    d: secret("d")?,
                    p: factor("p")?,
                    q: factor("q")?,
                    dp: factor("dp")?,
                    dq: factor("dq")?,
                    qi: factor("qi")?,
                }
            }
            PublicKey::Point(point) => {
                let d = secret("d")?;
                if d.len() != point.curve.field_len() {
                    return Err(JwkError::new("private member \"d\" of the wrong length"));
                }
                PrivateParts::Scalar(d)
            }
        };
        Ok(Self { public, private })
    }
}

impl std::fmt::Debug for PrivateJwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateJwk({}, redacted)", self.public.key.kind())
    }
}

/// Clears the strings of a parsed private JWK on every way out.
struct ZeroizingMembers(Map<String, Value>);

impl Drop for ZeroizingMembers {
    fn drop(&mut self) {
        for (_, value) in self.0.iter_mut() {
            if let Value::String(text) = value {
                zeroize::Zeroize::zeroize(text);
            }
        }
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
    strict_json::parse_object(json).map_err(|error| JwkError(error.to_string()))
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

/// A coordinate has exactly the length of the field (RFC 7518 section 6.2.1.2).
fn coordinate(members: &Map<String, Value>, name: &str, curve: Curve) -> Result<Vec<u8>, JwkError> {
    let bytes = octets(members, name)?;
    if bytes.len() != curve.field_len() {
        return Err(JwkError(format!(
            "{name:?} has {} bytes, a coordinate on {curve} has {}",
            bytes.len(),
            curve.field_len()
        )));
    }
    Ok(bytes)
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

fn bit_len(bytes: &[u8]) -> usize {
    bytes.first().map_or(0, |first| bytes.len() * 8 - first.leading_zeros() as usize)
}

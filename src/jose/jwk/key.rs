//! The public key of a JWK: numbers and points, without anything that is said of them.

use serde_json::{Map, Value};

use super::super::alg::{Curve, KeyKind};
use super::super::{base64url, json};
use super::{JwkError, MAX_RSA_BITS, MIN_RSA_BITS, octets, text};

/// The largest prime that the primes of a ROCA key of 1984 to 3936 bits were made with; longer ones
/// were made with more.
const LARGEST_ROCA_PRIME: u32 = 701;

/// What is said of a ROCA key.
const ROCA: &str = "RSA modulus that anyone can factor (ROCA, CVE-2017-15361)";

/// A public key: of the right form, though a point has yet to be checked to lie on its curve.
///
/// ```
/// use hsm_jose::jose::jwk::PublicJwk;
///
/// // RFC 8037 appendix A.2.
/// let jwk = PublicJwk::parse(
///     br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// assert_eq!(jwk.key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// An RSA key.
    Rsa(RsaPublic),
    /// A point on a curve.
    Point(PublicPoint),
}

/// An RSA public key: both numbers big-endian, without leading zeros.
///
/// ```
/// use hsm_jose::jose::jwk::RsaPublic;
///
/// let key = RsaPublic::new(&[0xc5; 256], &[1, 0, 1])?;
/// assert_eq!((key.bits(), key.modulus_len()), (2048, 256));
/// assert!(RsaPublic::new(&[0xc5; 128], &[1, 0, 1]).is_err(), "1024 bits are too few");
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    n: Vec<u8>,
    e: Vec<u8>,
    /// Never of a key that was taken in: see [`RsaPublic::existing`].
    is_roca: bool,
}

/// A public point: 0x04 || X || Y for a P curve, 32 bytes for X25519 and Ed25519.
///
/// ```
/// use hsm_jose::jose::alg::Curve;
/// use hsm_jose::jose::jwk::PublicPoint;
///
/// let point = PublicPoint::new(Curve::X25519, vec![9; 32])?;
/// assert_eq!(point.coordinates().0.len(), 32);
/// assert!(PublicPoint::new(Curve::P256, vec![2; 33]).is_err(), "a compressed point");
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPoint {
    curve: Curve,
    bytes: Vec<u8>,
}

impl RsaPublic {
    /// Takes modulus and exponent, big-endian; leading zeros are dropped.
    ///
    /// # Errors
    /// A modulus outside [`MIN_RSA_BITS`] to [`MAX_RSA_BITS`], even, or of the form that anyone can
    /// factor (ROCA, CVE-2017-15361); an exponent that is even, below 3, or over 64 bits long.
    pub fn new(n: &[u8], e: &[u8]) -> Result<Self, JwkError> {
        let key = Self::existing(n, e)?;
        match key.weakness() {
            Some(what) => Err(JwkError::new(what)),
            None => Ok(key),
        }
    }

    /// As [`RsaPublic::new`], for a key that is recorded, or in a device, already: one that anyone can
    /// factor is read too, and marked. It is there to be told of and destroyed, and nothing uses it.
    pub(crate) fn existing(n: &[u8], e: &[u8]) -> Result<Self, JwkError> {
        let (roca, others): (Vec<_>, Vec<_>) =
            rsa_faults(n, e).into_iter().partition(|(_, what)| what == ROCA);
        if let Some((_, what)) = others.into_iter().next() {
            return Err(JwkError(what));
        }
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        Ok(Self { n: n.to_vec(), e: e.to_vec(), is_roca: !roca.is_empty() })
    }

    /// Returns why the key is not to be used, as [`PublicKey::weakness`].
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        self.is_roca.then_some(ROCA)
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
            let (crv, kty) = (json::quotable(crv), json::quotable(kty));
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
    /// Reads the members that make the key, and nothing else.
    ///
    /// # Errors
    /// A missing or misformed member, an unknown `kty` or `crv`, an RSA key that [`RsaPublic::new`]
    /// does not take.
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let key = Self::existing(members)?;
        match key.weakness() {
            Some(what) => Err(JwkError::new(what)),
            None => Ok(key),
        }
    }

    /// As [`PublicKey::from_members`], for a key that is recorded already: [`RsaPublic::existing`].
    pub(super) fn existing(members: &Map<String, Value>) -> Result<Self, JwkError> {
        match text(members, "kty")? {
            "RSA" => {
                let rsa = RsaPublic::existing(&octets(members, "n")?, &octets(members, "e")?);
                rsa.map(Self::Rsa)
            }
            "EC" | "OKP" => PublicPoint::from_members(members).map(Self::Point),
            other => {
                let other = json::quotable(other);
                Err(JwkError(format!("no key type {other:?} in this build")))
            }
        }
    }

    /// Returns why the key is not to be used, though it is of the right form: an RSA modulus that
    /// anyone can factor (ROCA, CVE-2017-15361). Only a key that a keyring or a device has already can
    /// be one, no other is taken in.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Rsa(rsa) => rsa.weakness(),
            Self::Point(_) => None,
        }
    }

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

/// Returns everything for which [`RsaPublic::new`] refuses a key: the member, and what is wrong.
pub(super) fn rsa_faults(n: &[u8], e: &[u8]) -> Vec<(&'static str, String)> {
    let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
    let mut faults = Vec::new();
    let bits = bit_len(n);
    let is_taken = (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits);
    if !is_taken {
        let what = format!("RSA modulus of {bits} bits, expected {MIN_RSA_BITS} to {MAX_RSA_BITS}");
        faults.push(("n", what));
    }
    if n.last().is_none_or(|byte| byte % 2 == 0) {
        faults.push(("n", "RSA modulus is even".to_owned()));
    } else if is_taken && is_roca(n) {
        faults.push(("n", ROCA.to_owned()));
    }
    let e_is_odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if !e_is_odd || e == [1] || e.len() > 8 {
        faults.push(("e", "RSA exponent is even, below 3 or over 64 bits".to_owned()));
    }
    faults
}

/// Returns the remainder of a number, big-endian, divided by a small one.
pub(super) fn remainder(n: &[u8], by: u32) -> u32 {
    n.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % by)
}

/// Whether a modulus is a power of 65537 modulo every small prime, as those of a faulty library in
/// chips are (Nemec and others, "The Return of Coppersmith's Attack", section 2). Of any other modulus
/// it is so with a probability of 2^-167; most are told apart by the first prime that is looked at.
fn is_roca(n: &[u8]) -> bool {
    // Of the smaller ones every number is a power.
    let primes = (11..=LARGEST_ROCA_PRIME).step_by(2).filter(|prime| {
        (3..).step_by(2).take_while(|by| by * by <= *prime).all(|by| prime % by != 0)
    });
    primes.into_iter().all(|prime| {
        let rest = remainder(n, prime);
        let mut power = 1;
        loop {
            if power == rest {
                break true;
            }
            power = power * (65537 % prime) % prime;
            if power == 1 {
                break false;
            }
        }
    })
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

fn bit_len(bytes: &[u8]) -> usize {
    bytes.first().map_or(0, |first| bytes.len() * 8 - first.leading_zeros() as usize)
}

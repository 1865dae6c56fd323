//! The host's half of ECDH: checks of a peer's point, and the sender's ephemeral agreement.

use aws_lc_rs::agreement::{
    Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey, ParsedPublicKey,
    UnparsedPublicKey, X25519, agree_ephemeral as agree,
};
use aws_lc_rs::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::jose::alg::Curve;
use crate::jose::jwk::PublicPoint;
use crate::secret::SharedSecret;

/// The point is not on its curve, is the identity, or (X25519, Ed25519) has a low order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the point is not a valid public key of its curve")]
pub struct InvalidPoint;

/// Checks that a point is a public key of its curve.
///
/// For a P curve: coordinates below the field's prime, on the curve, not the identity (SP 800-56A
/// revision 3 section 5.6.2.3.4). For X25519: not one of the points of low order, in any encoding
/// (RFC 7748 section 6.1). For Ed25519: encoded as RFC 8032 section 5.1.3 demands and not of low
/// order; a `y` that belongs to no point passes here, and no signature verifies under it.
///
/// # Errors
/// [`InvalidPoint`].
pub fn check_point(point: &PublicPoint) -> Result<(), InvalidPoint> {
    match point.curve() {
        Curve::X25519 => check_25519(point, &X25519_LOW_ORDER),
        Curve::Ed25519 if !is_below_p(point.as_bytes()) => Err(InvalidPoint),
        Curve::Ed25519 => check_25519(point, &ED25519_LOW_ORDER),
        Curve::P256 | Curve::P384 | Curve::P521 => parse(point).map(|_| ()),
    }
}

/// Draws an ephemeral key on the peer's curve and agrees: returns the ephemeral public point and Z,
/// as long as the field, leading zeros kept (RFC 7518 section 4.6.2, RFC 8037 section 3.2).
///
/// # Errors
/// [`InvalidPoint`] if the peer's is not a valid point for key agreement.
pub fn agree_ephemeral(peer: &PublicPoint) -> Result<(PublicPoint, SharedSecret), InvalidPoint> {
    let curve = peer.curve();
    let algorithm = agreement(curve).ok_or(InvalidPoint)?;
    if curve == Curve::X25519 {
        check_point(peer)?;
    }
    let parsed = parse(peer)?;
    let private = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new());
    let private = private.map_err(|_| InvalidPoint)?;
    let public = private.compute_public_key().map_err(|_| InvalidPoint)?;
    let epk = PublicPoint::new(curve, public.as_ref().to_vec()).map_err(|_| InvalidPoint)?;
    let z = agree(private, parsed, InvalidPoint, |z| {
        Ok(SharedSecret::new(Zeroizing::new(z.to_vec())))
    })?;
    Ok((epk, z))
}

/// Returns the library's key agreement on a curve; `None` for a curve of signatures.
pub(crate) fn agreement(curve: Curve) -> Option<&'static Algorithm> {
    match curve {
        Curve::P256 => Some(&ECDH_P256),
        Curve::P384 => Some(&ECDH_P384),
        Curve::P521 => Some(&ECDH_P521),
        Curve::X25519 => Some(&X25519),
        Curve::Ed25519 => None,
    }
}

/// Parses a point for agreement; one of a P curve is checked as [`check_point`] says.
fn parse(point: &PublicPoint) -> Result<ParsedPublicKey, InvalidPoint> {
    let algorithm = agreement(point.curve()).ok_or(InvalidPoint)?;
    let unparsed = UnparsedPublicKey::new(algorithm, point.as_bytes());
    ParsedPublicKey::try_from(unparsed).map_err(|_| InvalidPoint)
}

/// Refuses the encodings of `low_order`, whatever the top bit: X25519 ignores it, and in Ed25519
/// it negates x, which keeps the order.
fn check_25519(point: &PublicPoint, low_order: &[[u8; 32]; 7]) -> Result<(), InvalidPoint> {
    let mut bytes: [u8; 32] = point.as_bytes().try_into().map_err(|_| InvalidPoint)?;
    bytes[31] &= 0x7f;
    if low_order.contains(&bytes) { Err(InvalidPoint) } else { Ok(()) }
}

/// Returns whether the low 255 bits, little-endian, are below p = 2^255 - 19.
fn is_below_p(bytes: &[u8]) -> bool {
    let [first, middle @ .., last] = bytes else { return false };
    let is_high = last & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    !is_high || *first < 0xed
}

/// p - 1, p and p + 1 for p = 2^255 - 19, little-endian: -1, and 0 and 1 not reduced.
const AROUND_P: [[u8; 32]; 3] = [around_p(0xec), around_p(0xed), around_p(0xee)];

/// The u-coordinates of low order, little-endian: 0, 1, two of order 8, then [`AROUND_P`].
const X25519_LOW_ORDER: [[u8; 32]; 7] = [
    small(0),
    small(1),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    AROUND_P[0],
    AROUND_P[1],
    AROUND_P[2],
];

/// The y-coordinates of low order, little-endian, in the same order.
const ED25519_LOW_ORDER: [[u8; 32]; 7] = [
    small(0),
    small(1),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    AROUND_P[0],
    AROUND_P[1],
    AROUND_P[2],
];

const fn small(value: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = value;
    bytes
}

const fn around_p(low: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = low;
    bytes[31] = 0x7f;
    bytes
}

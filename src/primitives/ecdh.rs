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
///
/// ```
/// use hsm_jose::jose::alg::Curve;
/// use hsm_jose::jose::jwk::PublicPoint;
/// use hsm_jose::primitives::ecdh::check_point;
///
/// // A point of low order: every agreement with it has the same result.
/// let zero = PublicPoint::new(Curve::X25519, vec![0; 32])?;
/// assert!(check_point(&zero).is_err());
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
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

/// A recipient's point, checked and parsed once.
///
/// ```
/// use hsm_jose::jose::alg::Curve;
/// use hsm_jose::jose::jwk::PublicPoint;
/// use hsm_jose::primitives::ecdh::EcdhRecipient;
///
/// let point = PublicPoint::new(Curve::X25519, vec![9; 32]).expect("32 bytes");
/// assert!(EcdhRecipient::new(&point).is_ok());
/// ```
#[derive(Debug)]
pub struct EcdhRecipient {
    curve: Curve,
    parsed: ParsedPublicKey,
}

impl EcdhRecipient {
    /// Checks and parses the point.
    ///
    /// # Errors
    /// [`InvalidPoint`] if it is not a valid point for key agreement.
    pub fn new(point: &PublicPoint) -> Result<Self, InvalidPoint> {
        if point.curve() == Curve::X25519 {
            check_point(point)?;
        }
        Ok(Self { curve: point.curve(), parsed: parse(point)? })
    }

    /// Draws an ephemeral key on the recipient's curve and agrees: returns the ephemeral public point
    /// and Z, as long as the field, leading zeros kept (RFC 7518 section 4.6.2, RFC 8037 section
    /// 3.2).
    ///
    /// # Errors
    /// [`InvalidPoint`] if the library refuses the recipient's.
    pub fn agree_ephemeral(&self) -> Result<(PublicPoint, SharedSecret), InvalidPoint> {
        let algorithm = agreement(self.curve).ok_or(InvalidPoint)?;
        let private = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new());
        let private = private.map_err(|_| InvalidPoint)?;
        let public = private.compute_public_key().map_err(|_| InvalidPoint)?;
        let epk = PublicPoint::new(self.curve, public.as_ref().to_vec());
        // The clone shares the parsed key.
        let z = agree(private, self.parsed.clone(), InvalidPoint, |z| {
            Ok(SharedSecret::new(Zeroizing::new(z.to_vec())))
        })?;
        Ok((epk.map_err(|_| InvalidPoint)?, z))
    }
}

/// [`EcdhRecipient::agree_ephemeral`] with a point that is used once.
///
/// # Errors
/// [`InvalidPoint`] if the peer's is not a valid point for key agreement.
pub fn agree_ephemeral(peer: &PublicPoint) -> Result<(PublicPoint, SharedSecret), InvalidPoint> {
    EcdhRecipient::new(peer)?.agree_ephemeral()
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

#[cfg(test)]
mod tests {
    use aws_lc_rs::agreement::{PrivateKey, agree as agree_static};

    use super::*;
    use crate::jose::base64url;
    use crate::primitives::concat_kdf::{derive, other_info};
    use crate::primitives::test_hex;

    const AGREE: [Curve; 4] = [Curve::P256, Curve::P384, Curve::P521, Curve::X25519];

    fn z(curve: Curve, private: &[u8], peer: &[u8]) -> Option<Vec<u8>> {
        let algorithm = agreement(curve).unwrap();
        let private = PrivateKey::from_private_key(algorithm, private).unwrap();
        let peer = UnparsedPublicKey::new(algorithm, peer);
        agree_static(&private, peer, (), |z| Ok(z.to_vec())).ok()
    }

    #[test]
    fn rfc_7518_appendix_c() {
        let octets = |text: &str| base64url::decode(text.as_bytes()).unwrap();
        let bob = PublicPoint::new(
            Curve::P256,
            [
                vec![4],
                octets("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ"),
                octets("e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"),
            ]
            .concat(),
        )
        .unwrap();
        check_point(&bob).unwrap();
        let alice = octets("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo");
        let z = z(Curve::P256, &alice, bob.as_bytes()).unwrap();
        assert_eq!(
            test_hex::encode(&z),
            "9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4"
        );
        let info = other_info("A128GCM", b"Alice", b"Bob", 16);
        let key = derive(&SharedSecret::new(Zeroizing::new(z)), &info, 16);
        assert_eq!(base64url::encode(key.expose()), "VqqN6vgjbSBcIijNcacQGg");
    }

    #[test]
    fn rfc_8037_appendix_a_6() {
        let bob = base64url::decode(b"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08").unwrap();
        let ephemeral = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let z = z(Curve::X25519, &test_hex::decode(ephemeral), &bob).unwrap();
        assert_eq!(
            test_hex::encode(&z),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        );
    }

    #[test]
    fn both_sides_agree_and_z_is_as_long_as_the_field() {
        for curve in AGREE {
            let algorithm = agreement(curve).unwrap();
            // Enough rounds that some Z on P-521 starts with a zero byte: its top byte is 0 or 1.
            for _ in 0..16 {
                let private = PrivateKey::generate(algorithm).unwrap();
                let public = private.compute_public_key().unwrap();
                let peer = PublicPoint::new(curve, public.as_ref().to_vec()).unwrap();
                check_point(&peer).unwrap();
                let (epk, z) = agree_ephemeral(&peer).unwrap();
                check_point(&epk).unwrap();
                assert_eq!(z.expose().len(), curve.field_len());
                let epk = UnparsedPublicKey::new(algorithm, epk.as_bytes());
                let other = agree_static(&private, epk, (), |z| Ok(z.to_vec())).unwrap();
                assert_eq!(z.expose(), other);
            }
        }
    }

    #[test]
    fn x25519_points_of_low_order_are_refused_as_the_library_refuses_them() {
        for low_order in X25519_LOW_ORDER {
            for top_bit in [0, 0x80] {
                let mut bytes = low_order;
                bytes[31] |= top_bit;
                let point = PublicPoint::new(Curve::X25519, bytes.to_vec()).unwrap();
                assert_eq!(check_point(&point), Err(InvalidPoint));
                assert_eq!(agree_ephemeral(&point).err(), Some(InvalidPoint));
                assert_eq!(z(Curve::X25519, &[0x42; 32], &bytes), None);
            }
        }
        let base = PublicPoint::new(Curve::X25519, small(9).to_vec()).unwrap();
        assert_eq!(check_point(&base), Ok(()));
    }

    /// Under A of order 1, R = s * B verifies for every message; the low orders are all like it.
    #[test]
    fn ed25519_points_of_low_order_and_other_encodings_are_refused() {
        for low_order in ED25519_LOW_ORDER {
            for top_bit in [0, 0x80] {
                let mut bytes = low_order;
                bytes[31] |= top_bit;
                let point = PublicPoint::new(Curve::Ed25519, bytes.to_vec()).unwrap();
                assert_eq!(check_point(&point), Err(InvalidPoint));
            }
        }
        for low in 0xed..=0xff {
            let point = PublicPoint::new(Curve::Ed25519, around_p(low).to_vec()).unwrap();
            assert_eq!(check_point(&point), Err(InvalidPoint));
        }
        let good = base64url::decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let good = PublicPoint::new(Curve::Ed25519, good).unwrap();
        assert_eq!(check_point(&good), Ok(()));
        assert_eq!(agree_ephemeral(&good).err(), Some(InvalidPoint));
    }

    #[test]
    fn points_off_a_p_curve_are_refused() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let private = PrivateKey::generate(agreement(curve).unwrap()).unwrap();
            let good = private.compute_public_key().unwrap().as_ref().to_vec();
            let len = curve.field_len();
            let mut off = good.clone();
            off[2 * len] ^= 1;
            let zero = [&[4], vec![0; 2 * len].as_slice()].concat();
            let not_reduced = [&[4], vec![0xff; len].as_slice(), &good[1 + len..]].concat();
            for bytes in [off, zero, not_reduced] {
                let point = PublicPoint::new(curve, bytes).unwrap();
                assert_eq!(check_point(&point), Err(InvalidPoint));
                assert_eq!(agree_ephemeral(&point).err(), Some(InvalidPoint));
            }
        }
    }
}

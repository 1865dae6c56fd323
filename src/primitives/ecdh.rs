//! The host's half of ECDH: checks of a peer's point, and the sender's ephemeral agreement.

use crate::jose::jwk::PublicPoint;
use crate::secret::SharedSecret;

/// The point is not on its curve, is the identity, or (X25519) has a low order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the point is not a valid public key of its curve")]
pub struct InvalidPoint;

/// Checks that a point is a public key of its curve (SP 800-56A section 5.6.2.3; for X25519, that it
/// is not one of the low-order points: RFC 7748 section 6.1).
///
/// # Errors
/// [`InvalidPoint`].
pub fn check_point(_point: &PublicPoint) -> Result<(), InvalidPoint> {
    todo!()
}

/// Draws an ephemeral key on the peer's curve and agrees: returns the ephemeral public point and Z,
/// as long as the field.
///
/// # Errors
/// [`InvalidPoint`] if the peer's is not a valid point for key agreement.
pub fn agree_ephemeral(_peer: &PublicPoint) -> Result<(PublicPoint, SharedSecret), InvalidPoint> {
    todo!()
}

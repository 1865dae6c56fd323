//! What algorithms are made of: curves and hash functions.

use std::fmt;

/// A named elliptic curve of a JWK `crv`.
///
/// ```
/// use hsm_jose::jose::alg::Curve;
///
/// assert_eq!((Curve::P521.field_len(), Curve::P521.kty()), (66, "EC"));
/// assert!(Curve::X25519.agrees() && !Curve::Ed25519.agrees());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Curve {
    /// NIST P-256; field 32 bytes.
    P256,
    /// NIST P-384; field 48 bytes.
    P384,
    /// NIST P-521; field 66 bytes.
    P521,
    /// X25519, key agreement only; public key 32 bytes.
    X25519,
    /// Ed25519, signatures only; public key 32 bytes.
    Ed25519,
}

/// A hash function that an algorithm names.
///
/// ```
/// use hsm_jose::jose::alg::Hash;
///
/// assert_eq!(Hash::Sha384.len(), 48);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1, 20 bytes: inside `RSA-OAEP` only.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

names!(Curve, "curve", {
    P256 => "P-256",
    P384 => "P-384",
    P521 => "P-521",
    X25519 => "X25519",
    Ed25519 => "Ed25519",
});

impl Curve {
    /// Returns the length of a coordinate (P curves) or of the public key (25519), in bytes.
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 | Self::X25519 | Self::Ed25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Returns whether the curve is for key agreement in this build.
    #[must_use]
    pub const fn agrees(self) -> bool {
        !matches!(self, Self::Ed25519)
    }

    /// Returns the JWK key type: `EC` or `OKP`.
    pub const fn kty(self) -> &'static str {
        match self {
            Self::P256 | Self::P384 | Self::P521 => "EC",
            Self::X25519 | Self::Ed25519 => "OKP",
        }
    }
}

impl Hash {
    /// Returns the length of the digest, in bytes.
    pub const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Returns false: every hash has a digest. Beside `len`, as Rust expects.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }
}

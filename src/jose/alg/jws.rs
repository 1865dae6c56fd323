//! The algorithms of a JWS.

use std::fmt;

use super::{Curve, Hash, KeyKind, is_secret_len};

/// A JWS `alg` (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2).
///
/// ```
/// use hsm_jose::jose::alg::{Curve, SignatureAlgorithm};
///
/// assert_eq!(SignatureAlgorithm::Es256.curve(), Some(Curve::P256));
/// assert!(SignatureAlgorithm::EdDsa.is_same_as(SignatureAlgorithm::Ed25519));
/// assert!(SignatureAlgorithm::from_name("none").is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// `RS384`: RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// `RS512`: RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// `PS256`: RSASSA-PSS with SHA-256, MGF1-SHA-256 and a 32-byte salt.
    Ps256,
    /// `PS384`: RSASSA-PSS with SHA-384, MGF1-SHA-384 and a 48-byte salt.
    Ps384,
    /// `PS512`: RSASSA-PSS with SHA-512, MGF1-SHA-512 and a 64-byte salt.
    Ps512,
    /// `ES256`: ECDSA on P-256 with SHA-256; signature 64 bytes, `r || s`.
    Es256,
    /// `ES384`: ECDSA on P-384 with SHA-384; signature 96 bytes.
    Es384,
    /// `ES512`: ECDSA on P-521 with SHA-512; signature 132 bytes.
    Es512,
    /// `EdDSA` with Ed25519; signature 64 bytes (RFC 8037).
    EdDsa,
    /// `Ed25519`: the fully specified name of the same algorithm (RFC 9864).
    Ed25519,
    /// `HS256`: HMAC with SHA-256 and a shared key of 32 bytes or more; MAC 32 bytes.
    Hs256,
    /// `HS384`: HMAC with SHA-384 and a shared key of 48 bytes or more; MAC 48 bytes.
    Hs384,
    /// `HS512`: HMAC with SHA-512 and a shared key of 64 bytes or more; MAC 64 bytes.
    Hs512,
}

names!(SignatureAlgorithm, "JWS alg", {
    Rs256 => "RS256",
    Rs384 => "RS384",
    Rs512 => "RS512",
    Ps256 => "PS256",
    Ps384 => "PS384",
    Ps512 => "PS512",
    Es256 => "ES256",
    Es384 => "ES384",
    Es512 => "ES512",
    EdDsa => "EdDSA",
    Ed25519 => "Ed25519",
    Hs256 => "HS256",
    Hs384 => "HS384",
    Hs512 => "HS512",
});

impl SignatureAlgorithm {
    /// Returns the hash of the message; Ed25519 has none of its own here, it takes the message whole.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::Hs256 => Some(Hash::Sha256),
            Self::Rs384 | Self::Ps384 | Self::Es384 | Self::Hs384 => Some(Hash::Sha384),
            Self::Rs512 | Self::Ps512 | Self::Es512 | Self::Hs512 => Some(Hash::Sha512),
            Self::EdDsa | Self::Ed25519 => None,
        }
    }

    /// Returns whether this is a MAC under a shared key, and not a signature.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// Returns the one curve of the algorithm; RSA and HMAC algorithms have none.
    pub const fn curve(self) -> Option<Curve> {
        match self {
            Self::Es256 => Some(Curve::P256),
            Self::Es384 => Some(Curve::P384),
            Self::Es512 => Some(Curve::P521),
            Self::EdDsa | Self::Ed25519 => Some(Curve::Ed25519),
            _ => None,
        }
    }

    /// Returns whether a key of `kind` can do this algorithm. A MAC takes keys up to
    /// [`MAX_SECRET_BITS`](super::MAX_SECRET_BITS).
    #[must_use]
    pub fn fits(self, kind: KeyKind) -> bool {
        match kind {
            KeyKind::Rsa => self.curve().is_none() && !self.is_symmetric(),
            KeyKind::Curve(curve) => self.curve() == Some(curve),
            // RFC 7518 section 3.2: a key as long as the hash or longer.
            KeyKind::Oct { bits } => {
                let least = self.hash().map_or(0, |hash| 8 * hash.len() as u32);
                self.is_symmetric() && bits >= least && is_secret_len(bits)
            }
        }
    }

    /// Returns whether both names mean one algorithm: `EdDSA` and `Ed25519` do (RFC 9864).
    #[must_use]
    pub fn is_same_as(self, other: Self) -> bool {
        let one_name = |alg| if alg == Self::Ed25519 { Self::EdDsa } else { alg };
        one_name(self) == one_name(other)
    }
}

//! The algorithms of RFC 7518 (and RFC 8037, RFC 9864) that this build can do, and what each needs.
//!
//! What is not listed here cannot be asked for: `none`, `RSA1_5`, `PBES2-*` and `zip` have no value.

use std::fmt;

/// The registered names of the values of a type, both ways.
macro_rules! names {
    ($type:ident, $what:literal, { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of its specification.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// Returns the registered name, as it stands in a header or JWK.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name),+ }
            }

            /// Finds the value of a registered name: exact, case-sensitive (RFC 7515 section 4.1.1).
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some($type::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::from_name(&name).ok_or_else(|| {
                    serde::de::Error::custom(format_args!(
                        concat!("{:?} is not a ", $what, " of this build"), name
                    ))
                })
            }
        }
    };
}

mod jwe;
mod jws;
mod parts;

pub use jwe::{AesKeyWrap, ContentEncryption, KeyManagement, KeyManagementMode};
pub use jws::SignatureAlgorithm;
pub use parts::{Curve, Hash};

/// The longest symmetric key that is made or taken, in bits: the block of SHA-384 and SHA-512. HMAC
/// hashes a longer key before it uses it, which adds nothing (RFC 2104 section 3).
pub const MAX_SECRET_BITS: u32 = 1024;

/// Any algorithm that a private key can be bound to: a JWE `alg` or a JWS `alg`.
///
/// ```
/// use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
///
/// let alg = KeyAlgorithm::from_name("PS256");
/// assert_eq!(alg, Some(KeyAlgorithm::Sign(SignatureAlgorithm::Ps256)));
/// assert!(KeyAlgorithm::from_name("ps256").is_none(), "names are case-sensitive");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// A JWE `alg`.
    Unwrap(KeyManagement),
    /// A JWS `alg`.
    Sign(SignatureAlgorithm),
}

/// What kind of key an algorithm works with.
///
/// ```
/// use hsm_jose::jose::alg::{Curve, KeyKind, KeyManagement};
///
/// assert!(KeyManagement::EcdhEs.fits(KeyKind::Curve(Curve::X25519)));
/// assert!(!KeyManagement::EcdhEs.fits(KeyKind::Rsa));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// An RSA key.
    Rsa,
    /// A key on one curve.
    Curve(Curve),
    /// A symmetric key of this many bits (JWK `kty` is `oct`). No public key is ever of this kind.
    Oct {
        /// The length of the key in bits, a multiple of 8.
        bits: u32,
    },
}

/// What a key is for; fixed when it enters the keyring (NIST SP 800-57 part 1 section 5.2).
///
/// ```
/// use hsm_jose::jose::alg::{KeyAlgorithm, Purpose};
///
/// let alg = KeyAlgorithm::from_name("RSA-OAEP-256").expect("this build knows it");
/// assert_eq!(alg.purpose(), Purpose::Decrypt);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Unwraps content encryption keys; JWK `use` is `enc`.
    Decrypt,
    /// Signs; JWK `use` is `sig`.
    Sign,
}

impl KeyAlgorithm {
    /// Returns every algorithm of this build.
    pub fn all() -> impl Iterator<Item = Self> {
        let unwrap = KeyManagement::ALL.iter().map(|alg| Self::Unwrap(*alg));
        unwrap.chain(SignatureAlgorithm::ALL.iter().map(|alg| Self::Sign(*alg)))
    }

    /// Returns the registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unwrap(alg) => alg.name(),
            Self::Sign(alg) => alg.name(),
        }
    }

    /// Finds the algorithm of a registered name.
    pub fn from_name(name: &str) -> Option<Self> {
        let unwrap = KeyManagement::from_name(name).map(Self::Unwrap);
        unwrap.or_else(|| SignatureAlgorithm::from_name(name).map(Self::Sign))
    }

    /// Returns the purpose of a key that does this algorithm.
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Unwrap(_) => Purpose::Decrypt,
            Self::Sign(_) => Purpose::Sign,
        }
    }

    /// Returns whether the key is shared: a secret that both sides hold.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        match self {
            Self::Unwrap(alg) => alg.is_symmetric(),
            Self::Sign(alg) => alg.is_symmetric(),
        }
    }

    /// Returns whether a key of `kind` can do this algorithm.
    #[must_use]
    pub fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Unwrap(alg) => alg.fits(kind),
            Self::Sign(alg) => alg.fits(kind),
        }
    }

    /// Returns whether both are one algorithm (`EdDSA` and `Ed25519` are).
    #[must_use]
    pub fn is_same_as(self, other: Self) -> bool {
        match (self, other) {
            (Self::Sign(a), Self::Sign(b)) => a.is_same_as(b),
            (a, b) => a == b,
        }
    }
}

impl KeyKind {
    /// Returns whether it is that of symmetric keys.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Oct { .. })
    }
}

impl Purpose {
    /// Returns the `use` of a JWK for this purpose (RFC 7517 section 4.2).
    pub const fn jwk_use(self) -> &'static str {
        match self {
            Self::Decrypt => "enc",
            Self::Sign => "sig",
        }
    }

    /// Returns the `key_ops` of either half of a key for this purpose (RFC 7517 section 4.3).
    pub const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Decrypt => {
                &["decrypt", "encrypt", "unwrapKey", "wrapKey", "deriveKey", "deriveBits"]
            }
            Self::Sign => &["sign", "verify"],
        }
    }

    /// Returns whether an algorithm of this build does this with keys of a kind.
    #[must_use]
    pub fn fits(self, kind: KeyKind) -> bool {
        KeyAlgorithm::all().any(|alg| alg.purpose() == self && alg.fits(kind))
    }

    /// Returns the `key_ops` of the public half of a key for this purpose (RFC 7517 section 4.3); an
    /// agreement's are those of either half.
    pub const fn public_operations(self) -> &'static [&'static str] {
        match self {
            Self::Decrypt => &["encrypt", "wrapKey", "deriveKey", "deriveBits"],
            Self::Sign => &["verify"],
        }
    }

    /// Returns the `key_ops` of the private half of a key for this purpose (RFC 7517 section 4.3).
    pub const fn private_operations(self) -> &'static [&'static str] {
        match self {
            Self::Decrypt => &["decrypt", "unwrapKey", "deriveKey", "deriveBits"],
            Self::Sign => &["sign"],
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for KeyAlgorithm {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for KeyAlgorithm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            serde::de::Error::custom(format_args!("{name:?} is not an alg of this build"))
        })
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa => f.write_str("RSA"),
            Self::Curve(curve) => f.write_str(curve.name()),
            Self::Oct { bits } => write!(f, "oct-{bits}"),
        }
    }
}

/// Whether an HMAC key can have this many bits.
const fn is_secret_len(bits: u32) -> bool {
    bits <= MAX_SECRET_BITS && bits.is_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_case_sensitive() {
        for alg in KeyAlgorithm::all() {
            assert_eq!(KeyAlgorithm::from_name(alg.name()), Some(alg));
        }
        for refused in ["none", "noNE", "RSA1_5", "Rsa-OAEP", "RSA-OAEP ", "DIR", "hs256", ""] {
            assert_eq!(KeyAlgorithm::from_name(refused), None, "{refused:?}");
        }
    }

    /// RFC 7518 sections 3.2, 4.4, 4.5 and 4.7.
    #[test]
    fn a_symmetric_algorithm_takes_secret_keys_of_its_length_and_nothing_public() {
        let public = Curve::ALL.iter().map(|curve| KeyKind::Curve(*curve)).chain([KeyKind::Rsa]);
        let public: Vec<_> = public.collect();
        for alg in KeyAlgorithm::all() {
            let takes_secret = (0..=1032).any(|bits| alg.fits(KeyKind::Oct { bits }));
            assert_eq!(takes_secret, alg.is_symmetric(), "{alg}");
            assert_ne!(public.iter().any(|kind| alg.fits(*kind)), takes_secret, "{alg}");
        }
        let lengths = |alg: &str| {
            let alg = KeyAlgorithm::from_name(alg).unwrap();
            let fits = (0..=2048).filter(|bits| alg.fits(KeyKind::Oct { bits: *bits }));
            fits.collect::<Vec<_>>()
        };
        assert_eq!(lengths("A192KW"), [192]);
        assert_eq!(lengths("A256GCMKW"), [256]);
        assert_eq!(lengths("dir"), [128, 192, 256, 384, 512]);
        for (alg, least) in [("HS256", 256), ("HS384", 384), ("HS512", 512)] {
            let lengths = lengths(alg);
            assert_eq!((lengths.first(), lengths.last()), (Some(&least), Some(&1024)));
            assert!(lengths.iter().all(|bits| bits % 8 == 0));
        }
    }

    #[test]
    fn ed25519_has_two_names() {
        assert!(SignatureAlgorithm::EdDsa.is_same_as(SignatureAlgorithm::Ed25519));
        assert!(!SignatureAlgorithm::EdDsa.is_same_as(SignatureAlgorithm::Es256));
    }
}

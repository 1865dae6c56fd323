//! The algorithms of RFC 7518 (and RFC 8037, RFC 9864) that this build can do, and what each needs.
//!
//! What is not listed here cannot be asked for: `none`, `RSA1_5`, `PBES2-*` and `zip` have no value.

use std::fmt;

/// The longest symmetric key that is made or taken, in bits: the block of SHA-384 and SHA-512. HMAC
/// hashes a longer key before it uses it, which adds nothing (RFC 2104 section 3).
pub const MAX_SECRET_BITS: u32 = 1024;

/// A JWE `alg`: how the content encryption key reaches the recipient (RFC 7518 section 4.1).
///
/// ```
/// use hsm_jose::jose::alg::KeyManagement;
///
/// let alg = KeyManagement::from_name("ECDH-ES+A256KW").expect("this build knows it");
/// assert!(alg.is_ecdh() && !alg.is_direct());
/// assert!(KeyManagement::from_name("RSA1_5").is_none(), "it cannot even be named");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyManagement {
    /// `RSA-OAEP`: RSAES-OAEP with SHA-1 and MGF1-SHA-1 (RFC 7518 section 4.3).
    RsaOaep,
    /// `RSA-OAEP-256`: RSAES-OAEP with SHA-256 and MGF1-SHA-256 (RFC 7518 section 4.3).
    RsaOaep256,
    /// `RSA-OAEP-384`: RSAES-OAEP with SHA-384 and MGF1-SHA-384 (Web Cryptography API, IANA).
    RsaOaep384,
    /// `RSA-OAEP-512`: RSAES-OAEP with SHA-512 and MGF1-SHA-512 (Web Cryptography API, IANA).
    RsaOaep512,
    /// `ECDH-ES`: the derived key is the CEK (RFC 7518 section 4.6).
    EcdhEs,
    /// `ECDH-ES+A128KW`: the derived key wraps the CEK with AES-128 key wrap.
    EcdhEsA128Kw,
    /// `ECDH-ES+A192KW`: the derived key wraps the CEK with AES-192 key wrap.
    EcdhEsA192Kw,
    /// `ECDH-ES+A256KW`: the derived key wraps the CEK with AES-256 key wrap.
    EcdhEsA256Kw,
    /// `A128KW`: AES-128 key wrap with a shared key of 16 bytes (RFC 7518 section 4.4).
    A128Kw,
    /// `A192KW`: AES-192 key wrap with a shared key of 24 bytes.
    A192Kw,
    /// `A256KW`: AES-256 key wrap with a shared key of 32 bytes.
    A256Kw,
    /// `A128GCMKW`: AES-128 in GCM wraps the CEK; shared key 16 bytes, IV 12, tag 16 (RFC 7518
    /// section 4.7).
    A128GcmKw,
    /// `A192GCMKW`: AES-192 in GCM wraps the CEK; shared key 24 bytes, IV 12, tag 16.
    A192GcmKw,
    /// `A256GCMKW`: AES-256 in GCM wraps the CEK; shared key 32 bytes, IV 12, tag 16.
    A256GcmKw,
    /// `dir`: the shared key is the CEK (RFC 7518 section 4.5).
    Dir,
}

/// How an `alg` determines the content encryption key (RFC 7516 section 2, "Key Management Mode").
///
/// ```
/// use hsm_jose::jose::alg::{KeyManagement, KeyManagementMode};
///
/// assert_eq!(KeyManagement::Dir.mode(), KeyManagementMode::DirectEncryption);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyManagementMode {
    /// The CEK is encrypted to the recipient's public key; the hash is that of OAEP and its MGF1.
    KeyEncryption(Hash),
    /// The CEK is wrapped under a shared key with AES key wrap.
    KeyWrapping(AesKeyWrap),
    /// The CEK is encrypted under a shared key with AES in GCM, whose key has the length of that of
    /// the key wrap.
    GcmKeyWrapping(AesKeyWrap),
    /// The agreed key is the CEK.
    DirectKeyAgreement,
    /// The agreed key wraps the CEK.
    KeyAgreementWithKeyWrapping(AesKeyWrap),
    /// The shared key is the CEK.
    DirectEncryption,
}

/// A JWE `enc`: how the content is encrypted (RFC 7518 section 5.1).
///
/// ```
/// use hsm_jose::jose::alg::ContentEncryption;
///
/// let enc = ContentEncryption::A128CbcHs256;
/// assert_eq!((enc.key_len(), enc.iv_len(), enc.tag_len()), (32, 16, 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ContentEncryption {
    /// `A128GCM`: AES-128 in GCM; key 16 bytes, IV 12, tag 16 (RFC 7518 section 5.3).
    A128Gcm,
    /// `A192GCM`: AES-192 in GCM; key 24 bytes, IV 12, tag 16.
    A192Gcm,
    /// `A256GCM`: AES-256 in GCM; key 32 bytes, IV 12, tag 16.
    A256Gcm,
    /// `A128CBC-HS256`: key 32 bytes (MAC key 16, then AES key 16), IV 16, tag 16 (section 5.2.3).
    A128CbcHs256,
    /// `A192CBC-HS384`: key 48 bytes, IV 16, tag 24 (section 5.2.4).
    A192CbcHs384,
    /// `A256CBC-HS512`: key 64 bytes, IV 16, tag 32 (section 5.2.5).
    A256CbcHs512,
}

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

/// The AES key wrap of RFC 3394, by the length of its key.
///
/// ```
/// use hsm_jose::jose::alg::AesKeyWrap;
/// use hsm_jose::primitives::aes_kw;
///
/// let kek = [7; 32];
/// let wrapped = aes_kw::wrap(AesKeyWrap::A256Kw, &kek, &[1; 16]);
/// assert_eq!(wrapped.len(), 24);
/// assert_eq!(*aes_kw::unwrap(AesKeyWrap::A256Kw, &kek, &wrapped).expect("whole"), [1; 16]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AesKeyWrap {
    /// AES-128 key wrap; key 16 bytes.
    A128Kw,
    /// AES-192 key wrap; key 24 bytes.
    A192Kw,
    /// AES-256 key wrap; key 32 bytes.
    A256Kw,
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

names!(KeyManagement, "JWE alg", {
    RsaOaep => "RSA-OAEP",
    RsaOaep256 => "RSA-OAEP-256",
    RsaOaep384 => "RSA-OAEP-384",
    RsaOaep512 => "RSA-OAEP-512",
    EcdhEs => "ECDH-ES",
    EcdhEsA128Kw => "ECDH-ES+A128KW",
    EcdhEsA192Kw => "ECDH-ES+A192KW",
    EcdhEsA256Kw => "ECDH-ES+A256KW",
    A128Kw => "A128KW",
    A192Kw => "A192KW",
    A256Kw => "A256KW",
    A128GcmKw => "A128GCMKW",
    A192GcmKw => "A192GCMKW",
    A256GcmKw => "A256GCMKW",
    Dir => "dir",
});

names!(ContentEncryption, "JWE enc", {
    A128Gcm => "A128GCM",
    A192Gcm => "A192GCM",
    A256Gcm => "A256GCM",
    A128CbcHs256 => "A128CBC-HS256",
    A192CbcHs384 => "A192CBC-HS384",
    A256CbcHs512 => "A256CBC-HS512",
});

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

names!(Curve, "curve", {
    P256 => "P-256",
    P384 => "P-384",
    P521 => "P-521",
    X25519 => "X25519",
    Ed25519 => "Ed25519",
});

impl KeyManagement {
    /// Returns how the algorithm determines the content encryption key.
    pub const fn mode(self) -> KeyManagementMode {
        use KeyManagementMode as Mode;
        match self {
            Self::RsaOaep => Mode::KeyEncryption(Hash::Sha1),
            Self::RsaOaep256 => Mode::KeyEncryption(Hash::Sha256),
            Self::RsaOaep384 => Mode::KeyEncryption(Hash::Sha384),
            Self::RsaOaep512 => Mode::KeyEncryption(Hash::Sha512),
            Self::EcdhEs => Mode::DirectKeyAgreement,
            Self::EcdhEsA128Kw => Mode::KeyAgreementWithKeyWrapping(AesKeyWrap::A128Kw),
            Self::EcdhEsA192Kw => Mode::KeyAgreementWithKeyWrapping(AesKeyWrap::A192Kw),
            Self::EcdhEsA256Kw => Mode::KeyAgreementWithKeyWrapping(AesKeyWrap::A256Kw),
            Self::A128Kw => Mode::KeyWrapping(AesKeyWrap::A128Kw),
            Self::A192Kw => Mode::KeyWrapping(AesKeyWrap::A192Kw),
            Self::A256Kw => Mode::KeyWrapping(AesKeyWrap::A256Kw),
            Self::A128GcmKw => Mode::GcmKeyWrapping(AesKeyWrap::A128Kw),
            Self::A192GcmKw => Mode::GcmKeyWrapping(AesKeyWrap::A192Kw),
            Self::A256GcmKw => Mode::GcmKeyWrapping(AesKeyWrap::A256Kw),
            Self::Dir => Mode::DirectEncryption,
        }
    }

    /// Returns the OAEP hash (also that of MGF1) of an RSA algorithm.
    pub const fn oaep_hash(self) -> Option<Hash> {
        match self.mode() {
            KeyManagementMode::KeyEncryption(hash) => Some(hash),
            _ => None,
        }
    }

    /// Returns the key wrap that follows the agreement, for `ECDH-ES+A*KW`.
    pub const fn key_wrap(self) -> Option<AesKeyWrap> {
        match self.mode() {
            KeyManagementMode::KeyAgreementWithKeyWrapping(wrap) => Some(wrap),
            _ => None,
        }
    }

    /// Returns whether this is one of the ECDH-ES family.
    pub const fn is_ecdh(self) -> bool {
        matches!(
            self.mode(),
            KeyManagementMode::DirectKeyAgreement
                | KeyManagementMode::KeyAgreementWithKeyWrapping(_)
        )
    }

    /// Returns whether the key is shared: a secret that both sides hold.
    pub const fn is_symmetric(self) -> bool {
        matches!(
            self.mode(),
            KeyManagementMode::KeyWrapping(_)
                | KeyManagementMode::GcmKeyWrapping(_)
                | KeyManagementMode::DirectEncryption
        )
    }

    /// Returns whether the CEK follows from the key alone, so that a token has one recipient and no
    /// encrypted key (RFC 7516 section 7.2.1).
    pub const fn is_direct(self) -> bool {
        matches!(
            self.mode(),
            KeyManagementMode::DirectKeyAgreement | KeyManagementMode::DirectEncryption
        )
    }

    /// Returns whether a key of `kind` can do this algorithm. A shared key for `dir` is as long as
    /// that of some `enc`.
    pub const fn fits(self, kind: KeyKind) -> bool {
        match (self.mode(), kind) {
            (KeyManagementMode::KeyEncryption(_), KeyKind::Rsa) => true,
            (_, KeyKind::Curve(curve)) => self.is_ecdh() && curve.agrees(),
            (
                KeyManagementMode::KeyWrapping(wrap) | KeyManagementMode::GcmKeyWrapping(wrap),
                KeyKind::Oct { bits },
            ) => bits == 8 * wrap.key_len() as u32,
            (KeyManagementMode::DirectEncryption, KeyKind::Oct { bits }) => {
                matches!(bits, 128 | 192 | 256 | 384 | 512)
            }
            _ => false,
        }
    }
}

impl ContentEncryption {
    /// Returns the length of the content encryption key, in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A192Gcm => 24,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
            Self::A192CbcHs384 => 48,
            Self::A256CbcHs512 => 64,
        }
    }

    /// Returns the length of the initialization vector, in bytes.
    pub const fn iv_len(self) -> usize {
        match self {
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm => 12,
            _ => 16,
        }
    }

    /// Returns the length of the authentication tag, in bytes.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm | Self::A128CbcHs256 => 16,
            Self::A192CbcHs384 => 24,
            Self::A256CbcHs512 => 32,
        }
    }
}

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
    /// [`MAX_SECRET_BITS`].
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
    pub fn is_same_as(self, other: Self) -> bool {
        let one_name = |alg| if alg == Self::Ed25519 { Self::EdDsa } else { alg };
        one_name(self) == one_name(other)
    }
}

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
    pub const fn is_empty(self) -> bool {
        false
    }
}

impl AesKeyWrap {
    /// Returns the length of the key encryption key, in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::A128Kw => 16,
            Self::A192Kw => 24,
            Self::A256Kw => 32,
        }
    }

    /// Returns the content encryption with AES in GCM whose key has this length.
    pub const fn gcm(self) -> ContentEncryption {
        match self {
            Self::A128Kw => ContentEncryption::A128Gcm,
            Self::A192Kw => ContentEncryption::A192Gcm,
            Self::A256Kw => ContentEncryption::A256Gcm,
        }
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
    pub const fn is_symmetric(self) -> bool {
        match self {
            Self::Unwrap(alg) => alg.is_symmetric(),
            Self::Sign(alg) => alg.is_symmetric(),
        }
    }

    /// Returns whether a key of `kind` can do this algorithm.
    pub fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Unwrap(alg) => alg.fits(kind),
            Self::Sign(alg) => alg.fits(kind),
        }
    }

    /// Returns whether both are one algorithm (`EdDSA` and `Ed25519` are).
    pub fn is_same_as(self, other: Self) -> bool {
        match (self, other) {
            (Self::Sign(a), Self::Sign(b)) => a.is_same_as(b),
            (a, b) => a == b,
        }
    }
}

const fn is_secret_len(bits: u32) -> bool {
    bits <= MAX_SECRET_BITS && bits.is_multiple_of(8)
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

impl KeyKind {
    /// Returns whether it is that of symmetric keys.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Oct { .. })
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

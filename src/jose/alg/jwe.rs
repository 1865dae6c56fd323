//! The algorithms of a JWE: `alg` and `enc`.

use std::fmt;

use super::{Hash, KeyKind};

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

/// The AES key wrap of RFC 3394, by the length of its key.
///
/// ```
/// use hsm_jose::jose::alg::AesKeyWrap;
/// use hsm_jose::primitives::aes_kw;
///
/// let kek = [7; 32];
/// let wrapped = aes_kw::wrap(AesKeyWrap::A256Kw, &kek, &[1; 16]);
/// assert_eq!(wrapped.len(), 24);
/// let key = aes_kw::unwrap(AesKeyWrap::A256Kw, &kek, &wrapped).expect("whole");
/// assert_eq!(key.expose(), [1; 16]);
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
    #[must_use]
    pub const fn is_ecdh(self) -> bool {
        matches!(
            self.mode(),
            KeyManagementMode::DirectKeyAgreement
                | KeyManagementMode::KeyAgreementWithKeyWrapping(_)
        )
    }

    /// Returns whether the key is shared: a secret that both sides hold.
    #[must_use]
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
    #[must_use]
    pub const fn is_direct(self) -> bool {
        matches!(
            self.mode(),
            KeyManagementMode::DirectKeyAgreement | KeyManagementMode::DirectEncryption
        )
    }

    /// Returns whether a key of `kind` can do this algorithm. A shared key for `dir` is as long as
    /// that of some `enc`.
    #[must_use]
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

    /// Returns the length of the ciphertext of so many bytes: in GCM the same, in CBC the next multiple
    /// of 16 (RFC 7518 section 5.2.2.1).
    pub(crate) const fn ciphertext_len(self, plaintext: usize) -> usize {
        match self {
            Self::A128Gcm | Self::A192Gcm | Self::A256Gcm => plaintext,
            _ => (plaintext / 16 + 1) * 16,
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

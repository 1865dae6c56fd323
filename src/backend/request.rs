//! What a key is asked to do, and where what it gives is.

use crate::jose::alg::{AesKeyWrap, Hash, KeyManagement};
use crate::jose::jwk::PublicPoint;

/// Where a content encryption key is while it is used.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{CekPlacement, CekRequest, KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// use hsm_jose::jose::jwk::PublicKey;
/// use hsm_jose::primitives::{concat_kdf, ecdh};
///
/// # let keystore = MemoryKeystore::new("test");
/// # let (alg, enc) = (KeyManagement::EcdhEs, ContentEncryption::A256Gcm);
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(alg)] };
/// let key = keystore.generate_ephemeral(&spec)?;
/// let Some(PublicKey::Point(point)) = &key.info().public else { panic!("a key on P-256") };
/// let (epk, _) = ecdh::agree_ephemeral(point).expect("a good point");
/// let other_info = concat_kdf::other_info(enc.name(), b"", b"", enc.key_len());
/// let request = CekRequest::EcdhEs { epk: &epk, other_info: &other_info, wrapped: None };
/// assert_eq!(key.unwrap_cek(&request, enc)?.placement(), CekPlacement::Host);
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CekPlacement {
    /// In the memory of this process, zeroized after use.
    Host,
    /// In the device, which it never leaves.
    Device,
}

/// How a CEK is to be recovered: RFC 7518 section 4, seen from the recipient.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{CekRequest, KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
/// use hsm_jose::jose::jwk::PublicKey;
/// use hsm_jose::primitives::{concat_kdf, ecdh};
///
/// # let keystore = MemoryKeystore::new("test");
/// # let (alg, enc) = (KeyManagement::EcdhEs, ContentEncryption::A256Gcm);
/// # let shape = KeyShape::Curve(Curve::P256);
/// # let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Unwrap(alg)] };
/// let key = keystore.generate_ephemeral(&spec)?;
/// let Some(PublicKey::Point(point)) = &key.info().public else { panic!("a key on P-256") };
/// let (epk, _) = ecdh::agree_ephemeral(point).expect("a good point");
/// let other_info = concat_kdf::other_info(enc.name(), b"", b"", enc.key_len());
/// let request = CekRequest::EcdhEs { epk: &epk, other_info: &other_info, wrapped: None };
/// assert_eq!(request.alg(), KeyManagement::EcdhEs);
/// assert!(key.unwrap_cek(&request, enc).is_ok());
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CekRequest<'a> {
    /// RSAES-OAEP; `hash` is also that of MGF1, the label is empty (section 4.3).
    RsaOaep {
        /// The OAEP hash.
        hash: Hash,
        /// The JWE Encrypted Key: as long as the modulus.
        encrypted_key: &'a [u8],
    },
    /// ECDH-ES (section 4.6).
    EcdhEs {
        /// The sender's ephemeral key, checked to lie on its curve.
        epk: &'a PublicPoint,
        /// The `OtherInfo` of the Concat KDF (section 4.6.2), complete.
        other_info: &'a [u8],
        /// The key wrap and the JWE Encrypted Key; `None` for direct key agreement.
        wrapped: Option<(AesKeyWrap, &'a [u8])>,
    },
    /// AES key wrap under the shared key (section 4.4).
    AesKw {
        /// The key wrap.
        wrap: AesKeyWrap,
        /// The JWE Encrypted Key: the CEK and 8 bytes.
        encrypted_key: &'a [u8],
    },
    /// AES in GCM under the shared key (section 4.7).
    AesGcmKw {
        /// The length of the shared key, as that of this key wrap.
        wrap: AesKeyWrap,
        /// The JWE Encrypted Key: as long as the CEK.
        encrypted_key: &'a [u8],
        /// The header parameter `iv`, decoded; 12 bytes in a good token.
        iv: &'a [u8],
        /// The header parameter `tag`, decoded; 16 bytes in a good token.
        tag: &'a [u8],
    },
    /// The shared key is the CEK (section 4.5).
    Dir,
}

/// What is to be signed.
///
/// ```
/// use hsm_jose::backend::memory::MemoryKeystore;
/// use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
/// use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
///
/// let keystore = MemoryKeystore::new("test"); // or a PKCS#11 token, or a TPM
/// let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
/// let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![alg] };
/// use hsm_jose::backend::ToSign;
/// use hsm_jose::jose::alg::Hash;
/// use hsm_jose::primitives::digest::digest;
///
/// let key = keystore.generate_ephemeral(&spec)?;
/// let digest = digest(Hash::Sha256, b"message");
/// assert_eq!(key.sign(SignatureAlgorithm::Es256, ToSign::Digest(&digest))?.len(), 64);
/// # Ok::<(), hsm_jose::backend::BackendError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ToSign<'a> {
    /// The whole message; the backend hashes it with the hash of the algorithm.
    Message(&'a [u8]),
    /// The digest, made with the hash of the algorithm; signed as it is. Not for Ed25519 and HMAC.
    Digest(&'a [u8]),
}

impl<'a> CekRequest<'a> {
    /// Returns the JWE `alg` that this request belongs to.
    pub const fn alg(&self) -> KeyManagement {
        match self {
            Self::RsaOaep { hash: Hash::Sha1, .. } => KeyManagement::RsaOaep,
            Self::RsaOaep { hash: Hash::Sha256, .. } => KeyManagement::RsaOaep256,
            Self::RsaOaep { hash: Hash::Sha384, .. } => KeyManagement::RsaOaep384,
            Self::RsaOaep { hash: Hash::Sha512, .. } => KeyManagement::RsaOaep512,
            Self::EcdhEs { wrapped: None, .. } => KeyManagement::EcdhEs,
            Self::EcdhEs { wrapped: Some((wrap, _)), .. } => match wrap {
                AesKeyWrap::A128Kw => KeyManagement::EcdhEsA128Kw,
                AesKeyWrap::A192Kw => KeyManagement::EcdhEsA192Kw,
                AesKeyWrap::A256Kw => KeyManagement::EcdhEsA256Kw,
            },
            Self::AesKw { wrap, .. } => match wrap {
                AesKeyWrap::A128Kw => KeyManagement::A128Kw,
                AesKeyWrap::A192Kw => KeyManagement::A192Kw,
                AesKeyWrap::A256Kw => KeyManagement::A256Kw,
            },
            Self::AesGcmKw { wrap, .. } => match wrap {
                AesKeyWrap::A128Kw => KeyManagement::A128GcmKw,
                AesKeyWrap::A192Kw => KeyManagement::A192GcmKw,
                AesKeyWrap::A256Kw => KeyManagement::A256GcmKw,
            },
            Self::Dir => KeyManagement::Dir,
        }
    }
}

//! From a recipient's header to the request for its content encryption key: the one place where
//! each `alg` says what it needs.

use super::agreement_info;
use crate::backend::CekRequest;
use crate::error::{Error, Result};
use crate::jose::alg::KeyManagementMode as Mode;
use crate::jose::alg::{AesKeyWrap, ContentEncryption, Hash, KeyKind, KeyManagement};
use crate::jose::header::Agreement;
use crate::jose::jwk::PublicPoint;
use crate::jose::parameters::Parameters;
use crate::primitives::ecdh;

/// What recovering a CEK needs beside the encrypted key, read out of a recipient's header and
/// checked before any key is asked.
#[derive(Debug)]
pub(super) enum Recovery {
    /// RFC 7518 section 4.3.
    RsaOaep(Hash),
    /// RFC 7518 section 4.6.
    EcdhEs { epk: PublicPoint, other_info: Vec<u8>, wrap: Option<AesKeyWrap> },
    /// RFC 7518 section 4.4.
    AesKw(AesKeyWrap),
    /// RFC 7518 section 4.7.
    AesGcmKw { wrap: AesKeyWrap, iv: Vec<u8>, tag: Vec<u8> },
    /// RFC 7518 section 4.5; the key is as long as `enc` has it.
    Dir(ContentEncryption),
}

impl Recovery {
    /// Reads and checks what `alg` needs of a header.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a member is missing or misformed, or `epk` is not a valid point.
    pub(super) fn of(
        alg: KeyManagement,
        enc: ContentEncryption,
        header: &impl Parameters,
    ) -> Result<Self> {
        match alg.mode() {
            Mode::KeyEncryption(hash) => return Ok(Self::RsaOaep(hash)),
            Mode::KeyWrapping(wrap) => return Ok(Self::AesKw(wrap)),
            Mode::GcmKeyWrapping(wrap) => {
                let (iv, tag) = header.gcm_key_wrap()?;
                return Ok(Self::AesGcmKw { wrap, iv, tag });
            }
            Mode::DirectEncryption => return Ok(Self::Dir(enc)),
            Mode::DirectKeyAgreement | Mode::KeyAgreementWithKeyWrapping(_) => {}
        }
        let Agreement { epk, apu, apv } = header.agreement()?;
        ecdh::check_point(&epk).map_err(|error| Error::Malformed(format!("epk: {error}")))?;
        let (other_info, _) = agreement_info(alg, enc, &apu, &apv);
        Ok(Self::EcdhEs { epk, other_info, wrap: alg.key_wrap() })
    }

    /// Returns whether a key of `kind` could be the recipient's: for ECDH-ES on the curve of `epk`,
    /// for `dir` as long as `enc` has it. That it fits the `alg` is another question.
    pub(super) fn fits(&self, kind: KeyKind) -> bool {
        match self {
            Self::EcdhEs { epk, .. } => kind == KeyKind::Curve(epk.curve()),
            Self::Dir(enc) => kind == KeyKind::Oct { bits: 8 * enc.key_len() as u32 },
            Self::RsaOaep(_) | Self::AesKw(_) | Self::AesGcmKw { .. } => true,
        }
    }

    /// Makes the request to the recipient's key.
    pub(super) fn request<'a>(&'a self, encrypted_key: &'a [u8]) -> CekRequest<'a> {
        match self {
            Self::RsaOaep(hash) => CekRequest::RsaOaep { hash: *hash, encrypted_key },
            Self::EcdhEs { epk, other_info, wrap } => CekRequest::EcdhEs {
                epk,
                other_info,
                wrapped: wrap.map(|wrap| (wrap, encrypted_key)),
            },
            Self::AesKw(wrap) => CekRequest::AesKw { wrap: *wrap, encrypted_key },
            Self::AesGcmKw { wrap, iv, tag } => {
                CekRequest::AesGcmKw { wrap: *wrap, encrypted_key, iv, tag }
            }
            Self::Dir(_) => CekRequest::Dir,
        }
    }

    /// Returns whether there is no encrypted key in a good token (RFC 7516 section 5.2 step 10).
    pub(super) fn is_direct(&self) -> bool {
        matches!(self, Self::EcdhEs { wrap: None, .. } | Self::Dir(_))
    }
}

//! From a recipient's header to the request for its content encryption key: the one place where
//! each `alg` says what it needs.

use super::agreement_info;
use crate::backend::CekRequest;
use crate::error::{Error, Result};
use crate::jose::alg::{AesKeyWrap, ContentEncryption, Curve, Hash, KeyManagement};
use crate::jose::header::{Agreement, Header};
use crate::jose::jwk::PublicPoint;
use crate::primitives::ecdh;

/// What recovering a CEK needs beside the encrypted key, read out of a recipient's header and
/// checked before any key is asked.
#[derive(Debug)]
pub(super) enum Recovery {
    /// RFC 7518 section 4.3.
    RsaOaep(Hash),
    /// RFC 7518 section 4.6.
    EcdhEs { epk: PublicPoint, other_info: Vec<u8>, wrap: Option<AesKeyWrap> },
}

impl Recovery {
    /// Reads and checks what `alg` needs of a header.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a member is missing or misformed, or `epk` is not a valid point.
    pub(super) fn of(alg: KeyManagement, enc: ContentEncryption, header: &Header) -> Result<Self> {
        if let Some(hash) = alg.oaep_hash() {
            return Ok(Self::RsaOaep(hash));
        }
        let Agreement { epk, apu, apv } = header.agreement()?;
        ecdh::check_point(&epk).map_err(|error| Error::Malformed(format!("epk: {error}")))?;
        let (other_info, _) = agreement_info(alg, enc, &apu, &apv);
        Ok(Self::EcdhEs { epk, other_info, wrap: alg.key_wrap() })
    }

    /// Returns the curve that the recipient's key must be on; `None` if it is not on one.
    pub(super) fn curve(&self) -> Option<Curve> {
        match self {
            Self::RsaOaep(_) => None,
            Self::EcdhEs { epk, .. } => Some(epk.curve()),
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
        }
    }

    /// Returns whether there is no encrypted key in a good token (RFC 7516 section 5.2 step 10).
    pub(super) fn is_direct(&self) -> bool {
        matches!(self, Self::EcdhEs { wrap: None, .. })
    }
}

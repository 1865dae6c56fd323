//! Decryption: the one place where a content encryption key is replaced by a random one.

use super::agreement_info;
use crate::backend::{BackendError, Cek, CekPlacement, CekRequest, HardwareKey, HostCek};
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyKind, KeyManagement};
use crate::jose::header::{Agreement, Header};
use crate::jose::serialization::{CompactJwe, bounded};
use crate::policy::JweRules;
use crate::primitives::ecdh;
use crate::secret::Plaintext;

/// A JWE that policy has let through: parsed once, its header checked, no key touched yet.
#[derive(Debug)]
pub struct JweToken<'a> {
    /// The protected header.
    pub header: Header,
    /// Its `alg`.
    pub alg: KeyManagement,
    /// Its `enc`.
    pub enc: ContentEncryption,
    agreement: Option<Agreement>,
    parts: CompactJwe<'a>,
}

/// What decryption gives.
#[derive(Debug)]
pub struct Decrypted {
    /// The content.
    pub plaintext: Plaintext,
    /// The protected header, which the content's tag vouches for.
    pub header: Header,
    /// Which of the keys given was the one.
    pub key_index: usize,
    /// Where the content encryption key was while it was used.
    pub cek_placement: CekPlacement,
}

impl<'a> JweToken<'a> {
    /// Parses a compact JWE and checks its header: length, parts, header, rules, and for ECDH-ES
    /// that `epk` is a valid point. Nothing here costs a token call.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Policy`].
    pub fn parse(token: &'a [u8], rules: &JweRules) -> Result<Self> {
        let text = bounded(token, rules.limits.max_token_len)?;
        let parts = CompactJwe::split(text)?;
        let header = Header::parse(parts.protected)?;
        let (alg, enc) = rules.check(&header)?;
        let agreement = match alg.is_ecdh() {
            true => Some(header.agreement()?),
            false => None,
        };
        if let Some(agreement) = &agreement {
            ecdh::check_point(&agreement.epk)
                .map_err(|error| Error::Malformed(format!("epk: {error}")))?;
        }
        Ok(Self { header, alg, enc, agreement, parts })
    }

    /// Returns whether a key could be the one: it has the `alg`, and for ECDH-ES the curve of `epk`.
    pub fn fits(&self, algs: &[KeyAlgorithm], kind: KeyKind) -> bool {
        let has_alg = algs.contains(&KeyAlgorithm::Unwrap(self.alg));
        let is_on_curve = match &self.agreement {
            Some(agreement) => kind == KeyKind::Curve(agreement.epk.curve()),
            None => true,
        };
        has_alg && self.alg.fits(kind) && is_on_curve
    }
}

/// Decrypts with the keys that fit: one if the token names it, else the candidates, every one of
/// which is tried each time, so that neither the answer nor the time says which came close.
///
/// # Errors
/// [`Error::DecryptionFailed`], bare, on any fault of the token; a device fault as
/// [`Error::Backend`] where no key opened it.
pub fn decrypt(token: JweToken<'_>, keys: &[&dyn HardwareKey]) -> Result<Decrypted> {
    let mut opened = None;
    let mut fault = Error::DecryptionFailed;
    for (key_index, key) in keys.iter().enumerate() {
        match attempt(&token, *key) {
            Ok(content) if opened.is_none() => opened = Some((content, key_index)),
            Ok(_) | Err(Error::DecryptionFailed) => {}
            Err(error) => fault = error,
        }
    }
    match opened {
        Some(((plaintext, cek_placement), key_index)) => {
            Ok(Decrypted { plaintext, header: token.header, key_index, cek_placement })
        }
        None => Err(fault),
    }
}

fn attempt(token: &JweToken<'_>, key: &dyn HardwareKey) -> Result<(Plaintext, CekPlacement)> {
    let JweToken { alg, enc, parts, agreement, .. } = token;
    let info = agreement.as_ref().map(|a| agreement_info(*alg, *enc, &a.apu, &a.apv).0);
    let request = match (agreement, &info, alg.oaep_hash()) {
        (Some(agreement), Some(other_info), _) => CekRequest::EcdhEs {
            epk: &agreement.epk,
            other_info,
            wrapped: alg.key_wrap().map(|wrap| (wrap, &parts.encrypted_key[..])),
        },
        (_, _, Some(hash)) => CekRequest::RsaOaep { hash, encrypted_key: &parts.encrypted_key },
        _ => return Err(Error::Malformed("epk is missing".into())),
    };
    // Direct agreement has no encrypted key (RFC 7516 section 5.2 step 10); one that is there is a
    // fault of the token like any other, found in the same way.
    let has_stray_key = *alg == KeyManagement::EcdhEs && !parts.encrypted_key.is_empty();

    // RFC 7516 section 11.5: "the recipient MUST NOT distinguish between format, padding, and length
    // errors of encrypted keys. It is strongly recommended, in the event of receiving an improperly
    // formatted key, that the recipient substitute a randomly generated CEK and proceed to the next
    // step, to mitigate timing attacks." The substitute is made before the device is asked.
    let substitute = HostCek::random(*enc);
    let cek: Box<dyn Cek> = match key.unwrap_cek(&request, *enc) {
        Ok(cek) if !has_stray_key => cek,
        Ok(_) | Err(BackendError::Rejected) => Box::new(substitute),
        Err(error) => return Err(error.into()),
    };
    match cek.decrypt(&parts.iv, parts.protected.as_bytes(), &parts.ciphertext, &parts.tag) {
        Ok(plaintext) => Ok((plaintext, cek.placement())),
        Err(BackendError::Rejected) => {
            // Asked on every path that ends here, so that the device sees the same calls whatever
            // was wrong, and a dead device is never called a bad token.
            key.confirm_alive()?;
            Err(Error::DecryptionFailed)
        }
        Err(error) => Err(error.into()),
    }
}

//! Known answers: whether a key really does an algorithm, found by doing it once.

#[cfg(any(feature = "pkcs11", feature = "tpm"))]
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{BackendError, Cek, CekRequest, HostCek, ToSign};
use crate::jose::alg::{ContentEncryption, KeyManagement, SignatureAlgorithm};
use crate::jose::jwk::PublicKey;
use crate::primitives::rsa::RsaRecipient;
use crate::primitives::verify::VerifyingKey;
use crate::primitives::{aes_kw, concat_kdf, digest, ecdh};

pub(crate) mod symmetric;

const ENC: ContentEncryption = ContentEncryption::A256Gcm;
const MESSAGE: &[u8] = b"hsm-jose known answer";

/// Returns what is remembered at `place`, or what `prove` finds out: by one thread at a time.
///
/// In the trace, what is done to find out is told from what was asked for by its span.
#[cfg(any(feature = "pkcs11", feature = "tpm"))]
pub(crate) fn remembered<'a, T>(
    place: &'a OnceLock<T>,
    proving: &Mutex<()>,
    prove: impl FnOnce() -> Result<T, BackendError>,
) -> Result<&'a T, BackendError> {
    if let Some(known) = place.get() {
        return Ok(known);
    }
    let _one_at_a_time = proving.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = place.get() {
        return Ok(known);
    }
    let _span = tracing::debug_span!(target: "hsm_jose::custody", "known_answer").entered();
    let proved = prove()?;
    Ok(place.get_or_init(|| proved))
}

/// How a key unwraps: [`super::HardwareKey::unwrap_cek`] without the check of the key's algs.
pub(crate) type Unwrap<'a> =
    dyn Fn(&CekRequest<'_>, ContentEncryption) -> Result<Box<dyn Cek + 'a>, BackendError> + 'a;

/// How a key signs: [`super::HardwareKey::sign`] without the check of the key's algs.
pub(crate) type Sign<'a> =
    dyn Fn(SignatureAlgorithm, ToSign<'_>) -> Result<Vec<u8>, BackendError> + 'a;

/// Sends a fresh CEK to `public` under `alg`, and tells whether `unwrap` gives it back.
///
/// # Errors
/// A device fault. `Rejected`, `Unsupported`, another CEK, and a public key that does not fit `alg`
/// are the answer false.
pub(crate) fn unwrap_works(
    unwrap: &Unwrap<'_>,
    public: &PublicKey,
    alg: KeyManagement,
) -> Result<bool, BackendError> {
    let Some(sent) = send(public, alg) else { return Ok(false) };
    let Sent { cek, encrypted_key, agreed } = sent;
    let request = match (&agreed, alg.oaep_hash()) {
        (Some((epk, other_info)), _) => CekRequest::EcdhEs {
            epk,
            other_info,
            wrapped: alg.key_wrap().map(|wrap| (wrap, encrypted_key.as_slice())),
        },
        (None, Some(hash)) => CekRequest::RsaOaep { hash, encrypted_key: &encrypted_key },
        (None, None) => return Ok(false),
    };
    let Some(unwrapped) = answer(unwrap(&request, ENC))? else { return Ok(false) };
    let sealed = cek.encrypt(b"", MESSAGE);
    let opened = unwrapped.decrypt(&sealed.iv, b"", &sealed.ciphertext, &sealed.tag);
    Ok(answer(opened)?.is_some_and(|plaintext| plaintext.as_bytes() == MESSAGE))
}

/// Has `sign` sign a message and, where `alg` has a hash, a digest, and tells whether both
/// signatures verify under `public` in the exact form of a JWS.
///
/// # Errors
/// A device fault. `Rejected`, `Unsupported`, a wrong signature, and a public key that does not fit
/// `alg` are the answer false.
pub(crate) fn sign_works(
    sign: &Sign<'_>,
    public: &PublicKey,
    alg: SignatureAlgorithm,
) -> Result<bool, BackendError> {
    let Ok(verifying) = VerifyingKey::new(public) else { return Ok(false) };
    let digest = alg.hash().map(|hash| digest::digest(hash, MESSAGE));
    let digest = digest.as_deref().map(ToSign::Digest);
    for input in [Some(ToSign::Message(MESSAGE)), digest].into_iter().flatten() {
        let signature = answer(sign(alg, input))?;
        if !signature.is_some_and(|signature| verifying.verify(alg, MESSAGE, &signature)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A CEK on its way to a key: what a sender keeps, and what the recipient gets.
struct Sent {
    cek: HostCek,
    encrypted_key: Vec<u8>,
    agreed: Option<(crate::jose::jwk::PublicPoint, Vec<u8>)>,
}

/// Does the sender's half; `None` if the key does not fit `alg`.
fn send(public: &PublicKey, alg: KeyManagement) -> Option<Sent> {
    if !alg.fits(public.kind()) {
        return None;
    }
    match public {
        PublicKey::Rsa(rsa) => {
            let cek = HostCek::random(ENC);
            let recipient = RsaRecipient::new(rsa).ok()?;
            let encrypted_key = recipient.encrypt(alg.oaep_hash()?, cek.expose_to_wrap()).ok()?;
            Some(Sent { cek, encrypted_key, agreed: None })
        }
        PublicKey::Point(point) => {
            let (epk, z) = ecdh::agree_ephemeral(point).ok()?;
            let (name, key_len) = match alg.key_wrap() {
                None => (ENC.name(), ENC.key_len()),
                Some(wrap) => (alg.name(), wrap.key_len()),
            };
            let other_info = concat_kdf::other_info(name, b"", b"", key_len);
            let derived = concat_kdf::derive(&z, &other_info, key_len);
            let (cek, encrypted_key) = match alg.key_wrap() {
                None => (HostCek::new(ENC, derived)?, Vec::new()),
                Some(wrap) => {
                    let cek = HostCek::random(ENC);
                    let encrypted_key = aes_kw::wrap(wrap, derived.expose(), cek.expose_to_wrap());
                    (cek, encrypted_key)
                }
            };
            Some(Sent { cek, encrypted_key, agreed: Some((epk, other_info)) })
        }
    }
}

/// Tells a key that cannot from a device that is broken.
fn answer<T>(result: Result<T, BackendError>) -> Result<Option<T>, BackendError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(BackendError::Rejected | BackendError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::MemoryKeystore;
    use crate::backend::{HardwareKey, KeyShape, KeySpec, Keystore, Locator};
    use crate::jose::alg::{Curve, KeyAlgorithm};

    const DIRECT: KeyManagement = KeyManagement::EcdhEs;
    const WRAPPED: KeyManagement = KeyManagement::EcdhEsA256Kw;
    const ES256: SignatureAlgorithm = SignatureAlgorithm::Es256;

    fn key(algs: Vec<KeyAlgorithm>) -> std::sync::Arc<dyn HardwareKey> {
        let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs };
        MemoryKeystore::new("test").generate(&Locator::Memory("key".into()), &spec).unwrap()
    }

    fn device_fault() -> BackendError {
        let (keystore, call, code) = ("test".into(), "call".into(), "gone".into());
        BackendError::Unavailable { keystore, call, code }
    }

    #[test]
    fn only_the_very_cek_counts_as_unwrapping() {
        let key = key(vec![KeyAlgorithm::Unwrap(DIRECT), KeyAlgorithm::Unwrap(WRAPPED)]);
        let public = key.info().public.clone().unwrap();
        for alg in [DIRECT, WRAPPED] {
            let good = |request: &CekRequest<'_>, enc| key.unwrap_cek(request, enc);
            assert!(unwrap_works(&good, &public, alg).unwrap());
            let other_cek = |_: &CekRequest<'_>, enc| Ok(Box::new(HostCek::random(enc)) as _);
            assert!(!unwrap_works(&other_cek, &public, alg).unwrap());
            let rejected = |_: &CekRequest<'_>, _| Err(BackendError::Rejected);
            assert!(!unwrap_works(&rejected, &public, alg).unwrap());
            let gone = |_: &CekRequest<'_>, _| Err(device_fault());
            assert!(unwrap_works(&gone, &public, alg).is_err());
        }
        let good = |request: &CekRequest<'_>, enc| key.unwrap_cek(request, enc);
        assert!(!unwrap_works(&good, &public, KeyManagement::RsaOaep).unwrap());
    }

    #[test]
    fn only_a_signature_in_the_form_of_a_jws_counts_as_signing() {
        let key = key(vec![KeyAlgorithm::Sign(ES256)]);
        let public = key.info().public.clone().unwrap();
        let good = |alg, input: ToSign<'_>| key.sign(alg, input);
        assert!(sign_works(&good, &public, ES256).unwrap());
        let longer = |alg, input: ToSign<'_>| {
            key.sign(alg, input).map(|signature| [&[0], signature.as_slice()].concat())
        };
        assert!(!sign_works(&longer, &public, ES256).unwrap());
        let digest_as_message = |alg, input: ToSign<'_>| match input {
            ToSign::Digest(digest) => key.sign(alg, ToSign::Message(digest)),
            message => key.sign(alg, message),
        };
        assert!(!sign_works(&digest_as_message, &public, ES256).unwrap());
        let gone = |_, _: ToSign<'_>| Err(device_fault());
        assert!(sign_works(&gone, &public, ES256).is_err());
        assert!(!sign_works(&good, &public, SignatureAlgorithm::Es384).unwrap());
    }
}

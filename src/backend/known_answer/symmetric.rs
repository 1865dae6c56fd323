//! Known answers of symmetric keys: a key is asked to undo what it did, and to refuse it changed; of
//! one that was imported, the same is known here.

use super::{ENC, MESSAGE, Sign, Unwrap, answer};
use crate::backend::{
    BackendError, CekRequest, HardwareKey, HostCek, SecretInfo, ToSign, WrappedCek,
};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement};
use crate::jose::alg::{KeyManagementMode as Mode, SignatureAlgorithm};
use crate::primitives::secret::hmac;
use crate::primitives::{aes_kw, content};

const AAD: &[u8] = b"additional data";

/// How a key wraps: [`HardwareKey::wrap_cek`] without the check of the key's algs.
pub(crate) type Wrap<'a> = dyn Fn(KeyManagement, &HostCek) -> Result<WrappedCek, BackendError> + 'a;

/// Has a fresh CEK wrapped under `alg`, and tells whether `unwrap` gives it back, and `refuse`, which
/// unwraps what is no fault of the device, refuses it where a bit is changed.
///
/// # Errors
/// A device fault. `Rejected`, `Unsupported` and another form or CEK are the answer false.
pub(crate) fn wrap_works(
    wrap: &Wrap<'_>,
    unwrap: &Unwrap<'_>,
    refuse: &Unwrap<'_>,
    alg: KeyManagement,
) -> Result<bool, BackendError> {
    let cek = HostCek::random(ENC);
    let Some(wrapped) = answer(wrap(alg, &cek))? else { return Ok(false) };
    let overhead = if wrapped.gcm.is_some() { 0 } else { aes_kw::OVERHEAD };
    let in_the_clear = cek.expose_to_wrap();
    if wrapped.encrypted_key.len() != in_the_clear.len() + overhead
        || wrapped.encrypted_key == in_the_clear
    {
        return Ok(false);
    }
    let mut changed = wrapped.clone();
    changed.encrypted_key[0] ^= 1;
    let (Some(good), Some(bad)) = (request(alg, &wrapped), request(alg, &changed)) else {
        return Ok(false);
    };
    let Some(unwrapped) = answer(unwrap(&good, ENC))? else { return Ok(false) };
    let sealed = cek.encrypt(AAD, MESSAGE);
    let opened = unwrapped.decrypt(&sealed.iv, AAD, &sealed.ciphertext, &sealed.tag);
    if answer(opened)?.is_none_or(|plaintext| plaintext.as_bytes() != MESSAGE) {
        return Ok(false);
    }
    is_rejected(refuse(&bad, ENC).map(drop))
}

/// Encrypts with the key itself, and tells whether it decrypts what it made, and refuses it where a
/// bit is changed. `unwrap` is asked with [`CekRequest::Dir`].
///
/// # Errors
/// As [`wrap_works`].
pub(crate) fn direct_works(unwrap: &Unwrap<'_>, secret: SecretInfo) -> Result<bool, BackendError> {
    let Some(enc) = direct(secret.bits) else { return Ok(false) };
    let Some(cek) = answer(unwrap(&CekRequest::Dir, enc))? else { return Ok(false) };
    let Some(sealed) = answer(cek.encrypt(AAD, MESSAGE))? else { return Ok(false) };
    if (sealed.iv.len(), sealed.tag.len()) != (enc.iv_len(), enc.tag_len())
        || sealed.ciphertext.starts_with(MESSAGE)
    {
        return Ok(false);
    }
    let Some(cek) = answer(unwrap(&CekRequest::Dir, enc))? else { return Ok(false) };
    let opened = cek.decrypt(&sealed.iv, AAD, &sealed.ciphertext, &sealed.tag);
    if answer(opened)?.is_none_or(|plaintext| plaintext.as_bytes() != MESSAGE) {
        return Ok(false);
    }
    let mut tag = sealed.tag;
    tag[0] ^= 1;
    is_rejected(cek.decrypt(&sealed.iv, AAD, &sealed.ciphertext, &tag).map(drop))
}

/// Has `sign` authenticate a message twice and another once, and tells whether the MACs are those of
/// one function: of the right length, equal, and another for another message.
///
/// # Errors
/// As [`wrap_works`].
pub(crate) fn mac_works(sign: &Sign<'_>, alg: SignatureAlgorithm) -> Result<bool, BackendError> {
    let mac = |message| answer(sign(alg, ToSign::Message(message)));
    let (Some(first), Some(again), Some(other)) = (mac(MESSAGE)?, mac(MESSAGE)?, mac(AAD)?) else {
        return Ok(false);
    };
    let is_mac = alg.is_symmetric() && alg.hash().is_some_and(|hash| first.len() == hash.len());
    Ok(is_mac && first == again && first != other && first.len() == other.len())
}

/// Tells whether a key that was imported does `alg` as `secret` does here.
///
/// # Errors
/// As [`wrap_works`].
#[cfg_attr(
    not(feature = "pkcs11"),
    allow(dead_code, reason = "only tokens take known symmetric keys and are asked for them")
)]
pub(crate) fn is_same(
    key: &dyn HardwareKey,
    secret: &[u8],
    alg: KeyAlgorithm,
) -> Result<bool, BackendError> {
    let alg = match alg {
        KeyAlgorithm::Sign(alg) => {
            let Some(hash) = alg.hash().filter(|_| alg.is_symmetric()) else { return Ok(false) };
            let mac = answer(key.sign(alg, ToSign::Message(MESSAGE)))?;
            return Ok(mac.is_some_and(|mac| mac == hmac(hash, secret, MESSAGE)));
        }
        KeyAlgorithm::Unwrap(alg) => alg,
    };
    let cek = HostCek::random(ENC);
    match alg.mode() {
        Mode::KeyWrapping(wrap) => {
            let expected = aes_kw::wrap(wrap, secret, cek.expose_to_wrap());
            let wrapped = answer(key.wrap_cek(alg, &cek))?;
            Ok(wrapped.is_some_and(|wrapped| wrapped.encrypted_key == expected))
        }
        Mode::GcmKeyWrapping(wrap) => {
            let Some(wrapped) = answer(key.wrap_cek(alg, &cek))? else { return Ok(false) };
            let Some((iv, tag)) = wrapped.gcm else { return Ok(false) };
            let opened =
                content::decrypt(wrap.gcm(), secret, &iv, b"", wrapped.encrypted_key, &tag);
            Ok(opened.is_some_and(|opened| opened.as_bytes() == cek.expose_to_wrap()))
        }
        Mode::DirectEncryption => {
            let bits = 8 * secret.len() as u32;
            let Some(enc) = direct(bits) else { return Ok(false) };
            let Some(own) = answer(key.unwrap_cek(&CekRequest::Dir, enc))? else {
                return Ok(false);
            };
            let Some(sealed) = answer(own.encrypt(AAD, MESSAGE))? else { return Ok(false) };
            let opened =
                content::decrypt(enc, secret, &sealed.iv, AAD, sealed.ciphertext, &sealed.tag);
            Ok(opened.is_some_and(|opened| opened.as_bytes() == MESSAGE))
        }
        _ => Ok(false),
    }
}

/// Returns the request that undoes a wrapping.
fn request<'a>(alg: KeyManagement, wrapped: &'a WrappedCek) -> Option<CekRequest<'a>> {
    let encrypted_key = &wrapped.encrypted_key[..];
    match (alg.mode(), &wrapped.gcm) {
        (Mode::KeyWrapping(wrap), None) => Some(CekRequest::AesKw { wrap, encrypted_key }),
        (Mode::GcmKeyWrapping(wrap), Some((iv, tag))) => {
            Some(CekRequest::AesGcmKw { wrap, encrypted_key, iv, tag })
        }
        _ => None,
    }
}

/// Returns an `enc` whose key has this length: with AES in GCM where there is one.
fn direct(bits: u32) -> Option<ContentEncryption> {
    let of_length = |enc: &&ContentEncryption| enc.key_len() as u32 * 8 == bits;
    ContentEncryption::ALL.iter().find(of_length).copied()
}

fn is_rejected(answer: Result<(), BackendError>) -> Result<bool, BackendError> {
    match answer {
        Err(BackendError::Rejected) => Ok(true),
        Ok(()) | Err(BackendError::Unsupported { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::MemoryKeystore;
    use crate::backend::{KeyShape, KeySpec, Keystore, Locator};

    fn key(alg: &str, bits: u32) -> (KeyAlgorithm, std::sync::Arc<dyn HardwareKey>) {
        let alg = KeyAlgorithm::from_name(alg).unwrap();
        let spec = KeySpec { shape: KeyShape::Oct { bits }, algs: vec![alg] };
        let locator = Locator::Memory("key".into());
        (alg, MemoryKeystore::new("test").generate(&locator, &spec).unwrap())
    }

    fn unwrap_alg(alg: KeyAlgorithm) -> KeyManagement {
        let KeyAlgorithm::Unwrap(alg) = alg else { panic!("{alg} signs") };
        alg
    }

    #[test]
    fn only_a_key_that_undoes_and_refuses_counts_as_wrapping() {
        for name in ["A256KW", "A256GCMKW"] {
            let (alg, own) = key(name, 256);
            let (_, other) = key(name, 256);
            let alg = unwrap_alg(alg);
            let wrap = |alg, cek: &HostCek| own.wrap_cek(alg, cek);
            let unwrap = |request: &CekRequest<'_>, enc| own.unwrap_cek(request, enc);
            assert!(wrap_works(&wrap, &unwrap, &unwrap, alg).unwrap());
            let elsewhere = |request: &CekRequest<'_>, enc| other.unwrap_cek(request, enc);
            assert!(!wrap_works(&wrap, &elsewhere, &unwrap, alg).unwrap());
            let in_the_clear = |_, cek: &HostCek| {
                Ok(WrappedCek { encrypted_key: cek.expose_to_wrap().to_vec(), gcm: None })
            };
            assert!(!wrap_works(&in_the_clear, &unwrap, &unwrap, alg).unwrap());
            let kept = std::cell::RefCell::new(None);
            let keep = |alg, cek: &HostCek| {
                kept.replace(HostCek::new(ENC, cek.expose_to_wrap().to_vec().into()));
                own.wrap_cek(alg, cek)
            };
            let takes_anything = |_: &CekRequest<'_>, _| {
                let cek = kept.borrow();
                let bytes = cek.as_ref().unwrap().expose_to_wrap().to_vec();
                Ok(Box::new(HostCek::new(ENC, bytes.into()).unwrap()) as _)
            };
            assert!(!wrap_works(&keep, &takes_anything, &takes_anything, alg).unwrap());
        }
    }

    #[test]
    fn only_a_function_of_the_message_counts_as_a_mac() {
        let (_, own) = key("HS256", 256);
        let alg = SignatureAlgorithm::Hs256;
        let good = |alg, input: ToSign<'_>| own.sign(alg, input);
        assert!(mac_works(&good, alg).unwrap());
        let constant = |_, _: ToSign<'_>| Ok(vec![0; 32]);
        assert!(!mac_works(&constant, alg).unwrap());
        let short = |alg, input: ToSign<'_>| own.sign(alg, input).map(|mac| mac[..31].to_vec());
        assert!(!mac_works(&short, alg).unwrap());
        let counter = std::cell::Cell::new(0);
        let changing = |_, _: ToSign<'_>| {
            counter.set(counter.get() + 1);
            Ok(vec![counter.get(); 32])
        };
        assert!(!mac_works(&changing, alg).unwrap());
    }

    #[test]
    fn an_imported_key_is_compared_with_what_it_does_here() {
        let keystore = MemoryKeystore::new("test");
        let secrets = ["A256KW", "A256GCMKW", "dir", "HS256"].map(|name| {
            let alg = KeyAlgorithm::from_name(name).unwrap();
            let value = crate::jose::base64url::encode(&[7; 32]);
            let json = format!(r#"{{"kty":"oct","k":"{value}"}}"#);
            let secret = crate::jose::oct::SecretJwk::parse(json.as_bytes()).unwrap();
            let spec = KeySpec { shape: KeyShape::Oct { bits: 256 }, algs: vec![alg] };
            (alg, keystore.import_secret(&Locator::Memory(name.into()), &spec, &secret).unwrap())
        });
        for (alg, key) in secrets {
            assert!(is_same(&*key, &[7; 32], alg).unwrap(), "{alg}");
            assert!(!is_same(&*key, &[8; 32], alg).unwrap(), "{alg}");
            assert!(!is_same(&*key, &[7; 31], KeyAlgorithm::from_name("HS512").unwrap()).unwrap());
        }
    }
}

//! One symmetric software key.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use super::key::{failed, unsupported};
use crate::backend::known_answer::symmetric as known_answer;
use crate::backend::{
    BackendError, Cek, CekPlacement, CekRequest, CheckValue, HardwareKey, HostCek, Invocations,
    KeyInfo, KeyShape, KeySpec, Locator, SecretInfo, Support, ToSign, WrappedCek,
};
use crate::jose::alg::{AesKeyWrap, ContentEncryption, KeyAlgorithm, KeyManagement};
use crate::jose::alg::{KeyManagementMode as Mode, SignatureAlgorithm};
use crate::jose::oct::SecretJwk;
use crate::primitives::content::{self, Sealed};
use crate::primitives::secret::{hmac, hmac_reader};
use crate::primitives::{aes_kw, random};
use crate::secret::{KeyBytes, Plaintext};

/// One symmetric software key. NO SECURITY.
pub(super) struct MemorySecret {
    keystore: String,
    info: KeyInfo,
    secret: SecretInfo,
    algs: Vec<KeyAlgorithm>,
    value: Zeroizing<Vec<u8>>,
    invocations: Invocations,
    supports: Mutex<HashMap<KeyAlgorithm, Support>>,
}

/// The key itself as the content encryption key.
#[derive(Debug)]
struct DirectCek<'a> {
    key: &'a MemorySecret,
    enc: ContentEncryption,
}

impl MemorySecret {
    /// Makes a key; `spec` has one purpose and algorithms that fit its shape.
    pub(super) fn generate(keystore: &str, locator: Locator, spec: &KeySpec, bits: u32) -> Self {
        let mut value = Zeroizing::new(vec![0; bits as usize / 8]);
        random::fill(&mut value);
        Self::new(keystore, locator, spec, value)
    }

    /// Takes a known key; `spec` has one purpose and algorithms that fit its shape.
    ///
    /// # Errors
    /// [`BackendError::NotAsAsked`] if the key has another length.
    pub(super) fn import(
        keystore: &str,
        locator: Locator,
        spec: &KeySpec,
        jwk: &SecretJwk,
    ) -> Result<Self, BackendError> {
        if jwk.kind() != spec.shape.kind() {
            return Err(BackendError::NotAsAsked {
                keystore: keystore.into(),
                what: format!("the symmetric JWK is {}", jwk.kind()),
            });
        }
        Ok(Self::new(keystore, locator, spec, Zeroizing::new(jwk.expose().to_vec())))
    }

    fn new(keystore: &str, locator: Locator, spec: &KeySpec, value: Zeroizing<Vec<u8>>) -> Self {
        let label = match &locator {
            Locator::Memory(name) => Some(name.clone()),
            _ => None,
        };
        let check_value = spec.purpose().map(|purpose| CheckValue::of(&value, purpose));
        let secret = SecretInfo { bits: 8 * value.len() as u32, check_value };
        let info = KeyInfo {
            locator,
            label,
            public: None,
            secret: Some(secret),
            unproven: Vec::new(),
            weak: Vec::new(),
            attributes: Vec::new(),
            exportable: false,
        };
        Self {
            keystore: keystore.to_owned(),
            info,
            secret,
            algs: spec.algs.clone(),
            value,
            invocations: Invocations::new(),
            supports: Mutex::default(),
        }
    }

    fn check(&self, alg: KeyAlgorithm) -> Result<(), BackendError> {
        if self.algs.contains(&alg) {
            return Ok(());
        }
        Err(unsupported(&self.keystore, alg.name(), "the key is bound to other algorithms"))
    }

    fn works(&self, alg: KeyAlgorithm) -> Result<bool, BackendError> {
        let unwrap = |request: &CekRequest<'_>, enc| self.unwrap_cek(request, enc);
        match alg {
            KeyAlgorithm::Unwrap(KeyManagement::Dir) => {
                known_answer::direct_works(&unwrap, self.secret)
            }
            KeyAlgorithm::Unwrap(alg) => {
                let wrap = |alg, cek: &HostCek| self.wrap_cek(alg, cek);
                known_answer::wrap_works(&wrap, &unwrap, &unwrap, alg)
            }
            KeyAlgorithm::Sign(alg) => {
                known_answer::mac_works(&|alg, input| HardwareKey::sign(self, alg, input), alg)
            }
        }
    }

    fn gcm_unwrap(
        &self,
        wrap: AesKeyWrap,
        encrypted_key: &[u8],
        iv: &[u8],
        tag: &[u8],
    ) -> Option<KeyBytes> {
        let cek = content::decrypt(wrap.gcm(), &self.value, iv, b"", encrypted_key.to_vec(), tag)?;
        Some(cek.into_bytes().into())
    }
}

impl HardwareKey for MemorySecret {
    fn keystore(&self) -> &str {
        &self.keystore
    }

    fn info(&self) -> &KeyInfo {
        &self.info
    }

    fn support(&self, alg: KeyAlgorithm) -> Result<Support, BackendError> {
        let mut supports = self.supports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(support) = supports.get(&alg) {
            return Ok(support.clone());
        }
        let support = match self.works(alg)? {
            true => Support::Hardware { mechanism: "software" },
            false => Support::No { reason: format!("a known answer of {alg} did not come out") },
        };
        Ok(supports.entry(alg).or_insert(support).clone())
    }

    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        self.check(KeyAlgorithm::Unwrap(request.alg()))?;
        let bytes = match *request {
            CekRequest::Dir if self.value.len() == enc.key_len() => {
                return Ok(Box::new(DirectCek { key: self, enc }));
            }
            CekRequest::AesKw { wrap, encrypted_key } => {
                aes_kw::unwrap(wrap, &self.value, encrypted_key)
            }
            CekRequest::AesGcmKw { wrap, encrypted_key, iv, tag } => {
                self.gcm_unwrap(wrap, encrypted_key, iv, tag)
            }
            _ => None,
        };
        match bytes.and_then(|bytes| HostCek::new(enc, bytes)) {
            Some(cek) => Ok(Box::new(cek)),
            None => Err(BackendError::Rejected),
        }
    }

    fn wrap_cek(&self, alg: KeyManagement, cek: &HostCek) -> Result<WrappedCek, BackendError> {
        self.check(KeyAlgorithm::Unwrap(alg))?;
        let cek = cek.expose_to_wrap();
        match alg.mode() {
            Mode::KeyWrapping(wrap) => {
                Ok(WrappedCek::key_wrap(aes_kw::wrap(wrap, &self.value, cek)))
            }
            Mode::GcmKeyWrapping(wrap) => {
                self.invocations.take(&self.keystore)?;
                let sealed = content::encrypt(wrap.gcm(), &self.value, b"", cek);
                let lengths = (sealed.iv.as_slice().try_into(), sealed.tag.as_slice().try_into());
                let (Ok(iv), Ok(tag)) = lengths else {
                    return Err(failed(&self.keystore, "wrapping"));
                };
                Ok(WrappedCek::gcm(sealed.ciphertext, iv, tag))
            }
            _ => Err(unsupported(&self.keystore, alg.name(), "it does not wrap a key")),
        }
    }

    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError> {
        self.check(KeyAlgorithm::Sign(alg))?;
        match (alg.hash(), input) {
            (Some(hash), ToSign::Message(message)) => Ok(hmac(hash, &self.value, message)),
            _ => {
                let reason = "HMAC takes the message, not a digest";
                Err(unsupported(&self.keystore, alg.name(), reason))
            }
        }
    }

    fn takes_reader(&self) -> bool {
        self.algs.iter().any(|alg| matches!(alg, KeyAlgorithm::Sign(_)))
    }

    fn mac_reader(
        &self,
        alg: SignatureAlgorithm,
        message: &mut dyn Read,
    ) -> Result<Vec<u8>, BackendError> {
        self.check(KeyAlgorithm::Sign(alg))?;
        let Some(hash) = alg.hash() else {
            return Err(unsupported(&self.keystore, alg.name(), "it is not a MAC"));
        };
        hmac_reader(hash, &self.value, message)
            .map_err(|error| BackendError::Message { reason: error.to_string() })
    }

    fn confirm_alive(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

impl Cek for DirectCek<'_> {
    fn placement(&self) -> CekPlacement {
        CekPlacement::Host
    }

    fn encrypt(self: Box<Self>, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, BackendError> {
        self.key.invocations.take(&self.key.keystore)?;
        Ok(content::encrypt(self.enc, &self.key.value, aad, plaintext))
    }

    fn decrypt_in_place(
        &self,
        iv: &[u8],
        aad: &[u8],
        ciphertext: Vec<u8>,
        tag: &[u8],
    ) -> Result<Plaintext, BackendError> {
        content::decrypt(self.enc, &self.key.value, iv, aad, ciphertext, tag)
            .ok_or(BackendError::Rejected)
    }
}

impl fmt::Debug for MemorySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: KeyShape = self.secret.shape();
        write!(f, "MemorySecret({}, {shape}, redacted)", self.info.locator)
    }
}

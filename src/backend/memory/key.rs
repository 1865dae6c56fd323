//! One software key.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::agreement::{self, UnparsedPublicKey};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair};
use aws_lc_rs::signature::{KeyPair, RsaEncoding, RsaKeyPair};
use zeroize::Zeroizing;

use crate::backend::agreement::cek_from_z;
use crate::backend::{BackendError, Cek, CekRequest, HardwareKey, HostCek, KeyInfo, KeyShape};
use crate::backend::{KeySpec, Locator, Support, ToSign, known_answer};
use crate::jose::alg::{ContentEncryption, Curve, Hash, KeyAlgorithm, Purpose, SignatureAlgorithm};
use crate::jose::jwk::{PrivateJwk, PrivateParts, PublicKey, PublicPoint, RsaPublic};
use crate::primitives::{ecdh, rsa};
use crate::secret::SharedSecret;

/// One software key. NO SECURITY.
pub(super) struct MemoryKey {
    keystore: String,
    info: KeyInfo,
    algs: Vec<KeyAlgorithm>,
    public: PublicKey,
    private: Private,
    supports: Mutex<HashMap<KeyAlgorithm, Support>>,
}

/// The private key, held by the library, which clears it.
enum Private {
    RsaDecrypt(OaepPrivateDecryptingKey),
    RsaSign(RsaKeyPair),
    Agree(agreement::PrivateKey),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl MemoryKey {
    /// Makes a key; `spec` has one purpose and algorithms that fit its shape.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] for an RSA modulus other than 2048, 3072 or 4096 bits.
    pub(super) fn generate(
        keystore: &str,
        locator: Locator,
        spec: &KeySpec,
    ) -> Result<Self, BackendError> {
        let (public, private) = match spec.shape {
            KeyShape::Rsa { bits } => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => {
                        let reason = "RSA keys are made with 2048, 3072 or 4096 bits";
                        return Err(unsupported(keystore, &spec.shape.to_string(), reason));
                    }
                };
                RsaKeyPair::generate(size).map(|pair| rsa_keys(pair, spec))
            }
            KeyShape::Curve(Curve::Ed25519) => Ed25519KeyPair::generate().map(ed25519_keys),
            KeyShape::Curve(curve) => match (ecdsa(curve), ecdh::agreement(curve)) {
                (Some(alg), _) if spec.purpose() == Some(Purpose::Sign) => {
                    EcdsaKeyPair::generate(alg).map(|pair| ecdsa_keys(curve, pair))
                }
                (_, Some(alg)) => {
                    agreement::PrivateKey::generate(alg).map(|key| agreement_keys(curve, key))
                }
                (_, None) => Err(Unspecified),
            },
            // invariant: the keystore makes symmetric keys of another type
            KeyShape::Oct { .. } => Err(Unspecified),
        }
        .and_then(|made| made)
        .map_err(|_| failed(keystore, "generating a key"))?;
        Ok(Self::new(keystore, locator, spec, public, private))
    }

    /// Takes a private key; `spec` has one purpose and algorithms that fit its shape.
    ///
    /// # Errors
    /// [`BackendError::NotAsAsked`] if the key has another shape, or its private part does not
    /// belong to its public part.
    pub(super) fn import(
        keystore: &str,
        locator: Locator,
        spec: &KeySpec,
        jwk: &PrivateJwk,
    ) -> Result<Self, BackendError> {
        let not_as_asked =
            |what: &str| BackendError::NotAsAsked { keystore: keystore.into(), what: what.into() };
        if KeyShape::of(&jwk.public.key) != spec.shape {
            return Err(not_as_asked("the private JWK has another type or size"));
        }
        let (public, private) = read(spec, jwk)
            .filter(|(public, _)| *public == jwk.public.key)
            .ok_or_else(|| not_as_asked("the parts of the private JWK do not belong together"))?;
        Ok(Self::new(keystore, locator, spec, public, private))
    }

    fn new(
        keystore: &str,
        locator: Locator,
        spec: &KeySpec,
        public: PublicKey,
        private: Private,
    ) -> Self {
        let label = match &locator {
            Locator::Memory(name) => Some(name.clone()),
            _ => None,
        };
        let info = KeyInfo {
            locator,
            label,
            public: Some(public.clone()),
            secret: None,
            unproven: Vec::new(),
            weak: Vec::new(),
            attributes: Vec::new(),
            exportable: false,
        };
        let (keystore, algs) = (keystore.to_owned(), spec.algs.clone());
        Self { keystore, info, algs, public, private, supports: Mutex::default() }
    }

    fn check(&self, alg: KeyAlgorithm) -> Result<(), BackendError> {
        if self.algs.iter().any(|bound| bound.is_same_as(alg)) {
            return Ok(());
        }
        Err(unsupported(&self.keystore, alg.name(), "the key is bound to other algorithms"))
    }

    fn unwrap(&self, request: &CekRequest<'_>, enc: ContentEncryption) -> Option<HostCek> {
        match (&self.private, request) {
            (Private::RsaDecrypt(key), CekRequest::RsaOaep { hash, encrypted_key }) => {
                let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
                let oaep = rsa::oaep(*hash);
                let cek = key.decrypt(oaep, encrypted_key, &mut buffer, None).ok()?;
                HostCek::new(enc, cek.to_vec().into())
            }
            (Private::Agree(key), CekRequest::EcdhEs { epk, other_info, wrapped }) => {
                let epk = UnparsedPublicKey::new(key.algorithm(), epk.as_bytes());
                let z = agreement::agree(key, epk, (), |z| {
                    Ok(SharedSecret::new(Zeroizing::new(z.to_vec())))
                });
                cek_from_z(z.ok()?, other_info, *wrapped, enc).ok()
            }
            _ => None,
        }
    }

    fn sign_with(
        &self,
        alg: SignatureAlgorithm,
        input: ToSign<'_>,
    ) -> Result<Vec<u8>, BackendError> {
        let digest = match (alg.hash(), input) {
            (None, ToSign::Digest(_)) => None,
            (None, ToSign::Message(_)) => Some(None),
            (Some(hash), input) => digest_of(hash, input).map(Some),
        };
        let digest = digest.ok_or_else(|| {
            unsupported(&self.keystore, alg.name(), "the input is not a digest of its hash")
        })?;
        let signature = match (&self.private, digest, input) {
            (Private::RsaSign(pair), Some(digest), _) => rsa_encoding(alg).and_then(|encoding| {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(encoding, &digest, &mut signature).ok().map(|()| signature)
            }),
            (Private::Ecdsa(pair), Some(digest), _) => {
                pair.sign_digest(&digest).ok().map(|signature| signature.as_ref().to_vec())
            }
            (Private::Ed25519(pair), None, ToSign::Message(message)) => {
                pair.try_sign(message).ok().map(|signature| signature.as_ref().to_vec())
            }
            _ => None,
        };
        signature.ok_or_else(|| failed(&self.keystore, "signing"))
    }
}

impl HardwareKey for MemoryKey {
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
        let works = match alg {
            KeyAlgorithm::Unwrap(unwrap) => known_answer::unwrap_works(
                &|request, enc| self.unwrap_cek(request, enc),
                &self.public,
                unwrap,
            ),
            KeyAlgorithm::Sign(sign) => known_answer::sign_works(
                &|alg, input| HardwareKey::sign(self, alg, input),
                &self.public,
                sign,
            ),
        }?;
        let support = if works {
            Support::Hardware { mechanism: "software" }
        } else {
            Support::No { reason: format!("a known answer of {alg} did not come out") }
        };
        Ok(supports.entry(alg).or_insert(support).clone())
    }

    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        self.check(KeyAlgorithm::Unwrap(request.alg()))?;
        match self.unwrap(request, enc) {
            Some(cek) => Ok(Box::new(cek)),
            None => Err(BackendError::Rejected),
        }
    }

    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError> {
        self.check(KeyAlgorithm::Sign(alg))?;
        self.sign_with(alg, input)
    }

    fn confirm_alive(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

impl fmt::Debug for MemoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryKey({}, {}, redacted)", self.info.locator, self.public.kind())
    }
}

type Keys = Result<(PublicKey, Private), Unspecified>;

/// Reads a private JWK into the library; `None` where its parts do not belong together.
fn read(spec: &KeySpec, jwk: &PrivateJwk) -> Option<(PublicKey, Private)> {
    match (&jwk.public.key, &jwk.private) {
        (PublicKey::Rsa(public), private @ PrivateParts::Rsa { .. }) => {
            rsa_keys(rsa::pair(public, private)?, spec).ok()
        }
        (PublicKey::Point(point), PrivateParts::Scalar(d)) => match point.curve() {
            Curve::Ed25519 => {
                ed25519_keys(Ed25519KeyPair::from_seed_and_public_key(d, point.as_bytes()).ok()?)
                    .ok()
            }
            curve if spec.purpose() == Some(Purpose::Sign) => {
                let pair: Result<_, KeyRejected> = EcdsaKeyPair::from_private_key_and_public_key(
                    ecdsa(curve)?,
                    d,
                    point.as_bytes(),
                );
                ecdsa_keys(curve, pair.ok()?).ok()
            }
            curve => {
                let key = agreement::PrivateKey::from_private_key(ecdh::agreement(curve)?, d);
                agreement_keys(curve, key.ok()?).ok()
            }
        },
        _ => None,
    }
}

fn rsa_keys(pair: RsaKeyPair, spec: &KeySpec) -> Keys {
    let der =
        pkcs1::RsaPublicKeyRef::try_from(pair.public_key().as_ref()).map_err(|_| Unspecified)?;
    let public = RsaPublic::new(der.modulus.as_bytes(), der.public_exponent.as_bytes());
    let public = PublicKey::Rsa(public.map_err(|_| Unspecified)?);
    if spec.purpose() == Some(Purpose::Sign) {
        return Ok((public, Private::RsaSign(pair)));
    }
    let der: Pkcs8V1Der<'_> = pair.as_der()?;
    let key = PrivateDecryptingKey::from_pkcs8(der.as_ref()).map_err(|_| Unspecified)?;
    Ok((public, Private::RsaDecrypt(OaepPrivateDecryptingKey::new(key)?)))
}

fn ed25519_keys(pair: Ed25519KeyPair) -> Keys {
    Ok((point(Curve::Ed25519, pair.public_key().as_ref())?, Private::Ed25519(pair)))
}

fn ecdsa_keys(curve: Curve, pair: EcdsaKeyPair) -> Keys {
    Ok((point(curve, pair.public_key().as_ref())?, Private::Ecdsa(pair)))
}

fn agreement_keys(curve: Curve, key: agreement::PrivateKey) -> Keys {
    Ok((point(curve, key.compute_public_key()?.as_ref())?, Private::Agree(key)))
}

fn point(curve: Curve, bytes: &[u8]) -> Result<PublicKey, Unspecified> {
    PublicPoint::new(curve, bytes.to_vec()).map(PublicKey::Point).map_err(|_| Unspecified)
}

fn ecdsa(curve: Curve) -> Option<&'static EcdsaSigningAlgorithm> {
    match curve {
        Curve::P256 => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Curve::P384 => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        Curve::P521 => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        Curve::X25519 | Curve::Ed25519 => None,
    }
}

fn rsa_encoding(alg: SignatureAlgorithm) -> Option<&'static dyn RsaEncoding> {
    match alg {
        SignatureAlgorithm::Rs256 => Some(&signature::RSA_PKCS1_SHA256),
        SignatureAlgorithm::Rs384 => Some(&signature::RSA_PKCS1_SHA384),
        SignatureAlgorithm::Rs512 => Some(&signature::RSA_PKCS1_SHA512),
        SignatureAlgorithm::Ps256 => Some(&signature::RSA_PSS_SHA256),
        SignatureAlgorithm::Ps384 => Some(&signature::RSA_PSS_SHA384),
        SignatureAlgorithm::Ps512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

/// Hashes a message, or takes a digest that has the length of one.
fn digest_of(hash: Hash, input: ToSign<'_>) -> Option<Digest> {
    let algorithm = match hash {
        Hash::Sha1 => return None,
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    match input {
        ToSign::Message(message) => Some(digest::digest(algorithm, message)),
        ToSign::Digest(digest) => Digest::import_less_safe(digest, algorithm).ok(),
    }
}

pub(super) fn unsupported(keystore: &str, what: &str, reason: &str) -> BackendError {
    let (keystore, what, reason) = (keystore.into(), what.into(), reason.into());
    BackendError::Unsupported { keystore, what, reason }
}

pub(super) fn failed(keystore: &str, call: &str) -> BackendError {
    let (keystore, call) = (keystore.into(), call.into());
    BackendError::Device { keystore, call, code: "the cryptographic library failed".into() }
}

//! What a TPM calls an algorithm: the scheme a key is bound to when it is made, and the one that a
//! command names.

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    EccScheme, HashScheme, HmacScheme, KeyDerivationFunctionScheme, KeyedHashScheme, Public,
    PublicEccParameters, PublicKeyedHashParameters, PublicParameters, PublicRsaParameters,
    RsaDecryptionScheme, RsaExponent, RsaScheme, SignatureScheme, SymmetricDefinitionObject,
};

use crate::backend::{KeyShape, KeySpec};
use crate::jose::alg::{Curve, Hash, KeyAlgorithm, KeyManagementMode as Mode, SignatureAlgorithm};

/// How a TPM does an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// TPM2_RSA_Decrypt with TPM_ALG_OAEP.
    Oaep(Hash),
    /// TPM2_Sign with TPM_ALG_RSASSA.
    RsaSsa(Hash),
    /// TPM2_Sign with TPM_ALG_RSAPSS.
    RsaPss(Hash),
    /// TPM2_Sign with TPM_ALG_ECDSA.
    EcDsa(Hash),
    /// TPM2_ECDH_ZGen.
    EcDh,
    /// TPM2_HMAC.
    Hmac(Hash),
}

impl Scheme {
    /// Returns the scheme of an algorithm; `None` where TPM 2.0 has none.
    pub(super) fn of(alg: KeyAlgorithm) -> Option<Self> {
        use SignatureAlgorithm as S;
        Some(match alg {
            KeyAlgorithm::Unwrap(alg) if alg.is_ecdh() => Self::EcDh,
            KeyAlgorithm::Unwrap(alg) => Self::Oaep(alg.oaep_hash()?),
            KeyAlgorithm::Sign(S::Rs256) => Self::RsaSsa(Hash::Sha256),
            KeyAlgorithm::Sign(S::Rs384) => Self::RsaSsa(Hash::Sha384),
            KeyAlgorithm::Sign(S::Rs512) => Self::RsaSsa(Hash::Sha512),
            KeyAlgorithm::Sign(S::Ps256) => Self::RsaPss(Hash::Sha256),
            KeyAlgorithm::Sign(S::Ps384) => Self::RsaPss(Hash::Sha384),
            KeyAlgorithm::Sign(S::Ps512) => Self::RsaPss(Hash::Sha512),
            KeyAlgorithm::Sign(S::Es256) => Self::EcDsa(Hash::Sha256),
            KeyAlgorithm::Sign(S::Es384) => Self::EcDsa(Hash::Sha384),
            KeyAlgorithm::Sign(S::Es512) => Self::EcDsa(Hash::Sha512),
            KeyAlgorithm::Sign(S::Hs256) => Self::Hmac(Hash::Sha256),
            KeyAlgorithm::Sign(S::Hs384) => Self::Hmac(Hash::Sha384),
            KeyAlgorithm::Sign(S::Hs512) => Self::Hmac(Hash::Sha512),
            KeyAlgorithm::Sign(_) => return None,
        })
    }

    /// Returns the one scheme of a new key for all of its algorithms.
    ///
    /// # Errors
    /// Why there is none, in words for an operator.
    pub(super) fn of_spec(spec: &KeySpec) -> Result<Self, String> {
        let mut only = None;
        for alg in &spec.algs {
            if !alg.fits(spec.shape.kind()) {
                return Err(format!("{alg} does not fit a key of {}", spec.shape));
            }
            let scheme = Self::of(*alg).ok_or_else(|| without(*alg))?;
            if *only.get_or_insert(scheme) != scheme {
                return Err("a key of a TPM is bound to one scheme when it is made".to_owned());
            }
        }
        only.ok_or_else(|| "a new key needs an algorithm".to_owned())
    }

    /// Returns the name of the scheme, as TPM 2.0 has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Oaep(_) => "TPM_ALG_OAEP",
            Self::RsaSsa(_) => "TPM_ALG_RSASSA",
            Self::RsaPss(_) => "TPM_ALG_RSAPSS",
            Self::EcDsa(_) => "TPM_ALG_ECDSA",
            Self::EcDh => "TPM_ALG_ECDH",
            Self::Hmac(_) => "TPM_ALG_HMAC",
        }
    }

    /// Returns whether a key with the scheme signs, or authenticates.
    pub(super) const fn signs(self) -> bool {
        matches!(self, Self::RsaSsa(_) | Self::RsaPss(_) | Self::EcDsa(_) | Self::Hmac(_))
    }

    /// Returns the scheme of TPM2_RSA_Decrypt.
    pub(super) fn decryption(self) -> Option<RsaDecryptionScheme> {
        match self {
            Self::Oaep(hash) => Some(RsaDecryptionScheme::Oaep(hash_scheme(hash))),
            _ => None,
        }
    }

    /// Returns the scheme of TPM2_Sign.
    pub(super) fn signature(self) -> Option<SignatureScheme> {
        let scheme = |hash| hash_scheme(hash);
        match self {
            Self::RsaSsa(hash) => Some(SignatureScheme::RsaSsa { hash_scheme: scheme(hash) }),
            Self::RsaPss(hash) => Some(SignatureScheme::RsaPss { hash_scheme: scheme(hash) }),
            Self::EcDsa(hash) => Some(SignatureScheme::EcDsa { hash_scheme: scheme(hash) }),
            Self::Oaep(_) | Self::EcDh | Self::Hmac(_) => None,
        }
    }
}

/// Says why there is no scheme for an algorithm.
fn without(alg: KeyAlgorithm) -> String {
    let why = match alg {
        KeyAlgorithm::Unwrap(alg) => match alg.mode() {
            Mode::KeyWrapping(_) => "TPM 2.0 has no AES key wrap",
            Mode::GcmKeyWrapping(_) | Mode::DirectEncryption => "TPM 2.0 has no AES in GCM",
            _ => "TPM 2.0 has no scheme for it",
        },
        KeyAlgorithm::Sign(_) => "TPM 2.0 has no scheme for it",
    };
    format!("{alg}: {why}")
}

/// Returns the parameters of a key of `shape`, bound to `scheme`, or to none.
///
/// # Errors
/// Why TPM 2.0, or the binding, has none, in words for an operator.
pub(super) fn parameters(
    shape: KeyShape,
    scheme: Option<Scheme>,
) -> Result<PublicParameters, String> {
    let no_shape = || format!("no key of {shape} in TPM 2.0");
    Ok(match shape {
        KeyShape::Rsa { bits } => {
            let bits = u16::try_from(bits).ok().and_then(|bits| RsaKeyBits::try_from(bits).ok());
            let scheme = match scheme {
                Some(Scheme::Oaep(hash)) => RsaScheme::Oaep(hash_scheme(hash)),
                Some(Scheme::RsaSsa(hash)) => RsaScheme::RsaSsa(hash_scheme(hash)),
                Some(Scheme::RsaPss(hash)) => RsaScheme::RsaPss(hash_scheme(hash)),
                Some(other) => return Err(format!("{} does not fit {shape}", other.name())),
                None => RsaScheme::Null,
            };
            PublicParameters::Rsa(PublicRsaParameters::new(
                SymmetricDefinitionObject::Null,
                scheme,
                bits.ok_or_else(no_shape)?,
                RsaExponent::default(),
            ))
        }
        KeyShape::Curve(curve) => {
            let scheme = match scheme {
                Some(Scheme::EcDsa(hash)) => EccScheme::EcDsa(hash_scheme(hash)),
                Some(Scheme::EcDh) => EccScheme::EcDh(hash_scheme(Hash::Sha256)),
                Some(other) => return Err(format!("{} does not fit {shape}", other.name())),
                None => EccScheme::Null,
            };
            PublicParameters::Ecc(PublicEccParameters::new(
                SymmetricDefinitionObject::Null,
                scheme,
                ecc_curve(curve).ok_or_else(no_shape)?,
                KeyDerivationFunctionScheme::Null,
            ))
        }
        KeyShape::Oct { bits } => {
            let Some(Scheme::Hmac(hash)) = scheme else { return Err(no_shape()) };
            let made = secret_bits(hash);
            if bits != made {
                return Err(format!(
                    "a TPM chooses the length of a key for HMAC: that of the hash, {made} bits"
                ));
            }
            let hmac_scheme = HmacScheme::new(hashing_algorithm(hash));
            let scheme = KeyedHashScheme::Hmac { hmac_scheme };
            PublicParameters::KeyedHash(PublicKeyedHashParameters::new(scheme))
        }
    })
}

/// Returns the length in bits of a key for HMAC that a TPM makes: that of the hash of its scheme. No
/// command tells it; the reference code has it so in every revision (TPM 2.0 part 4,
/// `CryptGenerateKeyedHash`).
pub(super) const fn secret_bits(hash: Hash) -> u32 {
    8 * hash.len() as u32
}

/// Returns the hash of a key for HMAC; `None` for one that is not bound to one of ours.
pub(super) fn hmac_hash(parameters: &PublicKeyedHashParameters) -> Option<Hash> {
    [Hash::Sha256, Hash::Sha384, Hash::Sha512].into_iter().find(|hash| {
        let hmac_scheme = HmacScheme::new(hashing_algorithm(*hash));
        *parameters == PublicKeyedHashParameters::new(KeyedHashScheme::Hmac { hmac_scheme })
    })
}

/// Tells whether a key with this public area does `alg`, by what it is bound to.
///
/// # Errors
/// Why not, in words for an operator.
pub(super) fn bound_to(public: &Public, alg: KeyAlgorithm) -> Result<Scheme, String> {
    let scheme = Scheme::of(alg).ok_or_else(|| format!("TPM 2.0 has no scheme for {alg}"))?;
    let attributes = public.object_attributes();
    if attributes.restricted() {
        return Err("restricted is set: it takes no input from outside the TPM".to_owned());
    }
    if !attributes.user_with_auth() {
        return Err("userWithAuth is clear: it wants a policy, which is not supported".to_owned());
    }
    if scheme.signs() && !attributes.sign_encrypt() {
        return Err("sign is clear".to_owned());
    }
    if !scheme.signs() && !attributes.decrypt() {
        return Err("decrypt is clear".to_owned());
    }
    let is_taken = match (public, scheme) {
        (Public::Rsa { parameters, .. }, scheme) => match (parameters.rsa_scheme(), scheme) {
            (RsaScheme::Null, Scheme::Oaep(_) | Scheme::RsaSsa(_) | Scheme::RsaPss(_)) => true,
            (RsaScheme::Oaep(bound), Scheme::Oaep(hash))
            | (RsaScheme::RsaSsa(bound), Scheme::RsaSsa(hash))
            | (RsaScheme::RsaPss(bound), Scheme::RsaPss(hash)) => bound == hash_scheme(hash),
            _ => false,
        },
        (Public::Ecc { parameters, .. }, scheme) => match (parameters.ecc_scheme(), scheme) {
            (EccScheme::Null, Scheme::EcDsa(_) | Scheme::EcDh)
            | (EccScheme::EcDh(_), Scheme::EcDh) => true,
            (EccScheme::EcDsa(bound), Scheme::EcDsa(hash)) => bound == hash_scheme(hash),
            _ => false,
        },
        (Public::KeyedHash { parameters, .. }, Scheme::Hmac(hash)) => {
            hmac_hash(parameters) == Some(hash)
        }
        _ => false,
    };
    if is_taken { Ok(scheme) } else { Err("the key is bound to another scheme".to_owned()) }
}

/// Returns the curve by its name in TPM 2.0.
pub(super) fn ecc_curve(curve: Curve) -> Option<EccCurve> {
    match curve {
        Curve::P256 => Some(EccCurve::NistP256),
        Curve::P384 => Some(EccCurve::NistP384),
        Curve::P521 => Some(EccCurve::NistP521),
        _ => None,
    }
}

/// Returns the curve by its name in JOSE.
pub(super) fn jose_curve(curve: EccCurve) -> Option<Curve> {
    match curve {
        EccCurve::NistP256 => Some(Curve::P256),
        EccCurve::NistP384 => Some(Curve::P384),
        EccCurve::NistP521 => Some(Curve::P521),
        _ => None,
    }
}

/// Returns the hash by its name in TPM 2.0.
pub(super) const fn hashing_algorithm(hash: Hash) -> HashingAlgorithm {
    match hash {
        Hash::Sha1 => HashingAlgorithm::Sha1,
        Hash::Sha256 => HashingAlgorithm::Sha256,
        Hash::Sha384 => HashingAlgorithm::Sha384,
        Hash::Sha512 => HashingAlgorithm::Sha512,
    }
}

fn hash_scheme(hash: Hash) -> HashScheme {
    HashScheme::new(hashing_algorithm(hash))
}

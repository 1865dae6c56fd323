//! Mechanisms: which one does an algorithm, with which parameters, and what a key is locked to.

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki_sys as ck;

use crate::jose::alg::KeyManagementMode as Mode;
use crate::jose::alg::{Hash, KeyAlgorithm, KeyManagement, SignatureAlgorithm};

/// A mechanism with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mech {
    /// RSAES-OAEP in the token; the hash is also that of MGF1, the label is empty.
    RsaOaep(Hash),
    /// Raw RSA.
    RsaX509,
    /// RSASSA-PKCS1-v1_5 over a DigestInfo that the host has made.
    RsaPkcs,
    /// RSASSA-PKCS1-v1_5, the token hashes.
    RsaPkcsHashed(Hash),
    /// RSASSA-PSS over a digest that the host has made; the salt is as long as the hash.
    RsaPss(Hash),
    /// RSASSA-PSS, the token hashes.
    RsaPssHashed(Hash),
    /// ECDSA over a digest that the host has made.
    Ecdsa,
    /// ECDSA, the token hashes.
    EcdsaHashed(Hash),
    /// Ed25519 over the message.
    EdDsa,
    /// HMAC with this hash over the message.
    Hmac(Hash),
}

/// What a symmetric key encrypts with, and its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cipher<'a> {
    /// AES key wrap (RFC 3394) with its own initial value.
    KeyWrap,
    /// AES in GCM with a tag of [`GCM_TAG_LEN`] bytes.
    Gcm {
        /// The initialization vector.
        iv: &'a [u8; GCM_IV_LEN],
        /// The additional authenticated data.
        aad: &'a [u8],
    },
}

/// The initialization vector of AES in GCM, in bytes (RFC 7518 sections 4.7.1.1 and 5.3).
pub(super) const GCM_IV_LEN: usize = 12;

/// The tag of AES in GCM, in bytes (RFC 7518 sections 4.7.1.2 and 5.3).
pub(super) const GCM_TAG_LEN: usize = 16;

/// The parameters of a mechanism in the form of the C interface.
#[derive(Debug)]
pub(super) enum NativeParams {
    None,
    Oaep(ck::CK_RSA_PKCS_OAEP_PARAMS),
    Pss(ck::CK_RSA_PKCS_PSS_PARAMS),
}

impl Mech {
    /// Returns the mechanisms that can sign `alg`, the better one first.
    ///
    /// Hashing on the host comes first because every token that has the key type has it; the other
    /// is for keys whose CKA_ALLOWED_MECHANISMS has only that.
    pub(super) fn for_signing(alg: SignatureAlgorithm) -> Vec<Self> {
        use SignatureAlgorithm as Alg;
        let hash = alg.hash().unwrap_or(Hash::Sha256);
        match alg {
            Alg::Rs256 | Alg::Rs384 | Alg::Rs512 => vec![Self::RsaPkcs, Self::RsaPkcsHashed(hash)],
            Alg::Ps256 | Alg::Ps384 | Alg::Ps512 => {
                vec![Self::RsaPss(hash), Self::RsaPssHashed(hash)]
            }
            Alg::Es256 | Alg::Es384 | Alg::Es512 => vec![Self::Ecdsa, Self::EcdsaHashed(hash)],
            Alg::EdDsa | Alg::Ed25519 => vec![Self::EdDsa],
            Alg::Hs256 | Alg::Hs384 | Alg::Hs512 => vec![Self::Hmac(hash)],
        }
    }

    /// Returns whether the token hashes, so that it must be given the message.
    pub(super) const fn hashes(self) -> bool {
        matches!(
            self,
            Self::RsaPkcsHashed(_)
                | Self::RsaPssHashed(_)
                | Self::EcdsaHashed(_)
                | Self::EdDsa
                | Self::Hmac(_)
        )
    }

    /// Returns the name of the mechanism in the standard.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RsaOaep(_) => "CKM_RSA_PKCS_OAEP",
            Self::RsaX509 => "CKM_RSA_X_509",
            Self::RsaPkcs => "CKM_RSA_PKCS",
            Self::RsaPkcsHashed(Hash::Sha1) => "CKM_SHA1_RSA_PKCS",
            Self::RsaPkcsHashed(Hash::Sha256) => "CKM_SHA256_RSA_PKCS",
            Self::RsaPkcsHashed(Hash::Sha384) => "CKM_SHA384_RSA_PKCS",
            Self::RsaPkcsHashed(Hash::Sha512) => "CKM_SHA512_RSA_PKCS",
            Self::RsaPss(_) => "CKM_RSA_PKCS_PSS",
            Self::RsaPssHashed(Hash::Sha1) => "CKM_SHA1_RSA_PKCS_PSS",
            Self::RsaPssHashed(Hash::Sha256) => "CKM_SHA256_RSA_PKCS_PSS",
            Self::RsaPssHashed(Hash::Sha384) => "CKM_SHA384_RSA_PKCS_PSS",
            Self::RsaPssHashed(Hash::Sha512) => "CKM_SHA512_RSA_PKCS_PSS",
            Self::Ecdsa => "CKM_ECDSA",
            Self::EcdsaHashed(Hash::Sha1) => "CKM_ECDSA_SHA1",
            Self::EcdsaHashed(Hash::Sha256) => "CKM_ECDSA_SHA256",
            Self::EcdsaHashed(Hash::Sha384) => "CKM_ECDSA_SHA384",
            Self::EcdsaHashed(Hash::Sha512) => "CKM_ECDSA_SHA512",
            Self::EdDsa => "CKM_EDDSA",
            Self::Hmac(Hash::Sha1) => "CKM_SHA_1_HMAC",
            Self::Hmac(Hash::Sha256) => "CKM_SHA256_HMAC",
            Self::Hmac(Hash::Sha384) => "CKM_SHA384_HMAC",
            Self::Hmac(Hash::Sha512) => "CKM_SHA512_HMAC",
        }
    }

    /// Returns the type of the mechanism.
    pub(super) fn kind(self) -> MechanismType {
        self.binding().mechanism_type()
    }

    /// Returns the mechanism as the binding takes it.
    pub(super) fn binding(self) -> Mechanism<'static> {
        match self {
            Self::RsaOaep(hash) => Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
                hash_type(hash),
                mgf(hash),
                // An empty label is a NULL pointer: NSS and SoftHSM refuse anything else.
                PkcsOaepSource::empty(),
            )),
            Self::RsaX509 => Mechanism::RsaX509,
            Self::RsaPkcs => Mechanism::RsaPkcs,
            Self::RsaPkcsHashed(Hash::Sha1) => Mechanism::Sha1RsaPkcs,
            Self::RsaPkcsHashed(Hash::Sha256) => Mechanism::Sha256RsaPkcs,
            Self::RsaPkcsHashed(Hash::Sha384) => Mechanism::Sha384RsaPkcs,
            Self::RsaPkcsHashed(Hash::Sha512) => Mechanism::Sha512RsaPkcs,
            Self::RsaPss(hash) => Mechanism::RsaPkcsPss(pss(hash)),
            Self::RsaPssHashed(hash) => match hash {
                Hash::Sha1 => Mechanism::Sha1RsaPkcsPss(pss(hash)),
                Hash::Sha256 => Mechanism::Sha256RsaPkcsPss(pss(hash)),
                Hash::Sha384 => Mechanism::Sha384RsaPkcsPss(pss(hash)),
                Hash::Sha512 => Mechanism::Sha512RsaPkcsPss(pss(hash)),
            },
            Self::Ecdsa => Mechanism::Ecdsa,
            Self::EcdsaHashed(Hash::Sha1) => Mechanism::EcdsaSha1,
            Self::EcdsaHashed(Hash::Sha256) => Mechanism::EcdsaSha256,
            Self::EcdsaHashed(Hash::Sha384) => Mechanism::EcdsaSha384,
            Self::EcdsaHashed(Hash::Sha512) => Mechanism::EcdsaSha512,
            Self::EdDsa => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
            Self::Hmac(Hash::Sha1) => Mechanism::Sha1Hmac,
            Self::Hmac(Hash::Sha256) => Mechanism::Sha256Hmac,
            Self::Hmac(Hash::Sha384) => Mechanism::Sha384Hmac,
            Self::Hmac(Hash::Sha512) => Mechanism::Sha512Hmac,
        }
    }

    /// Returns the mechanism as the C interface takes it.
    pub(super) fn native(self) -> (ck::CK_MECHANISM_TYPE, NativeParams) {
        let kind = self.kind().into();
        let params = match self {
            Self::RsaOaep(hash) => NativeParams::Oaep(ck::CK_RSA_PKCS_OAEP_PARAMS {
                hashAlg: hash_type(hash).into(),
                mgf: native_mgf(hash),
                // CKZ_DATA_SPECIFIED even for the empty label: Luna refuses 0.
                source: ck::CKZ_DATA_SPECIFIED,
                pSourceData: std::ptr::null_mut(),
                ulSourceDataLen: 0,
            }),
            Self::RsaPss(hash) | Self::RsaPssHashed(hash) => {
                NativeParams::Pss(ck::CK_RSA_PKCS_PSS_PARAMS {
                    hashAlg: hash_type(hash).into(),
                    mgf: native_mgf(hash),
                    sLen: hash.len() as ck::CK_ULONG,
                })
            }
            _ => NativeParams::None,
        };
        (kind, params)
    }
}

/// Returns what the CKA_ALLOWED_MECHANISMS of a new key for `alg` shall be.
///
/// | alg | mechanisms |
/// |---|---|
/// | `RSA-OAEP*` | CKM_RSA_PKCS_OAEP; with OAEP decoding on the host also CKM_RSA_X_509 |
/// | `ECDH-ES*` | CKM_ECDH1_DERIVE |
/// | `RS*` | CKM_RSA_PKCS, CKM_SHA*_RSA_PKCS |
/// | `PS*` | CKM_RSA_PKCS_PSS, CKM_SHA*_RSA_PKCS_PSS |
/// | `ES*` | CKM_ECDSA, CKM_ECDSA_SHA* |
/// | `EdDSA` | CKM_EDDSA |
/// | `A*KW` | CKM_AES_KEY_WRAP |
/// | `A*GCMKW`, `dir` | CKM_AES_GCM |
/// | `HS*` | CKM_SHA*_HMAC |
///
/// The key of a host-decoded alg keeps CKM_RSA_PKCS_OAEP, so that a later module with the hash
/// serves it natively; a signing key has both forms, so that it can move to a token that has one.
pub(super) fn allowed(alg: KeyAlgorithm, host_oaep: bool) -> Vec<MechanismType> {
    match alg {
        KeyAlgorithm::Unwrap(alg) => match alg.mode() {
            Mode::KeyEncryption(_) if host_oaep => {
                vec![MechanismType::RSA_PKCS_OAEP, MechanismType::RSA_X_509]
            }
            Mode::KeyEncryption(_) => vec![MechanismType::RSA_PKCS_OAEP],
            Mode::DirectKeyAgreement | Mode::KeyAgreementWithKeyWrapping(_) => {
                vec![MechanismType::ECDH1_DERIVE]
            }
            Mode::KeyWrapping(_) => vec![MechanismType::AES_KEY_WRAP],
            Mode::GcmKeyWrapping(_) | Mode::DirectEncryption => vec![MechanismType::AES_GCM],
        },
        KeyAlgorithm::Sign(alg) => Mech::for_signing(alg).into_iter().map(Mech::kind).collect(),
    }
}

/// Puts the DigestInfo of RFC 8017 section 9.2 before a digest.
pub(super) fn digest_info(hash: Hash, digest: &[u8]) -> Vec<u8> {
    // Note 1 of section 9.2: SEQUENCE { SEQUENCE { OID, NULL }, OCTET STRING }.
    let oid: &[u8] = match hash {
        Hash::Sha1 => &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
        Hash::Sha256 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
        Hash::Sha384 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02],
        Hash::Sha512 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03],
    };
    let oid_len = oid.len() as u8;
    let digest_len = digest.len() as u8;
    let mut info = Vec::with_capacity(10 + oid.len() + digest.len());
    info.extend([0x30, 8 + oid_len + digest_len, 0x30, 4 + oid_len, 0x06, oid_len]);
    info.extend_from_slice(oid);
    info.extend([0x05, 0x00, 0x04, digest_len]);
    info.extend_from_slice(digest);
    info
}

/// Returns what the host does in a decryption with raw RSA, for an operator.
pub(super) const fn host_oaep_step(alg: KeyManagement) -> &'static str {
    match alg.oaep_hash() {
        Some(Hash::Sha256) => {
            "OAEP decoding (SHA-256) on the host; the key also allows raw RSA in the token"
        }
        Some(Hash::Sha384) => {
            "OAEP decoding (SHA-384) on the host; the key also allows raw RSA in the token"
        }
        Some(Hash::Sha512) => {
            "OAEP decoding (SHA-512) on the host; the key also allows raw RSA in the token"
        }
        _ => "OAEP decoding (SHA-1) on the host; the key also allows raw RSA in the token",
    }
}

fn hash_type(hash: Hash) -> MechanismType {
    match hash {
        Hash::Sha1 => MechanismType::SHA1,
        Hash::Sha256 => MechanismType::SHA256,
        Hash::Sha384 => MechanismType::SHA384,
        Hash::Sha512 => MechanismType::SHA512,
    }
}

fn mgf(hash: Hash) -> PkcsMgfType {
    match hash {
        Hash::Sha1 => PkcsMgfType::MGF1_SHA1,
        Hash::Sha256 => PkcsMgfType::MGF1_SHA256,
        Hash::Sha384 => PkcsMgfType::MGF1_SHA384,
        Hash::Sha512 => PkcsMgfType::MGF1_SHA512,
    }
}

fn native_mgf(hash: Hash) -> ck::CK_RSA_PKCS_MGF_TYPE {
    match hash {
        Hash::Sha1 => ck::CKG_MGF1_SHA1,
        Hash::Sha256 => ck::CKG_MGF1_SHA256,
        Hash::Sha384 => ck::CKG_MGF1_SHA384,
        Hash::Sha512 => ck::CKG_MGF1_SHA512,
    }
}

fn pss(hash: Hash) -> PkcsPssParams {
    PkcsPssParams {
        hash_alg: hash_type(hash),
        mgf: mgf(hash),
        s_len: (hash.len() as ck::CK_ULONG).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oaep_parameters_are_those_that_every_token_takes() {
        for (hash, hash_type, mgf) in [
            (Hash::Sha1, ck::CKM_SHA_1, ck::CKG_MGF1_SHA1),
            (Hash::Sha256, ck::CKM_SHA256, ck::CKG_MGF1_SHA256),
            (Hash::Sha384, ck::CKM_SHA384, ck::CKG_MGF1_SHA384),
            (Hash::Sha512, ck::CKM_SHA512, ck::CKG_MGF1_SHA512),
        ] {
            let (kind, NativeParams::Oaep(params)) = Mech::RsaOaep(hash).native() else {
                panic!("no OAEP parameters")
            };
            assert_eq!(kind, ck::CKM_RSA_PKCS_OAEP);
            assert_eq!((params.hashAlg, params.mgf, params.source), (hash_type, mgf, 1));
            assert!(params.pSourceData.is_null() && params.ulSourceDataLen == 0);
        }
    }

    #[test]
    fn pss_salts_are_as_long_as_the_hash() {
        let (kind, NativeParams::Pss(params)) = Mech::RsaPss(Hash::Sha384).native() else {
            panic!("no PSS parameters")
        };
        assert_eq!(kind, ck::CKM_RSA_PKCS_PSS);
        assert_eq!((params.hashAlg, params.sLen), (ck::CKM_SHA384, 48));
    }

    #[test]
    fn digest_info_is_that_of_rfc_8017() {
        let info = digest_info(Hash::Sha256, &[0xaa; 32]);
        let prefix = [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ];
        assert_eq!(info[..19], prefix);
        assert_eq!(digest_info(Hash::Sha512, &[0; 64])[..4], [0x30, 0x51, 0x30, 0x0d]);
    }

    #[test]
    fn every_mechanism_has_its_own_name() {
        let types = |mech: Mech| format!("CKM_{}", mech.kind()).to_uppercase();
        for alg in SignatureAlgorithm::ALL {
            for mech in Mech::for_signing(*alg) {
                let told = types(mech);
                assert!(told.ends_with(mech.name()), "{told} {}", mech.name());
            }
        }
    }
}

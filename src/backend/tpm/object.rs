//! A key of the TPM as it lies outside: its public area, where its private part is, and what that
//! guarantees.

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{EccScheme, HashScheme, Private, Public, RsaScheme};
use tss_esapi::traits::Marshall;

use super::scheme;
use crate::backend::{CheckValue, KeyInfo, Locator, SecretInfo};
use crate::jose::alg::KeyKind;
use crate::jose::jwk::{PublicKey, PublicPoint, RsaPublic};

pub(super) mod keyfile;
pub(super) mod store;
pub(super) mod template;
pub(super) mod wrap;

/// A key, and where its private part is.
pub(super) struct Material {
    /// Tells the keys of this process apart.
    pub(super) id: u64,
    pub(super) public: Public,
    pub(super) place: Place,
}

/// Where the private part of a key is.
pub(super) enum Place {
    /// Outside, wrapped under a parent: 0x40000001, or a persistent handle.
    Wrapped { parent: u32, private: Private },
    /// In the TPM, at a persistent handle.
    Persistent(u32),
}

/// By what a key is known.
#[derive(Debug)]
pub(super) enum Identity {
    /// The public half of a private key.
    Public(PublicKey),
    /// Length and check value of a symmetric key.
    Secret(SecretInfo),
}

impl Identity {
    pub(super) fn kind(&self) -> KeyKind {
        match self {
            Self::Public(public) => public.kind(),
            Self::Secret(secret) => secret.shape().kind(),
        }
    }
}

/// What the public area of a key says of it.
#[derive(Debug)]
pub(super) struct Description {
    /// By what the key is known.
    pub(super) key: Identity,
    /// The attributes and the scheme, by their names in TPM 2.0.
    pub(super) attributes: Vec<String>,
    /// Guarantees that are not there.
    pub(super) unproven: Vec<String>,
    /// What is wrong for a key of ours.
    pub(super) weak: Vec<String>,
    /// It can be duplicated out of the TPM by whoever satisfies its policy.
    pub(super) exportable: bool,
}

impl Description {
    /// Turns it into what the seam tells.
    pub(super) fn into_info(self, locator: &Locator) -> (Identity, KeyInfo) {
        let label = match locator {
            Locator::KeyFile(name) => Some(name.trim_end_matches(".pem").to_owned()),
            _ => None,
        };
        let (public, secret) = match &self.key {
            Identity::Public(public) => (Some(public.clone()), None),
            Identity::Secret(secret) => (None, Some(*secret)),
        };
        let info = KeyInfo {
            locator: locator.clone(),
            label,
            public,
            secret,
            unproven: self.unproven,
            weak: self.weak,
            attributes: self.attributes,
            exportable: self.exportable,
        };
        (self.key, info)
    }
}

/// Why [`describe`] says nothing of a key.
pub(super) const NOT_SERVED: &str = "not RSA, P-256, P-384 or P-521, and no key for HMAC with SHA-256, \
     SHA-384 or SHA-512 that a TPM made and keeps (fixedTPM, fixedParent and sensitiveDataOrigin, all set)";

/// Reads a public area; `None` for a kind of key that JOSE does not have, and for a symmetric key that
/// may have come from outside: nothing tells how long it is, or who else has it.
pub(super) fn describe(public: &Public, has_auth: bool) -> Option<Description> {
    let (key, scheme, is_bound) = match public {
        Public::Rsa { parameters, unique, .. } => {
            let exponent = match parameters.exponent().value() {
                0 => 65537,
                exponent => exponent,
            };
            let rsa = RsaPublic::existing(unique.value(), &exponent.to_be_bytes()).ok()?;
            let scheme = parameters.rsa_scheme();
            let is_bound = scheme != RsaScheme::Null;
            (Identity::Public(PublicKey::Rsa(rsa)), rsa_scheme(scheme), is_bound)
        }
        Public::Ecc { parameters, unique, .. } => {
            let curve = scheme::jose_curve(parameters.ecc_curve())?;
            let mut point = vec![4];
            for coordinate in [unique.x().value(), unique.y().value()] {
                let padding = curve.field_len().checked_sub(coordinate.len())?;
                point.resize(point.len() + padding, 0);
                point.extend_from_slice(coordinate);
            }
            let point = PublicPoint::new(curve, point).ok()?;
            let scheme = parameters.ecc_scheme();
            let is_bound = scheme != EccScheme::Null;
            (Identity::Public(PublicKey::Point(point)), ecc_scheme(scheme), is_bound)
        }
        Public::KeyedHash { parameters, object_attributes, .. } => {
            let hash = scheme::hmac_hash(parameters)?;
            if !is_made_here(*object_attributes) {
                return None;
            }
            let secret =
                SecretInfo { bits: scheme::secret_bits(hash), check_value: check_value(public) };
            let hash = HashScheme::new(scheme::hashing_algorithm(hash));
            (Identity::Secret(secret), with_hash("TPM_ALG_HMAC", hash), true)
        }
        _ => return None,
    };
    let set = public.object_attributes();
    let flags = [
        (set.fixed_tpm(), "fixedTPM"),
        (set.st_clear(), "stClear"),
        (set.fixed_parent(), "fixedParent"),
        (set.sensitive_data_origin(), "sensitiveDataOrigin"),
        (set.user_with_auth(), "userWithAuth"),
        (set.admin_with_policy(), "adminWithPolicy"),
        (set.no_da(), "noDA"),
        (set.encrypted_duplication(), "encryptedDuplication"),
        (set.restricted(), "restricted"),
        (set.decrypt(), "decrypt"),
        (set.sign_encrypt(), "sign"),
    ];
    let mut attributes: Vec<String> =
        flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| (*name).to_owned()).collect();
    attributes.push(format!("scheme {scheme}"));
    let mut unproven = Vec::new();
    for (is_set, what) in [
        (set.fixed_tpm(), "fixedTPM is clear: it may have been made outside, or be in another TPM"),
        (set.fixed_parent(), "fixedParent is clear: it can be put under another parent"),
        (set.sensitive_data_origin(), "sensitiveDataOrigin is clear: it was made outside"),
    ] {
        if !is_set {
            unproven.push(what.to_owned());
        }
    }
    if set.no_da() && has_auth {
        unproven.push("noDA is set: its authorization value can be guessed at".to_owned());
    }
    let mut weak = Vec::new();
    if let Identity::Public(public) = &key {
        weak.extend(public.weakness().map(str::to_owned));
    }
    if set.sign_encrypt() && set.decrypt() {
        weak.push("sign and decrypt are both set: it signs what it decrypts".to_owned());
    }
    if !is_bound && matches!(key, Identity::Public(PublicKey::Rsa(_))) && set.decrypt() {
        weak.push("TPM_ALG_NULL is its scheme: it does raw RSA too".to_owned());
    }
    // Only a policy authorizes TPM2_Duplicate: without one nobody can.
    let exportable = !set.fixed_parent() && !public.auth_policy().is_empty();
    Some(Description { key, attributes, unproven, weak, exportable })
}

/// Returns whether a TPM has made the key and it has been in no other. sensitiveDataOrigin alone does not
/// say so: an import takes it as it comes, and only fixedTPM and fixedParent are refused there (TPM 2.0
/// part 3, TPM2_Import), nor does a parent that came from outside have children with them.
fn is_made_here(set: ObjectAttributes) -> bool {
    set.fixed_tpm() && set.fixed_parent() && set.sensitive_data_origin()
}

/// Returns the name of an object: the hash that stands for it in every authorization (TPM 2.0
/// part 1, section "Names").
pub(super) fn name_of(public: &Public) -> Option<Vec<u8>> {
    let area = public.marshall().ok()?;
    let (id, digest) = match public.name_hashing_algorithm() {
        HashingAlgorithm::Sha256 => (0x000b_u16, Sha256::digest(&area).to_vec()),
        HashingAlgorithm::Sha384 => (0x000c, Sha384::digest(&area).to_vec()),
        HashingAlgorithm::Sha512 => (0x000d, Sha512::digest(&area).to_vec()),
        _ => return None,
    };
    Some([&id.to_be_bytes()[..], &digest].concat())
}

/// Returns the check value of a symmetric key, of which a TPM gives no digest: the first bytes of the
/// digest in its name. The name depends on the key, as the public area has a digest of it and of a
/// seed that the TPM has drawn, and the TPM loads no other with it.
fn check_value(public: &Public) -> Option<CheckValue> {
    CheckValue::new(name_of(public)?.get(2..5)?)
}

/// Returns the scheme and its hash by their names in TPM 2.0.
fn rsa_scheme(scheme: RsaScheme) -> String {
    match scheme {
        RsaScheme::RsaSsa(hash) => with_hash("TPM_ALG_RSASSA", hash),
        RsaScheme::RsaPss(hash) => with_hash("TPM_ALG_RSAPSS", hash),
        RsaScheme::Oaep(hash) => with_hash("TPM_ALG_OAEP", hash),
        RsaScheme::RsaEs => "TPM_ALG_RSAES".to_owned(),
        RsaScheme::Null => "TPM_ALG_NULL".to_owned(),
    }
}

fn ecc_scheme(scheme: EccScheme) -> String {
    match scheme {
        EccScheme::EcDsa(hash) => with_hash("TPM_ALG_ECDSA", hash),
        EccScheme::EcDh(hash) => with_hash("TPM_ALG_ECDH", hash),
        EccScheme::Null => "TPM_ALG_NULL".to_owned(),
        other => format!("{other:?}"),
    }
}

fn with_hash(name: &str, hash: HashScheme) -> String {
    format!("{name} with {:?}", hash.hashing_algorithm()).replace("Sha", "SHA-")
}

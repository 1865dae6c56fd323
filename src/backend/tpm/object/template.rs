//! Templates: the parent, and what a new key shall be.

use tss_esapi::attributes::{ObjectAttributes, ObjectAttributesBuilder};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::{
    Digest, EccParameter, EccPoint, Public, PublicBuilder, PublicEccParametersBuilder,
    PublicKeyRsa, PublicParameters, SymmetricDefinitionObject,
};

use crate::jose::jwk::PublicKey;

/// Returns the template of the primary key: ECC P-256 with AES-128, as tpm2-openssl and the kernel
/// make it, so that key files serve there and here.
pub(in crate::backend::tpm) fn parent() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(
            PublicEccParametersBuilder::new_restricted_decryption_key(
                SymmetricDefinitionObject::AES_128_CFB,
                EccCurve::NistP256,
            )
            .build()?,
        )
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// What a key may do, and how it is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::tpm) struct Usage {
    pub(in crate::backend::tpm) sign: bool,
    pub(in crate::backend::tpm) decrypt: bool,
    /// A wrong authorization value counts towards lockout.
    pub(in crate::backend::tpm) protected: bool,
    /// The TPM makes the key, and it stays there.
    pub(in crate::backend::tpm) made_here: bool,
}

/// Returns the public area of a new key; `known` is the public half of one that is put in.
pub(in crate::backend::tpm) fn key(
    parameters: PublicParameters,
    usage: Usage,
    known: Option<&PublicKey>,
) -> tss_esapi::Result<Public> {
    let builder = PublicBuilder::new()
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes(usage)?);
    match parameters {
        PublicParameters::Rsa(parameters) => {
            let n = match known {
                Some(PublicKey::Rsa(rsa)) => PublicKeyRsa::try_from(rsa.n())?,
                _ => PublicKeyRsa::default(),
            };
            builder
                .with_public_algorithm(PublicAlgorithm::Rsa)
                .with_rsa_parameters(parameters)
                .with_rsa_unique_identifier(n)
                .build()
        }
        PublicParameters::Ecc(parameters) => {
            let point = match known {
                Some(PublicKey::Point(point)) => {
                    let (x, y) = point.coordinates();
                    EccPoint::new(
                        EccParameter::try_from(x)?,
                        EccParameter::try_from(y.unwrap_or_default())?,
                    )
                }
                _ => EccPoint::default(),
            };
            builder
                .with_public_algorithm(PublicAlgorithm::Ecc)
                .with_ecc_parameters(parameters)
                .with_ecc_unique_identifier(point)
                .build()
        }
        PublicParameters::KeyedHash(parameters) => builder
            .with_public_algorithm(PublicAlgorithm::KeyedHash)
            .with_keyed_hash_parameters(parameters)
            .with_keyed_hash_unique_identifier(Digest::default())
            .build(),
        // Refused by the builder: no key of ours is of another kind.
        _ => builder.build(),
    }
}

fn attributes(usage: Usage) -> tss_esapi::Result<ObjectAttributes> {
    ObjectAttributesBuilder::new()
        .with_fixed_tpm(usage.made_here)
        .with_fixed_parent(usage.made_here)
        .with_sensitive_data_origin(usage.made_here)
        .with_user_with_auth(true)
        .with_no_da(!usage.protected)
        .with_sign_encrypt(usage.sign)
        .with_decrypt(usage.decrypt)
        .build()
}

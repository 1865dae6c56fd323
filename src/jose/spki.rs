//! Public keys as other tools write them: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) and, in
//! only, the `RSAPublicKey` of PKCS#1 (RFC 8017 appendix A.1.1), in DER and PEM.
//!
//! An RSA key whose algorithm is RSASSA-PSS (RFC 4055 section 1.2) is taken where its parameters are
//! those of one JWS algorithm: the JWK is then bound to that `alg`. Without parameters it may be used
//! with any hash, which no JWK can say, and is refused.

use pkcs1::{RsaPssParams, RsaPublicKey};
use pkcs8::ObjectIdentifier;
use pkcs8::der::asn1::{Any, AnyRef, BitStringRef, UintRef};
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::alg::{Curve, SignatureAlgorithm};
use super::jwk::{JwkError, PublicJwk, PublicKey, PublicPoint, RsaPublic};
use super::pem;

pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(crate) const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// The JWS algorithms that the parameters of an RSASSA-PSS key can name: hash, length of the salt.
const PSS: [(ObjectIdentifier, u8, SignatureAlgorithm); 3] = [
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"), 32, SignatureAlgorithm::Ps256),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"), 48, SignatureAlgorithm::Ps384),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"), 64, SignatureAlgorithm::Ps512),
];

const LABEL: &str = "PUBLIC KEY";

/// Reads a public key in DER; PEM and whatever else a file has is for
/// [`super::jwk::JwkSet::from_any`]. It is a SubjectPublicKeyInfo, or the `RSAPublicKey` of PKCS#1.
///
/// The JWK has no metadata but the `alg` of an RSASSA-PSS key.
///
/// # Errors
/// Another form, another kind of key than this build has, or octets after the key.
pub fn from_der(der: &[u8]) -> Result<PublicJwk, JwkError> {
    // The forms have nothing in common that one could be taken for the other.
    match SubjectPublicKeyInfoRef::from_der(der) {
        Ok(info) => from_info(&info),
        Err(_) => rsa(der).map(PublicJwk::bare).map_err(|error| {
            match RsaPublicKey::<UintRef<'_>>::from_der(der) {
                Ok(_) => error,
                Err(_) => {
                    JwkError("neither SubjectPublicKeyInfo nor PKCS#1 public key in DER".into())
                }
            }
        }),
    }
}

/// Writes a public key as SubjectPublicKeyInfo in DER: RFC 3279 sections 2.3.1 and 2.3.5 with a named
/// curve, RFC 8410 for X25519 and Ed25519.
///
/// # Errors
/// Only a key too large for DER, which no [`PublicKey`] is.
pub fn to_der(key: &PublicKey) -> Result<Vec<u8>, JwkError> {
    let refused = |_| JwkError("the key cannot be written in DER".into());
    let (algorithm, octets) = match key {
        PublicKey::Rsa(rsa) => {
            let modulus = UintRef::new(rsa.n()).map_err(refused)?;
            let public_exponent = UintRef::new(rsa.e()).map_err(refused)?;
            let octets = RsaPublicKey { modulus, public_exponent }.to_der().map_err(refused)?;
            (AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) }, octets)
        }
        PublicKey::Point(point) => {
            let octets = point.as_bytes().to_vec();
            let oid = match point.curve() {
                Curve::X25519 => X25519,
                Curve::Ed25519 => ED25519,
                Curve::P256 => return ec_to_der(&P256, &octets).map_err(refused),
                Curve::P384 => return ec_to_der(&P384, &octets).map_err(refused),
                Curve::P521 => return ec_to_der(&P521, &octets).map_err(refused),
            };
            (AlgorithmIdentifierRef { oid, parameters: None }, octets)
        }
    };
    info_to_der(algorithm, &octets).map_err(refused)
}

/// Writes a public key as PEM: `BEGIN PUBLIC KEY` (RFC 7468 section 13).
///
/// ```
/// use hsm_jose::jose::jwk::PublicJwk;
/// use hsm_jose::jose::spki;
///
/// // The key of RFC 8410 section 10.1.
/// let pem = "-----BEGIN PUBLIC KEY-----\n\
///     MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
///     -----END PUBLIC KEY-----\n";
/// let jwk = PublicJwk::from_any(pem.as_bytes())?;
/// assert_eq!(spki::to_pem(&jwk.key)?, pem);
/// # Ok::<(), hsm_jose::jose::jwk::JwkError>(())
/// ```
///
/// # Errors
/// As [`to_der`].
pub fn to_pem(key: &PublicKey) -> Result<String, JwkError> {
    pem::encode(LABEL, &to_der(key)?)
}

/// Returns the curve of a named-curve OID.
pub(crate) fn named_curve(oid: Option<ObjectIdentifier>) -> Result<Curve, JwkError> {
    match oid {
        Some(P256) => Ok(Curve::P256),
        Some(P384) => Ok(Curve::P384),
        Some(P521) => Ok(Curve::P521),
        Some(other) => Err(JwkError(format!("EC key on the curve {other}, not in this build"))),
        None => Err(JwkError("EC key without a named curve".into())),
    }
}

/// Reads the PEM block of a public key, or says that it is none.
pub(crate) fn from_block(block: &pem::Block<'_>) -> Result<PublicJwk, JwkError> {
    match block.label {
        LABEL => {
            let der = block.decode()?;
            let info = SubjectPublicKeyInfoRef::from_der(&der)
                .map_err(|_| JwkError("the public key cannot be read".into()))?;
            from_info(&info)
        }
        "RSA PUBLIC KEY" => rsa(&block.decode()?).map(PublicJwk::bare),
        _ => Err(JwkError(format!(
            "PEM of {:?}, expected \"PUBLIC KEY\", \"RSA PUBLIC KEY\" or \"CERTIFICATE\"",
            block.shown()
        ))),
    }
}

/// Reads the key of a parsed SubjectPublicKeyInfo.
pub(crate) fn from_info(info: &SubjectPublicKeyInfoRef<'_>) -> Result<PublicJwk, JwkError> {
    let octets = info.subject_public_key.as_bytes();
    let octets = octets.ok_or_else(|| JwkError("public key that is not whole octets".into()))?;
    let point = |curve| Ok(PublicKey::Point(PublicPoint::new(curve, octets.to_vec())?));
    let AlgorithmIdentifierRef { oid, parameters } = info.algorithm;
    let key = match oid {
        // RFC 3279 section 2.3.1: the parameters are NULL.
        RSA if parameters.is_none_or(|parameters| parameters.is_null()) => rsa(octets)?,
        RSA_PSS => {
            let alg = Some(pss_alg(parameters)?.name().to_owned());
            return Ok(PublicJwk { alg, ..PublicJwk::bare(rsa(octets)?) });
        }
        EC => point(named_curve(info.algorithm.parameters_oid().ok())?)?,
        // RFC 8410 section 3: there are none.
        X25519 if parameters.is_none() => point(Curve::X25519)?,
        ED25519 if parameters.is_none() => point(Curve::Ed25519)?,
        RSA | X25519 | ED25519 => return Err(JwkError("parameters that this key has not".into())),
        other => return Err(JwkError(format!("key of type {other}, not in this build"))),
    };
    Ok(PublicJwk::bare(key))
}

fn rsa(der: &[u8]) -> Result<PublicKey, JwkError> {
    let key = RsaPublicKey::<UintRef<'_>>::from_der(der)
        .map_err(|_| JwkError("the RSA public key cannot be read".into()))?;
    Ok(PublicKey::Rsa(RsaPublic::new(key.modulus.as_bytes(), key.public_exponent.as_bytes())?))
}

/// Returns the algorithm that the parameters of an RSASSA-PSS key name.
pub(super) fn pss_alg(parameters: Option<AnyRef<'_>>) -> Result<SignatureAlgorithm, JwkError> {
    let refused = |what: &str| {
        JwkError(format!(
            "RSASSA-PSS key {what}: only those of PS256, PS384 and PS512 are taken; write the key as \
             rsaEncryption"
        ))
    };
    let parameters = parameters.ok_or_else(|| refused("for any hash"))?;
    let parameters: RsaPssParams<Any> =
        parameters.decode_as().map_err(|_| refused("with parameters that cannot be read"))?;
    let mgf_hash = parameters.mask_gen.parameters.map(|hash| hash.oid);
    let named = PSS.iter().find(|(hash, salt_len, _)| {
        parameters.hash.oid == *hash
            && parameters.mask_gen.oid == MGF1
            && mgf_hash == Some(*hash)
            && parameters.salt_len == *salt_len
    });
    let (_, _, alg) = named.ok_or_else(|| refused("with other parameters"))?;
    Ok(*alg)
}

fn ec_to_der(curve: &ObjectIdentifier, octets: &[u8]) -> Result<Vec<u8>, pkcs8::der::Error> {
    info_to_der(AlgorithmIdentifierRef { oid: EC, parameters: Some(curve.into()) }, octets)
}

fn info_to_der(
    algorithm: AlgorithmIdentifierRef<'_>,
    octets: &[u8],
) -> Result<Vec<u8>, pkcs8::der::Error> {
    let subject_public_key = BitStringRef::from_bytes(octets)?;
    SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der()
}

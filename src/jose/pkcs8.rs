//! Private keys in PKCS#8 (RFC 5208, RFC 5958), and in the older forms that OpenSSL still writes:
//! PKCS#1 (RFC 8017 appendix A.1.2) and SEC 1 (RFC 5915).

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use pkcs1::RsaPrivateKey;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::{OctetStringRef, UintRef};
use pkcs8::der::{Decode, SecretDocument};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::alg::Curve;
use super::jwk::{JwkError, PrivateJwk, PrivateParts};
use super::jwk::{PublicJwk, PublicKey, PublicPoint, RsaPublic};
use super::pem;
use super::spki::{EC, ED25519, RSA, RSA_PSS, X25519, named_curve, pss_alg};

/// Reads a private key, PEM or DER: RSA, EC on a NIST curve, Ed25519 or X25519.
///
/// The public half is computed from the private one. The JWK has no metadata but the `alg` of an
/// RSASSA-PSS key, which its parameters have to name (RFC 4055 section 1.2).
///
/// # Errors
/// Says which form was expected; nothing of the key is quoted.
pub fn parse(bytes: &[u8]) -> Result<PrivateJwk, JwkError> {
    let Some(text) = pem::text(bytes) else {
        return parse_der(bytes);
    };
    let text = private_block(text)?.strict();
    let (label, document) = SecretDocument::from_pem(&text)
        .map_err(|_| JwkError("the PEM text cannot be read".into()))?;
    match label {
        "PRIVATE KEY" => pkcs8_key(document.as_bytes()),
        "RSA PRIVATE KEY" => rsa_key(document.as_bytes()),
        "EC PRIVATE KEY" => sec1_key(document.as_bytes()),
        _ => Err(JwkError(format!(
            "PEM of {label:?}, expected \"PRIVATE KEY\" (PKCS#8, not encrypted); \
             convert with: openssl pkcs8 -topk8 -nocrypt"
        ))),
    }
}

/// Returns the one PEM block of a private key. Certificates, and the curve that
/// `openssl ecparam -genkey` writes, are blocks of their own, before it or after it.
fn private_block(text: &str) -> Result<pem::Block<'_>, JwkError> {
    let mut private = pem::blocks(text).filter(pem::Block::is_private);
    match (private.next(), private.next()) {
        (Some(_), Some(_)) => Err(JwkError("more than one private key in the PEM text".into())),
        (Some(block), None) => Ok(block),
        // Whatever else it is, it is named.
        (None, _) => pem::blocks(text).last().ok_or_else(|| JwkError("no PEM block".into())),
    }
}

/// Returns whether the octets are a private key in one of the forms that are read here.
pub(crate) fn is_private(der: &[u8]) -> bool {
    PrivateKeyInfoRef::try_from(der).is_ok()
        || RsaPrivateKey::<UintRef<'_>>::from_der(der).is_ok()
        || EcPrivateKey::from_der(der).is_ok()
}

fn parse_der(der: &[u8]) -> Result<PrivateJwk, JwkError> {
    // The three forms have nothing in common that one could be taken for another.
    if PrivateKeyInfoRef::try_from(der).is_ok() {
        pkcs8_key(der)
    } else if RsaPrivateKey::<UintRef<'_>>::from_der(der).is_ok() {
        rsa_key(der)
    } else if EcPrivateKey::from_der(der).is_ok() {
        sec1_key(der)
    } else {
        Err(JwkError("neither PEM, nor PKCS#8, PKCS#1 or SEC 1 in DER; is it encrypted?".into()))
    }
}

fn pkcs8_key(der: &[u8]) -> Result<PrivateJwk, JwkError> {
    let info = PrivateKeyInfoRef::try_from(der)
        .map_err(|_| JwkError("the PKCS#8 private key cannot be read".into()))?;
    let key = info.private_key.as_bytes();
    match info.algorithm.oid {
        RSA => rsa_key(key),
        // RFC 4055 section 1.2.
        RSA_PSS => {
            let alg = pss_alg(info.algorithm.parameters)?;
            let mut made = rsa_key(key)?;
            made.public.alg = Some(alg.name().to_owned());
            Ok(made)
        }
        EC => ec_key(named_curve(info.algorithm.parameters_oid().ok())?, key),
        X25519 => scalar_key(Curve::X25519, key_octets(key)?),
        ED25519 => scalar_key(Curve::Ed25519, key_octets(key)?),
        other => Err(JwkError(format!("key of type {other}, not in this build"))),
    }
}

fn sec1_key(der: &[u8]) -> Result<PrivateJwk, JwkError> {
    let key = EcPrivateKey::from_der(der)
        .map_err(|_| JwkError("the EC private key cannot be read".into()))?;
    ec_key(named_curve(key.parameters.and_then(|parameters| parameters.named_curve()))?, der)
}

fn rsa_key(der: &[u8]) -> Result<PrivateJwk, JwkError> {
    let key = RsaPrivateKey::<UintRef<'_>>::from_der(der)
        .map_err(|_| JwkError("the RSA private key cannot be read".into()))?;
    if key.other_prime_infos.is_some() {
        return Err(JwkError("RSA key of more than two primes".into()));
    }
    let public = RsaPublic::new(key.modulus.as_bytes(), key.public_exponent.as_bytes())?;
    let secret = |number: UintRef<'_>| Zeroizing::new(number.as_bytes().to_vec());
    Ok(PrivateJwk {
        public: PublicJwk::bare(PublicKey::Rsa(public)),
        private: PrivateParts::Rsa {
            d: secret(key.private_exponent),
            p: secret(key.prime1),
            q: secret(key.prime2),
            dp: secret(key.exponent1),
            dq: secret(key.exponent2),
            qi: secret(key.coefficient),
        },
    })
}

fn ec_key(curve: Curve, der: &[u8]) -> Result<PrivateJwk, JwkError> {
    let key = EcPrivateKey::from_der(der)
        .map_err(|_| JwkError("the EC private key cannot be read".into()))?;
    let made = scalar_key(curve, key.private_key)?;
    let PublicKey::Point(point) = &made.public.key else {
        return Err(JwkError("the EC private key has no public point".into()));
    };
    match key.public_key {
        Some(public) if public != point.as_bytes() => {
            Err(JwkError("the EC key's public half is not that of its private half".into()))
        }
        _ => Ok(made),
    }
}

/// Unwraps the second octet string that RFC 8410 section 7 puts around the key.
fn key_octets(der: &[u8]) -> Result<&[u8], JwkError> {
    let octets = <&OctetStringRef>::from_der(der)
        .map_err(|_| JwkError("the private key cannot be read".into()))?;
    Ok(octets.as_bytes())
}

pub(super) fn scalar_key(curve: Curve, scalar: &[u8]) -> Result<PrivateJwk, JwkError> {
    let padding = curve.field_len().checked_sub(scalar.len());
    // Leading zeros may be missing of a number, on the P curves, never of the octets of the others
    // (RFC 8410 section 7).
    let Some(padding) = padding.filter(|padding| *padding == 0 || curve.kty() == "EC") else {
        return Err(JwkError(format!(
            "a {curve} private key of {} bytes, expected {}",
            scalar.len(),
            curve.field_len()
        )));
    };
    let mut padded = Zeroizing::new(vec![0; curve.field_len()]);
    padded[padding..].copy_from_slice(scalar);
    let refused = || JwkError(format!("not a {curve} private key"));
    let public = if curve == Curve::Ed25519 {
        let pair = Ed25519KeyPair::from_seed_unchecked(&padded).map_err(|_| refused())?;
        pair.public_key().as_ref().to_vec()
    } else {
        let algorithm = match curve {
            Curve::P384 => &agreement::ECDH_P384,
            Curve::P521 => &agreement::ECDH_P521,
            Curve::X25519 => &agreement::X25519,
            _ => &agreement::ECDH_P256,
        };
        let private =
            agreement::PrivateKey::from_private_key(algorithm, &padded).map_err(|_| refused())?;
        private.compute_public_key().map_err(|_| refused())?.as_ref().to_vec()
    };
    Ok(PrivateJwk {
        public: PublicJwk::bare(PublicKey::Point(PublicPoint::new(curve, public)?)),
        private: PrivateParts::Scalar(padded),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The private key of RFC 8037 appendix A.1 in the form of RFC 8410 section 7.
    const ED25519_PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn the_public_half_is_computed() {
        // The public key of RFC 8037 appendix A.2.
        let key = parse(ED25519_PEM.as_bytes()).unwrap();
        let PublicKey::Point(point) = &key.public.key else { panic!("a point") };
        let x = super::super::base64url::encode(point.as_bytes());
        assert_eq!(x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(format!("{key:?}"), "PrivateJwk(Ed25519, redacted)");
    }

    #[test]
    fn the_key_is_found_among_other_blocks() {
        const OTHER: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let alone = parse(ED25519_PEM.as_bytes()).unwrap().public;
        for text in [
            format!("{OTHER}{ED25519_PEM}"),
            format!("{ED25519_PEM}{OTHER}"),
            format!("Bag Attributes\n{OTHER}{OTHER}{ED25519_PEM}Bag Attributes\n{OTHER}"),
            ED25519_PEM.replace('\n', "\r\n"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().public, alone, "{text}");
        }
        let message = parse(OTHER.as_bytes()).unwrap_err().to_string();
        assert!(message.contains("CERTIFICATE"), "{message}");
        let message = parse(format!("{ED25519_PEM}{ED25519_PEM}").as_bytes()).unwrap_err();
        assert!(message.to_string().contains("more than one"), "{message}");
    }

    #[test]
    fn octets_of_another_length_are_no_key() {
        // The keys of RFC 8410 section 7 with one octet less: 31 in the inner octet string.
        for oid in [112, 110] {
            let mut der = vec![0x30, 45, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, oid, 4, 33, 4, 31];
            der.extend([7; 31]);
            let message = parse(&der).unwrap_err().to_string();
            assert!(message.contains("31 bytes, expected 32"), "{message}");
        }
    }

    #[test]
    fn other_forms_are_named() {
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n\
                         -----END ENCRYPTED PRIVATE KEY-----\n";
        let message = parse(encrypted.as_bytes()).unwrap_err().to_string();
        assert!(message.contains("ENCRYPTED") && message.contains("openssl"), "{message}");
        assert!(parse(b"").is_err());
        assert!(parse(b"{}").is_err());
        let cut = ED25519_PEM.replace("MC4C", "MC4D");
        assert!(parse(cut.as_bytes()).is_err());
    }
}

//! Project Wycheproof's vectors against the primitives, through the public interface.
//!
//! Every test counts what it ran, by file, so that a file that went missing or a filter that
//! swallows too much fails the test.

use std::sync::Arc;

use aes_gcm::{AeadInOut, KeyInit};
use aws_lc_rs::agreement as aws;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{Cek, CekRequest, HardwareKey, HostCek, KeyShape, KeySpec, Keystore};
use hsm_jose::jose::alg::{AesKeyWrap, ContentEncryption, Curve, Hash, KeyAlgorithm};
use hsm_jose::jose::alg::{KeyManagement, SignatureAlgorithm};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{PrivateJwk, PublicKey, PublicPoint, RsaPublic};
use hsm_jose::primitives::verify::VerifyingKey;
use hsm_jose::primitives::{aes_kw, concat_kdf, ecdh, oaep};
use hsm_jose::secret::{KeyBytes, SharedSecret};
use num_bigint::BigUint;
use wycheproof::{EllipticCurve, HashFunction, TestResult};
use zeroize::Zeroizing;

#[test]
fn rsa_oaep() {
    use wycheproof::rsa_oaep::TestName::*;
    let files = [
        (Rsa2048Sha1Mgf1Sha1, 36),
        (Rsa2048Sha256Mgf1Sha256, 37),
        (Rsa2048Sha384Mgf1Sha384, 34),
        (Rsa2048Sha512Mgf1Sha512, 33),
        (Rsa3072Sha256Mgf1Sha256, 37),
        (Rsa3072Sha512Mgf1Sha512, 33),
        (Rsa4096Sha256Mgf1Sha256, 37),
        (Rsa4096Sha512Mgf1Sha512, 36),
        // Of this one, the groups with one hash for both and up to 4096 bits.
        (RsaMisc, 74),
    ];
    for (file, expected) in files {
        let mut ran = 0;
        for group in wycheproof::rsa_oaep::TestSet::load(file).unwrap().test_groups {
            let Some(hash) = hash(group.hash) else { continue };
            if group.hash != group.mgf_hash || group.key_size > 4096 {
                continue;
            }
            for test in group.tests {
                ran += 1;
                let em = raw_rsa(&group.key, &test.ct);
                let decode = |len| em.as_ref().and_then(|em| oaep::decode(hash, em, len));
                if test.result == TestResult::Valid && test.label.is_empty() {
                    let message = decode(test.pt.len()).expect(&test.comment);
                    assert_eq!(message.expose(), test.pt.as_slice(), "{file:?} {}", test.tc_id);
                    assert!(decode(test.pt.len() + 1).is_none());
                } else {
                    for len in [test.pt.len(), 0, 16, 24, 32, 48, 64] {
                        assert!(decode(len).is_none(), "{file:?} {}", test.tc_id);
                    }
                }
            }
        }
        assert_eq!(ran, expected, "{file:?}");
    }
}

#[test]
fn aes_gcm() {
    let (mut ran, mut refused) = (0, 0);
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    for group in set.test_groups {
        let enc = match group.key_size {
            128 => ContentEncryption::A128Gcm,
            192 => ContentEncryption::A192Gcm,
            _ => ContentEncryption::A256Gcm,
        };
        let fits = group.nonce_size == 96 && group.tag_size == 128;
        for test in group.tests {
            let opened = open(enc, &test);
            ran += usize::from(fits);
            refused += usize::from(!fits);
            let expected = fits && test.result == TestResult::Valid;
            assert_eq!(opened.as_deref(), expected.then_some(test.pt.as_slice()), "{test:?}");
        }
    }
    assert_eq!((ran, refused), (197, 119));
}

#[test]
fn aes_cbc_hmac() {
    use wycheproof::aead::TestName::*;
    let files = [
        (Aes128CbcHmacSha256, ContentEncryption::A128CbcHs256),
        (Aes192CbcHmacSha384, ContentEncryption::A192CbcHs384),
        (Aes256CbcHmacSha512, ContentEncryption::A256CbcHs512),
    ];
    for (file, enc) in files {
        let mut ran = 0;
        for group in wycheproof::aead::TestSet::load(file).unwrap().test_groups {
            for test in group.tests {
                ran += 1;
                let expected = test.result == TestResult::Valid;
                let opened = open(enc, &test);
                assert_eq!(opened.as_deref(), expected.then_some(test.pt.as_slice()), "{test:?}");
            }
        }
        assert_eq!(ran, 94, "{file:?}");
    }
}

#[test]
fn aes_key_wrap() {
    let mut ran = 0;
    let set = wycheproof::keywrap::TestSet::load(wycheproof::keywrap::TestName::AesKeyWrap);
    for group in set.unwrap().test_groups {
        let wrap = match group.key_size {
            128 => AesKeyWrap::A128Kw,
            192 => AesKeyWrap::A192Kw,
            _ => AesKeyWrap::A256Kw,
        };
        for test in group.tests {
            ran += 1;
            // What Wycheproof calls acceptable is a key of 8 bytes, which RFC 3394 does not wrap.
            let is_valid = test.result == TestResult::Valid;
            let unwrapped = aes_kw::unwrap(wrap, &test.key, &test.ct);
            let unwrapped = unwrapped.as_ref().map(KeyBytes::expose);
            assert_eq!(unwrapped, is_valid.then_some(test.pt.as_slice()), "{test:?}");
            if is_valid {
                assert_eq!(aes_kw::wrap(wrap, &test.key, &test.pt), *test.ct);
            }
        }
    }
    assert_eq!(ran, 165);
}

#[test]
fn ecdh_on_p_curves() {
    use wycheproof::ecdh::TestName::*;
    let files = [
        (EcdhSecp256r1Ecpoint, Curve::P256, 330, 25),
        (EcdhSecp384r1Ecpoint, Curve::P384, 771, 19),
        (EcdhSecp521r1Ecpoint, Curve::P521, 632, 29),
    ];
    for (file, curve, expected_good, expected_bad) in files {
        let (mut good, mut bad) = (0, 0);
        for group in wycheproof::ecdh::TestSet::load(file).unwrap().test_groups {
            for test in group.tests {
                let point = PublicPoint::new(curve, test.public_key.to_vec());
                let point = point.ok().filter(|point| ecdh::check_point(point).is_ok());
                if test.result == TestResult::Valid {
                    good += 1;
                    let point = point.expect(&test.comment);
                    let private = padded(&test.private_key, curve.field_len());
                    assert!(agrees(curve, &private, &point, &test.shared_secret), "{test:?}");
                } else {
                    // Invalid points, and the compressed one that is called acceptable.
                    bad += 1;
                    assert!(point.is_none(), "{test:?}");
                }
            }
        }
        assert_eq!((good, bad), (expected_good, expected_bad), "{file:?}");
    }
}

#[test]
fn x25519() {
    let (mut good, mut bad) = (0, 0);
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            let point = PublicPoint::new(Curve::X25519, test.public_key.to_vec()).unwrap();
            let is_zero = test.shared_secret.iter().all(|byte| *byte == 0);
            assert_eq!(ecdh::check_point(&point).is_err(), is_zero, "{test:?}");
            if is_zero {
                bad += 1;
            } else {
                good += 1;
                let works = agrees(Curve::X25519, &test.private_key, &point, &test.shared_secret);
                assert!(works, "{test:?}");
            }
        }
    }
    assert_eq!((good, bad), (487, 31));
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::TestName::*;
    let files = [
        (EcdsaSecp256r1Sha256P1363, SignatureAlgorithm::Es256, 262),
        (EcdsaSecp384r1Sha384P1363, SignatureAlgorithm::Es384, 280),
        (EcdsaSecp521r1Sha512P1363, SignatureAlgorithm::Es512, 318),
    ];
    for (file, alg, expected) in files {
        let mut ran = 0;
        for group in wycheproof::ecdsa::TestSet::load(file).unwrap().test_groups {
            let curve = match group.key.curve {
                EllipticCurve::Secp256r1 => Curve::P256,
                EllipticCurve::Secp384r1 => Curve::P384,
                _ => Curve::P521,
            };
            let key = verifying(PublicKey::Point(
                PublicPoint::new(curve, group.key.key.to_vec()).unwrap(),
            ));
            for test in group.tests {
                ran += 1;
                let is_valid = key.verify(alg, &test.msg, &test.sig);
                assert_eq!(is_valid, test.result == TestResult::Valid, "{file:?} {test:?}");
            }
        }
        assert_eq!(ran, expected, "{file:?}");
    }
}

#[test]
fn ed25519() {
    let mut ran = 0;
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    for group in set.test_groups {
        let point = PublicPoint::new(Curve::Ed25519, group.key.pk.to_vec()).unwrap();
        let key = verifying(PublicKey::Point(point));
        for test in group.tests {
            ran += 1;
            for alg in [SignatureAlgorithm::EdDsa, SignatureAlgorithm::Ed25519] {
                let is_valid = key.verify(alg, &test.msg, &test.sig);
                assert_eq!(is_valid, test.result == TestResult::Valid, "{test:?}");
            }
        }
    }
    assert_eq!(ran, 151);
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::TestName::*;
    let files = [
        (RsaPss2048Sha256Mgf1SaltLen32, 108, true),
        (RsaPss2048Sha384Mgf1SaltLen48, 141, true),
        (RsaPss3072Sha256Mgf1SaltLen32, 108, true),
        (RsaPss4096Sha256Mgf1SaltLen32, 108, true),
        (RsaPss4096Sha384Mgf1SaltLen48, 141, true),
        (RsaPss4096Sha512Mgf1SaltLen64, 179, true),
        // Good signatures with another salt length or another hash in MGF1: not those of JOSE.
        (RsaPss2048Sha256Mgf1SaltLen0, 103, false),
        (RsaPss2048Sha256Mgf1Sha1_20, 108, false),
        (RsaPss4096Sha512Mgf1SaltLen32, 177, false),
    ];
    for (file, expected, is_jose) in files {
        assert_eq!(pss(file, Some(is_jose)), expected, "{file:?}");
    }
    // Every pair of hashes with every salt length; of the first hash, those that JOSE has.
    assert_eq!(pss(RsaPssmisc, None), 90);
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::TestName::*;
    let files = [
        (Rsa2048Sha256, SignatureAlgorithm::Rs256, 259),
        (Rsa2048Sha384, SignatureAlgorithm::Rs384, 258),
        (Rsa2048Sha512, SignatureAlgorithm::Rs512, 259),
        (Rsa3072Sha256, SignatureAlgorithm::Rs256, 259),
        (Rsa3072Sha384, SignatureAlgorithm::Rs384, 259),
        (Rsa3072Sha512, SignatureAlgorithm::Rs512, 260),
        (Rsa4096Sha256, SignatureAlgorithm::Rs256, 258),
        (Rsa4096Sha384, SignatureAlgorithm::Rs384, 259),
        (Rsa4096Sha512, SignatureAlgorithm::Rs512, 259),
        (Rsa8192Sha256, SignatureAlgorithm::Rs256, 258),
        (Rsa8192Sha384, SignatureAlgorithm::Rs384, 259),
        (Rsa8192Sha512, SignatureAlgorithm::Rs512, 259),
    ];
    for (file, alg, expected) in files {
        let mut ran = 0;
        for group in wycheproof::rsa_pkcs1_verify::TestSet::load(file).unwrap().test_groups {
            let key = verifying(rsa(&group.key.n, &group.key.e));
            for test in group.tests {
                ran += 1;
                // The acceptable one lacks the NULL of its DigestInfo: refused (RFC 8017 A.2.4).
                let is_valid = key.verify(alg, &test.msg, &test.sig);
                assert_eq!(is_valid, test.result == TestResult::Valid, "{file:?} {test:?}");
            }
        }
        assert_eq!(ran, expected, "{file:?}");
    }
}

fn pss(file: wycheproof::rsa_pss_verify::TestName, is_jose_file: Option<bool>) -> usize {
    let mut ran = 0;
    for group in wycheproof::rsa_pss_verify::TestSet::load(file).unwrap().test_groups {
        let (alg, hash_len) = match group.hash {
            HashFunction::Sha2_256 => (SignatureAlgorithm::Ps256, 32),
            HashFunction::Sha2_384 => (SignatureAlgorithm::Ps384, 48),
            HashFunction::Sha2_512 => (SignatureAlgorithm::Ps512, 64),
            _ => continue,
        };
        let is_jose = group.mgf_hash == Some(group.hash) && group.salt_size == hash_len;
        assert!(is_jose_file.is_none_or(|expected| expected == is_jose), "{file:?}");
        let key = verifying(rsa(&group.key.n, &group.key.e));
        for test in group.tests {
            ran += 1;
            // A file of another salt length has a signature with ours, as one of its faults.
            let has_our_salt = group.mgf_hash == Some(group.hash)
                && test.comment == format!("s_len changed to {hash_len}");
            let expected = if is_jose { test.result == TestResult::Valid } else { has_our_salt };
            assert_eq!(key.verify(alg, &test.msg, &test.sig), expected, "{file:?} {test:?}");
        }
    }
    ran
}

/// Opens a vector as a JWE's content would be; a key of another length opens nothing.
fn open(enc: ContentEncryption, test: &wycheproof::aead::Test) -> Option<Vec<u8>> {
    let cek = HostCek::new(enc, test.key.to_vec().into())?;
    let opened = cek.decrypt(&test.nonce, &test.aad, &test.ct, &test.tag);
    opened.ok().map(|plaintext| plaintext.into_bytes())
}

/// Returns whether a software key with this private part derives, with `epk`, the CEK of `z`.
fn agrees(curve: Curve, private: &[u8], epk: &PublicPoint, z: &[u8]) -> bool {
    let enc = ContentEncryption::A128Gcm;
    let info = concat_kdf::other_info(enc.name(), b"", b"", enc.key_len());
    let z = SharedSecret::new(Zeroizing::new(z.to_vec()));
    let derived = concat_kdf::derive(&z, &info, enc.key_len());
    let sender = aes_gcm::Aes128Gcm::new_from_slice(derived.expose());
    let (iv, mut ciphertext) = ([7; 12], *b"message");
    let tag = sender
        .unwrap()
        .encrypt_inout_detached(&iv.into(), b"", ciphertext.as_mut_slice().into())
        .unwrap();
    let request = CekRequest::EcdhEs { epk, other_info: &info, wrapped: None };
    let key = agreement_key(curve, private);
    let cek = key.unwrap_cek(&request, enc).unwrap();
    let opened = cek.decrypt(&iv, b"", &ciphertext, &tag);
    opened.is_ok_and(|plaintext| plaintext.as_bytes() == b"message")
}

fn agreement_key(curve: Curve, private: &[u8]) -> Arc<dyn HardwareKey> {
    let algorithm = match curve {
        Curve::P256 => &aws::ECDH_P256,
        Curve::P384 => &aws::ECDH_P384,
        Curve::P521 => &aws::ECDH_P521,
        _ => &aws::X25519,
    };
    let public = aws::PrivateKey::from_private_key(algorithm, private).unwrap();
    let public = public.compute_public_key().unwrap();
    let mut jwk = PublicPoint::new(curve, public.as_ref().to_vec()).unwrap().to_members();
    jwk.insert("d".into(), base64url::encode(private).into());
    let jwk = PrivateJwk::parse(&serde_json::to_vec(&jwk).unwrap()).unwrap();
    let keystore = MemoryKeystore::new("wycheproof");
    let algs = vec![KeyAlgorithm::Unwrap(KeyManagement::EcdhEs)];
    let spec = KeySpec { shape: KeyShape::Curve(curve), algs };
    keystore.import(&keystore.new_locator("key").unwrap(), &spec, &jwk).unwrap()
}

/// What a device that only does raw RSA answers: EM, as long as the modulus.
fn raw_rsa(key: &wycheproof::RsaPrivate, ciphertext: &[u8]) -> Option<Vec<u8>> {
    let [n, p, q, d1, d2, c] =
        [&key.n, &key.p, &key.q, &key.d1, &key.d2, &key.c].map(|part| BigUint::from_bytes_be(part));
    let modulus_len = n.to_bytes_be().len();
    let ciphertext_number = BigUint::from_bytes_be(ciphertext);
    if ciphertext.len() != modulus_len || ciphertext_number >= n {
        return None;
    }
    let m1 = ciphertext_number.modpow(&d1, &p);
    let m2 = ciphertext_number.modpow(&d2, &q);
    let h = (m1 + &p - &m2 % &p) * c % &p;
    Some(padded(&(m2 + h * q).to_bytes_be(), modulus_len))
}

/// The number with leading zeros dropped or added, to `len` bytes.
fn padded(number: &[u8], len: usize) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    [vec![0; len - digits.len()].as_slice(), digits].concat()
}

fn rsa(n: &[u8], e: &[u8]) -> PublicKey {
    PublicKey::Rsa(RsaPublic::new(n, e).unwrap())
}

fn verifying(key: PublicKey) -> VerifyingKey {
    VerifyingKey::new(&key).unwrap()
}

fn hash(hash: HashFunction) -> Option<Hash> {
    match hash {
        HashFunction::Sha1 => Some(Hash::Sha1),
        HashFunction::Sha2_256 => Some(Hash::Sha256),
        HashFunction::Sha2_384 => Some(Hash::Sha384),
        HashFunction::Sha2_512 => Some(Hash::Sha512),
        _ => None,
    }
}

use super::*;
use crate::backend::{BackendError, CekRequest, ToSign};
use crate::jose::alg::{ContentEncryption, Curve, Hash, KeyKind, KeyManagement};
use crate::jose::alg::{Purpose, SignatureAlgorithm};
use crate::jose::jwk::{PublicKey, PublicPoint};
use crate::primitives::rsa::RsaRecipient;
use crate::primitives::verify::VerifyingKey;

const RSA: KeyShape = KeyShape::Rsa { bits: 2048 };

fn shapes() -> impl Iterator<Item = KeyShape> {
    std::iter::once(RSA).chain(Curve::ALL.iter().map(|curve| KeyShape::Curve(*curve)))
}

fn spec(shape: KeyShape, purpose: Purpose) -> Option<KeySpec> {
    let fits = |alg: &KeyAlgorithm| alg.fits(shape.kind()) && alg.purpose() == purpose;
    let algs: Vec<_> = KeyAlgorithm::all().filter(fits).collect();
    (!algs.is_empty()).then_some(KeySpec { shape, algs })
}

fn oaep_256(encrypted_key: &[u8]) -> CekRequest<'_> {
    CekRequest::RsaOaep { hash: Hash::Sha256, encrypted_key }
}

#[test]
fn every_algorithm_works_on_every_shape_it_fits_and_no_other() {
    let keystore = MemoryKeystore::new("test");
    let mut tried = 0;
    for shape in shapes() {
        for purpose in [Purpose::Decrypt, Purpose::Sign] {
            let Some(spec) = spec(shape, purpose) else { continue };
            let locator = keystore.new_locator("key").unwrap();
            let key = keystore.generate(&locator, &spec).unwrap();
            for alg in KeyAlgorithm::all() {
                let support = key.support(alg).unwrap();
                assert_eq!(support.is_available(), spec.algs.contains(&alg), "{alg} {shape}");
                tried += usize::from(support.is_available());
            }
        }
    }
    assert_eq!(tried, 4 + 6 + 3 * (4 + 1) + 4 + 2);
    assert_eq!(keystore.list().unwrap().len(), 10);
}

#[test]
fn what_the_keystore_supports_is_found_by_doing_it() {
    let keystore = MemoryKeystore::new("test");
    for shape in shapes().filter(|shape| shape.kind() != KeyKind::Rsa) {
        for alg in KeyAlgorithm::all() {
            let support = keystore.supports(alg, shape).unwrap();
            assert_eq!(support.is_available(), alg.fits(shape.kind()), "{alg} {shape}");
            assert_eq!(keystore.supports(alg, shape).unwrap(), support);
        }
    }
    let odd = KeyShape::Rsa { bits: 2056 };
    let alg = KeyAlgorithm::Unwrap(KeyManagement::RsaOaep256);
    assert!(!keystore.supports(alg, odd).unwrap().is_available());
    assert!(keystore.list().unwrap().is_empty());
}

#[test]
fn a_key_is_found_until_it_is_destroyed_and_never_made_twice() {
    let keystore = MemoryKeystore::new("test");
    let spec = spec(KeyShape::Curve(Curve::P256), Purpose::Sign).unwrap();
    let locator = keystore.new_locator("name").unwrap();
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
    let key = keystore.generate(&locator, &spec).unwrap();
    assert_eq!(keystore.find(&locator).unwrap().info().public, key.info().public);
    assert!(matches!(keystore.generate(&locator, &spec), Err(BackendError::Unsupported { .. })));
    assert_ne!(keystore.new_locator("name").unwrap(), locator);
    keystore.destroy(&locator).unwrap();
    assert!(matches!(keystore.destroy(&locator), Err(BackendError::NotFound { .. })));
    let elsewhere = Locator::Object { id: Some(vec![1]), label: None };
    assert!(matches!(keystore.find(&elsewhere), Err(BackendError::NotFound { .. })));
    assert!(matches!(keystore.generate(&elsewhere, &spec), Err(BackendError::Unsupported { .. })));
}

#[test]
fn a_key_does_nothing_it_is_not_bound_to() {
    let keystore = MemoryKeystore::new("test");
    let bound = vec![KeyAlgorithm::Unwrap(KeyManagement::RsaOaep256)];
    let spec = KeySpec { shape: RSA, algs: bound };
    let key = keystore.generate(&Locator::Memory("rsa".into()), &spec).unwrap();
    let enc = ContentEncryption::A256Gcm;
    let request = CekRequest::RsaOaep { hash: Hash::Sha1, encrypted_key: &[0; 256] };
    let refused = key.unwrap_cek(&request, enc);
    assert!(matches!(refused, Err(BackendError::Unsupported { .. })));
    let refused = key.sign(SignatureAlgorithm::Ps256, ToSign::Message(b""));
    assert!(matches!(refused, Err(BackendError::Unsupported { .. })));

    let mixed = KeySpec {
        shape: RSA,
        algs: vec![
            KeyAlgorithm::Unwrap(KeyManagement::RsaOaep256),
            KeyAlgorithm::Sign(SignatureAlgorithm::Ps256),
        ],
    };
    for spec in [mixed, KeySpec { shape: RSA, algs: vec![] }] {
        let refused = keystore.generate(&Locator::Memory("mixed".into()), &spec);
        assert!(matches!(refused, Err(BackendError::Unsupported { .. })));
    }
}

#[test]
fn every_fault_of_the_input_is_rejected() {
    let keystore = MemoryKeystore::new("test");
    let enc = ContentEncryption::A256Gcm;
    let locator = Locator::Memory("rsa".into());
    let key = keystore.generate(&locator, &spec(RSA, Purpose::Decrypt).unwrap()).unwrap();
    let Some(PublicKey::Rsa(public)) = &key.info().public else { panic!("an RSA key") };
    let recipient = RsaRecipient::new(public).unwrap();
    let short = recipient.encrypt(Hash::Sha256, &[7; 31]).unwrap();
    let other_hash = recipient.encrypt(Hash::Sha1, &[7; 32]).unwrap();
    let mut changed = recipient.encrypt(Hash::Sha256, &[7; 32]).unwrap();
    assert!(key.unwrap_cek(&oaep_256(&changed), enc).is_ok());
    let truncated = changed[..255].to_vec();
    changed[100] ^= 1;
    let faults = [short, other_hash, changed, truncated, vec![], vec![0xff; 256], vec![0; 300]];
    for fault in faults {
        let rejected = key.unwrap_cek(&oaep_256(&fault), enc);
        assert!(matches!(rejected, Err(BackendError::Rejected)));
    }

    let locator = Locator::Memory("ec".into());
    let p256 = spec(KeyShape::Curve(Curve::P256), Purpose::Decrypt).unwrap();
    let key = keystore.generate(&locator, &p256).unwrap();
    let off_curve = PublicPoint::new(Curve::P256, [&[4], [1; 64].as_slice()].concat()).unwrap();
    let other_curve = PublicPoint::new(Curve::X25519, vec![9; 32]).unwrap();
    for epk in [off_curve, other_curve] {
        let request = CekRequest::EcdhEs { epk: &epk, other_info: b"", wrapped: None };
        assert!(matches!(key.unwrap_cek(&request, enc), Err(BackendError::Rejected)));
    }
}

#[test]
fn imported_keys_work_and_inconsistent_ones_are_refused() {
    let keystore = MemoryKeystore::new("test");
    let ed25519 = r#"{"kty":"OKP","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let p256 = r#"{"kty":"EC","crv":"P-256",
        "x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
        "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
        "d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#;
    let cases = [
        (ed25519, Curve::Ed25519, Purpose::Sign),
        (p256, Curve::P256, Purpose::Sign),
        (p256, Curve::P256, Purpose::Decrypt),
    ];
    for (json, curve, purpose) in cases {
        let spec = spec(KeyShape::Curve(curve), purpose).unwrap();
        let private = PrivateJwk::parse(json.as_bytes()).unwrap();
        let locator = keystore.new_locator("imported").unwrap();
        let key = keystore.import(&locator, &spec, &private).unwrap();
        assert_eq!(key.info().public.as_ref(), Some(&private.public.key));
        assert!(key.support(spec.algs[0]).unwrap().is_available());

        let swapped = if curve == Curve::P256 {
            json.replace("VEmDZpDXXK8p8N0C", "VEmDZpDXXK8p8N0D")
        } else {
            json.replace("nWGxne_9WmC6hEr0", "nWGxne_9WmC6hEr1")
        };
        let private = PrivateJwk::parse(swapped.as_bytes()).unwrap();
        let locator = keystore.new_locator("swapped").unwrap();
        let refused = keystore.import(&locator, &spec, &private);
        assert!(matches!(refused, Err(BackendError::NotAsAsked { .. })));
    }
    let private = PrivateJwk::parse(p256.as_bytes()).unwrap();
    let wrong = spec(KeyShape::Curve(Curve::P384), Purpose::Sign).unwrap();
    let refused = keystore.import(&Locator::Memory("wrong".into()), &wrong, &private);
    assert!(matches!(refused, Err(BackendError::NotAsAsked { .. })));
}

#[test]
fn the_signature_of_rfc_8037_appendix_a_4() {
    let keystore = MemoryKeystore::new("test");
    let json = br#"{"kty":"OKP","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let private = PrivateJwk::parse(json).unwrap();
    let spec = spec(KeyShape::Curve(Curve::Ed25519), Purpose::Sign).unwrap();
    let key = keystore.import(&Locator::Memory("ed".into()), &spec, &private).unwrap();
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = key.sign(SignatureAlgorithm::EdDsa, ToSign::Message(input)).unwrap();
    assert_eq!(
        crate::jose::base64url::encode(&signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let verifying = VerifyingKey::new(&private.public.key).unwrap();
    assert!(verifying.verify(SignatureAlgorithm::Ed25519, input, &signature));
    let digest = key.sign(SignatureAlgorithm::EdDsa, ToSign::Digest(&[0; 32]));
    assert!(matches!(digest, Err(BackendError::Unsupported { .. })));
}

#[test]
fn the_token_of_rfc_7516_appendix_a_1() {
    let vector = include_str!("../../../tests/data/rfc/rfc7516-appendix-a1.json");
    let vector: serde_json::Value = serde_json::from_str(vector).unwrap();
    let private = PrivateJwk::parse(vector["key"].to_string().as_bytes()).unwrap();
    let keystore = MemoryKeystore::new("test");
    let spec = spec(RSA, Purpose::Decrypt).unwrap();
    let key = keystore.import(&Locator::Memory("rsa".into()), &spec, &private).unwrap();

    let token = vector["token"].as_str().unwrap();
    let decode = |text: &str| crate::jose::base64url::decode(text.as_bytes()).unwrap();
    let (header, _) = token.split_once('.').unwrap();
    let parts: Vec<_> = token.split('.').map(decode).collect();
    let [_, encrypted_key, iv, ciphertext, tag] = parts.as_slice() else { panic!("five parts") };
    let request = CekRequest::RsaOaep { hash: Hash::Sha1, encrypted_key };
    let cek = key.unwrap_cek(&request, ContentEncryption::A256Gcm).unwrap();
    let plaintext = cek.decrypt(iv, header.as_bytes(), ciphertext, tag).unwrap();
    assert_eq!(plaintext.as_bytes(), decode(vector["payload"].as_str().unwrap()));

    let sign = KeySpec { shape: RSA, algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::Ps256)] };
    let key = keystore.import(&Locator::Memory("sign".into()), &sign, &private).unwrap();
    assert!(key.support(sign.algs[0]).unwrap().is_available());
}

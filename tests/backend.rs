//! One suite for every keystore: what the seam promises, asked of each backend.

mod common;

use std::sync::Arc;

use hsm_jose::backend::{
    BackendError, CekRequest, HardwareKey, KeyShape, KeySpec, Keystore, Support, ToSign,
};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyKind, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::jose::jwk::{PrivateJwk, PublicKey};
use hsm_jose::primitives::digest;
use hsm_jose::primitives::verify::VerifyingKey;

const ENC: ContentEncryption = ContentEncryption::A256Gcm;

/// Makes a module of a backend: each part of the suite is a test of it.
macro_rules! suite {
    ($backend:ident, $keystore:expr, [$($part:ident),+ $(,)?]) => {
        mod $backend {
            $(
                #[test]
                fn $part() {
                    super::$part(&$keystore);
                }
            )+
        }
    };
    ($backend:ident, $keystore:expr) => {
        suite!($backend, $keystore, [
            every_algorithm_works_with_a_key_made_for_it,
            a_wrong_input_is_rejected_and_the_device_alive,
            what_a_key_cannot_do_is_unsupported,
            a_key_is_found_exactly_once_or_not,
            a_public_half_is_taken_only_if_it_is_the_one,
            a_known_key_can_be_put_in,
            an_ephemeral_key_works_while_it_is_held_and_is_nowhere_else,
            eight_threads_use_one_keystore,
        ]);
    };
}

suite!(memory, hsm_jose::backend::memory::MemoryKeystore::new("suite"));
#[cfg(feature = "pkcs11")]
suite!(pkcs11, super::common::open("suite"));
#[cfg(feature = "tpm")]
suite!(tpm, super::common::swtpm::open("suite"));

/// What the devices at hand do not have, and say so before they are asked to do it.
fn is_missing(keystore: &dyn Keystore, shape: KeyShape) -> bool {
    let is_tpm = keystore.describe().expect("a description").kind == "tpm";
    is_tpm && matches!(shape, KeyShape::Curve(Curve::Ed25519 | Curve::X25519))
}

/// Makes a key for `alg`, if the keystore supports it.
fn generate(keystore: &dyn Keystore, alg: KeyAlgorithm) -> Option<Arc<dyn HardwareKey>> {
    let shape = shape(alg);
    let support = keystore.supports(alg, shape).expect("an answer");
    let spec = KeySpec { shape, algs: vec![alg] };
    let locator = keystore.new_locator(&format!("suite {alg}")).expect("a locator");
    let made = keystore.generate(&locator, &spec);
    if !support.is_available() {
        assert!(matches!(made, Err(BackendError::Unsupported { .. })), "{alg}: {made:?}");
        return None;
    }
    Some(made.unwrap_or_else(|error| panic!("{alg}: {error}")))
}

fn shape(alg: KeyAlgorithm) -> KeyShape {
    match alg {
        KeyAlgorithm::Unwrap(alg) if alg.is_ecdh() => KeyShape::Curve(Curve::P256),
        KeyAlgorithm::Sign(alg) => {
            alg.curve().map_or(KeyShape::Rsa { bits: 2048 }, KeyShape::Curve)
        }
        KeyAlgorithm::Unwrap(_) => KeyShape::Rsa { bits: 2048 },
    }
}

fn an_ephemeral_key_works_while_it_is_held_and_is_nowhere_else(keystore: &dyn Keystore) {
    let spec = |alg, shape| KeySpec { shape, algs: vec![alg] };
    let agree = KeyManagement::EcdhEs;
    let p256 = KeyShape::Curve(Curve::P256);
    let listed = || {
        let keys = keystore.list().expect("a list").into_iter();
        keys.filter(|key| key.label.as_deref().is_some_and(|label| label.contains("ephemeral")))
            .count()
    };
    let one = keystore.generate_ephemeral(&spec(KeyAlgorithm::Unwrap(agree), p256)).expect("a key");
    let two = keystore.generate_ephemeral(&spec(KeyAlgorithm::Unwrap(agree), p256)).expect("a key");
    assert_ne!(one.info().public, two.info().public);
    assert_eq!(one.info().weak, Vec::<String>::new());
    for key in [&one, &two] {
        common::round_trip(&**key, agree, ENC);
        assert!(key.support(KeyAlgorithm::Unwrap(agree)).expect("an answer").is_available());
    }
    assert_eq!(listed(), 0, "an ephemeral key is listed");
    let locator = one.info().locator.clone();
    drop(one);
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
    common::round_trip(&*two, agree, ENC);

    // From many threads, more of them than a TPM has slots and a token's pool has sessions.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let spec = spec(KeyAlgorithm::Unwrap(agree), p256);
                let key = keystore.generate_ephemeral(&spec).expect("a key");
                common::round_trip(&*key, agree, ENC);
            });
        }
    });
    let rsa = KeyShape::Rsa { bits: 2048 };
    let oaep = KeyAlgorithm::Unwrap(KeyManagement::RsaOaep256);
    let key = keystore.generate_ephemeral(&spec(oaep, rsa)).expect("an RSA key");
    common::round_trip(&*key, KeyManagement::RsaOaep256, ENC);

    let misfit = keystore.generate_ephemeral(&spec(oaep, p256));
    assert!(misfit.is_err(), "{misfit:?}");
}

fn every_algorithm_works_with_a_key_made_for_it(keystore: &dyn Keystore) {
    let mut unsupported = Vec::new();
    // Those of symmetric keys have a suite of their own.
    for alg in KeyAlgorithm::all().filter(|alg| !alg.is_symmetric()) {
        let Some(key) = generate(keystore, alg) else {
            if !is_missing(keystore, shape(alg)) {
                unsupported.push(alg);
            }
            continue;
        };
        let support = key.support(alg).expect("an answer");
        assert_eq!(Ok(&support), keystore.supports(alg, shape(alg)).as_ref().map_err(|_| ()));
        assert!(support.is_available(), "{alg}: {support:?}");
        assert_eq!(key.info().weak, Vec::<String>::new(), "{alg}");
        match alg {
            KeyAlgorithm::Unwrap(alg) => {
                for enc in ContentEncryption::ALL {
                    common::round_trip(&*key, alg, *enc);
                }
            }
            KeyAlgorithm::Sign(alg) => sign_and_verify(&*key, alg),
        }
        keystore.destroy(&key.info().locator).expect("destroyed");
    }
    for curve in [Curve::P384, Curve::P521, Curve::X25519] {
        let spec = KeySpec {
            shape: KeyShape::Curve(curve),
            algs: vec![
                KeyAlgorithm::Unwrap(KeyManagement::EcdhEs),
                KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw),
            ],
        };
        let locator = keystore.new_locator("suite curve").expect("a locator");
        if is_missing(keystore, spec.shape) {
            let made = keystore.generate(&locator, &spec);
            assert!(matches!(made, Err(BackendError::Unsupported { .. })), "{curve}: {made:?}");
            continue;
        }
        let key = keystore.generate(&locator, &spec).expect("a key");
        for alg in [KeyManagement::EcdhEs, KeyManagement::EcdhEsA256Kw] {
            common::round_trip(&*key, alg, ENC);
        }
        keystore.destroy(&locator).expect("destroyed");
    }
    assert_eq!(unsupported, Vec::new(), "algorithms that the keystore does not do");
}

fn sign_and_verify(key: &dyn HardwareKey, alg: SignatureAlgorithm) {
    let public = key.info().public.clone().expect("a public half");
    let verifying = VerifyingKey::new(&public).expect("a verifying key");
    for message in [b"".as_slice(), b"message", &[0x5a; 5000]] {
        let signature = key.sign(alg, ToSign::Message(message)).expect("a signature");
        assert!(verifying.verify(alg, message, &signature), "{alg}");
        assert!(!verifying.verify(alg, b"another", &signature), "{alg}");
        if let Some(hash) = alg.hash() {
            let digest = digest::digest(hash, message);
            let signature = key.sign(alg, ToSign::Digest(&digest)).expect("a signature");
            assert!(verifying.verify(alg, message, &signature), "{alg} of a digest");
            let short = key.sign(alg, ToSign::Digest(&digest[1..]));
            assert!(matches!(short, Err(BackendError::Unsupported { .. })), "{short:?}");
        }
    }
}

fn a_wrong_input_is_rejected_and_the_device_alive(keystore: &dyn Keystore) {
    for alg in [KeyManagement::RsaOaep, KeyManagement::RsaOaep256] {
        let Some(key) = generate(keystore, KeyAlgorithm::Unwrap(alg)) else { continue };
        let Some(PublicKey::Rsa(rsa)) = key.info().public.clone() else { panic!("not RSA") };
        let sent = common::send(&PublicKey::Rsa(rsa.clone()), alg, ENC);
        let good = sent.encrypted_key.clone();
        let flipped = |place: usize| {
            let mut bytes = good.clone();
            bytes[place] ^= 1;
            bytes
        };
        let mut larger = rsa.n().to_vec();
        larger[0] |= 0x80;
        *larger.last_mut().expect("a byte") |= 1;
        let other_hash = match alg {
            KeyManagement::RsaOaep => KeyManagement::RsaOaep256,
            _ => KeyManagement::RsaOaep,
        };
        let wrong = [
            ("first byte", flipped(0)),
            ("last byte", flipped(good.len() - 1)),
            ("short", good[1..].to_vec()),
            ("long", [&good[..], &[0]].concat()),
            ("long by a leading zero", [&[0], &good[..]].concat()),
            ("empty", Vec::new()),
            ("one byte", vec![1]),
            ("zero", vec![0; good.len()]),
            ("one", [&vec![0; good.len() - 1][..], &[1]].concat()),
            ("the modulus", rsa.n().to_vec()),
            ("above the modulus", vec![0xff; good.len()]),
            ("another hash", {
                common::send(&PublicKey::Rsa(rsa.clone()), other_hash, ENC).encrypted_key
            }),
            ("far too long", vec![0x41; 5000]),
        ];
        for (what, encrypted_key) in &wrong {
            let hash = alg.oaep_hash().expect("an OAEP alg");
            let request = CekRequest::RsaOaep { hash, encrypted_key };
            let answer = key.unwrap_cek(&request, ENC);
            assert!(matches!(answer, Err(BackendError::Rejected)), "{alg} {what}: {answer:?}");
            key.confirm_alive().expect("the device is alive");
        }
        // A CEK for another enc is a fault of the input too.
        let answer = key.unwrap_cek(&common::request(&sent, alg), ContentEncryption::A128Gcm);
        assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
        common::round_trip(&*key, alg, ENC);
        keystore.destroy(&key.info().locator).expect("destroyed");
    }
    let alg = KeyManagement::EcdhEsA256Kw;
    let key = generate(keystore, KeyAlgorithm::Unwrap(alg)).expect("a key");
    let public = key.info().public.clone().expect("a public half");
    let mut sent = common::send(&public, alg, ENC);
    sent.encrypted_key[0] ^= 1;
    let answer = key.unwrap_cek(&common::request(&sent, alg), ENC);
    assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
    key.confirm_alive().expect("the device is alive");
    common::round_trip(&*key, alg, ENC);
    keystore.destroy(&key.info().locator).expect("destroyed");
}

fn what_a_key_cannot_do_is_unsupported(keystore: &dyn Keystore) {
    let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
    let key = generate(keystore, alg).expect("a key");
    for other in KeyAlgorithm::all().filter(|other| *other != alg) {
        let support = key.support(other).expect("an answer");
        let Support::No { reason } = &support else { panic!("{other}: {support:?}") };
        assert!(!reason.is_empty());
        let refused = match other {
            KeyAlgorithm::Sign(other) => key.sign(other, ToSign::Message(b"")).map(drop),
            KeyAlgorithm::Unwrap(other) => {
                let request = CekRequest::RsaOaep {
                    hash: other.oaep_hash().unwrap_or(hsm_jose::jose::alg::Hash::Sha256),
                    encrypted_key: &[0; 256],
                };
                key.unwrap_cek(&request, ENC).map(drop)
            }
        };
        assert!(matches!(refused, Err(BackendError::Unsupported { .. })), "{other}: {refused:?}");
    }
    keystore.destroy(&key.info().locator).expect("destroyed");
    let misfit = KeySpec {
        shape: KeyShape::Curve(Curve::P256),
        algs: vec![KeyAlgorithm::Unwrap(KeyManagement::RsaOaep)],
    };
    let locator = keystore.new_locator("misfit").expect("a locator");
    assert!(keystore.generate(&locator, &misfit).is_err());
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
}

fn a_key_is_found_exactly_once_or_not(keystore: &dyn Keystore) {
    let spec = KeySpec {
        shape: KeyShape::Curve(Curve::P256),
        algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::Es256)],
    };
    let first = keystore.new_locator("found").expect("a locator");
    assert!(matches!(keystore.find(&first), Err(BackendError::NotFound { .. })));
    assert!(matches!(keystore.destroy(&first), Err(BackendError::NotFound { .. })));
    let made = keystore.generate(&first, &spec).expect("a key");
    let found = keystore.find(&first).expect("the key");
    assert_eq!(found.info().public, made.info().public);
    assert_eq!(found.info().locator, first);
    assert_eq!(found.info().label.as_deref(), Some("found"));
    assert_eq!(found.keystore(), keystore.name());
    sign_and_verify(&*found, SignatureAlgorithm::Es256);
    // A second key at the same place is not made.
    assert!(keystore.generate(&first, &spec).is_err());
    let listed = keystore.list().expect("a list");
    assert_eq!(listed.iter().filter(|info| info.locator == first).count(), 1);
    keystore.destroy(&first).expect("destroyed");
    assert!(matches!(keystore.find(&first), Err(BackendError::NotFound { .. })));
    keystore.health().expect("healthy");
}

fn a_public_half_is_taken_only_if_it_is_the_one(keystore: &dyn Keystore) {
    let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
    let (key, other) = (generate(keystore, alg), generate(keystore, alg));
    let (key, other) = (key.expect("a key"), other.expect("a key"));
    let public = key.info().public.clone().expect("a public half");
    let found = keystore.find_with_public(&key.info().locator, &public).expect("the key");
    assert!(found.support(alg).expect("an answer").is_available());
    let answer = keystore.find_with_public(&other.info().locator, &public);
    assert!(matches!(answer, Err(BackendError::Misconfigured { .. })), "{answer:?}");
    keystore.destroy(&key.info().locator).expect("destroyed");
    keystore.destroy(&other.info().locator).expect("destroyed");
}

fn a_known_key_can_be_put_in(keystore: &dyn Keystore) {
    // RFC 7517 appendix A.2 (EC, and the primes of RFC 7515 A.2 for RSA), RFC 8037 appendix A.
    let keys = [
        (
            SignatureAlgorithm::Es256,
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
                "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
        ),
        (
            SignatureAlgorithm::EdDsa,
            r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
                "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        ),
    ];
    for (alg, json) in keys {
        let private = PrivateJwk::parse(json.as_bytes()).expect("a private JWK");
        let KeyKind::Curve(curve) = private.public.key.kind() else { panic!("not a curve") };
        let spec = KeySpec { shape: KeyShape::Curve(curve), algs: vec![KeyAlgorithm::Sign(alg)] };
        let locator = keystore.new_locator("imported").expect("a locator");
        if is_missing(keystore, spec.shape) {
            let made = keystore.import(&locator, &spec, &private);
            assert!(matches!(made, Err(BackendError::Unsupported { .. })), "{alg}: {made:?}");
            continue;
        }
        let key = keystore.import(&locator, &spec, &private).expect("imported");
        assert_eq!(key.info().public.as_ref(), Some(&private.public.key));
        sign_and_verify(&*key, alg);
        assert_eq!(key.info().weak, Vec::<String>::new());
        keystore.destroy(&locator).expect("destroyed");
    }
    let json = r#"{"kty":"OKP","crv":"X25519","d":"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
        "x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"}"#;
    let private = PrivateJwk::parse(json.as_bytes()).expect("a private JWK");
    let spec = KeySpec {
        shape: KeyShape::Curve(Curve::X25519),
        algs: vec![KeyAlgorithm::Unwrap(KeyManagement::EcdhEs)],
    };
    let locator = keystore.new_locator("imported").expect("a locator");
    if is_missing(keystore, spec.shape) {
        return;
    }
    let key = keystore.import(&locator, &spec, &private).expect("imported");
    common::round_trip(&*key, KeyManagement::EcdhEs, ENC);
    keystore.destroy(&locator).expect("destroyed");
}

fn eight_threads_use_one_keystore(keystore: &dyn Keystore) {
    let unwrap = KeyManagement::RsaOaep256;
    let decrypts = generate(keystore, KeyAlgorithm::Unwrap(unwrap)).expect("a key");
    let agrees = generate(keystore, KeyAlgorithm::Unwrap(KeyManagement::EcdhEs)).expect("a key");
    let signs = generate(keystore, KeyAlgorithm::Sign(SignatureAlgorithm::Es256)).expect("a key");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (decrypts, agrees, signs) = (&decrypts, &agrees, &signs);
            scope.spawn(move || {
                for round in 0..10 {
                    common::round_trip(&**decrypts, unwrap, ENC);
                    common::round_trip(&**agrees, KeyManagement::EcdhEs, ENC);
                    sign_and_verify(&**signs, SignatureAlgorithm::Es256);
                    if (thread + round) % 4 == 0 {
                        let request = CekRequest::RsaOaep {
                            hash: hsm_jose::jose::alg::Hash::Sha256,
                            encrypted_key: &[7; 256],
                        };
                        let answer = decrypts.unwrap_cek(&request, ENC);
                        assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
                        decrypts.confirm_alive().expect("alive");
                        keystore.find(&signs.info().locator).expect("found");
                    }
                }
            });
        }
    });
    for key in [decrypts, agrees, signs] {
        keystore.destroy(&key.info().locator).expect("destroyed");
    }
}

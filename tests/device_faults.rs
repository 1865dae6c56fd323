//! A device that stumbles, dies and comes back: what is said then, what is remembered of it, and what
//! it does to others. In this process, with the fault-injecting module before SoftHSM.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hsm_jose::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore, TokenSelector};
use hsm_jose::backend::{
    BackendError, HardwareKey, KeyShape, KeySpec, Keystore, Locator, Support, ToSign,
};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::secret::PinSource;

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::Place;

const ENC: ContentEncryption = ContentEncryption::A256Gcm;
const RSA: KeyShape = KeyShape::Rsa { bits: 2048 };
const OAEP: KeyAlgorithm = KeyAlgorithm::Unwrap(KeyManagement::RsaOaep);
const ECDH: KeyAlgorithm = KeyAlgorithm::Unwrap(KeyManagement::EcdhEs);
const PSS: KeyAlgorithm = KeyAlgorithm::Sign(SignatureAlgorithm::Ps256);

/// The one place of this process, and with it the module: one test at a time.
fn place() -> MutexGuard<'static, Place> {
    static PLACE: LazyLock<Mutex<Place>> = LazyLock::new(|| {
        let place = Place::watched();
        place.make_token("other");
        for (name, value) in place.env() {
            // SAFETY: the module reads its configuration from the environment only. Under the
            // lock, before the module is loaded, and before a test reads the environment.
            unsafe { std::env::set_var(name, value) };
        }
        Mutex::new(place)
    });
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    place.faulty.set(&[]);
    place
}

fn open(place: &Place, name: &str, token: &str) -> Pkcs11Keystore {
    Pkcs11Keystore::open(Pkcs11Config {
        name: name.to_owned(),
        module: faulty::module().to_owned(),
        token: TokenSelector::label(token),
        pin: PinSource::File(place.path("pin")),
        sessions: 4,
        host_oaep: true,
    })
    .expect("the keystore opens")
}

fn generate(
    keystore: &Pkcs11Keystore,
    shape: KeyShape,
    alg: KeyAlgorithm,
) -> (Locator, Arc<dyn HardwareKey>) {
    let locator = keystore.new_locator("made").expect("a locator");
    let key = keystore.generate(&locator, &KeySpec { shape, algs: vec![alg] }).expect("a key");
    (locator, key)
}

fn works(key: &dyn HardwareKey, alg: KeyAlgorithm) {
    match alg {
        KeyAlgorithm::Unwrap(alg) => common::round_trip(key, alg, ENC),
        KeyAlgorithm::Sign(alg) => drop(key.sign(alg, ToSign::Message(b"m")).expect("signed")),
    }
}

/// Waits until the keystore, which tries again when it is time, has its device back.
fn comes_back(keystore: &Pkcs11Keystore) {
    let since = Instant::now();
    while let Err(error) = keystore.health() {
        assert!(since.elapsed() < Duration::from_secs(20), "not back: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_fault_that_passes_is_no_answer_for_the_life_of_a_key() {
    let place = place();
    let keystore = open(&place, "passing", "main");
    for (shape, alg, calls) in [
        (RSA, OAEP, ["C_DecryptInit", "C_Decrypt"].as_slice()),
        (KeyShape::Curve(Curve::P256), ECDH, &["C_DeriveKey", "C_GetAttributeValue"]),
        (RSA, PSS, &["C_SignInit", "C_Sign"]),
    ] {
        let (locator, made) = generate(&keystore, shape, alg);
        let wanted = made.support(alg).expect("an answer");
        assert!(wanted.is_available(), "{wanted:?}");
        for call in calls {
            for code in
                ["CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR", "CKR_HOST_MEMORY", "CKR_FUNCTION_FAILED"]
            {
                // Found anew: this one has not been proved.
                let key = keystore.find(&locator).expect("found");
                place.faulty.set(&[&format!("fail {call} {code}")]);
                let answer = key.support(alg);
                place.faulty.set(&[]);
                let is_fault = matches!(
                    answer,
                    Err(BackendError::Device { .. } | BackendError::Unavailable { .. })
                );
                assert!(is_fault, "{alg}: {call} {code}: {answer:?}");
                // Not raw RSA either: the same as if nothing had happened.
                assert_eq!(key.support(alg).expect("an answer"), wanted, "{alg}: {call} {code}");
                works(&*key, alg);
            }
        }
        keystore.destroy(&locator).expect("destroyed");
    }
}

#[test]
fn a_fault_that_passes_is_no_answer_for_the_life_of_a_keystore() {
    let place = place();
    let keystore = open(&place, "probing", "main");
    let curve = KeyShape::Curve(Curve::P256);
    place.faulty.set(&["fail C_GenerateKeyPair CKR_DEVICE_ERROR"]);
    let answer = keystore.supports(ECDH, curve);
    assert!(matches!(answer, Err(BackendError::Device { .. })), "{answer:?}");
    place.faulty.set(&["fail C_SignInit CKR_GENERAL_ERROR"]);
    let answer = keystore.supports(PSS, RSA);
    assert!(matches!(answer, Err(BackendError::Device { .. })), "{answer:?}");
    // What was found of the others stays.
    place.faulty.set(&["fail C_GenerateKeyPair CKR_DEVICE_ERROR"]);
    let oaep = keystore.supports(OAEP, RSA).expect("an answer");
    assert_eq!(oaep, Support::Hardware { mechanism: "CKM_RSA_PKCS_OAEP" });
    place.faulty.set(&[]);
    assert!(keystore.supports(ECDH, curve).expect("an answer").is_available());
    assert!(keystore.supports(PSS, RSA).expect("an answer").is_available());
}

/// Whoever brings it back: a rejection of a dying device is not one of the token.
#[test]
fn a_device_that_was_away_meanwhile_has_not_rejected_a_token() {
    let place = place();
    let keystore = open(&place, "meanwhile", "main");
    let (locator, key) = generate(&keystore, RSA, OAEP);
    let public = key.info().public.clone().expect("a public half");
    let sent = common::send(&public, KeyManagement::RsaOaep, ENC);
    let request = common::request(&sent, KeyManagement::RsaOaep);
    for by_another in [true, false] {
        place.faulty.set(&["dies C_Decrypt 1"]);
        let answer = key.unwrap_cek(&request, ENC);
        assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                keystore.health().expect_err("it is dead");
                place.faulty.set(&[]);
                if by_another {
                    comes_back(&keystore);
                }
            });
        });
        if !by_another {
            // Until the next attempt is due.
            std::thread::sleep(Duration::from_millis(2500));
        }
        let alive = key.confirm_alive();
        assert!(matches!(alive, Err(BackendError::Unavailable { .. })), "{by_another}: {alive:?}");
        works(&*key, OAEP);
        key.confirm_alive().expect("alive");
    }
    keystore.destroy(&locator).expect("destroyed");
}

/// A device that forgets to end a refused decryption: its sessions are replaced, and closed.
#[test]
fn no_session_is_left_behind() {
    let place = place();
    let mut balance = 0;
    let count = || {
        let calls = place.faulty.calls();
        let count = |name| calls.iter().filter(|call| *call == name).count() as i64;
        count("C_OpenSession") - count("C_CloseSession")
    };
    let keystore = open(&place, "forgetful", "main");
    let (locator, _) = generate(&keystore, RSA, OAEP);
    drop(keystore);
    for round in 0..20 {
        place.faulty.set(&["fail C_Decrypt CKR_GENERAL_ERROR 2"]);
        let keystore = open(&place, "forgetful again", "main");
        let key = keystore.find(&locator).expect("found");
        // The known answer, and the ciphertext that shows what a rejection does.
        assert!(key.support(OAEP).expect("an answer").is_available());
        balance += count();
        place.faulty.set(&["fail C_Decrypt CKR_GENERAL_ERROR"]);
        let public = key.info().public.clone().expect("a public half");
        let sent = common::send(&public, KeyManagement::RsaOaep, ENC);
        let request = common::request(&sent, KeyManagement::RsaOaep);
        for _ in 0..=round % 6 {
            let answer = key.unwrap_cek(&request, ENC);
            assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
            key.confirm_alive().expect("alive");
        }
        drop((key, keystore));
        let since = Instant::now();
        while balance + count() != 0 {
            assert!(since.elapsed() < Duration::from_secs(5), "{}", balance + count());
            std::thread::sleep(Duration::from_millis(10));
        }
        balance = 0;
    }
    place.faulty.set(&[]);
    let keystore = open(&place, "remembering", "main");
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn a_full_token_is_not_asked_without_a_pause() {
    let place = place();
    let keystore = open(&place, "full", "main");
    let (locator, _) = generate(&keystore, KeyShape::Curve(Curve::P256), ECDH);
    drop(keystore);
    let keystore = open(&place, "full again", "main");
    let key = keystore.find(&locator).expect("found");
    place.faulty.set(&["fail C_OpenSession CKR_SESSION_COUNT"]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| works(&*key, ECDH));
        let (since, mut asked) = (Instant::now(), 0);
        while asked < 2 || since.elapsed() < Duration::from_millis(600) {
            assert!(since.elapsed() < Duration::from_secs(20), "{asked}");
            std::thread::sleep(Duration::from_millis(10));
            asked = place.faulty.calls().iter().filter(|call| *call == "C_OpenSession").count();
        }
        // The pauses are of 50 ms.
        let most = 2 + since.elapsed().as_millis() as usize / 15;
        assert!(asked <= most, "{asked}, of {most}");
        place.faulty.set(&[]);
        waiting.join().expect("a session in the end");
    });
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn a_lost_token_does_not_disturb_another() {
    let place = place();
    let (lost, well) = (open(&place, "lost", "main"), open(&place, "well", "other"));
    let (locator, key) = generate(&well, KeyShape::Curve(Curve::P256), ECDH);
    // The session is gone, and no slot tells of a token.
    place.faulty.set(&[
        "fail C_GetSessionInfo CKR_DEVICE_REMOVED 1",
        "fail C_GetTokenInfo CKR_TOKEN_NOT_PRESENT",
    ]);
    let answer = lost.health();
    assert!(matches!(answer, Err(BackendError::Unavailable { .. })), "{answer:?}");
    works(&*key, ECDH);
    let calls = place.faulty.calls();
    assert!(!calls.iter().any(|call| call == "C_Finalize" || call == "C_Login"), "{calls:?}");
    place.faulty.set(&[]);
    comes_back(&lost);
    well.destroy(&locator).expect("destroyed");
}

#[test]
fn a_fault_that_passes_costs_a_new_key_no_guarantee() {
    let place = place();
    let keystore = open(&place, "sporadic", "main");
    for code in ["CKR_GENERAL_ERROR", "CKR_TEMPLATE_INCONSISTENT"] {
        place.faulty.set(&[&format!("fail C_GenerateKeyPair {code} 1")]);
        let (locator, key) = generate(&keystore, KeyShape::Curve(Curve::P256), ECDH);
        assert_eq!(key.info().unproven, Vec::<String>::new(), "{code}");
        keystore.destroy(&locator).expect("destroyed");
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let place = place();
    let keystore = open(&place, "reading", "main");
    let (locator, _) = generate(&keystore, RSA, PSS);
    place.faulty.set(&[]);
    keystore.find(&locator).expect("found");
    let reads = place.faulty.calls().iter().filter(|call| *call == "C_GetAttributeValue").count();
    assert!(reads > 10, "{reads}");
    for nth in 1..=reads {
        place.faulty.set(&[&format!("fail C_GetAttributeValue CKR_FUNCTION_FAILED {nth}")]);
        let answer = keystore.find(&locator);
        assert!(matches!(answer, Err(BackendError::Device { .. })), "{nth}: {answer:?}");
    }
    place.faulty.set(&["attribute CKA_KEY_TYPE none"]);
    let answer = keystore.find(&locator);
    assert!(matches!(answer, Err(BackendError::Device { .. })), "{answer:?}");
    place.faulty.set(&[]);
    keystore.destroy(&locator).expect("destroyed");
}

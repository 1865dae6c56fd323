//! One engine, eight threads, one token: no wrong result, no session too many, nothing left behind.
//!
//! `HSM_JOSE_TEST_SECONDS` says for how long; 30 unless given.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::session::UserType;
use hsm_jose::backend::pkcs11::{Pkcs11Config, Pkcs11Keystore};
use hsm_jose::config::{Config, KeystoreConfig};
use hsm_jose::engine::{Engine, SignOptions, load};
use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
use hsm_jose::jwe::Recipient;
use hsm_jose::jws::TrustedKeys;
use hsm_jose::jwt::Claims;
use hsm_jose::keyring::KeyringFile;
use hsm_jose::keystores::Keystores;
use hsm_jose::policy::{Policy, Profile};

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::Place;

const THREADS: usize = 8;
const SESSIONS: usize = 5;

fn seconds() -> u64 {
    let given = std::env::var("HSM_JOSE_TEST_SECONDS").ok();
    given.map_or(30, |given| given.parse().expect("HSM_JOSE_TEST_SECONDS is a number"))
}

/// A context for each of two decryption keys, told apart by their `typ`.
fn prepared(place: Place) -> Place {
    place.generate("sig", "ES256");
    place.generate("rsa", "RSA-OAEP-256");
    place.generate("ec", "ECDH-ES+A256KW");
    place.write("jwks.json", place.run(&["jwks"], b"").stdout);
    let mut text = place.configuration().replace("sessions = 8", &format!("sessions = {SESSIONS}"));
    for (name, alg) in [("rsa", "RSA-OAEP-256"), ("ec", "ECDH-ES+A256KW")] {
        text += &format!(
            "[context.{name}]\nnesting = \"jwe(jws)\"\ntyp = \"{name}+jwt\"\n\
             [context.{name}.seal]\nissuer = \"i\"\naudience = \"a\"\nsign = \"sig\"\n\
             encrypt = [\"{alg}\"]\ncontent = [\"A256GCM\"]\nlifetime = 300\n\
             [context.{name}.open]\naudience = \"a\"\ntrust = \"jwks.json\"\nissuers = [\"i\"]\n\
             decrypt = [\"{name}\"]\n"
        );
    }
    place.configure(&text);
    place
}

fn run_child(place: &Place, seconds: u64, counts_objects: bool) -> String {
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .envs(place.env())
        .env("HSM_JOSE_TEST_PLACE", place.path("."))
        .env("HSM_JOSE_TEST_SECONDS", seconds.to_string())
        .env("HSM_JOSE_TEST_OBJECTS", if counts_objects { "yes" } else { "no" })
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn eight_threads_share_an_engine() {
    let text = run_child(&prepared(Place::new()), seconds(), true);
    assert!(text.contains("rounds"), "{text}");
}

/// The module's own count: every C_OpenSession and C_CloseSession, in order.
#[test]
fn the_module_never_has_more_sessions_than_configured() {
    let place = prepared(Place::watched());
    place.faulty.set(&[]);
    run_child(&place, seconds().div_ceil(6), false);
    let calls = place.faulty.calls();
    let (mut open, mut most) = (0_usize, 0);
    for call in &calls {
        match call.as_str() {
            "C_OpenSession" => open += 1,
            "C_CloseSession" => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    assert_eq!(most, SESSIONS, "as many as allowed, and never more");
    assert_eq!(open, 0, "every session is closed at the end");
    assert_eq!(calls.iter().filter(|call| *call == "C_Login").count(), 1);
    let derived = calls.iter().filter(|call| *call == "C_DeriveKey").count();
    let destroyed = calls.iter().filter(|call| *call == "C_DestroyObject").count();
    assert!(derived > 0 && derived == destroyed, "{derived} secrets made, {destroyed} destroyed");
}

#[test]
#[ignore = "run by the other tests, in the environment of a place"]
fn child() {
    let Some(directory) = std::env::var_os("HSM_JOSE_TEST_PLACE").map(PathBuf::from) else {
        return;
    };
    let config = Config::load(&directory.join("hsm-jose.toml")).expect("a configuration");
    let KeystoreConfig::Pkcs11(settings) = &config.keystores["issuer"] else { panic!("a token") };
    let open = || {
        let keystore = Pkcs11Keystore::open(Pkcs11Config {
            name: "issuer".to_owned(),
            module: settings.module.clone(),
            token: settings.token.parse().expect("a token"),
            pin: settings.pin.clone(),
            sessions: settings.sessions,
            host_oaep: settings.host_oaep,
        });
        Arc::new(keystore.expect("the keystore opens"))
    };
    let objects = || {
        if std::env::var_os("HSM_JOSE_TEST_OBJECTS").is_none_or(|told| told != "yes") {
            return 0;
        }
        let pkcs11 = Pkcs11::new(&settings.module).expect("the module");
        let slots = pkcs11.get_slots_with_initialized_token().expect("slots");
        let session = pkcs11.open_ro_session(slots[0]).expect("a session");
        // The keystore has logged in already.
        let _ = session.login(UserType::User, Some(&common::PIN.to_owned().into()));
        let found = session.find_objects(&[]).expect("objects").len();
        assert!(found >= 6, "three key pairs");
        found
    };
    let keystore = open();
    let before = objects();
    let keyring = KeyringFile::new(&config.keyring).read().expect("a keyring");
    let engine = Engine::new(
        load::policy(&config).expect("a policy"),
        load::contexts(&config).expect("contexts"),
        &keyring,
        Keystores::opened(vec![keystore.clone()], false).expect("keystores"),
    );
    let engine = engine.expect("an engine");
    let set = std::fs::read(directory.join("jwks.json")).expect("the public keys");
    let set = JwkSet::parse(&set).expect("a JWK Set");
    let recipients = |name: &str| -> Vec<Recipient> {
        let kid = keyring.key(name).expect("a key").versions[0].kid.clone();
        let meant = |jwk: &&PublicJwk| jwk.kid == kid;
        set.keys.iter().filter(meant).map(|jwk| Recipient::new(jwk.clone()).unwrap()).collect()
    };
    let recipients = [("rsa", recipients("rsa")), ("ec", recipients("ec"))];
    let trusted = TrustedKeys::new(set.clone(), &Policy::of(Profile::All));
    let until = Instant::now()
        + Duration::from_secs(std::env::var("HSM_JOSE_TEST_SECONDS").unwrap().parse().unwrap());
    let (rounds, most, is_over) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                most.fetch_max(keystore.sessions(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (engine, recipients, trusted, rounds) =
                    (&engine, &recipients, &trusted, &rounds);
                scope.spawn(move || {
                    let mut round = 0;
                    while Instant::now() < until {
                        let (context, to) = &recipients[(thread + round) % 2];
                        let sub = format!("{context}-{thread}-{round}");
                        let claims = Claims::parse(format!("{{\"sub\":\"{sub}\"}}")).unwrap();
                        let token = engine.seal(context, &claims, to, None).expect("sealed");
                        let opened = engine.open(context, token.as_bytes()).expect("opened");
                        assert_eq!(opened.claims().members()["sub"], sub.as_str());
                        // Another's context, and a token that was damaged on its way.
                        let (other, _) = &recipients[(thread + round + 1) % 2];
                        assert!(engine.open(other, token.as_bytes()).is_err());
                        let mut bad = token.into_bytes();
                        let (place, last) = (bad.len() - 4, bad[bad.len() - 4]);
                        bad[place] = if last == b'A' { b'B' } else { b'A' };
                        let error = engine.open(context, &bad).expect_err("damaged");
                        assert_eq!(error.code(), "decryption_failed", "{error}");
                        let options = SignOptions::default();
                        let jws = engine.sign("sig", &options, sub.as_bytes()).expect("signed");
                        let verified = engine.verify(jws.as_bytes(), trusted).expect("verified");
                        assert_eq!(verified.get().as_bytes(), sub.as_bytes());
                        round += 1;
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(results.into_iter().all(|result| result.is_ok()), "a thread has failed");
    });
    let most = most.into_inner();
    assert!(most <= SESSIONS, "{most} sessions");
    assert!(most >= 2, "the samples have seen {most} sessions");
    assert!(keystore.sessions() <= SESSIONS);
    assert_eq!(objects(), before);
    let rounds = rounds.into_inner();
    assert!(rounds >= THREADS);
    println!("{rounds} rounds, {most} sessions at most");
}

//! A TPM that others use too, and that is restarted: its few slots, and what is loaded again.
#![cfg(feature = "tpm")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::swtpm::Swtpm;
use common::swtpm::keys::*;
use hsm_jose::backend::{BackendError, Keystore};

#[test]
fn a_tpm_that_was_restarted_is_used_again() {
    let mut tpm = Swtpm::start();
    let keystore = open_without_auth(&tpm);
    let (first, second) = (signing(&keystore), signing(&keystore));
    sign(&*first).unwrap();
    for _ in 0..3 {
        tpm.restart();
        sign(&*second).unwrap();
        sign(&*first).unwrap();
        first.confirm_alive().unwrap();
    }
    tpm.restart();
    // Nobody has noticed yet: the check does, and what follows works.
    assert!(matches!(first.confirm_alive(), Err(BackendError::Unavailable { .. })));
    sign(&*first).unwrap();
    tpm.kill();
    for _ in 0..3 {
        let answer = sign(&*first);
        assert!(matches!(answer, Err(BackendError::Unavailable { .. })), "{answer:?}");
        assert!(matches!(keystore.health(), Err(BackendError::Unavailable { .. })));
    }
    tpm.restart();
    sign(&*first).unwrap();
    // The number of a handle names another's key now: it does not sign for us.
    tpm.restart();
    let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
    for name in ["a", "b", "c"] {
        tpm.tool(
            "tpm2_createprimary",
            &["-Q", "-G", "ecc256:ecdsa-sha256", "-a", attributes, "-c", name],
        );
    }
    let answer = sign(&*second);
    assert!(matches!(answer, Err(BackendError::Unavailable { .. })), "{answer:?}");
    tpm.tool("tpm2_flushcontext", &["-t"]);
    sign(&*second).unwrap();
}

#[test]
fn a_restart_in_the_middle_of_a_load_loses_nothing_but_what_it_meets() {
    let mut tpm = Swtpm::start();
    let keystore = open_without_auth(&tpm);
    let (sig, ecdh) = (signing(&keystore), agreeing(&keystore));
    let (stop, good, lost) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (sig, ecdh, stop, good, lost) = (&sig, &ecdh, &stop, &good, &lost);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = match thread % 2 {
                        0 => sign(&**sig),
                        _ => {
                            let sent =
                                common::send(&ecdh.info().public.clone().unwrap(), ECDH, ENC);
                            let answer = ecdh.unwrap_cek(&common::request(&sent, ECDH), ENC);
                            answer.map(|cek| assert!(common::is_the_cek(&*cek, &sent, ENC)))
                        }
                    };
                    match answer {
                        Ok(()) => good.fetch_add(1, Ordering::Relaxed),
                        Err(BackendError::Unavailable { .. }) => {
                            std::thread::sleep(Duration::from_millis(5));
                            lost.fetch_add(1, Ordering::Relaxed)
                        }
                        Err(error) => panic!("{error}"),
                    };
                }
            });
        }
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(200));
            tpm.restart();
        }
        let before = good.load(Ordering::Relaxed);
        let start = Instant::now();
        while good.load(Ordering::Relaxed) < before + 20 {
            assert!(start.elapsed() < Duration::from_secs(20), "it does not come back");
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(good.load(Ordering::Relaxed) > 20);
}

/// tpm2-tss opens its sockets without FD_CLOEXEC, and swtpm serves one connection until nobody holds
/// it any more.
#[test]
fn a_tpm_that_starts_does_not_hold_the_connections_of_another() {
    let (tpm, mut other) = (Swtpm::start(), Swtpm::start());
    let keystore = open_without_auth(&tpm);
    let key = signing(&keystore);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sign(&*key).unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..30 {
            other.restart();
            let (before, start) = (done.load(Ordering::Relaxed), Instant::now());
            while done.load(Ordering::Relaxed) < before + 2 {
                assert!(start.elapsed() < Duration::from_secs(60), "its TPM answers no more");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_another_user_of_the_tpm_has_flushed_is_loaded_again() {
    let tpm = Swtpm::start();
    let keystore = open_without_auth(&tpm);
    let keys: Vec<_> = (0..5).map(|_| signing(&keystore)).collect();
    for kind in ["--transient-object", "--loaded-session"] {
        for turn in 0..keys.len() {
            for key in &keys {
                sign(&**key).unwrap();
            }
            tpm.tool("tpm2_flushcontext", &[kind]);
            sign(&*keys[turn]).unwrap();
        }
    }
    drop((keys, keystore));
    assert_eq!(tpm.tool("tpm2_getcap", &["handles-transient"]).trim(), "");
    assert_eq!(tpm.tool("tpm2_getcap", &["handles-loaded-session"]).trim(), "");
}

#[test]
fn twenty_keys_and_eight_threads_share_three_slots() {
    let tpm = Swtpm::start();
    let keystore = open_without_auth(&tpm);
    let keys: Vec<_> = (0..20)
        .map(|number| match number % 4 {
            0 => (agreeing(&keystore), false),
            _ => (signing(&keystore), true),
        })
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let keys = &keys;
            scope.spawn(move || {
                for round in 0..40 {
                    let (key, signs) = &keys[(thread * 7 + round * 3) % keys.len()];
                    match signs {
                        true => sign(&**key).unwrap(),
                        false => common::round_trip(&**key, ECDH, ENC),
                    }
                }
            });
        }
    });
    drop(keys);
    drop(keystore);
    assert_eq!(tpm.tool("tpm2_getcap", &["handles-transient"]).trim(), "");
    assert_eq!(tpm.tool("tpm2_getcap", &["handles-loaded-session"]).trim(), "");
}

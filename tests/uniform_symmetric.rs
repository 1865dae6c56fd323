//! Uniform failure (RFC 7516 section 11.5) with symmetric keys, seen from outside as in `uniform.rs`:
//! one answer and one list of PKCS#11 calls for whatever is wrong with a token.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use hsm_jose::jose::base64url;
use serde_json::{Map, Value};

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::{Parts, Place};

/// What the program said, how it ended, and every call it made.
type Answer = ((i32, String, String), Vec<String>);

fn answer(place: &Place, token: &str) -> Answer {
    place.faulty.forget();
    let said = place.json_refusal(&["decrypt"], token.as_bytes());
    (said, place.faulty.calls())
}

/// Takes a compact token apart.
fn parts(token: &str) -> Parts {
    let octets: Vec<Vec<u8>> = token
        .split('.')
        .map(|part| base64url::decode(part.as_bytes()).expect("base64url"))
        .collect();
    let [header, encrypted_key, iv, ciphertext, tag] = &octets[..] else { panic!("{token}") };
    let header: Map<String, Value> = serde_json::from_slice(header).expect("a header");
    let (encrypted_key, iv) = (encrypted_key.clone(), iv.clone());
    Parts {
        header,
        encrypted_key,
        iv,
        ciphertext: ciphertext.clone(),
        tag: tag.clone(),
        cek: vec![],
    }
}

/// Everything that can be wrong with a token whose header is good.
fn bad_tokens(good: &Parts) -> Vec<(String, String)> {
    let mut bad: Vec<(String, String)> = Vec::new();
    let mut add = |what: String, token: String| bad.push((what, token));
    let key = &good.encrypted_key;
    let lengths = [0, 1, 7, 8, 16, 24, 31, 32, 33, 40, 41, 48, 72, 5000, 1 << 20];
    for len in lengths.into_iter().filter(|len| *len != key.len()) {
        add(format!("a key of {len} bytes"), good.with(|it| it.encrypted_key.resize(len, 1)));
    }
    for place in [0, key.len() / 2, key.len().saturating_sub(1)] {
        if !key.is_empty() {
            let token = good.with(|it| it.encrypted_key[place] ^= 0x80);
            add(format!("byte {place} of the key"), token);
        }
    }
    for name in ["iv", "tag"] {
        let Some(value) = good.header.get(name) else { continue };
        let octets = base64url::decode(value.as_str().expect("text").as_bytes()).expect("octets");
        let set = |octets: &[u8]| {
            good.with(|it| drop(it.header.insert(name.into(), base64url::encode(octets).into())))
        };
        for len in [0, 1, 4, 8, 11, 12, 13, 15, 16, 17, 4096] {
            let mut other = octets.clone();
            other.resize(len, 0);
            if len != octets.len() {
                add(format!("header {name} of {len} bytes"), set(&other));
            }
        }
        let mut changed = octets;
        changed[3] ^= 1;
        add(format!("header {name} changed"), set(&changed));
    }
    for len in [0, 1, 11, 13, 16, 4096] {
        add(format!("IV of {len} bytes"), good.with(|it| it.iv.resize(len, 0)));
    }
    for len in [0, 1, 4, 8, 12, 15, 17, 4096] {
        add(format!("tag of {len} bytes"), good.with(|it| it.tag.resize(len, 0)));
    }
    add("IV changed".into(), good.with(|it| it.iv[0] ^= 1));
    add("tag changed".into(), good.with(|it| it.tag[0] ^= 1));
    add("ciphertext changed".into(), good.with(|it| it.ciphertext[0] ^= 1));
    add("no ciphertext".into(), good.with(|it| it.ciphertext.clear()));
    add("header changed".into(), good.with(|it| drop(it.header.insert("x".into(), 1.into()))));
    bad
}

#[test]
fn every_bad_token_for_a_symmetric_key_gets_one_answer_and_one_list_of_calls() {
    let place = Place::watched();
    for (alg, data) in [("A256KW", "C_UnwrapKey"), ("A256GCMKW", "C_Decrypt"), ("dir", "C_Decrypt")]
    {
        place.json(&["key", "generate", alg, "--alg", alg], b"");
        place.faulty.set(&[]);
        let args = ["encrypt", "--key", alg, "--enc", "A256GCM"];
        let good = String::from_utf8(place.run(&args, b"plaintext").stdout).expect("a token");
        let good = good.trim_end();
        place.faulty.forget();
        let opened = place.json(&["decrypt"], good.as_bytes());
        assert_eq!(opened["plaintext"], base64url::encode(b"plaintext"), "{alg}");
        let count = |calls: &[String]| calls.iter().filter(|call| *call == data).count();
        let of_good = count(&place.faulty.calls());

        let mut first: Option<Answer> = None;
        let mut alike = |what: &str, found: Answer| {
            let first = first.get_or_insert_with(|| found.clone());
            assert_eq!(first.0, found.0, "{alg}: {what}");
            assert_eq!(first.1, found.1, "{alg}: {what}");
        };
        for (what, token) in bad_tokens(&parts(good)) {
            alike(&what, answer(&place, &token));
        }
        // What the device answers to the one call with the input, while it is alive.
        for code in [
            "CKR_KEY_FUNCTION_NOT_PERMITTED",
            "CKR_DEVICE_ERROR",
            "CKR_GENERAL_ERROR",
            "CKR_FUNCTION_FAILED",
            "CKR_HOST_MEMORY",
            "CKR_ENCRYPTED_DATA_INVALID",
            "0x00000110",
            "0x00000112",
            "0x80000001",
        ] {
            place.faulty.set(&[&format!("fail {data} {code} {of_good}")]);
            alike(code, answer(&place, good));
        }
        place.faulty.set(&[]);
        let ((status, code, message), calls) = first.expect("cases");
        assert_eq!((status, &*code, &*message), (3, "decryption_failed", "decryption failed"));
        assert_eq!(count(&calls), of_good, "a bad token costs as many {data} as a good one");
        // Nothing of a failure stays behind.
        assert!(place.run(&["decrypt"], good.as_bytes()).status.success(), "{alg}");
    }
}

/// A device that is gone is no bad token.
#[test]
fn a_device_that_is_gone_is_told_from_a_bad_token() {
    let place = Place::watched();
    for (alg, data) in [("A256KW", "C_UnwrapKey"), ("A256GCMKW", "C_Decrypt"), ("dir", "C_Decrypt")]
    {
        place.json(&["key", "generate", alg, "--alg", alg], b"");
        place.faulty.set(&[]);
        let token = place.run(&["encrypt", "--key", alg, "--enc", "A256GCM"], b"x").stdout;
        place.faulty.forget();
        assert!(place.run(&["decrypt"], &token).status.success());
        let calls = place.faulty.calls();
        let of_good = calls.iter().filter(|call| *call == data).count();
        place.faulty.set(&[&format!("fail {data} CKR_DEVICE_REMOVED {of_good}")]);
        let (status, code, _) = place.json_refusal(&["decrypt"], &token);
        assert_eq!((status, &*code), (6, "device_unavailable"), "{alg}");
        place.faulty.set(&[]);
    }
}

/// A device that goes while it takes a message in parts is told, and its session is not used again.
#[test]
fn a_device_that_is_gone_within_a_message_is_told() {
    let place = Place::watched();
    place.json(&["key", "generate", "mac", "--alg", "HS256"], b"");
    place.write("payload", vec![b'x'; 300_000]);
    let sign = ["sign", "--key", "mac", "--detached", "payload"];
    place.faulty.set(&[]);
    place.faulty.forget();
    let whole = place.run(&sign, b"");
    assert!(whole.status.success(), "{whole:?}");
    let parts = place.faulty.calls().iter().filter(|call| *call == "C_SignUpdate").count();
    assert!(parts > 3, "{parts}");
    let faults = [
        ("C_SignUpdate", "CKR_DEVICE_REMOVED", parts - 1, 6, "device_unavailable"),
        ("C_SignUpdate", "CKR_FUNCTION_FAILED", parts - 1, 6, "device_error"),
        ("C_SignFinal", "CKR_DEVICE_REMOVED", 1, 6, "device_unavailable"),
    ];
    for (call, native, at, exit, told) in faults {
        place.faulty.set(&[&format!("fail {call} {native} {at}")]);
        let (status, code, message) = place.json_refusal(&sign, b"");
        assert_eq!((status, &*code), (exit, told), "{call} {native}: {message}");
        assert!(message.contains(call) && message.contains(native), "{message}");
        place.faulty.set(&[]);
        assert_eq!(place.run(&sign, b"").stdout, whole.stdout, "{call} {native}");
    }
}

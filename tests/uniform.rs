//! Uniform failure (RFC 7516 section 11.5), seen from outside: the program with a module in between
//! that logs every PKCS#11 call and fails on demand. One answer and one list of calls for whatever is
//! wrong with a token; another answer for a device that is gone.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::time::{Duration, Instant};

use hsm_jose::config::Config;
use hsm_jose::engine::Engine;
use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{PublicJwk, PublicKey};
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jwe::{JweBuilder, Recipient};
use serde_json::Value;

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::{Parts, Place};

const ALGS: [KeyManagement; 4] = [
    KeyManagement::RsaOaep,
    KeyManagement::RsaOaep256,
    KeyManagement::EcdhEs,
    KeyManagement::EcdhEsA256Kw,
];

/// The call that takes what a stranger sent.
fn data_call(alg: KeyManagement) -> &'static str {
    if alg.is_ecdh() { "C_DeriveKey" } else { "C_Decrypt" }
}

/// What the program said, how it ended, and every call it made.
type Answer = ((i32, String, String), Vec<String>);

fn answer(place: &Place, token: &str) -> Answer {
    place.faulty.forget();
    let said = place.json_refusal(&["decrypt"], token.as_bytes());
    (said, place.faulty.calls())
}

/// Everything that can be wrong with a token whose header is good.
fn bad_tokens(
    jwk: &PublicJwk,
    alg: KeyManagement,
    enc: ContentEncryption,
) -> Vec<(String, String)> {
    let good = Parts::sealed(jwk, alg, enc, b"plaintext");
    let mut bad: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| bad.push((format!("{alg} {enc}: {what}"), token));
    let key = good.encrypted_key.clone();
    if alg == KeyManagement::EcdhEs {
        add("a stray encrypted key", good.with(|it| it.encrypted_key = vec![1; 40]));
    } else {
        let flipped = |place: usize| {
            let mut bytes = key.clone();
            bytes[place] ^= 1;
            bytes
        };
        add("first bit of the key", good.with(|it| it.encrypted_key = flipped(0)));
        add("last bit of the key", good.with(|it| it.encrypted_key = flipped(key.len() - 1)));
        add("short key", good.with(|it| it.encrypted_key.truncate(key.len() - 1)));
        add("shorter key", good.with(|it| it.encrypted_key.truncate(7)));
        add("long key", good.with(|it| it.encrypted_key.push(0)));
        add("key with a leading zero", good.with(|it| it.encrypted_key.insert(0, 0)));
        add("empty key", good.with(|it| it.encrypted_key.clear()));
        add("zero key", good.with(|it| it.encrypted_key.fill(0)));
        add("far too long key", good.with(|it| it.encrypted_key = vec![0x41; 5000]));
        add("a megabyte of a key", good.with(|it| it.encrypted_key = vec![0x41; 1 << 20]));
        add("a key and a megabyte", good.with(|it| it.encrypted_key.resize(1 << 20, 0)));
        add("key of ones", good.with(|it| it.encrypted_key.fill(0xff)));
        if let PublicKey::Rsa(rsa) = &jwk.key {
            add("the modulus", good.with(|it| it.encrypted_key = rsa.n().to_vec()));
        }
        for other in [ContentEncryption::A128Gcm, ContentEncryption::A256CbcHs512] {
            let parts = Parts::with_cek_for(jwk, alg, enc, other, b"plaintext");
            // IV and tag as long as `enc` has them, so that only the CEK is wrong.
            let token = parts.with(|it| {
                it.iv.resize(enc.iv_len(), 0);
                it.tag.resize(enc.tag_len(), 0);
            });
            add(&format!("a CEK for {other}"), token);
        }
    }
    add("flipped IV", good.with(|it| it.iv[0] ^= 1));
    add("short IV", good.with(|it| it.iv.truncate(enc.iv_len() - 1)));
    add("long IV", good.with(|it| it.iv.push(0)));
    add("no IV", good.with(|it| it.iv.clear()));
    add("flipped tag", good.with(|it| it.tag[0] ^= 1));
    add("truncated tag", good.with(|it| it.tag.truncate(enc.tag_len() - 4)));
    add("tag of one byte", good.with(|it| it.tag.truncate(1)));
    add("long tag", good.with(|it| it.tag.push(0)));
    add("no tag", good.with(|it| it.tag.clear()));
    add("flipped ciphertext", good.with(|it| it.ciphertext[0] ^= 1));
    add("no ciphertext", good.with(|it| it.ciphertext.clear()));
    add("another header", good.with(|it| drop(it.header.insert("x".into(), 1.into()))));
    bad
}

/// RFC 7516 section 11.5, and rule 2 of the seam: the same calls in the same order.
#[test]
fn every_bad_token_gets_one_answer_and_one_list_of_calls() {
    let place = Place::watched();
    for alg in ALGS {
        let jwk = place.generate(&alg.name().replace('+', "-"), alg.name());
        let good = Parts::sealed(&jwk, alg, ContentEncryption::A256Gcm, b"plaintext").compact();
        place.faulty.set(&[]);
        let opened = place.json(&["decrypt"], good.as_bytes());
        assert_eq!(opened["plaintext"], base64url::encode(b"plaintext"), "{alg}");
        let data = data_call(alg);
        let count = |calls: &[String]| calls.iter().filter(|call| *call == data).count();
        let of_good = count(&place.faulty.calls());

        let mut first: Option<Answer> = None;
        let mut alike = |what: &str, found: Answer| {
            let first = first.get_or_insert_with(|| found.clone());
            assert_eq!(first.0, found.0, "{what}");
            assert_eq!(first.1, found.1, "{what}");
        };
        let encs: &[_] = match alg {
            KeyManagement::EcdhEsA256Kw => {
                &[ContentEncryption::A256Gcm, ContentEncryption::A128CbcHs256]
            }
            _ => &[ContentEncryption::A256Gcm],
        };
        for (what, token) in encs.iter().flat_map(|enc| bad_tokens(&jwk, alg, *enc)) {
            alike(&what, answer(&place, &token));
        }
        // What the device answers to the one call with the input, while it is alive.
        for code in [
            "CKR_KEY_FUNCTION_NOT_PERMITTED",
            "CKR_DEVICE_ERROR",
            "CKR_GENERAL_ERROR",
            "CKR_FUNCTION_FAILED",
            "CKR_HOST_MEMORY",
            "CKR_DATA_INVALID",
            "CKR_ENCRYPTED_DATA_LEN_RANGE",
            "0x80000001",
        ] {
            for way in ["fail", "answer"] {
                place.faulty.set(&[&format!("{way} {data} {code} {of_good}")]);
                alike(&format!("{alg}: {way} {code}"), answer(&place, &good));
            }
        }
        place.faulty.set(&[]);
        let ((status, code, message), calls) = first.expect("cases");
        assert_eq!((status, &*code, &*message), (3, "decryption_failed", "decryption failed"));
        assert_eq!(count(&calls), of_good, "a bad token costs as many {data} as a good one");
        // Nothing of a failure stays behind.
        assert!(place.run(&["decrypt"], good.as_bytes()).status.success(), "{alg}");
    }
}

/// One token for two of our keys: whichever recipient is bad, and whatever else is, the answer and the
/// calls are the same, and each key is asked once.
#[test]
fn a_token_for_two_keys_fails_alike_whichever_recipient_is_bad() {
    let place = Place::watched();
    let rsa = place.generate("rsa", "RSA-OAEP-256");
    let ec = place.generate("ec", "ECDH-ES+A256KW");
    let recipients = [rsa, ec].map(|jwk| Recipient::new(jwk).expect("a recipient"));
    let good = JweBuilder::new(ContentEncryption::A256Gcm)
        .to(&recipients[0], KeyManagement::RsaOaep256)
        .to(&recipients[1], KeyManagement::EcdhEsA256Kw)
        .aad(b"aad")
        .encrypt(Serialization::General, b"plaintext")
        .expect("a token");
    let good: Value = serde_json::from_str(&good).expect("JSON");
    place.faulty.set(&[]);
    let opened = place.json(&["decrypt"], good.to_string().as_bytes());
    assert_eq!(opened["plaintext"], base64url::encode(b"plaintext"));
    assert_eq!((&opened["recipient"], &opened["recipients"]), (&0.into(), &2.into()));
    let count = |calls: &[String], name: &str| calls.iter().filter(|call| *call == name).count();
    let calls = place.faulty.calls();
    let of_good = ["C_Decrypt", "C_DeriveKey"].map(|name| count(&calls, name));

    let with = |change: &dyn Fn(&mut Value)| {
        let mut token = good.clone();
        change(&mut token);
        token.to_string()
    };
    let bytes = |token: &Value, pointer: &str| {
        let text = token.pointer(pointer).and_then(Value::as_str).expect(pointer);
        base64url::decode(text.as_bytes()).expect("base64url")
    };
    let set = |token: &mut Value, pointer: &str, bytes: &[u8]| {
        *token.pointer_mut(pointer).expect(pointer) = base64url::encode(bytes).into();
    };
    const KEYS: [&str; 2] = ["/recipients/0/encrypted_key", "/recipients/1/encrypted_key"];
    let flip = |token: &mut Value, pointer: &str| {
        let mut changed = bytes(token, pointer);
        changed[0] ^= 1;
        set(token, pointer, &changed);
    };
    let shorten = |token: &mut Value, pointer: &str| {
        let shorter = bytes(token, pointer);
        set(token, pointer, &shorter[..shorter.len() - 1]);
    };
    // One bad recipient alone: the other's key opens it, and both were asked.
    for (place_of_bad, key) in KEYS.iter().enumerate() {
        place.faulty.forget();
        let token = with(&|it| flip(it, key));
        let opened = place.json(&["decrypt"], token.as_bytes());
        assert_eq!(opened["recipient"], Value::from(1 - place_of_bad));
        let calls = place.faulty.calls();
        assert_eq!(["C_Decrypt", "C_DeriveKey"].map(|name| count(&calls, name)), of_good);
    }
    let bad = [
        ("tag", with(&|it| flip(it, "/tag"))),
        ("iv", with(&|it| flip(it, "/iv"))),
        ("aad", with(&|it| flip(it, "/aad"))),
        ("ciphertext", with(&|it| flip(it, "/ciphertext"))),
        ("short tag", with(&|it| shorten(it, "/tag"))),
        ("both keys", with(&|it| KEYS.iter().for_each(|key| flip(it, key)))),
        ("both keys short", with(&|it| KEYS.iter().for_each(|key| shorten(it, key)))),
        (
            "the first key and the tag",
            with(&|it| [KEYS[0], "/tag"].iter().for_each(|x| flip(it, x))),
        ),
        (
            "the second key and the tag",
            with(&|it| [KEYS[1], "/tag"].iter().for_each(|x| flip(it, x))),
        ),
        ("the first key short, and the tag", {
            with(&|it| {
                shorten(it, KEYS[0]);
                flip(it, "/tag");
            })
        }),
        ("the first key of another length, the second gone", {
            with(&|it| {
                set(it, KEYS[0], &[0x41; 5000]);
                it["recipients"][1].as_object_mut().expect("one").remove("encrypted_key");
            })
        }),
    ];
    let mut first: Option<Answer> = None;
    for (what, token) in bad {
        let found = answer(&place, &token);
        let first = first.get_or_insert_with(|| found.clone());
        assert_eq!(first.0, found.0, "{what}");
        assert_eq!(first.1, found.1, "{what}");
    }
    let ((status, code, message), calls) = first.expect("cases");
    assert_eq!((status, &*code, &*message), (3, "decryption_failed", "decryption failed"));
    assert_eq!(["C_Decrypt", "C_DeriveKey"].map(|name| count(&calls, name)), of_good);
    // Refused by its form or by policy: no module is loaded.
    place.faulty.forget();
    let refused = [
        with(&|it| it["recipients"] = vec![it["recipients"][0].clone(); 5].into()),
        with(&|it| it["recipients"] = vec![it["recipients"][0].clone(); 1000].into()),
        with(&|it| it["recipients"][1]["header"]["alg"] = "ECDH-ES".into()),
        with(&|it| it["unprotected"] = serde_json::json!({ "zip": "DEF" })),
        with(&|it| it["recipients"][0]["header"]["enc"] = "A256GCM".into()),
    ];
    for token in refused {
        let (status, code, message) = place.json_refusal(&["decrypt"], token.as_bytes());
        assert!(status == 3 && (code == "policy" || code == "malformed"), "{code}: {message}");
    }
    assert_eq!(place.faulty.calls(), Vec::<String>::new());
}

/// A stranger cannot make the device work on more than can be right: one byte over the modulus is
/// wrong enough.
#[test]
fn a_device_sees_no_more_of_an_encrypted_key_than_can_be_right() {
    let places = [
        "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
        "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
        "/usr/lib64/pkcs11-spy.so",
        "/usr/lib64/pkcs11/pkcs11-spy.so",
    ];
    let spy = places.iter().find(|path| std::path::Path::new(path).is_file());
    let spy = spy.expect("pkcs11-spy.so (Debian: apt install opensc)");
    let place = Place::new();
    let softhsm = common::softhsm_module();
    for alg in [KeyManagement::RsaOaep, KeyManagement::RsaOaep256] {
        let jwk = place.generate(alg.name(), alg.name());
        let parts = Parts::sealed(&jwk, alg, ContentEncryption::A256Gcm, b"plaintext");
        let configuration = place.configuration();
        place.configure(&configuration.replace(softhsm.to_str().expect("UTF-8"), spy));
        for len in [255, 256, 257, 1 << 20] {
            let token = place.write("token", parts.with(|it| it.encrypted_key = vec![0x41; len]));
            let log = place.path("spy.log");
            let _ = std::fs::remove_file(&log);
            let output = place
                .command(&["decrypt", &token])
                .env("PKCS11SPY", &softhsm)
                .env("PKCS11SPY_OUTPUT", &log)
                .output()
                .expect("the program");
            assert_eq!(output.status.code(), Some(3));
            let log = std::fs::read_to_string(&log).expect("the log");
            let last = log.lines().rfind(|line| line.contains("[in] pEncryptedData[")).expect("it");
            assert!(last.ends_with(" / 256"), "{alg}: {len}: {last}");
        }
        place.configure(&configuration);
    }
}

/// Policy before the device: what is refused by its header costs no call, and no module is loaded.
#[test]
fn a_refused_header_loads_no_module() {
    let place = Place::watched();
    let (alg, enc) = (KeyManagement::EcdhEsA256Kw, ContentEncryption::A256Gcm);
    let jwk = place.generate("ec", alg.name());
    let parts = Parts::sealed(&jwk, alg, enc, b"plaintext");
    let args = ["key", "generate", "x", "--alg", "ECDH-ES", "--crv", "X25519"];
    let made = place.json(&args, b"")["jwk"].to_string();
    let x25519 = PublicJwk::parse(made.as_bytes()).expect("a public JWK");
    let parts_x = Parts::sealed(&x25519, KeyManagement::EcdhEs, enc, b"plaintext");
    let set = |name: &str, value: serde_json::Value| {
        parts.with(|it| drop(it.header.insert(name.into(), value)))
    };
    let epk = |x: &[u8], y: &[u8]| {
        parts.with(|it| {
            it.header["epk"]["x"] = base64url::encode(x).into();
            it.header["epk"]["y"] = base64url::encode(y).into();
        })
    };
    let mut cases = vec![
        ("policy", set("alg", "none".into())),
        ("policy", set("alg", "RSA1_5".into())),
        ("policy", set("alg", "ecdh-es+a256kw".into())),
        ("policy", set("alg", "ECDH-ES+A256KW ".into())),
        ("policy", set("alg", "dir".into())),
        ("policy", set("alg", "A256KW".into())),
        ("policy", set("alg", "PBES2-HS512+A256KW".into())),
        ("policy", set("alg", "ES256".into())),
        ("policy", set("enc", "A256gcm".into())),
        ("policy", set("enc", "none".into())),
        ("policy", set("zip", "DEF".into())),
        ("malformed", set("enc", 1.into())),
        ("malformed", set("crit", serde_json::json!([]))),
        ("malformed", set("crit", serde_json::json!(["alg"]))),
        ("malformed", set("epk", serde_json::json!({ "kty": "EC" }))),
        ("malformed", set("epk", "x".into())),
        ("malformed", epk(&[1; 32], &[1; 32])),
        ("malformed", epk(&[0; 32], &[0; 32])),
        ("malformed", epk(&[0xff; 32], &[0xff; 32])),
        ("malformed", epk(&[1; 31], &[1; 32])),
        ("malformed", parts.with(|it| it.header["epk"]["d"] = "AQ".into())),
        // Another kid, or a key for something else: found in the keyring, not in the device.
        ("key_not_found", set("kid", "nobody".into())),
        ("policy", set("kid", x25519.kid.clone().into())),
    ];
    // RFC 7748: every encoding of a point of low order.
    let low_order: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for point in low_order {
        for high_bit in [0, 0x80] {
            let mut point = common::unhex(point);
            point[31] |= high_bit;
            let token = parts_x.with(|it| it.header["epk"]["x"] = base64url::encode(&point).into());
            cases.push(("malformed", token));
        }
    }
    let configuration = place.configuration();
    let module = faulty::module().to_str().expect("a path in UTF-8");
    assert!(configuration.contains(module));
    // A module that is not there is an error as soon as it is loaded.
    place.configure(&configuration.replace(module, "/nonexistent/module.so"));
    let (_, code, _) = place.json_refusal(&["decrypt"], parts.compact().as_bytes());
    assert_eq!(code, "config", "the good token reaches for the module");
    for (expected, token) in &cases {
        let (status, code, message) = place.json_refusal(&["decrypt"], token.as_bytes());
        assert_eq!(code, *expected, "{message}");
        assert_eq!(status, if code == "key_not_found" { 4 } else { 3 }, "{message}");
    }
    place.configure(&configuration);
    place.faulty.forget();
    for (expected, token) in &cases {
        assert_eq!(place.json_refusal(&["decrypt"], token.as_bytes()).1, *expected);
    }
    assert_eq!(place.faulty.calls(), Vec::<String>::new());
}

/// A dead connection is never reported as a bad token, wherever it dies, and is not tried again on.
#[test]
fn a_dead_device_is_never_a_bad_token() {
    let place = Place::watched();
    for alg in [KeyManagement::RsaOaep256, KeyManagement::EcdhEsA256Kw] {
        let jwk = place.generate(if alg.is_ecdh() { "ec" } else { "rsa" }, alg.name());
        let parts = Parts::sealed(&jwk, alg, ContentEncryption::A256Gcm, b"plaintext");
        let (good, bad) = (parts.compact(), parts.with(|it| it.tag[0] ^= 1));
        place.faulty.set(&[]);
        let (_, calls) = answer(&place, &bad);
        let count = |name: &str| calls.iter().filter(|call| *call == name).count();
        let data = data_call(alg);
        let mut deaths = vec![("dead".to_owned(), true)];
        // At the last call of each kind that belongs to this token.
        for name in ["C_DecryptInit", data, "C_GetSessionInfo", "C_GenerateRandom", "C_Login"] {
            if count(name) > 0 {
                let decides = !["C_GetSessionInfo", "C_GenerateRandom"].contains(&name);
                deaths.push((format!("dies {name} {}", count(name)), decides));
            }
        }
        for (death, good_too) in deaths {
            for (token, is_good) in [(&good, true), (&bad, false)] {
                if is_good && !good_too {
                    continue;
                }
                place.faulty.set(&[&death]);
                let (status, code, message) = place.json_refusal(&["decrypt"], token.as_bytes());
                assert_eq!(
                    (status, &*code),
                    (6, "device_unavailable"),
                    "{alg}: {death}, good: {is_good}: {message}"
                );
                let later = place.faulty.calls();
                let tried = later.iter().filter(|call| *call == data).count();
                assert!(tried <= count(data), "{alg}: {death}: tried again: {later:?}");
                assert!(
                    later.iter().filter(|call| *call == "C_Login").count() <= 2,
                    "{alg}: {death}: {later:?}"
                );
            }
        }
        place.faulty.set(&[]);
        assert!(place.run(&["decrypt"], good.as_bytes()).status.success(), "{alg}");
    }
}

/// A service that lives on through it: in a process of its own, whose module is told by the
/// environment what to load.
#[test]
fn a_long_lived_engine_recovers_when_the_device_is_back() {
    let place = Place::watched();
    for alg in [KeyManagement::RsaOaep256, KeyManagement::EcdhEsA256Kw] {
        let name = if alg.is_ecdh() { "ec" } else { "rsa" };
        let jwk = place.generate(name, alg.name());
        let parts = Parts::sealed(&jwk, alg, ContentEncryption::A256Gcm, b"plaintext");
        place.write(&format!("{name}.good"), parts.compact());
        place.write(&format!("{name}.bad"), parts.with(|it| it.tag[0] ^= 1));
    }
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "recovery_child", "--ignored", "--nocapture"])
        .envs(place.env())
        .env("HSM_JOSE_TEST_PLACE", place.path("."))
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("recovered 8 times"), "{text}");
}

#[test]
#[ignore = "run by a_long_lived_engine_recovers_when_the_device_is_back, in its environment"]
fn recovery_child() {
    let Some(directory) = std::env::var_os("HSM_JOSE_TEST_PLACE").map(std::path::PathBuf::from)
    else {
        return;
    };
    let faulty = faulty::Faulty::new(&directory, &common::softhsm_module());
    let config = Config::load(&directory.join("hsm-jose.toml")).expect("a configuration");
    let engine = Engine::from_config(&config).expect("an engine");
    let token = |name: &str| std::fs::read(directory.join(name)).expect("a token");
    let code = |name: &str| match engine.decrypt(&token(name), None) {
        Ok(_) => "opened",
        Err(error) => error.code(),
    };
    let calls_of = |name: &str| {
        faulty.forget();
        let code = code(name);
        (code, faulty.calls())
    };
    let mut recovered = 0;
    for (name, data) in [("rsa", "C_Decrypt"), ("ec", "C_DeriveKey")] {
        let (good, bad) = (format!("{name}.good"), format!("{name}.bad"));
        assert_eq!((code(&good), code(&bad)), ("opened", "decryption_failed"));
        let (_, healthy) = calls_of(&bad);
        for death in
            ["dead", "dead CKR_GENERAL_ERROR", &format!("dies {data} 1"), "dead CKR_DEVICE_REMOVED"]
        {
            faulty.set(&[death]);
            assert_eq!(code(&bad), "device_unavailable", "{name}: {death}");
            // It is not hammered: until the next attempt is due, an answer costs no call of a key.
            for token in [&good, &bad] {
                let (code, calls) = calls_of(token);
                assert_eq!(code, "device_unavailable", "{name}: {death}");
                let is_use = |call: &String| call == data || call == "C_Login";
                assert!(!calls.iter().any(is_use), "{name}: {death}: {calls:?}");
            }
            faulty.set(&[]);
            let since = Instant::now();
            while code(&good) != "opened" {
                assert!(since.elapsed() < Duration::from_secs(20), "{name}: {death}: not back");
                std::thread::sleep(Duration::from_millis(100));
            }
            recovered += 1;
            assert_eq!(code(&bad), "decryption_failed", "{name}: {death}");
            let (_, after) = calls_of(&bad);
            assert_eq!(after, healthy, "{name}: {death}");
        }
    }
    println!("recovered {recovered} times");
}

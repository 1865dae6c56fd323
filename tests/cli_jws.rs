//! `sign` and `verify` on a SoftHSM token: every serialization, several signers and the rule for
//! them, detached and unencoded payloads, headers of the caller, payloads larger than memory allows.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::fs;
use std::process::Command;

use hsm_jose::jose::base64url;
use serde_json::{Value, json};

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::Place;

/// A place with two keys, one of them an RSA key, each bound to an issuer in `keys.json`.
fn signers() -> Place {
    let place = Place::new();
    place.generate("a", "ES256");
    place.generate("b", "PS256");
    let set = place.json(&["jwks"], b"");
    let mut keys = set["keys"].as_array().expect("keys").clone();
    for key in &mut keys {
        let is_a = key["alg"] == "ES256";
        key["iss"] = if is_a { "https://a.example" } else { "https://b.example" }.into();
    }
    place.write("keys.json", json!({ "keys": keys }).to_string());
    keys.retain(|key| key["alg"] == "ES256");
    place.write("a.json", json!({ "keys": keys }).to_string());
    place
}

fn made(place: &Place, args: &[&str], payload: &[u8]) -> String {
    let output = place.run(&[&["sign"], args].concat(), payload);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a token")
}

#[test]
fn several_sign_and_the_caller_says_who_must() {
    let place = signers();
    let token = made(&place, &["--key", "a", "--key", "b", "--format", "general"], b"payload");
    let parsed: Value = serde_json::from_str(&token).expect("JSON");
    assert_eq!(parsed["signatures"].as_array().expect("signatures").len(), 2);
    let (status, code, message) =
        place.refusal(&["verify", "--keys", "keys.json"], token.as_bytes());
    assert_eq!((status, &*code), (2, "usage"), "{message}");
    assert!(message.contains("2 signatures") && message.contains("--require"), "{message}");
    let verify = |keys: &str, rule: &str| {
        place.run(&["verify", "--keys", keys, "--require", rule], token.as_bytes())
    };
    for (keys, rule, count) in [
        ("keys.json", "all", 2),
        ("keys.json", "any", 2),
        ("a.json", "any", 1),
        ("keys.json", "all-of:https://a.example,https://b.example", 2),
        ("keys.json", "any-of:https://b.example,https://c.example", 1),
        ("a.json", "all-of:https://a.example", 1),
    ] {
        let output = verify(keys, rule);
        assert_eq!(output.stdout, b"payload", "{rule}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&format!("{count} of 2 signatures")), "{rule}: {stderr}");
        let args = ["verify", "--keys", keys, "--require", rule];
        let answer = place.json(&args, token.as_bytes());
        assert_eq!(answer["signatures"].as_array().expect("signatures").len(), count, "{rule}");
        assert_eq!(answer["signatures_in_token"], 2);
    }
    for (keys, rule, expected) in [
        ("a.json", "all", (3, "policy")),
        ("a.json", "all-of:https://a.example,https://b.example", (4, "key_not_found")),
        ("keys.json", "any-of:https://c.example", (4, "key_not_found")),
    ] {
        let args = ["verify", "--keys", keys, "--require", rule];
        let (status, code, message) = place.refusal(&args, token.as_bytes());
        assert_eq!((status, &*code), expected, "{rule}: {message}");
    }
    for rule in ["most", "all-of:", "any-of:a,,b", "all:a"] {
        assert_eq!(verify("keys.json", rule).status.code(), Some(2), "{rule}");
    }
    // Every header is explained, and the rules are in words.
    let explained = place.json(&["policy", "explain"], token.as_bytes());
    assert_eq!(explained["token"]["accepted"], true, "{explained}");
    for text in ["alg ES256", "alg PS256", "JWS unprotected header: alg and kid", "crit: nothing"] {
        assert!(explained.to_string().contains(text), "{text}: {explained}");
    }
    // One good and one bad signature.
    let mut forged = parsed;
    forged["signatures"][1]["signature"] = forged["signatures"][0]["signature"].clone();
    let args = ["verify", "--keys", "keys.json", "--require", "all"];
    let (status, code, _) = place.refusal(&args, forged.to_string().as_bytes());
    assert_eq!((status, &*code), (3, "signature_invalid"));
}

#[test]
fn every_form_goes_there_and_back() {
    let place = signers();
    let payload = "{\"price\":\"5.00\u{20ac}\"}";
    place.write("payload", payload);
    for format in ["compact", "flattened", "general"] {
        for flags in [&[][..], &["--detached"], &["--unencoded"], &["--detached", "--unencoded"]] {
            let args = [&["--key", "a", "--format", format], flags].concat();
            if format == "compact" && flags == ["--unencoded"] {
                let (status, code, _) =
                    place.refusal(&[&["sign"], &args[..]].concat(), payload.as_bytes());
                assert_eq!((status, &*code), (2, "usage"));
                continue;
            }
            let token = made(&place, &args, payload.as_bytes());
            let mut verify = vec!["verify", "--keys", "keys.json"];
            if flags.contains(&"--detached") {
                verify.extend(["--detached", "payload"]);
            }
            let output = place.run(&verify, token.as_bytes());
            assert_eq!(output.stdout, payload.as_bytes(), "{args:?}");
            // A stranger to RFC 7797: the strict profile, unless it is told.
            if flags.contains(&"--unencoded") {
                let all = place.configuration();
                place.configure(&all.replace("\"all\"", "\"strict\""));
                assert_eq!(place.refusal(&verify, token.as_bytes()).1, "policy");
                place.configure(&all.replace("\"all\"", "\"strict\"\nunencoded = true"));
                assert!(place.run(&verify, token.as_bytes()).status.success());
                place.configure(&all);
            }
        }
    }
    let several = ["sign", "--key", "a", "--key", "b"];
    assert_eq!(place.refusal(&several, b"x").1, "usage");
}

#[test]
fn headers_of_the_caller_are_checked_on_both_sides() {
    let place = signers();
    let members = json!({
        "http://openbanking.org.uk/iat": 1_501_497_671,
        "http://openbanking.org.uk/iss": "C=UK, O=Acme",
        "http://openbanking.org.uk/tan": "openbanking.org.uk",
    });
    place.write("ob.json", members.to_string());
    let names: Vec<&String> = members.as_object().expect("members").keys().collect();
    let mut sign = vec!["--key", "b", "--detached", "--unencoded", "--protected", "ob.json"];
    names.iter().for_each(|name| sign.extend(["--crit", name]));
    // Nobody checks them: neither made nor taken.
    assert_eq!(place.refusal(&[&["sign"], &sign[..]].concat(), b"{}").1, "policy");
    let all = place.configuration();
    let listed = format!("crit = {}\n", json!(names));
    place.configure(&format!("{all}{listed}"));
    let token = made(&place, &sign, b"{}");
    place.write("body", "{}");
    let verify = ["verify", "--keys", "keys.json", "--detached", "body"];
    let answer = place.json(&verify, token.as_bytes());
    assert_eq!(answer["header"]["http://openbanking.org.uk/tan"], "openbanking.org.uk");
    assert_eq!(answer["header"]["crit"].as_array().expect("crit").len(), 4);
    place.configure(&all);
    assert_eq!(place.refusal(&verify, token.as_bytes()).1, "policy");
    place.configure(&format!("{all}crit = [\"exp\"]\n"));
    let (status, code, message) = place.refusal(&["config", "check"], b"");
    assert_eq!((status, &*code), (2, "config"), "{message}");
    assert!(message.contains("openbanking"), "{message}");
    place.configure(&format!("{all}crit = []\n"));
    assert_eq!(place.refusal(&["config", "check"], b"").1, "config");
    place.configure(&all);

    place.write("future.json", json!({ "http://openbanking.org.uk/iat": 9e9 }).to_string());
    place.configure(&format!("{all}{listed}"));
    let sign = ["sign", "--key", "b", "--protected", "future.json"];
    let sign = [&sign[..], &["--crit", "http://openbanking.org.uk/iat"]].concat();
    assert_eq!(place.refusal(&sign, b"{}").1, "policy");
    for (name, content) in [("alg", "\"none\""), ("kid", "\"x\""), ("b64", "false"), ("crit", "[]")]
    {
        place.write("bad.json", format!("{{\"{name}\":{content}}}"));
        let args = ["sign", "--key", "a", "--protected", "bad.json"];
        assert_eq!(place.refusal(&args, b"{}").1, "usage", "{name}");
    }
    place.write("twice.json", "{\"x\":1,\"x\":1}");
    assert_eq!(
        place.refusal(&["sign", "--key", "a", "--protected", "twice.json"], b"{}").1,
        "usage"
    );
    place.write("note.json", "{\"note\":\"hello\"}");
    let token =
        made(&place, &["--key", "a", "--format", "flattened", "--header", "note.json"], b"{}");
    assert!(token.contains("hello"));
    let answer = place.json(&["verify", "--keys", "keys.json"], token.as_bytes());
    assert!(!answer.to_string().contains("hello"), "{answer}");
    let compact = ["sign", "--key", "a", "--header", "note.json"];
    assert_eq!(place.refusal(&compact, b"{}").1, "usage");
}

#[test]
fn signatures_are_split_joined_and_looked_at() {
    let place = signers();
    let general = made(&place, &["--key", "a", "--key", "b", "--format", "general"], b"payload");
    let split = place.json(&["convert", "--format", "flattened"], general.as_bytes());
    let tokens: Vec<&str> =
        split["tokens"].as_array().expect("tokens").iter().filter_map(Value::as_str).collect();
    assert_eq!(tokens.len(), 2);
    let files: Vec<String> = tokens
        .iter()
        .enumerate()
        .map(|(at, token)| place.write(&format!("{at}.jws"), token))
        .collect();
    let joined = place.run(&["convert", "--format", "general", &files[0], &files[1]], b"");
    assert_eq!(joined.stdout, general.as_bytes());
    let compact = place.run(&["convert", "--format", "compact", &files[1]], b"").stdout;
    assert_eq!(place.run(&["verify", "--keys", "keys.json"], &compact).stdout, b"payload");
    assert_eq!(place.refusal(&["convert", "--format", "compact"], general.as_bytes()).1, "usage");
    let other = place.write("other.jws", made(&place, &["--key", "a"], b"another"));
    let args = ["convert", "--format", "general", &files[0], &other];
    assert_eq!(place.refusal(&args, b"").1, "usage");
    let looked = place.json(&["inspect"], general.as_bytes());
    assert_eq!(looked["serialization"], "general");
    assert_eq!(looked["signatures"][0]["protected"]["alg"], "ES256");
    assert_eq!(looked["signatures"][1]["signature_len"], 256);
    assert_eq!(looked["part_lens"]["payload"], 7);
    let text = String::from_utf8(place.run(&["inspect"], general.as_bytes()).stdout).expect("text");
    assert!(text.contains("signature 1 protected header \"alg\" = \"PS256\""), "{text}");
    assert!(!text.contains("payload\""), "{text}");
}

/// With 48 MiB of memory for its data, the program signs and verifies 64 MiB, and cannot hold 24.
#[test]
fn a_payload_larger_than_memory_is_signed_and_verified() {
    let place = signers();
    let large = fs::File::create(place.path("large")).expect("a file");
    large.set_len(64 * 1024 * 1024).expect("a sparse file");
    place.write("held", vec![0; 24 * 1024 * 1024 - 128 * 1024]);
    let limited = |args: &[&str]| {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "ulimit -d 49152 && exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_hsm-jose"),
        ]);
        command.args(args).envs(place.env()).current_dir(place.path("."));
        command.output().expect("sh")
    };
    for flags in [&["--detached"][..], &["--detached", "--unencoded"]] {
        let sign = [&["sign", "--key", "a"], flags, &["large"]].concat();
        let signed = limited(&sign);
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        place.write("large.jws", &signed.stdout);
        let verify =
            ["--json", "verify", "--keys", "keys.json", "--detached", "large", "large.jws"];
        let verified = limited(&verify);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let answer: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
        assert_eq!(answer["payload"], Value::Null);
        assert_eq!(answer["signatures"].as_array().expect("signatures").len(), 1);
        // Without --json, nothing of it goes through the program.
        assert!(limited(&verify[1..]).stdout.is_empty());
    }
    assert!(!limited(&["sign", "--key", "a", "held"]).status.success(), "the limit is none");
    // A MAC goes over it in the token, a part at a time.
    let configuration = place.configuration();
    place.configure(&configuration.replace("[policy]\n", "[policy]\nsymmetric = [\"HS256\"]\n"));
    place.json(&["key", "generate", "mac", "--alg", "HS256"], b"");
    for flags in [&["--detached"][..], &["--detached", "--unencoded"]] {
        let signed = limited(&[&["sign", "--key", "mac"], flags, &["large"]].concat());
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        place.write("mac.jws", &signed.stdout);
        let verified = limited(&["verify", "--key", "mac", "--detached", "large", "mac.jws"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        assert!(verified.stdout.is_empty());
    }
    // Beside a signature it would be read twice.
    let both = ["sign", "--key", "a", "--key", "mac", "--format", "general", "--detached", "large"];
    assert_eq!(place.refusal(&both, b"").0, 2);
    // One octet changed, far inside.
    use std::os::unix::fs::FileExt;
    let large = fs::OpenOptions::new().write(true).open(place.path("large")).expect("the file");
    large.write_all_at(b"x", 50_000_000).expect("a change");
    let verify = ["verify", "--keys", "keys.json", "--detached", "large", "large.jws"];
    assert_eq!(place.refusal(&verify, b"").1, "signature_invalid");
    let verify = ["verify", "--key", "mac", "--detached", "large", "mac.jws"];
    assert_eq!(place.refusal(&verify, b"").1, "signature_invalid");
}

/// RFC 8032 section 5.1.6: Ed25519 takes the payload whole, as far as one is taken at all.
#[test]
fn ed25519_holds_what_it_signs() {
    let place = Place::new();
    place.generate("ed", "EdDSA");
    let jwks = place.run(&["jwks"], b"").stdout;
    place.write("keys.json", jwks);
    place.write("payload", "payload");
    let token = made(&place, &["--key", "ed", "--detached"], b"payload");
    let verify = |payload| ["verify", "--keys", "keys.json", "--detached", payload];
    assert_eq!(place.run(&verify("payload"), token.as_bytes()).stdout, b"payload");
    let large = fs::File::create(place.path("large")).expect("a file");
    large.set_len(32 * 1024 * 1024).expect("a sparse file");
    let (status, code, message) = place.refusal(&verify("large"), token.as_bytes());
    assert_eq!((status, &*code), (2, "usage"), "{message}");
    assert!(message.contains("RFC 8032"), "{message}");
    let args = ["sign", "--key", "ed", "--detached", "large"];
    assert_eq!(place.refusal(&args, b"").0, 2);
    assert!(base64url::decode(token.split('.').next().expect("a header").as_bytes()).is_ok());
}

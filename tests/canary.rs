//! Nothing secret is said: markers in the PIN, the claims, the content and the content encryption key
//! are looked for in everything the program writes at its most talkative, when it succeeds and when it
//! fails, and in what other users can see of its process.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::jose::base64url;

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::{Parts, Place};

const CONTENT: &str = "canary-of-the-content-7f3a";
const CLAIM: &str = "canary-of-the-claims-c91d";

/// A secret in every form in which it might be said.
struct Secret {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    fn new(name: &'static str, bytes: &[u8]) -> Self {
        let hex = |digit: fn(&u8) -> String| bytes.iter().map(digit).collect::<String>();
        let list = |from: &[u8]| {
            from.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes()
        };
        // Base64 of the middle, at each of the three places it can have in a longer text.
        let shifted = (0..3).filter_map(|skip| {
            let middle = bytes.get(skip..)?;
            let text = base64url::encode(&middle[..middle.len() / 3 * 3]);
            (text.len() >= 8).then(|| text.into_bytes())
        });
        let mut forms = vec![
            bytes.to_vec(),
            hex(|byte| format!("{byte:02x}")).into_bytes(),
            hex(|byte| format!("{byte:02X}")).into_bytes(),
            list(bytes),
        ];
        forms.extend(shifted);
        Self { name, forms }
    }

    fn is_in(&self, said: &[u8]) -> bool {
        self.forms.iter().any(|form| said.windows(form.len()).any(|window| window == form))
    }
}

#[test]
fn a_secret_is_found_in_each_of_its_forms() {
    let secret = Secret::new("test", b"0123456789");
    for said in [
        b"..0123456789..".to_vec(),
        b"30313233343536373839".to_vec(),
        b"[48, 49, 50, 51, 52, 53, 54, 55, 56, 57]".to_vec(),
        base64url::encode(b"x0123456789").into_bytes(),
        base64url::encode(b"xx0123456789").into_bytes(),
    ] {
        assert!(secret.is_in(&said), "{}", String::from_utf8_lossy(&said));
    }
    assert!(!secret.is_in(b"012345678"));
}

#[test]
fn no_secret_is_written_to_any_log_or_message() {
    let place = Place::watched();
    let (enc, rsa) =
        (place.generate("enc", "ECDH-ES+A256KW"), place.generate("rsa", "RSA-OAEP-256"));
    place.generate("sig", "ES256");
    let jwks = place.write("jwks.json", place.run(&["jwks"], b"").stdout);
    let jwk = place.write("enc.jwk", serde_json::Value::Object(enc.to_members()).to_string());
    let context = |name: &str, audience: &str| {
        format!(
            "[context.{name}]\nnesting = \"jwe(jws)\"\ntyp = \"{name}+jwt\"\n\
             [context.{name}.seal]\nissuer = \"i\"\naudience = \"a\"\nsign = \"sig\"\n\
             encrypt = [\"ECDH-ES+A256KW\"]\ncontent = [\"A256GCM\"]\nlifetime = 300\n\
             [context.{name}.open]\naudience = \"{audience}\"\ntrust = \"jwks.json\"\n\
             issuers = [\"i\"]\ndecrypt = [\"enc\"]\n"
        )
    };
    let good = format!("{}{}", place.configuration(), context("t", "a") + &context("other", "b"));
    place.configure(&good);

    let mut tokens = Vec::new();
    for (jwk, alg) in [(&enc, KeyManagement::EcdhEsA256Kw), (&rsa, KeyManagement::RsaOaep256)] {
        tokens.push(Parts::sealed(jwk, alg, ContentEncryption::A256Gcm, CONTENT.as_bytes()));
    }
    let mut secrets = vec![
        Secret::new("the PIN", common::PIN.as_bytes()),
        Secret::new("the content", CONTENT.as_bytes()),
        Secret::new("the claims", CLAIM.as_bytes()),
    ];
    secrets.extend(tokens.iter().map(|token| Secret::new("a CEK", &token.cek)));
    let check = |what: &[&str], stdout: Option<&[u8]>, stderr: &[u8]| {
        for secret in &secrets {
            let said = String::from_utf8_lossy(stderr);
            assert!(!secret.is_in(stderr), "{what:?}: {} on stderr: {said}", secret.name);
            if let Some(stdout) = stdout {
                assert!(!secret.is_in(stdout), "{what:?}: {} on stdout", secret.name);
            }
        }
    };
    // What succeeds: the result is on stdout, by design, and nowhere else.
    let talk = |args: &[&str], stdin: &[u8], is_result: bool, is_good: bool| {
        let output = place.run(&[&["-vvv"], args].concat(), stdin);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_good, "{args:?}: {stderr}");
        check(args, (!is_result).then_some(&output.stdout), &output.stderr);
        output
    };
    let claims = format!("{{\"sub\":\"{CLAIM}\"}}");
    let seal = ["seal", "--context", "t", "--to", &jwk];
    let sealed = talk(&seal, claims.as_bytes(), false, true).stdout;
    // The claims are in a signed token for all to see, but not in a sealed one.
    let opened = talk(&["open", "--context", "t"], &sealed, true, true).stdout;
    assert!(String::from_utf8_lossy(&opened).contains(CLAIM));
    talk(&["open", "--context", "other"], &sealed, false, false);
    for token in &tokens {
        let decrypted = talk(&["decrypt"], token.compact().as_bytes(), true, true).stdout;
        assert_eq!(decrypted, CONTENT.as_bytes());
        talk(&["--json", "decrypt"], token.compact().as_bytes(), true, true);
        for bad in [
            token.with(|it| it.tag[0] ^= 1),
            token.with(|it| it.encrypted_key[0] ^= 1),
            token.with(|it| it.iv.clear()),
            token.with(|it| drop(it.header.insert("zip".into(), "DEF".into()))),
        ] {
            talk(&["decrypt"], bad.as_bytes(), false, false);
            talk(&["--json", "decrypt"], bad.as_bytes(), false, false);
        }
        talk(&["inspect"], token.compact().as_bytes(), false, true);
        // The wrong command for it.
        talk(&["verify", "--keys", &jwks], token.compact().as_bytes(), false, false);
        talk(&["open", "--context", "t"], token.compact().as_bytes(), false, false);
    }
    let jwe = talk(&["encrypt", "--to", &jwk], CONTENT.as_bytes(), false, true).stdout;
    talk(&["decrypt"], &jwe, true, true);
    let jws = talk(&["sign", "--key", "sig", "--detached"], CONTENT.as_bytes(), false, true).stdout;
    talk(&["verify", "--keys", &jwks], &jws, false, false);
    let jws = talk(&["sign", "--key", "sig"], CONTENT.as_bytes(), true, true).stdout;
    talk(&["verify", "--keys", &jwks], &jws, true, true);
    talk(&["inspect"], &jws, false, true);
    talk(&["key", "generate", "new", "--alg", "ES256"], b"", false, true);
    for claims in [
        format!("{{\"sub\":\"{CLAIM}\",\"sub\":1}}"),
        format!("{{\"exp\":\"{CLAIM}\"}}"),
        format!("{{\"iss\":\"{CLAIM}\"}}"),
        format!("{{\"aud\":\"{CLAIM}\"}}"),
        format!("{{\"sub\":[\"{CLAIM}\"]}}"),
        format!("{{\"{CLAIM}\""),
        format!("[\"{CLAIM}\"]"),
    ] {
        talk(&seal, claims.as_bytes(), false, false);
    }
    for args in [&["doctor"][..], &["key", "list"], &["key", "show", "enc"], &["config", "check"]] {
        let output = place.run(&[&["-vvv"], args].concat(), b"");
        check(args, Some(&output.stdout), &output.stderr);
    }
    // A device that fails, and one that is gone.
    let token = tokens[1].compact();
    for directive in [
        "fail C_Login CKR_PIN_INCORRECT",
        "fail C_Login CKR_GENERAL_ERROR",
        "fail C_DecryptInit CKR_DEVICE_ERROR",
        "fail C_Sign CKR_DEVICE_ERROR",
        "dies C_Decrypt 2",
        "dead",
    ] {
        place.faulty.set(&[directive]);
        talk(
            &["decrypt"],
            token.as_bytes(),
            directive.contains("C_Sign"),
            directive.contains("C_Sign"),
        );
        talk(&seal, claims.as_bytes(), false, directive.contains("C_Decrypt"));
    }
    place.faulty.set(&[]);
    // PINs that are in the wrong place.
    for pin in [
        format!("pin = \"{}\"", common::PIN),
        format!("pin = {{ value = \"{}\" }}", common::PIN),
        format!("pin = {{ env = \"{}\" }}", common::PIN),
        format!("pin = {{ file = \"pin\" }}\npassword = \"{}\"", common::PIN),
    ] {
        place.configure(&good.replace("pin = { file = \"pin\" }", &pin));
        talk(&["decrypt"], token.as_bytes(), false, false);
    }
    let uri = format!("token = \"pkcs11:token=main;pin-value={}\"", common::PIN);
    place.configure(&good.replace("token = \"main\"", &uri));
    talk(&["decrypt"], token.as_bytes(), false, false);
}

/// What other users see of a process: its arguments and, of the same user, its environment.
#[test]
fn the_process_shows_no_pin() {
    let place = Place::watched();
    let jwk = place.generate("rsa", "RSA-OAEP-256");
    let token =
        Parts::sealed(&jwk, KeyManagement::RsaOaep256, ContentEncryption::A256Gcm, b"x").compact();
    let token = place.write("token", token);
    place.faulty.set(&["latency C_Decrypt 400"]);
    let mut child =
        place.command(&["-vvv", "decrypt", &token]).stdout(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while !place.faulty.calls().iter().any(|call| call == "C_Decrypt") {
        assert!(since.elapsed() < Duration::from_secs(20), "no C_Decrypt");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Logged in, and in the middle of it.
    let pin = Secret::new("the PIN", common::PIN.as_bytes());
    for file in ["cmdline", "environ", "comm"] {
        let shown = fs::read(format!("/proc/{}/{file}", child.id())).expect("a process that runs");
        assert!(!shown.is_empty() && !pin.is_in(&shown), "{file}");
    }
    assert!(child.wait().expect("an end").success());
}

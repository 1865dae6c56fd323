//! Bad input to the program, on a token: each kind has its own clear message and its documented exit
//! status, says nothing on stdout, and harms nothing. And what every command promises.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::jose::base64url;

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::{Parts, Place};

const ALG: KeyManagement = KeyManagement::EcdhEsA256Kw;
const ENC: ContentEncryption = ContentEncryption::A256Gcm;

/// A context that seals with `sig` to `enc`, and opens what it has sealed.
const CONTEXT: &str = "[context.id_token]\nnesting = \"jwe(jws)\"\n[context.id_token.seal]\n\
     issuer = \"https://issuer.example\"\naudience = \"https://rp.example\"\nsign = \"sig\"\n\
     encrypt = [\"ECDH-ES+A256KW\"]\ncontent = [\"A256GCM\"]\nlifetime = 300\n\
     [context.id_token.open]\naudience = \"https://rp.example\"\ntrust = \"jwks.json\"\n\
     issuers = [\"https://issuer.example\"]\ndecrypt = [\"enc\"]\n";

/// A place with both keys and the context.
fn issuer(place: Place) -> Place {
    place.generate("enc", ALG.name());
    place.generate("sig", "ES256");
    let jwks = place.run(&["jwks"], b"").stdout;
    place.write("jwks.json", jwks);
    let set: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path("jwks.json")).expect("the set")).expect("JSON");
    let key = set["keys"].as_array().expect("keys").iter().find(|key| key["use"] == "enc");
    place.write("enc.jwk", key.expect("the encryption key").to_string());
    place.configure(&format!("{}{CONTEXT}", place.configuration()));
    place
}

fn sealed(place: &Place) -> String {
    let to = place.path("enc.jwk");
    let args = ["seal", "--context", "id_token", "--to", to.to_str().expect("UTF-8")];
    let token = place.run(&args, b"{\"sub\":\"somebody\"}");
    assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
    String::from_utf8(token.stdout).expect("a token").trim().to_owned()
}

#[test]
fn a_bad_token_is_refused_by_every_command_that_takes_one() {
    let place = issuer(Place::new());
    let token = sealed(&place);
    let parts: Vec<&str> = token.split('.').collect();
    let header = |json: &str| format!("{}.AA.AA.AA.AA", base64url::encode(json.as_bytes()));
    let deep = format!("{{\"alg\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let long_kid = format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","kid":"{}"}}"#, "k".repeat(65536));
    let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("white space", b" \n\t".to_vec()),
        ("random bytes", noise),
        ("not UTF-8", b"\xff\xfe\xfd.\x80.\xc0.\xaf.\xfe".to_vec()),
        ("NUL", b"\0\0\0\0".to_vec()),
        ("dots", b"....".to_vec()),
        ("a million dots", vec![b'.'; 1_000_000]),
        ("four dots too many", format!("{token}....").into_bytes()),
        ("four dots too many before", format!("....{token}").into_bytes()),
        ("BOM", [b"\xef\xbb\xbf", token.as_bytes()].concat()),
        ("CRLF inside", token.replace('.', ".\r\n").into_bytes()),
        ("a space inside", token.replace('.', " .").into_bytes()),
        ("padding", format!("{token}=").into_bytes()),
        ("plain base64", format!("{}+/", &token[..token.len() - 2]).into_bytes()),
        ("two tokens", format!("{token}\n{token}").into_bytes()),
        ("1 MB header", header(&format!(r#"{{"alg":"{}"}}"#, "x".repeat(1 << 20))).into_bytes()),
        ("deep header", header(&deep).into_bytes()),
        ("deep JSON", deep.clone().into_bytes()),
        ("deep array", "[".repeat(100_000).into_bytes()),
        ("long kid", header(&long_kid).into_bytes()),
        ("header is no object", header("[1]").into_bytes()),
        ("header is null", header("null").into_bytes()),
        ("header with a BOM", header("\u{feff}{\"alg\":\"ECDH-ES\"}").into_bytes()),
        ("duplicate member", header(r#"{"alg":"ECDH-ES","alg":"none"}"#).into_bytes()),
        ("no alg", header(r#"{"enc":"A256GCM"}"#).into_bytes()),
        ("only a header", parts[0].as_bytes().to_vec()),
    ];
    for args in [&["decrypt"][..], &["open", "--context", "id_token"], &["inspect"]] {
        for (what, bytes) in &cases {
            let (status, code, message) = place.refusal(args, bytes);
            assert_eq!((status, &*code), (3, "malformed"), "{args:?}: {what}: {message}");
            assert!(message.len() < 400 && message.is_ascii(), "{args:?}: {what}: {message}");
        }
    }
    let keys = place.path("jwks.json");
    let verify = ["verify", "--keys", keys.to_str().expect("UTF-8")];
    for (what, bytes) in &cases {
        let (status, code, message) = place.json_refusal(&verify, bytes);
        assert_eq!((status, &*code), (3, "malformed"), "verify: {what}: {message}");
    }
    // What surrounds a token is not part of it.
    assert!(place.run(&["decrypt"], format!("\r\n {token}\r\n").as_bytes()).status.success());
    assert!(place.run(&["open", "--context", "id_token"], token.as_bytes()).status.success());
}

#[test]
fn a_token_that_was_cut_anywhere_is_refused() {
    let place = issuer(Place::new());
    let jwk = fs::read(place.path("enc.jwk")).expect("the key");
    let jwk = hsm_jose::jose::jwk::PublicJwk::parse(&jwk).expect("a JWK");
    let token = Parts::sealed(&jwk, ALG, ENC, b"x").compact();
    // In-process for every length: the same parser, and nothing of it reaches a device.
    let rules = hsm_jose::policy::Policy::of(hsm_jose::policy::Profile::All).jwe;
    let parses =
        |length: usize| hsm_jose::jwe::JweToken::parse(&token.as_bytes()[..length], &rules).is_ok();
    let last_dot = token.rfind('.').expect("dots");
    for length in 0..token.len() {
        assert!(length > last_dot || !parses(length), "{length}");
    }
    // Through the program: all that parse, and a sample of those that do not.
    for length in (0..token.len()).filter(|length| *length > last_dot || length % 37 == 0) {
        let (status, code, _) = place.json_refusal(&["decrypt"], &token.as_bytes()[..length]);
        assert_eq!(status, 3, "{length}");
        assert!(["malformed", "decryption_failed"].contains(&&*code), "{length}: {code}");
    }
    assert!(place.run(&["decrypt"], token.as_bytes()).status.success());
}

/// The longest token is refused before it is held: in bounded memory and time.
#[test]
fn a_token_of_100_mb_costs_little() {
    let place = issuer(Place::new());
    let path = place.path("huge");
    let file = fs::File::create(&path).expect("a file");
    file.set_len(100 << 20).expect("a length");
    drop(file);
    let shown = path.to_str().expect("UTF-8");
    // As a file, and as a stream that does not end.
    let program = env!("CARGO_BIN_EXE_hsm-jose");
    for input in [format!("{program} decrypt {shown}"), format!("{program} decrypt < /dev/zero")] {
        let since = Instant::now();
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit -v 400000; exec {input}")])
            .envs(place.env())
            .output()
            .expect("sh");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{input}: {stderr}");
        assert!(stderr.contains("malformed token") && stderr.contains("bytes"), "{stderr}");
        assert!(output.stdout.is_empty());
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    }
}

#[test]
fn a_kid_is_only_a_name() {
    let place = issuer(Place::watched());
    let jwk = fs::read(place.path("enc.jwk")).expect("the key");
    let jwk = hsm_jose::jose::jwk::PublicJwk::parse(&jwk).expect("a JWK");
    let parts = Parts::sealed(&jwk, ALG, ENC, b"x");
    let before = fs::read_dir(place.path(".")).expect("the place").count();
    for kid in [
        "../../etc/passwd",
        "/etc/passwd",
        "pkcs11:object=enc",
        "enc",
        "' OR 1=1 --",
        "%00%n%s{}",
        "\u{202e}gpj",
        "",
    ] {
        let token = parts.with(|it| drop(it.header.insert("kid".into(), kid.into())));
        place.faulty.forget();
        let (status, code, message) = place.refusal(&["decrypt"], token.as_bytes());
        assert_eq!((status, &*code), (4, "key_not_found"), "{kid}: {message}");
        assert_eq!(place.faulty.calls(), Vec::<String>::new(), "{kid}");
        assert!(!message.contains('\u{202e}'), "{message:?} is shown as it came");
    }
    for kid in ["a\u{0}b", "a\nerror: all is well", "\u{1b}[2J", "\u{9b}2J", &"k".repeat(300)] {
        let token = parts.with(|it| drop(it.header.insert("kid".into(), kid.into())));
        let (status, code, message) = place.refusal(&["decrypt"], token.as_bytes());
        assert_eq!((status, &*code), (3, "malformed"), "{kid:?}: {message}");
    }
    assert_eq!(fs::read_dir(place.path(".")).expect("the place").count(), before);
}

#[test]
fn claims_that_are_not_claims_are_refused() {
    let place = issuer(Place::watched());
    let to = place.path("enc.jwk");
    let args = ["seal", "--context", "id_token", "--to", to.to_str().expect("UTF-8")];
    place.faulty.forget();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for claims in [
        &b""[..],
        b"[]",
        b"null",
        b"\"sub\"",
        b"{\"sub\":\"a\",\"sub\":\"b\"}",
        b"{\"a\":{\"b\":1,\"b\":2}}",
        b"{\"sub\":\"a\"} x",
        b"{\"sub\":\"\xff\"}",
        b"\xef\xbb\xbf{}",
        b"{\"sub\":",
        deep.as_bytes(),
    ] {
        let (status, code, message) = place.refusal(&args, claims);
        assert_eq!((status, &*code), (3, "malformed"), "{message}");
        assert!(message.contains("claims"), "{message}");
    }
    assert_eq!(place.faulty.calls(), Vec::<String>::new(), "no device was asked");
    for claims in [
        &br#"{"iss":"https://another.example"}"#[..],
        br#"{"aud":"https://another.example"}"#,
        br#"{"exp":1}"#,
        br#"{"exp":"tomorrow"}"#,
        br#"{"iat":99999999999}"#,
    ] {
        let (status, code, message) = place.refusal(&args, claims);
        assert_eq!((status, &*code), (3, "claim"), "{message}");
    }
    assert!(!place.faulty.calls().iter().any(|call| call.starts_with("C_Sign")), "nothing signed");
}

#[test]
fn a_pin_that_is_not_to_be_had_or_wrong_is_said_once() {
    let place = issuer(Place::watched());
    let token = sealed(&place);
    let logins = || place.faulty.calls().iter().filter(|call| *call == "C_Login").count();
    let pin = place.path("pin");
    let refused = |says: &str, code: &str| {
        place.faulty.forget();
        for args in [&["decrypt"][..], &["sign", "--key", "sig"]] {
            let (status, found, message) = place.json_refusal(args, token.as_bytes());
            assert_eq!((status, &*found), (5, code), "{message}");
            assert!(message.contains(says), "{message}");
            assert!(!message.contains(common::PIN), "{message}");
        }
    };
    fs::rename(&pin, place.path("away")).expect("renamed");
    refused("No such file", "pin_unavailable");
    assert_eq!(logins(), 0);
    common::write_pin(&pin, common::PIN, 0o644);
    refused("chmod 600", "pin_unavailable");
    common::write_pin(&pin, common::PIN, 0o640);
    refused("chmod 600", "pin_unavailable");
    common::write_pin(&pin, "", 0o600);
    refused("is empty", "pin_unavailable");
    assert_eq!(logins(), 0);
    for wrong in ["0000", "12:34", "12:34 56 ", "\"12:34 56\"", &"9".repeat(300)] {
        common::write_pin(&pin, wrong, 0o600);
        refused("PIN", "pin_refused");
        assert_eq!(logins(), 2, "one attempt for each of two commands: {wrong:?}");
    }
    // `doctor` has two reasons to ask, and asks once.
    place.faulty.forget();
    let report = place.run(&["doctor"], b"");
    assert_eq!(report.status.code(), Some(7));
    assert_eq!(logins(), 1);
    common::write_pin(&pin, common::PIN, 0o600);
    assert!(
        place.run(&["decrypt"], token.as_bytes()).status.success(),
        "the right one still works"
    );
}

#[test]
fn a_token_or_module_that_is_not_there_is_named() {
    let place = issuer(Place::new());
    let sealed = sealed(&place);
    let good = place.configuration();
    place.make_token("twin");
    place.make_token("twin");
    let text = place.write("text.so", "not a library");
    let directory = place.path("tokens").to_str().expect("UTF-8").to_owned();
    let module = common::softhsm_module().to_str().expect("UTF-8").to_owned();
    let quoted = |value: &str| format!("{value:?}");
    let cases = [
        (quoted("main"), quoted("absent"), 6, "device_unavailable", "\"main\""),
        (quoted("main"), quoted("MAIN"), 6, "device_unavailable", "\"main\""),
        (quoted("main"), quoted("twin"), 2, "config", "serial"),
        (quoted("main"), quoted("pkcs11:object=x"), 2, "config", "token"),
        (quoted("main"), quoted("pkcs11:serial=0"), 6, "device_unavailable", "not there"),
        (quoted(&module), quoted("/nonexistent.so"), 2, "config", "/nonexistent.so"),
        (quoted(&module), quoted(&text), 2, "config", "not a PKCS#11 module"),
        (quoted(&module), quoted(&directory), 2, "config", "not a PKCS#11 module"),
        (quoted(&module), quoted("libm.so.6"), 2, "config", "libm.so.6"),
    ];
    for (from, to, status, code, says) in cases {
        place.configure(&good.replace(&from, &to));
        let (found, name, message) = place.refusal(&["decrypt"], sealed.as_bytes());
        assert_eq!((found, &*name), (status, code), "{to}: {message}");
        assert!(message.contains(says), "{to}: {message}");
    }
    place.configure(&good);
    assert!(place.run(&["decrypt"], sealed.as_bytes()).status.success());
}

#[test]
fn a_keyring_that_cannot_be_read_is_left_alone() {
    let place = issuer(Place::new());
    let token = sealed(&place);
    let good = fs::read_to_string(place.path("keyring.json")).expect("the keyring");
    let newer = good.replacen("\"schema\": 1", "\"schema\": 2", 1);
    assert_ne!(newer, good);
    let twice = good.replacen("\"schema\": 1", "\"schema\": 1, \"schema\": 1", 1);
    let cases = [
        ("newer", newer.as_str(), "schema 2"),
        ("truncated", &good[..good.len() / 2], "keyring"),
        ("empty", "", "keyring"),
        ("not JSON", "keys", "keyring"),
        ("an array", "[]", "keyring"),
        ("duplicate members", &twice, "duplicate"),
        ("another object", "{\"schema\":1}", "keyring"),
        ("an unknown member", &good.replacen("\"schema\"", "\"x\": 1, \"schema\"", 1), "keyring"),
    ];
    for (what, text, says) in cases {
        place.write("keyring.json", text);
        for args in [
            &["decrypt"][..],
            &["key", "list"],
            &["key", "generate", "more", "--alg", "ES256"],
            &["key", "destroy", "enc", "--confirm", "x"],
            &["jwks"],
            &["doctor"],
        ] {
            let (status, code, message) = place.json_refusal(args, token.as_bytes());
            assert_eq!((status, &*code), (2, "config"), "{what}: {args:?}: {message}");
            assert!(message.contains(says), "{what}: {args:?}: {message}");
        }
        let after = fs::read_to_string(place.path("keyring.json")).expect("the keyring");
        assert_eq!(after, text, "{what}: nothing was written");
    }
    place.write("keyring.json", &good);
    assert!(place.run(&["decrypt"], token.as_bytes()).status.success());
    assert_eq!(place.json(&["key", "list"], b"")["keys"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_configuration_error_has_its_place() {
    let place = Place::new();
    let good = place.configuration();
    let cases = [
        ("", "schema"),
        ("schema = 2\n", "schema"),
        ("schema = ", ":1:"),
        (&good.replace("[policy]", "[polcy]"), "polcy"),
        (&good.replace("sessions = 8", "sessions = \"many\""), ":8:"),
        (&good.replace("sessions = 8", "sessions = 0"), "sessions"),
        (&good.replace("pin = { file = \"pin\" }", "pin = \"1234\""), "pin"),
        (&good.replace("{ file = \"pin\" }", "{ file = \"pin\", fd = 3 }"), "pin"),
        (&good.replace("\"pkcs11\"", "\"usb\""), "type"),
        (&good.replace("\"all\"", "\"everything\""), "everything"),
        (&good.replace("\"test\"", "\"prod\""), "prod"),
        (&good.replace("\"all\"", "\"all\"\njwe_alg = []"), "empty"),
        (&good.replace("\"all\"", "\"all\"\njwe_alg = [\"RSA1_5\"]"), "RSA1_5"),
        (&format!("{good}{}", CONTEXT.replace("lifetime = 300\n", "")), "lifetime"),
        (&format!("{good}{good}"), "duplicate"),
    ];
    for (text, says) in cases {
        place.configure(text);
        let (status, code, message) = place.refusal(&["policy", "explain"], b"");
        assert_eq!((status, &*code), (2, "config"), "{says}: {message}");
        assert!(message.contains(says), "{says}: {message}");
        assert!(!message.contains("1234"), "{message}");
    }
    place.write("hsm-jose.toml", b"schema = 1 # \xff\n");
    assert_eq!(place.refusal(&["key", "list"], b"").1, "config");
    fs::remove_file(place.path("hsm-jose.toml")).expect("removed");
    let (status, code, message) = place.refusal(&["key", "list"], b"");
    assert_eq!((status, &*code), (2, "config"), "{message}");
}

#[test]
fn production_refuses_what_has_no_custody() {
    let place = issuer(Place::watched());
    let token = sealed(&place);
    let good = place.configuration();
    let pem = Command::new("openssl").args(["ecparam", "-name", "prime256v1", "-genkey"]).output();
    let pem = place.write("key.pem", pem.expect("openssl").stdout);
    place.json(&["key", "import", "in", "--alg", "ES256", "--from", &pem], b"");
    let args = ["key", "import", "in2", "--alg", "ES384", "--from"];
    let pem2 = Command::new("openssl").args(["ecparam", "-name", "secp384r1", "-genkey"]).output();
    let pem2 = place.write("key2.pem", pem2.expect("openssl").stdout);
    place.json(&[&args[..], &[&*pem2, "--waiver", "migrated, ticket 7"]].concat(), b"");
    let production = good
        .replace("\"test\"", "\"production\"")
        .replace("profile = \"all\"", "profile = \"strict\"");
    place.configure(&production);
    for args in [&["decrypt"][..], &["sign", "--key", "sig"], &["open", "--context", "id_token"]] {
        let (status, code, message) = place.refusal(args, token.as_bytes());
        assert_eq!((status, &*code), (2, "config"), "{args:?}: {message}");
        assert!(message.contains("software token"), "{args:?}: {message}");
    }
    // The same token, which now says that it is hardware.
    place.faulty.set(&["manufacturer Example Devices", "model HSM 1"]);
    assert!(place.run(&["decrypt"], token.as_bytes()).status.success());
    let (status, code, message) = place.refusal(&["sign", "--key", "in"], b"x");
    assert_eq!((status, &*code), (3, "policy"), "{message}");
    assert!(message.contains("--waiver"), "{message}");
    // By its provenance it may serve; ES384 is refused by the profile, which comes first.
    let (_, _, message) = place.refusal(&["sign", "--key", "in2"], b"x");
    assert!(!message.contains("waiver"), "{message}");
    place.faulty.set(&[]);
    let memory = "schema = 1\nenvironment = \"production\"\n[keystore.m]\ntype = \"memory\"\n";
    place.configure(memory);
    let (status, code, message) =
        place.refusal(&["key", "generate", "x", "--alg", "ES256", "--keystore", "m"], b"");
    assert_eq!((status, &*code), (2, "config"), "{message}");
    place.configure(&production.replace("{ file = \"pin\" }", "{ env = \"HSM_PIN\" }"));
    let (status, code, message) = place.refusal(&["decrypt"], token.as_bytes());
    assert_eq!((status, &*code), (2, "config"), "{message}");
    place.configure(&production.replace("\"strict\"", "\"all\""));
    let (status, code, message) = place.refusal(&["decrypt"], token.as_bytes());
    assert_eq!((status, &*code), (2, "config"), "{message}");
}

const COMMANDS: [&[&str]; 23] = [
    &["key", "generate"],
    &["key", "adopt"],
    &["key", "import"],
    &["key", "list"],
    &["key", "show"],
    &["key", "destroy"],
    &["jwks"],
    &["jwk", "check"],
    &["jwk", "convert"],
    &["jwk", "thumbprint"],
    &["encrypt"],
    &["decrypt"],
    &["sign"],
    &["verify"],
    &["seal"],
    &["open"],
    &["inspect"],
    &["convert"],
    &["doctor"],
    &["bench"],
    &["config", "check"],
    &["policy", "explain"],
    &[],
];

#[test]
fn the_help_of_every_command_has_an_example() {
    let place = Place::new();
    for command in COMMANDS {
        let output = place.run(&[command, &["--help"]].concat(), b"");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && output.stderr.is_empty(), "{command:?}");
        let example = text.lines().skip_while(|line| !line.starts_with("Example")).nth(1);
        let example = example.unwrap_or_else(|| panic!("{command:?}: {text}")).trim();
        let is_of_it = example.starts_with("hsm-jose ") && example.contains(&command.join(" "));
        assert!(is_of_it, "{command:?}: {example}");
    }
}

#[test]
fn every_command_answers_in_json() {
    let place = issuer(Place::new());
    let token = sealed(&place);
    let path = |name: &str| place.path(name).to_str().expect("UTF-8").to_owned();
    let (jwk, jwks) = (path("enc.jwk"), path("jwks.json"));
    let jws = place.json(&["sign", "--key", "sig"], b"payload")["jws"].to_string();
    let jws = jws.trim_matches('"');
    let jwe = place.json(&["encrypt", "--to", &jwk], b"text")["jwe"].to_string();
    let jwe = jwe.trim_matches('"');
    let cases: [(&[&str], &[u8], &str); 17] = [
        (&["key", "list"], b"", "keys"),
        (&["key", "show", "sig"], b"", "key"),
        (&["key", "generate", "sig", "--alg", "ES256", "--if-absent"], b"", "jwk"),
        (&["key", "generate", "new", "--alg", "ES256", "--dry-run"], b"", "outcome"),
        (&["jwks"], b"", "keys"),
        (&["jwk", "check", &jwks], b"", "findings"),
        (&["jwk", "convert", &jwk, "--format", "pem"], b"", "pem"),
        (&["jwk", "thumbprint", &jwk], b"", "thumbprints"),
        (&["decrypt"], jwe.as_bytes(), "plaintext"),
        (&["verify", "--keys", &jwks], jws.as_bytes(), "payload"),
        (&["seal", "--context", "id_token", "--to", &jwk], b"{}", "token"),
        (&["open", "--context", "id_token"], token.as_bytes(), "claims"),
        (&["inspect"], token.as_bytes(), "header"),
        (&["convert", "--format", "general"], token.as_bytes(), "tokens"),
        (&["config", "check"], b"", "good"),
        (&["policy", "explain"], b"", "rules"),
        (&["policy", "explain", "--context", "id_token"], b"", "rules"),
    ];
    for (args, stdin, member) in cases {
        let answer = place.json(args, stdin);
        assert!(!answer[member].is_null(), "{args:?}: {answer}");
    }
    let doctor = place.run(&["--json", "doctor"], b"");
    let answer: serde_json::Value = serde_json::from_slice(&doctor.stdout).expect("one object");
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["content"][0], serde_json::json!({ "enc": "A128GCM", "host": "AES in GCM" }));
    let refused = answer["refused"].as_array().expect("what is refused");
    assert!(refused.iter().any(|it| it["name"] == "RSA1_5" && it["on_purpose"] == true));
    assert!(matches!(doctor.status.code(), Some(0 | 7)));
    // Usage errors, too, wherever --json stands.
    for args in [&["--json", "decrypt", "--nonsense"][..], &["frobnicate", "--json"], &["--json"]] {
        let output = place.run(args, b"");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stderr)
            .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(answer["error"]["code"], "usage", "{args:?}");
    }
}

/// RFC 8259 section 6: a number has as many digits as its writer gave it, and they were signed.
#[test]
fn claims_are_sealed_and_opened_as_they_are() {
    let place = issuer(Place::new());
    let own = "\"n\": [12345678901234567890123,\r\n-0, 1E-400],\n \"text\":\"a\\nb\"\n}";
    let to = place.path("enc.jwk");
    let args = ["seal", "--context", "id_token", "--to", to.to_str().expect("UTF-8")];
    let token = place.run(&args, format!("{{{own}\n").as_bytes()).stdout;
    let open = ["open", "--context", "id_token"];
    let opened = String::from_utf8(place.run(&open, &token).stdout).expect("UTF-8");
    assert!(opened.ends_with(&format!("{own}\n")), "{opened}");
    let args = [&["--json"][..], &open].concat();
    let line = String::from_utf8(place.run(&args, &token).stdout).expect("UTF-8");
    let shown = own.replace(['\r', '\n'], " ");
    assert!(line.contains(&shown) && line.trim_end().lines().count() == 1, "{line}");
    assert_eq!(place.json(&open, &token)["claims"]["text"], "a\nb");
}

#[test]
fn a_reader_that_goes_away_is_a_clean_end_and_a_full_disk_is_not() {
    let place = issuer(Place::new());
    let jwk = place.path("enc.jwk");
    let args = ["encrypt", "--to", jwk.to_str().expect("UTF-8")];
    let token = place.run(&args, &vec![b'x'; 1 << 20]).stdout;
    let token = place.write("large.jwe", token);
    let mut child = place.command(&["decrypt", &token]).spawn().expect("the program");
    let mut some = [0; 16];
    child.stdout.take().expect("a pipe").read_exact(&mut some).expect("the start of the content");
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("error"));

    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = place.command(&["decrypt", &token]);
    let output = command.stdout(Stdio::from(full)).output().expect("an end");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout"));

    // Nobody reads what it says on stderr.
    let mut child = place.command(&["decrypt"]).stdin(Stdio::piped()).spawn().expect("the program");
    drop(child.stderr.take());
    child.stdin.take().expect("a pipe").write_all(b"nonsense").expect("written");
    assert_eq!(child.wait().expect("an end").code(), Some(3));
}

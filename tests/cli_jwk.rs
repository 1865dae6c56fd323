//! Key files on the command line: `jwk check`, `convert` and `thumbprint`, and PEM, DER and certificates
//! wherever another command reads keys.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::fs;
use std::process::{Command, Output, Stdio};

use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
use hsm_jose::jose::spki;
use rcgen::{KeyUsagePurpose, PublicKeyData, SignatureAlgorithm, date_time_ymd};
use serde_json::{Value, json};

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/pki.rs"]
mod pki;
#[path = "common/place.rs"]
mod place;

use place::Place;

/// A time at which the certificates of these tests are valid.
const IN_2026: &str = "2026-06-01T00:00:00Z";

/// Runs a `jwk` command where there is no configuration and no device.
fn jwk(args: &[&str], stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hsm-jose"));
    let directory = tempfile::tempdir().expect("a directory");
    let input = directory.path().join("input");
    fs::write(&input, stdin).expect("written");
    command.arg("jwk").args(args).current_dir(directory.path());
    command.env_clear().stdin(fs::File::open(&input).expect("opened"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("the program")
}

fn good(args: &[&str], stdin: &[u8]) -> Vec<u8> {
    let output = jwk(args, stdin);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(args: &[&str], stdin: &[u8]) -> String {
    String::from_utf8(good(args, stdin)).expect("UTF-8")
}

/// What `jwk check --json` answers: exit status and the one object.
fn checked(args: &[&str], stdin: &[u8]) -> (Option<i32>, Value) {
    let args = [&["--json", "check"], args].concat();
    let output = jwk(&args, stdin);
    let answer = serde_json::from_slice(&output.stdout).expect("one object");
    (output.status.code(), answer)
}

fn set() -> Value {
    let all: Value = serde_json::from_slice(include_bytes!("data/rfc/public-keys.json")).unwrap();
    all["rfc7517-a1"].clone()
}

#[test]
fn forms_go_into_each_other() {
    let json = set().to_string();
    let pem = text(&["convert", "--format", "pem"], json.as_bytes());
    assert_eq!(pem.matches("BEGIN PUBLIC KEY").count(), 2);
    let keys = |bytes: &[u8]| -> Vec<_> {
        let set = JwkSet::from_any(bytes).expect("keys");
        set.keys.into_iter().map(|jwk| jwk.key).collect()
    };
    let back = good(&["convert"], pem.as_bytes());
    assert_eq!(keys(&back), keys(json.as_bytes()));
    let der = good(&["convert", "--format", "der", "--kid", "1"], json.as_bytes());
    assert_eq!(keys(&der), keys(json.as_bytes())[..1]);
    let one: Value =
        serde_json::from_slice(&good(&["convert", "--kid", "1"], json.as_bytes())).unwrap();
    assert_eq!(one, set()["keys"][0]);

    let several = jwk(&["convert", "--format", "der"], json.as_bytes());
    assert_eq!((several.status.code(), &several.stdout[..]), (Some(2), &b""[..]));
    let unknown = jwk(&["convert", "--kid", "2"], json.as_bytes());
    assert_eq!((unknown.status.code(), &unknown.stdout[..]), (Some(4), &b""[..]));
    let private = br#"{"kty":"oct","k":"AQ"}"#;
    for command in [&["convert"][..], &["thumbprint"]] {
        let output = jwk(command, private);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]));
    }
}

#[test]
fn thumbprints_are_a_line_each() {
    let json = set().to_string();
    let lines = text(&["thumbprint"], json.as_bytes());
    assert_eq!(lines.lines().nth(1), Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
    let uris = text(&["thumbprint", "--uri"], json.as_bytes());
    let uri =
        "urn:ietf:params:oauth:jwk-thumbprint:sha-256:NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    assert_eq!(uris.lines().nth(1), Some(uri));
    let long = text(&["thumbprint", "--hash", "sha-512"], json.as_bytes());
    assert!(long.lines().all(|line| line.len() == 86));
    assert_eq!(jwk(&["thumbprint", "--hash", "sha-1"], json.as_bytes()).status.code(), Some(2));
}

/// RFC 8725 section 3.4: nothing passes on a point that is on no curve.
#[test]
fn a_point_off_its_curve_is_written_in_no_form() {
    let mut key = set()["keys"][0].clone();
    let other = hsm_jose::jose::base64url::encode(&[1; 32]);
    key["x"] = other.into();
    let key = key.to_string();
    for args in [&["convert", "--format", "pem"][..], &["convert"], &["thumbprint"]] {
        let output = jwk(args, key.as_bytes());
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{args:?}");
    }
}

#[test]
fn a_check_says_all_and_tells_it_by_the_exit_status() {
    let (status, answer) = checked(&[], set().to_string().as_bytes());
    assert_eq!((status, &answer["ok"]), (Some(0), &json!(true)), "{answer}");
    assert_eq!(answer["keys"][1]["alg"], "RS256");

    let mut wrong = set();
    wrong["keys"][1]["kid"] = "1".into();
    wrong["keys"][1]["use"] = "enc".into();
    wrong["keys"][1]["d"] = "AQ".into();
    let (status, answer) = checked(&[], wrong.to_string().as_bytes());
    assert_eq!((status, &answer["ok"]), (Some(7), &json!(false)));
    let members: Vec<_> =
        answer["findings"].as_array().unwrap().iter().map(|one| one["member"].clone()).collect();
    assert_eq!(members, ["d", "alg", "kid"]);
    let output = jwk(&["check"], wrong.to_string().as_bytes());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(said.contains("fault  keys[1].alg: \"RS256\" is not for use \"enc\""), "{said}");

    // A remark is no fault.
    let mut odd = set();
    odd["keys"][1]["alg"] = "RSA1_5".into();
    let (status, answer) = checked(&[], odd.to_string().as_bytes());
    assert_eq!((status, &answer["findings"][0]["severity"]), (Some(0), &json!("remark")));
    for nonsense in [&b""[..], b"nonsense", b"0\x82\xff\xff", b"-----BEGIN PUBLIC KEY-----"] {
        assert_eq!(checked(&[], nonsense).0, Some(7));
    }
    assert_eq!(jwk(&["check", "no-such-file"], b"").status.code(), Some(2));
}

#[test]
fn a_certificate_is_checked_to_the_anchors_that_are_given() {
    let place = tempfile::tempdir().expect("a directory");
    let write = |name: &str, content: &str| {
        let path = place.path().join(name);
        fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (root, other) = (pki::Authority::root("root"), pki::Authority::root("other"));
    let leaf = root.certify(&pki::key(), &|params| params.not_after = date_time_ymd(2026, 9, 1));
    let pem = |ders: &[&[u8]]| pki::chain(ders).to_pem().expect("PEM");
    let leaf = write("leaf.pem", &pem(&[&leaf]));
    let both = write("both.pem", &format!("{}{}", pem(&[&other.der]), pem(&[&root.der])));
    let other = write("other.pem", &pem(&[&other.der]));

    let at = ["--at", IN_2026];
    let check = |args: &[&str]| checked(&[&[leaf.as_str()], args].concat(), b"");
    assert_eq!(check(&at).0, Some(0));
    let (status, answer) = check(&[&at[..], &["--anchors", &both]].concat());
    assert_eq!(status, Some(0), "{answer}");
    assert_eq!(answer["keys"][0]["certificate"]["subject"], "CN=leaf");
    let (status, answer) = check(&[&at[..], &["--anchors", &other]].concat());
    assert_eq!((status, &answer["findings"][0]["member"]), (Some(7), &json!("x5c")));
    let usage = ["--usage", "1.3.6.1.5.5.7.3.36"];
    assert_eq!(check(&[&at[..], &["--anchors", &both], &usage].concat()).0, Some(7));
    assert_eq!(check(&["--at", "2026-10-01T00:00:00Z", "--anchors", &both]).0, Some(7));
    let no_x5c = checked(&["--anchors", &both], set().to_string().as_bytes());
    assert_eq!(no_x5c.0, Some(7));
    assert_eq!(jwk(&["check", &leaf, "--anchors", "no-such-file"], b"").status.code(), Some(2));
    assert_eq!(jwk(&["check", &leaf, "--anchors", &leaf], b"").status.code(), Some(2));

    // A JWK with x5c, and the certificates out of it.
    let made = text(&["convert", &leaf], b"");
    let value: Value = serde_json::from_str(&made).expect("a JWK");
    assert_eq!(value["use"], "sig");
    assert!(value["x5c"].is_array() && value["x5t#S256"].is_string());
    let out = text(&["convert", "--format", "certificates"], made.as_bytes());
    assert_eq!(out, fs::read_to_string(&leaf).unwrap());
    let none =
        jwk(&["convert", "--format", "certificates", "--kid", "1"], set().to_string().as_bytes());
    assert_eq!(none.status.code(), Some(2));
}

/// The public half of a key in a token, for a certificate of it.
struct InToken {
    point: Vec<u8>,
}

impl PublicKeyData for InToken {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

#[test]
fn every_command_that_reads_keys_takes_pem_der_and_certificates() {
    let place = Place::new();
    let (enc, sig) = (place.generate("enc", "ECDH-ES+A256KW"), place.generate("sig", "ES256"));
    let root = pki::Authority::root("root");
    let files = |name: &str, jwk: &PublicJwk, usage: KeyUsagePurpose| -> Vec<String> {
        let der = spki::to_der(&jwk.key).expect("DER");
        // The point is the end of the SubjectPublicKeyInfo.
        let subject = InToken { point: der[der.len() - 65..].to_vec() };
        let leaf = root.certify(&subject, &|params| params.key_usages = vec![usage]);
        let chain = pki::chain(&[&leaf, &root.der]).to_pem().expect("PEM");
        vec![
            place.write(&format!("{name}.pem"), spki::to_pem(&jwk.key).expect("PEM")),
            place.write(&format!("{name}.der"), &der),
            place.write(&format!("{name}.crt.pem"), chain),
            place.write(&format!("{name}.crt"), leaf),
        ]
    };
    let enc_files = files("enc", &enc, KeyUsagePurpose::KeyAgreement);
    let sig_files = files("sig", &sig, KeyUsagePurpose::DigitalSignature);
    let jws = place.run(&["sign", "--key", "sig"], b"payload").stdout;
    for (enc, sig) in enc_files.iter().zip(&sig_files) {
        let jwe = place.run(&["encrypt", "--to", enc], b"plaintext").stdout;
        assert_eq!(place.run(&["decrypt", "--key", "enc"], &jwe).stdout, b"plaintext", "{enc}");
        assert_eq!(place.run(&["verify", "--keys", sig], &jws).stdout, b"payload", "{sig}");
    }
    // Published with their certificates.
    let chains = ["jwks", "--chain", &enc_files[2], "--chain", &sig_files[2]];
    let published = place.json(&chains, b"");
    for key in published["keys"].as_array().expect("keys") {
        assert_eq!(key["x5c"].as_array().map(Vec::len), Some(2), "{key}");
        assert!(key["kid"].is_string() && key["x5t#S256"].is_string(), "{key}");
    }
    let foreign = pki::chain(&[&root.certify(&pki::key(), &|_| {})]).to_pem().expect("PEM");
    let foreign = place.write("foreign.pem", foreign);
    let (status, _, message) = place.refusal(&["jwks", "--chain", &foreign], b"");
    assert_eq!(status, 2, "{message}");
    assert!(message.contains("no published key"), "{message}");
    // Key usage becomes use: no encryption to a certificate for signatures, and the reverse.
    let (status, code, message) = place.refusal(&["encrypt", "--to", &sig_files[2]], b"plaintext");
    assert_eq!((status, &*code), (3, "policy"), "{message}");
    let (status, _, message) = place.refusal(&["verify", "--keys", &enc_files[2]], &jws);
    assert!(matches!(status, 3 | 4), "{message}");

    let configuration = place.configuration();
    for (enc, sig) in enc_files.iter().zip(&sig_files) {
        place.configure(&format!(
            "{configuration}[context.id_token]\nnesting = \"jwe(jws)\"\n[context.id_token.seal]\n\
             issuer = \"https://issuer.example\"\naudience = \"https://rp.example\"\nsign = \"sig\"\n\
             encrypt = [\"ECDH-ES+A256KW\"]\ncontent = [\"A256GCM\"]\nlifetime = 300\n\
             [context.id_token.open]\naudience = \"https://rp.example\"\ntrust = \"{sig}\"\n\
             issuers = [\"https://issuer.example\"]\ndecrypt = [\"enc\"]\n"
        ));
        let check = place.run(&["config", "check"], b"");
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        let token = place.run(&["seal", "--context", "id_token", "--to", enc], b"{\"sub\":\"a\"}");
        let claims = place.json(&["open", "--context", "id_token"], &token.stdout);
        assert_eq!(claims["claims"]["sub"], "a", "{enc} {sig}");
    }
    let show = place.json(&["key", "show", "sig"], b"");
    let object = show["key"]["versions"][0]["locator"].as_str().expect("a locator").to_owned();
    for (number, sig) in sig_files.iter().enumerate() {
        // A keyring of its own for each.
        place.configure(&format!("{configuration}[keyring]\nfile = \"again{number}.json\"\n"));
        let name = format!("again{number}");
        let args = ["key", "adopt", &name, "--object", &object, "--alg", "ES256", "--public", sig];
        let public = PublicJwk::from_any(&fs::read(sig).expect("read")).expect("a key");
        let adopted = place.json(&args, b"")["jwk"].clone();
        assert_eq!(adopted["x"], public.to_members()["x"], "{sig}");
    }
}

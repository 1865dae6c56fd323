//! The program on a software TPM: what scripts rely on.
#![cfg(all(feature = "cli", feature = "tpm"))]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::PublicJwk;
use serde_json::{Value, json};

mod common;

use common::swtpm::{AUTH, Swtpm, macs, write_pin};

/// A configuration on a TPM of its own.
struct Place(Swtpm);

impl Place {
    fn new() -> Self {
        let place = Self(Swtpm::start());
        place.configure(&format!(
            "schema = 1\nenvironment = \"test\"\n# kept\n[keystore.edge]\ntype = \"tpm\"\n\
             tcti = \"{}\"\nkeys = \"keys\"\nauth = {{ file = \"auth\" }}\n",
            place.0.tcti()
        ));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.directory.join(name)
    }

    fn configure(&self, text: &str) {
        fs::write(self.path("hsm-jose.toml"), text).unwrap();
    }

    fn configuration(&self) -> String {
        fs::read_to_string(self.path("hsm-jose.toml")).unwrap()
    }

    /// Runs it; nothing that it says has the authorization value, or is of tpm2-tss.
    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        fs::write(self.path("input"), input).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_hsm-jose"))
            .args(args)
            .current_dir(&self.0.directory)
            .env("HSM_JOSE_CONFIG", self.path("hsm-jose.toml"))
            .env_remove("TSS2_LOG")
            .stdin(Stdio::from(fs::File::open(self.path("input")).unwrap()))
            .output()
            .unwrap();
        for said in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!said.contains(AUTH), "{args:?}");
            assert!(!said.contains(":esys:") && !said.contains(":tcti:"), "{args:?}: {said}");
        }
        output
    }

    fn good(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(args, input);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn code(&self, args: &[&str], input: &[u8]) -> (i32, String) {
        let output = self.run(args, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said)
    }
}

#[test]
fn the_parent_is_pinned_and_the_file_keeps_the_rest() {
    let place = Place::new();
    let before = place.configuration();
    let (status, said) = place.code(&["doctor"], b"");
    assert_eq!(status, 7, "{said}");
    place.good(&["token", "pin", "edge", "--dry-run"], b"");
    assert_eq!(place.configuration(), before);
    let name = place.good(&["token", "pin", "edge"], b"");
    let name = String::from_utf8(name).unwrap().trim().to_owned();
    let line = format!("parent_name = \"{name}\"\n");
    assert_eq!(place.configuration().replace(&line, ""), before);
    place.good(&["token", "pin", "edge"], b"");
    let text = String::from_utf8(place.good(&["doctor"], b"")).unwrap();
    for expected in ["IBM", "firmware", "pinned", "lockout: no, 0 of 3", "TPM_ALG_OAEP"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    // Another name than that of the TPM: nothing works but pinning it anew, in so many words.
    let other = format!("000b{}", "5a".repeat(32));
    place.configure(&place.configuration().replace(&name, &other));
    let (status, said) = place.code(&["key", "generate", "k", "--alg", "ES256"], b"");
    assert_eq!(status, 2, "{said}");
    let (status, said) = place.code(&["token", "pin", "edge"], b"");
    assert_eq!(status, 2, "{said}");
    place.good(&["token", "pin", "edge", "--replace"], b"");
    assert!(place.configuration().contains(&name));
}

#[test]
fn a_session_with_its_failures_has_the_exit_codes_of_every_keystore() {
    let place = Place::new();
    place.good(&["token", "pin", "edge"], b"");
    let sig = place.good(&["key", "generate", "sig", "--alg", "ES256"], b"");
    let enc = place.good(&["key", "generate", "enc", "--alg", "RSA-OAEP-256"], b"");
    fs::write(place.path("sig.jwk"), sig).unwrap();
    fs::write(place.path("enc.jwk"), enc).unwrap();
    let jwe = place.good(&["encrypt", "--to", "enc.jwk"], b"secret");
    assert_eq!(place.good(&["decrypt"], &jwe), b"secret");
    let jws = place.good(&["sign", "--key", "sig"], b"payload");
    assert_eq!(place.good(&["verify", "--keys", "sig.jwk"], &jws), b"payload");
    // A bad encrypted key: the TPM answers an error, tpm2-tss says nothing, and neither do we.
    let text = String::from_utf8(jwe.clone()).unwrap();
    let mut parts: Vec<String> = text.trim().split('.').map(str::to_owned).collect();
    let flipped = if parts[1].starts_with('A') { "B" } else { "A" };
    parts[1].replace_range(..1, flipped);
    let (status, said) = place.code(&["decrypt"], parts.join(".").as_bytes());
    assert_eq!(status, 3, "{said}");
    let text = String::from_utf8(place.good(&["doctor"], b"")).unwrap();
    assert!(text.contains("fixedTPM fixedParent sensitiveDataOrigin userWithAuth sign"), "{text}");
    let (status, said) = place.code(&["key", "generate", "ed", "--alg", "EdDSA"], b"");
    assert_eq!(status, 2, "{said}");
    let (status, said) =
        place.code(&["key", "adopt", "x", "--object", "file:none.pem", "--alg", "ES256"], b"");
    assert_eq!(status, 4, "{said}");

    write_pin(&place.path("auth"), "wrong", 0o600);
    let (status, said) = place.code(&["sign", "--key", "sig"], b"payload");
    assert_eq!(status, 5, "{said}");
    write_pin(&place.path("auth"), AUTH, 0o600);
    assert_eq!(place.good(&["decrypt"], &jwe), b"secret");
    // What one command has left in the TPM is nothing.
    assert_eq!(place.0.tool("tpm2_getcap", &["handles-transient"]).trim(), "");
    let mut place = place;
    place.0.kill();
    let (status, said) = place.code(&["decrypt"], &jwe);
    assert_eq!(status, 6, "{said}");
    place.0.restart();
    assert_eq!(place.good(&["decrypt"], &jwe), b"secret");
}

#[test]
fn production_takes_no_tpm_that_is_not_pinned() {
    let place = Place::new();
    let text = place.configuration().replace("\"test\"", "\"production\"");
    place.configure(&text);
    let generate = ["key", "generate", "k", "--alg", "ES256"];
    let (status, said) = place.code(&generate, b"");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("not pinned") && said.contains("token pin edge"), "{said}");
    assert!(!place.path("keys").exists());
    // What it names as the way out works. Then it is the software of this TPM that is refused.
    place.good(&["token", "pin", "edge"], b"");
    let (status, said) = place.code(&generate, b"");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("software token") && !said.contains("not pinned"), "{said}");
}

#[test]
fn a_key_for_hmac_through_its_life() {
    let place = Place::new();
    place.good(&["token", "pin", "edge"], b"");
    let named = "\n[policy]\nprofile = \"strict\"\nsymmetric = [\"HS256\", \"A256KW\"]\n";
    place.configure(&(place.configuration() + named));
    let json = |args: &[&str]| -> Value {
        serde_json::from_slice(&place.good(&[&["--json"], args].concat(), b"")).unwrap()
    };
    let made = json(&["key", "generate", "mac", "--alg", "HS256"]);
    let secret = &made["secret"];
    assert_eq!((&secret["bits"], made.get("jwk")), (&256.into(), None), "{made}");
    assert_eq!(made["support"][0]["mechanism"], "TPM_ALG_HMAC", "{made}");
    let again = json(&["key", "generate", "mac", "--alg", "HS256", "--if-absent"]);
    assert_eq!((&again["outcome"], &again["secret"]), (&"present".into(), secret));
    let check = secret["check_value"].as_str().unwrap();
    let text = |args: &[&str]| String::from_utf8(place.good(args, b"")).unwrap();
    assert!(text(&["key", "show", "mac"]).contains(&format!("256 bits, check value {check}")));
    assert!(text(&["key", "list"]).contains(&format!("oct-256:{check}")));
    assert_eq!(json(&["jwks"])["keys"], json!([]));
    let doctor = text(&["doctor"]);
    for part in ["HS512            oct-512   hardware       TPM_ALG_HMAC", "at most 1024 bytes"] {
        assert!(doctor.contains(part), "{part}: {doctor}");
    }
    // The longest signing input, and one byte more: 4 of base64url are 3 of the payload.
    let token = place.good(&["sign", "--key", "mac"], b"payload");
    let overhead = token.trim_ascii().iter().position(|byte| *byte == b'.').unwrap() + 1;
    let longest = vec![b'x'; (1024 - overhead) / 4 * 3 + (1024 - overhead) % 4 * 3 / 4];
    let long = place.good(&["sign", "--key", "mac"], &longest);
    assert_eq!(place.good(&["verify", "--key", "mac"], &long), longest);
    let (status, said) = place.code(&["sign", "--key", "mac"], &[&longest[..], b"x"].concat());
    assert!(status == 2 && said.contains("more than 1024 bytes"), "{status} {said}");
    // One that somebody else made too long, with no MAC of the key.
    let (header, _) = std::str::from_utf8(&token).unwrap().split_once('.').unwrap();
    let forged = |payload: &[u8], mac: &[u8]| {
        format!("{header}.{}.{}", base64url::encode(payload), base64url::encode(mac)).into_bytes()
    };
    let (status, said) = place.code(&["verify", "--key", "mac"], &forged(&[0; 2000], &[0; 32]));
    assert!(status == 2 && said.contains("more than 1024 bytes"), "{status} {said}");

    // Detached, as a file of any length is read.
    fs::write(place.path("payload"), b"payload").unwrap();
    let detached = place.good(&["sign", "--key", "mac", "--detached", "payload"], b"");
    place.good(&["verify", "--key", "mac", "--detached", "payload"], &detached);
    fs::write(place.path("payload"), vec![b'x'; 2_000_000]).unwrap();
    let large = ["--key", "mac", "--detached", "payload"];
    for (command, input) in [("sign", &b""[..]), ("verify", &detached)] {
        let (status, said) = place.code(&[&[command], &large[..]].concat(), input);
        assert!(status == 2 && said.contains("more than 1024 bytes"), "{status} {said}");
    }

    assert_eq!(place.good(&["verify", "--key", "mac"], &token), b"payload");
    let verify = |token: &[u8]| place.code(&["verify", "--key", "mac"], token).0;
    assert_eq!(verify(&forged(b"payload", &[0; 32])), 3);
    assert_eq!(verify(&forged(b"payload", &[])), 3);
    let mac = token.trim_ascii().rsplit(|byte| *byte == b'.').next().unwrap();
    assert_eq!(verify(&forged(b"paylobd", &base64url::decode(mac).unwrap())), 3);

    // The public key of another, as the secret (RFC 8725 section 2.1).
    let public = place.good(&["key", "generate", "pair", "--alg", "ES256"], b"");
    fs::write(place.path("pair.jwk"), &public).unwrap();
    let hmac = |secret: &[u8]| {
        let parts = [br#"{"alg":"HS256"}"#.as_slice(), b"payload"].map(base64url::encode);
        let hash = hsm_jose::jose::alg::Hash::Sha256;
        let mac = hsm_jose::primitives::secret::hmac(hash, secret, parts.join(".").as_bytes());
        format!("{}.{}", parts.join("."), base64url::encode(&mac)).into_bytes()
    };
    for token in [hmac(&public), hmac(public.trim_ascii())] {
        assert_eq!(verify(&token), 3);
        for source in [&["--key", "pair"], &["--keys", "pair.jwk"]] {
            let (status, said) = place.code(&[&["verify"], &source[..]].concat(), &token);
            assert_eq!(status, 3, "{said}");
        }
    }
    for (name, alg, why) in [("kw", "A256KW", "no AES key wrap"), ("d", "dir", "no AES in GCM")] {
        let (status, said) = place.code(&["key", "generate", name, "--alg", alg], b"");
        assert!(status == 2 && said.contains(why), "{said}");
    }
    let import = ["key", "import", "known", "--alg", "HS256", "--from", "pair.jwk"];
    assert_ne!(place.code(&import, b"").0, 0);

    // Taken over under another name, it is the same key.
    fs::copy(place.path("keys/mac.pem"), place.path("keys/copy.pem")).unwrap();
    let adopt = ["key", "adopt", "copy", "--object", "file:copy.pem", "--alg"];
    let (status, said) = place.code(&[&adopt[..], &["HS512"]].concat(), b"");
    assert_eq!(status, 2, "{said}");
    let adopted = json(&[&adopt[..], &["HS256"]].concat());
    assert_eq!((&adopted["secret"], &adopted["unproven"]), (secret, &json!([])), "{adopted}");
    let copy = place.good(&["sign", "--key", "copy"], b"payload");
    assert_eq!(place.good(&["verify", "--key", "copy"], &copy), b"payload");
    assert_eq!(place.code(&["verify", "--key", "copy"], &token).0, 4, "another kid");

    place.good(&["key", "destroy", "mac", "--confirm", check, "--force"], b"");
    assert_eq!(place.code(&["verify", "--key", "mac"], &token).0, 4);
    assert!(!place.path("keys/mac.pem").exists());
}

/// TPM2_Import takes sensitiveDataOrigin as it comes, with any key.
#[test]
fn a_known_key_for_hmac_is_neither_adopted_nor_served() {
    let place = Place::new();
    place.good(&["token", "pin", "edge"], b"");
    let named = "\n[policy]\nprofile = \"strict\"\nsymmetric = [\"HS256\"]\n";
    place.configure(&(place.configuration() + named));
    place.good(&["key", "generate", "mac", "--alg", "HS256"], b"");
    let token = place.good(&["sign", "--key", "mac"], b"payload");
    macs::parent_with_tools(&place.0);
    macs::import_with_tools(&place.0, "sensitivedataorigin|userwithauth|noda|sign");
    let honest = macs::key_file(&place.0, |_| ());
    // It says of itself that it is fixedTPM and fixedParent (TPMA_OBJECT, part 2).
    let forged = macs::key_file(&place.0, |public| public[7] |= 1 << 1 | 1 << 4);
    let before = fs::read(place.path("keys/mac.pem")).unwrap();
    for (file, adopting, serving) in [
        (&honest, "fixedTPM, fixedParent and sensitiveDataOrigin", "fixedTPM, fixedParent"),
        (&forged, "TPM_RC_INTEGRITY", "its length or check value is another"),
    ] {
        fs::write(place.path("keys/known.pem"), file).unwrap();
        let adopt = ["key", "adopt", "known", "--object", "file:known.pem", "--alg", "HS256"];
        let (status, said) = place.code(&adopt, b"");
        assert!(status != 0 && said.contains(adopting), "{status} {said}");
        assert_ne!(place.code(&["key", "show", "known"], b"").0, 0);
        // In the place of a key that was recorded.
        fs::write(place.path("keys/mac.pem"), file).unwrap();
        for (command, input) in [("sign", &b"payload"[..]), ("verify", &token)] {
            let (status, said) = place.code(&[command, "--key", "mac"], input);
            assert!(status != 0 && said.contains(serving), "{command}: {status} {said}");
        }
    }
    fs::write(place.path("keys/mac.pem"), before).unwrap();
    assert_eq!(place.good(&["verify", "--key", "mac"], &token), b"payload");
}

/// A compact JWE of a stranger's making, in parts.
#[derive(Clone)]
struct Jwe {
    header: Value,
    encrypted_key: Vec<u8>,
    sealed: [Vec<u8>; 3],
}

impl Jwe {
    /// Seals to a key, with a CEK of the length of `cek_for`.
    fn to(jwk: &PublicJwk, alg: KeyManagement, cek_for: ContentEncryption) -> Self {
        let sent = common::send(&jwk.key, alg, cek_for);
        let mut header = json!({ "alg": alg.name(), "enc": "A256GCM", "kid": jwk.kid });
        if let Some((epk, _)) = &sent.agreed {
            header["epk"] = Value::Object(epk.to_members());
            header["apu"] = base64url::encode(b"apu").into();
            header["apv"] = base64url::encode(b"apv").into();
        }
        let aad = base64url::encode(header.to_string().as_bytes());
        let (iv, ciphertext, tag) = common::seal(cek_for, &sent.cek, aad.as_bytes(), b"content");
        Self { header, encrypted_key: sent.encrypted_key, sealed: [iv, ciphertext, tag] }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut changed = self.clone();
        change(&mut changed);
        let header = changed.header.to_string().into_bytes();
        let parts = [vec![header, changed.encrypted_key], changed.sealed.to_vec()].concat();
        parts.iter().map(|part| base64url::encode(part)).collect::<Vec<_>>().join(".")
    }

    /// The token with another encrypted key.
    fn key(&self, change: impl FnOnce(&mut Vec<u8>)) -> String {
        self.with(|it| change(&mut it.encrypted_key))
    }
}

#[test]
fn what_reaches_a_key_and_is_wrong_has_one_answer() {
    let place = Place::new();
    let generate = |name: &str, alg: &str| {
        PublicJwk::parse(&place.good(&["key", "generate", name, "--alg", alg], b"")).unwrap()
    };
    let rsa_jwk = generate("rsa", "RSA-OAEP-256");
    let ec_jwk = generate("ec", "ECDH-ES+A256KW");
    let (long, short) = (ContentEncryption::A256Gcm, ContentEncryption::A128Gcm);
    let rsa = Jwe::to(&rsa_jwk, KeyManagement::RsaOaep256, long);
    let ec = Jwe::to(&ec_jwk, KeyManagement::EcdhEsA256Kw, long);
    let other = Jwe::to(&rsa_jwk, KeyManagement::RsaOaep, long);
    let other = Jwe { header: rsa.header.clone(), ..other };
    let mut cases = vec![
        ("a CEK for A128GCM", Jwe::to(&rsa_jwk, KeyManagement::RsaOaep256, short).with(|_| ())),
        (
            "a wrapped CEK for A128GCM",
            Jwe::to(&ec_jwk, KeyManagement::EcdhEsA256Kw, short).with(|_| ()),
        ),
        ("OAEP with SHA-1", other.with(|_| ())),
    ];
    for jwe in [&rsa, &ec] {
        assert_eq!(place.good(&["decrypt"], jwe.with(|_| ()).as_bytes()), b"content");
        cases.extend([
            ("first bit", jwe.key(|it| it[0] ^= 1)),
            ("last bit", jwe.key(|it| *it.last_mut().unwrap() ^= 1)),
            ("short", jwe.key(|it| it.truncate(it.len() - 1))),
            ("long", jwe.key(|it| it.push(0))),
            ("a zero before it", jwe.key(|it| it.insert(0, 0))),
            ("zeros", jwe.key(|it| it.fill(0))),
            ("one", jwe.key(|it| (it.fill(0), *it.last_mut().unwrap() = 1).1)),
            ("as large as can be", jwe.key(|it| it.fill(0xff))),
            ("one byte", jwe.key(|it| it.truncate(1))),
            ("the tag", jwe.with(|it| it.sealed[2][0] ^= 1)),
            ("the ciphertext", jwe.with(|it| it.sealed[1][0] ^= 1)),
            ("the header", jwe.with(|it| it.header["x"] = 1.into())),
        ]);
    }
    let mut answers = std::collections::BTreeSet::new();
    for (what, token) in cases {
        let output = place.run(&["decrypt"], token.as_bytes());
        assert_eq!(output.status.code(), Some(3), "{what}");
        assert!(output.stdout.is_empty(), "{what}");
        answers.insert(String::from_utf8(output.stderr).unwrap());
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    // Points that are none are refused before the TPM is asked.
    let point = |name: &'static str, value: Vec<u8>| {
        ec.with(|it| it.header["epk"][name] = base64url::encode(&value).into())
    };
    let points = [
        ("off the curve", point("y", vec![1; 32])),
        ("x is zero", point("x", vec![0; 32])),
        ("x is beyond the field", point("x", vec![0xff; 32])),
        ("a short x", point("x", vec![1; 31])),
        ("no y", ec.with(|it| drop(it.header["epk"].as_object_mut().unwrap().remove("y")))),
        ("another curve", ec.with(|it| it.header["epk"]["crv"] = "P-384".into())),
    ];
    for (what, token) in points {
        let (status, said) = place.code(&["decrypt"], token.as_bytes());
        assert_eq!(status, 3, "{what}: {said}");
    }
    // None of them has cost the keys anything.
    for jwe in [&rsa, &ec] {
        assert_eq!(place.good(&["decrypt"], jwe.with(|_| ()).as_bytes()), b"content");
    }
    assert_eq!(place.0.tool("tpm2_getcap", &["handles-transient"]).trim(), "");
    let counter = place.0.tool("tpm2_getcap", &["properties-variable"]);
    assert!(counter.contains("TPM2_PT_LOCKOUT_COUNTER: 0x0"), "{counter}");
}

//! Hostile tokens against `decrypt`, `verify` and `open` of the program: signed, sealed and nested by
//! somebody who knows every public key and has keys of their own, but none of ours.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::process::Command;

use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::PublicJwk;
use serde_json::{Value, json};

mod common;
#[path = "common/faulty.rs"]
mod faulty;
#[path = "common/place.rs"]
mod place;

use place::{Parts, Place};

const ENC: ContentEncryption = ContentEncryption::A256Gcm;

/// A signer of the test's own: a private key in a file, used by openssl.
struct Signer {
    pem: String,
    jwk: PublicJwk,
}

impl Signer {
    /// Makes a key and lets the program tell its public JWK, by importing it into the token.
    fn new(place: &Place, name: &str, options: &[&str], alg: &str) -> Self {
        let pem = place.path(name).with_extension("pem").to_str().expect("UTF-8").to_owned();
        let made = Command::new("openssl")
            .args(["genpkey", "-quiet"])
            .args(options)
            .args(["-out", &pem])
            .status()
            .expect("openssl");
        assert!(made.success(), "{options:?}");
        let made = place.json(&["key", "import", name, "--alg", alg, "--from", &pem], b"");
        let jwk = PublicJwk::parse(made["jwk"].to_string().as_bytes()).expect("a JWK");
        Self { pem, jwk }
    }

    fn kid(&self) -> &str {
        self.jwk.kid.as_deref().expect("a kid")
    }

    /// The signature as openssl makes it.
    fn sign(&self, place: &Place, input: &[u8], options: &[&str]) -> Vec<u8> {
        let file = place.write("signing-input", input);
        let output = Command::new("openssl")
            .args(["dgst", "-sha256", "-sign", &self.pem])
            .args(options)
            .arg(file)
            .output()
            .expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A compact JWS with any header, whose signature `change` may change.
    fn jws(
        &self,
        place: &Place,
        header: &Value,
        payload: &[u8],
        options: &[&str],
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> String {
        let header = base64url::encode(header.to_string().as_bytes());
        let input = format!("{header}.{}", base64url::encode(payload));
        let signature = change(self.sign(place, input.as_bytes(), options));
        format!("{input}.{}", base64url::encode(&signature))
    }
}

/// `r || s` of a DER ECDSA-Sig-Value over P-256.
fn raw(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut raw = Vec::new();
    for _ in 0..2 {
        let len = usize::from(rest[1]);
        let number = &rest[2..2 + len];
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        raw.extend(std::iter::repeat_n(0, 32 - number.len()));
        raw.extend_from_slice(number);
        rest = &rest[2 + len..];
    }
    raw
}

fn set(place: &Place, name: &str, keys: &[&PublicJwk]) -> String {
    let keys: Vec<_> = keys.iter().map(|jwk| Value::Object(jwk.to_members())).collect();
    place.write(name, json!({ "keys": keys }).to_string())
}

#[test]
fn signatures_that_must_not_verify() {
    let place = Place::new();
    let ec = Signer::new(
        &place,
        "ec",
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ES256",
    );
    let rsa = Signer::new(
        &place,
        "rsa",
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "PS256",
    );
    let stranger = Signer::new(
        &place,
        "stranger",
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ES256",
    );
    let mut loose = rsa.jwk.clone();
    (loose.alg, loose.key_ops) = (None, None);
    let trusted = set(&place, "trusted.json", &[&ec.jwk, &loose]);
    let verify = ["verify", "--keys", &*trusted];
    let es = |members: Value| {
        let mut header = json!({ "alg": "ES256", "kid": ec.kid() });
        for (name, value) in members.as_object().expect("members") {
            header[name] = value.clone();
        }
        header
    };
    let plain = es(json!({}));
    let good = ec.jws(&place, &plain, b"payload", &[], |der| raw(&der));
    assert_eq!(place.run(&verify, good.as_bytes()).stdout, b"payload");
    let signed = |header: &Value| ec.jws(&place, header, b"payload", &[], |der| raw(&der));
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let bytes = base64url::decode(signature.as_bytes()).expect("base64url");
    let with = |signature: &[u8]| format!("{input}.{}", base64url::encode(signature));
    let order = common::unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let stranger_jwk = Value::Object(stranger.jwk.to_members());
    let by_stranger =
        |header: &Value| stranger.jws(&place, header, b"payload", &[], |der| raw(&der));
    let ps = |alg: &str| json!({ "alg": alg, "kid": rsa.kid() });
    let pss = |salt: &'static str| {
        rsa.jws(
            &place,
            &ps("PS256"),
            b"payload",
            &["-sigopt", "rsa_padding_mode:pss", "-sigopt", salt],
            |it| it,
        )
    };
    assert!(place.run(&verify, pss("rsa_pss_saltlen:32").as_bytes()).status.success());
    let pkcs1 = rsa.jws(&place, &ps("RS256"), b"payload", &[], |it| it);
    assert!(place.run(&verify, pkcs1.as_bytes()).status.success());
    let mac = |alg: &str| {
        let input = format!(
            "{}.{}",
            base64url::encode(json!({ "alg": alg, "kid": rsa.kid() }).to_string().as_bytes()),
            base64url::encode(b"payload")
        );
        let public = Command::new("openssl")
            .args(["pkey", "-pubout", "-in", &rsa.pem])
            .output()
            .expect("openssl");
        let file = place.write("mac-input", &input);
        let key = public.stdout.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let made = Command::new("openssl")
            .args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{key}")])
            .args(["-binary", &file])
            .output()
            .expect("openssl");
        assert_eq!(made.stdout.len(), 32);
        format!("{input}.{}", base64url::encode(&made.stdout))
    };
    let none = |alg: &str, signature: &str| {
        let header = base64url::encode(json!({ "alg": alg }).to_string().as_bytes());
        format!("{header}.{}.{signature}", base64url::encode(b"payload"))
    };
    let header_b64 = |json: &str| {
        let rest = good.split_once('.').expect("parts").1;
        format!("{}.{rest}", base64url::encode(json.as_bytes()))
    };
    let cases = [
        ("DER", ec.jws(&place, &plain, b"payload", &[], |it| it)),
        ("zeros", with(&[0; 64])),
        ("r = 0", with(&[&[0; 32], &bytes[32..]].concat())),
        ("s = 0", with(&[&bytes[..32], &[0; 32]].concat())),
        ("r = n", with(&[&order[..], &bytes[32..]].concat())),
        ("s = n", with(&[&bytes[..32], &order[..]].concat())),
        ("empty", with(&[])),
        ("short", with(&bytes[..63])),
        ("long", with(&[&bytes[..], &[0]].concat())),
        ("padded to 96", with(&[&[0; 16], &bytes[..32], &[0; 16], &bytes[32..]].concat())),
        ("swapped", with(&[&bytes[32..], &bytes[..32]].concat())),
        ("another payload", good.replacen(&base64url::encode(b"payload"), "AAAA", 1)),
        ("none", none("none", "")),
        ("None", none("None", "")),
        ("nOnE with a signature", none("nOnE", signature)),
        ("no alg", none("", signature)),
        ("es256", signed(&es(json!({ "alg": "es256" })))),
        ("ES256 and a blank", signed(&es(json!({ "alg": "ES256 " })))),
        ("ES384 with P-256", signed(&es(json!({ "alg": "ES384" })))),
        ("ES256K", signed(&es(json!({ "alg": "ES256K" })))),
        ("EdDSA with P-256", signed(&es(json!({ "alg": "EdDSA" })))),
        ("RS256 with P-256", signed(&es(json!({ "alg": "RS256" })))),
        ("alg of a JWE", signed(&es(json!({ "alg": "ECDH-ES" })))),
        ("enc in a JWS", signed(&es(json!({ "enc": "A256GCM" })))),
        ("b64 a text", signed(&es(json!({ "b64": "false", "crit": ["b64"] })))),
        ("b64 false, not critical", signed(&es(json!({ "b64": false })))),
        ("zip", signed(&es(json!({ "zip": "DEF" })))),
        ("crit of nothing known", signed(&es(json!({ "crit": ["x"], "x": 1 })))),
        ("empty crit", signed(&es(json!({ "crit": [] })))),
        ("crit names alg", signed(&es(json!({ "crit": ["alg"] })))),
        ("kid of another key", signed(&es(json!({ "kid": rsa.kid() })))),
        ("kid of nobody", signed(&es(json!({ "kid": "nobody" })))),
        ("a number for kid", signed(&es(json!({ "kid": 1 })))),
        ("a stranger as us", by_stranger(&plain)),
        ("a stranger without kid", by_stranger(&json!({ "alg": "ES256" }))),
        ("the stranger's kid", by_stranger(&json!({ "alg": "ES256", "kid": stranger.kid() }))),
        ("jwk in the header", by_stranger(&json!({ "alg": "ES256", "jwk": stranger_jwk }))),
        ("jwk, and our kid", by_stranger(&es(json!({ "jwk": stranger_jwk })))),
        ("jku", by_stranger(&es(json!({ "jku": format!("file://{trusted}") })))),
        ("x5u", by_stranger(&es(json!({ "x5u": "http://127.0.0.1:9/" })))),
        ("x5c", by_stranger(&es(json!({ "x5c": ["AAAA"] })))),
        (
            "duplicate alg",
            header_b64(&format!(r#"{{"alg":"ES256","alg":"ES256","kid":"{}"}}"#, ec.kid())),
        ),
        (
            "header with white space",
            header_b64(&format!(r#"{{"alg":"ES256", "kid":"{}"}}"#, ec.kid())),
        ),
        ("non-canonical base64url", {
            // 64 bytes leave two bits over in the last letter: the same bytes, spelled otherwise.
            let mut other = good.clone().into_bytes();
            let last = other.last_mut().expect("a letter");
            *last = match *last {
                b'A' => b'B',
                b'Q' => b'R',
                b'g' => b'h',
                _ => b'x',
            };
            String::from_utf8(other).expect("ASCII")
        }),
        ("PSS with an empty salt", pss("rsa_pss_saltlen:0")),
        ("PSS with a short salt", pss("rsa_pss_saltlen:20")),
        ("PSS with the longest salt", pss("rsa_pss_saltlen:max")),
        ("PKCS #1 as PS256", rsa.jws(&place, &ps("PS256"), b"payload", &[], |it| it)),
        ("SHA-256 as RS512", rsa.jws(&place, &ps("RS512"), b"payload", &[], |it| it)),
        ("RSA as ES256", rsa.jws(&place, &ps("ES256"), b"payload", &[], |it| it)),
        (
            "RSA with a leading zero",
            rsa.jws(&place, &ps("RS256"), b"payload", &[], |it| [&[0][..], &it].concat()),
        ),
        ("RSA of zeros", rsa.jws(&place, &ps("RS256"), b"payload", &[], |it| vec![0; it.len()])),
        (
            "RSA of one",
            rsa.jws(&place, &ps("RS256"), b"payload", &[], |it| {
                [&vec![0; it.len() - 1][..], &[1]].concat()
            }),
        ),
        ("HS256 with the public key", mac("HS256")),
    ];
    for (what, token) in cases {
        let (status, code, message) = place.refusal(&verify, token.as_bytes());
        assert!([3, 4].contains(&status), "{what}: {code}: {message}");
        assert!(
            ["malformed", "policy", "signature_invalid", "key_not_found"].contains(&&*code),
            "{what}: {code}: {message}"
        );
    }
}

/// A context takes what it is for: sealed to us, signed by the issuer, with the claims it names.
#[test]
fn nested_tokens_that_must_not_open() {
    let place = Place::new();
    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let issuer = Signer::new(&place, "issuer", &curve, "ES256");
    let stranger = Signer::new(&place, "stranger", &curve, "ES256");
    let enc = place.generate("enc", "ECDH-ES+A256KW");
    let other = place.generate("other", "ECDH-ES+A256KW");
    set(&place, "trusted.json", &[&issuer.jwk]);
    place.configure(&format!(
        "{}[context.t]\nnesting = \"jwe(jws)\"\ntyp = \"t+jwt\"\n[context.t.open]\n\
         audience = \"us\"\ntrust = \"trusted.json\"\nissuers = [\"https://issuer.example\"]\n\
         decrypt = [\"enc\"]\n",
        place.configuration()
    ));
    let alg = KeyManagement::EcdhEsA256Kw;
    let sealed_as = |jwk: &PublicJwk, content: &[u8], members: Value| {
        let mut parts = Parts::sealed(jwk, alg, ENC, content);
        for (name, value) in members.as_object().expect("members") {
            match value {
                Value::Null => drop(parts.header.remove(name)),
                _ => drop(parts.header.insert(name.clone(), value.clone())),
            }
        }
        let aad = parts.protected();
        (parts.iv, parts.ciphertext, parts.tag) =
            common::seal(ENC, &parts.cek, aad.as_bytes(), content);
        parts.compact()
    };
    let sealed = |content: &str| sealed_as(&enc, content.as_bytes(), json!({ "cty": "JWT" }));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    let claims = |change: Value| {
        let mut claims = json!({
            "iss": "https://issuer.example", "aud": "us", "iat": now, "exp": now + 60, "jti": "1"
        });
        for (name, value) in change.as_object().expect("members") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("claims").remove(name)),
                _ => claims[name] = value.clone(),
            }
        }
        claims.to_string()
    };
    let header = json!({ "alg": "ES256", "kid": issuer.kid(), "typ": "t+jwt" });
    let by = |signer: &Signer, header: &Value, payload: &str| {
        signer.jws(&place, header, payload.as_bytes(), &[], |der| raw(&der))
    };
    let inner = by(&issuer, &header, &claims(json!({})));
    let with_claims = |change: Value| sealed(&by(&issuer, &header, &claims(change)));
    let with_header = |change: Value| {
        let mut header = header.clone();
        for (name, value) in change.as_object().expect("members") {
            match value {
                Value::Null => drop(header.as_object_mut().expect("a header").remove(name)),
                _ => header[name] = value.clone(),
            }
        }
        sealed(&by(&issuer, &header, &claims(json!({}))))
    };
    let good = sealed(&inner);
    let open = ["open", "--context", "t"];
    let opened = place.json(&open, good.as_bytes());
    assert_eq!((&opened["claims"]["aud"], &opened["verified"]), (&"us".into(), &true.into()));
    let none = format!(
        "{}.{}.",
        base64url::encode(json!({ "alg": "none", "typ": "t+jwt" }).to_string().as_bytes()),
        base64url::encode(claims(json!({})).as_bytes())
    );
    let stripped = format!("{}.", inner.rsplit_once('.').expect("parts").0);
    let cases = [
        // Not encrypted, not signed, or not what it says it is.
        ("the inner token alone", inner.clone()),
        ("claims and no signature", sealed(&claims(json!({})))),
        ("alg none inside", sealed(&none)),
        ("the signature stripped", sealed(&stripped)),
        ("a JWE in the JWE", sealed(&good)),
        ("nothing inside", sealed("")),
        ("two dots inside", sealed("..")),
        ("JSON serialization inside", sealed("{\"payload\":\"e30\",\"signatures\":[]}")),
        ("a line end inside", sealed(&format!("{inner}\n"))),
        ("no cty", sealed_as(&enc, inner.as_bytes(), json!({}))),
        ("another cty", sealed_as(&enc, inner.as_bytes(), json!({ "cty": "text/plain" }))),
        // Somebody else's.
        ("sealed to another key", sealed_as(&other, inner.as_bytes(), json!({ "cty": "JWT" }))),
        (
            "another key's, as ours",
            sealed_as(&other, inner.as_bytes(), json!({ "cty": "JWT", "kid": enc.kid })),
        ),
        (
            "for the signing key",
            sealed_as(&enc, inner.as_bytes(), json!({ "cty": "JWT", "kid": issuer.kid() })),
        ),
        ("signed by a stranger", sealed(&by(&stranger, &header, &claims(json!({}))))),
        (
            "signed by a stranger who says so",
            sealed(&by(
                &stranger,
                &json!({ "alg": "ES256", "kid": stranger.kid(), "typ": "t+jwt" }),
                &claims(json!({})),
            )),
        ),
        (
            "a stranger's jwk",
            sealed(&by(
                &stranger,
                &json!({ "alg": "ES256", "typ": "t+jwt", "jwk": stranger.jwk.to_members() }),
                &claims(json!({})),
            )),
        ),
        // The wrong kind.
        ("another typ", with_header(json!({ "typ": "at+jwt" }))),
        ("no typ", with_header(json!({ "typ": null }))),
        ("typ JWT", with_header(json!({ "typ": "JWT" }))),
        ("cty inside", with_header(json!({ "cty": "JWT" }))),
        ("crit inside", with_header(json!({ "crit": ["exp"], "exp": now + 60 }))),
        ("alg of a JWE inside", with_header(json!({ "alg": "dir", "enc": "A256GCM" }))),
        // Claims.
        ("another audience", with_claims(json!({ "aud": "them" }))),
        ("no audience", with_claims(json!({ "aud": null }))),
        ("an empty audience", with_claims(json!({ "aud": [] }))),
        ("an audience with a suffix", with_claims(json!({ "aud": "us.example" }))),
        ("audience of a wrong type", with_claims(json!({ "aud": { "us": 1 } }))),
        ("another issuer", with_claims(json!({ "iss": "https://issuer.example/" }))),
        ("no issuer", with_claims(json!({ "iss": null }))),
        ("issuers in a list", with_claims(json!({ "iss": ["https://issuer.example"] }))),
        ("expired", with_claims(json!({ "iat": now - 1000, "exp": now - 100 }))),
        ("no exp", with_claims(json!({ "exp": null }))),
        ("exp as text", with_claims(json!({ "exp": format!("{}", now + 60) }))),
        ("exp as true", with_claims(json!({ "exp": true }))),
        ("a negative exp", with_claims(json!({ "exp": -1 }))),
        ("not yet", with_claims(json!({ "nbf": now + 1000 }))),
        ("nbf as text", with_claims(json!({ "nbf": "now" }))),
        ("from the future", with_claims(json!({ "iat": now + 1000, "exp": now + 2000 }))),
        ("claims are a list", sealed(&by(&issuer, &header, "[]"))),
        ("claims are null", sealed(&by(&issuer, &header, "null"))),
        ("claims twice", sealed(&by(&issuer, &header, &format!("{0}{0}", claims(json!({})))))),
        (
            "duplicate claims",
            sealed(&by(&issuer, &header, &claims(json!({})).replacen('{', "{\"aud\":\"us\",", 1))),
        ),
        (
            "claims with a BOM",
            sealed(&by(&issuer, &header, &format!("\u{feff}{}", claims(json!({}))))),
        ),
    ];
    for (what, token) in cases {
        let (status, code, message) = place.refusal(&open, token.as_bytes());
        assert!([3, 4].contains(&status), "{what}: {code}: {message}");
        assert!(!message.contains("issuer.example"), "{what}: no value of a claim: {message}");
    }
}

/// What `decrypt` must not open, although somebody has sealed it with all care.
#[test]
fn sealed_tokens_that_must_not_decrypt() {
    let place = Place::new();
    place.generate("sig", "ES256");
    let enc = place.generate("enc", "ECDH-ES+A256KW");
    let rsa = place.generate("rsa", "RSA-OAEP-256");
    let sig =
        place.json(&["key", "show", "sig"], b"")["confirm"][0].as_str().expect("a kid").to_owned();
    let ec = Parts::sealed(&enc, KeyManagement::EcdhEsA256Kw, ENC, b"content");
    let oaep = Parts::sealed(&rsa, KeyManagement::RsaOaep256, ENC, b"content");
    for parts in [&ec, &oaep] {
        let output = place.run(&["decrypt"], parts.compact().as_bytes());
        assert_eq!(output.stdout, b"content");
    }
    let changed = |parts: &Parts, name: &str, value: Value| {
        parts.with(|it| drop(it.header.insert(name.into(), value)))
    };
    // Sealed anew under the changed header: nothing but policy stands against it.
    let anew = |parts: &Parts, name: &str, value: Value| {
        parts.with(|it| {
            it.header.insert(name.into(), value);
            let aad = it.protected();
            (it.iv, it.ciphertext, it.tag) = common::seal(ENC, &it.cek, aad.as_bytes(), b"content");
        })
    };
    let mut cases = vec![
        ("the signing key", anew(&ec, "kid", sig.into())),
        ("the RSA key with ECDH", anew(&ec, "kid", rsa.kid.clone().into())),
        ("the EC key with RSA", anew(&oaep, "kid", enc.kid.clone().into())),
        ("another OAEP hash", anew(&oaep, "alg", "RSA-OAEP".into())),
        ("OAEP as PKCS #1", anew(&oaep, "alg", "RSA1_5".into())),
        ("OAEP as a signature", anew(&oaep, "alg", "RS256".into())),
        ("agreement without wrap", anew(&ec, "alg", "ECDH-ES".into())),
        ("another wrap", anew(&ec, "alg", "ECDH-ES+A128KW".into())),
        ("dir", anew(&ec, "alg", "dir".into())),
        ("lower case", anew(&ec, "alg", "ecdh-es+a256kw".into())),
        ("enc in lower case", anew(&ec, "enc", "a256gcm".into())),
        ("enc of an alg", anew(&ec, "enc", "A256KW".into())),
        ("zip", anew(&ec, "zip", "DEF".into())),
        ("an empty zip", anew(&ec, "zip", "".into())),
        ("crit", anew(&ec, "crit", json!(["kid"]))),
        ("p2c", anew(&ec, "alg", "PBES2-HS256+A128KW".into())),
        ("apu that is not base64url", anew(&ec, "apu", "+/==".into())),
        ("a long apu", anew(&ec, "apu", base64url::encode(&[1; 2000]).into())),
        ("apu as a number", anew(&ec, "apu", 1.into())),
        ("changed apv", anew(&ec, "apv", "AAAA".into())),
        ("unauthenticated header", changed(&ec, "x", 1.into())),
    ];
    for len in [0, 4, 8, 12, 13, 14, 15] {
        cases.push(("a truncated GCM tag", ec.with(|it| it.tag.truncate(len))));
    }
    let cbc = ContentEncryption::A256CbcHs512;
    let long = Parts::sealed(&enc, KeyManagement::EcdhEsA256Kw, cbc, b"content");
    assert_eq!(place.run(&["decrypt"], long.compact().as_bytes()).stdout, b"content");
    for len in [0, 16, 24, 31] {
        cases.push(("a truncated CBC-HMAC tag", long.with(|it| it.tag.truncate(len))));
    }
    cases.push(("CBC without a block", long.with(|it| it.ciphertext.clear())));
    cases.push(("CBC of half a block", long.with(|it| it.ciphertext.truncate(8))));
    for (what, token) in cases {
        let (status, code, message) = place.refusal(&["decrypt"], token.as_bytes());
        assert_eq!(status, 3, "{what}: {code}: {message}");
    }
    // A key by name contradicts none that the token names.
    let (status, code, _) = place.refusal(&["decrypt", "--key", "rsa"], ec.compact().as_bytes());
    assert_eq!((status, &*code), (3, "policy"));
    let (status, code, _) = place.refusal(&["decrypt", "--key", "none"], ec.compact().as_bytes());
    assert!(status == 3 || status == 4, "{code}");
}

/// FIPS 186-5 appendix A.1.1: a public exponent of 3 is a signature scheme away from forgery.
#[test]
fn a_partner_with_a_tiny_exponent_is_refused_by_strict() {
    let place = Place::new();
    let pem = place.path("tiny.pem").to_str().expect("UTF-8").to_owned();
    let options = ["-pkeyopt", "rsa_keygen_bits:3072", "-pkeyopt", "rsa_keygen_pubexp:3"];
    let made = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA"])
        .args(options)
        .args(["-out", &pem])
        .status();
    assert!(made.expect("openssl").success());
    let modulus = Command::new("openssl").args(["rsa", "-in", &pem, "-noout", "-modulus"]).output();
    let modulus = String::from_utf8(modulus.expect("openssl").stdout).expect("text");
    let modulus = common::unhex(modulus.trim().trim_start_matches("Modulus="));
    let members =
        json!({ "kty": "RSA", "n": base64url::encode(&modulus), "e": "Aw", "kid": "tiny" });
    let jwk = PublicJwk::parse(members.to_string().as_bytes()).expect("a JWK");
    let file = place.write("tiny.jwk", members.to_string());
    let signer = Signer { pem, jwk };
    let options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    let header = json!({ "alg": "PS256", "kid": "tiny" });
    let jws = signer.jws(&place, &header, b"payload", &options, |it| it);
    let verify = ["verify", "--keys", &file];
    let encrypt = ["encrypt", "--to", &file];
    // Otherwise nothing is wrong with it.
    assert!(place.run(&verify, jws.as_bytes()).status.success());
    assert!(place.run(&encrypt, b"x").status.success());
    place.configure(&place.configuration().replace("\"all\"", "\"strict\""));
    for (args, stdin) in [(&verify[..], jws.as_bytes()), (&encrypt, b"x")] {
        let (status, code, message) = place.refusal(args, stdin);
        assert_eq!((status, &*code), (3, "policy"), "{message}");
        assert!(message.contains("exponent 3"), "{message}");
    }
}

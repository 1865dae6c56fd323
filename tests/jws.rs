//! JWS in the JSON serializations, several signatures, detached and unencoded payloads, `crit`: what
//! the parser, policy and the rule for signatures do. Keys are in the memory keystore or of an RFC.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
use hsm_jose::jose::alg::{Curve, KeyAlgorithm, SignatureAlgorithm};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PrivateJwk, PublicJwk};
use hsm_jose::jose::serialization::{JwsParts, MAX_SIGNATURES, MAX_TOKEN_LEN, Serialization};
use hsm_jose::jws::{self, Jws, JwsForm, JwsParameters, JwsToken, Require, Signer, TrustedKeys};
use hsm_jose::policy::{
    CriticalExtension, CriticalExtensions, JwsRules, JwsUnprotectedHeader, Policy, Profile,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use Serialization::{Compact, Flattened, General};
use SignatureAlgorithm::{EdDsa, Es256, Ps256};

/// A signer and the issuer it signs for.
struct Party {
    key: Arc<dyn HardwareKey>,
    alg: SignatureAlgorithm,
    kid: &'static str,
    iss: &'static str,
}

impl Party {
    fn new(alg: SignatureAlgorithm, kid: &'static str, iss: &'static str) -> Self {
        let shape = match alg {
            Es256 => KeyShape::Curve(Curve::P256),
            EdDsa => KeyShape::Curve(Curve::Ed25519),
            _ => KeyShape::Rsa { bits: 2048 },
        };
        let keystore = MemoryKeystore::new("memory");
        let locator = keystore.new_locator("key").unwrap();
        let spec = KeySpec { shape, algs: vec![KeyAlgorithm::Sign(alg)] };
        Self { key: keystore.generate(&locator, &spec).unwrap(), alg, kid, iss }
    }

    fn signer(&self) -> Signer<'_> {
        let kid = Some(self.kid);
        Signer::new(&*self.key, &JwsParameters { alg: self.alg, kid, typ: None, cty: None })
    }

    fn jwk(&self) -> PublicJwk {
        let mut jwk = PublicJwk::bare(self.key.info().public.clone().unwrap());
        (jwk.kid, jwk.iss) = (Some(self.kid.into()), Some(self.iss.into()));
        jwk
    }
}

fn all() -> JwsRules {
    Policy::of(Profile::All).jws
}

fn trusting(parties: &[&Party]) -> TrustedKeys {
    let keys = parties.iter().map(|party| party.jwk()).collect();
    TrustedKeys::new(JwkSet { keys }, &Policy::of(Profile::All))
}

fn form(serialization: Serialization) -> JwsForm {
    JwsForm { serialization, ..JwsForm::default() }
}

fn sign(parties: &[&Party], form: JwsForm, payload: &[u8]) -> String {
    let signers: Vec<_> = parties.iter().map(|party| party.signer()).collect();
    jws::sign_as(&signers, form, payload).unwrap()
}

/// The payload and which signatures verified, or the code of the refusal.
fn verify(
    token: &str,
    rules: &JwsRules,
    keys: &TrustedKeys,
    require: &Require<'_>,
) -> Result<(Vec<u8>, Vec<usize>), &'static str> {
    let verified = Jws::parse(token.as_bytes(), rules).and_then(|jws| jws.verify(keys, require));
    let verified = verified.map_err(|error: Error| error.code())?;
    let indices = verified.signatures().iter().map(|signature| signature.index()).collect();
    Ok((verified.into_inner().into_bytes(), indices))
}

fn changed(token: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(token).unwrap();
    change(&mut value);
    value.to_string()
}

fn encoded(header: Value) -> String {
    base64url::encode(header.to_string().as_bytes())
}

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc/jws-json.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// RFC 7515 appendices A.6 and A.7, RFC 7520 section 4.8: every signature that this build knows,
/// verified by its own key.
#[test]
fn signatures_of_the_rfcs_verify() {
    let policy = Policy::of(Profile::All);
    for case in vectors()["signed"].as_array().unwrap() {
        let source = case["source"].as_str().unwrap();
        let payload = base64url::decode(case["payload"].as_str().unwrap().as_bytes()).unwrap();
        let keys = case["keys"].as_array().unwrap();
        let public = |key: &Value| PrivateJwk::parse(key.to_string().as_bytes()).unwrap().public;
        let trusted = |keys: &[Value]| {
            TrustedKeys::new(JwkSet { keys: keys.iter().map(public).collect() }, &policy)
        };
        let token = case["token"].to_string();
        let (content, indices) =
            verify(&token, &policy.jws, &trusted(keys), &Require::Any).unwrap();
        assert_eq!(content, payload, "{source}");
        assert_eq!(indices, (0..keys.len()).collect::<Vec<_>>(), "{source}");
        let is_known = |alg: &Value| SignatureAlgorithm::from_name(alg.as_str().unwrap()).is_some();
        if keys.len() == case["algs"].as_array().unwrap().len() {
            verify(&token, &policy.jws, &trusted(keys), &Require::All).unwrap();
        }
        assert!(case["algs"].as_array().unwrap().iter().take(keys.len()).all(is_known));
        for (index, key) in keys.iter().enumerate() {
            let one = trusted(std::slice::from_ref(key));
            let (_, indices) = verify(&token, &policy.jws, &one, &Require::Any).unwrap();
            assert_eq!(indices, [index], "{source}");
            if keys.len() > 1 {
                assert!(verify(&token, &policy.jws, &one, &Require::All).is_err(), "{source}");
            }
        }
        // What is only in an unprotected header is not believed where policy says so: the kid of
        // the first is none, the ES512 of RFC 7520 section 4.8 stands nowhere.
        let mut ignoring = policy.jws.clone();
        ignoring.unprotected = JwsUnprotectedHeader::Ignored;
        let (_, indices) = verify(&token, &ignoring, &trusted(keys), &Require::Any).unwrap();
        let is_es512 = source.ends_with("4.8");
        assert_eq!(indices.contains(&1), keys.len() > 1 && !is_es512, "{source}");
        let other = changed(&token, |token| token["payload"] = "e30".into());
        assert_eq!(
            verify(&other, &policy.jws, &trusted(keys), &Require::Any),
            Err("signature_invalid")
        );
    }
}

/// RFC 7520 sections 4.5 to 4.7, RFC 7797 section 4: the octets that a MAC covers, in every
/// serialization, are those that these tokens are read to cover.
#[test]
fn signing_inputs_are_those_of_the_rfcs() {
    let mut count = 0;
    for case in vectors()["macs"].as_array().unwrap() {
        let key = base64url::decode(case["key"]["k"].as_str().unwrap().as_bytes()).unwrap();
        let payload = base64url::decode(case["payload"].as_str().unwrap().as_bytes()).unwrap();
        for token in case["tokens"].as_array().unwrap() {
            let text = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            let parts = JwsParts::parse(text.as_bytes(), MAX_TOKEN_LEN).unwrap();
            assert_eq!(parts.payload.is_none(), case["detached"].as_bool().unwrap(), "{text}");
            for signature in &parts.signatures {
                let header = base64url::decode(signature.protected.as_bytes()).unwrap();
                let is_plain = String::from_utf8(header).unwrap().contains("\"b64\":false");
                let carried = match is_plain {
                    true => String::from_utf8(payload.clone()).unwrap(),
                    false => base64url::encode(&payload),
                };
                assert!(parts.payload.as_ref().is_none_or(|payload| *payload == carried));
                let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
                mac.update([&*signature.protected, ".", &carried].concat().as_bytes());
                let expected = base64url::decode(signature.signature.as_bytes()).unwrap();
                mac.verify_slice(&expected).unwrap_or_else(|_| panic!("{text}"));
                count += 1;
            }
        }
    }
    assert_eq!(count, 10);
}

#[test]
fn every_form_verifies_as_it_was_signed() {
    let (ec, ed, rsa) =
        (Party::new(Es256, "e", "a"), Party::new(EdDsa, "d", "b"), Party::new(Ps256, "r", "c"));
    let keys = trusting(&[&ec, &ed, &rsa]);
    let payload = "caf\u{e9}.\"\\\n\u{1f511}".as_bytes();
    for serialization in [Compact, Flattened, General] {
        for (detached, unencoded) in [(false, false), (true, false), (false, true), (true, true)] {
            let form = JwsForm { serialization, detached, unencoded };
            let parties: &[&Party] =
                if serialization == General { &[&ec, &ed, &rsa] } else { &[&ec] };
            // A compact JWS carries only some payloads as they are.
            let is_narrow = serialization == Compact && unencoded && !detached;
            let payload = if is_narrow { b"a-b_c~9" } else { payload };
            let token = sign(parties, form, payload);
            let jws = Jws::parse(token.as_bytes(), &all()).unwrap();
            let verified = match detached {
                true => {
                    assert!(!token.contains(&base64url::encode(payload)), "{token}");
                    jws.verify_detached(payload, &keys, &Require::All).unwrap().into_parts().1
                }
                false => {
                    let verified = jws.verify(&keys, &Require::All).unwrap();
                    assert_eq!(verified.get().as_bytes(), payload, "{token}");
                    verified.into_parts().1
                }
            };
            assert_eq!(verified.len(), parties.len());
            for (signature, party) in verified.iter().zip(parties) {
                assert_eq!(
                    (signature.alg(), signature.header().kid()),
                    (party.alg, Some(party.kid))
                );
                assert_eq!(signature.key().iss.as_deref(), Some(party.iss));
                assert_eq!(signature.header().has("b64"), unencoded);
            }
            // The wrong half of the two ways to give a payload.
            let jws = || Jws::parse(token.as_bytes(), &all()).unwrap();
            let wrong = match detached {
                true => jws().verify(&keys, &Require::All).map(drop),
                false => jws().verify_detached(payload, &keys, &Require::All).map(drop),
            };
            assert!(wrong.is_err(), "{token}");
        }
    }
}

/// RFC 7515 section 5.2: whose word the rule takes, and whose it does not.
#[test]
fn a_rule_is_met_or_the_token_is_refused() {
    let (a, b, c) =
        (Party::new(Es256, "a", "A"), Party::new(EdDsa, "b", "B"), Party::new(Es256, "c", "C"));
    let stranger = Party::new(Es256, "a", "A");
    let keys = trusting(&[&a, &b, &c]);
    let check = |token: &str, require: &Require<'_>| {
        verify(token, &all(), &keys, require).map(|(_, indices)| indices)
    };
    let both = sign(&[&a, &b], form(General), b"payload");
    assert_eq!(check(&both, &Require::All), Ok(vec![0, 1]));
    assert_eq!(check(&both, &Require::Any), Ok(vec![0, 1]));
    assert_eq!(check(&both, &Require::AllOf(&["A", "B"])), Ok(vec![0, 1]));
    assert_eq!(check(&both, &Require::AllOf(&["B"])), Ok(vec![1]));
    assert_eq!(check(&both, &Require::AnyOf(&["A", "C"])), Ok(vec![0]));
    assert_eq!(check(&both, &Require::AllOf(&["A", "C"])), Err("signature_invalid"));
    assert_eq!(check(&both, &Require::AnyOf(&["C"])), Err("signature_invalid"));
    assert_eq!(check(&both, &Require::AllOf(&["A", "D"])), Err("key_not_found"));
    assert_eq!(check(&both, &Require::AnyOf(&["D", "E"])), Err("key_not_found"));
    // A rule that anything would meet is a mistake of the caller.
    assert_eq!(check(&both, &Require::AllOf(&[])), Err("usage"));
    assert_eq!(check(&both, &Require::AnyOf(&[])), Err("usage"));

    // One good signature and one that is not: each way of not being good.
    let mixed = sign(&[&a, &stranger], form(General), b"payload");
    assert_eq!(check(&mixed, &Require::All), Err("signature_invalid"));
    assert_eq!(check(&mixed, &Require::Any), Ok(vec![0]));
    assert_eq!(check(&mixed, &Require::AllOf(&["A"])), Ok(vec![0]));
    let good = sign(&[&a], form(General), b"payload");
    let others = [
        (json!({ "protected": encoded(json!({ "alg": "none" })), "signature": "" }), "policy"),
        (json!({ "protected": encoded(json!({ "alg": "HS257" })), "signature": "AA" }), "policy"),
        (
            json!({ "protected": encoded(json!({ "alg": "ES256", "crit": ["x"], "x": 1 })),
                    "signature": "AA" }),
            "policy",
        ),
        (json!({ "protected": "e30", "signature": "AA" }), "malformed"),
        (json!({ "protected": "!", "signature": "AA" }), "malformed"),
        (json!({ "protected": encoded(json!({ "alg": "ES256" })), "signature": "A" }), "malformed"),
        (
            json!({ "protected": encoded(json!({ "alg": "ES256", "kid": "z" })),
                    "signature": "AA" }),
            "policy",
        ),
        (json!({ "header": { "crit": ["x"] }, "signature": "AA" }), "malformed"),
    ];
    for (other, code) in others {
        for first in [true, false] {
            let token = changed(&good, |token| {
                let signatures = token["signatures"].as_array_mut().unwrap();
                signatures.insert(if first { 0 } else { 1 }, other.clone());
            });
            assert_eq!(check(&token, &Require::All), Err(code), "{token}");
            assert_eq!(check(&token, &Require::Any), Ok(vec![usize::from(first)]), "{token}");
            assert_eq!(check(&token, &Require::AllOf(&["A"])), Ok(vec![usize::from(first)]));
            let alone = changed(&good, |token| token["signatures"] = json!([other]));
            assert!(check(&alone, &Require::Any).is_err(), "{alone}");
        }
    }
    // A signature moved to where another issuer's kid is named, and one over another payload.
    let moved = changed(&both, |token| {
        let signature = token["signatures"][0]["signature"].clone();
        token["signatures"][1]["signature"] = signature;
    });
    assert_eq!(check(&moved, &Require::AllOf(&["A", "B"])), Err("signature_invalid"));
    let other = sign(&[&b], form(General), b"another");
    let spliced = changed(&good, |token| {
        let other: Value = serde_json::from_str(&other).unwrap();
        token["signatures"].as_array_mut().unwrap().push(other["signatures"][0].clone());
    });
    assert_eq!(check(&spliced, &Require::All), Err("signature_invalid"));
    assert_eq!(check(&spliced, &Require::AllOf(&["A", "B"])), Err("signature_invalid"));
    // The same signature twice is still one issuer.
    let twice = changed(&good, |token| {
        let signature = token["signatures"][0].clone();
        token["signatures"].as_array_mut().unwrap().push(signature);
    });
    assert!(check(&twice, &Require::AllOf(&["A", "B"])).is_err());
    assert_eq!(check(&twice, &Require::All), Ok(vec![0, 1]));
}

#[test]
fn hostile_structures_are_malformed() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    let general = sign(&[&party], form(General), b"payload");
    let flat = sign(&[&party], form(Flattened), b"payload");
    verify(&general, &all(), &keys, &Require::Any).unwrap();
    verify(&flat, &all(), &keys, &Require::Any).unwrap();
    let protected = encoded(json!({ "alg": "ES256" }));
    let both = |json: &str| flat.replacen('{', &format!("{{{json},"), 1);
    let one: Value = serde_json::from_str::<Value>(&general).unwrap()["signatures"][0].clone();
    let cases = [
        ("neither", "{}".to_owned()),
        (
            "no signature",
            changed(&flat, |it| drop(it.as_object_mut().unwrap().remove("signature"))),
        ),
        ("flattened and general", both(r#""signatures":[]"#)),
        ("general and header", general.replacen('{', r#"{"header":{"kid":"a"},"#, 1)),
        ("general and signature", general.replacen('{', r#"{"signature":"AA","#, 1)),
        ("no signatures", changed(&general, |it| it["signatures"] = json!([]))),
        (
            "too many signatures",
            changed(&general, |it| it["signatures"] = json!(vec![one; MAX_SIGNATURES + 1])),
        ),
        ("signatures is an object", changed(&general, |it| it["signatures"] = json!({}))),
        ("a signature is a text", changed(&general, |it| it["signatures"] = json!(["a"]))),
        ("duplicate payload", both(r#""payload":"e30""#)),
        ("duplicate payload, escaped", both(r#""\u0070ayload":"e30""#)),
        ("duplicate protected", both(&format!(r#""protected":"{protected}""#))),
        ("duplicate in what is passed over", both(r#""other":{"a":1,"a":1}"#)),
        ("payload is a number", changed(&flat, |it| it["payload"] = json!(1))),
        ("payload is null", changed(&flat, |it| it["payload"] = json!(null))),
        ("payload is an object", changed(&flat, |it| it["payload"] = json!({ "a": 1 }))),
        ("payload is not base64url", changed(&flat, |it| it["payload"] = "cGF5bG9hZA==".into())),
        (
            "protected is an object",
            changed(&flat, |it| it["protected"] = json!({ "alg": "ES256" })),
        ),
        ("protected is empty", changed(&flat, |it| it["protected"] = "".into())),
        ("protected has no members", changed(&flat, |it| it["protected"] = "e30".into())),
        ("header is empty", changed(&flat, |it| it["header"] = json!({}))),
        ("header is a text", changed(&flat, |it| it["header"] = json!("e30"))),
        ("header is null", changed(&flat, |it| it["header"] = json!(null))),
        ("alg twice", changed(&flat, |it| it["header"] = json!({ "alg": "ES256" }))),
        ("kid twice", changed(&flat, |it| it["header"] = json!({ "kid": "a" }))),
        ("crit unprotected", changed(&flat, |it| it["header"] = json!({ "crit": ["x"], "x": 1 }))),
        ("b64 unprotected", changed(&flat, |it| it["header"] = json!({ "b64": false }))),
        ("b64 true unprotected", changed(&flat, |it| it["header"] = json!({ "b64": true }))),
        (
            "crit names what is unprotected",
            changed(&flat, |it| {
                it["protected"] = encoded(json!({ "alg": "ES256", "crit": ["x"] })).into();
                it["header"] = json!({ "x": 1 });
            }),
        ),
        (
            "no header at all",
            changed(&flat, |it| drop(it.as_object_mut().unwrap().remove("protected"))),
        ),
        ("signature is null", changed(&flat, |it| it["signature"] = json!(null))),
        ("a JWE too", both(r#""ciphertext":"AA""#)),
        ("recipients too", both(r#""recipients":[]"#)),
        ("text after", format!("{flat} {{}}")),
        ("BOM", format!("\u{feff}{flat}")),
        ("an array", format!("[{flat}]")),
        ("cut", flat[..flat.len() - 1].to_owned()),
        ("deep", both(&format!(r#""x":{}1{}"#, "[".repeat(100), "]".repeat(100)))),
    ];
    for (what, token) in &cases {
        for require in [Require::All, Require::Any] {
            let answer = verify(token, &all(), &keys, &require);
            let is_payload = what.starts_with("payload is not");
            let expected = if is_payload { "signature_invalid" } else { "malformed" };
            assert_eq!(answer, Err(expected), "{what}: {token}");
        }
    }
    let mut bytes = flat.clone().into_bytes();
    bytes.insert(2, 0xff);
    assert_eq!(Jws::parse(&bytes, &all()).unwrap_err().code(), "malformed");
    let mut short = all();
    short.limits.max_token_len = flat.len() - 1;
    assert_eq!(verify(&flat, &short, &keys, &Require::All), Err("malformed"));
    // What is not defined is passed over (RFC 7515 section 7.2.1), and white space is nothing.
    let more = changed(&flat, |it| it["other"] = json!({ "alg": "none" }));
    verify(&format!(" \n{more}\t"), &all(), &keys, &Require::All).unwrap();
    let most = changed(&general, |it| {
        let one = it["signatures"][0].clone();
        it["signatures"] = json!(vec![one; MAX_SIGNATURES]);
    });
    verify(&most, &all(), &keys, &Require::All).unwrap();
}

/// Only protected members are believed, except where policy says otherwise, and then only alg and
/// kid.
#[test]
fn unprotected_members_are_believed_only_where_policy_says_so() {
    let (a, b) = (Party::new(Es256, "a", "A"), Party::new(Es256, "b", "B"));
    let strict = Policy::of(Profile::Strict).jws;
    assert_eq!(strict.unprotected, JwsUnprotectedHeader::Ignored);
    assert_eq!(all().unprotected, JwsUnprotectedHeader::Joint);
    let keys = trusting(&[&a, &b]);
    let bare = JwsParameters { alg: Es256, kid: None, typ: None, cty: None };
    let signed = |unprotected: Value| {
        let signer = Signer::new(&*a.key, &bare);
        let signer = signer.with_unprotected(unprotected.as_object().unwrap()).unwrap();
        jws::sign_as(&[signer], form(Flattened), b"payload").unwrap()
    };
    let right = signed(json!({ "kid": "a" }));
    verify(&right, &strict, &keys, &Require::All).unwrap();
    verify(&right, &all(), &keys, &Require::All).unwrap();
    // Anyone can change it: where it is believed it can only lead to another key, and fail.
    let wrong = signed(json!({ "kid": "b" }));
    verify(&wrong, &strict, &keys, &Require::All).unwrap();
    assert_eq!(verify(&wrong, &all(), &keys, &Require::All), Err("signature_invalid"));
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let token = signed(json!({ name: "x" }));
        assert_eq!(verify(&token, &strict, &keys, &Require::All), Err("policy"), "{name}");
    }
    for (name, value, code) in [("enc", "A256GCM", "policy"), ("zip", "DEF", "malformed")] {
        let token = changed(&right, |token| token["header"] = json!({ name: value }));
        assert_eq!(verify(&token, &all(), &keys, &Require::All), Err(code), "{name}");
    }
    // typ and cty of an unprotected header are in no result.
    let typed = signed(json!({ "typ": "at+jwt" }));
    let verified = Jws::parse(typed.as_bytes(), &all()).unwrap().verify(&keys, &Require::All);
    assert_eq!(verified.unwrap().signatures()[0].header().typ(), None);
}

/// RFC 7797.
#[test]
fn b64_is_taken_only_as_the_rfc_says() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    let signed = |header: Value, carried: &str, payload: &str| {
        let protected = encoded(header);
        let input = [protected.as_bytes(), payload.as_bytes()].join(&b'.');
        let message = hsm_jose::backend::ToSign::Message(&input);
        let signature = base64url::encode(&party.key.sign(Es256, message).unwrap());
        (
            format!("{protected}.{carried}.{signature}"),
            json!({ "protected": protected, "payload": carried, "signature": signature })
                .to_string(),
        )
    };
    let plain = json!({ "alg": "ES256", "b64": false, "crit": ["b64"] });
    let (compact, flat) = signed(plain.clone(), "a b!", "a b!");
    for token in [&compact, &flat] {
        assert_eq!(verify(token, &all(), &keys, &Require::All), Ok((b"a b!".to_vec(), vec![0])));
        // Not in the strict profile, unless the configuration says so; never in a JWT (section 7).
        let strict = Policy::of(Profile::Strict);
        assert_eq!(verify(token, &strict.jws, &keys, &Require::All), Err("policy"));
        let allowed = strict.extended(CriticalExtensions::default(), Some(true));
        assert!(verify(token, &allowed.jws, &keys, &Require::All).is_ok());
        let refused = Policy::of(Profile::All).extended(CriticalExtensions::default(), Some(false));
        assert_eq!(verify(token, &refused.jws, &keys, &Require::All), Err("policy"));
    }
    assert_eq!(JwsToken::parse(compact.as_bytes(), &all()).unwrap_err().code(), "policy");
    // Section 6: false only with crit; and a boolean (section 3).
    for (header, code) in [
        (json!({ "alg": "ES256", "b64": false }), "malformed"),
        (json!({ "alg": "ES256", "b64": "false", "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "b64": 0, "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "b64": null, "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "b64": false, "crit": ["b64", "x"], "x": 1 }), "policy"),
    ] {
        let (compact, flat) = signed(header.clone(), "YWI", "YWI");
        for token in [compact, flat] {
            assert_eq!(verify(&token, &all(), &keys, &Require::All), Err(code), "{header}");
        }
    }
    // True is what is so without it.
    for header in [
        json!({ "alg": "ES256", "b64": true, "crit": ["b64"] }),
        json!({ "alg": "ES256", "b64": true }),
    ] {
        let (compact, flat) = signed(header, "YWI", "YWI");
        for token in [compact, flat] {
            assert_eq!(verify(&token, &all(), &keys, &Require::All), Ok((b"ab".to_vec(), vec![0])));
        }
    }
    // Section 8: a payload is not what its encoding is.
    let (_, flat) = signed(plain.clone(), "YWI", "YWI");
    assert_eq!(verify(&flat, &all(), &keys, &Require::All), Ok((b"YWI".to_vec(), vec![0])));
    // Section 5.2: no period and nothing unprintable in a compact one.
    for payload in ["a.b", "a\tb", "a\x7fb", "caf\u{e9}"] {
        let (compact, flat) = signed(plain.clone(), payload, payload);
        assert_eq!(verify(&compact, &all(), &keys, &Require::All), Err("malformed"), "{payload:?}");
        assert!(verify(&flat, &all(), &keys, &Require::All).is_ok(), "{payload:?}");
    }
    // Section 3: the same for all signatures.
    let encoded_one: Value =
        serde_json::from_str(&sign(&[&party], form(Flattened), b"ab")).unwrap();
    let (_, flat) = signed(plain, "YWI", "YWI");
    let flat: Value = serde_json::from_str(&flat).unwrap();
    let mixed = json!({ "payload": "YWI", "signatures": [encoded_one, flat] }).to_string();
    for require in [Require::All, Require::Any] {
        assert_eq!(verify(&mixed, &all(), &keys, &require), Err("malformed"));
    }
    // Signing: what cannot be carried is refused before the device is asked.
    let unencoded = |serialization| JwsForm { serialization, detached: false, unencoded: true };
    for payload in [&b"a.b"[..], b"a b", b"\xff"] {
        let error = jws::sign_as(&[party.signer()], unencoded(Compact), payload).unwrap_err();
        assert_eq!(error.code(), "usage");
    }
    let error = jws::sign_as(&[party.signer()], unencoded(General), b"\xff").unwrap_err();
    assert_eq!(error.code(), "usage");
}

/// RFC 7515 section 4.1.11, with the extensions of UK Open Banking.
#[test]
fn critical_extensions_are_those_that_somebody_checks() {
    const IAT: &str = "http://openbanking.org.uk/iat";
    const ISS: &str = "http://openbanking.org.uk/iss";
    const TAN: &str = "http://openbanking.org.uk/tan";
    let party = Party::new(Ps256, "a", "A");
    let keys = trusting(&[&party]);
    let members = json!({ IAT: 1_501_497_671, ISS: "C=UK, O=Acme", TAN: "openbanking.org.uk" });
    let token = |members: &Value| {
        let signer = party.signer().with_protected(members.as_object().unwrap()).unwrap();
        let signer = [IAT, ISS, TAN].iter().try_fold(signer, |it, name| it.with_critical(name));
        let form = JwsForm { serialization: Compact, detached: true, unencoded: true };
        jws::sign_as(&[signer.unwrap()], form, b"{}").unwrap()
    };
    let known = |names: &[&str]| {
        names.iter().fold(CriticalExtensions::default(), |all, name| {
            all.with(CriticalExtension::known(name).unwrap()).unwrap()
        })
    };
    let check = |token: &str, extensions: CriticalExtensions| {
        let policy = Policy::of(Profile::All).extended(extensions, None);
        let jws = Jws::parse(token.as_bytes(), &policy.jws).map_err(|error| error.code())?;
        let verified = jws.verify_detached(b"{}", &keys, &Require::All);
        verified.map(drop).map_err(|error| error.code())
    };
    let good = token(&members);
    assert_eq!(check(&good, known(&[IAT, ISS, TAN])), Ok(()));
    assert_eq!(check(&good, known(&[IAT, ISS])), Err("policy"));
    assert_eq!(check(&good, CriticalExtensions::default()), Err("policy"));
    for (name, value) in [(IAT, json!(4_000_000_000_u64)), (ISS, json!(1)), (TAN, json!("a b"))] {
        let mut members = members.clone();
        members[name] = value;
        assert_eq!(check(&token(&members), known(&[IAT, ISS, TAN])), Err("policy"), "{name}");
    }
    // One of the caller's own, which sees the header too.
    let own = CriticalExtension::new("exp", |value, header| {
        match value.is_u64() && header.kid() == Some("a") {
            true => Ok(()),
            false => Err("is not for this key".into()),
        }
    });
    let own = CriticalExtensions::default().with(own.unwrap()).unwrap();
    for (value, expected) in [(json!(1), Ok(())), (json!("1"), Err("policy"))] {
        let signer = party.signer().with_protected(&members_of(json!({ "exp": value }))).unwrap();
        let signer = signer.with_critical("exp").unwrap();
        let form = JwsForm { detached: true, ..JwsForm::default() };
        let token = jws::sign_as(&[signer], form, b"{}").unwrap();
        assert_eq!(check(&token, own.clone()), expected);
    }
}

fn members_of(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn headers_that_contradict_themselves_are_not_made() {
    let party = Party::new(Es256, "a", "A");
    for name in ["alg", "kid", "typ", "cty", "crit", "b64", "enc", "zip", "epk"] {
        let members = members_of(json!({ name: "x" }));
        assert!(party.signer().with_protected(&members).is_err(), "{name}");
    }
    for name in ["alg", "kid", "crit", "b64", "enc", "zip"] {
        let members = members_of(json!({ name: "x" }));
        assert!(party.signer().with_unprotected(&members).is_err(), "{name}");
    }
    let x = members_of(json!({ "x": 1 }));
    assert!(party.signer().with_protected(&x).unwrap().with_unprotected(&x).is_err());
    assert!(party.signer().with_critical("x").is_err());
    assert!(party.signer().with_critical("kid").is_err());
    assert!(party.signer().with_unprotected(&x).unwrap().with_critical("x").is_err());
    let marked = party.signer().with_protected(&x).unwrap().with_critical("x").unwrap();
    assert!(marked.clone().with_critical("x").is_err());
    let usage = |signers: &[Signer<'_>], form| {
        assert_eq!(jws::sign_as(signers, form, b"a").unwrap_err().code(), "usage");
    };
    usage(&[], form(General));
    usage(&[party.signer(), party.signer()], form(Flattened));
    usage(&[party.signer(), party.signer()], form(Compact));
    usage(&vec![party.signer(); MAX_SIGNATURES + 1], form(General));
    usage(&[party.signer().with_unprotected(&x).unwrap()], form(Compact));
    let long = members_of(json!({ "x": "x".repeat(20_000) }));
    usage(&[party.signer().with_protected(&long).unwrap()], form(Compact));
}

/// 64 MiB that are nowhere in memory, with a count of what was read.
struct Large {
    left: usize,
    largest_read: usize,
}

impl Large {
    const LEN: usize = 64 * 1024 * 1024;

    fn new() -> Self {
        Self { left: Self::LEN, largest_read: 0 }
    }
}

impl Read for &mut Large {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.largest_read = self.largest_read.max(buffer.len());
        let len = self.left.min(buffer.len());
        buffer[..len].fill(b'x');
        self.left -= len;
        Ok(len)
    }
}

#[test]
fn a_large_payload_goes_by_without_being_held() {
    let (ec, rsa, ed) =
        (Party::new(Es256, "e", "A"), Party::new(Ps256, "r", "B"), Party::new(EdDsa, "d", "C"));
    let keys = trusting(&[&ec, &rsa, &ed]);
    for unencoded in [false, true] {
        let form = JwsForm { serialization: General, detached: true, unencoded };
        let mut payload = Large::new();
        let token = jws::sign_reader(&[ec.signer(), rsa.signer()], form, &mut payload).unwrap();
        assert!(token.len() < 2000 && payload.left == 0 && payload.largest_read <= 64 * 1024);
        let mut payload = Large::new();
        let parse = || Jws::parse(token.as_bytes(), &all()).unwrap();
        assert!(parse().takes_reader());
        let verified = parse().verify_reader(&mut payload, &keys, &Require::All).unwrap();
        assert_eq!(verified.signatures().len(), 2);
        assert!(payload.left == 0 && payload.largest_read <= 64 * 1024);
        let mut shorter = Large { left: Large::LEN - 1, largest_read: 0 };
        let error = parse().verify_reader(&mut shorter, &keys, &Require::Any).unwrap_err();
        assert_eq!(error.code(), "signature_invalid");
    }
    // What is signed by reader verifies from memory, and the reverse.
    let payload = vec![b'x'; 100_000];
    for unencoded in [false, true] {
        let form = JwsForm { serialization: General, detached: true, unencoded };
        let streamed = jws::sign_reader(&[ec.signer()], form, &payload[..]).unwrap();
        let jws = Jws::parse(streamed.as_bytes(), &all()).unwrap();
        jws.verify_detached(&payload, &keys, &Require::All).unwrap();
        let whole = sign(&[&rsa, &ed], form, &payload);
        let jws = || Jws::parse(whole.as_bytes(), &all()).unwrap();
        let one = jws().verify_reader(&payload[..], &keys, &Require::Any).unwrap();
        assert_eq!(one.signatures()[0].alg(), Ps256);
        // Ed25519 goes over the message twice (RFC 8032 section 5.1.6).
        assert!(!jws().takes_reader());
        let error = jws().verify_reader(&payload[..], &keys, &Require::All).unwrap_err();
        assert_eq!(error.code(), "usage", "{error}");
    }
    let form = JwsForm { serialization: Compact, detached: true, unencoded: false };
    let error = jws::sign_reader(&[ed.signer()], form, &payload[..]).unwrap_err();
    assert!(error.to_string().contains("RFC 8032"), "{error}");
    let attached = JwsForm { detached: false, ..form };
    assert_eq!(jws::sign_reader(&[ec.signer()], attached, &b""[..]).unwrap_err().code(), "usage");
}

#[test]
fn a_jws_is_split_joined_and_written_otherwise() {
    let (a, b) = (Party::new(Es256, "a", "A"), Party::new(EdDsa, "b", "B"));
    let keys = trusting(&[&a, &b]);
    let general = sign(&[&a, &b], form(General), b"payload");
    let parts = JwsParts::parse(general.as_bytes(), MAX_TOKEN_LEN).unwrap();
    assert!(matches!(parts.payload, Some(std::borrow::Cow::Borrowed(_))), "no copy of a payload");
    assert_eq!(parts.write(Compact).unwrap_err().code(), "usage");
    assert_eq!(parts.write(Flattened).unwrap_err().code(), "usage");
    let split = parts.clone().split();
    for part in &split {
        for serialization in [Compact, Flattened, General] {
            let token = part.write(serialization).unwrap();
            assert!(verify(&token, &all(), &keys, &Require::All).is_ok(), "{token}");
            let again = JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
            assert_eq!(again.serialization, serialization);
            assert_eq!((&again.payload, &again.signatures), (&part.payload, &part.signatures));
        }
    }
    let joined = JwsParts::join(split).unwrap();
    assert_eq!(joined, parts);
    assert_eq!(joined.write(General).unwrap(), general);
    // Not to be joined: other payloads, none, too many.
    let other = sign(&[&a], form(Compact), b"another");
    let other = JwsParts::parse(other.as_bytes(), MAX_TOKEN_LEN).unwrap();
    assert!(JwsParts::join([parts.clone(), other]).is_err());
    assert!(JwsParts::join([]).is_err());
    assert!(JwsParts::join(vec![parts; MAX_SIGNATURES / 2 + 1]).is_err());
    // What the compact serialization has no place for.
    let header = members_of(json!({ "x": 1 }));
    let signer = a.signer().with_unprotected(&header).unwrap();
    let unencoded = JwsForm { serialization: Flattened, detached: false, unencoded: true };
    for token in [
        jws::sign_as(&[signer], form(Flattened), b"a").unwrap(),
        jws::sign_as(&[a.signer()], unencoded, b"a.b").unwrap(),
    ] {
        let parts = JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
        assert_eq!(parts.write(Compact).unwrap_err().code(), "usage", "{token}");
    }
}

/// What was made before, the compact JWS of one signer, is read by both.
#[test]
fn the_compact_serialization_is_one_of_three() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    let token = sign(&[&party], form(Compact), b"payload");
    let verified = JwsToken::parse(token.as_bytes(), &all()).unwrap().verify(&keys).unwrap();
    assert_eq!(verified.get().as_bytes(), b"payload");
    // A context, and whoever asks for a compact JWS, takes no other.
    for serialization in [Flattened, General] {
        let token = sign(&[&party], form(serialization), b"payload");
        assert_eq!(JwsToken::parse(token.as_bytes(), &all()).unwrap_err().code(), "malformed");
    }
    let empty = sign(&[&party], form(Compact), b"");
    assert_eq!(verify(&empty, &all(), &keys, &Require::All), Ok((Vec::new(), vec![0])));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Sign then verify for any payload and form; a changed octet anywhere is refused.
    #[test]
    fn what_was_signed_verifies_and_nothing_else_does(
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        detached: bool,
        unencoded: bool,
        general: bool,
        at: prop::sample::Index,
        bit in 0..8u32,
    ) {
        thread_local! {
            static PARTIES: (Party, Party) = (Party::new(Es256, "a", "A"), Party::new(EdDsa, "b", "B"));
        }
        // In JSON, an unencoded payload is text.
        let payload = match unencoded && !detached {
            true => String::from_utf8_lossy(&payload).into_owned().into_bytes(),
            false => payload,
        };
        PARTIES.with(|(a, b)| {
            let keys = trusting(&[a, b]);
            let serialization = if general { General } else { Flattened };
            let parties: &[&Party] = if general { &[a, b] } else { &[a] };
            let token = sign(parties, JwsForm { serialization, detached, unencoded }, &payload);
            let open = |token: &[u8], payload: &[u8]| -> Result<Vec<u8>, Error> {
                let jws = Jws::parse(token, &all())?;
                match detached {
                    true => {
                        jws.verify_detached(payload, &keys, &Require::All)?;
                        Ok(payload.to_vec())
                    }
                    false => Ok(jws.verify(&keys, &Require::All)?.into_inner().into_bytes()),
                }
            };
            prop_assert_eq!(open(token.as_bytes(), &payload).unwrap(), payload.clone());
            let mut other = token.clone().into_bytes();
            let place = at.index(other.len());
            other[place] ^= 1 << bit;
            // Members are found by name: a changed name or bracket is another structure, and never
            // another content.
            if let Ok(content) = open(&other, &payload) {
                prop_assert_eq!(content, payload.clone(), "{}", String::from_utf8_lossy(&other));
            }
            if detached && !payload.is_empty() {
                let mut wrong = payload.clone();
                let place = at.index(wrong.len());
                wrong[place] ^= 1 << bit;
                prop_assert!(open(token.as_bytes(), &wrong).is_err());
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_text_makes_the_parser_fail_otherwise(text in "\\PC{0,200}", json in "[{}\\[\\]\",:a-z0-9.\\\\ ]{0,200}") {
        for text in [text, format!("{{{json}"), json] {
            if let Err(error) = Jws::parse(text.as_bytes(), &all()) {
                prop_assert!(["malformed", "policy"].contains(&error.code()));
            }
        }
    }
}

/// JSON has a place for a dot in any text; the compact serialization has not.
#[test]
fn what_is_not_base64url_is_not_written_as_a_compact_jws() {
    for (protected, signature) in [("e30.e30", "AAAA"), ("e30", "AA.AA"), ("e30", "é")] {
        let token =
            format!(r#"{{"payload":"e30","protected":"{protected}","signature":"{signature}"}}"#);
        let parts = JwsParts::parse(token.as_bytes(), 1024).unwrap();
        assert_eq!(parts.write(Serialization::Compact).unwrap_err().code(), "usage");
        assert!(parts.write(Serialization::General).is_ok());
    }
}

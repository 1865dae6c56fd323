//! JWS in the JSON serializations, several signatures, detached and unencoded payloads, `crit`: what
//! the parser, policy and the rule for signatures do. Keys are in the memory keystore or of an RFC.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore, ToSign};
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

#[path = "jws/crit.rs"]
mod crit;
#[path = "jws/forms.rs"]
mod forms;
#[path = "jws/payload.rs"]
mod payload;
#[path = "jws/structure.rs"]
mod structure;

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

fn members_of(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
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
            // The wrong half of the two ways to give a payload. A compact token without one may as
            // well have an empty one.
            let jws = || Jws::parse(token.as_bytes(), &all()).unwrap();
            let wrong = match detached {
                true => jws().verify(&keys, &Require::All).map(drop),
                false => jws().verify_detached(payload, &keys, &Require::All).map(drop),
            };
            let expected = match detached && serialization == Compact {
                true => "signature_invalid",
                false => "malformed",
            };
            assert_eq!(wrong.map_err(|error| error.code()), Err(expected), "{token}");
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

/// Only so many keys are tried, those that the token names before the others, and it is said.
#[test]
fn of_many_keys_the_one_that_is_named_is_tried() {
    let (first, other) = (Party::new(Es256, "a", "A"), Party::new(Es256, "b", "B"));
    let token = sign(&[&first], form(Compact), b"payload");
    let nameless = PublicJwk { kid: None, ..other.jwk() };
    let trusting = |last: PublicJwk, strangers: usize| {
        let mut keys = vec![nameless.clone(); strangers];
        keys.push(last);
        TrustedKeys::new(JwkSet { keys }, &Policy::of(Profile::All))
    };
    let verify = |keys: &TrustedKeys| {
        let jws = Jws::parse(token.as_bytes(), &all()).unwrap();
        jws.verify(keys, &Require::All).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(verify(&trusting(first.jwk(), 40)), Ok(()));
    let without_kid = PublicJwk { kid: None, ..first.jwk() };
    assert_eq!(verify(&trusting(without_kid.clone(), jws::MAX_CANDIDATES - 1)), Ok(()));
    let refusal = verify(&trusting(without_kid, jws::MAX_CANDIDATES)).unwrap_err();
    assert!(refusal.contains("17 trusted keys could have signed the token"), "{refusal}");
    let refusal = verify(&trusting(other.jwk(), 0)).unwrap_err();
    assert!(refusal.contains("no trusted key for signatures has the kid"), "{refusal}");
}

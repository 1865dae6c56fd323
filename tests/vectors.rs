//! Vectors that nobody here wrote, with their keys imported into a real SoftHSM token: the examples
//! of the RFCs (`data/rfc/examples.json`), and, where HSM_JOSE_VECTORS names a directory with them,
//! those of the JOSE cookbook (RFC 7520).
#![cfg(feature = "pkcs11")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{
    BackendError, CekRequest, HardwareKey, KeyShape, KeySpec, Keystore, ToSign,
};
use hsm_jose::engine::Engine;
use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, SignatureAlgorithm};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PrivateJwk, PublicJwk, PublicPoint};
use hsm_jose::jose::oct::SecretJwk;
use hsm_jose::jose::serialization::{Jwe, JwsParts, MAX_TOKEN_LEN, Serialization};
use hsm_jose::jwe::{self, Attempt, JweRecipient, JweToken};
use hsm_jose::jws::{self, Jws, JwsForm, JwsParameters, JwsToken, Require, Signer, TrustedKeys};
use hsm_jose::keyring::KeyringFile;
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{ImportRequest, KeyRequest, import};
use hsm_jose::policy::{Policy, Profile};
use hsm_jose::primitives::concat_kdf;
use hsm_jose::secret::SharedSecret;
use serde_json::Value;
use zeroize::Zeroizing;

fn examples() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc/examples.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// The devices of this process.
fn keystores() -> &'static [Box<dyn Keystore>] {
    // Each test takes its turn, not only the one that opens them.
    common::logged_in();
    static KEYSTORES: OnceLock<Vec<Box<dyn Keystore>>> = OnceLock::new();
    KEYSTORES.get_or_init(|| {
        vec![
            Box::new(common::open("vectors")),
            #[cfg(feature = "tpm")]
            Box::new(common::swtpm::open("vectors")),
        ]
    })
}

/// Imports a private or symmetric JWK into every device of this process that can have it, and the
/// first can.
fn imported(jwk: &Value, alg: KeyAlgorithm) -> Vec<Arc<dyn HardwareKey>> {
    let json = jwk.to_string();
    let secret = alg.is_symmetric().then(|| SecretJwk::parse(json.as_bytes()).unwrap());
    let private = secret.is_none().then(|| PrivateJwk::parse(json.as_bytes()).unwrap());
    let shape = match (&secret, &private) {
        (Some(secret), _) => KeyShape::Oct { bits: secret.bits() },
        (None, private) => KeyShape::of(&private.as_ref().unwrap().public.key),
    };
    let mut keys = Vec::new();
    for keystore in keystores() {
        if keys.is_empty() || keystore.supports(alg, shape).unwrap().is_available() {
            let locator = keystore.new_locator("vector").unwrap();
            let spec = KeySpec { shape, algs: vec![alg] };
            let key = match (&secret, &private) {
                (Some(secret), _) => keystore.import_secret(&locator, &spec, secret),
                (None, private) => keystore.import(&locator, &spec, private.as_ref().unwrap()),
            };
            match key {
                // A TPM authenticates with the keys that it made itself.
                Err(BackendError::Unsupported { .. }) if secret.is_some() && !keys.is_empty() => {}
                key => keys.push(key.unwrap()),
            }
        }
    }
    keys
}

/// What the engine makes of a token: its content, or the code of its refusal; the same with every
/// device.
fn outcome(kind: &str, token: &str, key: Option<&Value>) -> Result<Vec<u8>, Error> {
    let policy = Policy::of(Profile::All);
    let mut contents = Vec::new();
    if kind == "jwe" {
        let parsed = JweToken::parse(token.as_bytes(), &policy.jwe)?;
        let key = key.expect("a key for a token that opens");
        // The recipient whose key it is: the only one, or the one with its kid.
        let is_meant = |recipient: &JweRecipient| {
            parsed.recipient_count() == 1 || recipient.kid() == key["kid"].as_str()
        };
        let recipient = parsed.recipients().iter().position(is_meant).expect("a recipient");
        let alg = parsed.recipients()[recipient].alg;
        for key in imported(key, KeyAlgorithm::Unwrap(alg)) {
            let parsed = JweToken::parse(token.as_bytes(), &policy.jwe)?;
            let attempt = Attempt { recipient, key: &*key };
            contents.push(jwe::decrypt(parsed, &[attempt])?.plaintext.into_bytes());
        }
    } else {
        let alg = JwsToken::parse(token.as_bytes(), &policy.jws)?.alg();
        let key = key.expect("a key for a token that verifies");
        for key in imported(key, KeyAlgorithm::Sign(alg)) {
            let parsed = JwsToken::parse(token.as_bytes(), &policy.jws)?;
            if alg.is_symmetric() {
                let jws = Jws::parse(token.as_bytes(), &policy.jws)?;
                contents.push(jws.authenticate(&*key, None)?.into_inner().into_bytes());
                let (input, mac) = token.rsplit_once('.').unwrap();
                let again = key.sign(alg, ToSign::Message(input.as_bytes())).unwrap();
                assert_eq!(base64url::encode(&again), mac);
                continue;
            }
            // The private key's public half, as the keystore tells it after the import.
            let public = PublicJwk::bare(key.info().public.clone().unwrap());
            let trusted = TrustedKeys::new(JwkSet { keys: vec![public] }, &policy);
            contents.push(parsed.verify(&trusted)?.into_inner().into_bytes());
            let (input, signature) = token.rsplit_once('.').unwrap();
            let signed = key.sign(alg, ToSign::Message(input.as_bytes())).unwrap();
            if alg.name().starts_with("RS") || alg.name() == "EdDSA" {
                let signed = base64url::encode(&signed);
                assert_eq!(signed, signature, "a deterministic {alg} signature");
            }
        }
    }
    assert!(contents.windows(2).all(|pair| pair[0] == pair[1]));
    Ok(contents.swap_remove(0))
}

#[test]
fn rfc_examples_open_and_verify_or_are_refused_by_policy() {
    let examples = examples();
    let cases = examples["tokens"].as_array().unwrap();
    let mut counts = (0, 0);
    for case in cases {
        let source = text(case, "source");
        let token = match &case["token"] {
            Value::String(token) => token.clone(),
            json => json.to_string(),
        };
        let outcome = outcome(text(case, "kind"), &token, case.get("key"));
        match text(case, "expect") {
            "opens" => {
                let payload = base64url::decode(text(case, "payload").as_bytes()).unwrap();
                assert_eq!(outcome.unwrap(), payload, "{source}");
                counts.0 += 1;
            }
            code => {
                assert_eq!(outcome.unwrap_err().code(), code, "{source}");
                counts.1 += 1;
            }
        }
    }
    assert_eq!(counts, (9, 5));
}

/// RFC 7515 appendices A.6 and A.7: signed again, with the keys in the devices. RS256 is
/// deterministic, and comes out as it stands there.
#[test]
fn json_serializations_are_signed_again() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc/jws-json.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let policy = Policy::of(Profile::All);
    let mut equal = 0;
    for case in vectors["signed"].as_array().unwrap().iter().take(2) {
        let source = text(case, "source");
        let payload = base64url::decode(text(case, "payload").as_bytes()).unwrap();
        let token = case["token"].to_string();
        let parts = JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
        let (mut signers, mut public) = (Vec::new(), Vec::new());
        let algs = case["algs"].as_array().unwrap().iter().map(|alg| alg.as_str().unwrap());
        let keys: Vec<_> = case["keys"].as_array().unwrap().iter().zip(algs).collect();
        let imported: Vec<_> = keys
            .iter()
            .map(|(key, alg)| imported(key, KeyAlgorithm::from_name(alg).unwrap()).swap_remove(0))
            .collect();
        for ((handle, (_, alg)), signature) in imported.iter().zip(&keys).zip(&parts.signatures) {
            let alg = SignatureAlgorithm::from_name(alg).unwrap();
            let parameters = JwsParameters { alg, kid: None, typ: None, cty: None };
            let signer = Signer::new(&**handle, &parameters);
            signers.push(signer.with_unprotected(&signature.header).unwrap());
            public.push(PublicJwk::bare(handle.info().public.clone().unwrap()));
        }
        let form = JwsForm { serialization: parts.serialization, ..JwsForm::default() };
        let again = jws::sign_as(&signers, form, &payload).unwrap();
        let read = JwsParts::parse(again.as_bytes(), MAX_TOKEN_LEN).unwrap();
        assert_eq!(read.payload, parts.payload, "{source}");
        for (ours, theirs) in read.signatures.iter().zip(&parts.signatures) {
            assert_eq!((&ours.protected, &ours.header), (&theirs.protected, &theirs.header));
            equal += usize::from(ours.signature == theirs.signature);
        }
        let trusted = TrustedKeys::new(JwkSet { keys: public }, &policy);
        for token in [&again, &token] {
            let jws = Jws::parse(token.as_bytes(), &policy.jws).unwrap();
            let verified = jws.verify(&trusted, &Require::All).unwrap();
            assert_eq!(verified.get().as_bytes(), payload, "{source}");
        }
    }
    assert_eq!(equal, 1);
}

/// RFC 7520 sections 4.5 to 4.7 and RFC 7797 section 4, with the key in the devices.
#[test]
fn macs_in_every_form_are_those_of_the_rfcs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc/jws-json.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let policy = Policy::of(Profile::All);
    let cases = vectors["macs"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let source = text(case, "source");
        let payload = base64url::decode(text(case, "payload").as_bytes()).unwrap();
        let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Hs256);
        let keys = imported(&case["key"], alg);
        for token in case["tokens"].as_array().unwrap() {
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            let parse = || Jws::parse(token.as_bytes(), &policy.jws).unwrap();
            for key in &keys {
                let kid = case["key"]["kid"].as_str();
                if case["detached"] == true {
                    parse().authenticate_detached(&payload, &**key, kid).expect(source);
                    let other = parse().authenticate_detached(b"other", &**key, kid);
                    assert!(matches!(other, Err(Error::SignatureInvalid)), "{source}");
                } else {
                    let done = parse().authenticate(&**key, kid).expect(source);
                    assert_eq!(done.get().as_bytes(), payload, "{source}");
                }
                // No public key stands in for it.
                let nobody = TrustedKeys::new(JwkSet::default(), &policy);
                assert!(parse().verify(&nobody, &Require::All).is_err(), "{source}");
            }
        }
    }
}

/// RFC 7520 section 4.8: the third of its signatures is a MAC.
#[test]
fn a_mac_among_several_signatures_is_that_of_the_rfc() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc/jws-json.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (case, key) = (&vectors["signed"][2], &vectors["macs"][0]["key"]);
    assert_eq!(text(case, "source"), "RFC 7520 section 4.8");
    let payload = base64url::decode(text(case, "payload").as_bytes()).unwrap();
    let policy = Policy::of(Profile::All);
    let alg = SignatureAlgorithm::Hs256;
    let parse = |token: &str| Jws::parse(token.as_bytes(), &policy.jws).unwrap().count();
    let token = case["token"].to_string();
    assert_eq!(parse(&token), 3);
    let mut detached = case["token"].clone();
    detached.as_object_mut().unwrap().remove("payload");
    // Too many that could be the key's are not tried: each is a call to the device.
    let mut many = case["token"].clone();
    let mac = many["signatures"][2].clone();
    many["signatures"] = vec![mac; 5].into();
    let kid = key["kid"].as_str();
    for key in imported(key, KeyAlgorithm::Sign(alg)) {
        let any = |token: &str, kid| {
            Jws::parse(token.as_bytes(), &policy.jws)?.authenticate_any(alg, &*key, kid)
        };
        let done = any(&token, kid).unwrap();
        assert_eq!((done.get().as_bytes(), done.index(), done.alg()), (&payload[..], 2, alg));
        let jws = Jws::parse(token.as_bytes(), &policy.jws).unwrap();
        assert_eq!(jws.authenticate(&*key, kid).unwrap_err().code(), "policy");
        assert_eq!(any(&token, Some("another")).unwrap_err().code(), "key_not_found");
        assert_eq!(any(&many.to_string(), kid).unwrap_err().code(), "policy");
        let other = token.replacen("\"payload\":\"", "\"payload\":\"AAAA", 1);
        assert_eq!(any(&other, kid).unwrap_err().code(), "signature_invalid");
        let over = |payload: &[u8]| {
            let text = detached.to_string();
            let jws = Jws::parse(text.as_bytes(), &policy.jws)?;
            jws.authenticate_any_detached(payload, alg, &*key, kid).map(|done| done.index())
        };
        assert_eq!(over(&payload).unwrap(), 2);
        assert_eq!(over(b"another").unwrap_err().code(), "signature_invalid");
    }
}

/// RFC 7518 appendix C and RFC 8037 appendix A.6: Z and the derived key, through the token.
#[test]
fn agreements_are_reproduced() {
    for case in examples()["agreements"].as_array().unwrap() {
        let source = text(case, "source");
        let info = |name| base64url::decode(text(case, name).as_bytes()).unwrap();
        let other_info =
            concat_kdf::other_info(text(case, "algorithm_id"), &info("apu"), &info("apv"), 16);
        if let Some(expected) = case.get("other_info_hex") {
            let hex: String = other_info.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(Some(hex.as_str()), expected.as_str(), "{source}");
        }
        let z = common::unhex(text(case, "z_hex"));
        let derived = concat_kdf::derive(&SharedSecret::new(Zeroizing::new(z)), &other_info, 16);
        if let Some(expected) = case.get("derived_key") {
            assert_eq!(
                Some(base64url::encode(derived.expose()).as_str()),
                expected.as_str(),
                "{source}"
            );
        }
        // The token's derived key is this one: it opens what this one sealed.
        let enc = ContentEncryption::A128Gcm;
        let (iv, ciphertext, tag) = common::seal(enc, derived.expose(), b"aad", b"content");
        let alg = KeyAlgorithm::from_name("ECDH-ES").unwrap();
        let epk = PublicPoint::from_members(case["epk"].as_object().unwrap()).unwrap();
        let request = CekRequest::EcdhEs { epk: &epk, other_info: &other_info, wrapped: None };
        for key in imported(&case["private"], alg) {
            let cek = key.unwrap_cek(&request, enc).unwrap();
            let opened = cek.decrypt(&iv, b"aad", &ciphertext, &tag).unwrap();
            assert_eq!(opened.as_bytes(), b"content", "{source}");
        }
    }
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    for case in examples()["thumbprints"].as_array().unwrap() {
        let jwk = PublicJwk::parse(case["jwk"].to_string().as_bytes()).unwrap();
        assert_eq!(jwk.key.thumbprint(), text(case, "thumbprint"), "{}", text(case, "source"));
    }
}

/// RFC 7520. What this release refuses must be refused by policy, and everything else must open.
#[test]
fn the_cookbook_opens_where_its_vectors_are() {
    let Some(vectors) = std::env::var_os("HSM_JOSE_VECTORS").map(PathBuf::from) else {
        println!("HSM_JOSE_VECTORS names no directory: the cookbook was not run");
        return;
    };
    const COMPACT: [(&str, &str, &str); 15] = [
        ("jws", "jws/4_1.rsa_v15_signature.json", "opens"),
        ("jws", "jws/4_2.rsa-pss_signature.json", "opens"),
        ("jws", "jws/4_3.ecdsa_signature.json", "opens"),
        ("jws", "jws/4_4.hmac-sha2_integrity_protection.json", "opens"),
        ("jwe", "jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json", "policy"),
        ("jwe", "jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json", "opens"),
        ("jwe", "jwe/5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2.json", "policy"),
        (
            "jwe",
            "jwe/5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json",
            "opens",
        ),
        ("jwe", "jwe/5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json", "opens"),
        ("jwe", "jwe/5_6.direct_encryption_using_aes-gcm.json", "opens"),
        ("jwe", "jwe/5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json", "opens"),
        ("jwe", "jwe/5_8.key_wrap_using_aes-keywrap_with_aes-gcm.json", "opens"),
        ("jwe", "jwe/5_9.compressed_content.json", "policy"),
        ("jws", "curve25519/jws.json", "opens"),
        ("jwe", "curve25519/ecdh-es.json", "opens"),
    ];
    let read = |name: &str| -> Value {
        let path = vectors.join("rfc7520").join(name);
        let json =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&json).unwrap()
    };
    for (kind, name, expect) in COMPACT {
        let case = read(name);
        let input = &case["input"];
        let outcome = outcome(kind, text(&case["output"], "compact"), input.get("key"));
        match expect {
            "opens" => {
                let content = input.get("plaintext").or(input.get("payload")).unwrap();
                assert_eq!(outcome.unwrap(), content.as_str().unwrap().as_bytes(), "{name}");
            }
            code => assert_eq!(outcome.unwrap_err().code(), code, "{name}"),
        }
    }
    // JSON serializations, and what the compact ones are in them.
    const JSON: [(&str, Option<usize>, &str); 10] = [
        ("5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json", None, "opens"),
        ("5_6.direct_encryption_using_aes-gcm.json", None, "opens"),
        ("5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json", None, "opens"),
        ("5_8.key_wrap_using_aes-keywrap_with_aes-gcm.json", None, "opens"),
        ("5_10.including_additional_authentication_data.json", None, "opens"),
        ("5_11.protecting_specific_header_fields.json", None, "opens"),
        ("5_12.protecting_content_only.json", None, "opens"),
        ("5_13.encrypting_to_multiple_recipients.json", Some(1), "opens"),
        ("5_13.encrypting_to_multiple_recipients.json", Some(2), "opens"),
        (
            "5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json",
            None,
            "opens",
        ),
    ];
    for (name, index, expect) in JSON {
        let case = read(&format!("jwe/{name}"));
        let key = match index {
            None => &case["input"]["key"],
            Some(index) => &case["input"]["key"][index],
        };
        for form in ["json", "json_flat"] {
            let Some(token) = case["output"].get(form).map(Value::to_string) else { continue };
            let jwe = Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
            let general = jwe.write(Serialization::General).unwrap();
            for token in [token, general] {
                match (outcome("jwe", &token, Some(key)), expect) {
                    (Ok(content), "opens") => {
                        assert_eq!(content, text(&case["input"], "plaintext").as_bytes(), "{name}");
                    }
                    (outcome, code) => assert_eq!(outcome.unwrap_err().code(), code, "{name}"),
                }
            }
        }
    }
    // What is refused is so in every serialization (5.1, 5.3, 5.9), and so is the first recipient of
    // 5.13 where its key is the only one of ours.
    for (kind, name, expect) in COMPACT.into_iter().filter(|(.., expect)| *expect == "policy") {
        let case = read(name);
        for form in ["json", "json_flat"] {
            let token = case["output"][form].to_string();
            let outcome = outcome(kind, &token, case["input"].get("key"));
            assert_eq!(outcome.unwrap_err().code(), expect, "{name} {form}");
        }
    }
    // What opens does so in every serialization: each is the compact one, written otherwise.
    for (kind, name, _) in COMPACT {
        let case = read(name);
        for form in ["json", "json_flat"] {
            let token = case["output"][form].to_string();
            let written = match kind {
                "jwe" => Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN)
                    .and_then(|it| it.write(Serialization::Compact)),
                _ => JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN)
                    .and_then(|it| it.write(Serialization::Compact)),
            };
            assert_eq!(written.unwrap(), text(&case["output"], "compact"), "{name} {form}");
        }
    }
    first_recipient_is_refused(&read("jwe/5_13.encrypting_to_multiple_recipients.json"));
    // A copy from before RFC 7797: b64 is not critical, which section 6 demands.
    let early = read("rfc7797/4.2.hmac-sha2_b64_false.json");
    for form in ["json", "json_flat"] {
        let token = early["output"][form].to_string();
        let error = Jws::parse(token.as_bytes(), &Policy::of(Profile::All).jws).unwrap_err();
        assert_eq!(error.code(), "malformed");
    }
    let nested = read("6.nesting_signatures_and_encryption.json");
    let (encrypt, sign) = (&nested["encrypt"], &nested["sign"]);
    let inner =
        outcome("jwe", text(&encrypt["output"], "compact"), encrypt["input"].get("key")).unwrap();
    let inner = String::from_utf8(inner).unwrap();
    assert_eq!(inner, text(&sign["output"], "compact"));
    outcome("jws", &inner, sign["input"].get("key")).unwrap();
}

/// The key of an `alg` that is refused is imported for another one, and named by the token all the
/// same.
fn first_recipient_is_refused(case: &Value) {
    let directory = tempfile::tempdir().unwrap();
    let file = KeyringFile::new(&directory.path().join("keyring.json"));
    let keystore = Arc::new(MemoryKeystore::new("memory"));
    let jwk = case["input"]["key"][0].to_string();
    let key = KeyRequest {
        name: "frodo".into(),
        algs: vec![KeyAlgorithm::from_name("RSA-OAEP").unwrap()],
        kid: None,
        profile: Profile::All,
    };
    let private = PrivateJwk::parse(jwk.as_bytes()).unwrap();
    let request = ImportRequest { key, private, waiver: None };
    import(&file, &*keystore, &request).unwrap();
    let keystores = Keystores::opened(vec![keystore], false).unwrap();
    let keyring = file.read().unwrap();
    let engine = Engine::new(Policy::of(Profile::All), Vec::new(), &keyring, keystores).unwrap();
    let token = case["output"]["json"].to_string();
    let error = engine.decrypt(token.as_bytes(), None).unwrap_err();
    assert_eq!(error.code(), "policy");
    assert!(error.to_string().contains("RSA1_5"), "{error}");
}

//! JWE in its JSON serializations (RFC 7516 section 7.2) over memory keystores: what is taken, whose
//! key opens it, and what is believed of a header that nobody protects.

use std::sync::Arc;

use hsm_jose::Error;
use hsm_jose::backend::Keystore;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::engine::{DecryptedContent, EncryptOptions, Engine};
use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement};
use hsm_jose::jose::base64url;
use hsm_jose::jose::inspect::inspect;
use hsm_jose::jose::jwk::PublicJwk;
use hsm_jose::jose::serialization::{Jwe, MAX_RECIPIENTS, MAX_TOKEN_LEN, Serialization};
use hsm_jose::jwe::{self, JweBuilder, JweToken, Recipient};
use hsm_jose::jwt::explain_outside;
use hsm_jose::keyring::KeyringFile;
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
use hsm_jose::policy::{Policy, Profile};
use proptest::prelude::*;
use serde_json::{Value, json};

const ENC: ContentEncryption = ContentEncryption::A256Gcm;
const EC: KeyManagement = KeyManagement::EcdhEsA256Kw;
const RSA: KeyManagement = KeyManagement::RsaOaep256;
const DIRECT: KeyManagement = KeyManagement::EcdhEs;

#[path = "jwe_json/forms.rs"]
mod forms;
#[path = "jwe_json/structure.rs"]
mod structure;

/// Keys in two keystores, and an engine of each profile.
struct World {
    _directory: tempfile::TempDir,
    keyring: KeyringFile,
    keystores: [Arc<dyn Keystore>; 2],
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keyring = KeyringFile::new(&directory.path().join("keyring.json"));
        let keystore = |name| Arc::new(MemoryKeystore::new(name)) as Arc<dyn Keystore>;
        Self { _directory: directory, keyring, keystores: ["one", "two"].map(keystore) }
    }

    /// Makes a key with its name as kid.
    fn generate(&self, keystore: usize, name: &str, alg: KeyManagement) -> PublicJwk {
        let key = KeyRequest {
            name: name.to_owned(),
            algs: vec![KeyAlgorithm::Unwrap(alg)],
            kid: Some(name.to_owned()),
            profile: Profile::Strict,
        };
        let request =
            GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
        let entered = generate(&self.keyring, &*self.keystores[keystore], &request).unwrap();
        entered.jwk().unwrap()
    }

    fn engine(&self, profile: Profile) -> Engine {
        let keystores = Keystores::opened(self.keystores.to_vec(), false).unwrap();
        let keyring = self.keyring.read().unwrap();
        Engine::new(Policy::of(profile), Vec::new(), &keyring, keystores).unwrap()
    }

    fn decrypt(&self, profile: Profile, token: &Value) -> Result<DecryptedContent, Error> {
        self.engine(profile).decrypt(token.to_string().as_bytes(), None)
    }
}

fn stranger(kid: &str, alg: KeyManagement) -> PublicJwk {
    World::new().generate(0, kid, alg)
}

fn recipient(jwk: &PublicJwk) -> Recipient {
    Recipient::new(jwk.clone()).unwrap()
}

/// A general token, as JSON, to these recipients.
fn general(recipients: &[(&Recipient, KeyManagement)]) -> Value {
    let start = JweBuilder::new(ENC).protected("cty", "text/plain").aad(b"aad");
    let jwe = recipients.iter().fold(start, |jwe, (recipient, alg)| jwe.to(recipient, *alg));
    serde_json::from_str(&jwe.encrypt(Serialization::General, b"content").unwrap()).unwrap()
}

/// A flattened token, as JSON, whose protected header has `enc` alone and whose own header `alg`,
/// `kid` and the rest: made of one of two recipients of a general token.
fn flattened(to: &Recipient, alg: KeyManagement) -> Value {
    let other = recipient(&stranger("other", EC));
    let jwe = JweBuilder::new(ENC).to(to, alg).to(&other, EC);
    let general = jwe.encrypt(Serialization::General, b"content").unwrap();
    let jwe = Jwe::parse(general.as_bytes(), MAX_TOKEN_LEN).unwrap();
    let first = jwe.split().next().unwrap().write(Serialization::Flattened).unwrap();
    serde_json::from_str(&first).unwrap()
}

fn with(token: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut token = token.clone();
    change(&mut token);
    token
}

fn drop_member(token: &mut Value, name: &str) {
    token.as_object_mut().unwrap().remove(name).unwrap();
}

fn code(outcome: Result<impl Sized, Error>) -> &'static str {
    outcome.map_or_else(|error| error.code(), |_| "done")
}

#[test]
fn one_token_opens_with_whichever_of_our_keys_it_names() {
    let world = World::new();
    let rsa = recipient(&world.generate(0, "rsa", RSA));
    let ec = recipient(&world.generate(1, "ec", EC));
    let them = recipient(&stranger("them", EC));
    let token = general(&[(&them, EC), (&rsa, RSA), (&ec, EC)]);
    let header = |place: usize| token["recipients"][place]["header"].clone();
    assert_eq!(header(1), json!({ "alg": "RSA-OAEP-256", "kid": "rsa" }));
    assert_eq!(header(2)["kid"], "ec");
    assert!(header(2)["epk"]["x"].is_string());

    let opened = world.decrypt(Profile::Strict, &token).unwrap();
    assert_eq!(opened.plaintext.as_bytes(), b"content");
    assert_eq!((&*opened.key, opened.recipient, opened.recipients), ("rsa", 1, 3));
    assert_eq!((opened.alg, &*opened.keystore), (RSA, "one"));
    assert_eq!(opened.aad, b"aad");
    let protected = json!({ "cty": "text/plain", "enc": "A256GCM" });
    assert_eq!(Value::from(opened.header.members().clone()), protected);
    assert_eq!(Value::from(opened.unprotected), header(1));

    // Without the first of ours, the other opens it; without both, nobody.
    let engine = world.engine(Profile::Strict);
    for (place, key, keystore) in [(1, "ec", "two"), (2, "rsa", "one")] {
        let rest = with(&token, |it| drop(it["recipients"].as_array_mut().unwrap().remove(place)));
        let opened = engine.decrypt(rest.to_string().as_bytes(), None).unwrap();
        assert_eq!((&*opened.key, &*opened.keystore), (key, keystore));
    }
    let foreign = general(&[(&them, EC), (&them, EC)]);
    let error = world.decrypt(Profile::Strict, &foreign).unwrap_err();
    assert_eq!(error.code(), "key_not_found");
    assert!(error.to_string().contains("2 recipients"), "{error}");
    // A key by name takes no other's place.
    let bytes = token.to_string();
    assert_eq!(&*engine.decrypt(bytes.as_bytes(), Some("ec")).unwrap().key, "ec");
    let only_rsa = general(&[(&them, EC), (&rsa, RSA)]).to_string();
    assert_eq!(code(engine.decrypt(only_rsa.as_bytes(), Some("ec"))), "policy");
}

#[test]
fn a_bad_recipient_beside_a_good_one_keeps_nobody_from_opening() {
    let world = World::new();
    let rsa = recipient(&world.generate(0, "rsa", RSA));
    let ec = recipient(&world.generate(1, "ec", EC));
    let token = general(&[(&rsa, RSA), (&ec, EC)]);
    let changed =
        |pointer: &str, value: Value| with(&token, |it| *it.pointer_mut(pointer).unwrap() = value);
    let cases = [
        ("another encrypted key", changed("/recipients/0/encrypted_key", "AAAA".into())),
        ("an alg that is refused", changed("/recipients/0/header/alg", "RSA1_5".into())),
        ("an alg that nobody knows", changed("/recipients/0/header/alg", "X-WRAP".into())),
        ("an alg of another key", changed("/recipients/0/header/alg", "ECDH-ES+A256KW".into())),
        ("a kid of nobody", changed("/recipients/0/header/kid", "nobody".into())),
    ];
    for (what, token) in cases {
        let opened = world.decrypt(Profile::Strict, &token).unwrap();
        assert_eq!((&*opened.key, opened.recipient), ("ec", 1), "{what}");
    }
    // The first is ours as far as its kid goes, and refused; the other is a stranger's.
    let refused = with(&token, |it| {
        it["recipients"][0]["header"]["alg"] = "RSA1_5".into();
        it["recipients"][1]["header"]["kid"] = "nobody".into();
    });
    let error = world.decrypt(Profile::Strict, &refused).unwrap_err();
    assert_eq!(error.code(), "policy");
    assert!(error.to_string().contains("RSA1_5"), "{error}");
    // Nobody's: refused for what it is.
    let none = with(&token, |it| {
        for place in 0..2 {
            it["recipients"][place]["header"]["alg"] = "RSA1_5".into();
        }
    });
    let error = world.decrypt(Profile::All, &none).unwrap_err();
    assert_eq!(error.code(), "policy");
    assert!(error.to_string().contains("RSA1_5"), "{error}");
    let bad = with(&token, |it| {
        for place in 0..2 {
            it["recipients"][place]["encrypted_key"] = "AAAA".into();
        }
    });
    let error = world.decrypt(Profile::Strict, &bad).unwrap_err();
    assert_eq!(error.to_string(), "decryption failed");
}

#[test]
fn a_token_never_costs_more_than_four_attempts() {
    let world = World::new();
    let keys: Vec<_> =
        (0..5).map(|n| recipient(&world.generate(0, &format!("ec-{n}"), EC))).collect();
    let to = |count: usize| {
        let recipients: Vec<_> = keys[..count].iter().map(|key| (key, EC)).collect();
        general(&recipients)
    };
    assert_eq!(code(world.decrypt(Profile::Strict, &to(4))), "done");
    let error = world.decrypt(Profile::Strict, &to(5)).unwrap_err();
    assert_eq!(error.code(), "policy");
    assert!(error.to_string().contains("at most 4"), "{error}");
    // One kid named again and again, or none.
    let repeated = with(&to(1), |it| {
        // The general token of one protects its alg and kid: five of them share these.
        let one = it["recipients"][0].clone();
        it["recipients"] = Value::from(vec![one; 5]);
    });
    assert_eq!(code(world.decrypt(Profile::Strict, &repeated)), "policy");
    let nameless = with(&to(2), |it| {
        for place in 0..2 {
            drop_member(&mut it["recipients"][place]["header"], "kid");
        }
    });
    assert_eq!(code(world.decrypt(Profile::Strict, &nameless)), "key_ambiguous");
    // None at all is the caller's mistake, and not the token's.
    let text = nameless.to_string();
    let token = JweToken::parse(text.as_bytes(), &Policy::of(Profile::All).jwe).unwrap();
    assert_eq!(code(jwe::decrypt(token, &[])), "usage");
}

#[test]
fn what_was_changed_on_the_way_does_not_open() {
    let world = World::new();
    let ec = recipient(&world.generate(0, "ec", EC));
    let token = general(&[(&ec, EC)]);
    let cases = [
        ("aad", with(&token, |it| it["aad"] = "AAAA".into())),
        ("no aad", with(&token, |it| drop_member(it, "aad"))),
        (
            "aad put into the header",
            with(&token, |it| {
                let joined =
                    [it["protected"].as_str().unwrap(), it["aad"].as_str().unwrap()].join("");
                it["protected"] = joined.into();
                drop_member(it, "aad");
            }),
        ),
        ("iv", with(&token, |it| it["iv"] = "AAAAAAAAAAAAAAAA".into())),
        ("no iv", with(&token, |it| drop_member(it, "iv"))),
        ("tag", with(&token, |it| it["tag"] = "AAAAAAAAAAAAAAAAAAAAAA".into())),
        ("no tag", with(&token, |it| drop_member(it, "tag"))),
        ("ciphertext", with(&token, |it| it["ciphertext"] = "AAAA".into())),
        (
            "encrypted key",
            with(&token, |it| {
                it["recipients"][0]["encrypted_key"] = "AAAA".into();
            }),
        ),
        (
            "no encrypted key",
            with(&token, |it| drop_member(&mut it["recipients"][0], "encrypted_key")),
        ),
        (
            "protected header",
            with(&token, |it| {
                let protected = it["protected"].as_str().unwrap();
                let members = base64url::decode(protected.as_bytes()).unwrap();
                let mut members: Value = serde_json::from_slice(&members).unwrap();
                members["x"] = 1.into();
                it["protected"] = base64url::encode(members.to_string().as_bytes()).into();
            }),
        ),
    ];
    for (what, token) in cases {
        let outcome = world.decrypt(Profile::Strict, &token);
        let expected =
            if what == "aad put into the header" { "malformed" } else { "decryption_failed" };
        assert_eq!(code(outcome), expected, "{what}");
    }
    // A stray encrypted key of a direct agreement is found like any other fault.
    let direct = recipient(&world.generate(0, "direct", DIRECT));
    let jwe = JweBuilder::new(ENC).to(&direct, DIRECT);
    let good = jwe.encrypt(Serialization::Flattened, b"content").unwrap();
    let good: Value = serde_json::from_str(&good).unwrap();
    assert_eq!(code(world.decrypt(Profile::Strict, &good)), "done");
    let stray = with(&good, |it| it["encrypted_key"] = "AAAA".into());
    assert_eq!(code(world.decrypt(Profile::Strict, &stray)), "decryption_failed");
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let ec_jwk = stranger("ec", EC);
    let (ec, direct) = (recipient(&ec_jwk), recipient(&stranger("direct", DIRECT)));
    let rsa = recipient(&stranger("rsa", RSA));
    let one = || JweBuilder::new(ENC).to(&ec, EC);
    let (compact, flat) = (Serialization::Compact, Serialization::Flattened);
    let all = Serialization::General;
    let many = (0..=MAX_RECIPIENTS).fold(JweBuilder::new(ENC), |jwe, _| jwe.to(&ec, EC));
    let cases = [
        ("nobody", JweBuilder::new(ENC), all, "usage"),
        ("too many", many, all, "usage"),
        ("two in compact", one().to(&rsa, RSA), compact, "usage"),
        ("two in flattened", one().to(&rsa, RSA), flat, "usage"),
        ("a direct key for two", one().to(&direct, DIRECT), all, "usage"),
        ("aad in compact", one().aad(b"x"), compact, "usage"),
        ("unprotected in compact", one().unprotected("x", 1), compact, "usage"),
        ("another alg than the key's", JweBuilder::new(ENC).to(&ec, DIRECT), all, "policy"),
        ("parties for RSA", JweBuilder::new(ENC).to(&rsa, RSA).parties(b"a", b"b"), all, "usage"),
        ("a long party", one().parties(b"", &[1; 2000]), flat, "usage"),
        ("alg", one().protected("alg", "dir"), all, "usage"),
        ("enc", one().protected("enc", "A128GCM"), flat, "usage"),
        ("zip", one().protected("zip", "DEF"), flat, "usage"),
        ("crit", one().protected("crit", json!(["x"])), flat, "usage"),
        ("epk", one().unprotected("epk", json!({})), flat, "usage"),
        ("typ where nobody believes it", one().unprotected("typ", "x"), flat, "usage"),
        ("typ as a number", one().protected("typ", 1), flat, "usage"),
        ("twice", one().protected("x", 1).unprotected("x", 1), flat, "usage"),
        ("twice protected", one().protected("x", 1).protected("x", 1), flat, "usage"),
        ("long", one().protected("x", "x".repeat(20_000)), flat, "usage"),
        ("long and unprotected", one().unprotected("x", "x".repeat(20_000)), flat, "usage"),
    ];
    for (what, jwe, serialization, expected) in cases {
        assert_eq!(code(jwe.encrypt(serialization, b"x")), expected, "{what}");
    }
    let policy = Policy::of(Profile::All);
    let keys = [recipient(&ec_jwk)];
    let strangers = [recipient(&stranger("rsa", RSA))];
    let options = EncryptOptions { serialization: all, alg: Some(DIRECT), ..Default::default() };
    let both: [&[Recipient]; 2] = [&keys, &strangers];
    let outcome = hsm_jose::engine::encrypt_to_all(&policy, &both, &options, b"x");
    assert_eq!(code(outcome), "policy");
}

/// With one recipient everything is protected, in every serialization.
#[test]
fn one_recipient_has_a_protected_header_only() {
    let world = World::new();
    let ec = recipient(&world.generate(0, "ec", EC));
    let jwe = JweBuilder::new(ENC).to(&ec, EC).protected("cty", "x").parties(b"us", b"them");
    for serialization in [Serialization::Flattened, Serialization::General] {
        let token = jwe.encrypt(serialization, b"").unwrap();
        let json: Value = serde_json::from_str(&token).unwrap();
        assert!(json.get("header").is_none() && json.get("unprotected").is_none());
        assert!(json.pointer("/recipients/0/header").is_none());
        assert_eq!(
            json["ciphertext"], "",
            "an empty content has an empty ciphertext, and it is there"
        );
        let opened = world.engine(Profile::Strict).decrypt(token.as_bytes(), None).unwrap();
        let names: Vec<_> = opened.header.members().keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "apu", "apv", "cty", "enc", "epk", "kid"]);
        assert!(opened.unprotected.is_empty() && opened.aad.is_empty());
        assert_eq!(opened.plaintext.as_bytes(), b"");
    }
}

#[test]
fn size_is_bounded_before_parsing() {
    let rules = Policy::of(Profile::All).jwe;
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_TOKEN_LEN));
    let error = JweToken::parse(long.as_bytes(), &rules).unwrap_err();
    assert!(error.to_string().contains("at most"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in a JSON text, reading it ends, and what is taken can be written again.
    #[test]
    fn any_change_of_a_token_is_read_or_refused(place: prop::sample::Index, byte: u8) {
        let token = br#"{"protected":"eyJlbmMiOiJBMjU2R0NNIn0","recipients":[{"header":{"alg":"A128KW","kid":"7"},"encrypted_key":"AAAA"}],"aad":"AAAA","iv":"AAAA","ciphertext":"","tag":"AAAA","x":[1,{"y":null}]}"#;
        let mut changed = token.to_vec();
        changed[place.index(token.len())] = byte;
        if let Ok(jwe) = Jwe::parse(&changed, MAX_TOKEN_LEN)
            && let Ok(written) = jwe.write(Serialization::General)
        {
            let again = Jwe::parse(written.as_bytes(), MAX_TOKEN_LEN).unwrap();
            prop_assert_eq!(again.write(Serialization::General).unwrap(), written);
        }
    }
}

//! The engine over memory keystores: which key a token reaches, and what is answered where none does.

use std::sync::Arc;

use hsm_jose::Error;
use hsm_jose::backend::Keystore;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::engine::{EncryptOptions, Engine, SignOptions};
use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::PublicJwk;
use hsm_jose::jwe::Recipient;
use hsm_jose::jwt::Claims;
use hsm_jose::keyring::KeyringFile;
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
use hsm_jose::policy::{Audience, Context, Nesting, Policy, Profile, SealRules};

struct World {
    _directory: tempfile::TempDir,
    keyring: KeyringFile,
    keystores: Vec<Arc<dyn Keystore>>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keyring = KeyringFile::new(&directory.path().join("keyring.json"));
        let keystores: Vec<Arc<dyn Keystore>> =
            vec![Arc::new(MemoryKeystore::new("one")), Arc::new(MemoryKeystore::new("two"))];
        Self { _directory: directory, keyring, keystores }
    }

    fn generate(&self, keystore: usize, name: &str, alg: &str) -> PublicJwk {
        let key = KeyRequest {
            name: name.to_owned(),
            algs: vec![KeyAlgorithm::from_name(alg).unwrap()],
            kid: None,
            profile: Profile::Strict,
        };
        let request =
            GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
        let entered = generate(&self.keyring, &*self.keystores[keystore], &request).unwrap();
        entered.jwk().unwrap()
    }

    fn engine(&self, keystores: usize) -> Engine {
        let open = self.keystores[..keystores].to_vec();
        let keystores = Keystores::opened(open, false).unwrap();
        let keyring = self.keyring.read().unwrap();
        Engine::new(Policy::of(Profile::Strict), Vec::new(), &keyring, keystores).unwrap()
    }
}

fn encrypted(engine: &Engine, jwk: &PublicJwk, kid: Option<&str>) -> String {
    let jwk = PublicJwk { kid: kid.map(str::to_owned), ..jwk.clone() };
    let recipients = [Recipient::new(jwk).unwrap()];
    engine.encrypt(&recipients, &EncryptOptions::default(), b"content").unwrap()
}

fn code(outcome: Result<impl Sized, Error>) -> &'static str {
    outcome.map_or_else(|error| error.code(), |_| "done")
}

#[test]
fn a_token_reaches_the_key_that_its_kid_names_and_no_other() {
    let world = World::new();
    let enc = world.generate(0, "partner-enc", "ECDH-ES+A256KW");
    let other = world.generate(0, "other-enc", "ECDH-ES");
    let sig = world.generate(0, "issuer-sig", "ES256");
    let engine = world.engine(2);
    engine.connect().unwrap();

    let token = encrypted(&engine, &enc, enc.kid.as_deref());
    let decrypted = engine.decrypt(token.as_bytes(), None).unwrap();
    assert_eq!((decrypted.plaintext.as_bytes(), &*decrypted.key), (&b"content"[..], "partner-enc"));
    assert!(engine.decrypt(token.as_bytes(), Some("partner-enc")).is_ok());
    assert_eq!(code(engine.decrypt(token.as_bytes(), Some("other-enc"))), "policy");

    let refused = [
        (None, "done"),
        (Some("../../etc/passwd"), "key_not_found"),
        (sig.kid.as_deref(), "policy"),
        (other.kid.as_deref(), "policy"),
    ];
    for (kid, expected) in refused {
        let token = encrypted(&engine, &enc, kid);
        assert_eq!(code(engine.decrypt(token.as_bytes(), None)), expected, "{kid:?}");
    }
}

#[test]
fn more_than_four_keys_that_fit_must_be_told_apart_by_name() {
    let world = World::new();
    let jwks: Vec<_> = (0..5).map(|n| world.generate(0, &format!("enc-{n}"), "ECDH-ES")).collect();
    let engine = world.engine(1);
    let token = encrypted(&engine, &jwks[4], None);
    assert_eq!(code(engine.decrypt(token.as_bytes(), None)), "key_ambiguous");
    assert_eq!(code(engine.decrypt(token.as_bytes(), Some("enc-4"))), "done");
    assert_eq!(code(engine.decrypt(token.as_bytes(), Some("enc-3"))), "decryption_failed");
    assert_eq!(code(engine.decrypt(token.as_bytes(), Some("nobody"))), "key_not_found");
}

#[test]
fn a_keystore_that_is_gone_does_not_keep_the_others_from_opening_a_token() {
    let world = World::new();
    let here = world.generate(0, "here", "ECDH-ES");
    let gone = world.generate(1, "gone", "ECDH-ES");
    let engine = world.engine(1);
    assert_eq!(code(engine.decrypt(encrypted(&engine, &here, None).as_bytes(), None)), "done");
    assert_eq!(code(engine.decrypt(encrypted(&engine, &gone, None).as_bytes(), None)), "config");
    assert_eq!(code(engine.connect()), "config");
}

#[test]
fn a_key_signs_with_its_own_algorithm_only() {
    let world = World::new();
    world.generate(0, "issuer-sig", "ES256");
    world.generate(0, "partner-enc", "ECDH-ES");
    let engine = world.engine(1);
    let sign = |key: &str, alg: Option<&str>| {
        let alg = alg.and_then(hsm_jose::jose::alg::SignatureAlgorithm::from_name);
        engine.sign(key, &SignOptions { alg, ..Default::default() }, b"payload")
    };
    let token = sign("issuer-sig", None).unwrap();
    let header = base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["alg"], "ES256");
    assert_eq!(code(sign("issuer-sig", Some("PS256"))), "usage");
    assert_eq!(code(sign("partner-enc", None)), "usage");
    assert_eq!(code(sign("nobody", None)), "key_not_found");
}

#[test]
fn production_takes_no_memory_keystore() {
    let keystores: Vec<Arc<dyn Keystore>> = vec![Arc::new(MemoryKeystore::new("one"))];
    assert_eq!(code(Keystores::opened(keystores, true)), "config");
}

#[test]
fn an_unknown_context_is_told_with_those_there_are() {
    let engine = World::new().engine(1);
    let error = engine.open("id_token", b"x").unwrap_err();
    assert_eq!(error.code(), "usage");
    assert!(error.to_string().contains("none is configured"), "{error}");
}

#[test]
fn engines_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
}

#[test]
fn failed_decryptions_of_a_peer_are_bounded_and_lock_out_nobody_else() {
    let world = World::new();
    let enc = world.generate(0, "partner-enc", "ECDH-ES+A256KW");
    let other = world.generate(0, "other-enc", "ECDH-ES+A256KW");
    let engine = world.engine(1);
    let budget = engine.policy().failure_budget.expect("strict has one");
    let good = encrypted(&engine, &enc, enc.kid.as_deref());
    // The first letter of the tag: another one is another tag, whatever it was.
    let tag = good.rfind('.').unwrap() + 1;
    let mut bad = good.clone();
    bad.replace_range(tag..=tag, if good[tag..].starts_with('A') { "B" } else { "A" });

    // Without a peer, nothing is counted.
    for _ in 0..2 * budget.failures() {
        assert_eq!(code(engine.decrypt(bad.as_bytes(), None)), "decryption_failed");
    }
    assert_eq!(engine.failure_counts(), Default::default());

    for _ in 0..budget.failures() {
        assert_eq!(code(engine.decrypt_from("mallory", bad.as_bytes(), None)), "decryption_failed");
        // What opens, and what policy refuses, is not counted.
        assert_eq!(code(engine.decrypt_from("alice", good.as_bytes(), None)), "done");
        assert_eq!(code(engine.decrypt_from("alice", b"e30....", None)), "malformed");
    }
    let spent = engine.decrypt_from("mallory", bad.as_bytes(), None).unwrap_err();
    assert_eq!(spent.code(), "decryption_budget_spent");
    assert!(spent.to_string().contains("for 3600 s") || spent.to_string().contains("for 35"));
    assert_eq!(
        code(engine.decrypt_from("mallory", good.as_bytes(), None)),
        "decryption_budget_spent"
    );
    // It is parsed all the same: what is no token is told as that, and not counted.
    assert_eq!(code(engine.decrypt_from("mallory", b"e30....", None)), "malformed");
    let to_other = encrypted(&engine, &other, other.kid.as_deref());
    assert_eq!(code(engine.decrypt_from("mallory", to_other.as_bytes(), None)), "done");
    assert_eq!(code(engine.decrypt_from("alice", good.as_bytes(), None)), "done");
    assert_eq!(code(engine.decrypt(good.as_bytes(), None)), "done");
    let counts = engine.failure_counts();
    assert_eq!((counts.failed, counts.refused), (u64::from(budget.failures()), 2));
}

/// The lists of `[policy]` are for what is outside of contexts: a context signs as its profile allows.
#[test]
fn a_context_signs_though_the_lists_leave_the_algorithm_out() {
    let world = World::new();
    world.generate(0, "issuer-sig", "ES256");
    let ps256 = Some(&[SignatureAlgorithm::Ps256][..]);
    let policy = Policy::of(Profile::Strict).narrowed(None, None, ps256).unwrap();
    let context = Context {
        name: "id_token".into(),
        nesting: Nesting::Jws,
        typ: None,
        skew: 60,
        max_token_len: 1000,
        seal: Some(SealRules {
            issuer: Some("https://issuer.example".into()),
            audience: Some(Audience::Fixed("https://us.example".into())),
            sign: Some("issuer-sig".into()),
            algs: None,
            encs: None,
            lifetime: Some(300),
        }),
        open: None,
    };
    let keystores = Keystores::opened(world.keystores[..1].to_vec(), false).unwrap();
    let keyring = world.keyring.read().unwrap();
    let engine = Engine::new(policy, vec![context], &keyring, keystores).unwrap();
    let seal = |claims: &str| engine.seal("id_token", &Claims::parse(claims).unwrap(), &[], None);
    assert!(seal("{}").is_ok());
    assert_eq!(code(engine.sign("issuer-sig", &SignOptions::default(), b"payload")), "policy");
    // What is too long for the context is refused, and no device asked for it.
    let long = seal(&format!(r#"{{"data":"{}"}}"#, "x".repeat(1000))).unwrap_err();
    assert!(long.to_string().contains("or more, context id_token takes at most 1000"), "{long}");
}

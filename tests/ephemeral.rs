//! Keys for one answer: OpenID for Verifiable Presentations 1.0 section 8.3 has a verifier make one for
//! each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{
    BackendError, DeviceInfo, HardwareKey, KeyInfo, KeyShape, KeySpec, Keystore, Locator, Support,
};
use hsm_jose::engine::{EncryptOptions, Engine};
use hsm_jose::jose::alg::{Curve, KeyAlgorithm, KeyManagement};
use hsm_jose::jose::jwk::{PrivateJwk, PublicJwk};
use hsm_jose::jwe::{EphemeralKey, Recipient};
use hsm_jose::jwt::Opened;
use hsm_jose::keyring::Keyring;
use hsm_jose::keystores::Keystores;
use hsm_jose::policy::{Context, Nesting, OpenRules, Policy, Profile};

const ECDH: KeyManagement = KeyManagement::EcdhEs;
const P256: KeyShape = KeyShape::Curve(Curve::P256);

/// A keystore that counts the keys that it is asked for.
#[derive(Debug)]
struct Counting {
    keystore: MemoryKeystore,
    made: AtomicUsize,
}

impl Counting {
    fn new() -> Arc<Self> {
        let keystore = MemoryKeystore::new("one");
        Arc::new(Self { keystore, made: AtomicUsize::new(0) })
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

type Answer<T> = Result<T, BackendError>;

impl Keystore for Counting {
    fn name(&self) -> &str {
        self.keystore.name()
    }

    fn describe(&self) -> Answer<DeviceInfo> {
        self.keystore.describe()
    }

    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Answer<Support> {
        self.keystore.supports(alg, shape)
    }

    fn find(&self, locator: &Locator) -> Answer<Arc<dyn HardwareKey>> {
        self.keystore.find(locator)
    }

    fn list(&self) -> Answer<Vec<KeyInfo>> {
        self.keystore.list()
    }

    fn new_locator(&self, name: &str) -> Answer<Locator> {
        self.keystore.new_locator(name)
    }

    fn generate(&self, locator: &Locator, spec: &KeySpec) -> Answer<Arc<dyn HardwareKey>> {
        self.keystore.generate(locator, spec)
    }

    fn generate_ephemeral(&self, spec: &KeySpec) -> Answer<Arc<dyn HardwareKey>> {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.keystore.generate_ephemeral(spec)
    }

    fn import(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        private: &PrivateJwk,
    ) -> Answer<Arc<dyn HardwareKey>> {
        self.keystore.import(locator, spec, private)
    }

    fn destroy(&self, locator: &Locator) -> Answer<()> {
        self.keystore.destroy(locator)
    }

    fn health(&self) -> Answer<()> {
        self.keystore.health()
    }
}

fn context(name: &str, nesting: Nesting) -> Context {
    let Policy { jwe, jws, .. } = Policy::of(Profile::Strict);
    Context {
        name: name.into(),
        nesting,
        typ: None,
        skew: 60,
        max_token_len: 65536,
        seal: None,
        open: Some(OpenRules {
            audience: nesting.is_signed().then(|| "https://us.example".into()),
            issuers: Vec::new(),
            trust: Vec::new(),
            decrypt: vec!["verifier-enc".into()],
            jwe: Some(jwe),
            jws: Some(jws),
            max_lifetime: None,
        }),
    }
}

fn engine(policy: Policy, keystore: Arc<Counting>) -> Engine {
    let keystores = Keystores::opened(vec![keystore], false).unwrap();
    let contexts = vec![context("vp", Nesting::Jwe), context("signed", Nesting::Jws)];
    Engine::new(policy, contexts, &Keyring::default(), keystores).unwrap()
}

fn encrypted_claims(engine: &Engine, jwk: &PublicJwk) -> String {
    let recipients = [Recipient::new(jwk.clone()).unwrap()];
    let claims = br#"{"vp_token":"presentation"}"#;
    engine.encrypt(&recipients, &EncryptOptions::default(), claims).unwrap()
}

fn code<E: Into<Error>>(outcome: Result<impl Sized, E>) -> &'static str {
    outcome.map_or_else(|error| error.into().code(), |_| "done")
}

#[test]
fn an_ephemeral_key_opens_the_one_answer_to_its_request() {
    let keystore = Counting::new();
    let engine = engine(Policy::of(Profile::Strict), keystore.clone());
    let make = || engine.ephemeral_key("one", ECDH, P256).unwrap();
    let (key, other) = (make(), make());
    let to_key = encrypted_claims(&engine, key.jwk());
    assert_eq!(code(engine.open_once("vp", to_key.as_bytes(), other)), "key_not_found");
    assert_eq!(code(engine.open("vp", to_key.as_bytes())), "key_not_found");
    let opened = engine.open_once("vp", to_key.as_bytes(), key).unwrap();
    assert!(matches!(opened, Opened::Unsigned(_)));
    assert_eq!(opened.claims().members()["vp_token"], "presentation");

    let key = make();
    let mut bad = encrypted_claims(&engine, key.jwk());
    bad.truncate(bad.len() - 4);
    bad.push_str("AAAA");
    assert_eq!(code(engine.open_once("vp", bad.as_bytes(), key)), "decryption_failed");
    assert!(keystore.list().unwrap().is_empty());
}

#[test]
fn what_is_not_to_be_made_is_refused_before_the_device_is_asked() {
    let keystore = Counting::new();
    let engine = |profile| engine(Policy::of(profile), keystore.clone());
    let strict = engine(Profile::Strict);
    let rsa = |bits| KeyShape::Rsa { bits };
    let oaep = KeyManagement::RsaOaep256;
    for (alg, shape, expected) in [
        (oaep, rsa(1024), "policy"),
        (oaep, rsa(2048), "policy"),
        (oaep, rsa(3071), "policy"),
        (oaep, rsa(3073), "usage"),
        (oaep, rsa(u32::MAX - 63), "usage"),
        (KeyManagement::RsaOaep, rsa(3072), "policy"),
        (ECDH, rsa(2048), "usage"),
        (ECDH, KeyShape::Curve(Curve::Ed25519), "usage"),
        (KeyManagement::A256Kw, KeyShape::Oct { bits: 256 }, "policy"),
    ] {
        assert_eq!(code(strict.ephemeral_key("one", alg, shape)), expected, "{alg} {shape}");
    }
    assert_eq!(code(strict.ephemeral_key("nowhere", ECDH, P256)), "config");

    // Without any policy, too.
    let aes = KeyShape::Oct { bits: 256 };
    for (alg, shape) in [(oaep, rsa(1024)), (oaep, rsa(0)), (KeyManagement::A256Kw, aes)] {
        let made = EphemeralKey::generate(&*keystore, alg, shape);
        assert_eq!(code(made), "usage", "{alg} {shape}");
    }
    assert_eq!(keystore.made(), 0);
    strict.ephemeral_key("one", oaep, rsa(3072)).unwrap();
    engine(Profile::All).ephemeral_key("one", oaep, rsa(2048)).unwrap();
    assert_eq!(keystore.made(), 2);
}

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
use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement};
use hsm_jose::jose::jwk::{PrivateJwk, PublicJwk};
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jwe::{EphemeralKey, JweBuilder, JweToken, NotOpened, Recipient};
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

fn with_another_tag(token: String) -> String {
    let (front, tag) = token.rsplit_once('.').unwrap();
    // The first letter of the tag: another one is another tag, whatever it was.
    let other = if tag.starts_with('A') { "B" } else { "A" };
    format!("{front}.{other}{}", &tag[1..])
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
    let bad = with_another_tag(encrypted_claims(&engine, key.jwk()));
    assert_eq!(code(engine.open_once("vp", bad.as_bytes(), key)), "decryption_failed");
    assert!(keystore.list().unwrap().is_empty());
}

/// The key of something that was refused before its device was asked.
fn kept<T>(outcome: Result<T, NotOpened>, expected: &str) -> EphemeralKey {
    let (error, key) = outcome.err().expect("it is refused").into_parts();
    assert_eq!(error.code(), expected, "{error}");
    key.unwrap_or_else(|| panic!("the key is gone: {error}"))
}

/// Whoever can post to the address for the answer can post anything.
#[test]
fn junk_does_not_cost_an_ephemeral_key() {
    let engine = engine(Policy::of(Profile::Strict), Counting::new());
    let mut key = engine.ephemeral_key("one", ECDH, P256).unwrap();
    let other = engine.ephemeral_key("one", ECDH, P256).unwrap();
    let of_another_alg = {
        let alg = KeyManagement::EcdhEsA256Kw;
        let jwk = PublicJwk { alg: None, ..key.jwk().clone() };
        let recipient = Recipient::new(jwk).unwrap();
        let jwe = JweBuilder::new(ContentEncryption::A256Gcm).to(&recipient, alg);
        jwe.encrypt(Serialization::Compact, b"{}").unwrap()
    };
    let good = encrypted_claims(&engine, key.jwk());
    let to_other = encrypted_claims(&engine, other.jwk());
    let options = EncryptOptions { typ: Some("vp+jwt"), ..Default::default() };
    let typed = engine.encrypt(&[Recipient::new(key.jwk().clone()).unwrap()], &options, b"{}");
    let json = EncryptOptions { serialization: Serialization::Flattened, ..Default::default() };
    let json = engine.encrypt(&[Recipient::new(key.jwk().clone()).unwrap()], &json, b"{}");
    for (context, token, expected) in [
        ("nope", &*good, "usage"),
        ("signed", &good, "usage"),
        ("vp", "", "malformed"),
        ("vp", "vp_token=x", "malformed"),
        ("vp", "eyJhbGciOiJub25lIn0.e30.", "malformed"),
        ("vp", &json.unwrap(), "malformed"),
        ("vp", &good[..good.len() - 1], "malformed"),
        ("vp", &good.replacen("eyJ", "eyI", 1), "malformed"),
        ("vp", &typed.unwrap(), "policy"),
        ("vp", &to_other, "key_not_found"),
        ("vp", &of_another_alg, "key_not_found"),
    ] {
        key = kept(engine.open_once(context, token.as_bytes(), key), expected);
    }
    assert!(engine.open_once("vp", good.as_bytes(), key).is_ok());
}

#[test]
fn an_ephemeral_key_is_gone_once_its_device_has_been_asked() {
    let engine = engine(Policy::of(Profile::Strict), Counting::new());
    let make = || engine.ephemeral_key("one", ECDH, P256).unwrap();
    let gone = |outcome: Result<Opened, NotOpened>| {
        let (error, key) = outcome.expect_err("it is refused").into_parts();
        assert!(key.is_none(), "{error}");
        error.code()
    };
    let key = make();
    let bad = with_another_tag(encrypted_claims(&engine, key.jwk()));
    assert_eq!(gone(engine.open_once("vp", bad.as_bytes(), key)), "decryption_failed");
    let key = make();
    let recipients = [Recipient::new(key.jwk().clone()).unwrap()];
    let no_claims = engine.encrypt(&recipients, &EncryptOptions::default(), b"[]").unwrap();
    assert_eq!(gone(engine.open_once("vp", no_claims.as_bytes(), key)), "malformed");

    // Without an engine, too.
    let (key, other) = (make(), make());
    let rules = Policy::of(Profile::Strict).jwe;
    let token = encrypted_claims(&engine, key.jwk());
    let parse = |token| JweToken::parse(token, &rules).unwrap();
    let other = kept(other.decrypt(parse(token.as_bytes())), "key_not_found");
    assert!(key.decrypt(parse(token.as_bytes())).is_ok());
    drop(other);
    let key = make();
    let bad = with_another_tag(encrypted_claims(&engine, key.jwk()));
    let (error, key) = key.decrypt(parse(bad.as_bytes())).unwrap_err().into_parts();
    assert!(key.is_none() && matches!(error, Error::DecryptionFailed));
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

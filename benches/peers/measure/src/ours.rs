//! Our half of each operation. Keys are parsed once, as a program does that serves many tokens.

use std::sync::Arc;

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore, Locator};
use hsm_jose::engine::{self, EncryptOptions, Engine};
use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use hsm_jose::jose::jwk::{JwkSet, PrivateJwk, PublicJwk};
use hsm_jose::jwe::{self, Attempt, JweToken, Recipient};
use hsm_jose::jws::{self, JwsParameters, JwsToken, TrustedKeys};
use hsm_jose::jwt::Opened;
use hsm_jose::keyring::Keyring;
use hsm_jose::keystores::Keystores;
use hsm_jose::policy::{Context, Nesting, OpenRules, Policy, Profile};
use hsm_jose::secret::Plaintext;
use serde_json::{Map, Value, json};

/// Whose claims these are, to whom, and until when: 2100-01-01.
pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "https://partner.example";
const EXPIRY: u64 = 4_102_444_800;

/// The keys of this benchmark: an RSA key of 2048 bits, one on P-256, one of Ed25519.
pub struct Keys(Map<String, Value>);

/// Our side, with its keys parsed.
pub struct Ours {
    policy: Policy,
    recipients: Vec<Recipient>,
    trusted: TrustedKeys,
    engine: Engine,
    keys: Keys,
}

/// Claims that take `len` bytes as JSON.
pub fn claims(len: usize) -> String {
    let with = |data: &str| {
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": 1_800_000_000 - 86_400 * 365,
               "exp": EXPIRY, "data": data})
        .to_string()
    };
    let claims = with(&"x".repeat(len - with("").len()));
    assert_eq!(claims.len(), len);
    claims
}

impl Keys {
    /// Reads them.
    pub fn new() -> Self {
        Self(serde_json::from_str(include_str!("keys.json")).expect("an object"))
    }

    /// A private JWK, as text: `rsa`, `p256` or `ed25519`.
    pub fn private(&self, name: &str) -> String {
        self.0[name].to_string()
    }

    /// Its public half.
    pub fn public(&self, name: &str) -> String {
        let mut members = self.0[name].as_object().expect("a JWK").clone();
        members
            .retain(|name, _| ["kty", "crv", "x", "y", "n", "e", "kid"].contains(&name.as_str()));
        Value::Object(members).to_string()
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Ours {
    /// Parses the keys.
    pub fn new() -> Self {
        let keys = Keys::new();
        let public = |name| PublicJwk::parse(keys.public(name).as_bytes()).expect("a JWK");
        let policy = Policy::of(Profile::All);
        let trust = ["rsa", "p256", "ed25519"].map(public).to_vec();
        let context = Context {
            name: "peers".into(),
            nesting: Nesting::Jws,
            typ: None,
            skew: 60,
            max_token_len: policy.jws.limits.max_token_len,
            seal: None,
            open: Some(OpenRules {
                audience: Some(AUDIENCE.into()),
                issuers: vec![ISSUER.into()],
                trust: trust.clone(),
                decrypt: vec![],
                jwe: None,
                jws: Some(policy.jws.clone()),
                max_lifetime: None,
            }),
        };
        let keystores = Keystores::opened(vec![], false).expect("no keystore");
        let engine = Engine::new(policy.clone(), vec![context], &Keyring::default(), keystores);
        Self {
            recipients: ["rsa", "p256"].map(|name| Recipient::new(public(name)).unwrap()).into(),
            trusted: TrustedKeys::new(JwkSet { keys: trust }, &policy),
            engine: engine.expect("one context"),
            policy,
            keys,
        }
    }

    /// Encrypts under A256GCM to the key that does `alg`.
    pub fn encrypt(&self, alg: KeyManagement, plaintext: &[u8]) -> String {
        let options = EncryptOptions { alg: Some(alg), ..Default::default() };
        engine::encrypt(&self.policy, &self.recipients, &options, plaintext).expect("encrypted")
    }

    /// Returns the software key that decrypts `alg` or signs with it.
    pub fn private(&self, name: &str, alg: KeyAlgorithm) -> Arc<dyn HardwareKey> {
        let jwk = PrivateJwk::parse(self.keys.private(name).as_bytes()).expect("a private JWK");
        let spec = KeySpec { shape: KeyShape::of(&jwk.public.key), algs: vec![alg] };
        let keystore = MemoryKeystore::new("peers");
        keystore.import(&Locator::Memory(name.into()), &spec, &jwk).expect("imported")
    }

    /// Decrypts with a software key.
    pub fn decrypt(&self, key: &dyn HardwareKey, token: &str) -> Plaintext {
        let token = JweToken::parse(token.as_bytes(), &self.policy.jwe).expect("a JWE");
        jwe::decrypt(token, &[Attempt { recipient: 0, key }]).expect("decrypted").plaintext
    }

    /// Signs with the software key that does `alg`.
    pub fn sign(&self, alg: SignatureAlgorithm, payload: &[u8]) -> String {
        let name = match alg {
            SignatureAlgorithm::Es256 => "p256",
            SignatureAlgorithm::EdDsa => "ed25519",
            _ => "rsa",
        };
        let key = self.private(name, KeyAlgorithm::Sign(alg));
        let parameters = JwsParameters { alg, kid: Some(name), typ: Some("JWT"), cty: None };
        jws::sign(&*key, &parameters, payload).expect("signed")
    }

    /// Verifies a JWS; returns the payload's length.
    pub fn verify(&self, token: &str) -> usize {
        self.parse(token).verify(&self.trusted).expect("verified").get().as_bytes().len()
    }

    /// Verifies a JWT and checks its claims: issuer, audience, times; returns how many there are.
    pub fn open(&self, token: &str) -> usize {
        match self.engine.open("peers", token.as_bytes()).expect("opened") {
            Opened::Verified(claims) => claims.get().members().len(),
            _ => panic!("a signed context"),
        }
    }

    /// Parses a JWS: splits it, decodes the signature, parses the header and checks it.
    pub fn parse<'a>(&self, token: &'a str) -> JwsToken<'a> {
        JwsToken::parse(token.as_bytes(), &self.policy.jws).expect("a JWS")
    }
}

impl Default for Ours {
    fn default() -> Self {
        Self::new()
    }
}

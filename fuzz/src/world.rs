//! What every target meets: one keyring of known keys, an engine for each profile, and tokens that
//! these engines take.
//!
//! All of it is data in `world/`, so that a corpus keeps its meaning from one run to the next.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{KeyShape, KeySpec, Keystore, Locator};
use hsm_jose::config::Config;
use hsm_jose::engine::{Engine, load};
use hsm_jose::jose::alg::{KeyAlgorithm, Purpose};
use hsm_jose::jose::jwk::{JwkSet, PrivateJwk, PublicJwk};
use hsm_jose::jose::oct::SecretJwk;
use hsm_jose::jwe::Recipient;
use hsm_jose::jws::TrustedKeys;
use hsm_jose::jwt::FixedClock;
use hsm_jose::keyring::Keyring;
use hsm_jose::keystores::Keystores;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::parts::{self, Sealed, Signed};

/// The time in this world: seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

/// The issuer of every key but one.
pub const ISSUER: &str = "https://issuer.example";

/// The issuer of [`OTHERS_KEY`] alone.
pub const OTHER_ISSUER: &str = "https://other.example";

/// The key that signs for [`OTHER_ISSUER`] and nobody else.
pub const OTHERS_KEY: &str = "issuer-p521";

/// The directory with the world's data.
pub const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/world");

/// A private or symmetric key of an RFC, and what it does here.
#[derive(Clone, Deserialize)]
pub struct Key {
    /// The name in the keyring.
    pub name: String,
    /// The version: of several, the last is active and the others are retiring.
    pub version: u32,
    /// The algorithms it is bound to.
    pub algs: Vec<KeyAlgorithm>,
    /// The private or symmetric JWK.
    pub jwk: Value,
}

/// A token that the engine with everything allowed takes.
#[derive(Clone, Deserialize, Serialize)]
pub struct Token {
    /// What it is, for a message.
    pub name: String,
    /// What takes it.
    pub taken: Taken,
    /// The token, in its serialization.
    pub token: String,
    /// Its content, or for a context its claims: text, as all of them are.
    pub content: String,
    /// The signed token inside an encrypted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<String>,
}

/// What takes a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Taken {
    /// `decrypt`.
    Decrypt,
    /// `verify`.
    Verify,
    /// `authenticate`.
    Authenticate,
    /// `open` of the context `nested`: signed, then encrypted.
    Nested,
    /// `open` of the context `signed`.
    Signed,
    /// `open` of the context `sealed`: encrypted, and signed by nobody.
    Sealed,
}

/// The keys, the engines and the tokens.
pub struct World {
    /// Profile `all`.
    pub all: Engine,
    /// Profile `strict`.
    pub strict: Engine,
    /// The issuers' public keys, as `all` takes them.
    pub trusted: TrustedKeys,
    /// The issuers' public keys, as `strict` takes them.
    pub trusted_strictly: TrustedKeys,
    /// The key pairs.
    pub keys: Vec<Key>,
    /// The symmetric keys; `strict` allows none of them.
    pub secrets: Vec<Key>,
    /// The public halves that can be encrypted to, with kid.
    pub recipients: Vec<Recipient>,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// What the tags of the tokens vouch for, and the content under them.
    pub sealed: HashMap<Sealed, String>,
    /// What the signatures of the tokens cover, and the payload.
    pub signed: HashMap<Signed, String>,
}

impl Key {
    /// Returns whether the key is symmetric.
    pub fn is_symmetric(&self) -> bool {
        self.algs[0].is_symmetric()
    }

    /// Parses the symmetric key.
    pub fn secret(&self) -> SecretJwk {
        SecretJwk::parse(self.jwk.to_string().as_bytes()).expect("a symmetric JWK")
    }

    /// Parses the private key.
    pub fn private(&self) -> PrivateJwk {
        PrivateJwk::parse(self.jwk.to_string().as_bytes()).expect("a private JWK")
    }

    /// Returns what the key is for.
    pub fn purpose(&self) -> Purpose {
        self.algs[0].purpose()
    }

    /// Returns the kid: the name and the version.
    pub fn kid(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Returns the public JWK, with kid, and for a key that signs with its issuer.
    pub fn public(&self) -> PublicJwk {
        let mut public = PublicJwk::bare(self.private().public.key);
        public.kid = Some(self.kid());
        let signs = self.purpose() == Purpose::Sign;
        let issuer = if self.name == OTHERS_KEY { OTHER_ISSUER } else { ISSUER };
        public.iss = signs.then(|| issuer.to_owned());
        public
    }

    /// Returns the public JWK under a kid that is in no keyring.
    pub fn public_of_a_stranger(&self) -> PublicJwk {
        PublicJwk { kid: Some("stranger".into()), ..self.public() }
    }

    fn locator(&self) -> Locator {
        Locator::Memory(self.kid())
    }
}

impl Taken {
    /// Returns the context's name; `decrypt` and `verify` work outside of any.
    pub fn context(self) -> Option<&'static str> {
        match self {
            Self::Decrypt | Self::Verify | Self::Authenticate => None,
            Self::Nested => Some("nested"),
            Self::Signed => Some("signed"),
            Self::Sealed => Some("sealed"),
        }
    }
}

/// Returns the world, made at the first call.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let tokens = std::fs::read(Path::new(DIRECTORY).join("tokens.json")).expect("tokens.json");
        World::new(serde_json::from_slice(&tokens).expect("tokens"))
    })
}

impl World {
    /// Makes a world with these tokens.
    pub fn new(tokens: Vec<Token>) -> Self {
        let keys: Vec<Key> =
            serde_json::from_str(include_str!("../world/keys.json")).expect("keys.json");
        let (all, strict) = (engine(&keys, "all.toml"), engine(&keys, "strict.toml"));
        let (secrets, keys): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(Key::is_symmetric);
        let publics = |purpose: Purpose| {
            keys.iter()
                .filter(move |key| key.purpose() == purpose && !key.is_symmetric())
                .map(Key::public)
        };
        let trusted = |engine: &Engine| {
            TrustedKeys::new(JwkSet { keys: publics(Purpose::Sign).collect() }, engine.policy())
        };
        let recipients =
            publics(Purpose::Decrypt).map(|key| Recipient::new(key).expect("a recipient"));
        let (mut sealed, mut signed) = (HashMap::new(), HashMap::new());
        for Token { token, content, inner, .. } in &tokens {
            if let Some(part) = parts::sealed(token.as_bytes()) {
                sealed.insert(part, inner.as_ref().unwrap_or(content).clone());
            }
            for part in parts::signed(inner.as_ref().unwrap_or(token).as_bytes()) {
                signed.insert(part, content.clone());
            }
        }
        Self {
            trusted: trusted(&all),
            trusted_strictly: trusted(&strict),
            recipients: recipients.collect(),
            all,
            strict,
            keys,
            secrets,
            tokens,
            sealed,
            signed,
        }
    }

    /// Chooses one of the tokens that `wanted` takes; any number chooses one.
    pub fn token(&self, wanted: Taken, number: u8) -> &Token {
        let fitting: Vec<_> = self.tokens.iter().filter(|token| token.taken == wanted).collect();
        fitting[usize::from(number) % fitting.len()]
    }

    /// Chooses a key of a purpose; any number chooses one.
    pub fn key(&self, purpose: Purpose, number: u8) -> &Key {
        let fitting: Vec<_> = self.keys.iter().filter(|key| key.purpose() == purpose).collect();
        fitting[usize::from(number) % fitting.len()]
    }

    /// Finds the recipient of a decryption key.
    pub fn recipient(&self, key: &Key) -> &[Recipient] {
        let kid = key.kid();
        let is_it = |one: &Recipient| one.jwk().kid.as_deref() == Some(&kid);
        let index = self.recipients.iter().position(is_it).expect("a recipient");
        &self.recipients[index..=index]
    }
}

/// The engine of a configuration, with all keys in one memory keystore.
fn engine(keys: &[Key], file: &str) -> Engine {
    let config = Config::load(&Path::new(DIRECTORY).join(file)).expect("a configuration");
    let keystore = MemoryKeystore::new("memory");
    for key in keys {
        if key.is_symmetric() {
            let secret = key.secret();
            let shape = KeyShape::Oct { bits: secret.bits() };
            let spec = KeySpec { shape, algs: key.algs.clone() };
            keystore.import_secret(&key.locator(), &spec, &secret).expect("a key");
            continue;
        }
        let private = key.private();
        let spec = KeySpec { shape: KeyShape::of(&private.public.key), algs: key.algs.clone() };
        keystore.import(&key.locator(), &spec, &private).expect("a key");
    }
    let keystores: Vec<Arc<dyn Keystore>> = vec![Arc::new(keystore)];
    let keystores = Keystores::opened(keystores, false).expect("keystores");
    let policy = load::policy(&config).expect("a policy");
    let contexts = load::contexts(&config).expect("contexts");
    let keyring = Keyring::parse(Path::new("keyring.json"), keyring(keys).as_bytes());
    let keyring = keyring.expect("a keyring");
    let engine = Engine::new(policy, contexts, &keyring, keystores).expect("an engine");
    let engine = engine.with_clock(Arc::new(FixedClock(NOW)));
    engine.connect().expect("every key does what it is for");
    engine
}

/// Returns the text of the keyring of these keys.
pub fn keyring(keys: &[Key]) -> String {
    let mut entries: Vec<Value> = Vec::new();
    for key in keys {
        let mut version = json!({
            "version": key.version, "kid": key.kid(), "kid_given": true,
            "state": if is_latest(keys, key) { "active" } else { "retiring" },
            "created": "2027-01-15T08:00:00Z", "keystore": "memory", "locator": key.locator(),
            "provenance": "imported",
        });
        match key.is_symmetric() {
            true => version["secret"] = json!({ "bits": key.secret().bits() }),
            false => version["public"] = json!(key.public()),
        }
        match entries.iter_mut().find(|entry| entry["name"] == key.name) {
            Some(entry) => entry["versions"].as_array_mut().expect("versions").push(version),
            None => entries.push(json!({
                "name": key.name, "purpose": key.purpose(), "algs": key.algs, "versions": [version],
            })),
        }
    }
    json!({ "schema": 1, "generation": 1, "keys": entries }).to_string()
}

fn is_latest(keys: &[Key], key: &Key) -> bool {
    !keys.iter().any(|other| other.name == key.name && other.version > key.version)
}

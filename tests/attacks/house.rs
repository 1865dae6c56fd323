//! A token with the keys of the cases in it, and an engine for each set of keys and policy.

use std::collections::BTreeMap;
use std::fs;

use hsm_jose::config::Config;
use hsm_jose::engine::{Engine, load};
use hsm_jose::error::Error;
use hsm_jose::jose::jwk::JwkSet;
use hsm_jose::jws::{Jws, Require, TrustedKeys};
use hsm_jose::jwt::FixedClock;
use serde_json::{Value, json};

use crate::case::{self, Case, Keys, Operation, Policy};
use crate::place::Place;

/// What an operation gave, and the calls that the token saw meanwhile.
pub struct Answer {
    pub outcome: Result<Vec<u8>, Error>,
    pub calls: Vec<String>,
}

/// A place whose token holds every key that a case or a context decrypts or authenticates with,
/// symmetric ones among them.
pub struct House {
    pub place: Place,
    keys: Keys,
    /// The keyring with all keys, of which each engine has some.
    keyring: Value,
    engines: BTreeMap<String, Engine>,
}

impl House {
    /// Makes the token and imports the keys. Sets the environment of this process, which must not
    /// have loaded SoftHSM yet.
    pub fn new(cases: &[Case]) -> Self {
        let (place, keys) = (Place::watched(), Keys::read());
        for key in keys.keys.iter().filter(|key| is_held(&key.name, cases)) {
            let file = place.write("import.jwk", key.jwk.to_string());
            let mut args = vec!["key", "import", &key.name, "--from", &file];
            key.algs.iter().for_each(|alg| args.extend(["--alg", alg]));
            place.json(&args, b"");
        }
        for (name, members) in &keys.sets {
            let set: Vec<_> = members.iter().map(|key| keys.named(key).public()).collect();
            place.write(name, json!({ "keys": set }).to_string());
        }
        for (name, value) in place.env() {
            // SAFETY: the modules read the environment when they are loaded, which is later, and no
            // other thread of this process is running a test.
            unsafe { std::env::set_var(name, value) };
        }
        let keyring = fs::read_to_string(place.path("keyring.json")).expect("a keyring");
        let keyring = serde_json::from_str(&keyring).expect("a keyring in JSON");
        Self { place, keys, keyring, engines: BTreeMap::new() }
    }

    /// Returns the configuration that a case is run under: its policy, and a keyring with its keys
    /// alone, or for `open` all contexts and keys. One file serves the program and the engine.
    pub fn configuration(&self, case: &Case) -> String {
        let policy = match case.policy {
            Policy::Strict => "strict",
            Policy::All => "all",
        };
        let named = format!("{policy:?}\nsymmetric = {:?}", case.symmetric);
        let named = if case.symmetric.is_empty() { format!("{policy:?}") } else { named };
        let mut text = self.place.configuration().replace("\"all\"", &named);
        let policy = format!("{policy}-{}", case.symmetric.join("-"));
        if case.operation == Operation::Open {
            text += &case::contexts(!case.symmetric.is_empty());
            return self.place.write(&format!("open-{policy}.toml"), text);
        }
        let name = format!("{policy}-{}", case.keys.join("-"));
        let mut keyring = self.keyring.clone();
        let held = keyring["keys"].as_array_mut().expect("keys");
        held.retain(|key| case.keys.iter().any(|name| key["name"] == json!(name)));
        self.place.write(&format!("{name}-keyring.json"), keyring.to_string());
        text += &format!("[keyring]\nfile = \"{name}-keyring.json\"\n");
        self.place.write(&format!("{name}.toml"), text)
    }

    /// Writes the JWK Set of the keys that a case verifies with, and returns its path.
    pub fn trusted(&self, case: &Case) -> String {
        let keys: Vec<_> = case.keys.iter().map(|name| self.keys.named(name).public()).collect();
        self.place.write("trusted.json", json!({ "keys": keys }).to_string())
    }

    /// Runs the operation of `case` on a token, which need not be its own.
    pub fn run(&mut self, case: &Case, token: &[u8]) -> Answer {
        match case.operation {
            Operation::Verify if case.mac_key.is_some() => {
                let key = case.mac_key.as_deref().expect("a key");
                let authenticated = self.engine(case).authenticate(token, key);
                self.answer(authenticated.map(|it| it.into_inner().as_bytes().to_vec()))
            }
            Operation::Verify => {
                let trusted = fs::read(self.trusted(case)).expect("trusted keys");
                let config = Config::load(self.configuration(case).as_ref()).expect("good");
                let policy = load::policy(&config).expect("a policy");
                let keys = JwkSet::parse(&trusted).expect("a JWK Set");
                self.place.faulty.forget();
                let keys = TrustedKeys::new(keys, &policy);
                let (rule, names) = case.rule();
                let require = match rule {
                    "all" => Require::All,
                    "any" => Require::Any,
                    "all-of" => Require::AllOf(&names),
                    "any-of" => Require::AnyOf(&names),
                    _ => panic!("{}: no rule {rule:?}", case.file),
                };
                let verified = Jws::parse(token, &policy.jws);
                let verified = verified.and_then(|it| it.verify(&keys, &require));
                self.answer(verified.map(|it| it.into_inner().as_bytes().to_vec()))
            }
            Operation::Decrypt => {
                let engine = self.engine(case);
                let decrypted = engine.decrypt(token, None);
                self.answer(decrypted.map(|it| it.plaintext.as_bytes().to_vec()))
            }
            Operation::Open => self.open(case, case.context.as_deref().expect("a context"), token),
        }
    }

    /// Opens a token in a context, with the policy and the time of `case`.
    pub fn open(&mut self, case: &Case, context: &str, token: &[u8]) -> Answer {
        let opened = self.engine(case).open(context, token);
        self.answer(opened.map(|it| it.claims().json().to_vec()))
    }

    /// The engine of a case, made when it is first asked for; the log of calls is empty then.
    fn engine(&mut self, case: &Case) -> &Engine {
        let path = self.configuration(case);
        let name = format!("{path} {:?}", case.at);
        self.place.faulty.forget();
        self.engines.entry(name).or_insert_with(|| {
            let config = Config::load(path.as_ref()).expect("a good configuration");
            let engine = match case.operation {
                Operation::Open => Engine::from_config(&config),
                _ => Engine::without_contexts(&config),
            };
            let engine = engine.unwrap_or_else(|error| panic!("{}: {error}", case.file));
            match case.at {
                Some(at) => engine.with_clock(std::sync::Arc::new(FixedClock(at))),
                None => engine,
            }
        })
    }

    fn answer(&self, outcome: Result<Vec<u8>, Error>) -> Answer {
        Answer { outcome, calls: self.place.faulty.calls() }
    }
}

/// Whether a key is one that is decrypted or authenticated with, or that somebody tries to.
fn is_held(name: &str, cases: &[Case]) -> bool {
    let contexts = case::contexts(true);
    contexts
        .lines()
        .any(|line| line.starts_with("decrypt") && line.contains(&format!("\"{name}\"")))
        || cases.iter().any(|case| {
            let has_keyring = case.operation == Operation::Decrypt || case.mac_key.is_some();
            has_keyring && case.keys.iter().any(|key| key == name)
        })
}

//! What is told of a file or a token is short and of one line, whatever stands in it: every text and every
//! name in a good one is made long and hostile, one after the other.

use std::path::Path;

use hsm_jose::Error;
use hsm_jose::backend::Locator;
use hsm_jose::config::Config;
use hsm_jose::engine::{Engine, load};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PrivateJwk, PublicJwk, Thumbprint};
use hsm_jose::jose::oct::SecretJwk;
use hsm_jose::jws::TrustedKeys;
use hsm_jose::keyring::Keyring;
use hsm_jose::keystores::Keystores;
use hsm_jose::policy::{Policy, Profile};
use serde_json::{Map, Value, json};

/// The longest message, in bytes: some lines of a terminal.
const MAX_MESSAGE: usize = 1024;

/// Texts that nobody wants in a log: long, of many bytes a character, with control characters and what
/// turns the direction of writing.
fn hostile() -> Vec<String> {
    let long = |text: &str| text.repeat(3000 / text.chars().count());
    vec![
        long("x"),
        long("\u{1f511}"),
        long("\n"),
        long("\u{1b}[2J"),
        long("'\"\\"),
        long("\u{202e}"),
        format!("{}\u{0}", long("a/b:c;d=e?")),
        String::new(),
    ]
}

/// Every way to put a text in the place of a text or of a name of a value.
fn changed(value: &Value, text: &str) -> Vec<Value> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| {
                let mut all: Vec<Value> = changed(member, text)
                    .into_iter()
                    .map(|member| with(members, name, name, member))
                    .collect();
                all.push(with(members, name, text, member.clone()));
                all
            })
            .collect(),
        Value::Array(values) => (0..values.len())
            .flat_map(|at| {
                changed(&values[at], text).into_iter().map(move |value| {
                    let mut values = values.clone();
                    values[at] = value;
                    Value::Array(values)
                })
            })
            .collect(),
        _ => vec![json!(text)],
    }
}

fn with(members: &Map<String, Value>, name: &str, new_name: &str, value: Value) -> Value {
    let mut members = members.clone();
    members.remove(name);
    members.insert(new_name.to_owned(), value);
    Value::Object(members)
}

#[track_caller]
fn assert_fit(message: &str) {
    assert!(message.len() <= MAX_MESSAGE, "{} bytes: {message}", message.len());
    let unfit = |c: char| c.is_control() || c == '\u{202e}';
    assert!(!message.chars().any(unfit), "{message:?}");
}

/// Runs on every change and returns how many of them were refused.
#[track_caller]
fn refusals<E: ToString>(good: &Value, parse: impl Fn(&[u8]) -> Result<(), E>) -> usize {
    if let Err(error) = parse(&serde_json::to_vec(good).unwrap()) {
        panic!("{}", error.to_string());
    }
    let mut refused = 0;
    for text in hostile() {
        for value in changed(good, &text) {
            if let Err(error) = parse(&serde_json::to_vec(&value).unwrap()) {
                assert_fit(&error.to_string());
                refused += 1;
            }
        }
    }
    refused
}

/// RFC 7517 appendix A.1, the first key.
fn ec_jwk() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "key_ops": ["verify"], "alg": "ES256", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    })
}

#[test]
fn of_a_keyring() {
    let keyring = json!({
        "schema": 1, "generation": 1,
        "keys": [{
            "name": "a", "purpose": "sign", "algs": ["ES256"],
            "versions": [{
                "version": 1, "kid": "1", "kid_given": true, "state": "active",
                "created": "2026-01-31T12:00:00Z", "keystore": "soft", "locator": "memory:a",
                "provenance": "imported", "waiver": "it was there", "unproven": ["sensitive"],
                "public": ec_jwk(),
            }],
        }],
    });
    let parse = |bytes: &[u8]| Keyring::parse(Path::new("keyring.json"), bytes).map(|_| ());
    assert!(refusals(&keyring, parse) > 100);
}

#[test]
fn of_a_jwk_and_of_a_set() {
    let set = json!({ "keys": [ec_jwk()] });
    assert!(refusals(&ec_jwk(), |bytes| PublicJwk::parse(bytes).map(|_| ())) > 30);
    refusals(&set, |bytes| JwkSet::parse(bytes).map(|_| ()));
    refusals(&set, |bytes| JwkSet::from_any(bytes).map(|_| ()));
    let secret = json!({ "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMko", "alg": "HS256" });
    assert!(refusals(&secret, |bytes| SecretJwk::parse(bytes).map(|_| ())) > 10);
    // RFC 7517 appendix A.2, the first key.
    let mut private = ec_jwk();
    private["d"] = json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE");
    assert!(refusals(&private, |bytes| PrivateJwk::parse(bytes).map(|_| ())) > 30);
}

/// Replaces every quoted text, and every name, of a line of the configuration.
#[test]
fn of_a_configuration() {
    const GOOD: &str = r#"schema = 1
environment = "test"
[keystore.issuer]
type = "pkcs11"
module = "/usr/lib/softhsm/libsofthsm2.so"
token = "issuer"
pin = { file = "pin" }
[keystore.soft]
type = "memory"
[keyring]
file = "state/keyring.json"
[policy]
profile = "strict"
crit = ["http://openbanking.org.uk/iat"]
symmetric = ["A256KW"]
jwe_enc = ["A256GCM"]
[context.id_token]
nesting = "jwe(jws)"
typ = "JWT"
[context.id_token.seal]
issuer = "https://issuer.example"
audience = "recipient"
sign = "issuer-sig"
encrypt = ["ECDH-ES+A256KW", "RSA-OAEP-256"]
content = ["A256GCM"]
lifetime = 300
[context.id_token.open]
audience = "https://issuer.example"
issuers = ["https://partner.example"]
trust = "issuers.json"
decrypt = ["partner-enc"]
[recipient.partner]
jwks = "partner.json"
audience = "https://partner.example"
"#;
    let parse = |text: &str| -> Result<(), Error> {
        load::policy(&Config::parse(Path::new("/etc/hsm-jose/config.toml"), text)?).map(|_| ())
    };
    parse(GOOD).unwrap();
    let mut refused = 0;
    for hostile in hostile() {
        let quoted = toml::Value::String(hostile).to_string();
        // Odd pieces are what stands in quotes.
        let pieces: Vec<&str> = GOOD.split('"').collect();
        let texts = (1..pieces.len()).step_by(2).map(|at| {
            let before = pieces[..at].join("\"");
            let after = pieces[at + 1..].join("\"");
            format!("{before}{quoted}{after}")
        });
        let names = GOOD.lines().filter_map(|line| {
            let (name, _) = line.split_once(" = ")?;
            let table = line.replacen(name, &quoted, 1);
            Some(GOOD.replacen(line, &table, 1))
        });
        let tables = GOOD.lines().filter(|line| line.starts_with('[')).map(|line| {
            let (path, _) = line.trim_matches(['[', ']']).rsplit_once('.').unwrap_or(("", ""));
            let path = if path.is_empty() { quoted.clone() } else { format!("{path}.{quoted}") };
            GOOD.replacen(line, &format!("[{path}]"), 1)
        });
        for text in texts.chain(names).chain(tables) {
            if let Err(error) = parse(&text) {
                assert_eq!(error.code(), "config", "{error}");
                assert_fit(&error.to_string());
                refused += 1;
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn of_a_locator_or_a_thumbprint() {
    for hostile in hostile() {
        for kind in ["pkcs11:object=", "pkcs11:id=", "pkcs11:", "memory:", "handle:", "file:", ""] {
            if let Err(error) = format!("{kind}{hostile}").parse::<Locator>() {
                assert_fit(&error.to_string());
            }
        }
        let error = format!("{:?}", hostile.parse::<Thumbprint>());
        assert_fit(&error);
    }
}

/// Headers of a JWE and of a JWS, for an engine that knows no key and for one that looks at signatures.
#[test]
fn of_a_token() {
    let keyring = json!({ "schema": 1, "generation": 1, "keys": [] }).to_string();
    let keyring = Keyring::parse(Path::new("keyring.json"), keyring.as_bytes()).unwrap();
    let set = JwkSet::parse(json!({ "keys": [ec_jwk()] }).to_string().as_bytes()).unwrap();
    let trusted = TrustedKeys::new(set, &Policy::of(Profile::All));
    let engines = [Profile::All, Profile::Strict].map(|profile| {
        let keystores = Keystores::opened(Vec::new(), false).unwrap();
        Engine::new(Policy::of(profile), Vec::new(), &keyring, keystores).unwrap()
    });
    let headers = [
        json!({
            "alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": "1", "typ": "JOSE", "cty": "JWT",
            "crit": ["exp"], "exp": "x", "apu": "QWxpY2U", "apv": "Qm9i",
            "epk": { "kty": "EC", "crv": "P-256", "x": ec_jwk()["x"], "y": ec_jwk()["y"] },
        }),
        json!({ "alg": "A256GCMKW", "enc": "A256GCM", "kid": "1", "iv": "AAAA", "tag": "AAAA" }),
        json!({ "alg": "ES256", "kid": "1", "typ": "JWT", "b64": true, "jwk": ec_jwk() }),
    ];
    let mut refused = 0;
    for (good, text) in
        headers.iter().flat_map(|good| hostile().into_iter().map(move |text| (good, text)))
    {
        for header in changed(good, &text) {
            let header = base64url::encode(header.to_string().as_bytes());
            let jws = format!("{header}.AAAA.{}", base64url::encode(&[7; 64]));
            let jwe = format!("{header}.AAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA");
            let general = json!({
                "payload": "AAAA",
                "signatures": [{ "header": { "kid": text }, "protected": header, "signature": "AAAA" }],
            });
            let recipients = json!({
                "protected": header, "iv": "AAAAAAAAAAAAAAAA", "ciphertext": "AAAA",
                "tag": "AAAAAAAAAAAAAAAAAAAAAA", text.as_str(): "AAAA",
                "recipients": [{ "header": { "kid": text }, "encrypted_key": "AAAA" }],
            });
            for token in [jws, jwe, general.to_string(), recipients.to_string()] {
                for engine in &engines {
                    let token = token.as_bytes();
                    let errors = [
                        engine.decrypt(token, None).map(|_| ()),
                        engine.decrypt(token, Some("a")).map(|_| ()),
                        engine.verify(token, &trusted).map(|_| ()),
                    ];
                    for error in errors.into_iter().filter_map(Result::err) {
                        assert_fit(&error.to_string());
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 5000, "{refused}");
}

//! Writes `world/tokens.json` and `world/issuers.json` anew: after a key or an algorithm was added.
//!
//! Signatures and encryptions are random, so the tokens are made once and kept.

use std::path::Path;

use hsm_jose::engine::{EncryptOptions, SignOptions};
use hsm_jose::jose::alg::{
    ContentEncryption, KeyAlgorithm, KeyManagement, Purpose, SignatureAlgorithm,
};
use hsm_jose::jose::base64url;
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jwe::Recipient;
use hsm_jose::jws::JwsForm;
use hsm_jose_fuzz::world::{DIRECTORY, Key, NOW, Taken, Token, World};
// With the coverage of a fuzz build, it is libFuzzer that has the counters' functions.
use libfuzzer_sys as _;
use serde_json::{Value, json};

fn main() {
    let directory = Path::new(DIRECTORY);
    let issuers = directory.join("issuers.json");
    if !issuers.is_file() {
        std::fs::write(&issuers, r#"{"keys":[]}"#).expect("issuers.json");
    }
    let keys = World::new(Vec::new()).keys;
    let signing = keys.iter().filter(|key| key.purpose() == Purpose::Sign);
    let set = json!({ "keys": signing.map(Key::public).collect::<Vec<_>>() });
    std::fs::write(&issuers, format!("{set:#}\n")).expect("issuers.json");

    let world = World::new(Vec::new());
    let tokens = [
        encrypted(&world),
        encrypted_in_json(&world),
        signed(&world),
        signed_in_json(&world),
        shared(&world),
        of_contexts(&world),
        of_rfcs(&world),
    ]
    .concat();
    // A corpus is made of the tokens there were: those that are still made keep their text.
    let kept = std::fs::read(directory.join("tokens.json")).unwrap_or_default();
    let kept: Vec<Token> = serde_json::from_slice(&kept).unwrap_or_default();
    let keep = |token: Token| {
        let is_same = |old: &&Token| {
            (&old.name, old.taken, &old.content) == (&token.name, token.taken, &token.content)
        };
        kept.iter().find(is_same).cloned().unwrap_or(token)
    };
    let world = World::new(tokens.into_iter().map(keep).collect());
    let lines: Vec<String> = world.tokens.iter().map(|token| json!(token).to_string()).collect();
    std::fs::write(directory.join("tokens.json"), format!("[\n{}\n]\n", lines.join(",\n")))
        .expect("tokens.json");
}

/// Every `alg` of every key with one `enc`, every `enc` with one key, without and with kid.
fn encrypted(world: &World) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut number = 0;
    for key in world.keys.iter().filter(|key| key.purpose() == Purpose::Decrypt) {
        for alg in unwrapping(key) {
            let enc = ContentEncryption::ALL[number % ContentEncryption::ALL.len()];
            tokens.push(encrypt(world, key, alg, enc, &"content ".repeat(number % 8)));
            number += 1;
        }
    }
    let key = world.key(Purpose::Decrypt, 1);
    for enc in ContentEncryption::ALL {
        tokens.push(encrypt(world, key, unwrapping(key)[0], *enc, "sixteen bytes !!"));
    }
    tokens
}

/// The JSON serializations: with `aad`, with several recipients of whom some are strangers.
fn encrypted_in_json(world: &World) -> Vec<Token> {
    let mut tokens = Vec::new();
    let stranger = Recipient::new(world.key(Purpose::Decrypt, 1).public_of_a_stranger());
    let stranger = [stranger.expect("a recipient")];
    for (number, key) in
        world.keys.iter().filter(|key| key.purpose() == Purpose::Decrypt).enumerate()
    {
        let own = world.recipient(key);
        let aad: &[u8] = if number % 2 == 0 { b"more" } else { b"" };
        let mut push = |serialization: Serialization, recipients: &[&[Recipient]]| {
            let options = EncryptOptions { aad, serialization, ..Default::default() };
            let token = world.all.encrypt_to_all(recipients, &options, b"content");
            tokens.push(Token {
                name: format!("{serialization} {} of {}", key.kid(), recipients.len()),
                taken: Taken::Decrypt,
                token: token.expect("a token"),
                content: "content".into(),
                inner: None,
            });
        };
        push(Serialization::Flattened, &[own]);
        push(Serialization::General, &[own]);
        push(Serialization::General, &[&stranger, own]);
    }
    tokens
}

fn encrypt(
    world: &World,
    key: &Key,
    alg: KeyManagement,
    enc: ContentEncryption,
    content: &str,
) -> Token {
    let options = EncryptOptions { alg: Some(alg), enc: Some(enc), ..Default::default() };
    let token = world.all.encrypt(world.recipient(key), &options, content.as_bytes());
    Token {
        name: format!("{alg} {enc} {}", key.kid()),
        taken: Taken::Decrypt,
        token: token.expect("a token"),
        content: content.into(),
        inner: None,
    }
}

/// Every `alg` of every key.
fn signed(world: &World) -> Vec<Token> {
    let each = signing(world).map(|(key, alg)| Token {
        name: format!("{alg} {}", key.kid()),
        taken: Taken::Verify,
        token: sign(world, key, alg, None, "payload"),
        content: "payload".into(),
        inner: None,
    });
    each.collect()
}

/// The JSON serializations, with payloads that are encoded and as they are (RFC 7797).
fn signed_in_json(world: &World) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, key) in world.keys.iter().filter(|key| key.purpose() == Purpose::Sign).enumerate()
    {
        for serialization in [Serialization::Flattened, Serialization::General] {
            let signer = world.all.signer_named(&key.name, &SignOptions::default());
            let unencoded = number % 2 == 0;
            let form = JwsForm { serialization, detached: false, unencoded };
            let token = world.all.sign_as(&[signer.expect("a signer")], form, b"$.02");
            tokens.push(Token {
                name: format!(
                    "{serialization} {}, {}",
                    key.kid(),
                    if unencoded { "as it is" } else { "encoded" }
                ),
                taken: Taken::Verify,
                token: token.expect("a token"),
                content: "$.02".into(),
                inner: None,
            });
        }
    }
    tokens
}

/// What a symmetric key encrypts or vouches for, compact and in JSON.
fn shared(world: &World) -> Vec<Token> {
    let mut tokens = Vec::new();
    for key in &world.secrets {
        for serialization in [Serialization::Compact, Serialization::General] {
            let (taken, token) = match key.purpose() {
                Purpose::Decrypt => {
                    let options = EncryptOptions { serialization, ..Default::default() };
                    (Taken::Decrypt, world.all.encrypt_with(&key.name, &options, b"content"))
                }
                Purpose::Sign => {
                    let signer = world.all.signer_named(&key.name, &SignOptions::default());
                    let form = JwsForm { serialization, ..Default::default() };
                    let token = world.all.sign_as(&[signer.expect("a signer")], form, b"content");
                    (Taken::Authenticate, token)
                }
            };
            tokens.push(Token {
                name: format!("{serialization} {}", key.kid()),
                taken,
                token: token.expect("a token"),
                content: "content".into(),
                inner: None,
            });
        }
    }
    tokens
}

/// For every context, a token of each signing key or each recipient.
fn of_contexts(world: &World) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, (key, alg)) in signing(world).enumerate() {
        let claims = json!({
            "iss": key.public().iss, "aud": "https://partner.example", "sub": "alice", "iat": NOW,
            "exp": NOW + 300, "jti": number.to_string(),
        });
        let claims = claims.to_string();
        let inner = sign(world, key, alg, Some("JWT"), &claims);
        let recipient = world.key(Purpose::Decrypt, number as u8);
        let options = EncryptOptions { cty: Some("JWT"), ..Default::default() };
        let nested = world.all.encrypt(world.recipient(recipient), &options, inner.as_bytes());
        tokens.push(Token {
            name: format!("{alg} {} to {}", key.kid(), recipient.kid()),
            taken: Taken::Nested,
            token: nested.expect("a token"),
            content: claims.clone(),
            inner: Some(inner),
        });
        tokens.push(Token {
            name: format!("{alg} {}", key.kid()),
            taken: Taken::Signed,
            token: sign(world, key, alg, Some("logout+jwt"), &claims),
            content: claims,
            inner: None,
        });
    }
    let rules = world.all.context("sealed").and_then(|context| context.opening().cloned());
    let names = rules.expect("rules").decrypt;
    for key in world.keys.iter().filter(|key| names.contains(&key.name)) {
        let options = EncryptOptions { typ: Some("response+jwt"), ..Default::default() };
        let claims = json!({ "vp_token": key.kid(), "state": "1" }).to_string();
        let token = world.all.encrypt(world.recipient(key), &options, claims.as_bytes());
        tokens.push(Token {
            name: key.kid(),
            taken: Taken::Sealed,
            token: token.expect("a token"),
            content: claims,
            inner: None,
        });
    }
    tokens
}

/// The examples of the RFCs whose keys are key pairs of this world, and whose content is text.
fn of_rfcs(world: &World) -> Vec<Token> {
    let examples = Path::new(DIRECTORY).join("../../tests/data/rfc/examples.json");
    let examples = std::fs::read(examples).expect("examples.json");
    let examples: Value = serde_json::from_slice(&examples).expect("JSON");
    let taken = examples["tokens"]
        .as_array()
        .expect("tokens")
        .iter()
        .filter(|example| example["expect"] == "opens" && example["payload"].is_string());
    let own = |example: &Value| {
        let text = |name: &str| example[name].as_str().unwrap_or_default().to_owned();
        let content = base64url::decode(text("payload").as_bytes()).expect("base64url");
        Token {
            name: text("source"),
            taken: if text("kind") == "jwe" { Taken::Decrypt } else { Taken::Verify },
            token: text("token"),
            content: String::from_utf8(content).expect("text"),
            inner: None,
        }
    };
    let is_taken = |token: &Token| match token.taken {
        Taken::Decrypt => world.all.decrypt(token.token.as_bytes(), None).is_ok(),
        _ => world.all.verify(token.token.as_bytes(), &world.trusted).is_ok(),
    };
    taken.map(own).filter(is_taken).collect()
}

fn signing(world: &World) -> impl Iterator<Item = (&Key, SignatureAlgorithm)> {
    world.keys.iter().flat_map(|key| {
        key.algs.iter().filter_map(move |alg| match alg {
            KeyAlgorithm::Sign(alg) => Some((key, *alg)),
            KeyAlgorithm::Unwrap(_) => None,
        })
    })
}

fn unwrapping(key: &Key) -> Vec<KeyManagement> {
    let algs = key.algs.iter().filter_map(|alg| match alg {
        KeyAlgorithm::Unwrap(alg) => Some(*alg),
        KeyAlgorithm::Sign(_) => None,
    });
    algs.collect()
}

fn sign(
    world: &World,
    key: &Key,
    alg: SignatureAlgorithm,
    typ: Option<&str>,
    payload: &str,
) -> String {
    let options = SignOptions { alg: Some(alg), typ, ..Default::default() };
    world.all.sign(&key.name, &options, payload.as_bytes()).expect("a token")
}

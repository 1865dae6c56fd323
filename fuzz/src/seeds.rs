//! What each target starts from: tokens, keys and configurations that are in the repository anyway.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hsm_jose::jose::base64url;
use serde_json::{Value, json};

use crate::parts::{self, Sealed, Signed};
use crate::world::{self, DIRECTORY, Taken, world};

/// Returns the seeds of a target: those that are made, and those that a long run has left in
/// `seeds/TARGET.base64`. A target may have others, as they are, in the folder `seeds/TARGET`.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    [made(target), kept(target)].concat()
}

fn made(target: &str) -> Vec<Vec<u8>> {
    match target {
        "serialization_jwe" | "serialization_jws" | "inspect" | "explain" | "decrypt"
        | "verify" | "open" => tokens(),
        "header" => tokens().iter().filter_map(|token| header(token)).collect(),
        "json" | "claims" => {
            let headers = tokens();
            let headers = headers.iter().filter_map(|token| header(token));
            headers.chain(contents()).chain(public_keys()).collect()
        }
        "jwk" => public_keys(),
        "private_jwk" => private_keys(),
        "jwk_set" => sets(),
        "jwk_check" => [sets(), private_keys()].concat(),
        "keyring" => {
            vec![world::keyring(&[&world().keys[..], &world().secrets].concat()).into_bytes()]
        }
        "config" => configurations(),
        "decrypt_edited" => numbers(Taken::Decrypt),
        "authenticate_edited" => numbers(Taken::Authenticate),
        "verify_edited" => numbers(Taken::Verify),
        "open_edited" => {
            let contexts = [Taken::Nested, Taken::Signed, Taken::Sealed].into_iter().enumerate();
            let each = contexts.flat_map(|(context, taken)| {
                let numbers = numbers(taken).into_iter();
                numbers.map(move |number| vec![number[0], context as u8, context as u8])
            });
            each.collect()
        }
        _ => Vec::new(),
    }
}

/// Inputs in base64, one a line; most are of a few bytes.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let file = Path::new(DIRECTORY).join("../seeds").join(format!("{target}.base64"));
    let lines = fs::read_to_string(file).unwrap_or_default();
    lines.lines().map(|line| STANDARD.decode(line).expect("base64")).collect()
}

/// What the tags and signatures of the RFCs' tokens and of the attack cases vouch for: some of them are
/// made with the keys of this world.
pub struct Elsewhere {
    /// Of each JWE.
    pub sealed: HashSet<Sealed>,
    /// Of each signature of a JWS.
    pub signed: HashSet<Signed>,
}

/// Returns what is vouched for outside of this world, read at the first call.
pub fn elsewhere() -> &'static Elsewhere {
    static ELSEWHERE: OnceLock<Elsewhere> = OnceLock::new();
    ELSEWHERE.get_or_init(|| {
        let tokens = tokens();
        Elsewhere {
            sealed: tokens.iter().filter_map(|token| parts::sealed(token)).collect(),
            signed: tokens.iter().flat_map(|token| parts::signed(token)).collect(),
        }
    })
}

/// The tokens of the world, of the RFCs and of the attack cases.
fn tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> =
        world().tokens.iter().map(|token| token.token.clone().into_bytes()).collect();
    for directory in ["tests/data/rfc", "tests/data/attacks"] {
        for file in files(&repository(directory)) {
            let text = fs::read(&file).expect("a file that can be read");
            if let Ok(json) = serde_json::from_slice(&text) {
                collect_tokens(&json, &mut tokens);
            }
        }
    }
    tokens
}

/// Collects every member `token`, at any level; the form is told in `tests/data/attacks/README.md`.
fn collect_tokens(json: &Value, tokens: &mut Vec<Vec<u8>>) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "token" => tokens.push(token(value)),
                    _ => collect_tokens(value, tokens),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_tokens(value, tokens)),
        _ => {}
    }
}

/// A text, an object of a JSON serialization, or pieces.
fn token(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(pieces) => pieces.iter().flat_map(piece).collect(),
        _ => value.to_string().into_bytes(),
    }
}

fn piece(piece: &Value) -> Vec<u8> {
    if let Some(text) = piece["repeat"].as_str() {
        // Longer ones are for the tests of limits: a fuzzer has no use for them.
        let times = piece["times"].as_u64().unwrap_or_default().min(1000);
        return text.repeat(times as usize).into_bytes();
    }
    if let Some(hex) = piece["hex"].as_str() {
        let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        return digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8))
            .collect();
    }
    token(piece)
}

fn header(token: &[u8]) -> Option<Vec<u8>> {
    base64url::decode(token.split(|byte| *byte == b'.').next()?).ok()
}

fn contents() -> Vec<Vec<u8>> {
    world().tokens.iter().map(|token| token.content.clone().into_bytes()).collect()
}

fn public_keys() -> Vec<Vec<u8>> {
    world().keys.iter().map(|key| json!(key.public()).to_string().into_bytes()).collect()
}

fn private_keys() -> Vec<Vec<u8>> {
    world().keys.iter().map(|key| key.jwk.to_string().into_bytes()).collect()
}

fn sets() -> Vec<Vec<u8>> {
    let keys: Vec<Value> = world().keys.iter().map(|key| json!(key.public())).collect();
    let pairs = keys.chunks(2).map(|keys| json!({ "keys": keys }).to_string().into_bytes());
    pairs.chain(public_keys()).collect()
}

fn configurations() -> Vec<Vec<u8>> {
    let own = [Path::new(DIRECTORY).join("all.toml"), Path::new(DIRECTORY).join("strict.toml")];
    let files = files(&repository("hsm-config")).into_iter().chain(own);
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.map(|file| fs::read(file).expect("a file that can be read")).collect()
}

/// One byte for each token: chosen, and not changed.
fn numbers(taken: Taken) -> Vec<Vec<u8>> {
    let count = world().tokens.iter().filter(|token| token.taken == taken).count();
    (0..count.min(256)).map(|number| vec![number as u8]).collect()
}

fn repository(directory: &str) -> PathBuf {
    Path::new(DIRECTORY).join("../..").join(directory)
}

/// The files of a directory and of those in it, in order; none where it does not exist.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let all = paths.into_iter().flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    all.collect()
}

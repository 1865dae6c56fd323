//! The case files of `tests/data/attacks`: see the README there for what a member means.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One case, as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub title: String,
    pub source: Vec<String>,
    pub family: String,
    pub operation: Operation,
    pub policy: Policy,
    /// The context of `open`.
    pub context: Option<String>,
    /// The algs that `[policy] symmetric` names beside those of the profile.
    #[serde(default)]
    pub symmetric: Vec<String>,
    /// The keys of the keyring (`decrypt`, and `verify` with `mac_key`), or those whose signatures
    /// are believed (`verify`).
    #[serde(default)]
    pub keys: Vec<String>,
    /// For `verify`: the key of the keyring whose MAC is to be checked, as the program's `--key`.
    pub mac_key: Option<String>,
    /// Which signatures must verify, as the program's `--require` has it; all, if absent.
    pub require: Option<String>,
    /// The time, in seconds since 1970; the system's clock if absent.
    pub at: Option<u64>,
    pub expect: Expect,
    pub reaches_key: bool,
    token: Value,
    /// Folder and name of the file.
    #[serde(skip)]
    pub file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Decrypt,
    Verify,
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    Strict,
    All,
}

/// What must happen.
#[derive(Debug, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase", deny_unknown_fields)]
pub enum Expect {
    Refused {
        code: String,
        exit: i32,
    },
    /// The control of a family.
    Accepted {
        plaintext: String,
        exit: i32,
    },
}

/// The keys and the trust files of all cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    #[serde(rename = "about")]
    pub _about: String,
    /// Trust files by name: the names of their keys.
    pub sets: BTreeMap<String, Vec<String>>,
    pub keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub name: String,
    pub source: String,
    pub algs: Vec<String>,
    /// The one issuer that the key signs for.
    pub iss: Option<String>,
    pub jwk: Value,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Piece {
    Text(String),
    Repeat { repeat: String, times: usize },
    Hex { hex: String },
}

impl Case {
    pub fn is_control(&self) -> bool {
        matches!(self.expect, Expect::Accepted { .. })
    }

    /// Returns the name of the rule on signatures, and the issuers that it names.
    pub fn rule(&self) -> (&str, Vec<&str>) {
        let require = self.require.as_deref().unwrap_or("all");
        match require.split_once(':') {
            Some((rule, issuers)) => (rule, issuers.split(',').collect()),
            None => (require, Vec::new()),
        }
    }

    /// Returns the octets of the token: a text as it stands, an object as JSON, or pieces put
    /// together.
    pub fn token(&self) -> Vec<u8> {
        match &self.token {
            Value::String(text) => text.clone().into_bytes(),
            Value::Object(_) => self.token.to_string().into_bytes(),
            pieces => {
                let pieces = Vec::<Piece>::deserialize(pieces)
                    .unwrap_or_else(|error| panic!("{}: token: {error}", self.file));
                let octets = pieces.into_iter().map(|piece| match piece {
                    Piece::Text(text) => text.into_bytes(),
                    Piece::Repeat { repeat, times } => repeat.repeat(times).into_bytes(),
                    Piece::Hex { hex } => crate::common::unhex(&hex),
                });
                octets.collect::<Vec<_>>().concat()
            }
        }
    }
}

impl Keys {
    pub fn read() -> Self {
        let text = fs::read_to_string(folder().join("keys.json")).expect("keys.json");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("keys.json: {error}"))
    }

    pub fn named(&self, name: &str) -> &Key {
        self.keys.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no key {name}"))
    }
}

impl Key {
    /// Returns the JWK as a verifier has it: without private members, bound to its issuer.
    pub fn public(&self) -> Value {
        let mut public = self.jwk.clone();
        let members = public.as_object_mut().expect("a JWK is an object");
        members.retain(|name, _| !["d", "p", "q", "dp", "dq", "qi", "k"].contains(&name.as_str()));
        members.extend(self.iss.iter().map(|iss| ("iss".to_owned(), iss.as_str().into())));
        public
    }
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/attacks")
}

/// Reads the contexts of `open`: those of every case, and those that need symmetric keys.
pub fn contexts(has_symmetric: bool) -> String {
    let files = ["contexts.toml", "contexts-symmetric.toml"];
    let read = |name| std::fs::read_to_string(folder().join(name)).expect("contexts");
    files.into_iter().take(1 + usize::from(has_symmetric)).map(read).collect()
}

/// Reads every case, in the order of their names. A file that is no case fails the test.
pub fn read_all() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in entries(&folder()) {
        let name = name_of(&family);
        if !family.is_dir() {
            let known = ["README.md", "contexts.toml", "contexts-symmetric.toml", "keys.json"];
            assert!(known.contains(&name.as_str()), "{name}: what is this?");
            continue;
        }
        if name == "make" {
            continue;
        }
        for path in entries(&family) {
            let file = format!("{name}/{}", name_of(&path));
            assert!(file.ends_with(".json"), "{file}: a case is a .json file");
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            let case = serde_json::from_str::<Case>(&text);
            let case = case.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(case.family, name, "{file}: the family is the folder");
            cases.push(Case { file, ..case });
        }
    }
    cases
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8").to_owned()
}

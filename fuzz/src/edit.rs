//! Changes to a token that keep it decodable, so that what is behind the parsers is reached.

use arbitrary::Arbitrary;
use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm};
use hsm_jose::jose::base64url;
use serde_json::{Map, Value as Json, json};

use crate::world::{Taken, world};

/// At most this many changes are made to one token.
const MAX_EDITS: usize = 6;

/// A token of the world, and what is done to it.
#[derive(Arbitrary, Debug)]
pub struct Case {
    /// Which token; any number chooses one. The first byte, so that one byte is a seed.
    pub token: u8,
    /// The changes, in order.
    pub edits: Vec<Edit>,
}

/// One change. Every number is taken modulo what there is.
#[allow(missing_docs, reason = "the fields of a change are what its sentence names")]
#[derive(Arbitrary, Debug)]
pub enum Edit {
    /// Flips a bit of a part's bytes.
    FlipBit { part: u8, at: u16 },
    /// Flips a bit of the token's text.
    FlipChar { at: u16, bit: u8 },
    /// Cuts the end of a part's bytes.
    Truncate { part: u8, by: u8 },
    /// Makes a part's bytes longer.
    Append { part: u8, bytes: Vec<u8> },
    /// Puts other bytes in a part's place.
    Replace { part: u8, bytes: Vec<u8> },
    /// Fills a part with one byte.
    Fill { part: u8, len: u16, byte: u8 },
    /// Puts text in a part's place as it is.
    Text { part: u8, text: String },
    /// Takes a part of another token.
    Take { part: u8, from: u8, kind: u8, theirs: u8 },
    /// Puts two parts in each other's place.
    Swap { a: u8, b: u8 },
    /// Removes a part.
    Drop { part: u8 },
    /// Adds a part.
    Insert { part: u8, bytes: Vec<u8> },
    /// Sets a member of the header.
    Member { name: Name, value: Value },
    /// Sets a member of the header's `epk`.
    EpkMember { name: Name, value: Value },
    /// Removes a member of the header.
    Remove { name: Name },
    /// Adds a member to the header that may be there already.
    Twice { name: Name, value: Value },
    /// Puts another header in its place.
    Header { json: Vec<u8> },
    /// Sets a member of a JSON serialization, outside of what is protected.
    Outside { name: Name, value: Value },
}

/// The name of a member: one that means something, or any.
#[derive(Arbitrary, Debug)]
pub enum Name {
    /// One of a list.
    Known(u8),
    /// Any.
    Any(String),
}

/// The value of a member: one that means something, or any.
#[derive(Arbitrary, Debug)]
pub enum Value {
    /// An algorithm's name.
    Alg(u8),
    /// A content encryption's name.
    Enc(u8),
    /// A kid of the world.
    Kid(u8),
    /// A public key of the world.
    Jwk(u8),
    /// A media type.
    Type(u8),
    /// An array of names, as in `crit`.
    Names(Vec<Name>),
    /// Any text.
    Text(String),
    /// Any bytes, in base64url.
    Bytes(Vec<u8>),
    /// A number.
    Number(i64),
    /// A number that is no integer.
    Real(f64),
    /// true or false.
    Bool(bool),
    /// null.
    Null,
    /// Objects in one another.
    Deep(u8),
}

const NAMES: [&str; 46] = [
    "alg",
    "enc",
    "kid",
    "typ",
    "cty",
    "crit",
    "zip",
    "b64",
    "jwk",
    "jku",
    "x5u",
    "x5c",
    "x5t",
    "x5t#S256",
    "epk",
    "apu",
    "apv",
    "iv",
    "tag",
    "p2s",
    "p2c",
    "iss",
    "aud",
    "sub",
    "exp",
    "iat",
    "nbf",
    "jti",
    "kty",
    "crv",
    "x",
    "y",
    "d",
    "k",
    "n",
    "e",
    "protected",
    "unprotected",
    "header",
    "recipients",
    "encrypted_key",
    "ciphertext",
    "aad",
    "payload",
    "signature",
    "signatures",
];

/// Names of algorithms that are none of this build's, and spellings that must not be taken for one.
const STRANGE: [&str; 10] = [
    "none",
    "None",
    "NONE",
    "",
    "RSA1_5",
    "PBES2-HS256+A128KW",
    "HS256 ",
    "es256",
    "ECDH-1PU",
    "\0",
];

const TYPES: [&str; 9] = [
    "JWT",
    "jwt",
    "application/jwt",
    "logout+jwt",
    "application/logout+jwt",
    "response+jwt",
    "JOSE",
    "application/",
    "a/b/c",
];

impl Case {
    /// Makes the changes to a token that `taken` takes.
    pub fn apply(&self, taken: Taken) -> Vec<u8> {
        apply(&world().token(taken, self.token).token, &self.edits)
    }
}

/// Makes the changes to a token, compact or JSON. Of a JSON one the parts are its texts, the protected
/// header first.
pub fn apply(token: &str, edits: &[Edit]) -> Vec<u8> {
    let edits = edits.iter().take(MAX_EDITS);
    let Ok(mut json @ Json::Object(_)) = serde_json::from_str(token) else {
        let mut parts: Vec<Vec<u8>> =
            token.split('.').map(|part| part.as_bytes().to_vec()).collect();
        edits.for_each(|edit| edit.apply(&mut parts));
        return parts.join(&b'.');
    };
    let mut texts = Vec::new();
    collect_texts(&json, "", &mut texts);
    texts.sort_by_key(|(place, _)| !place.ends_with("/protected"));
    let (places, mut parts): (Vec<String>, Vec<Vec<u8>>) = texts.into_iter().unzip();
    for edit in edits {
        match edit {
            Edit::Outside { name, value } => json[name.text()] = value.json(),
            edit => edit.apply(&mut parts),
        }
    }
    for (place, part) in places.iter().zip(parts) {
        if let Some(text) = json.pointer_mut(place) {
            *text = String::from_utf8_lossy(&part).into();
        }
    }
    json.to_string().into_bytes()
}

/// Collects every text of a value, each with its JSON pointer.
fn collect_texts(value: &Json, place: &str, texts: &mut Vec<(String, Vec<u8>)>) {
    match value {
        Json::String(text) => texts.push((place.to_owned(), text.clone().into_bytes())),
        Json::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect_texts(value, &format!("{place}/{index}"), texts);
            }
        }
        Json::Object(members) => {
            for (name, value) in members {
                collect_texts(value, &format!("{place}/{name}"), texts);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

impl Edit {
    fn apply(&self, parts: &mut Vec<Vec<u8>>) {
        if parts.is_empty() {
            return;
        }
        let count = parts.len();
        let index = |number: u8| usize::from(number) % count;
        match self {
            Self::FlipBit { part, at } => with_bytes(&mut parts[index(*part)], |bytes| {
                let at = usize::from(*at) % (bytes.len() * 8).max(1);
                if let Some(byte) = bytes.get_mut(at / 8) {
                    *byte ^= 1 << (at % 8);
                }
            }),
            Self::FlipChar { at, bit } => {
                let mut text = parts.join(&b'.');
                let at = usize::from(*at) % text.len().max(1);
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
                *parts = text.split(|byte| *byte == b'.').map(<[u8]>::to_vec).collect();
            }
            Self::Truncate { part, by } => with_bytes(&mut parts[index(*part)], |bytes| {
                bytes.truncate(bytes.len().saturating_sub(usize::from(*by)));
            }),
            Self::Append { part, bytes: more } => {
                with_bytes(&mut parts[index(*part)], |bytes| bytes.extend_from_slice(more));
            }
            Self::Replace { part, bytes } => parts[index(*part)] = encoded(bytes),
            Self::Fill { part, len, byte } => {
                parts[index(*part)] = encoded(&vec![*byte; usize::from(*len % 1100)]);
            }
            Self::Text { part, text } => parts[index(*part)] = text.clone().into_bytes(),
            Self::Take { part, from, kind, theirs } => {
                let kinds = [
                    Taken::Decrypt,
                    Taken::Verify,
                    Taken::Authenticate,
                    Taken::Nested,
                    Taken::Signed,
                    Taken::Sealed,
                ];
                let kind = kinds[usize::from(*kind) % kinds.len()];
                let other: Vec<&str> = world().token(kind, *from).token.split('.').collect();
                parts[index(*part)] = other[usize::from(*theirs) % other.len()].into();
            }
            Self::Swap { a, b } => parts.swap(index(*a), index(*b)),
            Self::Drop { part } => drop(parts.remove(index(*part))),
            Self::Insert { part, bytes } => parts.insert(index(*part), encoded(bytes)),
            Self::Member { name, value } => with_header(parts, |header| {
                header.insert(name.text(), value.json());
            }),
            Self::EpkMember { name, value } => with_header(parts, |header| {
                if let Some(Json::Object(epk)) = header.get_mut("epk") {
                    epk.insert(name.text(), value.json());
                }
            }),
            Self::Remove { name } => with_header(parts, |header| {
                header.remove(&name.text());
            }),
            Self::Twice { name, value } => with_bytes(&mut parts[0], |bytes| {
                let member = format!("{{{}:{},", Json::from(name.text()), value.json());
                *bytes = [member.as_bytes(), bytes.get(1..).unwrap_or_default()].concat();
            }),
            Self::Header { json } => parts[0] = encoded(json),
            // A compact token has nothing outside.
            Self::Outside { .. } => {}
        }
    }
}

impl Name {
    /// Returns the name.
    pub fn text(&self) -> String {
        match self {
            Self::Known(number) => NAMES[usize::from(*number) % NAMES.len()].to_owned(),
            Self::Any(text) => text.clone(),
        }
    }
}

impl Value {
    /// Returns the value.
    pub fn json(&self) -> Json {
        let keys = &world().keys;
        match self {
            Self::Alg(number) => {
                let own = KeyAlgorithm::all().map(KeyAlgorithm::name);
                let names: Vec<_> = own.chain(STRANGE).collect();
                names[usize::from(*number) % names.len()].into()
            }
            Self::Enc(number) => {
                let all = ContentEncryption::ALL;
                all[usize::from(*number) % all.len()].name().into()
            }
            Self::Kid(number) => {
                let all: Vec<_> = keys.iter().chain(&world().secrets).collect();
                all[usize::from(*number) % all.len()].kid().into()
            }
            Self::Jwk(number) => json!(keys[usize::from(*number) % keys.len()].public()),
            Self::Type(number) => TYPES[usize::from(*number) % TYPES.len()].into(),
            Self::Names(names) => names.iter().map(Name::text).collect::<Vec<_>>().into(),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => base64url::encode(bytes).into(),
            Self::Number(number) => (*number).into(),
            Self::Real(number) => json!(number),
            Self::Bool(value) => (*value).into(),
            Self::Null => Json::Null,
            Self::Deep(depth) => (0..*depth % 64).fold(json!(1), |inner, _| json!({ "a": inner })),
        }
    }
}

fn encoded(bytes: &[u8]) -> Vec<u8> {
    base64url::encode(bytes).into_bytes()
}

/// Changes the bytes that a part decodes to; a part that does not decode is left as it is.
fn with_bytes(part: &mut Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) {
    if let Ok(mut bytes) = base64url::decode(part) {
        change(&mut bytes);
        *part = encoded(&bytes);
    }
}

/// Changes the members of the header; a header that is no object is left as it is.
fn with_header(parts: &mut [Vec<u8>], change: impl FnOnce(&mut Map<String, Json>)) {
    with_bytes(&mut parts[0], |bytes| {
        if let Ok(Json::Object(mut members)) = serde_json::from_slice(bytes) {
            change(&mut members);
            *bytes = Json::Object(members).to_string().into_bytes();
        }
    });
}

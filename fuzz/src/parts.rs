//! What a token's tag or signature vouches for, read out of any serialization without the crate's own
//! parsers.

use serde_json::Value;

/// What the tag of a JWE vouches for, each part as it stands in the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sealed {
    protected: String,
    aad: Option<String>,
    iv: String,
    ciphertext: String,
    tag: String,
}

/// What a signature of a JWS covers, each part as it stands in the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signed {
    protected: String,
    payload: String,
}

/// Reads the parts of a JWE; nothing for what is none.
pub fn sealed(token: &[u8]) -> Option<Sealed> {
    let text = std::str::from_utf8(token).ok()?;
    if !is_json(text)
        && let [protected, _, iv, ciphertext, tag] = text.split('.').collect::<Vec<_>>()[..]
    {
        let own = str::to_owned;
        let (iv, ciphertext, tag) = (own(iv), own(ciphertext), own(tag));
        return Some(Sealed { protected: own(protected), aad: None, iv, ciphertext, tag });
    }
    let members: Value = serde_json::from_str(text).ok()?;
    let member = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Sealed {
        protected: member("protected").unwrap_or_default(),
        aad: member("aad"),
        iv: member("iv")?,
        ciphertext: member("ciphertext")?,
        tag: member("tag")?,
    })
}

/// Reads what each signature of a JWS covers; nothing for what is none.
pub fn signed(token: &[u8]) -> Vec<Signed> {
    read_signed(token).unwrap_or_default()
}

fn read_signed(token: &[u8]) -> Option<Vec<Signed>> {
    let text = std::str::from_utf8(token).ok()?;
    if !is_json(text)
        && let [protected, payload, _] = text.split('.').collect::<Vec<_>>()[..]
    {
        return Some(vec![Signed { protected: protected.to_owned(), payload: payload.to_owned() }]);
    }
    let members: Value = serde_json::from_str(text).ok()?;
    let payload = members.get("payload")?.as_str()?;
    let one = |signature: &Value| {
        let protected = signature.get("protected")?.as_str()?.to_owned();
        Some(Signed { protected, payload: payload.to_owned() })
    };
    match members.get("signatures").and_then(Value::as_array) {
        Some(signatures) => Some(signatures.iter().filter_map(one).collect()),
        None => Some(one(&members).into_iter().collect()),
    }
}

/// Names and payloads of JSON have dots too.
fn is_json(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

//! What a token says of itself, without any key: headers, sizes and a digest. Never its content.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::header::Header;
use super::json;
use super::serialization::{
    CompactJws, Jwe, Kind, MAX_TOKEN_LEN, Serialization, bounded, decode, is_json,
};
use crate::error::{Error, Result};

/// A token as anyone can see it. Nothing in it has been verified.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// `JWE` or `JWS`.
    pub kind: &'static str,
    /// `compact`, `flattened` or `general`.
    pub serialization: &'static str,
    /// The protected header; empty if there is none.
    pub header: Map<String, Value>,
    /// The header that the recipients of a JWE share and that is not protected; empty if there is
    /// none.
    pub unprotected: Map<String, Value>,
    /// The recipients of a JWE.
    pub recipients: Vec<InspectedRecipient>,
    /// The length of the token, in bytes.
    pub token_len: usize,
    /// The length of each part after decoding, in bytes, by its name in the RFC; of several
    /// recipients' parts, in [`Inspection::recipients`].
    pub part_lens: Vec<(&'static str, usize)>,
    /// The SHA-256 of the token's octets, in hexadecimal: what a log may name it by.
    pub sha256: String,
}

/// What a JWE has for one recipient.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedRecipient {
    /// Its own header, which is not protected; empty if there is none.
    pub header: Map<String, Value>,
    /// The length of its encrypted key after decoding, in bytes.
    pub encrypted_key_len: usize,
}

/// Looks at a token.
///
/// # Errors
/// [`Error::Malformed`] if it is neither a JWE nor a JWS in any serialization.
pub fn inspect(token: &[u8]) -> Result<Inspection> {
    let mut found = match Kind::of(token, MAX_TOKEN_LEN)? {
        Kind::Jwe => inspect_jwe(&Jwe::parse(token, MAX_TOKEN_LEN)?)?,
        Kind::Jws => inspect_jws(token)?,
    };
    found.token_len = token.len();
    found.sha256 = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(found)
}

impl Inspection {
    fn new(kind: &'static str, serialization: Serialization, header: &Header) -> Self {
        Self {
            kind,
            serialization: serialization.name(),
            header: header.members().clone(),
            unprotected: Map::new(),
            recipients: Vec::new(),
            token_len: 0,
            part_lens: Vec::new(),
            sha256: String::new(),
        }
    }
}

fn inspect_jwe(jwe: &Jwe<'_>) -> Result<Inspection> {
    let headers = jwe.headers()?;
    let mut found = Inspection::new("JWE", jwe.serialization(), &headers.protected);
    found.unprotected = jwe.unprotected.clone();
    for recipient in &jwe.recipients {
        found.recipients.push(InspectedRecipient {
            header: recipient.header.clone(),
            encrypted_key_len: decode(&recipient.encrypted_key, "encrypted key")?.len(),
        });
    }
    if let [only] = &found.recipients[..] {
        found.part_lens.push(("encrypted_key", only.encrypted_key_len));
    }
    let parts = [("iv", &jwe.iv), ("ciphertext", &jwe.ciphertext), ("tag", &jwe.tag)];
    for (name, part) in parts {
        found.part_lens.push((name, decode(part, name)?.len()));
    }
    if !jwe.aad.is_empty() {
        found.part_lens.push(("aad", decode(&jwe.aad, "aad")?.len()));
    }
    Ok(found)
}

fn inspect_jws(token: &[u8]) -> Result<Inspection> {
    if is_json(token) {
        return inspect_json_jws(token);
    }
    let jws = CompactJws::split(bounded(token, MAX_TOKEN_LEN)?)?;
    let header = Header::parse(jws.protected)?;
    let mut found = Inspection::new("JWS", Serialization::Compact, &header);
    found.part_lens = vec![
        ("payload", decode(jws.payload, "payload")?.len()),
        ("signature", jws.signature.len()),
    ];
    Ok(found)
}

fn inspect_json_jws(token: &[u8]) -> Result<Inspection> {
    let members = json::parse_object(token)
        .map_err(|error| Error::Malformed(format!("JSON serialization: {error}")))?;
    let serialization = match members.contains_key("signatures") {
        true => Serialization::General,
        false => Serialization::Flattened,
    };
    let protected = members.get("protected").and_then(Value::as_str).unwrap_or_default();
    let mut found = Inspection::new("JWS", serialization, &Header::parse_protected(protected)?);
    for name in ["payload", "signature"] {
        match members.get(name) {
            None => {}
            Some(Value::String(text)) => found.part_lens.push((name, decode(text, name)?.len())),
            Some(_) => return Err(Error::Malformed(format!("{name} is not a string"))),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_serialization_is_recognized() {
        let compact = inspect(b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA").unwrap();
        assert_eq!((compact.kind, compact.serialization), ("JWS", "compact"));
        assert_eq!(compact.part_lens, [("payload", 2), ("signature", 3)]);
        assert_eq!(compact.header["alg"], "ES256");
        assert_eq!(compact.sha256.len(), 64);
        let flattened =
            br#"{"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"e30","signature":"AAAA"}"#;
        assert_eq!(inspect(flattened).unwrap().serialization, "flattened");
        let general =
            br#"{"protected":"eyJhbGciOiJkaXIifQ","recipients":[{}],"ciphertext":"AA","iv":"AAAA"}"#;
        let general = inspect(general).unwrap();
        assert_eq!((general.kind, general.serialization), ("JWE", "general"));
        for bad in [&b""[..], b"a.b", b"{}", b"{\"ciphertext\":1}", b"\xff"] {
            assert!(matches!(inspect(bad), Err(Error::Malformed(_))));
        }
    }
}

//! What a token says of itself, without any key: header, sizes and a digest. Never its content.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::header::Header;
use super::json;
use super::serialization::{CompactJwe, CompactJws, MAX_TOKEN_LEN, bounded, decode};
use crate::error::{Error, Result};

/// A token as anyone can see it. Nothing in it has been verified.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// `JWE` or `JWS`.
    pub kind: &'static str,
    /// `compact`, `flattened` or `general`.
    pub serialization: &'static str,
    /// The protected header; of a JSON serialization with several, that of the token as a whole, or
    /// an empty one.
    pub header: Map<String, Value>,
    /// The length of the token, in bytes.
    pub token_len: usize,
    /// The length of each part after decoding, in bytes, by its name in the RFC.
    pub part_lens: Vec<(&'static str, usize)>,
    /// The SHA-256 of the token's octets, in hexadecimal: what a log may name it by.
    pub sha256: String,
}

/// Looks at a token.
///
/// # Errors
/// [`Error::Malformed`] if it is neither a JWE nor a JWS in any serialization.
pub fn inspect(token: &[u8]) -> Result<Inspection> {
    let text = bounded(token, MAX_TOKEN_LEN);
    let sha256 = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    let look = |kind, serialization, header: Header, part_lens| Inspection {
        kind,
        serialization,
        header: header.members().clone(),
        token_len: token.len(),
        part_lens,
        sha256,
    };
    if token.first() == Some(&b'{') && token.len() <= MAX_TOKEN_LEN {
        let members = json::parse_object(token)
            .map_err(|error| Error::Malformed(format!("JSON serialization: {error}")))?;
        let (kind, serialization, part_lens) = json_parts(&members)?;
        let header = match members.get("protected").and_then(Value::as_str) {
            Some(protected) => Header::parse(protected)?,
            None => Header::of(Map::new()),
        };
        return Ok(look(kind, serialization, header, part_lens));
    }
    let text = text?;
    match text.split('.').count() {
        5 => {
            let jwe = CompactJwe::split(text)?;
            let header = Header::parse(jwe.protected)?;
            let parts = [&jwe.encrypted_key, &jwe.iv, &jwe.ciphertext, &jwe.tag];
            let lens = JWE_PARTS.into_iter().zip(parts.map(Vec::len)).collect();
            Ok(look("JWE", "compact", header, lens))
        }
        _ => {
            let jws = CompactJws::split(text)?;
            let header = Header::parse(jws.protected)?;
            let payload = decode(jws.payload, "payload")?;
            let lens = vec![("payload", payload.len()), ("signature", jws.signature.len())];
            Ok(look("JWS", "compact", header, lens))
        }
    }
}

const JWE_PARTS: [&str; 4] = ["encrypted_key", "iv", "ciphertext", "tag"];

type Parts = (&'static str, &'static str, Vec<(&'static str, usize)>);

fn json_parts(members: &Map<String, Value>) -> Result<Parts> {
    let len = |name: &'static str| -> Result<Option<(&'static str, usize)>> {
        match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some((name, decode(text, name)?.len()))),
            Some(_) => Err(Error::Malformed(format!("{name} is not a string"))),
        }
    };
    let lens = |names: &[&'static str]| -> Result<Vec<_>> {
        names.iter().filter_map(|name| len(name).transpose()).collect()
    };
    let (kind, several, parts): (_, _, &[&'static str]) = if members.contains_key("ciphertext") {
        ("JWE", "recipients", &JWE_PARTS)
    } else if members.contains_key("signature") || members.contains_key("signatures") {
        ("JWS", "signatures", &["payload", "signature"])
    } else {
        return Err(Error::Malformed("a JSON object that is neither a JWE nor a JWS".into()));
    };
    let serialization = if members.contains_key(several) { "general" } else { "flattened" };
    Ok((kind, serialization, lens(parts)?))
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
            br#"{"protected":"eyJhbGciOiJkaXIifQ","recipients":[],"ciphertext":"AA","iv":"AAAA"}"#;
        let general = inspect(general).unwrap();
        assert_eq!((general.kind, general.serialization), ("JWE", "general"));
        for bad in [&b""[..], b"a.b", b"{}", b"{\"ciphertext\":1}", b"\xff"] {
            assert!(matches!(inspect(bad), Err(Error::Malformed(_))));
        }
    }
}

//! What a token says of itself, without any key: headers, sizes and a digest. Never its content.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::header::Header;
use super::serialization::{Jwe, JwsParts, Kind, MAX_TOKEN_LEN, Serialization, decode};
use crate::error::Result;

/// A token as anyone can see it. Nothing in it has been verified.
///
/// ```
/// use hsm_jose::jose::inspect::inspect;
///
/// let seen = inspect(b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA")?;
/// assert_eq!((seen.kind, seen.serialization), ("JWS", "compact"));
/// assert_eq!(seen.header["alg"], "ES256");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
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
    /// The signatures of a JWS.
    pub signatures: Vec<InspectedSignature>,
    /// The length of the token, in bytes.
    pub token_len: usize,
    /// The length of each part after decoding, in bytes, by its name in the RFC; of several
    /// recipients' parts, in [`Inspection::recipients`].
    pub part_lens: Vec<(&'static str, usize)>,
    /// The SHA-256 of the token's octets, in hexadecimal: what a log may name it by.
    pub sha256: String,
}

/// What a JWE has for one recipient.
///
/// ```
/// use hsm_jose::jose::inspect::inspect;
///
/// let token = br#"{"protected":"eyJlbmMiOiJBMTI4R0NNIn0","recipients":[
///     {"header":{"alg":"A128KW"},"encrypted_key":"AAAA"},
///     {"header":{"alg":"A256KW"},"encrypted_key":"AAAA"}
/// ],"iv":"AAAA","ciphertext":"AA","tag":"AAAA"}"#;
/// let seen = inspect(token)?;
/// let recipients = serde_json::to_value(&seen).unwrap()["recipients"].clone();
/// assert_eq!(recipients.as_array().map(Vec::len), Some(2));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct InspectedRecipient {
    /// Its own header, which is not protected; empty if there is none.
    pub header: Map<String, Value>,
    /// The length of its encrypted key after decoding, in bytes.
    pub encrypted_key_len: usize,
}

/// One signature of a JWS.
///
/// ```
/// use hsm_jose::jose::inspect::inspect;
///
/// let token = br#"{"payload":"e30","signatures":[
///     {"protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AAAA"},
///     {"protected":"eyJhbGciOiJFUzI1NiJ9","signature":"BBBB"}
/// ]}"#;
/// let seen = inspect(token)?;
/// let signatures = serde_json::to_value(&seen).unwrap()["signatures"].clone();
/// assert_eq!(signatures.as_array().map(Vec::len), Some(2));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct InspectedSignature {
    /// Its protected header; empty if there is none.
    pub protected: Map<String, Value>,
    /// Its unprotected header; empty if there is none.
    pub header: Map<String, Value>,
    /// The length of the signature after decoding, in bytes.
    pub signature_len: usize,
}

/// Looks at a token.
///
/// # Errors
/// [`crate::Error::Malformed`] if it is neither a JWE nor a JWS in any serialization.
pub fn inspect(token: &[u8]) -> Result<Inspection> {
    let mut found = match Kind::of(token, MAX_TOKEN_LEN)? {
        Kind::Jwe => inspect_jwe(Jwe::parse(token, MAX_TOKEN_LEN)?)?,
        Kind::Jws => inspect_jws(JwsParts::parse(token, MAX_TOKEN_LEN)?)?,
    };
    found.token_len = token.len();
    found.sha256 = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(found)
}

impl Inspection {
    fn new(kind: &'static str, serialization: Serialization, header: Header) -> Self {
        Self {
            kind,
            serialization: serialization.name(),
            header: header.into_members(),
            unprotected: Map::new(),
            recipients: Vec::new(),
            signatures: Vec::new(),
            token_len: 0,
            part_lens: Vec::new(),
            sha256: String::new(),
        }
    }
}

fn inspect_jwe(jwe: Jwe<'_>) -> Result<Inspection> {
    let header = jwe.protected_header()?;
    jwe.check_headers(&header)?;
    let mut found = Inspection::new("JWE", jwe.serialization(), header);
    found.unprotected = jwe.unprotected;
    for recipient in jwe.recipients {
        found.recipients.push(InspectedRecipient {
            encrypted_key_len: decode(&recipient.encrypted_key, "encrypted key")?.len(),
            header: recipient.header,
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

fn inspect_jws(jws: JwsParts<'_>) -> Result<Inspection> {
    let (mut is_encoded, mut signatures) = (None, Vec::new());
    for signature in jws.signatures {
        let header = Header::parse_protected(&signature.protected)?;
        // What is said of no algorithm is no signature.
        signature.jose_header(&header)?;
        is_encoded = is_encoded.or(Some(header.b64()?));
        signatures.push(InspectedSignature {
            protected: header.into_members(),
            signature_len: decode(&signature.signature, "signature")?.len(),
            header: signature.header,
        });
    }
    let header = match &signatures[..] {
        [only] => only.protected.clone(),
        _ => Map::new(),
    };
    let mut found = Inspection::new("JWS", jws.serialization, Header::of(header));
    let is_encoded = is_encoded.unwrap_or(true);
    let payload = match (&jws.payload, is_encoded) {
        (None, _) => None,
        (Some(payload), true) => Some(decode(payload, "payload")?.len()),
        (Some(payload), false) => Some(payload.len()),
    };
    // A compact JWS has a payload, of no octets where it is detached.
    let is_compact = jws.serialization == Serialization::Compact;
    found.part_lens.extend(payload.or(is_compact.then_some(0)).map(|len| ("payload", len)));
    if let [only] = &signatures[..] {
        found.part_lens.push(("signature", only.signature_len));
    }
    found.signatures = signatures;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

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
        // RFC 7797 section 4.2.
        let plain = br#"{"protected":"eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19",
            "payload":"$.02","signature":"AAAA"}"#;
        assert_eq!(inspect(plain).unwrap().part_lens, [("payload", 4), ("signature", 3)]);
        let several =
            br#"{"payload":"e30","signatures":[{"header":{"alg":"ES256"},"signature":"AA"},
            {"protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AAAA"}]}"#;
        let several = inspect(several).unwrap();
        assert_eq!(several.signatures[0].header["alg"], "ES256");
        assert_eq!(several.signatures[1].signature_len, 3);
        let general =
            br#"{"protected":"eyJhbGciOiJkaXIifQ","recipients":[{}],"ciphertext":"AA","iv":"AAAA"}"#;
        let general = inspect(general).unwrap();
        assert_eq!((general.kind, general.serialization), ("JWE", "general"));
        for bad in [&b""[..], b"a.b", b"{}", b"{\"ciphertext\":1}", b"\xff"] {
            assert!(matches!(inspect(bad), Err(Error::Malformed(_))));
        }
    }
}

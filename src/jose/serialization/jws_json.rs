//! A JWS in any serialization, in parts: read from text, written as text, split and joined.

use std::borrow::Cow;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::members::{Kind, Members, Shape};
use super::{MAX_TOKEN_LEN, Serialization, decode, is_json, sendable, split, utf8};
use crate::error::{Error, Result};
use crate::jose::header::Header;
use crate::jose::parameters::JoseHeader;

/// The most signatures of one JWS. RFC 7515 sets no limit; each one costs a verification, so a
/// verifier must set one (RFC 7515 section 10.12 with RFC 8725 section 2.1 on cost). Uses known to us
/// (co-signing, change of algorithms) have two to five.
pub const MAX_SIGNATURES: usize = 32;

/// RFC 7515 sections 7.2.1 and 7.2.2.
const JWS: &Shape = &[
    ("payload", Kind::Text),
    ("protected", Kind::Text),
    ("header", Kind::Header),
    ("signature", Kind::Text),
    ("signatures", Kind::Each(SIGNATURE, MAX_SIGNATURES)),
    // A token that is a JWS to one reader and a JWE to another is neither.
    ("ciphertext", Kind::Stray),
    ("recipients", Kind::Stray),
    ("encrypted_key", Kind::Stray),
    ("iv", Kind::Stray),
    ("tag", Kind::Stray),
];

const SIGNATURE: &Shape =
    &[("protected", Kind::Text), ("header", Kind::Header), ("signature", Kind::Text)];

/// A JWS in parts, in any serialization; nothing in it has been decoded or believed yet.
///
/// Made by [`JwsParts::parse`], changed into another serialization by [`JwsParts::write`]: the
/// signatures stay as they are, since no serialization is part of what they cover.
///
/// ```
/// use hsm_jose::jose::serialization::{JwsParts, Serialization};
///
/// let compact = b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA";
/// let parts = JwsParts::parse(compact, 1024)?;
/// let flattened = parts.write(Serialization::Flattened)?;
/// let again = JwsParts::parse(flattened.as_bytes(), 1024)?.write(Serialization::Compact)?;
/// assert_eq!(again.as_bytes(), compact);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct JwsParts<'a> {
    /// How it was written.
    pub serialization: Serialization,
    /// The payload as received: base64url, or as it is where `b64` is false (RFC 7797). `None` if it
    /// is detached (RFC 7515 appendix F), and in a compact JWS with an empty payload, which cannot
    /// be told from it.
    pub payload: Option<Cow<'a, str>>,
    /// The signatures: one to [`MAX_SIGNATURES`].
    pub signatures: Vec<JwsSignature<'a>>,
}

/// One signature of a JWS with its headers; nothing in it has been decoded or believed yet.
///
/// ```
/// use hsm_jose::jose::serialization::JwsParts;
///
/// let parts = JwsParts::parse(b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA", 1024)?;
/// assert_eq!(parts.signatures[0].signature, "AAAA");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct JwsSignature<'a> {
    /// The protected header as received, in base64url; empty if there is none.
    pub protected: Cow<'a, str>,
    /// The unprotected header; empty if there is none.
    pub header: Map<String, Value>,
    /// The JWS Signature as received, in base64url.
    pub signature: Cow<'a, str>,
}

impl<'a> JwsParts<'a> {
    /// Reads a JWS in any serialization (RFC 7515 sections 7.1, 7.2.1 and 7.2.2).
    ///
    /// JSON is read strictly: no member twice at any level. Members that are not defined are
    /// passed over, but not those of a JWE, so that no text is both.
    ///
    /// # Errors
    /// [`Error::Malformed`]: over `max_len` bytes, not a serialization of a JWS, both flattened and
    /// general, no signature or more than [`MAX_SIGNATURES`], a member of the wrong type, an empty
    /// header that must be absent.
    pub fn parse(token: &'a [u8], max_len: usize) -> Result<Self> {
        if is_json(token) {
            return Self::parse_json(utf8(token, max_len)?);
        }
        let [protected, payload, signature] = split(super::bounded(token, max_len)?)?;
        let signature = JwsSignature {
            protected: protected.into(),
            header: Map::new(),
            signature: signature.into(),
        };
        Ok(Self {
            serialization: Serialization::Compact,
            payload: (!payload.is_empty()).then(|| payload.into()),
            signatures: vec![signature],
        })
    }

    fn parse_json(text: &'a str) -> Result<Self> {
        let mut members = Members::read(text, JWS)?;
        let (serialization, signatures) = match members.each("signatures") {
            None => (Serialization::Flattened, vec![JwsSignature::of(&mut members)?]),
            Some(_) if ["protected", "header", "signature"].iter().any(|it| members.has(it)) => {
                return Err(malformed("signatures beside protected, header or signature"));
            }
            Some(each) if each.is_empty() => return Err(malformed("no signatures")),
            Some(each) => {
                let signatures = each.into_iter().map(|mut one| JwsSignature::of(&mut one));
                (Serialization::General, signatures.collect::<Result<_>>()?)
            }
        };
        // The payload of a JWS may be empty, and there all the same.
        Ok(Self { serialization, payload: members.any_text("payload"), signatures })
    }

    /// Writes the JWS in a serialization. Nothing is lost: what it cannot say is an error.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a header, a signature or an encoded payload is not strict base64url, a
    /// header is none, or has no `alg`.
    ///
    /// [`Error::Usage`] if the serialization cannot carry it: several signatures in another than
    /// the general one; in the compact one an unprotected header, no protected one, or a payload
    /// with a character that it has no place for (RFC 7797 section 5.2). Also for what
    /// [`JwsParts::parse`] would not take: over [`MAX_TOKEN_LEN`], more than [`MAX_SIGNATURES`], an
    /// unprotected header that is too long or, in this serialization, nested too deep; and for
    /// signatures that differ in `b64` (RFC 7797 section 3).
    pub fn write(&self, serialization: Serialization) -> Result<String> {
        self.check()?;
        self.check_forms()?;
        self.write_checked(serialization)
    }

    /// As [`JwsParts::write`], of a JWS that is well formed, with signatures that can be together.
    pub(crate) fn write_checked(&self, serialization: Serialization) -> Result<String> {
        let token = match (serialization, &self.signatures[..]) {
            (Serialization::General, [_, ..]) => self.general(),
            (Serialization::Flattened, [signature]) => {
                let mut members = signature.members();
                members.extend(self.payload_member());
                Value::Object(members).to_string()
            }
            (Serialization::Compact, [signature]) => self.compact(signature)?,
            (_, signatures) => {
                return Err(Error::Usage(format!(
                    "{} signatures, which the {serialization} serialization cannot carry",
                    signatures.len()
                )));
            }
        };
        sendable(token, |text| JwsParts::parse(text, MAX_TOKEN_LEN).map(drop))
    }

    /// Splits a JWS into one for each of its signatures, one after the other; they borrow the payload.
    pub fn split(&self) -> impl ExactSizeIterator<Item = JwsParts<'_>> {
        self.signatures.iter().map(|signature| JwsParts {
            serialization: Serialization::Flattened,
            payload: self.payload_text().map(Cow::Borrowed),
            signatures: vec![JwsSignature {
                protected: (&*signature.protected).into(),
                header: signature.header.clone(),
                signature: (&*signature.signature).into(),
            }],
        })
    }

    /// Joins several JWS over the same payload into one, with all their signatures in order.
    ///
    /// # Errors
    /// [`Error::Usage`]: none, payloads that differ, more than [`MAX_SIGNATURES`], or signatures that
    /// differ in `b64` (RFC 7797 section 3: it is the same for all), which are not over the same octets.
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Result<Self> {
        let mut parts = parts.into_iter();
        let mut joined =
            parts.next().ok_or_else(|| Error::Usage("there is no JWS to join".into()))?;
        // Of compact ones all, an empty payload is an empty member; beside one of JSON that is detached,
        // they are detached too.
        let mut is_detached = joined.payload_text().is_none();
        for part in parts {
            is_detached |= part.payload_text().is_none();
            let own = part.payload.as_deref().unwrap_or_default();
            if own != joined.payload.as_deref().unwrap_or_default() {
                return Err(Error::Usage("the JWS to join have other payloads".into()));
            }
            joined.signatures.extend(part.signatures);
        }
        joined.payload = match joined.payload {
            None if !is_detached => Some("".into()),
            Some(payload) if is_detached && payload.is_empty() => None,
            payload => payload,
        };
        joined.check()?;
        joined.serialization = Serialization::General;
        Ok(joined)
    }

    /// Whether every part is well formed.
    pub(crate) fn check_forms(&self) -> Result<()> {
        let mut is_encoded = false;
        for signature in &self.signatures {
            let header = Header::parse_protected(&signature.protected)?;
            signature.jose_header(&header)?;
            is_encoded |= header.b64()?;
            decode(&signature.signature, "signature")?;
        }
        match self.payload.as_deref().filter(|_| is_encoded) {
            Some(payload) => decode(payload, "payload").map(Zeroizing::new).map(drop),
            None => Ok(()),
        }
    }

    /// Whether the signatures can be together. A header that cannot be read says nothing of `b64`: what
    /// is wrong with one signature is for whoever verifies the others to judge.
    fn check(&self) -> Result<()> {
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(Error::Usage(format!(
                "{} signatures, a JWS has at most {MAX_SIGNATURES}",
                self.signatures.len()
            )));
        }
        let b64 = |signature: &JwsSignature<'_>| {
            Header::parse_protected(&signature.protected).and_then(|header| header.b64()).ok()
        };
        let mut each = self.signatures.iter().filter_map(b64);
        let first = each.next();
        match each.all(|other| Some(other) == first) {
            true => Ok(()),
            false => Err(Error::Usage("signatures that differ in b64 cannot be together".into())),
        }
    }

    fn general(&self) -> String {
        let signatures = self.signatures.iter().map(|it| Value::Object(it.members()));
        let mut members = Map::new();
        members.extend(self.payload_member());
        members.insert("signatures".into(), signatures.collect());
        Value::Object(members).to_string()
    }

    /// The payload as a JSON serialization has it. An empty one of a compact JWS is empty or detached,
    /// which nobody can tell; an empty member says as much.
    fn payload_text(&self) -> Option<&str> {
        match (&self.payload, self.serialization) {
            (None, Serialization::Compact) => Some(""),
            (payload, _) => payload.as_deref(),
        }
    }

    fn payload_member(&self) -> Option<(String, Value)> {
        self.payload_text().map(|payload| ("payload".to_owned(), payload.into()))
    }

    fn compact(&self, signature: &JwsSignature<'_>) -> Result<String> {
        let why = if signature.protected.is_empty() || !signature.header.is_empty() {
            Some("an unprotected header")
        } else if !self.payload.as_deref().unwrap_or_default().bytes().all(is_compact) {
            Some("this payload")
        } else {
            None
        };
        if let Some(what) = why {
            return Err(Error::Usage(format!("the compact serialization cannot carry {what}")));
        }
        let payload = self.payload.as_deref().unwrap_or_default();
        Ok([&signature.protected, payload, &signature.signature].join("."))
    }
}

impl<'a> JwsSignature<'a> {
    fn of(members: &mut Members<'a>) -> Result<Self> {
        let signature =
            members.any_text("signature").ok_or_else(|| malformed("signature is missing"))?;
        let (has_header, header) = (members.has("header"), members.header("header"));
        let protected = members.text("protected")?;
        // RFC 7515 section 7.2.1: an empty header must be absent, and one must be there.
        if header.is_empty() && (has_header || protected.is_none()) {
            return Err(malformed("a signature without header, or with an empty one"));
        }
        Ok(Self { protected: protected.unwrap_or_default(), header, signature })
    }

    /// Makes the JOSE header, of the protected header that has been parsed.
    ///
    /// # Errors
    /// As [`JoseHeader::new`] and [`JoseHeader::checked`].
    pub(crate) fn jose_header<'h>(&'h self, protected: &'h Header) -> Result<JoseHeader<'h>> {
        JoseHeader::new(protected, None, &self.header)?.checked()
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        if !self.protected.is_empty() {
            members.insert("protected".into(), self.protected.as_ref().into());
        }
        if !self.header.is_empty() {
            members.insert("header".into(), self.header.clone().into());
        }
        members.insert("signature".into(), self.signature.as_ref().into());
        members
    }
}

/// Whether a compact JWS has a place for an octet of an unencoded payload: the space and what is
/// printable in ASCII, without the period (RFC 7797 section 5.2).
pub(crate) fn is_compact(byte: u8) -> bool {
    matches!(byte, 0x20..=0x2d | 0x2f..=0x7e)
}

fn malformed(what: &str) -> Error {
    Error::Malformed(format!("JSON serialization: {what}"))
}

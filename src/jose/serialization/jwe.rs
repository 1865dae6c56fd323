//! A JWE in any serialization: taken apart, put together, split and joined.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::members::{Kind, Members, Shape};
use super::{
    JsonText, MAX_TOKEN_LEN, Serialization, bounded, decode, is_json, sendable, split, utf8,
};
use crate::error::{Error, Result};
use crate::jose::alg::KeyManagement;
use crate::jose::base64url;
use crate::jose::header::Header;
use crate::jose::parameters::{JoseHeader, Parameters};

/// The most recipients of a token. Each can cost a call to a device, and the uses that are known
/// (messages to a group's devices, escrow beside a recipient) stay under ten.
pub const MAX_RECIPIENTS: usize = 32;

/// RFC 7516 section 7.2.1 and 7.2.2.
const JWE: &Shape = &[
    ("protected", Kind::Text),
    ("unprotected", Kind::Header),
    ("header", Kind::Header),
    ("encrypted_key", Kind::Text),
    ("recipients", Kind::Each(RECIPIENT, MAX_RECIPIENTS)),
    ("aad", Kind::Text),
    ("iv", Kind::Text),
    ("ciphertext", Kind::Text),
    ("tag", Kind::Text),
    // A token that is a JWE to one reader and a JWS to another is neither.
    ("payload", Kind::Stray),
    ("signatures", Kind::Stray),
    ("signature", Kind::Stray),
];

const RECIPIENT: &Shape = &[("header", Kind::Header), ("encrypted_key", Kind::Text)];

/// A JWE taken apart; nothing in it has been believed yet. Parts are base64url as received.
///
/// ```
/// use hsm_jose::jose::serialization::{Jwe, MAX_TOKEN_LEN, Serialization};
///
/// # fn main() -> hsm_jose::Result<()> {
/// // RFC 7516 appendix A.4, with another content.
/// let token = br#"{"protected":"eyJlbmMiOiJBMTI4Q0JDLUhTMjU2In0","recipients":[
///   {"header":{"alg":"RSA1_5","kid":"2011-04-29"},"encrypted_key":"UGhI"},
///   {"header":{"alg":"A128KW","kid":"7"},"encrypted_key":"6KB7"}],
///   "iv":"AxY8DCtDaGlsbGljb3RoZQ","ciphertext":"KDlT","tag":"Mz-VPPyU4RlcuYv1IwIvzw"}"#;
/// let jwe = Jwe::parse(token, MAX_TOKEN_LEN)?;
/// let each: Vec<_> = jwe.split().collect();
/// assert!(each[1].write(Serialization::Flattened)?.contains(r#""kid":"7""#));
/// assert_eq!(Jwe::join(each)?.recipient_count(), 2);
/// assert!(jwe.write(Serialization::Compact).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Jwe<'a> {
    pub(crate) serialization: Serialization,
    /// Empty if there is none.
    pub(crate) protected: Cow<'a, str>,
    /// The shared unprotected header; empty if there is none.
    pub(crate) unprotected: Map<String, Value>,
    /// 1 to [`MAX_RECIPIENTS`].
    pub(crate) recipients: Vec<RecipientPart<'a>>,
    /// Empty if there is none.
    pub(crate) aad: Cow<'a, str>,
    pub(crate) iv: Cow<'a, str>,
    pub(crate) ciphertext: Cow<'a, str>,
    pub(crate) tag: Cow<'a, str>,
}

/// What a JWE has for one recipient.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecipientPart<'a> {
    /// The per-recipient unprotected header; empty if there is none.
    pub(crate) header: Map<String, Value>,
    /// Empty if there is none.
    pub(crate) encrypted_key: Cow<'a, str>,
}

impl<'a> Jwe<'a> {
    /// Takes a token apart: JSON if its first octet that is not white space is `{`, else compact.
    ///
    /// # Errors
    /// [`Error::Malformed`]: over `max_len` bytes; another number of parts, or an empty header
    /// (RFC 7516 section 7.1); or what section 7.2 does not allow: no `ciphertext`, `recipients`
    /// beside `header` or `encrypted_key`, no recipient or more than [`MAX_RECIPIENTS`], a member of
    /// the wrong type, an `aad`, `iv`, `tag` or protected header that is empty and there all the same, a
    /// duplicate at any level.
    pub fn parse(token: &'a [u8], max_len: usize) -> Result<Self> {
        match is_json(token) {
            true => Self::parse_json(utf8(token, max_len)?),
            false => Self::parse_compact(token, max_len),
        }
    }

    /// Takes a compact token apart.
    ///
    /// # Errors
    /// [`Error::Malformed`], as [`Jwe::parse`].
    pub fn parse_compact(token: &'a [u8], max_len: usize) -> Result<Self> {
        let [protected, encrypted_key, iv, ciphertext, tag] = split(bounded(token, max_len)?)?;
        let encrypted_key = encrypted_key.into();
        Ok(Self {
            serialization: Serialization::Compact,
            protected: protected.into(),
            unprotected: Map::new(),
            recipients: vec![RecipientPart { header: Map::new(), encrypted_key }],
            aad: "".into(),
            iv: iv.into(),
            ciphertext: ciphertext.into(),
            tag: tag.into(),
        })
    }

    fn parse_json(text: &'a str) -> Result<Self> {
        let mut members = Members::read(text, JWE)?;
        let (serialization, recipients) = match members.each("recipients") {
            None => (Serialization::Flattened, vec![RecipientPart::of(&mut members)]),
            // RFC 7516 section 7.2.2: a token of both forms could be opened as the one or the other.
            Some(_) if members.has("header") || members.has("encrypted_key") => {
                return Err(malformed("recipients beside header or encrypted_key"));
            }
            Some(each) if each.is_empty() => return Err(malformed("no recipients")),
            Some(each) => {
                let recipients = each.into_iter().map(|mut one| RecipientPart::of(&mut one));
                (Serialization::General, recipients.collect())
            }
        };
        // The ciphertext of an empty content is empty, and there all the same.
        let ciphertext = members.any_text("ciphertext");
        Ok(Self {
            serialization,
            protected: members.text("protected")?.unwrap_or_default(),
            // One that is empty should not be there (RFC 7516 section 7.2.1), and says nothing: joserfc
            // writes such.
            unprotected: members.header("unprotected"),
            recipients,
            aad: members.text("aad")?.unwrap_or_default(),
            iv: members.text("iv")?.unwrap_or_default(),
            ciphertext: ciphertext.ok_or_else(|| malformed("ciphertext is missing"))?,
            tag: members.text("tag")?.unwrap_or_default(),
        })
    }

    /// Returns the serialization that the token came in.
    pub fn serialization(&self) -> Serialization {
        self.serialization
    }

    /// Returns the number of recipients, at least 1.
    pub fn recipient_count(&self) -> usize {
        self.recipients.len()
    }

    /// Parses the protected header; empty if there is none.
    ///
    /// # Errors
    /// As [`Header::parse_protected`].
    pub(crate) fn protected_header(&self) -> Result<Header> {
        Header::parse_protected(&self.protected)
    }

    /// As [`Jwe::joint_headers`], of which one at least is a good one.
    ///
    /// # Errors
    /// [`Error::Malformed`], also for a member of the wrong type and for no `alg` where that is so of every
    /// recipient.
    pub(crate) fn check_headers(&self, protected: &Header) -> Result<()> {
        let mut wrong = None;
        for joint in self.joint_headers(protected)? {
            match joint.checked() {
                Ok(_) => return Ok(()),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Makes the JOSE header of every recipient, of the protected header that has been parsed.
    ///
    /// # Errors
    /// [`Error::Malformed`]: parts that are not disjoint, or a direct `alg` beside another recipient.
    pub(crate) fn joint_headers<'h>(
        &'h self,
        protected: &'h Header,
    ) -> Result<Vec<JoseHeader<'h>>> {
        let joint = self.recipients.iter();
        let joint: Vec<_> = joint
            .map(|recipient| JoseHeader::new(protected, Some(&self.unprotected), &recipient.header))
            .collect::<Result<_>>()?;
        // RFC 7516 section 7.2.1: the same for every recipient.
        if joint.windows(2).any(|pair| pair[0].enc() != pair[1].enc()) {
            return Err(malformed("recipients with another enc each"));
        }
        // RFC 7516 section 5.1 step 3 and RFC 7518 section 4.5: the CEK would follow from one
        // recipient's key, and there is nothing to hand it to another with.
        let is_direct =
            |header: &JoseHeader<'_>| header.key_management().is_some_and(KeyManagement::is_direct);
        if joint.len() > 1 && joint.iter().any(is_direct) {
            return Err(malformed("several recipients, and an alg whose key is the CEK itself"));
        }
        Ok(joint)
    }

    /// The additional authenticated data (RFC 7516 section 5.1 step 14).
    pub(crate) fn authenticated(&self) -> Cow<'_, str> {
        match self.aad.is_empty() {
            true => Cow::Borrowed(&self.protected),
            false => Cow::Owned([&*self.protected, &*self.aad].join(".")),
        }
    }

    /// Writes the token in a serialization. Nothing is lost: what it cannot say is an error.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a part or a header that is not well formed; [`Error::Usage`] if the
    /// serialization has no place for an unprotected header, an `aad` or another recipient, and for
    /// what [`Jwe::parse`] would not take: over [`MAX_TOKEN_LEN`], or an unprotected header that is too
    /// long or, in this serialization, nested too deep.
    pub fn write(&self, serialization: Serialization) -> Result<String> {
        self.check()?;
        self.write_checked(serialization)
    }

    /// As [`Jwe::write`], of a token that is well formed.
    pub(crate) fn write_checked(&self, serialization: Serialization) -> Result<String> {
        let token = match (serialization, &self.recipients[..]) {
            (Serialization::Compact, [recipient]) => self.write_compact(recipient)?,
            (Serialization::Flattened, [recipient]) => {
                let mut text = JsonText::with_capacity(self.text_len());
                self.write_shared_headers(&mut text);
                recipient.write(&mut text);
                self.write_content(&mut text);
                text.end()
            }
            (Serialization::General, recipients) => {
                let mut text = JsonText::with_capacity(self.text_len());
                self.write_shared_headers(&mut text);
                text.each("recipients", recipients, RecipientPart::write);
                self.write_content(&mut text);
                text.end()
            }
            (_, recipients) => {
                return Err(Error::Usage(format!(
                    "a token with {} recipients cannot be written in the {serialization} \
                     serialization",
                    recipients.len()
                )));
            }
        };
        sendable(token, |text| Jwe::parse(text, MAX_TOKEN_LEN).map(drop))
    }

    /// Makes a token in the flattened serialization for each recipient, one after the other: they
    /// borrow the content, and only what is not protected is copied for each.
    pub fn split(&self) -> impl ExactSizeIterator<Item = Jwe<'_>> {
        self.recipients.iter().map(|recipient| Jwe {
            serialization: Serialization::Flattened,
            protected: (&*self.protected).into(),
            unprotected: self.unprotected.clone(),
            recipients: vec![RecipientPart {
                header: recipient.header.clone(),
                encrypted_key: (&*recipient.encrypted_key).into(),
            }],
            aad: (&*self.aad).into(),
            iv: (&*self.iv).into(),
            ciphertext: (&*self.ciphertext).into(),
            tag: (&*self.tag).into(),
        })
    }

    /// Joins tokens that differ in their recipients only, as [`Jwe::split`] makes them.
    ///
    /// # Errors
    /// [`Error::Usage`] for no token, or one that shares not all of the rest;
    /// [`Error::Malformed`] for more than [`MAX_RECIPIENTS`], or recipients that cannot be together.
    pub fn join(tokens: impl IntoIterator<Item = Jwe<'a>>) -> Result<Jwe<'a>> {
        let mut tokens = tokens.into_iter();
        let first = tokens.next();
        let mut joined = first.ok_or_else(|| Error::Usage("no token to join".into()))?;
        joined.serialization = Serialization::General;
        for token in tokens {
            if !joined.shares_content(&token) {
                return Err(Error::Usage(
                    "the tokens are not of one content: only recipients can be joined".into(),
                ));
            }
            joined.recipients.extend(token.recipients);
            if joined.recipients.len() > MAX_RECIPIENTS {
                return Err(malformed(format!("over {MAX_RECIPIENTS} recipients")));
            }
        }
        joined.check()?;
        Ok(joined)
    }

    fn shares_content(&self, other: &Self) -> bool {
        self.protected == other.protected
            && self.unprotected == other.unprotected
            && self.aad == other.aad
            && self.iv == other.iv
            && self.tag == other.tag
            && self.ciphertext == other.ciphertext
    }

    /// Whether every part and header is well formed.
    fn check(&self) -> Result<()> {
        self.check_headers(&self.protected_header()?)?;
        for (name, text) in [
            ("aad", &self.aad),
            ("iv", &self.iv),
            ("ciphertext", &self.ciphertext),
            ("tag", &self.tag),
        ] {
            decode(text, name)?;
        }
        for recipient in &self.recipients {
            decode(&recipient.encrypted_key, "encrypted key")?;
        }
        Ok(())
    }

    fn write_compact(&self, recipient: &RecipientPart<'_>) -> Result<String> {
        let has_more = [
            ("an unprotected header", !self.unprotected.is_empty() || !recipient.header.is_empty()),
            ("aad", !self.aad.is_empty()),
            ("no protected header", self.protected.is_empty()),
        ];
        if let Some((what, _)) = has_more.iter().find(|(_, is_so)| *is_so) {
            return Err(Error::Usage(format!(
                "a token with {what} cannot be written in the compact serialization"
            )));
        }
        let RecipientPart { encrypted_key, .. } = recipient;
        Ok([&*self.protected, encrypted_key, &*self.iv, &*self.ciphertext, &*self.tag].join("."))
    }

    fn write_shared_headers(&self, text: &mut JsonText) {
        text.text("protected", &self.protected);
        text.header("unprotected", &self.unprotected);
    }

    fn write_content(&self, text: &mut JsonText) {
        text.text("aad", &self.aad);
        text.text("iv", &self.iv);
        text.any_text("ciphertext", &self.ciphertext);
        text.text("tag", &self.tag);
    }

    fn text_len(&self) -> usize {
        let parts = [&self.protected, &self.aad, &self.iv, &self.ciphertext, &self.tag];
        let keys = self.recipients.iter().map(|recipient| recipient.encrypted_key.len() + 256);
        parts.iter().map(|part| part.len()).sum::<usize>() + keys.sum::<usize>() + 256
    }
}

impl<'a> RecipientPart<'a> {
    fn of(members: &mut Members<'a>) -> Self {
        // An empty key should not be there (RFC 7516 section 7.2.1), and is what a direct alg has
        // (section 5.2 step 10): many write it, joserfc and Authlib among them.
        let encrypted_key = members.any_text("encrypted_key").unwrap_or_default();
        Self { header: members.header("header"), encrypted_key }
    }

    fn write(&self, text: &mut JsonText) {
        text.header("header", &self.header);
        text.text("encrypted_key", &self.encrypted_key);
    }
}

/// Joins the parts of a compact JWE: the header is in base64url already, being the AAD.
pub fn join_jwe(
    protected: &str,
    encrypted_key: &[u8],
    iv: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> String {
    let raw_len = encrypted_key.len() + iv.len() + ciphertext.len() + tag.len();
    let mut token = String::with_capacity(protected.len() + raw_len * 4 / 3 + 12);
    token.push_str(protected);
    for part in [encrypted_key, iv, ciphertext, tag] {
        token.push('.');
        base64url::encode_append(part, &mut token);
    }
    token
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("JSON serialization: {what}"))
}

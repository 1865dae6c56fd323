//! The serializations of JOSE (RFC 7515 section 7, RFC 7516 section 7): taken apart and put together
//! strictly, with bounds on every part.

mod jwe;
mod jws;
mod jws_json;
mod members;
mod text;

pub(crate) use jwe::RecipientPart;
pub use jwe::{Jwe, MAX_RECIPIENTS, join_jwe};
pub use jws::CompactJws;
pub(crate) use jws_json::is_compact;
pub use jws_json::{JwsParts, JwsSignature, MAX_SIGNATURES};
pub(crate) use text::escaped_len;

use members::{Kind as Member, Members};
use text::JsonText;

use super::base64url;
use crate::error::{Error, Result};

/// The longest token taken outside a context, and made, in bytes. A 16 MiB content makes a token of 22
/// MiB; there is no use of JOSE known to us beyond that.
pub const MAX_TOKEN_LEN: usize = 32 * 1024 * 1024;

/// How a JWE or JWS is written.
///
/// ```
/// use hsm_jose::jose::serialization::Serialization;
///
/// assert_eq!(Serialization::default(), Serialization::Compact);
/// assert_eq!(Serialization::General.to_string(), "general");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serialization {
    /// Parts in base64url with dots between: one recipient or signature, everything protected.
    #[default]
    Compact,
    /// JSON with one recipient or signature.
    Flattened,
    /// JSON with any number of them.
    General,
}

/// What a token is, by its form.
///
/// ```
/// use hsm_jose::jose::serialization::Kind;
///
/// let jws = br#"{"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"e30","signature":"AAAA"}"#;
/// assert_eq!(Kind::of(jws, 1000).unwrap(), Kind::Jws);
/// assert_eq!(Kind::of(b"a.b.c.d.e", 1000).unwrap(), Kind::Jwe);
/// assert!(Kind::of(b"{}", 1000).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Encrypted: five parts, or a member `ciphertext`.
    Jwe,
    /// Signed: three parts, or a member `signature` or `signatures`.
    Jws,
}

impl Serialization {
    /// Returns the name: `compact`, `flattened` or `general`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Flattened => "flattened",
            Self::General => "general",
        }
    }
}

impl std::fmt::Display for Serialization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Kind {
    /// Tells a JWE from a JWS (RFC 7516 section 9). Nothing else is known of the token then.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is neither, or both, or over `max_len` bytes.
    pub fn of(token: &[u8], max_len: usize) -> Result<Self> {
        if !is_json(token) {
            // One part more than is known is enough.
            return match bounded(token, max_len)?.splitn(6, '.').count() {
                5 => Ok(Self::Jwe),
                3 => Ok(Self::Jws),
                _ => Err(Error::Malformed("neither a JWE (5 parts) nor a JWS (3 parts)".into())),
            };
        }
        let members = Members::read(utf8(token, max_len)?, NAMES)?;
        match (members.has("ciphertext"), members.has("signature") || members.has("signatures")) {
            (true, false) => Ok(Self::Jwe),
            (false, true) => Ok(Self::Jws),
            (false, false) => {
                Err(Error::Malformed("a JSON object that is neither a JWE nor a JWS".into()))
            }
            (true, true) => Err(Error::Malformed("both a JWE and a JWS".into())),
        }
    }
}

/// The members that tell a JWE from a JWS, whatever they are.
const NAMES: &members::Shape =
    &[("ciphertext", Member::Any), ("signature", Member::Any), ("signatures", Member::Any)];

/// Returns whether a token is in a JSON serialization: its first octet that is not white space is
/// `{`.
#[must_use]
pub fn is_json(token: &[u8]) -> bool {
    // White space of JSON (RFC 8259 section 2).
    token.iter().find(|byte| !b" \t\n\r".contains(byte)) == Some(&b'{')
}

/// Refuses a JSON serialization where there must be a compact one.
///
/// # Errors
/// [`Error::Malformed`].
pub(crate) fn only_compact(token: &[u8]) -> Result<()> {
    match is_json(token) {
        true => Err(Error::Malformed(
            "a JSON serialization: a JWT is always compact (RFC 7519 section 3)".into(),
        )),
        false => Ok(()),
    }
}

/// Refuses a token longer than `max_len` bytes, or one that is not ASCII, and returns it as text.
///
/// # Errors
/// [`Error::Malformed`].
pub fn bounded(token: &[u8], max_len: usize) -> Result<&str> {
    refuse_longer(token, max_len)?;
    let text = std::str::from_utf8(token).ok().filter(|text| text.is_ascii());
    text.ok_or_else(|| Error::Malformed("not a compact token: bytes outside ASCII".into()))
}

/// Refuses a token longer than `max_len` bytes, or one that is not UTF-8, and returns it as text.
fn utf8(token: &[u8], max_len: usize) -> Result<&str> {
    refuse_longer(token, max_len)?;
    std::str::from_utf8(token).map_err(|_| Error::Malformed("not UTF-8".into()))
}

fn refuse_longer(token: &[u8], max_len: usize) -> Result<()> {
    if token.len() > max_len {
        return Err(Error::Malformed(format!(
            "{} bytes, at most {max_len} are taken",
            token.len()
        )));
    }
    Ok(())
}

/// Refuses to make a token of `len` bytes if it is longer than is taken.
///
/// # Errors
/// [`Error::Usage`].
pub(crate) fn check_len_to_send(len: usize) -> Result<()> {
    match len <= MAX_TOKEN_LEN {
        true => Ok(()),
        false => {
            Err(Error::Usage(format!("a token of {len} bytes, at most {MAX_TOKEN_LEN} are taken")))
        }
    }
}

/// Returns a token that was written, having looked whether it would be taken.
///
/// # Errors
/// [`Error::Usage`]: what is wrong with it.
fn sendable(token: String, parse: impl FnOnce(&[u8]) -> Result<()>) -> Result<String> {
    check_len_to_send(token.len())?;
    match parse(token.as_bytes()) {
        Ok(()) => Ok(token),
        Err(Error::Malformed(what)) => {
            Err(Error::Usage(format!("no recipient would take the token: {what}")))
        }
        Err(error) => Err(error),
    }
}

/// Decodes one part of a token.
///
/// # Errors
/// [`Error::Malformed`], naming the part.
pub fn decode(part: &str, name: &str) -> Result<Vec<u8>> {
    base64url::decode(part.as_bytes())
        .map_err(|error| Error::Malformed(format!("the {name} is {error}")))
}

fn split<const N: usize>(token: &str) -> Result<[&str; N]> {
    let mut parts = [""; N];
    // One more than expected is enough to know: a token of a million dots costs no more.
    let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
    let mut rest = 0;
    for part in &mut parts[..N - 1] {
        let dot = dots.next().ok_or_else(|| wrong_parts::<N>(token))?;
        *part = &token[rest..dot];
        rest = dot + 1;
    }
    if dots.next().is_some() {
        return Err(wrong_parts::<N>(token));
    }
    parts[N - 1] = &token[rest..];
    if parts[0].is_empty() {
        return Err(Error::Malformed("the protected header is empty".into()));
    }
    Ok(parts)
}

fn wrong_parts<const N: usize>(token: &str) -> Error {
    let count = token.split('.').count();
    let kind = if N == 5 { "JWE" } else { "JWS" };
    let hint = match (N, count) {
        (5, 3) => "; this looks like a JWS: see verify",
        (3, 5) => "; this looks like a JWE: see decrypt",
        _ => "",
    };
    let parts = if count == 1 { "part" } else { "parts" };
    Error::Malformed(format!("{count} {parts}, a compact {kind} has {N}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted() {
        let split = |token: &str| Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN).map(drop);
        for token in ["", ".", "a.b.c", "a.b.c.d", "e30.e.e.e.e.e", "...."] {
            assert!(matches!(split(token), Err(Error::Malformed(_))), "{token}");
        }
        assert!(split("e30....").is_ok());
        assert!(split(&".".repeat(1_000_000)).is_err());
        assert!(CompactJws::split("e30..").is_ok());
        assert!(CompactJws::split("e30.e30").is_err());
    }

    #[test]
    fn length_and_alphabet_are_bounded() {
        assert!(bounded(b"abc", 2).is_err());
        assert!(bounded("é".as_bytes(), 10).is_err());
        assert!(bounded(b"\xff", 10).is_err());
        assert_eq!(bounded(b"abc", 3).unwrap(), "abc");
    }
}

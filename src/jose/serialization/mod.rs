//! The compact serialization (RFC 7515 section 7.1, RFC 7516 section 7.1): split and joined
//! strictly, with bounds on every part.

mod jwe;
mod jws;

pub use jwe::{CompactJwe, join_jwe};
pub use jws::CompactJws;

use super::base64url;
use crate::error::{Error, Result};

/// The longest token taken outside a context, in bytes. A 16 MiB content makes a token of 22 MiB;
/// there is no use of JOSE known to us beyond that.
pub const MAX_TOKEN_LEN: usize = 32 * 1024 * 1024;

/// Refuses a token longer than `max_len` bytes, or one that is not ASCII, and returns it as text.
///
/// # Errors
/// [`Error::Malformed`].
pub fn bounded(token: &[u8], max_len: usize) -> Result<&str> {
    if token.len() > max_len {
        return Err(Error::Malformed(format!(
            "{} bytes, at most {max_len} are taken",
            token.len()
        )));
    }
    let text = std::str::from_utf8(token).ok().filter(|text| text.is_ascii());
    text.ok_or_else(|| Error::Malformed("not a compact token: bytes outside ASCII".into()))
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
    let mut found = token.splitn(N + 1, '.');
    for part in &mut parts {
        *part = found.next().ok_or_else(|| wrong_parts::<N>(token))?;
    }
    if found.next().is_some() {
        return Err(wrong_parts::<N>(token));
    }
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
        _ if token.starts_with('{') => {
            "; this looks like a JSON serialization, which is not in this release"
        }
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
        for token in ["", ".", "a.b.c", "a.b.c.d", "e30.e.e.e.e.e", "....", "e30....x!"] {
            assert!(matches!(CompactJwe::split(token), Err(Error::Malformed(_))), "{token}");
        }
        assert!(CompactJwe::split("e30....").is_ok());
        assert!(CompactJwe::split(&".".repeat(1_000_000)).is_err());
        assert!(CompactJws::split("e30..").is_ok());
        assert!(CompactJws::split("e30.e30").is_err());
    }

    #[test]
    fn what_is_joined_splits_again() {
        let token = join_jwe("e30", &[1, 2], &[3; 12], &[], &[4; 16]);
        let jwe = CompactJwe::split(&token).unwrap();
        assert_eq!((jwe.protected, &jwe.encrypted_key[..]), ("e30", &[1, 2][..]));
        assert_eq!((jwe.iv.len(), jwe.ciphertext.len(), jwe.tag.len()), (12, 0, 16));
    }

    #[test]
    fn length_and_alphabet_are_bounded() {
        assert!(bounded(b"abc", 2).is_err());
        assert!(bounded("é".as_bytes(), 10).is_err());
        assert!(bounded(b"\xff", 10).is_err());
        assert_eq!(bounded(b"abc", 3).unwrap(), "abc");
    }
}

//! A JWS, split.

use super::{decode, split};
use crate::error::Result;

/// A compact JWS, split and decoded; nothing in it has been believed yet.
///
/// ```
/// use hsm_jose::jose::serialization::CompactJws;
///
/// let jws = CompactJws::split("eyJhbGciOiJFUzI1NiJ9.e30.AAAA")?;
/// assert_eq!((jws.payload, jws.signature.len()), ("e30", 3));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug)]
pub struct CompactJws<'a> {
    /// The protected header as received, in base64url.
    pub protected: &'a str,
    /// The payload as received, in base64url; empty if the content is detached (appendix F).
    pub payload: &'a str,
    /// The JWS Signing Input as received: header and payload with the dot between.
    pub signing_input: &'a str,
    /// The JWS Signature.
    pub signature: Vec<u8>,
}

impl<'a> CompactJws<'a> {
    /// Splits a token into its three parts; header and payload are decoded by their readers.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] for another number of parts, an empty header, or a signature that is
    /// not strict base64url.
    pub fn split(token: &'a str) -> Result<Self> {
        let [protected, payload, signature] = split(token)?;
        let signing_input = &token[..protected.len() + 1 + payload.len()];
        Ok(Self { protected, payload, signing_input, signature: decode(signature, "signature")? })
    }
}

//! A JWE, split and joined.

use super::{decode, split};
use crate::error::Result;
use crate::jose::base64url;

/// A compact JWE, split and decoded; nothing in it has been believed yet.
#[derive(Debug)]
pub struct CompactJwe<'a> {
    /// The protected header as received, in base64url: the additional authenticated data.
    pub protected: &'a str,
    /// The JWE Encrypted Key.
    pub encrypted_key: Vec<u8>,
    /// The JWE Initialization Vector.
    pub iv: Vec<u8>,
    /// The JWE Ciphertext.
    pub ciphertext: Vec<u8>,
    /// The JWE Authentication Tag.
    pub tag: Vec<u8>,
}

impl<'a> CompactJwe<'a> {
    /// Splits a token into its five parts and decodes them.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another number of parts, an empty header, or a part that is not
    /// strict base64url.
    pub fn split(token: &'a str) -> Result<Self> {
        let [protected, encrypted_key, iv, ciphertext, tag] = split(token)?;
        Ok(Self {
            protected,
            encrypted_key: decode(encrypted_key, "encrypted key")?,
            iv: decode(iv, "initialization vector")?,
            ciphertext: decode(ciphertext, "ciphertext")?,
            tag: decode(tag, "authentication tag")?,
        })
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

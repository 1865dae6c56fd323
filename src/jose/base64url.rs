//! Strict base64url without padding (RFC 7515 section 2): one text for every octet sequence.

use base64_simd::URL_SAFE_NO_PAD;

/// The text is not strict base64url: padding, another alphabet, an impossible length, or bits set
/// that carry nothing.
///
/// ```
/// use hsm_jose::jose::base64url::{self, Base64UrlError};
///
/// assert_eq!(base64url::decode(b"AQ"), Ok(vec![1]));
/// // The last character has bits that carry nothing:
/// assert_eq!(base64url::decode(b"AR"), Err(Base64UrlError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not strict base64url")]
pub struct Base64UrlError;

/// Encodes bytes; 4 characters for 3 bytes, no padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Appends the encoding of `bytes` to `text`.
pub fn encode_append(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_append(bytes, text);
}

/// Returns how many characters the encoding of so many bytes has.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes / 3 * 4 + (bytes % 3 * 4).div_ceil(3)
}

/// Decodes a text; only the one canonical encoding of its bytes is accepted.
///
/// # Errors
/// [`Base64UrlError`] on anything else.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Base64UrlError> {
    URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| Base64UrlError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_canonical_is_refused() {
        let refused: [&[u8]; 14] = [
            b"A",
            b"AAAAA",
            b"AA==",
            b"AA=",
            b"AB",
            b"AAB",
            b"A+A/",
            b"AA A",
            b"AAA\n",
            b" AAAA",
            b"AA.A",
            b"AA\0A",
            b"\xc3\x81AA",
            b"=",
        ];
        for text in refused {
            assert_eq!(decode(text), Err(Base64UrlError), "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(decode(b""), Ok(vec![]));
        assert_eq!(decode(b"-_-_"), Ok(vec![0xfb, 0xff, 0xbf]));
    }

    proptest! {
        #[test]
        fn every_octet_sequence_has_one_text(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(decode(text.as_bytes()).unwrap(), bytes);
        }

        #[test]
        fn decoding_agrees_with_the_base64_crate(text in "[A-Za-z0-9_=+/-]{0,40}") {
            let other = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&text).ok();
            prop_assert_eq!(decode(text.as_bytes()).ok(), other);
        }
    }
}

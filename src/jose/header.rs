//! The header of a JWE or JWS: parsed once, strictly, and believed by nobody before policy has seen
//! it. Of a JSON serialization it has three parts, of which only one is protected.

use serde_json::{Map, Value};

use super::alg::{ContentEncryption, KeyManagement, SignatureAlgorithm};
use super::jwk::PublicPoint;
use super::parameters::Parameters;
use super::{base64url, json};
use crate::error::{Error, Result};

/// The longest protected header taken, in bytes after decoding. A header with a certificate chain
/// of five (`x5c`) stays under it.
pub const MAX_HEADER_LEN: usize = 16 * 1024;

/// How many JSON values a header may have, counted at every level: 32 signatures with two headers each
/// have no more than [`MAX_VALUES`](json::MAX_VALUES) then. A header with a certificate chain of five, a
/// JWK and a dozen extensions has under 64.
pub const MAX_HEADER_VALUES: usize = 1024;

/// The longest `apu` or `apv` taken, in bytes after decoding: they go into a hash, and profiles that
/// use them (OpenID4VP, ISO 18013-7) stay under 256.
pub const MAX_PARTY_INFO_LEN: usize = 1024;

/// A header: a JSON object without duplicate members. Which part of a token's header it is, is said
/// where one is given out.
///
/// ```
/// use hsm_jose::jose::base64url;
/// use hsm_jose::jose::header::Header;
///
/// let header = Header::parse(&base64url::encode(br#"{"alg":"ES256","kid":"1"}"#))?;
/// assert_eq!((header.alg(), header.kid()), ("ES256", Some("1")));
/// assert!(Header::parse(&base64url::encode(br#"{"alg":"ES256","alg":"none"}"#)).is_err());
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    members: Map<String, Value>,
}

/// The members that key agreement adds to a JWE header (RFC 7518 section 4.6.1).
///
/// ```
/// use hsm_jose::jose::base64url;
/// use hsm_jose::jose::header::Header;
///
/// // RFC 7518 appendix C.
/// let json = br#"{"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i",
///     "epk":{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
///     "y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}}"#;
/// let agreement = Header::parse(&base64url::encode(json))?.agreement()?;
/// assert_eq!((&agreement.apu[..], &agreement.apv[..]), (&b"Alice"[..], &b"Bob"[..]));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// `epk`: the sender's ephemeral key. Not yet checked to lie on its curve.
    pub epk: PublicPoint,
    /// `apu`, decoded; empty if absent.
    pub apu: Vec<u8>,
    /// `apv`, decoded; empty if absent.
    pub apv: Vec<u8>,
}

impl Header {
    /// Decodes and parses a protected header that is the whole of a token's header, as in the compact
    /// serialization.
    ///
    /// # Errors
    /// As [`Header::parse_protected`]; [`Error::Malformed`] too if `alg` is missing.
    pub fn parse(protected: &str) -> Result<Self> {
        let header = Self::parse_protected(protected)?;
        header.check_alg()?;
        Ok(header)
    }

    /// Decodes and parses the protected part of a header as it stands in a token; empty text is an
    /// empty header.
    ///
    /// # Errors
    /// [`Error::Malformed`]: not strict base64url, over [`MAX_HEADER_LEN`] or [`MAX_HEADER_VALUES`], not a
    /// JSON object or one without members, duplicate members, a member of the wrong type, a `crit` that RFC 7515 section
    /// 4.1.11 does not allow.
    pub fn parse_protected(protected: &str) -> Result<Self> {
        if protected.is_empty() {
            return Ok(Self::of(Map::new()));
        }
        // Four characters for three bytes: what is longer need not be decoded to be refused.
        if protected.len() > MAX_HEADER_LEN.div_ceil(3) * 4 {
            return Err(malformed(format!("over {MAX_HEADER_LEN} bytes")));
        }
        let decoded = base64url::decode(protected.as_bytes()).map_err(malformed)?;
        let members = json::parse_object_of(&decoded, MAX_HEADER_VALUES).map_err(malformed)?;
        let header = Self { members };
        // RFC 7515 section 7.2.1, RFC 7516 section 7.2.1: one without members must be absent.
        if header.members.is_empty() {
            return Err(malformed("it has no members"));
        }
        header.check_types()?;
        header.check_crit()?;
        Ok(header)
    }

    /// Returns `b64`: whether the payload is base64url-encoded in the signing input (RFC 7797
    /// section 3).
    ///
    /// # Errors
    /// [`Error::Malformed`]: not a boolean, or false and not named in `crit` (section 6).
    pub(crate) fn b64(&self) -> Result<bool> {
        match self.members.get("b64") {
            None => Ok(true),
            // What is true is as if it were not there (section 3), for those who do not know it too.
            Some(Value::Bool(true)) => Ok(true),
            Some(Value::Bool(false)) if self.crit().any(|name| name == "b64") => Ok(false),
            Some(Value::Bool(false)) => Err(malformed("b64 is false and not named in crit")),
            Some(_) => Err(malformed("b64 is not a boolean")),
        }
    }

    /// Makes a header to be sent.
    pub fn of(members: Map<String, Value>) -> Self {
        Self { members }
    }

    /// Encodes the header as it stands in a token.
    pub fn encode(&self) -> String {
        let mut json = Vec::with_capacity(128);
        // invariant: a map of JSON values always serializes, and a Vec takes every byte.
        let _ = serde_json::to_writer(&mut json, &self.members);
        base64url::encode(&json)
    }

    /// Encodes the header of a token that is being made: no longer than is taken.
    ///
    /// # Errors
    /// [`Error::Usage`]: over [`MAX_HEADER_LEN`] or [`MAX_HEADER_VALUES`].
    pub fn encode_to_send(&self) -> Result<String> {
        let encoded = self.encode();
        if 1 + self.members.values().map(values).sum::<usize>() > MAX_HEADER_VALUES {
            return Err(Error::Usage(format!("a header of over {MAX_HEADER_VALUES} values")));
        }
        if encoded.len() > (MAX_HEADER_LEN * 4).div_ceil(3) {
            return Err(Error::Usage(format!("a header of over {MAX_HEADER_LEN} bytes")));
        }
        Ok(encoded)
    }

    /// Returns all members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// Takes all members.
    pub fn into_members(self) -> Map<String, Value> {
        self.members
    }

    /// Returns whether a member is present.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        Parameters::has(self, name)
    }

    /// Returns `alg` as it stands; empty if absent, which no algorithm is called.
    pub fn alg(&self) -> &str {
        Parameters::alg(self)
    }

    /// Returns `enc` as it stands; empty if absent.
    pub fn enc(&self) -> &str {
        Parameters::enc(self)
    }

    /// Returns `kid`: an opaque map key, nothing else.
    pub fn kid(&self) -> Option<&str> {
        Parameters::kid(self)
    }

    /// Returns `typ` as it stands.
    pub fn typ(&self) -> Option<&str> {
        self.text("typ")
    }

    /// Returns `cty` as it stands.
    pub fn cty(&self) -> Option<&str> {
        self.text("cty")
    }

    /// Returns the names in `crit`; empty if absent.
    pub fn crit(&self) -> impl Iterator<Item = &str> {
        let names = self.members.get("crit").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Returns the JWE `alg`, if this build knows it.
    pub fn key_management(&self) -> Option<KeyManagement> {
        Parameters::key_management(self)
    }

    /// Returns the JWE `enc`, if this build knows it.
    pub fn content_encryption(&self) -> Option<ContentEncryption> {
        Parameters::content_encryption(self)
    }

    /// Returns the JWS `alg`, if this build knows it.
    pub fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        Parameters::signature_algorithm(self)
    }

    /// Reads `epk`, `apu` and `apv`.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a missing or misformed `epk`, one with a private member, an `apu` or
    /// `apv` that is not strict base64url or is over [`MAX_PARTY_INFO_LEN`].
    pub fn agreement(&self) -> Result<Agreement> {
        Parameters::agreement(self)
    }

    /// Reads `iv` and `tag` of AES in GCM as a key wrap (RFC 7518 section 4.7.1), decoded. Their lengths
    /// are not looked at: another than 12 and 16 bytes is a fault of the encrypted key like any other.
    ///
    /// # Errors
    /// [`Error::Malformed`]: one is missing or not strict base64url.
    pub fn gcm_key_wrap(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        Parameters::gcm_key_wrap(self)
    }

    /// RFC 7515 section 4.1.11: not empty, no name twice, no name of the specification itself, and
    /// every name a member of this part of the header: what anyone can change is not critical.
    fn check_crit(&self) -> Result<()> {
        let Some(crit) = self.members.get("crit") else { return Ok(()) };
        let Some(names) = crit.as_array().filter(|names| !names.is_empty()) else {
            return Err(malformed("crit is not an array with members"));
        };
        for (index, name) in names.iter().enumerate() {
            let Some(text) = name.as_str() else {
                return Err(malformed("crit names something that is not a string"));
            };
            if SPECIFIED.contains(&text) || names[..index].contains(name) || !self.has(text) {
                return Err(malformed(
                    "crit names a member twice, one that is absent, or one of the specification",
                ));
            }
        }
        Ok(())
    }
}

impl Parameters for Header {
    fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }
}

/// The header parameters that RFC 7515, 7516 and 7518 define, which `crit` must not name.
const SPECIFIED: [&str; 20] = [
    "alg", "enc", "zip", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty",
    "crit", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c",
];

/// Returns whether a header parameter is one of the specifications.
pub(crate) fn is_specified(name: &str) -> bool {
    SPECIFIED.contains(&name)
}

/// The values that a value is of, itself counted.
fn values(value: &Value) -> usize {
    1 + match value {
        Value::Array(inner) => inner.iter().map(values).sum(),
        Value::Object(members) => members.values().map(values).sum(),
        _ => 0,
    }
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("protected header: {what}"))
}

#[cfg(test)]
mod tests {
    use super::super::jwk::MAX_KID_LEN;
    use super::*;

    fn parse(json: &str) -> Result<Header> {
        Header::parse(&base64url::encode(json.as_bytes()))
    }

    #[test]
    fn what_rfc_7515_section_4_forbids_is_malformed() {
        let cases = [
            r#"{}"#,
            r#"[]"#,
            r#""alg""#,
            r#"{"alg":1}"#,
            r#"{"alg":""}"#,
            r#"{"alg":"ES256","alg":"ES256"}"#,
            r#"{"alg":"ES256","kid":7}"#,
            r#"{"alg":"ES256","kid":"a\nb"}"#,
            r#"{"alg":"ES256","typ":null}"#,
            r#"{"alg":"ES256","crit":[]}"#,
            r#"{"alg":"ES256","crit":"exp"}"#,
            r#"{"alg":"ES256","crit":[1]}"#,
            r#"{"alg":"ES256","crit":["exp"]}"#,
            r#"{"alg":"ES256","crit":["alg"]}"#,
            r#"{"alg":"ES256","exp":1,"crit":["exp","exp"]}"#,
            r#"{"alg":"ES256","x":{"y":1,"y":2}}"#,
        ];
        for case in cases {
            assert!(matches!(parse(case), Err(Error::Malformed(_))), "{case}");
        }
        assert_eq!(
            parse(r#"{"alg":"ES256","exp":1,"crit":["exp"]}"#).unwrap().crit().collect::<Vec<_>>(),
            ["exp"]
        );
    }

    #[test]
    fn size_is_bounded_before_decoding() {
        let long = format!(r#"{{"alg":"ES256","x":"{}"}}"#, "x".repeat(1024 * 1024));
        assert!(parse(&long).unwrap_err().to_string().contains("over 16384 bytes"));
        let kid = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(MAX_KID_LEN + 1));
        assert!(parse(&kid).unwrap_err().to_string().contains("kid"));
    }

    #[test]
    fn what_is_sent_would_be_taken() {
        let header = |name: &str, len: usize| {
            let members = [("alg", "ES256".to_owned()), (name, "A".repeat(len))];
            let members = members.map(|(name, value)| (name.to_owned(), Value::from(value)));
            Header::of(members.into_iter().collect())
        };
        let largest = header("typ", MAX_HEADER_LEN - r#"{"alg":"ES256","typ":""}"#.len());
        assert!(Header::parse(&largest.encode_to_send().unwrap()).is_ok());
        assert!(header("typ", MAX_HEADER_LEN).encode_to_send().is_err());

        let header = |count: usize| {
            let members = [("alg", "ES256".into()), ("x", vec![0; count].into())];
            Header::of(members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
        };
        let fullest = header(MAX_HEADER_VALUES - 3);
        assert!(Header::parse(&fullest.encode_to_send().unwrap()).is_ok());
        let fuller = header(MAX_HEADER_VALUES - 2);
        assert!(fuller.encode_to_send().is_err() && Header::parse(&fuller.encode()).is_err());
    }

    #[test]
    fn a_private_or_misformed_epk_is_malformed() {
        let coordinate = base64url::encode(&[1; 32]);
        let good = format!(r#"{{"kty":"EC","crv":"P-256","x":"{coordinate}","y":"{coordinate}"}}"#);
        let header =
            |epk: &str| parse(&format!(r#"{{"alg":"ECDH-ES","epk":{epk}}}"#)).unwrap().agreement();
        assert_eq!(header(&good).unwrap().apu, b"");
        for bad in [
            good.replace("}", r#","d":"AQ"}"#),
            good.replace("P-256", "P-384"),
            good.replace("EC", "OKP"),
            good.replace(r#""y""#, r#""z""#),
            "null".into(),
            "[]".into(),
        ] {
            assert!(matches!(header(&bad), Err(Error::Malformed(_))), "{bad}");
        }
    }
}

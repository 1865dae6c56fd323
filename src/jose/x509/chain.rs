//! Certificate chains in the form of `x5c` (RFC 7515 section 4.1.6, RFC 7517 section 4.7).

use std::sync::Arc;

use base64_simd::STANDARD;
use serde_json::{Map, Value};

use super::super::base64url;
use super::super::header::Header;
use super::super::jwk::JwkError;
use super::super::pem;
use super::{Certificate, MAX_CERTIFICATE_LEN, MAX_CHAIN_LEN, X509Error};

/// A certificate and those that vouch for it, as they were given; nobody has verified them. The
/// first is that of the key.
///
/// ```
/// use hsm_jose::jose::x509::CertificateChain;
///
/// // base64url, or PEM, is not what `x5c` has.
/// let x5c = serde_json::json!(["MIIB-_8"]);
/// assert!(CertificateChain::from_x5c(&x5c).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateChain {
    certificates: Arc<[Certificate]>,
}

impl CertificateChain {
    /// Takes 1 to [`MAX_CHAIN_LEN`] certificates, that of the key first.
    ///
    /// # Errors
    /// [`X509Error::Malformed`] for none, or too many.
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, X509Error> {
        check_len(certificates.len())?;
        Ok(Self { certificates: certificates.into() })
    }

    /// Reads the value of `x5c`: an array of certificates in DER, each as base64 (not base64url) with
    /// its padding.
    ///
    /// # Errors
    /// [`X509Error::Malformed`]: another form, also base64 that is not canonical; too long or too
    /// many; not a certificate.
    pub fn from_x5c(x5c: &Value) -> Result<Self, X509Error> {
        let malformed = |what: &str| X509Error::Malformed(format!("x5c {what}"));
        let values = x5c.as_array().ok_or_else(|| malformed("is not an array"))?;
        // Before anything is decoded.
        check_len(values.len())?;
        let certificates = values.iter().map(|value| {
            let text = value.as_str().ok_or_else(|| malformed("has something but strings"))?;
            if text.len() > MAX_CERTIFICATE_LEN.div_ceil(3) * 4 {
                let what = format!("has a certificate of over {MAX_CERTIFICATE_LEN} bytes");
                return Err(malformed(&what));
            }
            let der = STANDARD.decode_to_vec(text);
            Certificate::from_der(&der.map_err(|_| malformed("is not strict base64"))?)
        });
        Self::new(certificates.collect::<Result<_, _>>()?)
    }

    /// Returns the value of `x5c`.
    pub fn to_x5c(&self) -> Value {
        self.certificates.iter().map(|one| STANDARD.encode_to_string(one.as_der())).collect()
    }

    /// Reads the `x5c` of a token's header; `None` if it has none. What comes of it is a stranger's
    /// claim, until [`super::Anchors::verify`] has seen it.
    ///
    /// # Errors
    /// As [`CertificateChain::from_x5c`]; an `x5t#S256` that is not that of the first certificate.
    pub fn of_header(header: &Header) -> Result<Option<Self>, X509Error> {
        let Some(chain) = Self::of_members(header.members())? else { return Ok(None) };
        let own = base64url::encode(&chain.leaf().sha256());
        match header.members().get("x5t#S256") {
            Some(given) if *given != own => {
                let what = "x5t#S256 is not that of the first certificate of x5c";
                Err(X509Error::Malformed(what.into()))
            }
            _ => Ok(Some(chain)),
        }
    }

    /// Reads the `x5c` of a JWK's members.
    pub(crate) fn of_members(members: &Map<String, Value>) -> Result<Option<Self>, X509Error> {
        members.get("x5c").map(Self::from_x5c).transpose()
    }

    /// Reads a PEM text of `CERTIFICATE` blocks, that of the key first.
    ///
    /// # Errors
    /// [`X509Error::Malformed`]: no block, a block of something else, or one that is not a
    /// certificate.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        // One more than may be, so that too many are noticed.
        let certificates = certificates(text).take(MAX_CHAIN_LEN + 1);
        Self::new(certificates.collect::<Result<_, _>>()?)
    }

    /// Writes the chain as PEM, that of the key first.
    ///
    /// # Errors
    /// Only what cannot be: a certificate that was read is not DER.
    pub fn to_pem(&self) -> Result<String, X509Error> {
        let blocks = self.certificates.iter().map(|one| pem::encode(LABEL, one.as_der()));
        blocks.collect::<Result<_, _>>().map_err(malformed)
    }

    /// Returns the certificate of the key.
    pub fn leaf(&self) -> &Certificate {
        // invariant: `new` takes no empty chain.
        &self.certificates[0]
    }

    /// Returns all certificates, that of the key first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Returns whether each certificate names the next as its issuer.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.certificates.windows(2).all(|pair| pair[0].issuer == pair[1].subject)
    }
}

/// The label of a certificate in PEM (RFC 7468 section 5.1).
pub(crate) const LABEL: &str = "CERTIFICATE";

/// Reads each block of a PEM text as a certificate.
pub(super) fn certificates(text: &str) -> impl Iterator<Item = Result<Certificate, X509Error>> {
    pem::blocks(text).map(|block| match block.label {
        LABEL => Certificate::from_der(&block.decode().map_err(malformed)?),
        _ => {
            let what = format!("PEM of {:?}, expected {LABEL:?}", block.shown());
            Err(X509Error::Malformed(what))
        }
    })
}

fn malformed(error: JwkError) -> X509Error {
    X509Error::Malformed(error.to_string())
}

fn check_len(len: usize) -> Result<(), X509Error> {
    match len {
        0 => Err(X509Error::Malformed("a chain without certificates".into())),
        1..=MAX_CHAIN_LEN => Ok(()),
        _ => Err(X509Error::Malformed(format!("a chain of over {MAX_CHAIN_LEN} certificates"))),
    }
}

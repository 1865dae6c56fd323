//! X.509 certificates (RFC 5280) beside keys: `x5c` and `x5t#S256` of a JWK or a header, and their
//! verification to anchors that the caller gives.
//!
//! Nothing here is done by itself. A chain that came with a token or a JWK is data; a caller who takes
//! its key to verify with says so, by [`Anchors::verify`], and gives the anchors, the time and the
//! purpose. Nothing is fetched: neither `x5u`, nor issuers, nor revocation lists.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use hsm_jose::jose::alg::Purpose;
//! use hsm_jose::jose::jwk::JwkSet;
//! use hsm_jose::jose::x509::{Anchors, CertificateChain, ExtendedUsage, Requirements};
//! use hsm_jose::jws::{JwsToken, TrustedKeys};
//! use hsm_jose::policy::{Policy, Profile};
//!
//! /// The payload of a JWS whose header brings its certificates along, as those of OpenID4VP do.
//! fn payload_of(token: &[u8], anchors: &Anchors) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let policy = Policy::of(Profile::Strict);
//!     let mut rules = policy.jws.clone();
//!     // The profile refuses all of them; this one is looked at below. Nothing else looks at it.
//!     rules.limits.refused_parameters = &["jku", "jwk", "x5u"];
//!     let token = JwsToken::parse(token, &rules)?;
//!     let chain = CertificateChain::of_header(token.header())?.ok_or("no x5c")?;
//!     let verified = anchors.verify(&chain, &Requirements {
//!         at: SystemTime::now(),
//!         purpose: Purpose::Sign,
//!         extended: ExtendedUsage::Any,
//!     })?;
//!     let keys = TrustedKeys::new(JwkSet { keys: vec![verified.into_jwk()] }, &policy);
//!     Ok(token.verify(&keys)?.into_inner().into_bytes().to_vec())
//! }
//! ```

use std::fmt;
use std::time::{Duration, SystemTime};

use pkcs8::ObjectIdentifier;
use pkcs8::der::referenced::OwnedToRef;
use pkcs8::der::{Decode, Encode};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use super::alg::Purpose;
use super::jwk::{JwkError, PublicJwk};
use super::spki;

mod chain;
mod names;
mod usage;
mod verify;

pub use chain::CertificateChain;
pub(crate) use chain::LABEL;
pub use usage::ExtendedUsage;
pub use verify::{Anchors, Requirements, VerifiedCertificate};

/// The largest certificate taken, in bytes of DER: as large as a header may be
/// ([`super::header::MAX_HEADER_LEN`]). Certificates of RSA-4096 stay under 3 KiB.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

/// The longest chain taken, in certificates: one of a key, six of intermediates (as many as
/// rustls-webpki follows) and an anchor.
pub const MAX_CHAIN_LEN: usize = 8;

/// What is wrong with a certificate or a chain.
///
/// ```
/// use hsm_jose::jose::x509::{Certificate, X509Error};
///
/// assert!(matches!(Certificate::from_der(b"no DER"), Err(X509Error::Malformed(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum X509Error {
    /// Not a certificate, or not a chain of them in the form of `x5c`.
    #[error("{0}")]
    Malformed(String),
    /// A certificate of the path is no longer valid.
    #[error("a certificate of the chain has expired")]
    Expired,
    /// A certificate of the path is not valid yet.
    #[error("a certificate of the chain is not valid yet")]
    NotYetValid,
    /// No path leads to one of the anchors.
    #[error("none of the given anchors has issued the chain")]
    UnknownIssuer,
    /// A signature in the chain is not that of its issuer.
    #[error("a signature in the chain is not that of its issuer")]
    Signature,
    /// The chain is not in the order of RFC 7515 section 4.1.6.
    #[error("the chain is not in order: each certificate is to be followed by that of its issuer")]
    Order,
    /// An issuer of the path has name constraints of a type that is not applied here: no name is
    /// compared with them, and so nothing that the issuer vouches for is believed.
    #[error(
        "an issuer of the chain has name constraints of a type that is not applied here ({0}; only \
         dNSName and iPAddress are)"
    )]
    NameConstraints(&'static str),
    /// The certificate is for something else.
    #[error("the certificate is not for this purpose: {0}")]
    Purpose(String),
    /// Something else that RFC 5280 or the library forbids.
    #[error("the chain is refused: {0}")]
    Refused(String),
}

/// A certificate that was read. Nobody has verified it.
///
/// ```
/// use hsm_jose::jose::x509::Certificate;
///
/// assert!(Certificate::from_der(&[0x30, 0x00]).is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    key: Result<PublicJwk, JwkError>,
    /// DER of the names, as they are compared (RFC 5280 section 7.1 allows octet by octet).
    subject: Vec<u8>,
    issuer: Vec<u8>,
    subject_text: String,
    not_before: SystemTime,
    not_after: SystemTime,
    key_usage: Option<KeyUsage>,
    extended_usage: Option<Vec<ObjectIdentifier>>,
    /// `cA` of the basic constraints, where there are any.
    is_ca: Option<bool>,
    /// The type of a name constraint that is not applied here.
    unapplied: Option<&'static str>,
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`X509Error::Malformed`]: over [`MAX_CERTIFICATE_LEN`], no certificate, or an extension of
    /// usage or basic constraints that cannot be read or is there twice.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        if der.len() > MAX_CERTIFICATE_LEN {
            let what = format!("a certificate of over {MAX_CERTIFICATE_LEN} bytes");
            return Err(X509Error::Malformed(what));
        }
        let unreadable = |_| X509Error::Malformed("a certificate that cannot be read".into());
        let certificate = x509_cert::Certificate::from_der(der).map_err(unreadable)?;
        let tbs = certificate.tbs_certificate();
        let validity = tbs.validity();
        let since_epoch = |duration: Duration| SystemTime::UNIX_EPOCH + duration;
        let constraints = tbs.get_extension::<BasicConstraints>().map_err(unreadable)?;
        let key_usage = tbs.get_extension::<KeyUsage>().map_err(unreadable)?;
        let extended_usage = tbs.get_extension::<ExtendedKeyUsage>().map_err(unreadable)?;
        Ok(Self {
            der: der.to_vec(),
            key: spki::from_info(&tbs.subject_public_key_info().owned_to_ref()),
            subject: tbs.subject().to_der().map_err(unreadable)?,
            issuer: tbs.issuer().to_der().map_err(unreadable)?,
            subject_text: tbs.subject().to_string(),
            not_before: since_epoch(validity.not_before.to_unix_duration()),
            not_after: since_epoch(validity.not_after.to_unix_duration()),
            key_usage: key_usage.map(|(_, usage)| usage),
            extended_usage: extended_usage.map(|(_, usages)| usages.0),
            is_ca: constraints.map(|(_, constraints)| constraints.ca),
            unapplied: names::unapplied(tbs),
        })
    }

    /// Returns the certificate in DER.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the certificate's key, with the `alg` of an RSASSA-PSS key and nothing else.
    ///
    /// # Errors
    /// A kind of key that this build does not have.
    pub fn key(&self) -> Result<&PublicJwk, JwkError> {
        self.key.as_ref().map_err(Clone::clone)
    }

    /// Returns the subject as text (RFC 4514): what its issuer wrote, for people to read.
    pub fn subject(&self) -> &str {
        &self.subject_text
    }

    /// Returns the first and the last second in which the certificate is valid.
    pub fn validity(&self) -> (SystemTime, SystemTime) {
        (self.not_before, self.not_after)
    }

    /// Returns the SHA-256 of the certificate, 32 bytes: `x5t#S256`.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Returns the SHA-1 of the certificate, 20 bytes: `x5t`. To be compared, never relied on.
    pub fn sha1(&self) -> [u8; 20] {
        Sha1::digest(&self.der).into()
    }

    /// Returns whether the certificate's key usage, where it has that extension, has a key for
    /// `purpose` (RFC 5280 section 4.2.1.3).
    #[must_use]
    pub fn serves(&self, purpose: Purpose) -> bool {
        self.key_usage.is_none_or(|usage| match purpose {
            Purpose::Sign => usage.digital_signature() || usage.non_repudiation(),
            Purpose::Decrypt => {
                usage.key_encipherment() || usage.key_agreement() || usage.data_encipherment()
            }
        })
    }

    /// Returns whether the certificate may be one that issues others, as far as it says anything.
    pub(crate) fn may_issue(&self) -> bool {
        self.is_ca.unwrap_or(true) && self.key_usage.is_none_or(|usage| usage.key_cert_sign())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", super::base64url::encode(&self.sha256()))
    }
}

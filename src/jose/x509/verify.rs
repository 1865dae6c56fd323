//! Verification of a chain to given anchors (RFC 5280 section 6), by rustls-webpki.

use std::time::SystemTime;

use rustls_pki_types::{CertificateDer, DnsName, ServerName, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, VerifiedPath, anchor_from_trusted_cert};

use super::super::alg::Purpose;
use super::super::jwk::PublicJwk;
use super::super::spki;
use super::names::unapplied_of_anchor;
use super::usage::{ExtendedUsage, OTHER_USAGE, Usage};
use super::{Certificate, CertificateChain, X509Error};

/// Certificates whose issuing is believed: roots, or intermediates that are pinned. Their own dates
/// are not looked at (RFC 5280 section 6.1.1 d).
///
/// The key of a certificate that is itself an anchor is not verified by it: give its JWK as a trusted
/// key instead.
///
/// ```
/// use hsm_jose::jose::x509::{Anchors, X509Error};
///
/// // No anchors vouch for nothing, and are no way to vouch for everything.
/// assert!(matches!(Anchors::from_pem(""), Err(X509Error::Malformed(_))));
/// ```
#[derive(Clone, Debug)]
pub struct Anchors {
    /// Those that have name constraints which are not applied here come last: where another one has
    /// issued a chain too, it is that which the library finds.
    anchors: Vec<TrustAnchor<'static>>,
}

/// What a certificate has to be.
///
/// ```
/// use std::time::SystemTime;
///
/// use hsm_jose::jose::alg::Purpose;
/// use hsm_jose::jose::x509::{ExtendedUsage, Requirements};
///
/// let signer = Requirements {
///     at: SystemTime::now(),
///     purpose: Purpose::Sign,
///     extended: ExtendedUsage::IfPresent("1.3.6.1.5.5.7.3.36"),
/// };
/// assert_eq!(signer.purpose, Purpose::Sign);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Requirements<'a> {
    /// The time at which every certificate of the path, but the anchor, has to be valid.
    pub at: SystemTime,
    /// What its key is for; key usage, where the certificate has it, has to allow it.
    pub purpose: Purpose,
    /// Which extended key usage it has to have.
    pub extended: ExtendedUsage<'a>,
}

/// A certificate that an anchor vouches for.
///
/// Revocation has not been looked at: neither lists nor OCSP. Short lifetimes, or a check of the
/// caller's own, have to do for it.
///
/// ```
/// # use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
/// # let (root_key, leaf_key) = (KeyPair::generate()?, KeyPair::generate()?);
/// # let mut params = CertificateParams::new(Vec::new())?;
/// # params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
/// # let root = params.self_signed(&root_key)?.der().to_vec();
/// # let issuer = Issuer::new(params, root_key);
/// # let leaf = CertificateParams::new(vec!["signer.example".into()])?;
/// # let leaf = leaf.signed_by(&leaf_key, &issuer)?.der().to_vec();
/// use hsm_jose::jose::alg::Purpose;
/// use hsm_jose::jose::x509::*;
///
/// let anchors = Anchors::new(&[Certificate::from_der(&root)?])?;
/// let chain = CertificateChain::new(vec![Certificate::from_der(&leaf)?])?;
/// let at = std::time::SystemTime::now();
/// let required = Requirements { at, purpose: Purpose::Sign, extended: ExtendedUsage::Any };
/// let verified = anchors.verify(&chain, &required)?;
/// assert!(verified.is_for_dns_name("signer.example"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedCertificate {
    chain: CertificateChain,
    jwk: PublicJwk,
    valid_until: SystemTime,
}

impl Anchors {
    /// Takes the certificates of the anchors.
    ///
    /// # Errors
    /// [`X509Error::Malformed`] for none at all, or one that cannot be an anchor;
    /// [`X509Error::Purpose`] for one that says itself that it issues no certificates.
    pub fn new(certificates: &[Certificate]) -> Result<Self, X509Error> {
        if certificates.is_empty() {
            return Err(X509Error::Malformed("no anchors".into()));
        }
        let anchors = certificates.iter().map(|certificate| {
            if !certificate.may_issue() {
                return Err(X509Error::Purpose("an anchor that issues no certificates".into()));
            }
            let der = CertificateDer::from(certificate.as_der());
            let anchor = anchor_from_trusted_cert(&der).map_err(refused)?;
            Ok(anchor.to_owned())
        });
        let mut anchors = anchors.collect::<Result<Vec<_>, _>>()?;
        anchors.sort_by_key(|anchor| unapplied_of_anchor(anchor).is_some());
        Ok(Self { anchors })
    }

    /// Reads the certificates of the anchors out of a PEM text; their order means nothing.
    ///
    /// # Errors
    /// As [`Anchors::new`]; another block than `CERTIFICATE`, or one that cannot be read.
    pub fn from_pem(text: &str) -> Result<Self, X509Error> {
        let certificates = super::chain::certificates(text);
        Self::new(&certificates.collect::<Result<Vec<_>, _>>()?)
    }

    /// Verifies that one of the anchors vouches for the first certificate of a chain: signatures,
    /// dates, path lengths and usages on the way, and constraints of the names in the subject
    /// alternative names. The chain is in the order of RFC 7515 section 4.1.6; it may end with the
    /// anchor. Intermediates whose key usage is not `keyCertSign` (RFC 5280 section 6.1.4 n: one without
    /// the extension may do anything) and critical extensions that are not known are refused.
    ///
    /// Of name constraints (RFC 5280 section 4.2.1.10), `dNSName` and `iPAddress` are applied. An issuer
    /// on the path, or its anchor, that has any of another type (`directoryName`, `rfc822Name`,
    /// `uniformResourceIdentifier` and the rest), permitted or excluded, critical or not, vouches for
    /// nothing here, also where every name conforms.
    ///
    /// # Errors
    /// Why it is not believed; [`X509Error::NameConstraints`] for those that are not applied.
    pub fn verify(
        &self,
        chain: &CertificateChain,
        requirements: &Requirements<'_>,
    ) -> Result<VerifiedCertificate, X509Error> {
        if !chain.is_in_order() {
            return Err(X509Error::Order);
        }
        let [leaf, issuers @ ..] = chain.certificates() else { return Err(X509Error::Order) };
        if !leaf.serves(requirements.purpose) {
            return Err(X509Error::Purpose(format!(
                "its key usage is not to {}",
                match requirements.purpose {
                    Purpose::Sign => "sign",
                    Purpose::Decrypt => "encrypt",
                }
            )));
        }
        let since_epoch = requirements.at.duration_since(SystemTime::UNIX_EPOCH);
        let at = UnixTime::since_unix_epoch(since_epoch.map_err(|_| X509Error::NotYetValid)?);
        let usage = Usage::new(requirements.extended, leaf)?;
        let leaf_der = CertificateDer::from(leaf.as_der());
        let issuers_der: Vec<_> =
            issuers.iter().map(|issuer| CertificateDer::from(issuer.as_der())).collect();
        let end_entity = EndEntityCert::try_from(&leaf_der).map_err(refused)?;
        let path = end_entity
            .verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &self.anchors,
                &issuers_der,
                at,
                usage,
                None,
                None,
            )
            .map_err(|error| self.told(error, chain))?;
        if let Some(name) = unapplied_of_anchor(path.anchor()) {
            return Err(X509Error::NameConstraints(name));
        }
        let used = check_path(&path, issuers)?;
        // The key is read out of what the library has verified, and not by another reader.
        let info = end_entity.subject_public_key_info();
        let mut jwk = spki::from_der(&info)
            .map_err(|error| X509Error::Malformed(format!("the certificate's key: {error}")))?;
        jwk.use_ = Some(requirements.purpose.jwk_use().to_owned());
        jwk.x5c = Some(chain.clone());
        jwk.x5t_s256 = Some(leaf.sha256());
        let valid_until =
            used.iter().map(|one| one.not_after).fold(leaf.not_after, SystemTime::min);
        Ok(VerifiedCertificate { chain: chain.clone(), jwk, valid_until })
    }

    /// The library refuses some names for constraints that it does not apply: then it is these that
    /// are told of.
    fn told(&self, error: Error, chain: &CertificateChain) -> X509Error {
        let unapplied = || {
            // The issuer has the SEQUENCE around it, which that of an anchor is without.
            let has_issued = |anchor: &&TrustAnchor<'_>| {
                chain.certificates().iter().any(|one| one.issuer.ends_with(&anchor.subject))
            };
            let anchors = self.anchors.iter().filter(has_issued);
            let issuers = chain.certificates()[1..].iter().filter_map(|one| one.unapplied);
            issuers.chain(anchors.filter_map(unapplied_of_anchor)).next()
        };
        match error {
            Error::NameConstraintViolation => {
                unapplied().map_or_else(|| refused(error), X509Error::NameConstraints)
            }
            _ => refused(error),
        }
    }
}

impl VerifiedCertificate {
    /// Returns the certificate that was verified.
    pub fn certificate(&self) -> &Certificate {
        self.chain.leaf()
    }

    /// Returns its key as a JWK for the demanded purpose (`use`), with `x5c` and `x5t#S256`.
    pub fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// Hands over its key, as [`VerifiedCertificate::jwk`].
    pub fn into_jwk(self) -> PublicJwk {
        self.jwk
    }

    /// Returns the last second in which the whole path is valid: to be looked at again after it.
    pub fn valid_until(&self) -> SystemTime {
        self.valid_until
    }

    /// Returns whether the certificate is for a DNS name, by its subject alternative names (RFC 9525;
    /// a wildcard stands for one label).
    #[must_use]
    pub fn is_for_dns_name(&self, name: &str) -> bool {
        let der = CertificateDer::from(self.certificate().as_der());
        let Ok(name) = DnsName::try_from(name) else { return false };
        EndEntityCert::try_from(&der).is_ok_and(|certificate| {
            certificate.verify_is_valid_for_subject_name(&ServerName::DnsName(name)).is_ok()
        })
    }
}

/// Checks what the library does not: that the path is the chain's own beginning, that its issuers' key
/// usage is to sign certificates (RFC 5280 section 6.1.4 n), and that their name constraints are such as
/// it applies. Returns them.
fn check_path<'a>(
    path: &VerifiedPath<'_>,
    issuers: &'a [Certificate],
) -> Result<&'a [Certificate], X509Error> {
    let mut used = 0;
    for intermediate in path.intermediate_certificates() {
        let issuer = issuers.get(used).ok_or(X509Error::Order)?;
        if intermediate.der().as_ref() != issuer.as_der() {
            return Err(X509Error::Order);
        }
        if !issuer.may_issue() {
            return Err(X509Error::Purpose("an issuer's key usage is not keyCertSign".into()));
        }
        if let Some(name) = issuer.unapplied {
            return Err(X509Error::NameConstraints(name));
        }
        used += 1;
    }
    Ok(&issuers[..used])
}

fn refused(error: Error) -> X509Error {
    match error {
        Error::CertExpired { .. } => X509Error::Expired,
        Error::CertNotValidYet { .. } => X509Error::NotYetValid,
        Error::UnknownIssuer => X509Error::UnknownIssuer,
        Error::InvalidSignatureForPublicKey => X509Error::Signature,
        Error::CaUsedAsEndEntity => X509Error::Purpose("it is that of an issuer".into()),
        Error::RequiredEkuNotFoundContext(_) => X509Error::Purpose(OTHER_USAGE.into()),
        // The library lists every algorithm that it has.
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => X509Error::Refused(
            "signed with an algorithm that is not taken, as one with SHA-1".into(),
        ),
        other => X509Error::Refused(format!("{other:?}")),
    }
}

//! Name constraints (RFC 5280 section 4.2.1.10): which of them rustls-webpki applies, and which not.
//!
//! It compares dNSName and iPAddress with the subject alternative names. Of the other types it refuses
//! some names that conform, and does not see others: an e-mail address in a subject, to which a
//! constraint of rfc822Name goes too, it never looks at.

use pkcs8::der::Tag;
use pkcs8::der::asn1::AnyRef;
use rustls_pki_types::TrustAnchor;
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::name::GeneralName;

/// What is said of constraints that cannot be read, or that are there twice.
const UNREADABLE: &str = "one that cannot be read";

/// Returns the type of a constraint of a certificate that is not applied here.
pub(super) fn unapplied(certificate: &TbsCertificate) -> Option<&'static str> {
    match certificate.get_extension::<NameConstraints>() {
        Ok(constraints) => constraints.and_then(|(_, constraints)| other_type(&constraints)),
        Err(_) => Some(UNREADABLE),
    }
}

/// As [`unapplied`], of an anchor: of what the library reads of it.
pub(super) fn unapplied_of_anchor(anchor: &TrustAnchor<'_>) -> Option<&'static str> {
    let content = anchor.name_constraints.as_ref()?;
    let constraints = AnyRef::new(Tag::Sequence, content.as_ref())
        .and_then(|sequence| sequence.decode_as::<NameConstraints>());
    constraints.map_or(Some(UNREADABLE), |constraints| other_type(&constraints))
}

fn other_type(constraints: &NameConstraints) -> Option<&'static str> {
    let NameConstraints { permitted_subtrees, excluded_subtrees } = constraints;
    let subtrees = [permitted_subtrees, excluded_subtrees].into_iter().flatten().flatten();
    subtrees.into_iter().find_map(|subtree| match subtree.base {
        GeneralName::DnsName(_) | GeneralName::IpAddress(_) => None,
        GeneralName::Rfc822Name(_) => Some("rfc822Name"),
        GeneralName::DirectoryName(_) => Some("directoryName"),
        GeneralName::UniformResourceIdentifier(_) => Some("uniformResourceIdentifier"),
        GeneralName::OtherName(_) => Some("otherName"),
        GeneralName::EdiPartyName(_) => Some("ediPartyName"),
        GeneralName::RegisteredId(_) => Some("registeredID"),
    })
}

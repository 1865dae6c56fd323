//! Extended key usage (RFC 5280 section 4.2.1.12): what is demanded, and whether a certificate has it.

use pkcs8::ObjectIdentifier;
use webpki::{
    Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};

use super::{Certificate, X509Error};

/// Which extended key usage (RFC 5280 section 4.2.1.12) is demanded. Issuers on the path that have
/// the extension have to allow it too.
///
/// ```
/// use hsm_jose::jose::x509::ExtendedUsage;
///
/// // documentSigning (RFC 9336)
/// let usage = ExtendedUsage::Required("1.3.6.1.5.5.7.3.36");
/// assert_ne!(usage, ExtendedUsage::Any);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedUsage<'a> {
    /// None: the anchors issue for nothing else.
    Any,
    /// This one has to be there, by name: a dotted object identifier, as `1.3.6.1.5.5.7.3.36`
    /// (documentSigning, RFC 9336).
    Required(&'a str),
    /// This one, where the certificate has the extension at all.
    IfPresent(&'a str),
}

/// anyExtendedKeyUsage (RFC 5280 section 4.2.1.12).
const ANY_EXTENDED_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// What is said of a certificate without it.
pub(super) const OTHER_USAGE: &str = "it has not the extended key usage that is demanded";

/// What the library asks of each certificate of a path: an extension that is there names the usage,
/// or any (RFC 5280 section 4.2.1.12).
pub(super) struct Usage(Option<ObjectIdentifier>);

impl Usage {
    /// Reads what is demanded, and checks the certificate itself, of which more may be demanded than
    /// of its issuers.
    pub(super) fn new(extended: ExtendedUsage<'_>, leaf: &Certificate) -> Result<Self, X509Error> {
        let (oid, is_required) = match extended {
            ExtendedUsage::Any => return Ok(Self(None)),
            ExtendedUsage::Required(oid) => (oid, true),
            ExtendedUsage::IfPresent(oid) => (oid, false),
        };
        let oid = ObjectIdentifier::new(oid)
            .map_err(|_| X509Error::Malformed(format!("{oid:?} is not an object identifier")))?;
        let is_there = leaf.extended_usage.as_ref().is_some_and(|usages| usages.contains(&oid));
        match is_there || !is_required {
            true => Ok(Self(Some(oid))),
            false => Err(X509Error::Purpose(OTHER_USAGE.into())),
        }
    }
}

impl ExtendedKeyUsageValidator for Usage {
    fn validate(&self, present: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let Some(demanded) = &self.0 else { return Ok(()) };
        let meant = [demanded, &ANY_EXTENDED_USAGE].map(|oid| KeyPurposeId::new(oid.as_bytes()));
        let mut is_absent = true;
        for id in present {
            is_absent = false;
            if meant.contains(&id?) {
                return Ok(());
            }
        }
        match is_absent {
            true => Ok(()),
            // Told as `OTHER_USAGE`: what is in here is not.
            false => Err(Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
                required: KeyUsage::required(&[]),
                present: Vec::new(),
            })),
        }
    }
}

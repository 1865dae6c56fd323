//! Name constraints of issuers (RFC 5280 section 4.2.1.10): applied, or the chain is refused.

use hsm_jose::jose::alg::Purpose;
use hsm_jose::jose::x509::{Anchors, ExtendedUsage, Requirements, X509Error};
use rcgen::{
    BasicConstraints, CidrSubnet, CustomExtension, DnType, GeneralSubtree, IsCa, KeyUsagePurpose,
    NameConstraints, SanType,
};

#[path = "common/pki.rs"]
mod pki;

use pki::{Authority, Change, certificate, chain, in_2026};

/// emailAddress (RFC 5280 section 4.1.2.6), in a subject.
const EMAIL_ADDRESS: &[u64] = &[1, 2, 840, 113549, 1, 9, 1];

const AS_IT_IS: Change<'static> = &|_| {};

fn verify(anchors: &[&[u8]], given: &[&[u8]]) -> Result<(), X509Error> {
    let anchors: Vec<_> = anchors.iter().map(|der| certificate(der)).collect();
    let requirements =
        Requirements { at: in_2026(), purpose: Purpose::Sign, extended: ExtendedUsage::Any };
    let anchors = Anchors::new(&anchors).expect("anchors");
    anchors.verify(&chain(given), &requirements).map(|_| ())
}

/// Verifies a leaf below an intermediate with constraints, and below the same as an anchor, for which
/// the same is to hold.
fn below(constrained: Change<'_>, leaf: Change<'_>) -> Result<(), X509Error> {
    let root = Authority::root("root");
    let between = root.authority("between", constrained);
    let leaf = between.certify(&pki::key(), leaf);
    let on_the_path = verify(&[&root.der], &[&leaf, &between.der]);
    assert_eq!(on_the_path, verify(&[&between.der], &[&leaf]), "an anchor");
    assert_eq!(
        on_the_path,
        verify(&[&between.der], &[&leaf, &between.der]),
        "an anchor that is sent"
    );
    on_the_path
}

/// An extension of name constraints with one subtree, its base as it is given.
fn raw(subtrees: u8, base: &[u8], is_critical: bool) -> CustomExtension {
    let around = |tag: u8, content: &[u8]| {
        [&[tag, u8::try_from(content.len()).expect("short")], content].concat()
    };
    let content = around(0x30, &around(subtrees, &around(0x30, base)));
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], content);
    extension.set_criticality(is_critical);
    extension
}

#[test]
fn an_email_address_in_a_subject_does_not_pass_by_a_constraint() {
    let confined: Change<'_> = &|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::Rfc822Name("good.example".into())],
            excluded_subtrees: Vec::new(),
        });
    };
    // RFC 5280 section 4.2.1.10: without alternative names, it goes to emailAddress of the subject.
    let outside: Change<'_> = &|params| {
        let email = DnType::CustomDnType(EMAIL_ADDRESS.to_vec());
        params.distinguished_name.push(email, "a@bad.example");
    };
    let refusal = below(confined, outside).unwrap_err();
    assert_eq!(refusal, X509Error::NameConstraints("rfc822Name"));
    assert!(refusal.to_string().contains("rfc822Name; only dNSName and iPAddress"), "{refusal}");
    for names in [vec!["a@good.example"], vec!["a@bad.example"], vec![]] {
        let leaf: Change<'_> = &|params| {
            let name = |name: &&str| SanType::Rfc822Name((*name).try_into().expect("a name"));
            params.subject_alt_names = names.iter().map(name).collect();
        };
        assert_eq!(below(confined, leaf), Err(X509Error::NameConstraints("rfc822Name")));
    }
}

#[test]
fn a_constraint_of_any_other_type_is_refused_wherever_it_is() {
    let types: [(&str, &[u8]); 8] = [
        // A name of another type that is not there: the library would have nothing to compare.
        ("otherName", &[0xa0, 0x07, 0x06, 0x01, 0x2a, 0xa0, 0x02, 0x05, 0x00]),
        ("rfc822Name", &[0x81, 0x01, b'a']),
        // Of all names.
        ("directoryName", &[0xa4, 0x02, 0x30, 0x00]),
        ("ediPartyName", &[0xa5, 0x05, 0xa1, 0x03, 0x0c, 0x01, b'a']),
        ("uniformResourceIdentifier", &[0x86, 0x01, b'a']),
        ("registeredID", &[0x88, 0x01, 0x2a]),
        // x400Address, which the reader does not know, and what is no name at all.
        ("one that cannot be read", &[0xa3, 0x02, 0x30, 0x00]),
        ("one that cannot be read", &[0x04, 0x01, 0x00]),
    ];
    for (name, base) in types {
        for (subtrees, is_critical) in [(0xa0, true), (0xa1, true), (0xa0, false), (0xa1, false)] {
            let constrained: Change<'_> = &|params| {
                params.custom_extensions = vec![raw(subtrees, base, is_critical)];
            };
            let refusal = below(constrained, AS_IT_IS).unwrap_err();
            // What is no name, the library refuses before anything is compared.
            let is_bad = base[0] == 0x04 && matches!(refusal, X509Error::Refused(_));
            assert!(is_bad || refusal == X509Error::NameConstraints(name), "{name}: {refusal:?}");
        }
    }
    // Beside one that is applied, and to which every name conforms.
    let mixed: Change<'_> = &|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("good.example".into())],
            excluded_subtrees: vec![GeneralSubtree::Rfc822Name("bad.example".into())],
        });
    };
    assert_eq!(below(mixed, AS_IT_IS), Err(X509Error::NameConstraints("rfc822Name")));
}

#[test]
fn names_of_dns_and_ip_are_compared() {
    let confined: Change<'_> = &|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![
                GeneralSubtree::DnsName("good.example".into()),
                GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0])),
            ],
            excluded_subtrees: vec![GeneralSubtree::DnsName("bad.good.example".into())],
        });
    };
    let named = |dns: &str, ip: [u8; 4]| {
        let names =
            vec![SanType::DnsName(dns.try_into().expect("a name")), SanType::IpAddress(ip.into())];
        below(confined, &|params| params.subject_alt_names.clone_from(&names))
    };
    assert_eq!(named("a.good.example", [10, 1, 2, 3]), Ok(()));
    assert_eq!(below(confined, AS_IT_IS), Ok(()), "no names to compare");
    for refused in [
        named("a.other.example", [10, 1, 2, 3]),
        named("a.bad.good.example", [10, 1, 2, 3]),
        named("a.good.example", [11, 1, 2, 3]),
    ] {
        assert_eq!(refused, Err(X509Error::Refused("NameConstraintViolation".into())));
    }
}

#[test]
fn only_the_path_counts_and_an_anchor_without_constraints_comes_first() {
    let other = Authority::root("other");
    let root = Authority::root("root");
    let ca = |params: &mut rcgen::CertificateParams, extensions: Vec<CustomExtension>| {
        *params = pki::named("root", true);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.custom_extensions = extensions;
    };
    // Two certificates of one name and key.
    let email = &[0x81, 0x01, b'a'];
    let free = other.certify(root.key(), &|params| ca(params, Vec::new()));
    let confined = other.certify(root.key(), &|params| ca(params, vec![raw(0xa0, email, true)]));
    let leaf = root.certify(&pki::key(), AS_IT_IS);
    let refused = Err(X509Error::NameConstraints("rfc822Name"));
    assert_eq!(verify(&[&confined], &[&leaf]), refused);
    assert_eq!(verify(&[&other.der], &[&leaf, &confined]), refused);
    assert_eq!(verify(&[&confined, &free], &[&leaf]), Ok(()));
    assert_eq!(verify(&[&free, &confined], &[&leaf]), Ok(()));
    // What is above an anchor is not on the path.
    let between = root.authority("between", AS_IT_IS);
    let leaf = between.certify(&pki::key(), AS_IT_IS);
    assert_eq!(verify(&[&between.der], &[&leaf, &between.der, &confined]), Ok(()));
    assert_eq!(verify(&[&other.der], &[&leaf, &between.der, &confined]), refused);
}

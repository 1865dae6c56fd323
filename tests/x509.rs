//! Certificates beside keys: `x5c` and its verification to anchors (RFC 7515 section 4.1.6, RFC 7517
//! sections 4.6 to 4.9, RFC 5280).

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use hsm_jose::Error;
use hsm_jose::jose::alg::Purpose;
use hsm_jose::jose::base64url;
use hsm_jose::jose::header::Header;
use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
use hsm_jose::jose::spki;
use hsm_jose::jose::x509::{
    Anchors, Certificate, CertificateChain, ExtendedUsage, MAX_CERTIFICATE_LEN, MAX_CHAIN_LEN,
    Requirements, X509Error,
};
use hsm_jose::jws::{JwsToken, TrustedKeys};
use hsm_jose::policy::{Policy, Profile};
use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, PublicKeyData, SanType, date_time_ymd,
};
use serde_json::{Value, json};

#[path = "common/pki.rs"]
mod pki;

use pki::{Authority, Change, certificate, chain, in_2026};

/// documentSigning (RFC 9336).
const DOCUMENT_SIGNING: &str = "1.3.6.1.5.5.7.3.36";

fn document_signing() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 36])
}

fn anchors(authority: &Authority) -> Anchors {
    Anchors::new(&[certificate(&authority.der)]).expect("anchors")
}

fn to_sign() -> Requirements<'static> {
    Requirements { at: in_2026(), purpose: Purpose::Sign, extended: ExtendedUsage::Any }
}

/// Verifies a chain of root, one intermediate and a leaf that two changes were made to.
fn verified(
    intermediate: Change<'_>,
    leaf: Change<'_>,
    requirements: &Requirements<'_>,
) -> Result<PublicJwk, X509Error> {
    let root = Authority::root("root");
    let between = root.authority("between", intermediate);
    let leaf = between.certify(&pki::key(), leaf);
    let verified = anchors(&root).verify(&chain(&[&leaf, &between.der]), requirements)?;
    Ok(verified.into_jwk())
}

const AS_IT_IS: Change<'static> = &|_| {};

#[test]
fn a_good_chain_gives_its_key_for_the_demanded_purpose() {
    let root = Authority::root("root");
    let between = root.authority("between", AS_IT_IS);
    let key = pki::key();
    let leaf = between.certify(&key, &|params| params.not_after = date_time_ymd(2026, 9, 1));
    for given in [vec![&leaf[..], &between.der], vec![&leaf, &between.der, &root.der]] {
        let verified = anchors(&root).verify(&chain(&given), &to_sign()).expect("verified");
        assert_eq!(verified.certificate().as_der(), leaf);
        let until = seconds(verified.valid_until());
        assert_eq!(until, 1_788_220_800, "the first end on the path, 2026-09-01");
        let jwk = verified.into_jwk();
        assert_eq!(jwk.use_.as_deref(), Some("sig"));
        let PublicJwk { key: hsm_jose::jose::jwk::PublicKey::Point(point), .. } = &jwk else {
            panic!("a point")
        };
        assert_eq!(point.as_bytes(), key.der_bytes());
        // What it says of itself can be read again.
        let again = PublicJwk::from_members(&jwk.to_members()).expect("a JWK");
        assert_eq!(again, jwk);
    }
    let direct = root.certify(&key, AS_IT_IS);
    assert!(anchors(&root).verify(&chain(&[&direct]), &to_sign()).is_ok());
    // An intermediate that is pinned is an anchor.
    assert!(anchors(&between).verify(&chain(&[&leaf]), &to_sign()).is_ok());
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

#[test]
fn what_no_given_anchor_has_issued_is_refused() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let same_name = Authority::root("root");
    let between = root.authority("between", AS_IT_IS);
    let leaf = between.certify(&pki::key(), AS_IT_IS);
    let given = chain(&[&leaf, &between.der]);
    let refusal =
        |authority: &Authority| anchors(authority).verify(&given, &to_sign()).unwrap_err();
    assert_eq!(refusal(&other), X509Error::UnknownIssuer);
    assert_eq!(refusal(&same_name), X509Error::Signature);
    // Without the intermediate there is no path.
    let alone = anchors(&root).verify(&chain(&[&leaf]), &to_sign());
    assert_eq!(alone.unwrap_err(), X509Error::UnknownIssuer);
    // A certificate that vouches for itself.
    let key = pki::key();
    let own = pki::named("leaf", false).self_signed(&key).expect("made");
    let own = anchors(&root).verify(&chain(&[own.der()]), &to_sign());
    assert_eq!(own.unwrap_err(), X509Error::UnknownIssuer);
    assert!(Anchors::new(&[]).is_err());
    let leaf_as_anchor = Anchors::new(&[certificate(&leaf)]).unwrap_err();
    assert!(matches!(leaf_as_anchor, X509Error::Purpose(_)), "{leaf_as_anchor}");
}

#[test]
fn every_certificate_of_the_path_has_to_be_valid_at_the_time() {
    let ends: Change<'_> = &|params| params.not_after = date_time_ymd(2026, 2, 1);
    let begins: Change<'_> = &|params| params.not_before = date_time_ymd(2026, 12, 1);
    assert_eq!(verified(AS_IT_IS, ends, &to_sign()).unwrap_err(), X509Error::Expired);
    assert_eq!(verified(ends, AS_IT_IS, &to_sign()).unwrap_err(), X509Error::Expired);
    assert_eq!(verified(AS_IT_IS, begins, &to_sign()).unwrap_err(), X509Error::NotYetValid);
    assert_eq!(verified(begins, AS_IT_IS, &to_sign()).unwrap_err(), X509Error::NotYetValid);
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let before = Requirements { at: before, ..to_sign() };
    assert_eq!(verified(AS_IT_IS, AS_IT_IS, &before).unwrap_err(), X509Error::NotYetValid);
}

#[test]
fn key_usage_has_to_allow_the_purpose() {
    let to_encrypt = Requirements { purpose: Purpose::Decrypt, ..to_sign() };
    let agreement: Change<'_> = &|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    let none: Change<'_> = &|params| params.key_usages = Vec::new();
    let jwk = verified(AS_IT_IS, agreement, &to_encrypt).expect("for encryption");
    assert_eq!(jwk.use_.as_deref(), Some("enc"));
    for requirements in [to_sign(), to_encrypt] {
        verified(AS_IT_IS, none, &requirements).expect("without key usage, any");
    }
    let is_refused = |result: Result<PublicJwk, X509Error>| {
        matches!(result.expect_err("refused"), X509Error::Purpose(_))
    };
    assert!(is_refused(verified(AS_IT_IS, AS_IT_IS, &to_encrypt)));
    assert!(is_refused(verified(AS_IT_IS, agreement, &to_sign())));
    // RFC 5280 section 6.1.4 n: an issuer's is to sign certificates. The library does not look.
    let signs: Change<'_> = &|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    assert!(is_refused(verified(signs, AS_IT_IS, &to_sign())));
    assert!(verified(none, AS_IT_IS, &to_sign()).is_ok());
}

#[test]
fn extended_key_usage_has_to_be_the_demanded_one() {
    let named: Change<'_> = &|params| params.extended_key_usages = vec![document_signing()];
    let other: Change<'_> =
        &|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let any: Change<'_> = &|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    let demanded = |extended| Requirements { extended, ..to_sign() };
    let required = demanded(ExtendedUsage::Required(DOCUMENT_SIGNING));
    let if_present = demanded(ExtendedUsage::IfPresent(DOCUMENT_SIGNING));
    let is_refused = |intermediate, leaf, requirements: &Requirements<'_>| match verified(
        intermediate,
        leaf,
        requirements,
    ) {
        Ok(_) => false,
        Err(error) => {
            assert!(matches!(error, X509Error::Purpose(_)), "{error}");
            true
        }
    };
    for (intermediate, leaf, by_name, when_there) in [
        (AS_IT_IS, named, false, false),
        (named, named, false, false),
        (any, named, false, false),
        (AS_IT_IS, AS_IT_IS, true, false),
        (AS_IT_IS, other, true, true),
        (AS_IT_IS, any, true, false),
        // An issuer that is confined to another usage cannot give this one.
        (other, named, true, true),
    ] {
        assert_eq!(is_refused(intermediate, leaf, &required), by_name);
        assert_eq!(is_refused(intermediate, leaf, &if_present), when_there);
        assert!(!is_refused(intermediate, leaf, &to_sign()));
    }
    let nonsense = demanded(ExtendedUsage::Required("document signing"));
    assert!(verified(AS_IT_IS, named, &nonsense).is_err());
}

#[test]
fn a_chain_is_in_the_order_of_rfc_7515() {
    let root = Authority::root("root");
    let first = root.authority("first", AS_IT_IS);
    let second = first.authority("second", AS_IT_IS);
    let leaf = second.certify(&pki::key(), AS_IT_IS);
    let verify = |ders: &[&[u8]]| anchors(&root).verify(&chain(ders), &to_sign()).map(|_| ());
    assert_eq!(verify(&[&leaf, &second.der, &first.der]), Ok(()));
    for ders in [
        vec![&leaf[..], &first.der, &second.der],
        vec![&first.der, &second.der, &leaf],
        vec![&leaf, &leaf, &second.der, &first.der],
        vec![&leaf, &second.der, &Authority::root("unrelated").der, &first.der],
    ] {
        assert_eq!(verify(&ders), Err(X509Error::Order));
    }
    // The issuer first: it is no key to verify tokens with.
    let issuer_first = verify(&[&second.der, &first.der]).unwrap_err();
    assert!(matches!(issuer_first, X509Error::Purpose(_)), "{issuer_first}");
}

#[test]
fn issuers_issue_no_more_than_they_may() {
    let no_ca: Change<'_> = &|params| params.is_ca = IsCa::ExplicitNoCa;
    assert!(verified(no_ca, AS_IT_IS, &to_sign()).is_err());
    let ca: Change<'_> = &|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let as_leaf = verified(AS_IT_IS, ca, &to_sign()).unwrap_err();
    assert!(matches!(as_leaf, X509Error::Purpose(_)), "{as_leaf}");

    let root = Authority::root("root");
    let short = root.authority("short", &|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let below = short.authority("below", AS_IT_IS);
    let leaf = below.certify(&pki::key(), AS_IT_IS);
    let too_long = anchors(&root).verify(&chain(&[&leaf, &below.der, &short.der]), &to_sign());
    assert!(matches!(too_long.unwrap_err(), X509Error::Refused(_)));

    let confined: Change<'_> = &|params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.com".into())];
        let excluded_subtrees = Vec::new();
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees });
    };
    let name = |name: &str| SanType::DnsName(name.try_into().expect("a name"));
    assert!(
        verified(
            confined,
            &|params| params.subject_alt_names = vec![name("a.example.com")],
            &to_sign()
        )
        .is_ok()
    );
    let outside = verified(
        confined,
        &|params| params.subject_alt_names = vec![name("example.org")],
        &to_sign(),
    );
    assert!(matches!(outside.unwrap_err(), X509Error::Refused(_)));
    // RFC 5280 section 4.2: what is critical and not known is refused.
    let critical: Change<'_> = &|params| {
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions = vec![extension];
    };
    assert!(verified(AS_IT_IS, critical, &to_sign()).is_err());
    assert!(verified(critical, AS_IT_IS, &to_sign()).is_err());
}

#[test]
fn a_changed_octet_anywhere_is_refused() {
    let root = Authority::root("root");
    let leaf = root.certify(&pki::key(), AS_IT_IS);
    let anchors = anchors(&root);
    assert!(anchors.verify(&chain(&[&leaf]), &to_sign()).is_ok());
    for index in 0..leaf.len() {
        let mut changed = leaf.clone();
        changed[index] ^= 1;
        let refused = Certificate::from_der(&changed).and_then(|changed| {
            let chain = CertificateChain::new(vec![changed])?;
            anchors.verify(&chain, &to_sign()).map(|_| ())
        });
        assert!(refused.is_err(), "octet {index}");
    }
}

#[test]
fn x5c_has_one_form() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    let root = Authority::root("root");
    let key = pki::key();
    // Of a length that leaves bits over, and characters that base64url writes otherwise.
    let is_telling = |der: &[u8]| der.len() % 3 == 1 && STANDARD.encode(der).contains(['+', '/']);
    let leaf = (0..100)
        .map(|i| {
            root.certify(&key, &|params| params.serial_number = Some(vec![1; 1 + i % 8].into()))
        })
        .find(|der| is_telling(der))
        .expect("one of them");
    let text = STANDARD.encode(&leaf);
    let read = |value: Value| CertificateChain::from_x5c(&value);
    let good = read(json!([text])).expect("a chain");
    assert_eq!(good.to_x5c(), json!([text]));
    assert_eq!(good.leaf().as_der(), leaf);

    let bits_left = {
        let at = text.trim_end_matches('=').len() - 1;
        // The last character before the padding carries two bits of six.
        let last = text.as_bytes()[at] as char;
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let value = alphabet.find(last).expect("of the alphabet");
        let other = alphabet.as_bytes()[value + 1] as char;
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let refused = [
        ("base64url", json!([base64url::encode(&leaf)])),
        ("no padding", json!([STANDARD_NO_PAD.encode(&leaf)])),
        ("bits that carry nothing", json!([bits_left])),
        ("line ends", json!([format!("{}\n{}", &text[..64], &text[64..])])),
        ("white space", json!([format!(" {text}")])),
        ("PEM", json!([format!("-----BEGIN CERTIFICATE-----\n{text}\n")])),
        ("octets after it", json!([STANDARD.encode([&leaf[..], &[0]].concat())])),
        ("cut", json!([STANDARD.encode(&leaf[..leaf.len() - 1])])),
        ("garbage", json!(["AAAA"])),
        ("a key", json!([STANDARD.encode(spki::to_der(&good.leaf().key().unwrap().key).unwrap())])),
        ("empty", json!([""])),
        ("no certificate", json!([])),
        ("a string", json!(text)),
        ("a number", json!([1])),
        ("null", Value::Null),
        ("too many", json!(vec![&text; MAX_CHAIN_LEN + 1])),
        ("too long", json!(["A".repeat(MAX_CERTIFICATE_LEN * 2)])),
    ];
    for (what, value) in refused {
        assert!(matches!(read(value), Err(X509Error::Malformed(_))), "{what}");
    }
}

#[test]
fn the_first_certificate_of_a_jwk_is_that_of_its_key() {
    let root = Authority::root("root");
    let (key, other) = (pki::key(), pki::key());
    let leaf = root.certify(&key, AS_IT_IS);
    let good = PublicJwk::certified(chain(&[&leaf, &root.der])).expect("a JWK");
    assert_eq!(good.use_.as_deref(), Some("sig"));
    let members = Value::Object(good.to_members());
    assert_eq!(members["x5t#S256"], base64url::encode(&good.x5c.as_ref().unwrap().leaf().sha256()));
    let parse = |value: &Value| PublicJwk::parse(value.to_string().as_bytes());
    assert_eq!(parse(&members).expect("parsed"), good);

    let mut wrong = members.clone();
    wrong["x5c"] = chain(&[&root.certify(&other, AS_IT_IS)]).to_x5c();
    assert!(parse(&wrong).unwrap_err().to_string().contains("another key"));
    let mut wrong = members.clone();
    wrong["x5t#S256"] = base64url::encode(&[7; 32]).into();
    assert!(parse(&wrong).unwrap_err().to_string().contains("x5t#S256"));
    for (name, value) in [
        ("x5t#S256", json!(base64url::encode(&[7; 31]))),
        ("x5t#S256", json!(7)),
        ("x5t", json!(base64url::encode(&[7; 32]))),
        ("x5t", json!("+/+/")),
        ("x5u", json!(["https://a.example"])),
        ("x5u", json!("x".repeat(5000))),
        ("x5c", json!("x")),
    ] {
        let mut wrong = members.clone();
        wrong[name] = value;
        let message = parse(&wrong).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
    // SHA-1 is taken and not relied on: a wrong one changes nothing.
    let mut sha1 = members;
    sha1["x5t"] = base64url::encode(&[7; 20]).into();
    assert_eq!(parse(&sha1).expect("parsed").x5t, Some([7; 20]));
}

#[test]
fn a_chain_is_attached_to_its_own_key_only() {
    let root = Authority::root("root");
    let (key, other) = (pki::key(), pki::key());
    let leaf = root.certify(&key, AS_IT_IS);
    let mut jwk = PublicJwk::bare(certificate(&leaf).key().unwrap().key.clone());
    jwk.attach(chain(&[&leaf, &root.der])).expect("attached");
    assert_eq!(jwk.x5t_s256, Some(certificate(&leaf).sha256()));
    assert!(jwk.attach(chain(&[&root.certify(&other, AS_IT_IS)])).is_err());
    assert!(jwk.attach(chain(&[&leaf, &Authority::root("other").der])).is_err());
    jwk.use_ = Some("enc".into());
    assert!(jwk.attach(chain(&[&leaf])).is_err());
}

/// RFC 7517 appendix B: a certificate that vouches for itself, signed with SHA-1.
#[test]
fn a_signature_with_sha_1_vouches_for_nothing() {
    let all: Value = serde_json::from_slice(include_bytes!("data/rfc/public-keys.json")).unwrap();
    let jwk = PublicJwk::parse(all["rfc7517-b"].to_string().as_bytes()).expect("a JWK");
    let chain = jwk.x5c.expect("x5c");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_430_000_000);
    let anchors = Anchors::new(chain.certificates()).expect("anchors");
    let refused = anchors.verify(&chain, &Requirements { at, ..to_sign() }).unwrap_err();
    assert!(refused.to_string().contains("SHA-1"), "{refused}");
}

#[test]
fn a_certificate_of_neither_purpose_gives_no_jwk() {
    let root = Authority::root("root");
    assert!(PublicJwk::certified(chain(&[&root.der])).is_err());
    let both: Change<'_> = &|params| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement];
    };
    let jwk = PublicJwk::certified(chain(&[&root.certify(&pki::key(), both)])).expect("a JWK");
    assert_eq!(jwk.use_, None);
}

#[test]
fn the_chain_of_a_header_is_taken_only_when_asked_for() {
    let root = Authority::root("root");
    let leaf = root.certify(&pki::key(), &|params| {
        params.subject_alt_names =
            vec![SanType::DnsName("verifier.example".try_into().expect("a name"))];
    });
    let members = json!({ "alg": "ES256", "x5c": chain(&[&leaf]).to_x5c() });
    let header = Header::parse(&base64url::encode(members.to_string().as_bytes())).expect("one");
    let found = CertificateChain::of_header(&header).expect("read").expect("there");
    let verified = anchors(&root).verify(&found, &to_sign()).expect("verified");
    // RFC 9101 and OpenID4VP bind a client's name to its certificate.
    assert!(verified.is_for_dns_name("verifier.example"));
    assert!(!verified.is_for_dns_name("other.example"));
    assert!(!verified.is_for_dns_name("not a name"));
    let bare = Header::parse(&base64url::encode(br#"{"alg":"ES256"}"#)).expect("one");
    assert_eq!(CertificateChain::of_header(&bare), Ok(None));
    let mut contradicted = members;
    contradicted["x5t#S256"] = base64url::encode(&[7; 32]).into();
    let header = base64url::encode(contradicted.to_string().as_bytes());
    assert!(CertificateChain::of_header(&Header::parse(&header).expect("one")).is_err());
}

/// RFC 8725 section 3.10: the profile refuses what brings a key along, and a program that has looked at
/// it takes the key by its own hand.
#[test]
fn a_token_is_verified_with_its_own_certificate_once_an_anchor_vouches_for_it() {
    let root = Authority::root("root");
    let key = pki::key();
    let leaf = root.certify(&key, AS_IT_IS);
    let header = json!({ "alg": "ES256", "x5c": chain(&[&leaf]).to_x5c() });
    let header = base64url::encode(header.to_string().as_bytes());
    let input = format!("{header}.{}", base64url::encode(b"payload"));
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der());
    let signature = pair.unwrap().sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    let token = format!("{input}.{}", base64url::encode(signature.as_ref()));

    let policy = Policy::of(Profile::Strict);
    let by_itself = JwsToken::parse(token.as_bytes(), &policy.jws).unwrap_err();
    assert!(matches!(by_itself, Error::Policy(_)), "{by_itself}");
    let mut rules = policy.jws.clone();
    rules.limits.refused_parameters = &["jku", "jwk", "x5u"];
    let parse = || JwsToken::parse(token.as_bytes(), &rules).expect("let through");
    // Let through, it is no key yet.
    let untrusted = parse().verify(&TrustedKeys::new(JwkSet::default(), &policy)).unwrap_err();
    assert!(matches!(untrusted, Error::KeyNotFound(_)), "{untrusted}");

    let found = CertificateChain::of_header(parse().header()).expect("read").expect("there");
    let jwk = anchors(&root).verify(&found, &to_sign()).expect("verified").into_jwk();
    let keys = TrustedKeys::new(JwkSet { keys: vec![jwk] }, &policy);
    let verified = parse().verify(&keys).expect("verified");
    assert_eq!(verified.into_inner().into_bytes().to_vec(), b"payload");
}

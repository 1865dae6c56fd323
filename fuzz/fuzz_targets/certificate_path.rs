//! Chains verified to an anchor: what is taken was issued, as a seed shows, and its key and its end are
//! those of the certificates. The input is an octet of choices and then the chain, DER after DER.
#![no_main]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use hsm_jose::jose::alg::Purpose;
use hsm_jose::jose::x509::{Anchors, Certificate, CertificateChain, ExtendedUsage, Requirements};
use hsm_jose_fuzz::world::{DIRECTORY, NOW};
use libfuzzer_sys::fuzz_target;

/// documentSigning (RFC 9336), which some of the seeds have.
const USAGE: &str = "1.3.6.1.5.5.7.3.36";

const ROOT: &[u8] = include_bytes!("../world/root.der");

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    Anchors::new(&[Certificate::from_der(ROOT).expect("a certificate")]).expect("an anchor")
});

/// What the authority has signed: the certificates of the seeds.
static ISSUED: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
    let seeds = fs::read_dir(Path::new(DIRECTORY).join("../seeds/certificate_path"));
    let seeds = seeds.expect("seeds").map(|seed| fs::read(seed.expect("a seed").path()));
    let chains: Vec<Vec<u8>> = seeds.collect::<Result<_, _>>().expect("seeds");
    let certificates = chains.iter().flat_map(|seed| elements(&seed[1..]));
    certificates.map(|der| signed_part(der).to_vec()).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((choices, chain)) = data.split_first() else { return };
    let certificates: Result<Vec<_>, _> = elements(chain).map(Certificate::from_der).collect();
    let Ok(chain) = certificates.and_then(CertificateChain::new) else { return };
    let purpose = if choices & 1 == 0 { Purpose::Sign } else { Purpose::Decrypt };
    let extended = match choices >> 1 & 3 {
        0 => ExtendedUsage::Any,
        1 => ExtendedUsage::IfPresent(USAGE),
        _ => ExtendedUsage::Required(USAGE),
    };
    let verify = |at| ANCHORS.verify(&chain, &Requirements { at, purpose, extended });
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    match verify(now) {
        Ok(verified) => {
            let leaf = chain.leaf();
            assert!(ISSUED.contains(signed_part(leaf.as_der())), "issued by nobody, and taken");
            assert_eq!(verified.certificate(), leaf);
            assert_eq!(verified.jwk().key, leaf.key().expect("a key").key);
            assert_eq!(verified.jwk().use_.as_deref(), Some(purpose.jwk_use()));
            let (not_before, not_after) = leaf.validity();
            assert!(not_before <= now && now <= verified.valid_until());
            assert!(verified.valid_until() <= not_after && leaf.serves(purpose));
            assert!(verify(verified.valid_until()).is_ok());
            let after = verified.valid_until() + Duration::from_secs(1);
            assert!(verify(after).is_err(), "it has ended");
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 1024 && !message.chars().any(char::is_control), "{message:?}");
        }
    }
});

/// Cuts a chain into its DER elements; what is left is one of them too.
fn elements(mut der: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (element, rest) = der.split_at(element_len(der).min(der.len()));
        der = rest;
        (!element.is_empty()).then_some(element)
    })
}

/// The octets that the issuer has signed: the first element in the certificate (RFC 5280 section 4.1).
fn signed_part(certificate: &[u8]) -> &[u8] {
    let inside = &certificate[element_len(certificate) - value_len(certificate)..];
    &inside[..element_len(inside).min(inside.len())]
}

fn element_len(der: &[u8]) -> usize {
    value_len(der)
        + match der.get(1) {
            Some(0x82) => 4,
            Some(0x81) => 3,
            _ => 2,
        }
}

fn value_len(der: &[u8]) -> usize {
    match *der {
        [_, 0x82, high, low, ..] => usize::from(high) << 8 | usize::from(low),
        [_, 0x81, len, ..] => usize::from(len),
        [_, len, ..] => usize::from(len),
        _ => 0,
    }
}

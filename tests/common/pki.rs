//! A certification authority of a test's own: certificates as they are made for one test.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::time::{Duration, SystemTime};

use hsm_jose::jose::x509::{Certificate, CertificateChain};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, date_time_ymd,
};

/// An issuer: its certificate in DER, and what it signs with.
pub struct Authority {
    pub der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// Changes what a certificate says.
pub type Change<'a> = &'a dyn Fn(&mut CertificateParams);

/// All certificates here are valid in 2026, and now, unless a test says otherwise.
pub fn in_2026() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000)
}

pub fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

pub fn certificate(der: &[u8]) -> Certificate {
    Certificate::from_der(der).expect("a certificate")
}

pub fn chain(ders: &[&[u8]]) -> CertificateChain {
    let certificates = ders.iter().map(|der| certificate(der)).collect();
    CertificateChain::new(certificates).expect("a chain")
}

/// Parameters of a certificate with a name, valid from 2026 until nobody runs these tests.
pub fn named(name: &str, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2126, 1, 1);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
    params
}

impl Authority {
    pub fn root(name: &str) -> Self {
        let (params, key) = (named(name, true), key());
        let der = params.self_signed(&key).expect("a root").der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    /// The key that it signs with.
    pub fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// Makes an authority below this one.
    pub fn authority(&self, name: &str, change: Change<'_>) -> Self {
        let (mut params, key) = (named(name, true), key());
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer).expect("an authority").der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    /// Makes a certificate of `key`, with digitalSignature as its key usage.
    pub fn certify(&self, key: &impl PublicKeyData, change: Change<'_>) -> Vec<u8> {
        let mut params = named("leaf", false);
        change(&mut params);
        params.signed_by(key, &self.issuer).expect("a certificate").der().to_vec()
    }
}

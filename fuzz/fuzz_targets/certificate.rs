//! Certificates and chains, DER, PEM and `x5c`: what is taken reads back as it is written.
#![no_main]

use hsm_jose::jose::x509::{Certificate, CertificateChain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(data) {
        assert_eq!(certificate.as_der(), data);
        let (not_before, not_after) = certificate.validity();
        let _ = (certificate.key(), certificate.subject(), not_before <= not_after);
        let chain = CertificateChain::new(vec![certificate]).expect("a chain of one");
        assert_same(&chain);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(chain) = CertificateChain::from_pem(text) {
        assert_same(&chain);
    }
    if let Ok(value) = serde_json::from_str(text)
        && let Ok(chain) = CertificateChain::from_x5c(&value)
    {
        assert_same(&chain);
    }
});

fn assert_same(chain: &CertificateChain) {
    let pem = chain.to_pem().expect("a chain that was read");
    let of_pem = CertificateChain::from_pem(&pem).expect("what was written is taken");
    let of_x5c = CertificateChain::from_x5c(&chain.to_x5c()).expect("what was written is taken");
    for other in [of_pem, of_x5c] {
        let ders = |chain: &CertificateChain| -> Vec<Vec<u8>> {
            chain.certificates().iter().map(|one| one.as_der().to_vec()).collect()
        };
        assert_eq!(ders(&other), ders(chain));
    }
}

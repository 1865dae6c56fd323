//! Public keys of any file: SubjectPublicKeyInfo and PKCS#1 in DER, PEM, certificates, JWK and JWK Set.
//! What is taken is written in DER and PEM as the same key.
#![no_main]

use hsm_jose::jose::jwk::JwkSet;
use hsm_jose::jose::spki;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(jwk) = spki::from_der(data) {
        let der = spki::to_der(&jwk.key).expect("a key that was read");
        assert_eq!(spki::from_der(&der).expect("what was written is taken").key, jwk.key);
    }
    match JwkSet::from_any(data) {
        Ok(set) => {
            for jwk in &set.keys {
                assert_eq!(jwk.key.thumbprint().len(), 43);
                assert!(spki::to_der(&jwk.key).is_ok());
            }
        }
        Err(error) => assert!(error.to_string().len() < 1024),
    }
});

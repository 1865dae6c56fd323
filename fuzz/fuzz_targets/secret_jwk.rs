//! The symmetric JWK on its way into a keystore: nothing of it is shown, it is never taken for a public
//! key, and a key that a keystore takes does what it is for.
#![no_main]

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{KeyShape, KeySpec, Keystore, Locator};
use hsm_jose::jose::alg::KeyAlgorithm;
use hsm_jose::jose::jwk::PublicJwk;
use hsm_jose::jose::oct::SecretJwk;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let secret = match SecretJwk::parse(data) {
        Ok(secret) => secret,
        Err(error) => return assert!(error.to_string().len() < 1024),
    };
    assert!(PublicJwk::parse(data).is_err());
    let members: Value = serde_json::from_slice(data).expect("JSON");
    let value = members["k"].as_str().expect("a value");
    assert!(value.len() < 8 || !format!("{secret:?}").contains(value));
    let shape = KeyShape::Oct { bits: secret.bits() };
    for alg in KeyAlgorithm::all().filter(|alg| alg.is_symmetric() && alg.fits(shape.kind())) {
        let keystore = MemoryKeystore::new("memory");
        let spec = KeySpec { shape, algs: vec![alg] };
        let locator = Locator::Memory("key".into());
        let Ok(key) = keystore.import_secret(&locator, &spec, &secret) else { continue };
        assert!(key.info().public.is_none() && key.info().secret.is_some());
        let support = key.support(alg).expect("an answer");
        assert!(support.is_available(), "{alg}: {support:?}");
    }
});

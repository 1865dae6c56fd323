//! What must hold of a private key that is imported.

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{KeyShape, KeySpec, Keystore, Locator};
use hsm_jose::jose::alg::KeyAlgorithm;
use hsm_jose::jose::jwk::PrivateJwk;

/// Imports a key for each algorithm that fits it: the keystore refuses it, or it has the public half
/// that it came with, and does what it is for.
pub fn assert_imports(private: &PrivateJwk) {
    let public = &private.public.key;
    assert_eq!(format!("{private:?}"), format!("PrivateJwk({}, redacted)", public.kind()));
    let shape = KeyShape::of(public);
    for alg in KeyAlgorithm::all().filter(|alg| alg.fits(shape.kind())) {
        let keystore = MemoryKeystore::new("memory");
        let spec = KeySpec { shape, algs: vec![alg] };
        let Ok(key) = keystore.import(&Locator::Memory("key".into()), &spec, private) else {
            continue;
        };
        assert_eq!(key.info().public.as_ref(), Some(public));
        let support = key.support(alg).expect("an answer");
        assert!(support.is_available(), "{alg}: {support:?}");
    }
}

//! The private JWK on its way into a keystore: nothing of it is shown, and a key that a keystore takes
//! does what it is for.
#![no_main]

use hsm_jose::jose::jwk::PrivateJwk;
use hsm_jose_fuzz::import::assert_imports;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match PrivateJwk::parse(data) {
    Ok(private) => assert_imports(&private),
    Err(error) => assert!(error.to_string().len() < 1024),
});

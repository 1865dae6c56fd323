//! Private keys in PKCS#8, PKCS#1 and SEC 1, PEM and DER: nothing of a key is shown, and a key that a
//! keystore takes does what it is for.
#![no_main]

use hsm_jose::jose::pkcs8;
use hsm_jose_fuzz::import::assert_imports;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match pkcs8::parse(data) {
    Ok(private) => assert_imports(&private),
    Err(error) => assert!(error.to_string().len() < 1024),
});

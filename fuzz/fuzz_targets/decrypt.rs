//! `decrypt` with any bytes.
#![no_main]

use hsm_jose_fuzz::oracle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    oracle::decrypt(data);
});

//! `inspect`: sizes add up, and nothing of the content is shown.
#![no_main]

use hsm_jose::jose::inspect::inspect;
use hsm_jose_fuzz::oracle::assert_told;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match inspect(data) {
    Ok(seen) => {
        assert_eq!(seen.token_len, data.len());
        assert_eq!(seen.sha256.len(), 64);
        let sum: usize = seen.part_lens.iter().map(|(_, len)| len).sum();
        assert!(sum < data.len());
        assert!(["JWE", "JWS"].contains(&seen.kind));
    }
    Err(error) => assert_told(&error, &[&["malformed"]]),
});

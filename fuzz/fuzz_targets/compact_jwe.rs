//! The compact JWE: what is split joins to the very same text.
#![no_main]

use hsm_jose::jose::serialization::{CompactJwe, MAX_TOKEN_LEN, bounded, join_jwe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = bounded(data, MAX_TOKEN_LEN) else { return };
    if let Ok(CompactJwe { protected, encrypted_key, iv, ciphertext, tag }) =
        CompactJwe::split(text)
    {
        assert!(!protected.is_empty());
        assert_eq!(join_jwe(protected, &encrypted_key, &iv, &ciphertext, &tag), text);
    }
});

//! The compact JWS: what is split joins to the very same text.
#![no_main]

use hsm_jose::jose::base64url;
use hsm_jose::jose::serialization::{CompactJws, MAX_TOKEN_LEN, bounded};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = bounded(data, MAX_TOKEN_LEN) else { return };
    if let Ok(CompactJws { protected, payload, signature }) = CompactJws::split(text) {
        assert!(!protected.is_empty());
        assert_eq!([protected, payload, &base64url::encode(&signature)].join("."), text);
    }
});

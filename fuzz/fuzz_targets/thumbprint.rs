//! Thumbprint URIs (RFC 9278) and check values: what is taken reads back as it is written.
#![no_main]

use hsm_jose::backend::CheckValue;
use hsm_jose::jose::jwk::{Thumbprint, ThumbprintHash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(thumbprint) = text.parse::<Thumbprint>() {
        assert_eq!(thumbprint.uri(), text);
        let len = match thumbprint.hash() {
            ThumbprintHash::Sha256 => 32,
            ThumbprintHash::Sha384 => 48,
            ThumbprintHash::Sha512 => 64,
        };
        assert_eq!(thumbprint.as_bytes().len(), len);
    }
    if let Ok(value) = text.parse::<CheckValue>() {
        assert_eq!(value.to_string(), text.to_ascii_uppercase());
        assert_eq!(value.to_string().parse(), Ok(value));
    }
});

//! Where a key is in its keystore: what is taken reads back as it is written.
#![no_main]

use hsm_jose::backend::Locator;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(locator) = text.parse::<Locator>() {
        assert_eq!(locator.to_string().parse(), Ok(locator));
    }
});

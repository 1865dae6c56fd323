//! Which token of a module: what is taken reads back as it is written, and no PIN in a URI is repeated.
#![no_main]

use hsm_jose::backend::pkcs11::TokenSelector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match text.parse::<TokenSelector>() {
    Ok(selector) => {
        assert_ne!(selector, TokenSelector::default(), "it chooses nothing");
        assert_eq!(selector.to_string().parse(), Ok(selector));
    }
    Err(error) => {
        let message = error.to_string();
        for pin in text.split("pin-value=").skip(1) {
            let pin = pin.split(['&', ';']).next().unwrap_or_default();
            let is_word = pin.len() >= 4 && pin.bytes().all(|byte| byte.is_ascii_alphanumeric());
            assert!(!is_word || !message.contains(&format!("={pin}")), "{message}");
        }
    }
});

//! The configuration: what is wrong is told in one line and with its place, and what is taken makes a
//! policy or says why not.
#![no_main]

use std::path::Path;

use hsm_jose::config::Config;
use hsm_jose::engine::load;
use hsm_jose_fuzz::oracle::assert_told;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::parse(Path::new("/etc/hsm-jose.toml"), text) {
        Ok(config) => {
            for (name, keystore) in &config.keystores {
                assert!(config.line(&format!("keystore.{name}")).is_some(), "{keystore:?}");
            }
            if let Err(error) = load::policy(&config) {
                assert_told(&error, &[&["config"]]);
            }
        }
        Err(error) => {
            assert_told(&error, &[&["config"]]);
            assert!(error.to_string().contains("/etc/hsm-jose.toml"), "{error}");
        }
    }
});

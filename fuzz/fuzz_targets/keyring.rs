//! The keyring file: what is taken reads back as it is written, and an engine can be made of it.
#![no_main]

use std::path::Path;

use hsm_jose::engine::Engine;
use hsm_jose::keyring::Keyring;
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::jwks;
use hsm_jose::policy::{Policy, Profile};
use hsm_jose_fuzz::oracle::assert_told;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = Path::new("keyring.json");
    let keyring = match Keyring::parse(path, data) {
        Ok(keyring) => keyring,
        Err(error) => return assert_told(&error, &[&["config"]]),
    };
    let text = serde_json::to_vec(&keyring).expect("JSON");
    assert_eq!(Keyring::parse(path, &text).expect("what was written is taken"), keyring);
    let keystores = Keystores::opened(Vec::new(), false).expect("no keystores");
    Engine::new(Policy::of(Profile::All), Vec::new(), &keyring, keystores).expect("an engine");
    let _ = jwks(&keyring);
});

//! The JWK Set: no member of a private key comes through, and a set of what was taken is taken.
#![no_main]

use hsm_jose::jose::jwk::JwkSet;
use hsm_jose::jws::TrustedKeys;
use hsm_jose::policy::{Policy, Profile};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let set = match JwkSet::parse(data) {
        Ok(set) => set,
        Err(error) => return assert!(error.to_string().len() < 1024),
    };
    let text = json!({ "keys": set.keys }).to_string();
    let again = JwkSet::parse(text.as_bytes()).expect("what was written is taken");
    assert_eq!(again.keys, set.keys);
    for profile in [Profile::All, Profile::Strict] {
        let _ = TrustedKeys::new(set.clone(), &Policy::of(profile));
    }
});

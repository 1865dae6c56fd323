//! The public JWK: what is taken has no private member, reads back as it is written, and either is
//! refused as a recipient or can be encrypted to.
#![no_main]

use hsm_jose::engine::{EncryptOptions, encrypt};
use hsm_jose::jose::jwk::{JwkSet, MAX_KID_LEN, PublicJwk};
use hsm_jose::jwe::Recipient;
use hsm_jose::jws::TrustedKeys;
use hsm_jose::policy::{Policy, Profile};
use libfuzzer_sys::fuzz_target;

const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fuzz_target!(|data: &[u8]| {
    let jwk = match PublicJwk::parse(data) {
        Ok(jwk) => jwk,
        Err(error) => return assert!(error.to_string().len() < 1024),
    };
    let members = jwk.to_members();
    assert!(PRIVATE.iter().all(|name| !members.contains_key(*name)));
    assert!(jwk.kid.as_ref().is_none_or(|kid| kid.len() <= MAX_KID_LEN));
    let text = serde_json::to_vec(&members).expect("JSON");
    let again = PublicJwk::parse(&text).expect("what was written is taken");
    assert_eq!(again, jwk);
    assert_eq!(again.key.thumbprint(), jwk.key.thumbprint());
    assert_eq!(jwk.key.thumbprint().len(), 43);

    let policy = Policy::of(Profile::All);
    let _ = TrustedKeys::new(JwkSet { keys: vec![jwk.clone()] }, &policy);
    if let Ok(recipient) = Recipient::new(jwk) {
        let fits = policy.jwe.algs.iter().any(|alg| recipient.fits(alg));
        let token = encrypt(&policy, &[recipient], &EncryptOptions::default(), b"content");
        assert_eq!(token.is_ok(), fits, "{token:?}");
    }
});

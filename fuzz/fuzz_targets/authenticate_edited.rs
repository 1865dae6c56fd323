//! `authenticate` with a MAC that was good and was changed, with every key: what is taken is what it was,
//! and no public key is ever a secret.
#![no_main]

use hsm_jose_fuzz::edit::Case;
use hsm_jose_fuzz::oracle;
use hsm_jose_fuzz::world::Taken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: Case| {
    let token = case.apply(Taken::Authenticate);
    let taken = oracle::authenticate(&token);
    assert!(taken || !case.edits.is_empty(), "a good token is refused");
    // What a secret vouches for is verified with no public key.
    assert!(!taken || !oracle::verify(&token));
});

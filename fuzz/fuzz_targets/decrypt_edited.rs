//! `decrypt` with a token that was good and was changed: what is taken is what it was.
#![no_main]

use hsm_jose_fuzz::edit::Case;
use hsm_jose_fuzz::oracle;
use hsm_jose_fuzz::world::Taken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: Case| {
    let taken = oracle::decrypt(&case.apply(Taken::Decrypt));
    assert!(taken || !case.edits.is_empty(), "a good token is refused");
});

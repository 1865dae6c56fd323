//! `open` with a token of any context that was changed outside, inside, or both: whoever has our public
//! key can encrypt what they like to us, and it is never called verified unless an issuer signed it.
#![no_main]

use arbitrary::Arbitrary;
use hsm_jose::engine::EncryptOptions;
use hsm_jose::jose::alg::Purpose;
use hsm_jose_fuzz::edit::{self, Edit};
use hsm_jose_fuzz::oracle;
use hsm_jose_fuzz::world::{Taken, world};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Nested {
    token: u8,
    context: u8,
    of: u8,
    /// Encrypt the inner token anew, to this key, after these changes.
    inside: Option<(u8, Vec<Edit>)>,
    outside: Vec<Edit>,
}

const CONTEXTS: [Taken; 3] = [Taken::Nested, Taken::Signed, Taken::Sealed];

fuzz_target!(|case: Nested| {
    let world = world();
    let context = CONTEXTS[usize::from(case.context) % 3];
    let of = CONTEXTS[usize::from(case.of) % 3];
    let chosen = world.token(of, case.token);
    let token = match &case.inside {
        Some((key, edits)) => {
            let inner = edit::apply(chosen.inner.as_ref().unwrap_or(&chosen.token), edits);
            let key = world.key(Purpose::Decrypt, *key);
            let options = EncryptOptions { cty: Some("JWT"), ..Default::default() };
            let token = world.all.encrypt(world.recipient(key), &options, &inner);
            token.expect("public keys encrypt anything")
        }
        None => chosen.token.clone(),
    };
    let taken = oracle::open(context, &edit::apply(&token, &case.outside));
    let is_as_it_was = context == of && case.outside.is_empty() && case.inside.is_none();
    assert!(taken || !is_as_it_was, "a good token is refused");
    assert!(!taken || context == of || (of == Taken::Nested) != (context == Taken::Nested));
});

//! `policy explain`: it always has a reason, and agrees with what `inspect` sees.
#![no_main]

use hsm_jose::jose::inspect::inspect;
use hsm_jose::jose::serialization::{Kind, MAX_TOKEN_LEN};
use hsm_jose::jwt::{explain, explain_outside};
use hsm_jose_fuzz::world::world;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for engine in [&world().all, &world().strict] {
        let inside = engine.contexts().map(|context| explain(context, data));
        for verdict in inside.chain([explain_outside(engine.policy(), data)]) {
            assert!(!verdict.steps.is_empty());
            assert!(
                verdict.steps.iter().all(|step| !step.chars().any(char::is_control)),
                "{verdict:?}"
            );
            // A payload is decoded when its signature has been verified, and `inspect` verifies none.
            let is_jwe = matches!(Kind::of(data, MAX_TOKEN_LEN), Ok(Kind::Jwe));
            assert!(!verdict.accepted || !is_jwe || inspect(data).is_ok());
        }
    }
});

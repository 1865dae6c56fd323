//! `open` with any bytes, in every context.
#![no_main]

use hsm_jose_fuzz::oracle;
use hsm_jose_fuzz::world::Taken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for context in [Taken::Nested, Taken::Signed, Taken::Sealed] {
        oracle::open(context, data);
    }
});

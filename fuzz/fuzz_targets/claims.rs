//! Claims: what is taken is one JSON object, kept as the octets that were signed, and not shown.
#![no_main]

use hsm_jose::jwt::Claims;
use hsm_jose_fuzz::oracle::assert_told;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| match Claims::parse(data) {
    Ok(claims) => {
        assert_eq!(claims.json(), data);
        let value: Value = serde_json::from_slice(data).expect("JSON");
        assert_eq!(value.as_object(), Some(claims.members()));
        let shown = format!("{claims:?}");
        assert_eq!(shown, format!("Claims({} members, redacted)", claims.members().len()));
    }
    Err(error) => assert_told(&error, &[&["malformed"]]),
});

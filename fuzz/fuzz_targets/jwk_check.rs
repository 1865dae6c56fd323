//! `jwk check`: every finding is one line and tells nothing private, and what no engine takes has a fault.
#![no_main]

use std::time::{Duration, SystemTime};

use hsm_jose::jose::json;
use hsm_jose::jose::jwk::{JwkSet, PublicJwk, Severity, check};
use hsm_jose_fuzz::world::NOW;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fuzz_target!(|data: &[u8]| {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let findings = check(data, at);
    for finding in &findings {
        let what = &finding.what;
        assert!(what.len() < 1024 && !what.chars().any(char::is_control), "{what:?}");
    }
    let has_fault = findings.iter().any(|finding| finding.severity == Severity::Fault);
    match JwkSet::from_any(data) {
        Ok(set) => assert!(has_fault || !set.keys.is_empty(), "nothing to be used, and no fault"),
        Err(error) => assert!(has_fault, "{error}"),
    }
    if let Ok(jwk) = PublicJwk::parse(data) {
        let _ = jwk.check(at);
    }

    let Ok(members) = json::parse_object(data) else { return };
    for name in PRIVATE {
        let Some(Value::String(value)) = members.get(name) else { continue };
        assert!(has_fault, "{name}");
        // A value that other members have too may be told of those.
        let is_own = value.len() >= 8
            && members
                .iter()
                .all(|(other, told)| other == name || !told.to_string().contains(value));
        let tells = |what: &str| what.contains(&value[..value.len().min(32)]);
        let is_word = is_own && value.bytes().all(|byte| byte.is_ascii_digit());
        assert!(!is_word || !findings.iter().any(|finding| tells(&finding.what)), "{name}");
    }
});

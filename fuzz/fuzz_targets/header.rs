//! The protected header: what is taken has no member twice and no `crit` that RFC 7515 section 4.1.11
//! forbids, and reads back as it is written. The input is the header's JSON.
#![no_main]

use hsm_jose::jose::base64url;
use hsm_jose::jose::header::{Header, MAX_HEADER_LEN, MAX_PARTY_INFO_LEN};
use hsm_jose::primitives::ecdh;
use hsm_jose_fuzz::oracle::assert_told;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // As it stands, and as the JSON that it would be in a token.
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Header::parse(text);
    }
    let header = match Header::parse(&base64url::encode(data)) {
        Ok(header) => header,
        Err(error) => return assert_told(&error, &[&["malformed"]]),
    };
    assert!(data.len() <= MAX_HEADER_LEN);
    assert!(!header.alg().is_empty());
    let crit: Vec<&str> = header.crit().collect();
    assert_eq!(crit.is_empty(), !header.has("crit"));
    for (index, name) in crit.iter().enumerate() {
        assert!(header.has(name) && !crit[..index].contains(name) && *name != "alg");
    }
    if let Ok(agreement) = header.agreement() {
        assert!(agreement.apu.len() <= MAX_PARTY_INFO_LEN);
        assert!(agreement.apv.len() <= MAX_PARTY_INFO_LEN);
        assert!(!header.members()["epk"].as_object().expect("an object").contains_key("d"));
        let _ = ecdh::check_point(&agreement.epk);
    }
    // Written anew, a header at the limit may be longer: numbers and escapes have more than one form.
    if let Ok(again) = Header::parse(&header.encode()) {
        assert_eq!(again, header);
    } else {
        assert!(header.encode().len() > MAX_HEADER_LEN);
    }
});

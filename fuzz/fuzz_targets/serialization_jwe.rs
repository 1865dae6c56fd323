//! A JWE in any serialization: what is taken is written as the same token, and nothing is lost on the way
//! through another serialization, or through one token for each recipient.
#![no_main]

use hsm_jose::jose::serialization::{Jwe, MAX_TOKEN_LEN, Serialization, join_jwe};
use hsm_jose::jose::{base64url, serialization};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(jwe) = Jwe::parse(data, MAX_TOKEN_LEN) else { return };
    let own = jwe.serialization();
    assert_eq!(serialization::is_json(data), own != Serialization::Compact);
    // What is not base64url, or no header, is found when it is written, and when it is decrypted.
    let Ok(written) = jwe.write(own) else { return };
    let again = parsed(&written);
    assert_eq!(again.write(own).expect("it was written before"), written);

    if own == Serialization::Compact {
        assert_eq!(written.as_bytes(), data);
        let parts: Vec<Vec<u8>> = written
            .split('.')
            .map(|part| base64url::decode(part.as_bytes()).expect("base64url"))
            .collect();
        let protected = written.split('.').next().unwrap_or_default();
        assert_eq!(join_jwe(protected, &parts[1], &parts[2], &parts[3], &parts[4]), written);
    }
    for other in [Serialization::Compact, Serialization::Flattened, Serialization::General] {
        if let Ok(text) = jwe.write(other) {
            assert_eq!(parsed(&text).write(own).expect("it was in this one"), written);
        }
    }
    let each = jwe.split();
    assert_eq!(each.len(), jwe.recipient_count());
    let joined = Jwe::join(each).expect("they are of one token");
    // A header that is as deep as may be in another serialization is too deep in this one.
    let general = Serialization::General;
    assert_eq!(joined.write(general).ok(), jwe.write(general).ok());
});

fn parsed(text: &str) -> Jwe<'_> {
    Jwe::parse(text.as_bytes(), MAX_TOKEN_LEN).expect("what was written is taken")
}

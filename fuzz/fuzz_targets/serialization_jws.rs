//! A JWS in any serialization: what is taken is written as the same token, and nothing is lost on the way
//! through another serialization, or through one token for each signature.
#![no_main]

use hsm_jose::jose::inspect::inspect;
use hsm_jose::jose::serialization::{self, JwsParts, MAX_TOKEN_LEN, Serialization};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(jws) = JwsParts::parse(data, MAX_TOKEN_LEN) else { return };
    let own = jws.serialization;
    assert_eq!(serialization::is_json(data), own != Serialization::Compact);
    let Ok(written) = jws.write(own) else { return };
    if own == Serialization::Compact {
        assert_eq!(written.as_bytes(), data);
    }
    assert_eq!(parsed(&written), jws);
    assert!(inspect(data).is_ok(), "what is no JWS was written");
    for other in [Serialization::Compact, Serialization::Flattened, Serialization::General] {
        if let Ok(text) = jws.write(other) {
            let again = parsed(&text);
            assert_eq!((payload(&again), &again.signatures), (payload(&jws), &jws.signatures));
        }
    }
    let joined = JwsParts::join(jws.split()).expect("they are of one token");
    assert_eq!((payload(&joined), &joined.signatures), (payload(&jws), &jws.signatures));
});

/// A compact JWS cannot tell an empty payload from none; in JSON it is empty then.
fn payload<'a>(jws: &'a JwsParts<'_>) -> &'a str {
    jws.payload.as_deref().unwrap_or_default()
}

fn parsed(text: &str) -> JwsParts<'_> {
    JwsParts::parse(text.as_bytes(), MAX_TOKEN_LEN).expect("what was written is taken")
}

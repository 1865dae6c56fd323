//! base64url, against the `base64` crate: both take the same texts and make the same bytes of them.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hsm_jose::jose::base64url;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = base64url::encode(data);
    assert_eq!(text, URL_SAFE_NO_PAD.encode(data));
    assert_eq!(base64url::decode(text.as_bytes()).as_deref(), Ok(data));

    let decoded = base64url::decode(data).ok();
    assert_eq!(decoded, URL_SAFE_NO_PAD.decode(data).ok());
    if let Some(bytes) = decoded {
        assert_eq!(base64url::encode(&bytes).as_bytes(), data, "two texts for the same bytes");
    }
});

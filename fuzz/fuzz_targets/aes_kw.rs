//! AES key wrap: what is wrapped is unwrapped, and what is unwrapped wraps to the same bytes.
#![no_main]

use hsm_jose::jose::alg::AesKeyWrap;
use hsm_jose::primitives::aes_kw::{unwrap, wrap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, [u8; 32], Vec<u8>)| {
    let (wrapping, kek, bytes) = input;
    let wraps = [AesKeyWrap::A128Kw, AesKeyWrap::A192Kw, AesKeyWrap::A256Kw];
    let wrapping = wraps[usize::from(wrapping) % wraps.len()];
    let kek = &kek[..wrapping.key_len()];
    if let Some(key) = unwrap(wrapping, kek, &bytes) {
        assert_eq!(wrap(wrapping, kek, key.expose()), bytes);
    }
    // RFC 3394 wraps multiples of 64 bits, two or more.
    let key = &bytes[..bytes.len() / 8 * 8];
    if key.len() >= 16 {
        let mut wrapped = wrap(wrapping, kek, key);
        assert_eq!(unwrap(wrapping, kek, &wrapped).as_ref().map(|key| key.expose()), Some(key));
        let at = usize::from(bytes[0]) % wrapped.len();
        wrapped[at] ^= 1 << (bytes[1] % 8);
        assert!(unwrap(wrapping, kek, &wrapped).is_none());
    }
});

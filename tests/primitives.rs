//! What the primitives give back: keys that nobody prints.

use hsm_jose::jose::alg::{AesKeyWrap, Hash};
use hsm_jose::primitives::{aes_kw, concat_kdf, oaep};
use hsm_jose::secret::SharedSecret;

#[test]
fn keys_that_were_derived_or_unwrapped_print_nothing() {
    let z = SharedSecret::new(vec![7; 32].into());
    let derived = concat_kdf::derive(&z, b"info", 16);
    let wrapped = aes_kw::wrap(AesKeyWrap::A128Kw, derived.expose(), &[0x5a; 16]);
    let unwrapped = aes_kw::unwrap(AesKeyWrap::A128Kw, derived.expose(), &wrapped);
    assert_eq!(unwrapped.as_ref().map(|key| key.expose()), Some(&[0x5a; 16][..]));
    assert_eq!(format!("{derived:?} {unwrapped:?}"), "KeyBytes(redacted) Some(KeyBytes(redacted))");
    // Whatever the checks of the padding said.
    let decoded = oaep::decode_masked(Hash::Sha1, &[0; 128], 16);
    let told = format!("{decoded:?}");
    assert!(told.contains("KeyBytes(redacted)") && !told.contains('['), "{told}");
}

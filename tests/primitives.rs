//! What the primitives give back: keys that nobody prints, and no length that does not fit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hsm_jose::jose::alg::{AesKeyWrap, Hash};
use hsm_jose::primitives::{aes_kw, concat_kdf, oaep};
use hsm_jose::secret::SharedSecret;

fn panics<T>(call: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

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

#[test]
fn a_length_that_does_not_fit_its_field_is_never_another() {
    // RFC 7518 section 4.6.2: SuppPubInfo is the length in bits, in 32 bits.
    let longest = (1 << 29) - 1;
    assert_eq!(concat_kdf::other_info("", b"", b"", longest)[12..], [0xff, 0xff, 0xff, 0xf8]);
    for len in [longest + 1, 1 << 30, usize::MAX / 8 + 1, usize::MAX] {
        assert!(panics(|| concat_kdf::other_info("", b"", b"", len)), "{len}");
    }
    // SP 800-56A section 5.8.2.1: the counter has 32 bits.
    let z = SharedSecret::new(vec![7; 32].into());
    assert!(panics(|| concat_kdf::derive(&z, b"", usize::MAX)));
}

#[test]
fn a_key_that_rfc_3394_does_not_wrap_is_not_wrapped() {
    for len in [0, 8, 15, 17, 33] {
        assert!(panics(|| aes_kw::wrap(AesKeyWrap::A128Kw, &[1; 16], &vec![2; len])), "{len}");
    }
    for len in [0, 15, 17, 32] {
        assert!(panics(|| aes_kw::wrap(AesKeyWrap::A128Kw, &vec![1; len], &[2; 16])), "{len}");
    }
}

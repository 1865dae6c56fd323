//! A TPM's key file (TSS2 PRIVATE KEY), as PEM or as the DER in it: what is taken is written as the same
//! key. With the feature `tss2` also the public area, which the C library of tpm2-tss reads.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hsm_jose::backend::tss2::{KeyFile, OWNER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if data.starts_with(b"-----BEGIN") { check(data) } else { check(&pem(data)) }
});

fn check(text: &[u8]) {
    match KeyFile::decode(text) {
        Ok(file) => {
            assert!(file.parent == OWNER || file.parent >> 24 == 0x81, "{:08x}", file.parent);
            let written = file.encode().expect("a key file that was read");
            assert_eq!(KeyFile::decode(written.as_bytes()).expect("it was written"), file);
            let longer = KeyFile { private: vec![1; usize::from(u16::MAX)], ..file };
            assert!(longer.encode().is_err(), "it cannot be read again");
        }
        Err(error) => assert_told(&error.to_string()),
    }
    #[cfg(feature = "tss2")]
    check_public_area(text);
}

#[cfg(feature = "tss2")]
fn check_public_area(text: &[u8]) {
    use hsm_jose::backend::Locator;
    use hsm_jose::backend::tpm::describe_key_file;
    use hsm_jose::jose::spki;

    match describe_key_file("key.pem", text) {
        Ok(info) => {
            KeyFile::decode(text).expect("it was described");
            assert_eq!(info.locator, Locator::KeyFile("key.pem".into()));
            match (info.public, info.secret) {
                (Some(public), None) => drop(spki::to_der(&public).expect("a public key")),
                (None, Some(secret)) => assert!(secret.check_value.is_some(), "{secret:?}"),
                other => panic!("{other:?}"),
            }
            assert!(!info.attributes.is_empty());
        }
        Err(error) => assert_told(&error),
    }
}

fn assert_told(message: &str) {
    assert!(message.len() < 1024 && !message.chars().any(char::is_control), "{message:?}");
}

/// RFC 7468: lines of 64 characters.
fn pem(der: &[u8]) -> Vec<u8> {
    let mut text = String::from("-----BEGIN TSS2 PRIVATE KEY-----\n");
    let encoded = STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END TSS2 PRIVATE KEY-----\n");
    text.into_bytes()
}

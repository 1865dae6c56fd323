//! JWE that are made and written.

use hsm_jose::jose::base64url;
use hsm_jose::jose::serialization::Jwe;
use hsm_jose::jwe::{JweBuilder, JweToken, Recipient};

use super::*;

const ENC: ContentEncryption = ContentEncryption::A256Gcm;
const ECDH: KeyManagement = KeyManagement::EcdhEsA256Kw;

fn recipient(kid: Option<&str>) -> Recipient {
    let key = Counted::new(KeyAlgorithm::Unwrap(ECDH), KeyShape::Curve(Curve::P256));
    Recipient::new(key.jwk(kid)).unwrap()
}

fn shared(alg: KeyManagement) -> Counted {
    Counted::new(KeyAlgorithm::Unwrap(alg), KeyShape::Oct { bits: 256 })
}

fn policy() -> Policy {
    let algs = [KeyManagement::A256Kw, KeyManagement::A256GcmKw, KeyManagement::Dir];
    Policy::of(Profile::All).with_symmetric(&algs.map(KeyAlgorithm::Unwrap)).unwrap()
}

fn check_taken(token: &str) {
    JweToken::parse(token.as_bytes(), &policy().jwe).expect("what was made is taken");
}

#[test]
fn a_kid_that_no_header_may_have_is_not_sent() {
    for kid in bad_kids() {
        let jwk = PublicJwk { kid: Some(kid.clone()), ..recipient(None).jwk().clone() };
        assert_eq!(Recipient::new(jwk).unwrap_err().code(), "policy", "{kid}");
        for serialization in [Compact, Flattened, General] {
            for alg in [KeyManagement::A256Kw, KeyManagement::A256GcmKw, KeyManagement::Dir] {
                let key = shared(alg);
                let builder = JweBuilder::new(ENC).with(&key, Some(&kid), alg);
                assert!(is_usage(&builder.encrypt(serialization, b"content")), "{alg} {kid}");
                assert_eq!(key.calls(), 0, "{alg} {kid}");
            }
        }
        // Nor is the first of several asked.
        let (first, second) = (shared(KeyManagement::A256Kw), shared(KeyManagement::A256Kw));
        let builder = JweBuilder::new(ENC).with(&first, None, KeyManagement::A256Kw);
        let builder = builder.with(&second, Some(&kid), KeyManagement::A256Kw);
        assert!(is_usage(&builder.encrypt(General, b"content")));
        assert_eq!((first.calls(), second.calls()), (0, 0));
    }
    let longest = recipient(Some(&"k".repeat(256)));
    check_taken(&JweBuilder::new(ENC).to(&longest, ECDH).encrypt(General, b"content").unwrap());
}

#[test]
fn a_header_is_nested_as_deep_as_is_taken_where_it_stands() {
    let key = shared(KeyManagement::A256Kw);
    let builder = || JweBuilder::new(ENC).with(&key, None, KeyManagement::A256Kw);
    for serialization in [Compact, Flattened, General] {
        for depth in 0..40 {
            let protected = builder().protected("x", nested(depth));
            let unprotected = builder().unprotected("x", nested(depth));
            let both = [(protected, 31), (unprotected, 30)];
            for (builder, most) in both.into_iter().take(1 + usize::from(serialization != Compact))
            {
                let made = builder.encrypt(serialization, b"content");
                assert_eq!(made.is_ok(), depth <= most, "{serialization} {depth}");
                match made {
                    Ok(token) => check_taken(&token),
                    Err(error) => assert_eq!((error.code(), key.calls()), ("usage", 0)),
                }
                key.calls();
            }
        }
    }
    let long = json!((0..9000).map(|_| "x").collect::<Vec<_>>());
    assert!(is_usage(&builder().unprotected("x", long.clone()).encrypt(General, b"content")));
    assert!(is_usage(&builder().protected("x", long).encrypt(General, b"content")));
    assert_eq!(key.calls(), 0);
}

#[test]
fn a_header_is_not_written_deeper_than_is_taken() {
    let protected = base64url::encode(br#"{"enc":"A256GCM","alg":"A256KW"}"#);
    let token = json!({
        "protected": protected, "header": { "x": nested(30) }, "encrypted_key": "AAAA",
        "iv": "AAAA", "ciphertext": "AAAA", "tag": "AAAA",
    });
    let token = token.to_string();
    let jwe = Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
    let written = jwe.write(Flattened).unwrap();
    assert!(Jwe::parse(written.as_bytes(), MAX_TOKEN_LEN).is_ok());
    // In `recipients` it would be two deeper.
    assert!(is_usage(&jwe.write(General)));
}

#[test]
fn b64_is_of_a_jws() {
    let recipient = recipient(None);
    let builder = || JweBuilder::new(ENC).to(&recipient, ECDH);
    for value in [true, false] {
        assert!(is_usage(&builder().protected("b64", value).encrypt(Compact, b"content")));
        assert!(is_usage(&builder().unprotected("b64", value).encrypt(Flattened, b"content")));
    }
    let twice = builder().protected("x", 1).unprotected("x", 1);
    assert!(is_usage(&twice.encrypt(Flattened, b"content")));
    assert!(is_usage(&builder().protected("typ", 1).encrypt(Flattened, b"content")));
}

#[test]
fn a_token_is_as_long_as_is_taken_and_no_longer() {
    let content = vec![0; 40 * 1024 * 1024];
    let aad = [7; 100];
    let in_gcm = base64url_len;
    // RFC 7518 section 5.2.2.1: the next multiple of 16.
    let in_cbc = |len: usize| base64url_len((len / 16 + 1) * 16);
    let cases: [(_, _, _, &dyn Fn(usize) -> usize); 3] = [
        (KeyManagement::A256Kw, ContentEncryption::A256Gcm, Compact, &in_gcm),
        (KeyManagement::A256GcmKw, ContentEncryption::A256Gcm, General, &in_gcm),
        (KeyManagement::Dir, ContentEncryption::A128CbcHs256, Flattened, &in_cbc),
    ];
    for (alg, enc, serialization, text_len) in cases {
        let key = shared(alg);
        let made = |len: usize| {
            let builder = JweBuilder::new(enc).with(&key, Some("shared"), alg);
            let builder = if serialization == Compact { builder } else { builder.aad(&aad) };
            builder.encrypt(serialization, &content[..len])
        };
        let len = longest(made(0).unwrap().len() - text_len(0), text_len);
        assert_eq!(key.calls(), 1, "{alg}");
        // Known to the byte, before the key is asked.
        assert!(is_usage(&made(content.len())) && is_usage(&made(len + 1)), "{alg}");
        assert_eq!(key.calls(), 0, "{alg}");
        check_taken(&made(len).unwrap());
    }
    let recipient = recipient(None);
    let made = JweBuilder::new(ENC).to(&recipient, ECDH).encrypt(Compact, &content);
    assert!(is_usage(&made));
}

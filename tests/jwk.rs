//! JWKs that are refused, and what is said of them.

use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PrivateJwk, PublicJwk};
use serde_json::{Value, json};

const POINT: &str =
    r#"{"kty":"OKP","crv":"X25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;

/// A private RSA JWK by its form; its numbers belong to nothing.
fn rsa() -> Value {
    let odd = |len: usize| base64url::encode(&vec![0xff; len]);
    json!({
        "kty": "RSA", "n": odd(256), "e": "AQAB", "d": odd(256),
        "p": odd(128), "q": odd(128), "dp": odd(128), "dq": odd(128), "qi": odd(128),
    })
}

#[test]
fn a_key_of_more_than_two_primes_is_refused() {
    let mut jwk = rsa();
    PrivateJwk::parse(jwk.to_string().as_bytes()).unwrap();
    jwk["oth"] = json!([{ "r": "AQ", "d": "AQ", "t": "AQ" }]);
    let message = PrivateJwk::parse(jwk.to_string().as_bytes()).unwrap_err().to_string();
    assert!(message.contains("more than two primes"), "{message}");
}

#[test]
fn a_set_passes_over_unknown_keys_and_never_over_private_ones() {
    let set = |other: Value| {
        let point: Value = serde_json::from_str(POINT).unwrap();
        let set = json!({ "keys": [other, point] });
        JwkSet::parse(set.to_string().as_bytes())
    };
    assert_eq!(set(json!({ "kty": "AKP", "pub": "AQ" })).unwrap().keys.len(), 1);
    assert_eq!(set(json!({ "kty": "RSA", "n": "AQ", "e": "AQAB" })).unwrap().keys.len(), 1);
    for private in [rsa(), json!({ "kty": "oct", "k": "AQ" }), json!({ "kty": "AKP", "d": "AQ" })] {
        let message = set(private).unwrap_err().to_string();
        assert!(message.contains("private member"), "{message}");
    }
}

#[test]
fn what_is_quoted_of_a_key_is_short() {
    let long = "é".repeat(8192);
    for jwk in [
        json!({ "kty": long }),
        json!({ "kty": "OKP", "crv": long, "x": "AQ" }),
        json!({ "kty": "EC", "crv": long, "x": "AQ", "y": "AQ" }),
    ] {
        let message = PublicJwk::parse(jwk.to_string().as_bytes()).unwrap_err().to_string();
        assert!(message.contains(&"é".repeat(32)), "{message}");
        assert!(!message.contains(&"é".repeat(33)), "{message}");
    }
}

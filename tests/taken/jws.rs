//! JWS that are made, written and joined.

use hsm_jose::jose::base64url;
use hsm_jose::jose::serialization::{JwsParts, JwsSignature, MAX_SIGNATURES};
use hsm_jose::jws::{
    Jws, JwsForm, JwsParameters, Signer, sign, sign_as, sign_detached, sign_reader,
};

use super::*;

fn signing_key() -> Counted {
    let alg = KeyAlgorithm::Sign(SignatureAlgorithm::Es256);
    Counted::new(alg, KeyShape::Curve(Curve::P256))
}

fn parameters(kid: Option<&str>) -> JwsParameters<'_> {
    JwsParameters { alg: SignatureAlgorithm::Es256, kid, typ: None, cty: None }
}

fn form(serialization: Serialization, detached: bool, unencoded: bool) -> JwsForm {
    JwsForm { serialization, detached, unencoded }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn parse(token: &str) -> Jws<'_> {
    Jws::parse(token.as_bytes(), &Policy::of(Profile::All).jws).expect("what was made is taken")
}

#[test]
fn a_kid_that_no_header_may_have_is_not_sent() {
    let key = signing_key();
    for kid in bad_kids() {
        let bad = parameters(Some(&kid));
        assert!(is_usage(&sign(&key, &bad, b"payload")), "{kid}");
        assert!(is_usage(&sign_detached(&key, &bad, b"payload")), "{kid}");
        // The header of the second is looked at before the first has signed.
        let signers = [parameters(Some("good")), bad].map(|each| Signer::new(&key, &each));
        assert!(is_usage(&sign_as(&signers, form(General, false, false), b"payload")), "{kid}");
        assert!(is_usage(&sign_reader(&signers, form(General, true, false), &b"payload"[..])));
        assert_eq!(key.calls(), 0, "{kid}");
    }
    let longest = "k".repeat(256);
    parse(&sign(&key, &parameters(Some(&longest)), b"payload").unwrap());
    parse(&sign_detached(&key, &parameters(Some("")), b"payload").unwrap());
    assert_eq!(key.calls(), 2);
}

#[test]
fn a_header_is_nested_as_deep_as_is_taken_where_it_stands() {
    let key = signing_key();
    // RFC 7515 section 7.2.1: in `signatures`, a header is two deeper in the token.
    for (serialization, most) in [(Flattened, 30), (General, 28)] {
        for depth in 0..40 {
            let members = object(json!({ "x": nested(depth) }));
            let signer = Signer::new(&key, &parameters(None)).with_unprotected(&members).unwrap();
            let made = sign_as(&[signer], form(serialization, false, false), b"payload");
            assert_eq!(made.is_ok(), depth <= most, "{serialization} {depth}");
            match made {
                Ok(token) => drop(parse(&token)),
                Err(error) => assert_eq!((error.code(), key.calls()), ("usage", 0)),
            }
            key.calls();
        }
    }
    // What is written anew is looked at too.
    let members = object(json!({ "x": nested(30) }));
    let signer = Signer::new(&key, &parameters(None)).with_unprotected(&members).unwrap();
    let token = sign_as(&[signer], form(Flattened, false, false), b"payload").unwrap();
    let parts = JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
    assert_eq!(parts.write(Flattened).unwrap(), token);
    assert!(is_usage(&parts.write(General)));
}

#[test]
fn members_of_a_jwe_are_not_sent() {
    let key = signing_key();
    for name in ["p2s", "p2c", "epk", "enc"] {
        let members = object(json!({ name: 1 }));
        assert!(is_usage(&Signer::new(&key, &parameters(None)).with_protected(&members)));
        assert!(is_usage(&Signer::new(&key, &parameters(None)).with_unprotected(&members)));
    }
}

#[test]
fn a_token_is_as_long_as_is_taken_and_no_longer() {
    let key = signing_key();
    let payload = vec![b'\n'; 40 * 1024 * 1024];
    let parameters = parameters(None);
    let signer = [Signer::new(&key, &parameters)];
    // How long it will be is known before: for JSON with what is escaped.
    let escaped = |len: usize| 2 * len;
    let cases: [(JwsForm, &dyn Fn(usize) -> usize); 3] = [
        (form(Compact, false, false), &base64url_len),
        (form(General, false, false), &base64url_len),
        (form(Flattened, false, true), &escaped),
    ];
    for (form, text_len) in cases {
        let made = |len: usize| sign_as(&signer, form, &payload[..len]);
        let len = longest(made(0).unwrap().len(), text_len);
        assert_eq!(key.calls(), 1);
        assert!(is_usage(&made(payload.len())) && is_usage(&made(len + 1)), "{form:?}");
        assert_eq!(key.calls(), 0);
        parse(&made(len).unwrap());
        assert_eq!(key.calls(), 1);
    }
    assert!(is_usage(&sign(&key, &parameters, &payload)));
    assert_eq!(key.calls(), 0);
    // What is not in the token may have any length.
    parse(&sign_detached(&key, &parameters, &payload).unwrap());
    parse(&sign_as(&signer, form(General, true, true), &payload).unwrap());
}

#[test]
fn parts_are_not_written_where_they_would_not_be_taken() {
    let signature = |protected: &str| JwsSignature {
        protected: base64url::encode(protected.as_bytes()).into(),
        header: Map::new(),
        signature: "AAAA".into(),
    };
    let parts = |signatures: Vec<JwsSignature<'static>>| JwsParts {
        serialization: General,
        payload: Some("e30".into()),
        signatures,
    };
    let es256 = signature(r#"{"alg":"ES256"}"#);
    let most = parts(vec![es256.clone(); MAX_SIGNATURES]);
    parse(&most.write(General).unwrap());
    assert!(is_usage(&parts(vec![es256.clone(); MAX_SIGNATURES + 1]).write(General)));
    let deep = object(json!({ "x": nested(100) }));
    let long = object(json!({ "x": "x".repeat(20_000) }));
    for header in [deep, long] {
        let signature = JwsSignature { header, ..es256.clone() };
        assert!(is_usage(&parts(vec![signature]).write(General)));
    }
    let bare = JwsSignature { protected: "".into(), ..es256.clone() };
    assert_eq!(parts(vec![bare]).write(Flattened).unwrap_err().code(), "malformed");
    let payload = Some("A".repeat(MAX_TOKEN_LEN).into());
    assert!(is_usage(&JwsParts { payload, ..parts(vec![es256.clone()]) }.write(Flattened)));
}

/// RFC 7797 section 3: `b64` is the same for all signatures.
#[test]
fn signatures_that_differ_in_b64_are_not_together() {
    let key = signing_key();
    let parameters = parameters(None);
    let signed = |unencoded| {
        let signer = [Signer::new(&key, &parameters)];
        sign_as(&signer, form(Flattened, false, unencoded), b"e30").unwrap()
    };
    let (plain, encoded) = (signed(true), signed(false));
    let read = |token: &'static str| JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
    let (plain, mut encoded) = (read(plain.leak()), read(encoded.leak()));
    // The same text, of which each says something else.
    encoded.payload.clone_from(&plain.payload);
    for both in [[plain.clone(), encoded.clone()], [encoded.clone(), plain.clone()]] {
        assert!(is_usage(&JwsParts::join(both)));
    }
    let together = JwsParts {
        serialization: General,
        payload: plain.payload.clone(),
        signatures: [&plain, &encoded].map(|one| one.signatures[0].clone()).to_vec(),
    };
    assert!(is_usage(&together.write(General)));
    assert_eq!(together.split().len(), 2, "each for itself is good");
    for one in [plain, encoded] {
        let joined = JwsParts::join([one.clone(), one]).unwrap();
        parse(&joined.write(General).unwrap());
    }
}

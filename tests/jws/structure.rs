//! What is malformed, whatever its signatures, and what an unprotected header may say.

use super::*;

#[test]
fn hostile_structures_are_malformed() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    let general = sign(&[&party], form(General), b"payload");
    let flat = sign(&[&party], form(Flattened), b"payload");
    verify(&general, &all(), &keys, &Require::Any).unwrap();
    verify(&flat, &all(), &keys, &Require::Any).unwrap();
    let protected = encoded(json!({ "alg": "ES256" }));
    let both = |json: &str| flat.replacen('{', &format!("{{{json},"), 1);
    let one: Value = serde_json::from_str::<Value>(&general).unwrap()["signatures"][0].clone();
    let cases = [
        ("neither", "{}".to_owned()),
        (
            "no signature",
            changed(&flat, |it| drop(it.as_object_mut().unwrap().remove("signature"))),
        ),
        ("flattened and general", both(r#""signatures":[]"#)),
        ("general and header", general.replacen('{', r#"{"header":{"kid":"a"},"#, 1)),
        ("general and signature", general.replacen('{', r#"{"signature":"AA","#, 1)),
        ("no signatures", changed(&general, |it| it["signatures"] = json!([]))),
        (
            "too many signatures",
            changed(&general, |it| it["signatures"] = json!(vec![one; MAX_SIGNATURES + 1])),
        ),
        ("signatures is an object", changed(&general, |it| it["signatures"] = json!({}))),
        ("a signature is a text", changed(&general, |it| it["signatures"] = json!(["a"]))),
        ("duplicate payload", both(r#""payload":"e30""#)),
        ("duplicate payload, escaped", both(r#""\u0070ayload":"e30""#)),
        ("duplicate protected", both(&format!(r#""protected":"{protected}""#))),
        ("duplicate in what is passed over", both(r#""other":{"a":1,"a":1}"#)),
        ("payload is a number", changed(&flat, |it| it["payload"] = json!(1))),
        ("payload is null", changed(&flat, |it| it["payload"] = json!(null))),
        ("payload is an object", changed(&flat, |it| it["payload"] = json!({ "a": 1 }))),
        ("payload is not base64url", changed(&flat, |it| it["payload"] = "cGF5bG9hZA==".into())),
        (
            "protected is an object",
            changed(&flat, |it| it["protected"] = json!({ "alg": "ES256" })),
        ),
        ("protected is empty", changed(&flat, |it| it["protected"] = "".into())),
        ("protected has no members", changed(&flat, |it| it["protected"] = "e30".into())),
        ("header is a text", changed(&flat, |it| it["header"] = json!("e30"))),
        ("header is empty", changed(&flat, |it| it["header"] = json!({}))),
        ("header is null", changed(&flat, |it| it["header"] = json!(null))),
        ("alg twice", changed(&flat, |it| it["header"] = json!({ "alg": "ES256" }))),
        ("kid twice", changed(&flat, |it| it["header"] = json!({ "kid": "a" }))),
        ("crit unprotected", changed(&flat, |it| it["header"] = json!({ "crit": ["x"], "x": 1 }))),
        ("b64 unprotected", changed(&flat, |it| it["header"] = json!({ "b64": false }))),
        ("b64 true unprotected", changed(&flat, |it| it["header"] = json!({ "b64": true }))),
        (
            "crit names what is unprotected",
            changed(&flat, |it| {
                it["protected"] = encoded(json!({ "alg": "ES256", "crit": ["x"] })).into();
                it["header"] = json!({ "x": 1 });
            }),
        ),
        (
            "no header at all",
            changed(&flat, |it| drop(it.as_object_mut().unwrap().remove("protected"))),
        ),
        ("signature is null", changed(&flat, |it| it["signature"] = json!(null))),
        ("a JWE too", both(r#""ciphertext":"AA""#)),
        ("recipients too", both(r#""recipients":[]"#)),
        ("text after", format!("{flat} {{}}")),
        ("BOM", format!("\u{feff}{flat}")),
        ("an array", format!("[{flat}]")),
        ("cut", flat[..flat.len() - 1].to_owned()),
        ("deep", both(&format!(r#""x":{}1{}"#, "[".repeat(100), "]".repeat(100)))),
    ];
    for (what, token) in &cases {
        for require in [Require::All, Require::Any] {
            let answer = verify(token, &all(), &keys, &require);
            let is_payload = what.starts_with("payload is not");
            let expected = if is_payload { "signature_invalid" } else { "malformed" };
            assert_eq!(answer, Err(expected), "{what}: {token}");
        }
    }
    let mut bytes = flat.clone().into_bytes();
    bytes.insert(2, 0xff);
    assert_eq!(Jws::parse(&bytes, &all()).unwrap_err().code(), "malformed");
    let mut short = all();
    short.limits.max_token_len = flat.len() - 1;
    assert_eq!(verify(&flat, &short, &keys, &Require::All), Err("malformed"));
    // What is not defined is passed over (RFC 7515 section 7.2.1), and white space is nothing.
    let more = changed(&flat, |it| it["other"] = json!({ "alg": "none" }));
    verify(&format!(" \n{more}\t"), &all(), &keys, &Require::All).unwrap();
    let most = changed(&general, |it| {
        let one = it["signatures"][0].clone();
        it["signatures"] = json!(vec![one; MAX_SIGNATURES]);
    });
    verify(&most, &all(), &keys, &Require::All).unwrap();
}

/// Only protected members are believed, except where policy says otherwise, and then only alg and
/// kid.
#[test]
fn unprotected_members_are_believed_only_where_policy_says_so() {
    let (a, b) = (Party::new(Es256, "a", "A"), Party::new(Es256, "b", "B"));
    let strict = Policy::of(Profile::Strict).jws;
    assert_eq!(strict.unprotected, JwsUnprotectedHeader::Ignored);
    assert_eq!(all().unprotected, JwsUnprotectedHeader::Joint);
    let keys = trusting(&[&a, &b]);
    let bare = JwsParameters { alg: Es256, kid: None, typ: None, cty: None };
    let signed = |unprotected: Value| {
        let signer = Signer::new(&*a.key, &bare);
        let signer = signer.with_unprotected(unprotected.as_object().unwrap()).unwrap();
        jws::sign_as(&[signer], form(Flattened), b"payload").unwrap()
    };
    let right = signed(json!({ "kid": "a" }));
    verify(&right, &strict, &keys, &Require::All).unwrap();
    verify(&right, &all(), &keys, &Require::All).unwrap();
    // Anyone can change it: where it is believed it can only lead to another key, and fail.
    let wrong = signed(json!({ "kid": "b" }));
    verify(&wrong, &strict, &keys, &Require::All).unwrap();
    assert_eq!(verify(&wrong, &all(), &keys, &Require::All), Err("signature_invalid"));
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let token = signed(json!({ name: "x" }));
        assert_eq!(verify(&token, &strict, &keys, &Require::All), Err("policy"), "{name}");
    }
    for (name, value, code) in [("enc", "A256GCM", "policy"), ("zip", "DEF", "malformed")] {
        let token = changed(&right, |token| token["header"] = json!({ name: value }));
        assert_eq!(verify(&token, &all(), &keys, &Require::All), Err(code), "{name}");
    }
    // typ and cty of an unprotected header are in no result.
    let typed = signed(json!({ "typ": "at+jwt" }));
    let verified = Jws::parse(typed.as_bytes(), &all()).unwrap().verify(&keys, &Require::All);
    assert_eq!(verified.unwrap().signatures()[0].header().typ(), None);
}

//! What a context takes and refuses, and what it seals: the claims and who says so.

use super::*;

#[test]
fn a_nested_jwt_is_sealed_and_opened() {
    let world = world(Nesting::JweOfJws);
    let token = world.seal(r#"{"sub":"alice"}"#).unwrap();
    let opened = world.open_at(&token, NOW).unwrap();
    assert!(matches!(opened, Opened::Verified(_)));
    let claims = opened.claims().members();
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["iss"], "https://issuer.example");
    assert_eq!(claims["aud"], "https://rp.example");
    assert_eq!(claims["exp"], NOW + 300);
    assert_eq!(claims["iat"], NOW);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    assert!(world.open_at(&token, NOW + 359).is_ok());
    assert_eq!(world.open_at(&token, NOW + 360).unwrap_err().code(), "claim");
    assert_eq!(world.open_at(&token, NOW - 61).unwrap_err().code(), "claim");
}

/// RFC 7519 section 5.3.
#[test]
fn claims_that_a_header_repeats_say_the_same_there() {
    let world = world(Nesting::JweOfJws);
    let inner = world.signed(
        &format!(
            r#"{{"iss":"https://issuer.example","aud":"https://rp.example","sub":"alice","exp":{}}}"#,
            NOW + 100
        ),
        None,
        None,
    );
    let recipient = Recipient::new(jwk(&world.decrypt, "enc-1")).unwrap();
    let verdict = |name: &str, value: &str| {
        let token = JweBuilder::new(ContentEncryption::A256Gcm)
            .to(&recipient, KeyManagement::EcdhEsA256Kw)
            .protected("cty", "JWT")
            .protected(name, value)
            .encrypt(Serialization::Compact, inner.as_bytes())
            .unwrap();
        world.verdict(&token)
    };
    assert_eq!(verdict("iss", "https://issuer.example"), "opened");
    assert_eq!(verdict("aud", "https://rp.example"), "opened");
    assert_eq!(verdict("sub", "alice"), "opened");
    for (name, value) in [("iss", "https://other.example"), ("aud", ""), ("sub", "mallory")] {
        assert_eq!(verdict(name, value), "claim", "{name}");
    }
}

/// What CVE-2026-29000 and its kin are made of: encryption is no proof of origin.
#[test]
fn there_is_no_way_around_the_signature() {
    let world = world(Nesting::JweOfJws);
    let claims = format!(
        r#"{{"iss":"https://issuer.example","aud":"https://rp.example","exp":{}}}"#,
        NOW + 100
    );
    let plain = format!(
        "{}.{}.",
        base64url::encode(br#"{"alg":"none"}"#),
        base64url::encode(claims.as_bytes())
    );
    let signed = world.signed(&claims, None, None);
    let nested = world.encrypted(&signed, Some("JWT"));
    assert_eq!(world.verdict(&nested), "opened");
    assert_eq!(world.verdict(&world.encrypted(&plain, Some("JWT"))), "policy");
    assert_eq!(world.verdict(&world.encrypted(&claims, Some("JWT"))), "malformed");
    assert_eq!(world.verdict(&world.encrypted(&claims, None)), "policy");
    assert_eq!(world.verdict(&world.encrypted(&signed, None)), "policy");
    assert_eq!(world.verdict(&world.encrypted(&nested, Some("JWT"))), "malformed");
    assert_eq!(world.verdict(&signed), "malformed");
    assert_eq!(
        world.verdict(&world.encrypted(&with_part(&signed, 2, ""), Some("JWT"))),
        "signature_invalid"
    );
    let with_cty = world.signed(&claims, None, Some("JWT"));
    assert_eq!(world.verdict(&world.encrypted(&with_cty, Some("JWT"))), "policy");
    let other_typ = world.signed(&claims, Some("at+jwt"), None);
    assert_eq!(world.verdict(&world.encrypted(&other_typ, Some("JWT"))), "policy");
    assert_eq!(world.verdict(&world.encrypted(&signed, Some("application/jwt"))), "opened");
}

#[test]
fn claims_are_checked() {
    let world = world(Nesting::Jws);
    let (iss, aud) = (r#""iss":"https://issuer.example""#, r#""aud":"https://rp.example""#);
    let exp = format!(r#""exp":{}"#, NOW + 100);
    let good = format!("{{{iss},{aud},{exp}}}");
    assert_eq!(world.verdict(&world.signed(&good, Some("JWT"), None)), "opened");
    let in_array = format!(r#"{{{iss},"aud":["a","https://rp.example"],{exp}}}"#);
    assert_eq!(world.verdict(&world.signed(&in_array, None, None)), "opened");
    let bad = [
        format!("{{{aud},{exp}}}"),
        format!(r#"{{"iss":"https://other.example",{aud},{exp}}}"#),
        format!(r#"{{"iss":["https://issuer.example"],{aud},{exp}}}"#),
        format!("{{{iss},{exp}}}"),
        format!(r#"{{{iss},"aud":"https://other.example",{exp}}}"#),
        format!(r#"{{{iss},"aud":["https://rp.example",1],{exp}}}"#),
        format!("{{{iss},{aud}}}"),
        format!(r#"{{{iss},{aud},"exp":{}}}"#, NOW - 60),
        format!(r#"{{{iss},{aud},"exp":"{}"}}"#, NOW + 100),
        format!(r#"{{{iss},{aud},"exp":1e300}}"#),
        format!(r#"{{{iss},{aud},"exp":-1}}"#),
        format!(r#"{{{iss},{aud},{exp},"nbf":{}}}"#, NOW + 61),
        format!(r#"{{{iss},{aud},{exp},"iat":{}}}"#, NOW + 61),
        format!(r#"{{{iss},{aud},{exp},"jti":1}}"#),
        format!(r#"{{{iss},{aud},{exp},"sub":null}}"#),
    ];
    for claims in bad {
        assert_eq!(world.verdict(&world.signed(&claims, None, None)), "claim", "{claims}");
    }
    for claims in ["[]", "1", "", "{} {}", r#"{"a":1,"a":2}"#] {
        assert_eq!(world.verdict(&world.signed(claims, None, None)), "malformed", "{claims}");
    }
}

/// RFC 8259 section 6: a number may have more digits than a double; it is the caller's, and signed as it
/// is written.
#[test]
fn claims_are_sealed_as_they_are_written() {
    let world = world(Nesting::JweOfJws);
    for claims in [
        r#"{"n":123456789012345678901234567890,"f":4.46480702979209e-306,"z":1.0}"#,
        " {\"\\u0061\" : 1E2\n}\n",
        " { } ",
    ] {
        let opened = world.open_at(&world.seal(claims).unwrap(), NOW).unwrap();
        let json = std::str::from_utf8(opened.claims().json()).unwrap();
        assert!(json.ends_with(&claims.trim()[1..]), "{json}");
        assert_eq!(opened.claims().members()["iss"], "https://issuer.example");
    }
}

#[test]
fn claims_that_contradict_the_context_are_not_sealed() {
    let world = world(Nesting::JweOfJws);
    for claims in [
        r#"{"iss":"https://other.example"}"#.to_owned(),
        r#"{"aud":"https://other.example"}"#.to_owned(),
        format!(r#"{{"exp":{}}}"#, NOW + 301),
        format!(r#"{{"iat":{}}}"#, NOW - 1000),
        r#"{"sub":1}"#.to_owned(),
    ] {
        assert_eq!(world.seal(&claims).unwrap_err().code(), "claim", "{claims}");
    }
    assert!(world.seal(r#"{"aud":["https://rp.example"],"iss":"https://issuer.example"}"#).is_ok());
}

#[test]
fn what_nobody_signed_is_never_verified() {
    let mut world = world(Nesting::Jwe);
    world.context.open.as_mut().unwrap().issuers.clear();
    let token = world.seal(r#"{"vp_token":"x"}"#).unwrap();
    assert!(matches!(world.open_at(&token, NOW).unwrap(), Opened::Unsigned(_)));
    let signed = world.signed("{}", None, None);
    assert_eq!(world.verdict(&world.encrypted(&signed, Some("JWT"))), "policy");
    assert_eq!(world.verdict(&world.encrypted(&signed, None)), "malformed");
}

/// What `open` of the context would not take is not made, also where no lifetime is stamped.
#[test]
fn claims_that_nobody_stamps_are_checked_before_they_are_sealed() {
    let mut world = world(Nesting::Jwe);
    let seal = world.context.seal.as_mut().unwrap();
    (seal.issuer, seal.audience, seal.lifetime) = (None, None, None);
    for claims in [
        r#"{"iat":null}"#.to_owned(),
        r#"{"exp":"1"}"#.to_owned(),
        r#"{"iss":1}"#.to_owned(),
        format!(r#"{{"iat":{}}}"#, NOW + 61),
        format!(r#"{{"exp":{NOW}}}"#),
    ] {
        assert_eq!(world.seal(&claims).unwrap_err().code(), "claim", "{claims}");
    }
    assert!(world.seal(&format!(r#"{{"iat":{NOW},"exp":{},"iss":"me"}}"#, NOW + 1)).is_ok());
}

/// Neither is a `kid` that no header may have sent, nor is anything signed first.
#[test]
fn nothing_is_signed_for_a_token_that_no_recipient_would_take() {
    let seal = |nesting, signer_kid: &str, recipient_kid: &str| {
        let world = world(nesting);
        let sealed = jwt::seal(
            &world.context,
            &Policy::of(Profile::Strict),
            &Claims::parse(r#"{"sub":"alice"}"#).unwrap(),
            Some((&world.sign, signer_kid, SignatureAlgorithm::Es256)),
            &[Recipient::new(jwk(&world.decrypt, recipient_kid)).unwrap()],
            Some("https://rp.example"),
            NOW,
        );
        let code = sealed.as_ref().map_or_else(Error::code, |token| world.verdict(token));
        (code, world.sign.calls.load(Ordering::Relaxed))
    };
    let long = "k".repeat(257);
    for bad in ["a\nb", "\0", &long] {
        assert_eq!(seal(Nesting::Jws, bad, "enc-1"), ("usage", 0));
        assert_eq!(seal(Nesting::JweOfJws, bad, "enc-1"), ("usage", 0));
        let recipient = Recipient::new(jwk(&decryption_key(), bad));
        assert_eq!(recipient.unwrap_err().code(), "policy");
    }
    assert_eq!(seal(Nesting::JweOfJws, "sig-1", &long[1..]), ("opened", 1));
}

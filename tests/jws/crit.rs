//! Unencoded payloads and `crit`: RFC 7797, and extensions that somebody checks.

use super::*;

/// RFC 7797.
#[test]
fn b64_is_taken_only_as_the_rfc_says() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    let signed = |header: Value, carried: &str, payload: &str| {
        let protected = encoded(header);
        let input = [protected.as_bytes(), payload.as_bytes()].join(&b'.');
        let message = hsm_jose::backend::ToSign::Message(&input);
        let signature = base64url::encode(&party.key.sign(Es256, message).unwrap());
        (
            format!("{protected}.{carried}.{signature}"),
            json!({ "protected": protected, "payload": carried, "signature": signature })
                .to_string(),
        )
    };
    let plain = json!({ "alg": "ES256", "b64": false, "crit": ["b64"] });
    let (compact, flat) = signed(plain.clone(), "a b!", "a b!");
    for token in [&compact, &flat] {
        assert_eq!(verify(token, &all(), &keys, &Require::All), Ok((b"a b!".to_vec(), vec![0])));
        // Not in the strict profile, unless the configuration says so; never in a JWT (section 7).
        let strict = Policy::of(Profile::Strict);
        assert_eq!(verify(token, &strict.jws, &keys, &Require::All), Err("policy"));
        let allowed = strict.extended(CriticalExtensions::default(), Some(true));
        assert!(verify(token, &allowed.jws, &keys, &Require::All).is_ok());
        let refused = Policy::of(Profile::All).extended(CriticalExtensions::default(), Some(false));
        assert_eq!(verify(token, &refused.jws, &keys, &Require::All), Err("policy"));
    }
    assert_eq!(JwsToken::parse(compact.as_bytes(), &all()).unwrap_err().code(), "policy");
    // Section 6: false only with crit; and a boolean (section 3).
    for (header, code) in [
        (json!({ "alg": "ES256", "b64": false }), "malformed"),
        (json!({ "alg": "ES256", "b64": "false", "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "b64": 0, "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "b64": null, "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "crit": ["b64"] }), "malformed"),
        (json!({ "alg": "ES256", "b64": false, "crit": ["b64", "x"], "x": 1 }), "policy"),
    ] {
        let (compact, flat) = signed(header.clone(), "YWI", "YWI");
        for token in [compact, flat] {
            assert_eq!(verify(&token, &all(), &keys, &Require::All), Err(code), "{header}");
        }
    }
    // True is what is so without it.
    for header in [
        json!({ "alg": "ES256", "b64": true, "crit": ["b64"] }),
        json!({ "alg": "ES256", "b64": true }),
    ] {
        let (compact, flat) = signed(header, "YWI", "YWI");
        for token in [compact, flat] {
            assert_eq!(verify(&token, &all(), &keys, &Require::All), Ok((b"ab".to_vec(), vec![0])));
        }
    }
    // Section 8: a payload is not what its encoding is.
    let (_, flat) = signed(plain.clone(), "YWI", "YWI");
    assert_eq!(verify(&flat, &all(), &keys, &Require::All), Ok((b"YWI".to_vec(), vec![0])));
    // Section 5.2: no period and nothing unprintable in a compact one.
    for payload in ["a.b", "a\tb", "a\x7fb", "caf\u{e9}"] {
        let (compact, flat) = signed(plain.clone(), payload, payload);
        assert_eq!(verify(&compact, &all(), &keys, &Require::All), Err("malformed"), "{payload:?}");
        assert!(verify(&flat, &all(), &keys, &Require::All).is_ok(), "{payload:?}");
    }
    // Section 3: the same for all signatures.
    let encoded_one: Value =
        serde_json::from_str(&sign(&[&party], form(Flattened), b"ab")).unwrap();
    let (_, flat) = signed(plain, "YWI", "YWI");
    let flat: Value = serde_json::from_str(&flat).unwrap();
    let mixed = json!({ "payload": "YWI", "signatures": [encoded_one, flat] }).to_string();
    for require in [Require::All, Require::Any] {
        assert_eq!(verify(&mixed, &all(), &keys, &require), Err("malformed"));
    }
    // Signing: what cannot be carried is refused before the device is asked.
    let unencoded = |serialization| JwsForm { serialization, detached: false, unencoded: true };
    for payload in [&b"a.b"[..], b"a b", b"\xff"] {
        let error = jws::sign_as(&[party.signer()], unencoded(Compact), payload).unwrap_err();
        assert_eq!(error.code(), "usage");
    }
    let error = jws::sign_as(&[party.signer()], unencoded(General), b"\xff").unwrap_err();
    assert_eq!(error.code(), "usage");
}

/// RFC 7515 section 4.1.11, with the extensions of UK Open Banking.
#[test]
fn critical_extensions_are_those_that_somebody_checks() {
    const IAT: &str = "http://openbanking.org.uk/iat";
    const ISS: &str = "http://openbanking.org.uk/iss";
    const TAN: &str = "http://openbanking.org.uk/tan";
    let party = Party::new(Ps256, "a", "A");
    let keys = trusting(&[&party]);
    let members = json!({ IAT: 1_501_497_671, ISS: "C=UK, O=Acme", TAN: "openbanking.org.uk" });
    let token = |members: &Value| {
        let signer = party.signer().with_protected(members.as_object().unwrap()).unwrap();
        let signer = [IAT, ISS, TAN].iter().try_fold(signer, |it, name| it.with_critical(name));
        let form = JwsForm { serialization: Compact, detached: true, unencoded: true };
        jws::sign_as(&[signer.unwrap()], form, b"{}").unwrap()
    };
    let known = |names: &[&str]| {
        names.iter().fold(CriticalExtensions::default(), |all, name| {
            all.with(CriticalExtension::known(name).unwrap()).unwrap()
        })
    };
    let check = |token: &str, extensions: CriticalExtensions| {
        let policy = Policy::of(Profile::All).extended(extensions, None);
        let jws = Jws::parse(token.as_bytes(), &policy.jws).map_err(|error| error.code())?;
        let verified = jws.verify_detached(b"{}", &keys, &Require::All);
        verified.map(drop).map_err(|error| error.code())
    };
    let good = token(&members);
    assert_eq!(check(&good, known(&[IAT, ISS, TAN])), Ok(()));
    assert_eq!(check(&good, known(&[IAT, ISS])), Err("policy"));
    assert_eq!(check(&good, CriticalExtensions::default()), Err("policy"));
    for (name, value) in [(IAT, json!(4_000_000_000_u64)), (ISS, json!(1)), (TAN, json!("a b"))] {
        let mut members = members.clone();
        members[name] = value;
        assert_eq!(check(&token(&members), known(&[IAT, ISS, TAN])), Err("policy"), "{name}");
    }
    // One of the caller's own, which sees the header too.
    let own = CriticalExtension::new("exp", |value, header| {
        match value.is_u64() && header.kid() == Some("a") {
            true => Ok(()),
            false => Err("is not for this key".into()),
        }
    });
    let own = CriticalExtensions::default().with(own.unwrap()).unwrap();
    for (value, expected) in [(json!(1), Ok(())), (json!("1"), Err("policy"))] {
        let signer = party.signer().with_protected(&members_of(json!({ "exp": value }))).unwrap();
        let signer = signer.with_critical("exp").unwrap();
        let form = JwsForm { detached: true, ..JwsForm::default() };
        let token = jws::sign_as(&[signer], form, b"{}").unwrap();
        assert_eq!(check(&token, own.clone()), expected);
    }
}

/// What anyone on the way can add is not what an extension compares its value with.
#[test]
fn an_extension_sees_the_protected_header_alone() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    let own = CriticalExtension::new("own", |_, header| match header.members().len() {
        4 => Ok(()), // alg, crit, kid and own
        _ => Err("has other members beside it".into()),
    });
    let own = CriticalExtensions::default().with(own.unwrap()).unwrap();
    let policy = Policy::of(Profile::All).extended(own, None);
    let signer = party.signer().with_protected(&members_of(json!({ "own": 1 }))).unwrap();
    let signer = signer.with_critical("own").unwrap();
    let token = jws::sign_as(&[signer], form(Flattened), b"a").unwrap();
    for token in [changed(&token, |it| it["header"] = json!({ "added": 1 })), token] {
        let jws = Jws::parse(token.as_bytes(), &policy.jws).unwrap();
        assert!(jws.verify(&keys, &Require::All).is_ok());
    }
}

#[test]
fn headers_that_contradict_themselves_are_not_made() {
    let party = Party::new(Es256, "a", "A");
    for name in ["alg", "kid", "typ", "cty", "crit", "b64", "enc", "zip", "epk"] {
        let members = members_of(json!({ name: "x" }));
        assert!(party.signer().with_protected(&members).is_err(), "{name}");
    }
    for name in ["alg", "kid", "crit", "b64", "enc", "zip"] {
        let members = members_of(json!({ name: "x" }));
        assert!(party.signer().with_unprotected(&members).is_err(), "{name}");
    }
    let x = members_of(json!({ "x": 1 }));
    assert!(party.signer().with_protected(&x).unwrap().with_unprotected(&x).is_err());
    assert!(party.signer().with_critical("x").is_err());
    assert!(party.signer().with_critical("kid").is_err());
    assert!(party.signer().with_unprotected(&x).unwrap().with_critical("x").is_err());
    let marked = party.signer().with_protected(&x).unwrap().with_critical("x").unwrap();
    assert!(marked.clone().with_critical("x").is_err());
    let usage = |signers: &[Signer<'_>], form| {
        assert_eq!(jws::sign_as(signers, form, b"a").unwrap_err().code(), "usage");
    };
    usage(&[], form(General));
    usage(&[party.signer(), party.signer()], form(Flattened));
    usage(&[party.signer(), party.signer()], form(Compact));
    usage(&vec![party.signer(); MAX_SIGNATURES + 1], form(General));
    usage(&[party.signer().with_unprotected(&x).unwrap()], form(Compact));
    let long = members_of(json!({ "x": "x".repeat(20_000) }));
    usage(&[party.signer().with_protected(&long).unwrap()], form(Compact));
}

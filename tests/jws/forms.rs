//! From one serialization to another.

use super::*;

#[test]
fn a_jws_is_split_joined_and_written_otherwise() {
    let (a, b) = (Party::new(Es256, "a", "A"), Party::new(EdDsa, "b", "B"));
    let keys = trusting(&[&a, &b]);
    let general = sign(&[&a, &b], form(General), b"payload");
    let parts = JwsParts::parse(general.as_bytes(), MAX_TOKEN_LEN).unwrap();
    assert!(matches!(parts.payload, Some(std::borrow::Cow::Borrowed(_))), "no copy of a payload");
    assert_eq!(parts.write(Compact).unwrap_err().code(), "usage");
    assert_eq!(parts.write(Flattened).unwrap_err().code(), "usage");
    let split: Vec<_> = parts.split().collect();
    for part in &split {
        for serialization in [Compact, Flattened, General] {
            let token = part.write(serialization).unwrap();
            assert!(verify(&token, &all(), &keys, &Require::All).is_ok(), "{token}");
            let again = JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
            assert_eq!(again.serialization, serialization);
            assert_eq!((&again.payload, &again.signatures), (&part.payload, &part.signatures));
        }
    }
    let joined = JwsParts::join(split).unwrap();
    assert_eq!(joined, parts);
    assert_eq!(joined.write(General).unwrap(), general);
    // Not to be joined: other payloads, none, too many.
    let other = sign(&[&a], form(Compact), b"another");
    let other = JwsParts::parse(other.as_bytes(), MAX_TOKEN_LEN).unwrap();
    assert!(JwsParts::join([parts.clone(), other]).is_err());
    assert!(JwsParts::join([]).is_err());
    assert!(JwsParts::join(vec![parts; MAX_SIGNATURES / 2 + 1]).is_err());
    // What the compact serialization has no place for.
    let header = members_of(json!({ "x": 1 }));
    let signer = a.signer().with_unprotected(&header).unwrap();
    let unencoded = JwsForm { serialization: Flattened, detached: false, unencoded: true };
    for token in [
        jws::sign_as(&[signer], form(Flattened), b"a").unwrap(),
        jws::sign_as(&[a.signer()], unencoded, b"a.b").unwrap(),
    ] {
        let parts = JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
        assert_eq!(parts.write(Compact).unwrap_err().code(), "usage", "{token}");
    }
}

/// What was made before, the compact JWS of one signer, is read by both.
#[test]
fn the_compact_serialization_is_one_of_three() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    let token = sign(&[&party], form(Compact), b"payload");
    let verified = JwsToken::parse(token.as_bytes(), &all()).unwrap().verify(&keys).unwrap();
    assert_eq!(verified.get().as_bytes(), b"payload");
    // A context, and whoever asks for a compact JWS, takes no other.
    for serialization in [Flattened, General] {
        let token = sign(&[&party], form(serialization), b"payload");
        assert_eq!(JwsToken::parse(token.as_bytes(), &all()).unwrap_err().code(), "malformed");
    }
    let empty = sign(&[&party], form(Compact), b"");
    assert_eq!(verify(&empty, &all(), &keys, &Require::All), Ok((Vec::new(), vec![0])));
}

/// RFC 7515 sections 2 and 7.2.1: base64url without padding, of a header with an `alg`.
#[test]
fn what_is_no_jws_is_written_in_no_serialization() {
    let good = ["eyJhbGciOiJFUzI1NiJ9", "e30", "AAAA"];
    let plain = encoded(json!({ "alg": "ES256", "b64": false, "crit": ["b64"] }));
    let json = |[protected, payload, signature]: [&str; 3]| {
        json!({ "protected": protected, "payload": payload, "signature": signature }).to_string()
    };
    let written = |text: &str| {
        let parts = JwsParts::parse(text.as_bytes(), 1024)?;
        [Compact, Flattened, General].iter().try_for_each(|it| parts.write(*it).map(drop))
    };
    for parts in [good, [&plain, "a+b/", "AAAA"], [good[0], "", "AAAA"]] {
        assert!(written(&json(parts)).is_ok() && written(&parts.join(".")).is_ok(), "{parts:?}");
    }
    for (at, texts) in [
        (
            0,
            &["peregrin", "e30", "eyJhbGciOjF9", "eyJhbGciOiJFUzI1NiJ9 ", "eyJhbGciOiJFUzI1NiJ9="]
                [..],
        ),
        (1, &["took@x", "a+b/", "e3", "e30=", "e30 "]),
        (2, &["A", "AAB", "AAAB=", "////", "AAAA~WyJhIiwiYiJd~", "AAAA "]),
    ] {
        for text in texts {
            let mut parts = good;
            parts[at] = text;
            for token in [json(parts), parts.join(".")] {
                assert_eq!(
                    written(&token).map_err(|error| error.code()),
                    Err("malformed"),
                    "{token}"
                );
            }
        }
    }
    for (protected, signature) in
        [("e30.e30", "AAAA"), (good[0], "AA.AA"), (good[0], "é"), ("", "AAAA")]
    {
        let error = written(&json([protected, "e30", signature])).unwrap_err();
        assert_eq!(error.code(), "malformed", "{protected} {signature}");
    }
}

/// RFC 7515 section 7.1: where the payload is empty or detached, a compact JWS says nothing between its
/// dots. In JSON it is an empty member, and verifies as it did.
#[test]
fn an_empty_or_detached_payload_goes_through_every_serialization() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    for (payload, detached) in [(&b""[..], false), (b"payload", true)] {
        let compact = sign(&[&party], JwsForm { detached, ..form(Compact) }, payload);
        let parts = JwsParts::parse(compact.as_bytes(), MAX_TOKEN_LEN).unwrap();
        let mut tokens: Vec<_> =
            [Compact, Flattened, General].map(|it| parts.write(it).unwrap()).into();
        tokens.extend(parts.split().map(|it| it.write(Flattened).unwrap()));
        for token in tokens {
            let again = JwsParts::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
            assert_eq!(again.write(Compact).unwrap(), compact);
            let jws = Jws::parse(token.as_bytes(), &all()).unwrap();
            let verified = match detached {
                true => jws.verify_detached(payload, &keys, &Require::All).map(drop),
                false => jws.verify(&keys, &Require::All).map(drop),
            };
            assert!(verified.is_ok(), "{token}");
        }
    }
}

/// As they are split, so they are joined, in whatever serialization each of them is.
#[test]
fn signatures_over_an_empty_or_detached_payload_are_joined() {
    let (a, b) = (Party::new(Es256, "a", "A"), Party::new(Es256, "b", "B"));
    let keys = trusting(&[&a, &b]);
    for (payload, detached) in [(&b""[..], false), (b"payload", true)] {
        let of = |party: &Party, serialization| {
            sign(&[party], JwsForm { detached, ..form(serialization) }, payload)
        };
        for forms in [[Compact, Compact], [Compact, Flattened], [Flattened, Compact]] {
            let texts = [of(&a, forms[0]), of(&b, forms[1])];
            let parts =
                texts.each_ref().map(|it| JwsParts::parse(it.as_bytes(), MAX_TOKEN_LEN).unwrap());
            let joined = JwsParts::join(parts).unwrap().write(General).unwrap();
            let jws = Jws::parse(joined.as_bytes(), &all()).unwrap();
            let verified = match detached {
                true => jws.verify_detached(payload, &keys, &Require::All).map(drop),
                false => jws.verify(&keys, &Require::All).map(drop),
            };
            assert!(verified.is_ok(), "{forms:?}: {joined}");
        }
    }
}

/// RFC 7515 section 4: what is of no meaning in a JWS is ignored there, whatever it is.
#[test]
fn members_of_a_jwe_header_mean_nothing_in_a_jws() {
    let party = Party::new(Es256, "a", "A");
    let keys = trusting(&[&party]);
    for (name, value) in
        [("tag", json!({ "a": 1 })), ("iv", json!(1)), ("apu", json!([1])), ("apv", json!(null))]
    {
        let header = encoded(json!({ "alg": "ES256", "kid": "a", name: value }));
        let input = format!("{header}.cGF5bG9hZA");
        let signature = party.key.sign(Es256, ToSign::Message(input.as_bytes())).unwrap();
        let token = format!("{input}.{}", base64url::encode(&signature));
        let jws = Jws::parse(token.as_bytes(), &all()).unwrap();
        assert!(jws.verify(&keys, &Require::All).is_ok(), "{name}");
    }
}

//! What RFC 7516 section 7.2 forbids, and what it lets pass.

use hsm_jose::policy::{CriticalExtension, CriticalExtensions};

use super::*;

/// They should not be there (RFC 7516 section 7.2.1), and joserfc writes such.
#[test]
fn an_empty_unprotected_header_says_nothing() {
    let world = World::new();
    let ec = recipient(&world.generate(1, "ec", EC));
    let token = with(&general(&[(&ec, EC)]), |it| it["unprotected"] = json!({}));
    assert!(world.decrypt(Profile::Strict, &token).is_ok());
    let compact = JweBuilder::new(ContentEncryption::A256Gcm).to(&ec, EC);
    let compact = compact.encrypt(Serialization::Compact, b"content").unwrap();
    let parts: Vec<_> = compact.split('.').collect();
    let names = ["protected", "encrypted_key", "iv", "ciphertext", "tag"];
    let mut flat: Value = names.iter().zip(parts).map(|(name, part)| (*name, part)).collect();
    flat["header"] = json!({});
    let opened = world.decrypt(Profile::Strict, &flat).unwrap();
    assert_eq!(opened.plaintext.as_bytes(), b"content");
}

/// RFC 7516 sections 7.2.1 and 7.2.2.
#[test]
fn what_the_json_serializations_forbid_is_malformed() {
    let world = World::new();
    let ec = recipient(&world.generate(0, "ec", EC));
    let other = recipient(&world.generate(1, "other", EC));
    let direct = recipient(&world.generate(1, "direct", DIRECT));
    let token = general(&[(&ec, EC), (&other, EC)]);
    let flat = flattened(&ec, EC);
    let set = |token: &Value, name: &str, value: Value| with(token, |it| it[name] = value);
    let without = |token: &Value, name: &str| with(token, |it| drop_member(it, name));
    let in_first = |name: &str, value: Value| with(&token, |it| it["recipients"][0][name] = value);
    let one_direct = {
        let jwe = JweBuilder::new(ENC).to(&direct, DIRECT);
        serde_json::from_str(&jwe.encrypt(Serialization::General, b"content").unwrap()).unwrap()
    };
    for good in [&token, &flat, &one_direct] {
        assert_eq!(code(world.decrypt(Profile::Strict, good)), "done", "{good}");
    }
    let mut cases = vec![
        ("recipients and header", set(&token, "header", json!({}))),
        ("recipients and encrypted_key", set(&token, "encrypted_key", "AAAA".into())),
        ("no recipients", set(&token, "recipients", json!([]))),
        ("recipients as an object", set(&token, "recipients", json!({}))),
        ("a recipient that is null", set(&token, "recipients", json!([null]))),
        ("a recipient that is a list", set(&token, "recipients", json!([[]]))),
        ("no ciphertext", without(&token, "ciphertext")),
        ("an empty protected header", set(&token, "protected", "".into())),
        ("a protected header that is an object", set(&token, "protected", json!({}))),
        ("a protected header that is no object", set(&token, "protected", "W10".into())),
        ("an empty aad", set(&token, "aad", "".into())),
        ("aad that is not base64url", set(&token, "aad", "a+b/".into())),
        ("aad in non-canonical base64url", set(&token, "aad", "YWF".into())),
        ("an empty iv", set(&token, "iv", "".into())),
        ("an iv that is a number", set(&token, "iv", 1.into())),
        ("an empty tag", set(&token, "tag", "".into())),
        ("a tag that is null", set(&token, "tag", Value::Null)),
        ("a ciphertext that is a list", set(&token, "ciphertext", json!([]))),
        ("a padded ciphertext", set(&token, "ciphertext", "AAA=".into())),
        ("a protected header without members", set(&token, "protected", "e30".into())),
        ("unprotected as text", set(&token, "unprotected", "e30".into())),
        ("unprotected as null", set(&token, "unprotected", Value::Null)),
        ("a header as text", in_first("header", "e30".into())),
        ("an encrypted key that is not base64url", in_first("encrypted_key", "=".into())),
        ("enc twice", set(&token, "unprotected", json!({ "enc": "A256GCM" }))),
        ("kid in two parts", set(&token, "unprotected", json!({ "kid": "ec" }))),
        (
            "crit that is not protected",
            set(&token, "unprotected", json!({ "crit": ["x"], "x": 1 })),
        ),
        ("zip that is not protected", set(&token, "unprotected", json!({ "zip": "DEF" }))),
        ("a payload too", set(&token, "payload", "AAAA".into())),
        ("a signature too", set(&flat, "signature", "AAAA".into())),
        ("signatures too", set(&token, "signatures", json!([]))),
        ("ECDH-ES beside another", {
            with(&token, |it| it["recipients"][1]["header"]["alg"] = "ECDH-ES".into())
        }),
        ("dir beside another", {
            with(&token, |it| it["recipients"][1]["header"] = json!({ "alg": "dir" }))
        }),
    ];
    let one = token["recipients"][0].clone();
    cases.push(("33 recipients", set(&token, "recipients", vec![one.clone(); 33].into())));
    cases.push(("1,000 recipients", set(&token, "recipients", vec![one; 1000].into())));
    let long = "x".repeat(20_000);
    cases.push(("a long unprotected header", set(&token, "unprotected", json!({ "x": long }))));
    for profile in [Profile::Strict, Profile::All] {
        for (what, token) in &cases {
            let outcome = world.decrypt(profile, token);
            assert_eq!(code(outcome), "malformed", "{what}");
        }
    }
    // What is not one JSON object at all, or says something twice.
    let text = token.to_string();
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let texts = [
        format!("{text}{text}"),
        format!("{text}."),
        text.replacen('{', r#"{"tag":"AAAA","#, 1),
        text.replacen('{', r#"{"\u0074ag":"AAAA","#, 1),
        text.replacen('{', r#"{"x":{"a":1,"\u0061":2},"#, 1),
        text.replacen(r#"{"alg""#, r#"{"alg":"ECDH-ES+A256KW","alg""#, 1),
        text.replacen('{', &format!(r#"{{"x":{deep},"#), 1),
        text.replacen('{', r#"{"x":"\ud800","#, 1),
        text.replacen('{', r#"{"x":01,"#, 1),
        text[..text.len() - 1].to_owned(),
        format!("\u{feff}{text}"),
        "{}".to_owned(),
        "{".repeat(1_000_000),
        format!("{{\"recipients\":{}", "[".repeat(1_000_000)),
    ];
    let engine = world.engine(Profile::All);
    for text in texts {
        let shown = text.get(..60).unwrap_or(&text);
        assert_eq!(code(engine.decrypt(text.as_bytes(), None)), "malformed", "{shown}");
    }
    let mut latin = text.clone().into_bytes();
    latin.insert(1, 0xe9);
    assert_eq!(code(engine.decrypt(&latin, None)), "malformed");
}

/// RFC 7516 section 7.2: "Additional members can be present [...]; if not understood by
/// implementations encountering them, they MUST be ignored"; and RFC 8259 white space.
#[test]
fn what_is_not_understood_is_ignored() {
    let world = World::new();
    let ec = recipient(&world.generate(0, "ec", EC));
    let token = general(&[(&ec, EC)]);
    let extended = with(&token, |it| {
        it["x"] = json!({ "protected": 1, "y": [null, true, 1.5, "text", { "z": [] }] });
        it["recipients"][0]["x"] = json!([1, 2]);
        it["unprotected"] = json!({ "x": "é" });
    });
    let opened = world.decrypt(Profile::Strict, &extended).unwrap();
    assert_eq!(opened.plaintext.as_bytes(), b"content");
    assert_eq!(opened.unprotected["x"], "é");
    let spaced = format!(" \r\n\t{}\n", serde_json::to_string_pretty(&token).unwrap());
    assert_eq!(code(world.engine(Profile::Strict).decrypt(spaced.as_bytes(), None)), "done");
    // Escapes are another way to write the same text.
    let escaped = token.to_string().replacen(r#""iv":""#, r#""\u0069v":""#, 1);
    let tag = token["tag"].as_str().unwrap();
    let written: String = tag.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let escaped = escaped.replacen(tag, &written, 1);
    assert_eq!(code(world.engine(Profile::Strict).decrypt(escaped.as_bytes(), None)), "done");
}

/// Only protected members are believed, but for what leads to a recipient's key.
#[test]
fn strict_believes_no_shared_unprotected_header() {
    let world = World::new();
    let ec = recipient(&world.generate(0, "ec", EC));
    let token = flattened(&ec, EC);
    assert_eq!(code(world.decrypt(Profile::Strict, &token)), "done");
    // alg, kid and epk moved to where everyone shares them: RFC 7516 allows it, strict does not.
    let shared = with(&token, |it| {
        it["unprotected"] = it["header"].take();
        drop_member(it, "header");
    });
    let error = world.decrypt(Profile::Strict, &shared).unwrap_err();
    assert_eq!(error.code(), "policy");
    assert!(error.to_string().contains("must be protected"), "{error}");
    let opened = world.decrypt(Profile::All, &shared).unwrap();
    assert_eq!(opened.unprotected["alg"], "ECDH-ES+A256KW");
    let kid_only = with(&token, |it| {
        let kid = it["header"]["kid"].take();
        drop_member(&mut it["header"], "kid");
        it["unprotected"] = json!({ "kid": kid });
    });
    assert_eq!(code(world.decrypt(Profile::Strict, &kid_only)), "policy");
    assert_eq!(code(world.decrypt(Profile::All, &kid_only)), "done");

    // enc that nobody protects: the whole protected header gone, sealed so by the sender.
    let sent = with(&token, |it| {
        drop_member(it, "protected");
        it["header"]["enc"] = "A256GCM".into();
    });
    assert_eq!(code(world.decrypt(Profile::Strict, &sent)), "policy");
    assert_eq!(code(world.decrypt(Profile::All, &sent)), "decryption_failed");

    // Keys that a header brings along are refused in every part.
    let parts = |name: &str| {
        [
            with(&token, |it| it["unprotected"] = json!({ name: "x" })),
            with(&token, |it| it["header"][name] = "x".into()),
        ]
    };
    for name in ["jwk", "jku", "x5u", "x5c"] {
        for token in parts(name) {
            assert_eq!(code(world.decrypt(Profile::Strict, &token)), "policy", "{name}");
            assert_eq!(code(world.decrypt(Profile::All, &token)), "done", "{name}");
        }
    }
    let rules = Policy::of(Profile::Strict).text();
    assert!(rules.contains("JWE unprotected headers: enc must be protected"), "{rules}");
}

/// RFC 7516 section 4.1.13: what `crit` names is protected, and so is all that its check sees.
#[test]
fn a_critical_extension_sees_the_protected_header_alone() {
    let own = CriticalExtension::new("own", |_, header| match header.members().len() {
        3 => Ok(()), // enc, crit and own
        count => Err(format!("is beside {count} members")),
    });
    let own = CriticalExtensions::default().with(own.unwrap()).unwrap();
    let to = recipient(&stranger("a", EC));
    let mut token = flattened(&to, EC);
    let protected = token["protected"].as_str().unwrap();
    let protected = base64url::decode(protected.as_bytes()).unwrap();
    let mut protected: Value = serde_json::from_slice(&protected).unwrap();
    protected["own"] = json!(1);
    protected["crit"] = json!(["own"]);
    token["protected"] = json!(base64url::encode(protected.to_string().as_bytes()));
    token["header"]["added"] = json!(1);
    token["unprotected"] = json!({ "more": 1 });
    for profile in [Profile::Strict, Profile::All] {
        let policy = Policy::of(profile).extended(own.clone(), None);
        JweToken::parse(token.to_string().as_bytes(), &policy.jwe).unwrap();
    }
}

/// RFC 7516 section 7.2.1 has them absent; section 5.2 step 10 asks only that the key is empty.
#[test]
fn an_empty_encrypted_key_says_nothing() {
    let world = World::new();
    let direct = recipient(&world.generate(0, "direct", DIRECT));
    let jwe = JweBuilder::new(ENC).to(&direct, DIRECT);
    let token = jwe.encrypt(Serialization::Flattened, b"content").unwrap();
    let token: Value = serde_json::from_str(&token).unwrap();
    for (key, expected) in [("", "done"), ("AAAA", "decryption_failed")] {
        let token = with(&token, |it| it["encrypted_key"] = key.into());
        assert_eq!(code(world.decrypt(Profile::Strict, &token)), expected, "{key}");
    }
}

/// What is wrong with the header of a recipient is that recipient's matter.
#[test]
fn a_recipient_with_a_bad_header_keeps_nobody_else_from_opening() {
    let world = World::new();
    let ours = recipient(&world.generate(0, "ours", EC));
    let other = recipient(&stranger("other", EC));
    let token = general(&[(&other, EC), (&ours, EC)]);
    for header in [
        json!({ "kid": "other" }),
        json!({ "alg": "ECDH-ES+A256KW", "kid": 1 }),
        json!({ "alg": "ECDH-ES+A256KW", "kid": "k".repeat(257) }),
        json!({ "alg": "ECDH-ES+A256KW", "kid": "a\nb" }),
        json!({ "alg": "ECDH-ES+A256KW", "kid": "other", "apu": 1 }),
        json!({ "alg": "A256GCMKW", "kid": "other", "iv": {} }),
        json!({ "alg": "mine", "kid": "other", "iv": {}, "tag": [], "apv": 1 }),
    ] {
        let mixed = with(&token, |it| it["recipients"][0]["header"] = header.clone());
        assert_eq!(code(world.decrypt(Profile::Strict, &mixed)), "done", "{header}");
        let alone = with(&mixed, |it| {
            it["recipients"].as_array_mut().unwrap().truncate(1);
        });
        let expected = if header["alg"] == "mine" { "policy" } else { "malformed" };
        let outcome = code(world.decrypt(Profile::Strict, &alone));
        assert!([expected, "policy"].contains(&outcome), "{header}: {outcome}");
    }
}

/// Recipients that name no key are tried with the room that a key of ours leaves.
#[test]
fn strangers_without_kid_leave_room_for_the_key_that_is_named() {
    let world = World::new();
    let ours = recipient(&world.generate(0, "ours", EC));
    let other = recipient(&stranger("other", EC));
    let strangers = [(&other, EC); 5];
    let token = with(&general(&[&strangers[..], &[(&ours, EC)]].concat()), |it| {
        for recipient in &mut it["recipients"].as_array_mut().unwrap()[..5] {
            recipient["header"].as_object_mut().unwrap().remove("kid");
        }
    });
    assert_eq!(code(world.decrypt(Profile::Strict, &token)), "done");
}

//! From one serialization to another, and what is shown of a token.

use super::*;

#[test]
fn tokens_are_split_and_joined_without_loss() {
    let world = World::new();
    let rsa = recipient(&world.generate(0, "rsa", RSA));
    let ec = recipient(&world.generate(1, "ec", EC));
    let parse = |token: &str| {
        let jwe = Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
        let serialization = jwe.serialization();
        (jwe.write(serialization).unwrap(), serialization)
    };
    let engine = world.engine(Profile::Strict);
    let (compact, flat) = (Serialization::Compact, Serialization::Flattened);
    let all = Serialization::General;

    let token = JweBuilder::new(ENC).to(&ec, EC).encrypt(compact, b"content").unwrap();
    let jwe = Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
    for serialization in [flat, all] {
        let written = jwe.write(serialization).unwrap();
        assert_eq!(parse(&written), (written.clone(), serialization));
        assert_eq!(code(engine.decrypt(written.as_bytes(), None)), "done");
        let back = Jwe::parse(written.as_bytes(), MAX_TOKEN_LEN).unwrap();
        assert_eq!(back.write(compact).unwrap(), token);
    }

    let token = general(&[(&rsa, RSA), (&ec, EC)]).to_string();
    let jwe = Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN).unwrap();
    assert_eq!(jwe.recipient_count(), 2);
    for serialization in [compact, flat] {
        assert_eq!(code(jwe.write(serialization)), "usage");
    }
    let parts: Vec<_> = jwe.split().map(|it| it.write(flat).unwrap()).collect();
    for (part, key) in parts.iter().zip(["rsa", "ec"]) {
        assert_eq!(engine.decrypt(part.as_bytes(), None).unwrap().key, key);
    }
    let parsed = || parts.iter().map(|part| Jwe::parse(part.as_bytes(), MAX_TOKEN_LEN).unwrap());
    let joined = Jwe::join(parsed()).unwrap().write(all).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&joined).unwrap(), general_of(&token));
    // aad has no place in a compact token, and neither has a recipient's own header.
    assert_eq!(code(parsed().next().unwrap().write(compact)), "usage");

    let other = general(&[(&rsa, RSA), (&ec, EC)]).to_string();
    let other = Jwe::parse(other.as_bytes(), MAX_TOKEN_LEN).unwrap();
    let mixed = vec![parsed().next().unwrap(), other.split().nth(1).unwrap()];
    assert_eq!(code(Jwe::join(mixed)), "usage");
    assert_eq!(code(Jwe::join(Vec::new())), "usage");
    let many = vec![parsed().next().unwrap(); MAX_RECIPIENTS + 1];
    assert_eq!(code(Jwe::join(many)), "malformed");
    let direct = recipient(&stranger("direct", DIRECT));
    let direct = JweBuilder::new(ENC).to(&direct, DIRECT).encrypt(flat, b"x").unwrap();
    let direct = Jwe::parse(direct.as_bytes(), MAX_TOKEN_LEN).unwrap();
    assert_eq!(code(Jwe::join(vec![direct.clone(), direct])), "malformed");
    let bad = r#"{"ciphertext":"A","protected":"e30"}"#;
    assert_eq!(code(Jwe::parse(bad.as_bytes(), 100).unwrap().write(all)), "malformed");
}

fn general_of(token: &str) -> Value {
    serde_json::from_str(token).unwrap()
}

#[test]
fn a_token_is_shown_and_explained_without_its_content() {
    let rsa = recipient(&stranger("rsa", RSA));
    let ec = recipient(&stranger("ec", EC));
    let token = general(&[(&rsa, RSA), (&ec, EC)]);
    let token = with(&token, |it| it["unprotected"] = json!({ "x": "y" }));
    let found = inspect(token.to_string().as_bytes()).unwrap();
    assert_eq!((found.kind, found.serialization), ("JWE", "general"));
    assert_eq!(found.header["enc"], "A256GCM");
    assert_eq!(found.unprotected["x"], "y");
    assert_eq!(found.recipients.len(), 2);
    assert_eq!(found.recipients[0].header["kid"], "rsa");
    assert_eq!(found.recipients[1].encrypted_key_len, 40);
    assert_eq!(found.part_lens, [("iv", 12), ("ciphertext", 7), ("tag", 16), ("aad", 3)]);

    let policy = Policy::of(Profile::Strict);
    let said = explain_outside(&policy, token.to_string().as_bytes());
    assert!(said.accepted, "{said:?}");
    let text = said.steps.join("\n");
    assert!(text.contains("recipient 0: alg RSA-OAEP-256 allowed"), "{text}");
    assert!(text.contains("recipient 1: alg ECDH-ES+A256KW allowed"), "{text}");
    let refused = with(&token, |it| it["recipients"][0]["header"]["alg"] = "RSA1_5".into());
    let said = explain_outside(&policy, refused.to_string().as_bytes());
    assert!(said.accepted && said.steps.join("\n").contains("passed over"), "{said:?}");
    let shared = with(&token, |it| it["unprotected"] = json!({ "jku": "https://x.example" }));
    let said = explain_outside(&policy, shared.to_string().as_bytes());
    assert!(!said.accepted && said.steps.join("\n").contains("jku"), "{said:?}");
}

//! Whose keys a context believes, and what is said of contexts that cannot be told apart.

use super::*;

#[test]
fn a_key_registered_for_one_issuer_speaks_for_no_other() {
    let mut world = world(Nesting::Jws);
    let open = world.context.open.as_mut().unwrap();
    open.issuers.clear();
    open.trust[0].iss = Some("https://bound.example".into());
    let claims =
        |iss: &str| format!(r#"{{"iss":"{iss}","aud":"https://rp.example","exp":{}}}"#, NOW + 9);
    assert_eq!(
        world.verdict(&world.signed(&claims("https://bound.example"), None, None)),
        "opened"
    );
    assert_eq!(
        world.verdict(&world.signed(&claims("https://issuer.example"), None, None)),
        "claim"
    );
}

/// RFC 8725 section 3.12.
#[test]
fn contexts_that_would_take_each_others_tokens_are_refused() {
    let nested = world(Nesting::JweOfJws).context;
    let mut bare = nested.clone();
    (bare.name, bare.nesting) = ("access_token".into(), Nesting::Jws);
    assert_eq!(refuse_confusable(&[nested.clone(), bare.clone()]).unwrap_err().code(), "config");
    let mut typed = bare.clone();
    typed.typ = Some("at+jwt".into());
    refuse_confusable(&[nested.clone(), typed]).unwrap();
    let mut elsewhere = bare.clone();
    elsewhere.open.as_mut().unwrap().audience = Some("https://api.example".into());
    refuse_confusable(&[nested.clone(), elsewhere]).unwrap();
    let mut others = bare;
    others.open.as_mut().unwrap().trust = vec![jwk(&signing_key(), "x")];
    refuse_confusable(&[nested, others]).unwrap();

    // One that asks for no audience takes what is for any.
    let mut ours = world(Nesting::Jwe).context;
    let mut anyones = ours.clone();
    anyones.name = "anyone".into();
    ours.open.as_mut().unwrap().audience = Some("https://us.example".into());
    anyones.open.as_mut().unwrap().audience = None;
    for contexts in [[ours.clone(), anyones.clone()], [anyones.clone(), ours.clone()]] {
        let message = refuse_confusable(&contexts).unwrap_err().to_string();
        assert!(message.contains("each other's tokens"), "{message}");
    }
    anyones.typ = Some("offer+jwt".into());
    refuse_confusable(&[ours, anyones]).unwrap();
}

#[test]
fn explain_says_where_a_token_would_be_refused() {
    let world = world(Nesting::JweOfJws);
    let token = world.seal("{}").unwrap();
    assert!(explain(&world.context, token.as_bytes()).accepted);
    let refused = with_header(&token, |members| drop(members.insert("zip".into(), "DEF".into())));
    let explanation = explain(&world.context, refused.as_bytes());
    assert!(!explanation.accepted);
    assert!(explanation.steps.last().unwrap().contains("zip"), "{explanation:?}");
    assert_eq!(world.decrypt.calls.load(Ordering::Relaxed), 0);
    let text = world.context.text();
    for said in
        ["signed, then encrypted", "ECDH-ES+A256KW", "https://rp.example", "partner-enc", "300 s"]
    {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn small_rsa_keys_of_partners_are_refused_in_strict() {
    let key = key(KeyAlgorithm::Unwrap(KeyManagement::RsaOaep256), KeyShape::Rsa { bits: 2048 });
    let public = &key.info().public.clone().unwrap();
    assert_eq!(Policy::of(Profile::Strict).check_partner_key(public).unwrap_err().code(), "policy");
    Policy::of(Profile::All).check_partner_key(public).unwrap();
}

/// RFC 7517 section 5: a key that cannot be used is no reason to do without the others.
#[test]
fn a_refused_key_in_a_set_stands_in_nobodys_way() {
    let policy = Policy::of(Profile::Strict);
    let small = key(KeyAlgorithm::Sign(SignatureAlgorithm::Ps256), KeyShape::Rsa { bits: 2048 });
    let good = signing_key();
    let keys = vec![jwk(&small, "small"), jwk(&good, "good")];
    let trusted = TrustedKeys::new(JwkSet { keys }, &policy);
    let signed = |key: &Counted, alg, kid| {
        let parameters = JwsParameters { alg, kid: Some(kid), typ: None, cty: None };
        jws::sign(key, &parameters, b"payload").unwrap()
    };
    let verdict = |token: String| {
        let verified = JwsToken::parse(token.as_bytes(), &policy.jws).unwrap().verify(&trusted);
        verified.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(verdict(signed(&good, SignatureAlgorithm::Es256, "good")), Ok(()));
    assert_eq!(verdict(signed(&small, SignatureAlgorithm::Ps256, "small")), Err("policy"));

    let small = key(KeyAlgorithm::Unwrap(KeyManagement::RsaOaep256), KeyShape::Rsa { bits: 2048 });
    let recipient = |key: &Counted| Recipient::new(jwk(key, "k")).unwrap();
    let algs = AllowList::new([KeyManagement::RsaOaep256, KeyManagement::EcdhEsA256Kw]).unwrap();
    let both = [recipient(&small), recipient(&decryption_key())];
    assert_eq!(jwe::choose(&both, &algs, &policy).unwrap().1, KeyManagement::EcdhEsA256Kw);
    assert_eq!(jwe::choose(&both[..1], &algs, &policy).unwrap_err().code(), "policy");
}

/// RFC 8725 section 3.8: the key must be one of the issuer that the token names.
#[test]
fn contexts_with_several_issuers_bind_every_key_to_one() {
    let verdict = |issuers: &[&str], bound: &[Option<&str>]| {
        let mut context = world(Nesting::JweOfJws).context;
        let open = context.open.as_mut().unwrap();
        open.issuers = issuers.iter().map(|issuer| issuer.to_string()).collect();
        open.trust = bound
            .iter()
            .map(|iss| PublicJwk { iss: iss.map(str::to_owned), ..jwk(&signing_key(), "k") })
            .collect();
        context.check_issuers().is_ok()
    };
    assert!(verdict(&["A"], &[None, None]));
    assert!(verdict(&[], &[None, None]));
    assert!(verdict(&["A", "B"], &[Some("A"), Some("B")]));
    assert!(!verdict(&["A", "B"], &[Some("A"), None]));
    assert!(!verdict(&["A", "B"], &[None]));
    assert!(!verdict(&[], &[Some("A"), None]));
}

//! The attributes of keys: of new ones, and of those that were there before.

use super::*;

#[test]
fn a_new_key_has_the_attributes_that_were_asked() {
    let keystore = common::open("templates");
    let witness = Witness::of("main");
    let cases: [(KeyShape, KeyAlgorithm, &[MechanismType]); 7] = [
        (RSA, unwrap(KeyManagement::RsaOaep), &[MechanismType::RSA_PKCS_OAEP]),
        (
            RSA,
            unwrap(KeyManagement::RsaOaep256),
            &[MechanismType::RSA_PKCS_OAEP, MechanismType::RSA_X_509],
        ),
        (
            RSA,
            sign(SignatureAlgorithm::Ps256),
            &[MechanismType::RSA_PKCS_PSS, MechanismType::SHA256_RSA_PKCS_PSS],
        ),
        (
            RSA,
            sign(SignatureAlgorithm::Rs384),
            &[MechanismType::RSA_PKCS, MechanismType::SHA384_RSA_PKCS],
        ),
        (
            KeyShape::Curve(Curve::P256),
            sign(SignatureAlgorithm::Es256),
            &[MechanismType::ECDSA, MechanismType::ECDSA_SHA256],
        ),
        (KeyShape::Curve(Curve::Ed25519), sign(SignatureAlgorithm::EdDsa), &[MechanismType::EDDSA]),
        (
            KeyShape::Curve(Curve::X25519),
            unwrap(KeyManagement::EcdhEs),
            &[MechanismType::ECDH1_DERIVE],
        ),
    ];
    for (shape, alg, mechanisms) in cases {
        let (locator, key) = make(&keystore, shape, &[alg]);
        let private = witness.find(ObjectClass::PRIVATE_KEY, &locator);
        assert_eq!(private.len(), 1, "{alg}");
        let read = |kind| witness.read(private[0], kind);
        let is_ecdh = matches!(alg, KeyAlgorithm::Unwrap(alg) if alg.is_ecdh());
        let is_sign = matches!(alg, KeyAlgorithm::Sign(_));
        for (kind, wanted) in [
            (AttributeType::Token, Attribute::Token(true)),
            (AttributeType::Private, Attribute::Private(true)),
            (AttributeType::Sensitive, Attribute::Sensitive(true)),
            (AttributeType::Extractable, Attribute::Extractable(false)),
            (AttributeType::AlwaysSensitive, Attribute::AlwaysSensitive(true)),
            (AttributeType::NeverExtractable, Attribute::NeverExtractable(true)),
            (AttributeType::Local, Attribute::Local(true)),
            (AttributeType::Modifiable, Attribute::Modifiable(false)),
            (AttributeType::Copyable, Attribute::Copyable(false)),
            (AttributeType::Decrypt, Attribute::Decrypt(!is_sign && !is_ecdh)),
            (AttributeType::Sign, Attribute::Sign(is_sign)),
            (AttributeType::Derive, Attribute::Derive(is_ecdh)),
            (AttributeType::SignRecover, Attribute::SignRecover(false)),
            (AttributeType::Unwrap, Attribute::Unwrap(false)),
            (AttributeType::Label, Attribute::Label(b"made".to_vec())),
        ] {
            assert_eq!(read(kind), Some(wanted), "{alg}: {kind}");
        }
        let Some(Attribute::AllowedMechanisms(allowed)) = read(AttributeType::AllowedMechanisms)
        else {
            panic!("{alg}: no CKA_ALLOWED_MECHANISMS")
        };
        assert_eq!(allowed.len(), mechanisms.len(), "{alg}: {allowed:?}");
        assert!(mechanisms.iter().all(|one| allowed.contains(one)), "{alg}: {allowed:?}");
        assert_eq!(key.0.info().unproven, Vec::<String>::new(), "{alg}");
        assert_eq!(key.0.info().weak, Vec::<String>::new(), "{alg}");
        assert!(!key.0.info().exportable, "{alg}");
        assert_eq!(witness.find(ObjectClass::PUBLIC_KEY, &locator).len(), 1, "{alg}");
        keystore.destroy(&locator).expect("destroyed");
        assert!(witness.find(ObjectClass::PRIVATE_KEY, &locator).is_empty(), "{alg}");
        assert!(witness.find(ObjectClass::PUBLIC_KEY, &locator).is_empty(), "{alg}");
    }
}

#[test]
fn host_oaep_is_used_only_where_it_is_allowed() {
    let config = Pkcs11Config { host_oaep: false, ..common::config("strict") };
    let strict = Pkcs11Keystore::open(config).expect("open");
    let alg = unwrap(KeyManagement::RsaOaep256);
    let support = strict.supports(alg, RSA).expect("an answer");
    let Support::No { reason } = &support else { panic!("{support:?}") };
    assert!(
        reason.contains("CKR_ARGUMENTS_BAD") && reason.contains("host_oaep = true"),
        "{reason}"
    );
    let native = strict.supports(unwrap(KeyManagement::RsaOaep), RSA).expect("an answer");
    assert_eq!(native, Support::Hardware { mechanism: "CKM_RSA_PKCS_OAEP" });
    let locator = strict.new_locator("strict").expect("a locator");
    let refused = strict.generate(&locator, &KeySpec { shape: RSA, algs: vec![alg] });
    assert!(matches!(refused, Err(BackendError::Unsupported { .. })), "{refused:?}");
    assert!(matches!(strict.find(&locator), Err(BackendError::NotFound { .. })));

    let keystore = common::open("lenient");
    let (locator, key) = make(&keystore, RSA, &[alg]);
    let support = key.0.support(alg).expect("an answer");
    let Support::HostAssisted { mechanism, step } = support else { panic!("{support:?}") };
    assert_eq!(mechanism, "CKM_RSA_X_509");
    assert!(step.contains("OAEP decoding (SHA-256)"), "{step}");
    // The very same key is refused to a keystore that does not allow it.
    let strictly = strict.find(&locator).expect("found");
    assert!(!strictly.support(alg).expect("an answer").is_available());
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn a_foreign_key_is_judged_and_not_changed() {
    let witness = Witness::of("main");
    let keystore = common::open("foreign");
    let locator = witness.generate(
        b"foreign-weak",
        &[
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Decrypt(true),
            Attribute::Sign(true),
        ],
    );
    let key = keystore.find(&locator).expect("found");
    let weak = key.info().weak.join("; ");
    for phrase in ["CKA_SENSITIVE is false", "CKA_EXTRACTABLE is true", "CKA_DECRYPT, CKA_SIGN"] {
        assert!(weak.contains(phrase), "{weak}");
    }
    assert!(key.info().exportable);
    assert!(key.info().unproven.iter().any(|one| one.starts_with("CKA_ALLOWED_MECHANISMS")));
    assert!(key.info().public.is_some());
    common::round_trip(&*key, KeyManagement::RsaOaep, ENC);
    signs(&*key, SignatureAlgorithm::Rs256);
    // A second one under the same id.
    witness.generate(b"foreign-weak", &[Attribute::Decrypt(true)]);
    let answer = keystore.find(&locator);
    assert!(matches!(answer, Err(BackendError::Ambiguous { count: 2, .. })), "{answer:?}");
    for handle in witness.find(ObjectClass::PRIVATE_KEY, &locator) {
        witness.session.destroy_object(handle).expect("destroyed");
    }
}

#[test]
fn a_key_that_is_bound_to_the_hashing_mechanism_signs() {
    let witness = Witness::of("main");
    let keystore = common::open("hashing");
    let locator = witness.generate(
        b"hashing",
        &[
            Attribute::Sign(true),
            Attribute::AllowedMechanisms(vec![MechanismType::SHA256_RSA_PKCS]),
        ],
    );
    let key = keystore.find(&locator).expect("found");
    let alg = SignatureAlgorithm::Rs256;
    let support = key.support(sign(alg)).expect("an answer");
    assert_eq!(support, Support::Hardware { mechanism: "CKM_SHA256_RSA_PKCS" });
    signs(&*key, alg);
    let digest = key.sign(alg, ToSign::Digest(&[0; 32]));
    assert!(matches!(digest, Err(BackendError::Unsupported { .. })), "{digest:?}");
    assert!(!key.support(sign(SignatureAlgorithm::Ps256)).expect("an answer").is_available());
    keystore.destroy(&locator).expect("destroyed");
}

#[test]
fn a_key_that_always_authenticates_is_served() {
    let witness = Witness::of("main");
    let keystore = common::open("always");
    let locator =
        witness.generate(b"always", &[Attribute::Sign(true), Attribute::AlwaysAuthenticate(true)]);
    let key = keystore.find(&locator).expect("found");
    signs(&*key, SignatureAlgorithm::Ps256);
    signs(&*key, SignatureAlgorithm::Ps256);
    keystore.destroy(&locator).expect("destroyed");
}

/// RFC 7520 section 3.4.
#[test]
fn a_known_rsa_key_can_be_put_in() {
    let keystore = common::open("importing");
    let json = include_bytes!("../data/rfc/rfc7520-section-3.4.json");
    let private = PrivateJwk::parse(json).expect("a private JWK");
    for (alg, is_sign) in [
        (sign(SignatureAlgorithm::Ps256), true),
        (unwrap(KeyManagement::RsaOaep), false),
        (unwrap(KeyManagement::RsaOaep256), false),
    ] {
        let locator = keystore.new_locator("imported").expect("a locator");
        let spec = KeySpec { shape: RSA, algs: vec![alg] };
        let key = keystore.import(&locator, &spec, &private).expect("imported");
        assert_eq!(key.info().public.as_ref(), Some(&private.public.key));
        let unproven = key.info().unproven.join("; ");
        assert!(unproven.contains("CKA_NEVER_EXTRACTABLE is false"), "{unproven}");
        match alg {
            KeyAlgorithm::Sign(alg) => signs(&*key, alg),
            KeyAlgorithm::Unwrap(alg) => common::round_trip(&*key, alg, ENC),
        }
        let private = Witness::of("main").find(ObjectClass::PRIVATE_KEY, &locator);
        let witness = Witness::of("main");
        let told = witness.read(private[0], AttributeType::Sign);
        assert_eq!(told, Some(Attribute::Sign(is_sign)));
        let told = witness.read(private[0], AttributeType::Extractable);
        assert_eq!(told, Some(Attribute::Extractable(false)));
        assert_eq!(witness.read(private[0], AttributeType::PrivateExponent), None);
        keystore.destroy(&locator).expect("destroyed");
    }
}

//! Contexts that a program makes itself: what is refused before any token is made or taken.

use hsm_jose::Error;
use hsm_jose::backend::HardwareKey;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{KeyShape, KeySpec, Keystore};
use hsm_jose::config::Config;
use hsm_jose::engine::{Engine, load};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
use hsm_jose::jwe::{self, Attempt, Decrypted, JweToken, Recipient};
use hsm_jose::jws::{self, JwsParameters, TrustedKeys};
use hsm_jose::jwt::{self, Claims, OuterKeys, ReceivedJwt, explain};
use hsm_jose::keyring::Keyring;
use hsm_jose::keystores::Keystores;
use hsm_jose::policy::{
    AllowList, Audience, Context, Nesting, OpenRules, Policy, Profile, SealRules,
};
use std::sync::Arc;

const NOW: u64 = 1_900_000_000;
const ISSUER: &str = "https://issuer.example";
const US: &str = "https://us.example";

/// A context that has all that any nesting needs, under a policy.
fn context(nesting: Nesting, policy: &Policy) -> Context {
    Context {
        name: "id_token".into(),
        nesting,
        typ: None,
        skew: 60,
        max_token_len: 65536,
        seal: Some(SealRules {
            issuer: Some(ISSUER.into()),
            audience: Some(Audience::Fixed(US.into())),
            sign: Some("issuer-sig".into()),
            algs: Some(AllowList::new([KeyManagement::EcdhEs]).unwrap()),
            encs: Some(AllowList::new([ContentEncryption::A256Gcm]).unwrap()),
            lifetime: Some(300),
        }),
        open: Some(OpenRules {
            audience: Some(US.into()),
            issuers: vec![ISSUER.into()],
            trust: Vec::new(),
            decrypt: vec!["our-enc".into()],
            jwe: Some(policy.jwe.clone()),
            jws: Some(policy.jws.clone()),
            max_lifetime: None,
        }),
    }
}

fn engine(policy: &Policy, context: &Context) -> Result<Engine, Error> {
    let keystores = Keystores::opened(Vec::new(), false).unwrap();
    Engine::new(policy.clone(), vec![context.clone()], &Keyring::default(), keystores)
}

fn key(alg: KeyAlgorithm, shape: KeyShape) -> Arc<dyn HardwareKey> {
    let spec = KeySpec { shape, algs: vec![alg] };
    MemoryKeystore::new("memory").generate_ephemeral(&spec).unwrap()
}

fn public(key: &dyn HardwareKey) -> PublicJwk {
    PublicJwk { kid: Some("key".into()), ..PublicJwk::bare(key.info().public.clone().unwrap()) }
}

fn refusal<T>(outcome: Result<T, Error>) -> String {
    match outcome {
        Ok(_) => panic!("it was taken"),
        Err(error) => format!("{}: {error}", error.code()),
    }
}

/// Keys of both purposes, and everything that the functions below an engine need.
struct Parties {
    sign: Arc<dyn HardwareKey>,
    decrypt: Arc<dyn HardwareKey>,
    trusted: TrustedKeys,
}

#[derive(Debug)]
struct Own<'k>(&'k dyn HardwareKey);

impl OuterKeys for Own<'_> {
    fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> hsm_jose::Result<Decrypted> {
        jwe::decrypt(token, &[Attempt { recipient: 0, key: self.0 }])
    }
}

impl Parties {
    fn new() -> Self {
        let p256 = KeyShape::Curve(Curve::P256);
        let sign = key(KeyAlgorithm::Sign(SignatureAlgorithm::Es256), p256);
        let decrypt = key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEs), p256);
        let keys = vec![public(&*sign)];
        let trusted = TrustedKeys::new(JwkSet { keys }, &Policy::of(Profile::Strict));
        Self { sign, decrypt, trusted }
    }

    fn seal(&self, policy: &Policy, context: &Context) -> Result<String, Error> {
        let signer: (&dyn HardwareKey, _, _) = (&*self.sign, "key", SignatureAlgorithm::Es256);
        let claims = Claims::parse(r#"{"sub":"alice"}"#).unwrap();
        let recipients = [Recipient::new(public(&*self.decrypt)).unwrap()];
        jwt::seal(context, policy, &claims, Some(signer), &recipients, Some(US), NOW)
    }

    fn open(&self, context: &Context, token: &str) -> Result<jwt::Opened, Error> {
        jwt::open(context, token.as_bytes(), &Own(&*self.decrypt), &self.trusted, NOW)
    }

    fn signed(&self, claims: &str) -> String {
        let alg = SignatureAlgorithm::Es256;
        let parameters = JwsParameters { alg, kid: Some("key"), typ: None, cty: None };
        jws::sign(&*self.sign, &parameters, claims.as_bytes()).unwrap()
    }
}

type Without = (&'static str, fn(&mut Context));

/// What every signed context has (RFC 8725 sections 3.8 and 3.9).
const SIGNED: [Without; 6] = [
    ("seal.issuer", |context| context.seal.as_mut().unwrap().issuer = None),
    ("seal.audience", |context| context.seal.as_mut().unwrap().audience = None),
    ("seal.sign", |context| context.seal.as_mut().unwrap().sign = None),
    ("seal.lifetime", |context| context.seal.as_mut().unwrap().lifetime = None),
    ("open.audience", |context| context.open.as_mut().unwrap().audience = None),
    ("open.jws", |context| context.open.as_mut().unwrap().jws = None),
];

/// What every encrypted context has.
const ENCRYPTED: [Without; 3] = [
    ("seal.algs", |context| context.seal.as_mut().unwrap().algs = None),
    ("seal.encs", |context| context.seal.as_mut().unwrap().encs = None),
    ("open.jwe", |context| context.open.as_mut().unwrap().jwe = None),
];

#[test]
fn a_context_that_lacks_what_its_tokens_need_is_taken_nowhere() {
    let (strict, parties) = (Policy::of(Profile::Strict), Parties::new());
    for nesting in [Nesting::Jws, Nesting::JweOfJws, Nesting::Jwe] {
        let whole = context(nesting, &strict);
        engine(&strict, &whole).unwrap();
        let token = parties.seal(&strict, &whole).unwrap();
        parties.open(&whole, &token).unwrap();

        let mut members = Vec::new();
        members.extend(SIGNED.iter().map(|member| (member, nesting.is_signed())));
        members.extend(ENCRYPTED.iter().map(|member| (member, nesting.is_encrypted())));
        for ((member, remove), is_needed) in members {
            let mut context = whole.clone();
            remove(&mut context);
            if !is_needed {
                engine(&strict, &context).unwrap();
                continue;
            }
            let expected = format!("context id_token lacks {member},");
            for refusal in [
                refusal(engine(&strict, &context)),
                refusal(parties.seal(&strict, &context)),
                refusal(parties.open(&context, &token)),
                explain(&context, token.as_bytes()).steps.concat(),
            ] {
                assert!(refusal.contains(&expected), "{nesting:?} {member}: {refusal}");
            }
        }
    }
}

/// Step by step, too: claims for somebody else do not come out as verified.
#[test]
fn a_nested_token_is_verified_by_a_signed_context_that_is_whole_and_no_other() {
    let (strict, parties) = (Policy::of(Profile::Strict), Parties::new());
    let whole = context(Nesting::JweOfJws, &strict);
    let token = parties.seal(&strict, &whole).unwrap();
    let verify = |context: &Context| {
        let received = ReceivedJwt::parse(token.as_bytes(), &strict.jwe).unwrap();
        let attempt = Attempt { recipient: 0, key: &*parties.decrypt };
        received.decrypt(&[attempt]).unwrap().verify(context, &parties.trusted, NOW)
    };
    verify(&whole).unwrap();
    let mut without = whole.clone();
    without.open.as_mut().unwrap().audience = None;
    assert!(refusal(verify(&without)).starts_with("config: context id_token lacks open.audience"));
    let unsigned = context(Nesting::Jwe, &strict);
    assert!(refusal(verify(&unsigned)).starts_with("usage: "));

    // What the first of these would have let through.
    let foreign = parties.signed(r#"{"iss":"https://issuer.example","aud":"x","exp":2000000000}"#);
    let signed = context(Nesting::Jws, &strict);
    assert!(refusal(parties.open(&signed, &foreign)).starts_with("claim: claim aud"));
}

/// What profile `strict` has not, in each place where a context names something.
const WIDER: [Without; 6] = [
    ("seal.encrypt: RSA-OAEP ", |context| {
        let algs = [KeyManagement::EcdhEs, KeyManagement::RsaOaep];
        context.seal.as_mut().unwrap().algs = Some(AllowList::new(algs).unwrap());
    }),
    ("seal.content: A128CBC-HS256 ", |context| {
        let encs = [ContentEncryption::A128CbcHs256];
        context.seal.as_mut().unwrap().encs = Some(AllowList::new(encs).unwrap());
    }),
    ("open.encrypt: ", |context| {
        let algs = Policy::of(Profile::All).jwe.algs;
        context.open.as_mut().unwrap().jwe.as_mut().unwrap().algs = algs;
    }),
    ("open.content: ", |context| {
        let encs = Policy::of(Profile::All).jwe.encs;
        context.open.as_mut().unwrap().jwe.as_mut().unwrap().encs = encs;
    }),
    ("open.sign: ", |context| {
        let algs = Policy::of(Profile::All).jws.algs;
        context.open.as_mut().unwrap().jws.as_mut().unwrap().algs = algs;
    }),
    ("open.jws: header parameter jku", |context| {
        let limits = Policy::of(Profile::All).jws.limits;
        context.open.as_mut().unwrap().jws.as_mut().unwrap().limits = limits;
    }),
];

#[test]
fn a_context_that_is_wider_than_the_policy_is_refused() {
    let (strict, all, parties) =
        (Policy::of(Profile::Strict), Policy::of(Profile::All), Parties::new());
    for (member, widen) in WIDER {
        let mut context = context(Nesting::JweOfJws, &strict);
        widen(&mut context);
        let expected = format!("config: context id_token: {member}");
        for refusal in
            [refusal(engine(&strict, &context)), refusal(parties.seal(&strict, &context))]
        {
            assert!(refusal.starts_with(&expected), "{member}: {refusal}");
        }
        engine(&all, &context).unwrap();
        parties.seal(&all, &context).unwrap();
    }
}

#[test]
fn a_context_signs_with_no_algorithm_that_the_policy_refuses() {
    let strict = Policy::of(Profile::Strict);
    let rs256 = SignatureAlgorithm::Rs256;
    let key = key(KeyAlgorithm::Sign(rs256), KeyShape::Rsa { bits: 3072 });
    let claims = Claims::parse("{}").unwrap();
    let seal = |policy: &Policy| {
        let signer: (&dyn HardwareKey, _, _) = (&*key, "key", rs256);
        let context = context(Nesting::Jws, &strict);
        jwt::seal(&context, policy, &claims, Some(signer), &[], Some(US), NOW)
    };
    assert!(refusal(seal(&strict)).starts_with("policy: refused by policy: alg \"RS256\""));
    seal(&Policy::of(Profile::All)).unwrap();
}

fn configured(policy: &str, context: &str) -> Result<Vec<Context>, Error> {
    let text = format!(
        "schema = 1\nenvironment = \"test\"\n[policy]\nprofile = \"strict\"\n{policy}\n\
         [context.vp]\nnesting = \"jwe\"\n{context}\n"
    );
    load::contexts(&Config::parse("hsm-jose.toml".as_ref(), &text)?)
}

#[test]
fn the_lists_of_a_configuration_hold_in_its_contexts() {
    let seal = "[context.vp.seal]\nencrypt = [\"RSA-OAEP-256\"]\ncontent = [\"A256GCM\"]";
    let open = "[context.vp.open]\ndecrypt = [\"our-enc\"]";
    configured("", seal).unwrap();
    let narrow = "jwe_alg = [\"ECDH-ES\"]\njwe_enc = [\"A256GCM\"]\n\
                  crit = [\"http://openbanking.org.uk/iat\"]";
    let refused = refusal(configured(narrow, seal));
    assert!(refused.starts_with("config: context vp: seal.encrypt: RSA-OAEP-256 "), "{refused}");
    let named = format!("{open}\ncontent = [\"A128GCM\"]");
    let refused = refusal(configured(narrow, &named));
    assert!(refused.starts_with("config: context vp: open.content: A128GCM "), "{refused}");

    // What is left out is what policy leaves; extensions are for what is outside of contexts.
    let contexts = configured(narrow, open).unwrap();
    let rules = contexts[0].open.as_ref().and_then(|open| open.jwe.as_ref()).unwrap();
    assert_eq!(
        (rules.algs.to_string(), rules.encs.to_string()),
        ("ECDH-ES".into(), "A256GCM".into())
    );
    assert!(rules.limits.critical.names().next().is_none());
    // Algorithms of symmetric keys are named by a context, or not taken.
    let symmetric = "jwe_alg = [\"A256KW\"]\nsymmetric = [\"A256KW\"]";
    let refused = refusal(configured(symmetric, open));
    assert!(refused.contains("context vp: open.encrypt is missing"), "{refused}");
    configured(symmetric, &format!("{open}\nencrypt = [\"A256KW\"]")).unwrap();
}

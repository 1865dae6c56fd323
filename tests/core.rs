//! The JOSE core on the memory keystore: what policy, decryption, verification and claims do before
//! and after a device. What a device does is for `backend.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{
    BackendError, Cek, CekRequest, HardwareKey, KeyInfo, KeyShape, KeySpec, Keystore, Support,
    ToSign,
};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jwe::{self, Attempt, Decrypted, JweBuilder, JweParameters, JweToken, Recipient};
use hsm_jose::jws::{self, JwsParameters, JwsToken, TrustedKeys};
use hsm_jose::jwt::{self, Claims, Opened, OuterKeys, explain};
use hsm_jose::policy::{
    AllowList, Audience, Context, Nesting, OpenRules, Policy, Profile, SealRules, refuse_confusable,
};

#[path = "core/contexts.rs"]
mod contexts;
#[path = "core/issuers.rs"]
mod issuers;

const NOW: u64 = 1_800_000_000;

/// A key that counts what reaches its device.
#[derive(Debug)]
struct Counted {
    key: Arc<dyn HardwareKey>,
    calls: AtomicUsize,
    dead: bool,
}

impl HardwareKey for Counted {
    fn keystore(&self) -> &str {
        self.key.keystore()
    }
    fn info(&self) -> &KeyInfo {
        self.key.info()
    }
    fn support(&self, alg: KeyAlgorithm) -> Result<Support, BackendError> {
        self.key.support(alg)
    }
    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.key.unwrap_cek(request, enc)
    }
    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.key.sign(alg, input)
    }
    fn confirm_alive(&self) -> Result<(), BackendError> {
        self.calls.fetch_add(1000, Ordering::Relaxed);
        match self.dead {
            true => Err(BackendError::Unavailable {
                keystore: "counted".into(),
                call: "C_GetSessionInfo".into(),
                code: "CKR_DEVICE_ERROR".into(),
            }),
            false => Ok(()),
        }
    }
}

impl OuterKeys for Counted {
    fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> Result<Decrypted, Error> {
        jwe::decrypt(token, &[Attempt { recipient: 0, key: self }])
    }
}

fn key(alg: KeyAlgorithm, shape: KeyShape) -> Counted {
    let keystore = MemoryKeystore::new("memory");
    let locator = keystore.new_locator("key").unwrap();
    let key = keystore.generate(&locator, &KeySpec { shape, algs: vec![alg] }).unwrap();
    Counted { key, calls: AtomicUsize::new(0), dead: false }
}

fn jwk(key: &Counted, kid: &str) -> PublicJwk {
    let mut jwk = PublicJwk::bare(key.info().public.clone().unwrap());
    jwk.kid = Some(kid.into());
    jwk
}

fn p256() -> KeyShape {
    KeyShape::Curve(Curve::P256)
}

fn decryption_key() -> Counted {
    key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw), p256())
}

fn signing_key() -> Counted {
    key(KeyAlgorithm::Sign(SignatureAlgorithm::Es256), p256())
}

fn parameters(alg: KeyManagement, enc: ContentEncryption) -> JweParameters<'static> {
    JweParameters { alg, enc, typ: None, cty: None, apu: b"Alice", apv: b"Bob" }
}

fn sealed_to(key: &Counted, enc: ContentEncryption, plaintext: &[u8]) -> String {
    let recipient = Recipient::new(jwk(key, "enc-1")).unwrap();
    jwe::encrypt(&recipient, &parameters(KeyManagement::EcdhEsA256Kw, enc), plaintext).unwrap()
}

fn decrypt(key: &Counted, token: &str) -> Result<Vec<u8>, Error> {
    let rules = Policy::of(Profile::All).jwe;
    let token = JweToken::parse(token.as_bytes(), &rules)?;
    Ok(jwe::decrypt(token, &[Attempt { recipient: 0, key }])?.plaintext.into_bytes())
}

/// Replaces part `index` of a compact token.
fn with_part(token: &str, index: usize, part: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[index] = part;
    parts.join(".")
}

fn with_header(
    token: &str,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> String {
    let header = base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    let mut members = serde_json::from_slice(&header).unwrap();
    change(&mut members);
    with_part(token, 0, &base64url::encode(&serde_json::to_vec(&members).unwrap()))
}

#[test]
fn every_alg_and_enc_opens_what_it_sealed() {
    for alg in KeyManagement::ALL.iter().filter(|alg| !alg.is_symmetric()) {
        let shapes = match alg.is_ecdh() {
            true => vec![Curve::P256, Curve::P384, Curve::P521, Curve::X25519]
                .into_iter()
                .map(KeyShape::Curve)
                .collect(),
            false => vec![KeyShape::Rsa { bits: 2048 }],
        };
        for shape in shapes {
            let key = key(KeyAlgorithm::Unwrap(*alg), shape);
            let recipient = Recipient::new(jwk(&key, "k")).unwrap();
            for enc in ContentEncryption::ALL {
                for plaintext in [&b""[..], b"x", &[7; 1000]] {
                    let mut parameters = parameters(*alg, *enc);
                    if !alg.is_ecdh() {
                        (parameters.apu, parameters.apv) = (b"", b"");
                    }
                    let token = jwe::encrypt(&recipient, &parameters, plaintext).unwrap();
                    assert_eq!(decrypt(&key, &token).unwrap(), plaintext, "{alg} {enc} {shape}");
                }
            }
        }
    }
}

/// RFC 7516 section 11.5: one answer, and the same calls to the device, whatever was wrong.
#[test]
fn failures_are_alike_in_answer_and_in_device_calls() {
    for enc in ContentEncryption::ALL {
        let key = decryption_key();
        let token = sealed_to(&key, *enc, b"secret");
        let parts: Vec<Vec<u8>> =
            token.split('.').map(|part| base64url::decode(part.as_bytes()).unwrap()).collect();
        let mut cases = Vec::new();
        for (index, part) in parts.iter().enumerate().skip(1) {
            let mut flipped = part.clone();
            flipped[0] ^= 1;
            let mut longer = part.clone();
            longer.push(0);
            for changed in [flipped, longer, part[..part.len() - 1].to_vec(), Vec::new()] {
                cases.push((index, with_part(&token, index, &base64url::encode(&changed))));
            }
        }
        // A CEK of the wrong length: wrapped for another enc under the same agreement.
        let other = if *enc == ContentEncryption::A128Gcm { "A256GCM" } else { "A128GCM" };
        cases.push((
            0,
            with_header(&token, |members| drop(members.insert("enc".into(), other.into()))),
        ));
        for (index, case) in cases {
            key.calls.store(0, Ordering::Relaxed);
            let error = decrypt(&key, &case).unwrap_err();
            assert!(matches!(error, Error::DecryptionFailed), "{enc} part {index}: {error}");
            assert_eq!(error.to_string(), "decryption failed");
            assert_eq!(key.calls.load(Ordering::Relaxed), 1001, "{enc} part {index}");
        }
    }
}

#[test]
fn a_dead_device_is_never_a_bad_token() {
    let mut key = decryption_key();
    let token = sealed_to(&key, ContentEncryption::A256Gcm, b"secret");
    key.dead = true;
    let bad = with_part(&token, 4, &base64url::encode(&[0; 16]));
    assert_eq!(decrypt(&key, &bad).unwrap_err().code(), "device_unavailable");
    assert_eq!(decrypt(&key, &token).unwrap(), b"secret");
}

#[test]
fn a_direct_agreement_with_an_encrypted_key_fails_like_any_other() {
    let key = key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEs), p256());
    let recipient = Recipient::new(jwk(&key, "k")).unwrap();
    let parameters = parameters(KeyManagement::EcdhEs, ContentEncryption::A128Gcm);
    let token = jwe::encrypt(&recipient, &parameters, b"x").unwrap();
    assert_eq!(decrypt(&key, &token).unwrap(), b"x");
    assert!(matches!(decrypt(&key, &with_part(&token, 1, "AAAA")), Err(Error::DecryptionFailed)));
}

/// Policy before the device: refused headers and invalid points cost nothing.
#[test]
fn what_policy_refuses_reaches_no_key() {
    let key = decryption_key();
    let token = sealed_to(&key, ContentEncryption::A256Gcm, b"secret");
    let other_curve = sealed_to(
        &self::key(
            KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw),
            KeyShape::Curve(Curve::X25519),
        ),
        ContentEncryption::A256Gcm,
        b"x",
    );
    let set = |name: &'static str, value: serde_json::Value| {
        with_header(&token, move |members| drop(members.insert(name.into(), value)))
    };
    let low_order = with_header(&other_curve, |members| {
        members["epk"]["x"] = base64url::encode(&[0; 32]).into();
    });
    let off_curve = with_header(&token, |members| {
        members["epk"]["y"] = base64url::encode(&[1; 32]).into();
    });
    let policy = Policy::of(Profile::Strict).jwe;
    let cases = [
        ("policy", set("alg", "none".into())),
        ("policy", set("alg", "RSA1_5".into())),
        ("policy", set("alg", "PBES2-HS256+A128KW".into())),
        ("policy", set("alg", "dir".into())),
        ("policy", set("alg", "RSA-OAEP".into())),
        ("policy", set("enc", "A128CBC-HS256".into())),
        ("policy", set("enc", "a256gcm".into())),
        ("policy", set("zip", "DEF".into())),
        ("policy", set("jku", "https://attacker.example".into())),
        ("policy", set("jwk", serde_json::json!({}))),
        ("malformed", set("crit", serde_json::json!(["x"]))),
        ("malformed", set("epk", serde_json::json!({}))),
        ("malformed", low_order),
        ("malformed", off_curve),
    ];
    for (code, case) in cases {
        assert_eq!(JweToken::parse(case.as_bytes(), &policy).unwrap_err().code(), code, "{case}");
    }
    let critical = with_header(&token, |members| {
        members.insert("crit".into(), serde_json::json!(["x"]));
        members.insert("x".into(), 1.into());
    });
    assert_eq!(JweToken::parse(critical.as_bytes(), &policy).unwrap_err().code(), "policy");
    let curve_token = JweToken::parse(other_curve.as_bytes(), &policy).unwrap();
    let algs = [KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw)];
    assert!(!curve_token.recipients()[0].fits(&algs, p256().kind()));
    assert_eq!(key.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_token_without_kid_tries_every_candidate_each_time() {
    let keys = [decryption_key(), decryption_key(), decryption_key()];
    let token = sealed_to(&keys[1], ContentEncryption::A256Gcm, b"secret");
    let attempts = keys.each_ref().map(|key| Attempt { recipient: 0, key });
    let parsed = JweToken::parse(token.as_bytes(), &Policy::of(Profile::Strict).jwe).unwrap();
    let decrypted = jwe::decrypt(parsed, &attempts).unwrap();
    assert_eq!((decrypted.plaintext.as_bytes(), decrypted.attempt), (&b"secret"[..], 1));
    let calls: Vec<_> = keys.iter().map(|key| key.calls.load(Ordering::Relaxed)).collect();
    assert_eq!(calls, [1001, 1, 1001]);
}

#[test]
fn every_signature_algorithm_verifies_and_nothing_else_does() {
    let policy = Policy::of(Profile::All);
    for alg in SignatureAlgorithm::ALL.iter().filter(|alg| !alg.is_symmetric()) {
        let shape = alg.curve().map_or(KeyShape::Rsa { bits: 2048 }, KeyShape::Curve);
        let key = key(KeyAlgorithm::Sign(*alg), shape);
        let trusted = TrustedKeys::new(JwkSet { keys: vec![jwk(&key, "s")] }, &policy);
        let parameters = JwsParameters { alg: *alg, kid: Some("s"), typ: None, cty: None };
        let token = jws::sign(&key, &parameters, b"payload").unwrap();
        let verify = |token: &str| JwsToken::parse(token.as_bytes(), &policy.jws)?.verify(&trusted);
        assert_eq!(verify(&token).unwrap().get().as_bytes(), b"payload");
        let mut signature =
            base64url::decode(token.rsplit('.').next().unwrap().as_bytes()).unwrap();
        let short = base64url::encode(&signature[1..]);
        let zero = base64url::encode(&vec![0; signature.len()]);
        signature[3] ^= 1;
        for bad in [base64url::encode(&signature), short, zero, String::new()] {
            let error = verify(&with_part(&token, 2, &bad)).unwrap_err();
            assert!(matches!(error, Error::SignatureInvalid), "{alg}: {error}");
        }
        assert!(verify(&with_part(&token, 1, "AAAA")).is_err());
        let detached = jws::sign_detached(&key, &parameters, b"payload").unwrap();
        let parse = || JwsToken::parse(detached.as_bytes(), &policy.jws).unwrap();
        parse().verify_detached(b"payload", &trusted).unwrap();
        assert!(matches!(
            parse().verify_detached(b"Payload", &trusted),
            Err(Error::SignatureInvalid)
        ));
    }
}

#[test]
fn a_signature_key_is_bound_to_what_its_jwk_says() {
    let policy = Policy::of(Profile::All);
    let key = key(KeyAlgorithm::Sign(SignatureAlgorithm::Ps256), KeyShape::Rsa { bits: 2048 });
    let parameters =
        JwsParameters { alg: SignatureAlgorithm::Ps256, kid: Some("s"), typ: None, cty: None };
    let token = jws::sign(&key, &parameters, b"payload").unwrap();
    let verdict = |change: &dyn Fn(&mut PublicJwk)| {
        let mut jwk = jwk(&key, "s");
        change(&mut jwk);
        let trusted = TrustedKeys::new(JwkSet { keys: vec![jwk] }, &policy);
        let verified = JwsToken::parse(token.as_bytes(), &policy.jws).unwrap().verify(&trusted);
        verified.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(verdict(&|_| {}), Ok(()));
    assert_eq!(verdict(&|jwk| jwk.alg = Some("PS256".into())), Ok(()));
    assert_eq!(verdict(&|jwk| jwk.kid = None), Ok(()));
    assert_eq!(verdict(&|jwk| jwk.alg = Some("RS256".into())), Err("policy"));
    assert_eq!(verdict(&|jwk| jwk.kid = Some("t".into())), Err("key_not_found"));
    assert_eq!(verdict(&|jwk| jwk.use_ = Some("enc".into())), Err("key_not_found"));
    assert_eq!(verdict(&|jwk| jwk.key_ops = Some(vec!["sign".into()])), Err("key_not_found"));
}

/// What a test changes of a context.
struct World {
    sign: Counted,
    decrypt: Counted,
    context: Context,
}

fn world(nesting: Nesting) -> World {
    let (sign, decrypt) = (signing_key(), decryption_key());
    let strict = Policy::of(Profile::Strict);
    let context = Context {
        name: "id_token".into(),
        nesting,
        typ: None,
        skew: 60,
        max_token_len: 65536,
        seal: Some(SealRules {
            issuer: Some("https://issuer.example".into()),
            audience: Some(Audience::Fixed("https://rp.example".into())),
            sign: nesting.is_signed().then(|| "issuer-sig".into()),
            algs: Some(AllowList::new([KeyManagement::EcdhEsA256Kw]).unwrap()),
            encs: Some(AllowList::new([ContentEncryption::A256Gcm]).unwrap()),
            lifetime: Some(300),
        }),
        open: Some(OpenRules {
            audience: Some("https://rp.example".into()),
            issuers: vec!["https://issuer.example".into()],
            trust: vec![jwk(&sign, "sig-1")],
            decrypt: vec!["partner-enc".into()],
            jwe: Some(strict.jwe),
            jws: Some(strict.jws),
            max_lifetime: None,
        }),
    };
    World { sign, decrypt, context }
}

impl World {
    fn seal(&self, claims: &str) -> Result<String, Error> {
        let claims = Claims::parse(claims)?;
        let recipients = [Recipient::new(jwk(&self.decrypt, "enc-1"))?];
        let signer: (&dyn HardwareKey, &str, _) = (&self.sign, "sig-1", SignatureAlgorithm::Es256);
        jwt::seal(
            &self.context,
            &Policy::of(Profile::Strict),
            &claims,
            Some(signer),
            &recipients,
            Some("https://rp.example"),
            NOW,
        )
    }

    fn open_at(&self, token: &str, now: u64) -> Result<Opened, Error> {
        let keys = self.context.open.as_ref().unwrap().trust.clone();
        let trusted = TrustedKeys::new(JwkSet { keys }, &Policy::of(Profile::Strict));
        jwt::open(&self.context, token.as_bytes(), &self.decrypt, &trusted, now)
    }

    fn verdict(&self, token: &str) -> &'static str {
        self.open_at(token, NOW).map_or_else(|error| error.code(), |_| "opened")
    }

    fn signed(&self, payload: &str, typ: Option<&str>, cty: Option<&str>) -> String {
        let parameters =
            JwsParameters { alg: SignatureAlgorithm::Es256, kid: Some("sig-1"), typ, cty };
        jws::sign(&self.sign, &parameters, payload.as_bytes()).unwrap()
    }

    fn encrypted(&self, content: &str, cty: Option<&str>) -> String {
        let recipient = Recipient::new(jwk(&self.decrypt, "enc-1")).unwrap();
        let mut parameters = parameters(KeyManagement::EcdhEsA256Kw, ContentEncryption::A256Gcm);
        parameters.cty = cty;
        jwe::encrypt(&recipient, &parameters, content.as_bytes()).unwrap()
    }
}

//! How much memory tokens take: what a large one needs at most while it is opened, what a hostile one
//! can make a parser allocate, and what is remembered of bad ones.
//!
//! Counted is what Rust code allocates, at the moment when it is most. The library below allocates
//! nothing that grows with a token.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
use hsm_jose::engine::{EncryptOptions, Engine};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::jose::base64url;
use hsm_jose::jose::header::{Header, MAX_HEADER_VALUES};
use hsm_jose::jose::inspect::inspect;
use hsm_jose::jose::json::MAX_VALUES;
use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
use hsm_jose::jose::serialization::{Jwe, JwsParts, MAX_TOKEN_LEN, Serialization};
use hsm_jose::jwe::{self, Attempt, Decrypted, JweBuilder, JweParameters, JweToken, Recipient};
use hsm_jose::jws::{self, Jws, JwsParameters, JwsToken, TrustedKeys};
use hsm_jose::jwt::{self, Claims, OuterKeys};
use hsm_jose::keyring::KeyringFile;
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
use hsm_jose::policy::{
    Context, FailureBudget, MAX_FAILURES, MAX_WINDOW, Nesting, OpenRules, Policy, Profile,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// One test at a time: the counters are those of the process.
static TURN: Mutex<()> = Mutex::new(());

const MIB: usize = 1024 * 1024;

/// Runs something and returns how much more than before was allocated at the worst moment, in bytes.
fn peak<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let result = run();
    (ALLOCATED.peak_usage().saturating_sub(before), result)
}

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(alg: KeyAlgorithm) -> (Arc<dyn HardwareKey>, PublicJwk) {
    let keystore = MemoryKeystore::new("memory");
    let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![alg] };
    let key = keystore.generate(&keystore.new_locator("key").unwrap(), &spec).unwrap();
    let mut jwk = PublicJwk::bare(key.info().public.clone().unwrap());
    jwk.kid = Some("key".into());
    (key, jwk)
}

fn seal_to(jwk: PublicJwk, enc: ContentEncryption, cty: Option<&str>, content: &[u8]) -> String {
    let alg = KeyManagement::EcdhEsA256Kw;
    let parameters = JweParameters { alg, enc, typ: None, cty, apu: b"", apv: b"" };
    jwe::encrypt(&Recipient::new(jwk).unwrap(), &parameters, content).unwrap()
}

/// A token of 16 MiB of content, opened in less than `most` times the memory of the token, the token
/// itself counted.
fn assert_within(most: f64, what: &str, token: &str, more: usize) {
    let ratio = (token.len() + more) as f64 / token.len() as f64;
    println!("{what}: {} bytes, {ratio:.2} times that at most", token.len());
    assert!(ratio <= most, "{what}: {ratio:.2} times the token");
    assert!(ratio > 1.5, "{what}: {ratio:.2}: the content alone is more, nothing was measured");
}

#[test]
fn decrypting_16_mib_takes_twice_the_token_at_most() {
    let _turn = turn();
    let (key, jwk) = key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw));
    let rules = Policy::of(Profile::All).jwe;
    // CBC takes long where nothing is optimized; its proportion is the same.
    for (enc, len) in
        [(ContentEncryption::A256Gcm, 16 * MIB), (ContentEncryption::A256CbcHs512, 2 * MIB)]
    {
        let token = seal_to(jwk.clone(), enc, None, &vec![b'x'; len]);
        let (more, opened) = peak(|| {
            let token = JweToken::parse(token.as_bytes(), &rules).unwrap();
            jwe::decrypt(token, &[Attempt { recipient: 0, key: &*key }]).unwrap().plaintext
        });
        assert_eq!(opened.as_bytes().len(), len);
        assert_within(1.8, enc.name(), &token, more);
    }
}

#[test]
fn keys_that_could_be_the_one_take_one_more_ciphertext() {
    let _turn = turn();
    let keys: Vec<_> =
        (0..4).map(|_| key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw))).collect();
    let rules = Policy::of(Profile::All).jwe;
    for place in 0..keys.len() {
        let token =
            seal_to(keys[place].1.clone(), ContentEncryption::A256Gcm, None, &vec![b'x'; 4 * MIB]);
        let attempts: Vec<_> =
            keys.iter().map(|(key, _)| Attempt { recipient: 0, key: &**key }).collect();
        let (more, opened) = peak(|| {
            let token = JweToken::parse(token.as_bytes(), &rules).unwrap();
            jwe::decrypt(token, &attempts).unwrap()
        });
        assert_eq!((opened.attempt, opened.plaintext.as_bytes().len()), (place, 4 * MIB));
        assert_within(2.6, &format!("key {place} of 4"), &token, more);
    }
}

#[test]
fn an_engine_decrypts_every_serialization_in_twice_the_token_at_most() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let keyring = KeyringFile::new(&directory.path().join("keyring.json"));
    let keystore: Arc<dyn Keystore> = Arc::new(MemoryKeystore::new("memory"));
    let alg = KeyManagement::EcdhEsA256Kw;
    let key = KeyRequest {
        name: "enc".into(),
        algs: vec![KeyAlgorithm::Unwrap(alg)],
        kid: None,
        profile: Profile::Strict,
    };
    let request =
        GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
    let jwk = generate(&keyring, &*keystore, &request).unwrap().jwk().unwrap();
    let keystores = Keystores::opened(vec![keystore], false).unwrap();
    let policy = Policy::of(Profile::Strict);
    let engine = Engine::new(policy, Vec::new(), &keyring.read().unwrap(), keystores).unwrap();
    let recipient = Recipient::new(jwk).unwrap();
    let content = vec![b'x'; 16 * MIB];
    for serialization in [Serialization::Compact, Serialization::Flattened, Serialization::General]
    {
        let jwe = JweBuilder::new(ContentEncryption::A256Gcm).to(&recipient, alg);
        let token = jwe.encrypt(serialization, &content).unwrap();
        let (more, opened) = peak(|| engine.decrypt(token.as_bytes(), None).unwrap());
        assert_eq!(opened.plaintext.as_bytes().len(), content.len());
        assert_within(1.8, &serialization.to_string(), &token, more);
    }
}

#[derive(Debug)]
struct Own(Arc<dyn HardwareKey>);

impl OuterKeys for Own {
    fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> hsm_jose::Result<Decrypted> {
        jwe::decrypt(token, &[Attempt { recipient: 0, key: &*self.0 }])
    }
}

#[test]
fn opening_a_nested_token_with_16_mib_of_claims_takes_three_times_the_token_at_most() {
    let _turn = turn();
    let (encryption_key, encryption_jwk) = key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw));
    let (signing_key, signing_jwk) = key(KeyAlgorithm::Sign(SignatureAlgorithm::Es256));
    let claims = |data: &str| {
        format!(r#"{{"iss":"https://issuer.example","aud":"us","exp":2000000000,"data":"{data}"}}"#)
    };
    let claims = claims(&"x".repeat(16 * MIB - claims("").len()));
    let parameters = JwsParameters {
        alg: SignatureAlgorithm::Es256,
        kid: Some("key"),
        typ: Some("JWT"),
        cty: None,
    };
    let inner = jws::sign(&*signing_key, &parameters, claims.as_bytes()).unwrap();
    let token = seal_to(encryption_jwk, ContentEncryption::A256Gcm, Some("JWT"), inner.as_bytes());
    drop((claims, inner));

    let policy = Policy::of(Profile::All);
    let mut rules = OpenRules {
        audience: Some("us".into()),
        issuers: vec!["https://issuer.example".into()],
        trust: vec![signing_jwk.clone()],
        decrypt: vec!["key".into()],
        jwe: Some(policy.jwe.clone()),
        jws: Some(policy.jws.clone()),
        max_lifetime: None,
    };
    for limits in [&mut rules.jwe.as_mut().unwrap().limits, &mut rules.jws.as_mut().unwrap().limits]
    {
        limits.max_token_len = token.len();
    }
    let context = Context {
        name: "large".into(),
        nesting: Nesting::JweOfJws,
        typ: None,
        skew: 60,
        max_token_len: token.len(),
        seal: None,
        open: Some(rules),
    };
    let trusted = TrustedKeys::new(JwkSet { keys: vec![signing_jwk] }, &policy);
    let own = Own(encryption_key);
    let (more, opened) =
        peak(|| jwt::open(&context, token.as_bytes(), &own, &trusted, 1_900_000_000).unwrap());
    assert_eq!(opened.claims().json().len(), 16 * MIB);
    assert_within(2.4, "nested", &token, more);
}

/// The largest budget costs no more for a peer than a small one: its failures are not kept one by one.
#[test]
fn a_spent_failure_budget_takes_less_than_a_kilobyte() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let keyring = KeyringFile::new(&directory.path().join("keyring.json"));
    let keystore: Arc<dyn Keystore> = Arc::new(MemoryKeystore::new("memory"));
    let alg = KeyAlgorithm::Unwrap(KeyManagement::A128Kw);
    let key = KeyRequest { name: "k".into(), algs: vec![alg], kid: None, profile: Profile::Strict };
    let request =
        GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
    generate(&keyring, &*keystore, &request).unwrap();
    let mut policy = Policy::of(Profile::Strict).with_symmetric(&[alg]).unwrap();
    let budget = FailureBudget::new(MAX_FAILURES, MAX_WINDOW).unwrap();
    policy.failure_budget = Some(budget);
    let keystores = Keystores::opened(vec![keystore], false).unwrap();
    let engine = Engine::new(policy, Vec::new(), &keyring.read().unwrap(), keystores).unwrap();
    let mut token = engine.encrypt_with("k", &EncryptOptions::default(), b"content").unwrap();
    // The first letter of the tag: another one is another tag, whatever it was.
    let tag = token.rfind('.').unwrap() + 1;
    let other = if token[tag..].starts_with('A') { "B" } else { "A" };
    token.replace_range(tag..=tag, other);
    let fail = |peer: &str| {
        let error = engine.decrypt_from(peer, token.as_bytes(), None).unwrap_err();
        error.code()
    };
    // What an engine allocates once.
    (0..4).for_each(|peer| assert_eq!(fail(&format!("other {peer}")), "decryption_failed"));
    let spend = |peer: &str| {
        let before = ALLOCATED.current_usage();
        for _ in 0..budget.failures() {
            assert_eq!(fail(peer), "decryption_failed");
        }
        assert_eq!(fail(peer), "decryption_budget_spent");
        ALLOCATED.current_usage().cast_signed() - before.cast_signed()
    };
    // The harness allocates and frees too, when it starts a test or tells of one: not beside each of
    // them.
    let mut each = ["mallory", "malice", "mall", "mal", "malin"].map(spend);
    each.sort_unstable();
    let more = each[each.len() / 2];
    println!("a spent budget of {} failures: {more} bytes", budget.failures());
    assert!(more < 1024, "{more} bytes");
}

/// What a parser may allocate for one byte of its input. A string with escapes is unescaped in a buffer
/// that doubles (while it grows, old and new are there: three times the string), and copied out of it.
const PER_BYTE: usize = 4;

/// What a parser may allocate for one JSON value besides: an object takes room for eleven members of
/// 56 bytes when it has its first.
const PER_VALUE: usize = 384;

/// What one parse may allocate whatever its input: messages, maps, a header of 16 KiB decoded.
const ALWAYS: usize = 256 * 1024;

type Parse = (&'static str, fn(&[u8]));

/// Every way in for a stranger's octets. Most inputs are refused; what counts is what that costs.
const PARSERS: [Parse; 13] = [
    ("JWE without a policy", |input| drop(Jwe::parse(input, MAX_TOKEN_LEN))),
    ("JWE, split", |input| {
        if let Ok(jwe) = Jwe::parse(input, MAX_TOKEN_LEN) {
            jwe.split().for_each(drop);
        }
    }),
    ("JWE", |input| drop(JweToken::parse(input, &Policy::of(Profile::All).jwe))),
    ("JWE, strict", |input| drop(JweToken::parse(input, &Policy::of(Profile::Strict).jwe))),
    ("JWS, split", |input| {
        if let Ok(jws) = JwsParts::parse(input, MAX_TOKEN_LEN) {
            jws.split().for_each(drop);
        }
    }),
    ("JWS, strict", |input| drop(Jws::parse(input, &Policy::of(Profile::Strict).jws))),
    ("compact JWS", |input| drop(JwsToken::parse(input, &Policy::of(Profile::All).jws))),
    ("JWS", |input| drop(Jws::parse(input, &Policy::of(Profile::All).jws))),
    ("inspect", |input| drop(inspect(input))),
    ("header", |input| drop(Header::parse(&String::from_utf8_lossy(input)))),
    ("claims", |input| drop(Claims::parse(input))),
    ("JWK", |input| drop(PublicJwk::parse(input))),
    ("JWK Set", |input| drop(JwkSet::parse(input))),
];

/// A JSON text with `count` times the same in it, each with its own number for `#`.
fn repeated(before: &str, each: &str, count: usize, after: &str) -> Vec<u8> {
    let mut text = String::from(before);
    for i in 0..count {
        text.push_str(if i == 0 { "" } else { "," });
        match each.split_once('#') {
            Some((start, end)) => text.extend([start, i.to_string().as_str(), end]),
            None => text.push_str(each),
        }
    }
    (text + after).into_bytes()
}

/// A header as full of values as is taken, each in an object of its own.
fn full_header(alg: &str) -> String {
    let start = format!(r#"{{"alg":"{alg}","enc":"A256GCM","{}":["#, "x".repeat(5));
    let count = (MAX_HEADER_VALUES - 5) / 2;
    String::from_utf8(repeated(&start, r#"{"":0}"#, count, "]}")).unwrap()
}

fn sharing_recipients(shared: bool) -> Vec<u8> {
    let protected = full_header("A256KW");
    let unprotected =
        protected.replace("xxxxx", "y").replace(r#""alg":"A256KW","enc":"A256GCM","#, "");
    let own = if shared { "{}" } else { &unprotected };
    let unprotected = if shared { &unprotected } else { "{}" };
    repeated(
        &format!(
            r#"{{"protected":"{}","unprotected":{unprotected},"iv":"","ciphertext":"","tag":"","recipients":["#,
            base64url::encode(protected.as_bytes())
        ),
        &format!(r#"{{"header":{own},"encrypted_key":"AAAA"}}"#),
        32,
        "]}",
    )
}

fn full_signatures() -> Vec<u8> {
    let protected = full_header("ES256").replace(r#","enc":"A256GCM""#, "");
    let own = protected.replace("xxxxx", "y").replace(r#""alg":"ES256","#, "");
    let protected = base64url::encode(protected.as_bytes());
    let each = format!(r#"{{"protected":"{protected}","header":{own},"signature":"AAAA"}}"#);
    repeated(r#"{"payload":"","signatures":["#, &each, 32, "]}")
}

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    const MANY: usize = 1_000_000;
    let text = |text: String| text.into_bytes();
    let header = base64url::encode(br#"{"alg":"ECDH-ES","enc":"A128GCM"}"#);
    vec![
        ("a million dots", text(".".repeat(MANY))),
        ("a million dots behind a header", text(header.clone() + &".".repeat(MANY))),
        ("a long header", text("A".repeat(4 * MANY) + "....")),
        ("a long encrypted key", text(format!("{header}.{}...", "A".repeat(4 * MANY)))),
        ("a long tag", text(format!("{header}....{}", "A".repeat(4 * MANY)))),
        ("a long signature", text(format!("{header}..{}", "A".repeat(4 * MANY)))),
        ("deep arrays", text("[".repeat(MANY))),
        ("deep objects", text(r#"{"a":"#.repeat(MANY))),
        ("a million members", repeated("{", r##""#":0"##, MANY, "}")),
        ("a million elements", repeated(r#"{"a":["#, "0", MANY, "]}")),
        ("a million arrays", repeated(r#"{"a":["#, "[0]", MANY, "]}")),
        ("a million objects", repeated(r#"{"a":["#, r#"{"":0}"#, MANY, "]}")),
        (
            "as many objects as are taken",
            repeated(r#"{"a":["#, r#"{"":0}"#, MAX_VALUES / 2 - 2, "]}"),
        ),
        ("as many elements as are taken", repeated(r#"{"a":["#, "0", MAX_VALUES - 2, "]}")),
        ("a million escapes", text(format!(r#"{{"a":"{}"}}"#, r"\n".repeat(MANY)))),
        ("a million escapes of six", text(format!(r#"{{"a":"{}"}}"#, r"\u0800".repeat(MANY)))),
        ("a name of escapes", text(format!(r#"{{"{}":0}}"#, r"\n".repeat(MANY)))),
        ("one escape at the end", text(format!(r#"{{"a":"{}\n"}}"#, "x".repeat(4 * MANY)))),
        ("a long string without end", text(format!(r#"{{"a":"{}\n"#, "x".repeat(4 * MANY)))),
        ("a long number", text(format!(r#"{{"a":{}}}"#, "1".repeat(MANY)))),
        ("a long fraction", text(format!(r#"{{"a":0.{}}}"#, "1".repeat(MANY)))),
        (
            "ten thousand recipients",
            repeated(
                &format!(
                    r#"{{"protected":"{header}","iv":"","ciphertext":"","tag":"","recipients":["#
                ),
                r##"{"header":{"kid":"#"},"encrypted_key":"AAAA"}"##,
                10_000,
                "]}",
            ),
        ),
        (
            "ten thousand signatures",
            repeated(
                r#"{"payload":"","signatures":["#,
                r#"{"protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AAAA"}"#,
                10_000,
                "]}",
            ),
        ),
        (
            "ten thousand keys",
            repeated(
                r#"{"keys":["#,
                r##"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"#"}"##,
                10_000,
                "]}",
            ),
        ),
        ("a million recipients that are none", repeated(r#"{"recipients":["#, "{}", MANY, "]}")),
        (
            "a million elements in a header that is not protected",
            repeated(r#"{"unprotected":{"a":["#, "0", MANY, "]}}"),
        ),
        (
            "a ciphertext of escapes",
            text(format!(r#"{{"ciphertext":"{}"}}"#, r"\u0041".repeat(MANY))),
        ),
        ("32 recipients that share full headers", sharing_recipients(true)),
        ("32 recipients with full headers", sharing_recipients(false)),
        ("32 signatures with full headers", full_signatures()),
        ("a million keys that are none", repeated(r#"{"keys":["#, "{}", MANY, "]}")),
    ]
}

#[test]
fn parsing_allocates_in_proportion_to_the_input() {
    let _turn = turn();
    let mut over = Vec::new();
    for (what, input) in hostile() {
        let allowed = PER_BYTE * input.len() + PER_VALUE * MAX_VALUES.min(input.len()) + ALWAYS;
        for (name, parse) in PARSERS {
            let (more, ()) = peak(|| parse(&input));
            let line =
                format!("{name}: {what}: {more} bytes for {}, at most {allowed}", input.len());
            println!("{line}");
            if more > allowed {
                over.push(line);
            }
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

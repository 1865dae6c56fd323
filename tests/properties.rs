//! What holds for every algorithm, whatever the content and whatever the size: a round trip gives back
//! what went in, and a changed bit anywhere is refused. On the memory keystore; symmetric keys in a
//! SoftHSM token too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{HardwareKey, KeyShape, KeySpec, Keystore};
use hsm_jose::jose::alg::{
    ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm,
};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PublicJwk};
use hsm_jose::jwe::{self, Attempt, Decrypted, JweParameters, JweToken, Recipient};
use hsm_jose::jws::{self, JwsParameters, JwsToken, TrustedKeys};
use hsm_jose::jwt::{self, Claims, OuterKeys};
use hsm_jose::policy::{
    AllowList, Audience, Context, Nesting, OpenRules, Policy, Profile, SealRules,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

mod common;
#[path = "properties/json_jwe.rs"]
mod json_jwe;
#[path = "properties/json_jws.rs"]
mod json_jws;
#[path = "properties/symmetric.rs"]
mod symmetric;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://partner.example";

/// The largest content, in bytes.
const MAX_LEN: usize = 1024 * 1024;

/// A key of every shape that there is.
const SHAPES: [KeyShape; 6] = [
    KeyShape::Rsa { bits: 2048 },
    KeyShape::Curve(Curve::P256),
    KeyShape::Curve(Curve::P384),
    KeyShape::Curve(Curve::P521),
    KeyShape::Curve(Curve::X25519),
    KeyShape::Curve(Curve::Ed25519),
];

/// A key for one algorithm, made once in this process.
fn key(alg: KeyAlgorithm, shape: KeyShape) -> Arc<dyn HardwareKey> {
    type Made = HashMap<(KeyAlgorithm, KeyShape), Arc<dyn HardwareKey>>;
    static KEYS: OnceLock<Mutex<Made>> = OnceLock::new();
    let mut keys = KEYS.get_or_init(Mutex::default).lock().unwrap_or_else(|held| held.into_inner());
    let make = || {
        let keystore = MemoryKeystore::new("memory");
        let locator = keystore.new_locator("key").unwrap();
        keystore.generate(&locator, &KeySpec { shape, algs: vec![alg] }).unwrap()
    };
    Arc::clone(keys.entry((alg, shape)).or_insert_with(make))
}

/// Every algorithm for decryption, with every shape of key that fits it.
fn decrypting() -> Vec<(KeyManagement, KeyShape)> {
    let all = KeyManagement::ALL.iter().flat_map(|alg| SHAPES.map(|shape| (*alg, shape)));
    all.filter(|(alg, shape)| alg.fits(shape.kind())).collect()
}

/// Every algorithm for signatures, with every shape of key that fits it.
fn signing() -> Vec<(SignatureAlgorithm, KeyShape)> {
    let all = SignatureAlgorithm::ALL.iter().flat_map(|alg| SHAPES.map(|shape| (*alg, shape)));
    all.filter(|(alg, shape)| alg.fits(shape.kind())).collect()
}

fn public(key: &dyn HardwareKey) -> PublicJwk {
    let mut public = PublicJwk::bare(key.info().public.clone().unwrap());
    public.kid = Some("key".into());
    public
}

fn encrypted(
    alg: KeyManagement,
    shape: KeyShape,
    enc: ContentEncryption,
    cty: Option<&str>,
    content: &[u8],
) -> String {
    let key = key(KeyAlgorithm::Unwrap(alg), shape);
    let recipient = Recipient::new(public(&*key)).unwrap();
    let (apu, apv): (&[u8], &[u8]) = if alg.is_ecdh() { (b"Alice", b"Bob") } else { (b"", b"") };
    let parameters = JweParameters { alg, enc, typ: None, cty, apu, apv };
    jwe::encrypt(&recipient, &parameters, content).unwrap()
}

fn decrypted(alg: KeyManagement, shape: KeyShape, token: &[u8]) -> Result<Vec<u8>, Error> {
    let key = key(KeyAlgorithm::Unwrap(alg), shape);
    let token = JweToken::parse(token, &Policy::of(Profile::All).jwe)?;
    Ok(jwe::decrypt(token, &[Attempt { recipient: 0, key: &*key }])?.plaintext.into_bytes())
}

fn signed(alg: SignatureAlgorithm, shape: KeyShape, payload: &[u8]) -> String {
    let key = key(KeyAlgorithm::Sign(alg), shape);
    let parameters = JwsParameters { alg, kid: Some("key"), typ: None, cty: None };
    jws::sign(&*key, &parameters, payload).unwrap()
}

fn verified(alg: SignatureAlgorithm, shape: KeyShape, token: &[u8]) -> Result<Vec<u8>, Error> {
    let policy = Policy::of(Profile::All);
    let keys = vec![public(&*key(KeyAlgorithm::Sign(alg), shape))];
    let trusted = TrustedKeys::new(JwkSet { keys }, &policy);
    Ok(JwsToken::parse(token, &policy.jws)?.verify(&trusted)?.into_inner().into_bytes())
}

/// A context of nested tokens: signed by one key, encrypted to another.
struct World {
    context: Context,
    policy: Policy,
    signing: Arc<dyn HardwareKey>,
    alg: SignatureAlgorithm,
    opening: Opening,
    trusted: TrustedKeys,
}

struct Opening(Arc<dyn HardwareKey>);

impl OuterKeys for Opening {
    fn decrypt(&self, token: JweToken<'_>, _: &[String]) -> Result<Decrypted, Error> {
        jwe::decrypt(token, &[Attempt { recipient: 0, key: &*self.0 }])
    }
}

impl World {
    fn new(
        (alg, shape): (KeyManagement, KeyShape),
        enc: ContentEncryption,
        (sig, sig_shape): (SignatureAlgorithm, KeyShape),
    ) -> Self {
        let policy = Policy::of(Profile::All);
        let signing = key(KeyAlgorithm::Sign(sig), sig_shape);
        let trust = vec![public(&*signing)];
        let seal = SealRules {
            issuer: Some(ISSUER.into()),
            audience: Some(Audience::Fixed(AUDIENCE.into())),
            sign: Some("issuer-sig".into()),
            algs: Some(AllowList::new([alg]).unwrap()),
            encs: Some(AllowList::new([enc]).unwrap()),
            lifetime: Some(300),
        };
        let open = OpenRules {
            audience: Some(AUDIENCE.into()),
            issuers: vec![ISSUER.into()],
            trust: trust.clone(),
            decrypt: vec!["partner-enc".into()],
            jwe: Some(policy.jwe.clone()),
            jws: Some(policy.jws.clone()),
            max_lifetime: None,
        };
        let context = Context {
            name: "id_token".into(),
            nesting: Nesting::JweOfJws,
            typ: None,
            skew: 0,
            max_token_len: 4 * MAX_LEN,
            seal: Some(seal),
            open: Some(open),
        };
        let trusted = TrustedKeys::new(JwkSet { keys: trust }, &policy);
        let opening = Opening(key(KeyAlgorithm::Unwrap(alg), shape));
        Self { context, policy, signing, alg: sig, opening, trusted }
    }

    fn seal(&self, claims: &Value) -> String {
        let claims = Claims::parse(claims.to_string()).unwrap();
        let signer = Some((&*self.signing, "key", self.alg));
        let recipients = [Recipient::new(public(&*self.opening.0)).unwrap()];
        let audience = Some(AUDIENCE);
        jwt::seal(&self.context, &self.policy, &claims, signer, &recipients, audience, NOW).unwrap()
    }

    fn open(&self, token: &[u8]) -> Result<Value, Error> {
        let opened = jwt::open(&self.context, token, &self.opening, &self.trusted, NOW)?;
        assert!(matches!(opened, jwt::Opened::Verified(_)));
        Ok(Value::Object(opened.claims().members().clone()))
    }
}

/// Lengths at the edges of a block, of a CEK, of base64url and of what is read at once, or any.
fn len() -> impl Strategy<Value = usize> {
    let edges = vec![0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 127, 128, 255, 256];
    prop_oneof![select(edges), 0..5000usize, 4080..4112usize, 0..=MAX_LEN]
}

/// A content that has its length and is no run of one byte.
fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|index| (index.wrapping_mul(31) >> (index % 7)) as u8 ^ seed).collect()
}

/// Few, and each with new keys and sizes: RSA of a debug build and 1 MiB take their time.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A change that leaves every part as long as it was is refused as one of these.
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Error>, what: &str) {
    let error = outcome.expect_err(what);
    let expected =
        ["malformed", "policy", "key_not_found", "decryption_failed", "signature_invalid"];
    assert!(expected.contains(&error.code()), "{what}: {error:?}");
}

/// Flips every bit of a token, one after the other.
fn every_bit<T: std::fmt::Debug>(token: &str, take: impl Fn(&[u8]) -> Result<T, Error>) {
    let mut changed = token.as_bytes().to_vec();
    assert!(take(&changed).is_ok(), "{token}");
    for bit in 0..8 * token.len() {
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_refused(take(&changed), &format!("bit {bit} of {token}"));
        changed[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn every_alg_and_enc_and_size_up_to_1_mib_comes_back() {
    // Each edge of a block with each enc, and 1 MiB with each; the algs take turns.
    let algs = decrypting();
    let mut turn = 0;
    for enc in ContentEncryption::ALL {
        for len in [0, 1, 15, 16, 17, 32, 4096, MAX_LEN] {
            let (alg, shape) = algs[turn % algs.len()];
            let content = content(len, turn as u8);
            let token = encrypted(alg, shape, *enc, None, &content);
            let back = decrypted(alg, shape, token.as_bytes()).unwrap();
            assert!(back == content, "{alg} {shape} {enc} {len}");
            turn += 1;
        }
    }
    for (alg, shape) in algs {
        for enc in ContentEncryption::ALL {
            let token = encrypted(alg, shape, *enc, None, b"content");
            assert_eq!(decrypted(alg, shape, token.as_bytes()).unwrap(), b"content");
        }
    }
}

#[test]
fn every_signature_algorithm_and_size_up_to_1_mib_comes_back() {
    for (alg, shape) in signing() {
        for len in [0, 1, 55, 56, 63, 64, 111, 112, 4096, MAX_LEN] {
            let payload = content(len, len as u8);
            let token = signed(alg, shape, &payload);
            let back = verified(alg, shape, token.as_bytes()).unwrap();
            assert!(back == payload, "{alg} {shape} {len}");
        }
    }
}

#[test]
fn every_combination_of_a_nested_token_opens() {
    for jwe in decrypting() {
        for sig in signing() {
            let enc = ContentEncryption::ALL[(jwe.0 as usize + sig.0 as usize) % 6];
            let world = World::new(jwe, enc, sig);
            let opened = world.open(world.seal(&json!({ "sub": "alice" })).as_bytes()).unwrap();
            assert_eq!((&opened["sub"], &opened["iss"]), (&json!("alice"), &json!(ISSUER)));
        }
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn what_is_encrypted_is_decrypted(
        (alg, shape) in select(decrypting()),
        enc in select(ContentEncryption::ALL),
        len in len(),
        seed: u8,
    ) {
        let content = content(len, seed);
        let token = encrypted(alg, shape, enc, None, &content);
        prop_assert!(decrypted(alg, shape, token.as_bytes()).unwrap() == content);
    }

    #[test]
    fn what_is_signed_is_verified(
        (alg, shape) in select(signing()),
        len in len(),
        seed: u8,
    ) {
        let payload = content(len, seed);
        let token = signed(alg, shape, &payload);
        prop_assert!(verified(alg, shape, token.as_bytes()).unwrap() == payload);
    }

    #[test]
    fn what_is_sealed_opens(
        jwe in select(decrypting()),
        enc in select(ContentEncryption::ALL),
        sig in select(signing()),
        text in "\\PC{0,64}",
        len in len(),
        seed: u8,
    ) {
        let world = World::new(jwe, enc, sig);
        let large = base64url::encode(&content(len, seed));
        let opened = world.open(world.seal(&json!({ "sub": text, "large": large })).as_bytes());
        let opened = opened.unwrap();
        prop_assert_eq!(&opened["sub"], &json!(text));
        prop_assert!(opened["large"] == large);
        prop_assert_eq!(&opened["exp"], &json!(NOW + 300));
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_changed_bit_of_a_jwe_is_refused(
        (alg, shape) in select(decrypting()),
        enc in select(ContentEncryption::ALL),
        len in 0..200usize,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut token = encrypted(alg, shape, enc, None, &content(len, bit)).into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        assert_refused(decrypted(alg, shape, &token), &format!("{alg} {enc} byte {at}"));
    }

    #[test]
    fn a_changed_bit_of_a_jws_is_refused(
        (alg, shape) in select(signing()),
        len in 0..200usize,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut token = signed(alg, shape, &content(len, bit)).into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        assert_refused(verified(alg, shape, &token), &format!("{alg} byte {at}"));
    }

    #[test]
    fn a_changed_bit_of_a_nested_token_is_refused_outside_and_inside(
        jwe in select(decrypting()),
        enc in select(ContentEncryption::ALL),
        sig in select(signing()),
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let world = World::new(jwe, enc, sig);
        let mut token = world.seal(&json!({ "sub": "alice" })).into_bytes();
        let inner = decrypted(jwe.0, jwe.1, &token).unwrap();
        let place = at.index(token.len());
        token[place] ^= 1 << bit;
        assert_refused(world.open(&token), &format!("byte {place} outside"));

        // Whoever has our public key can encrypt what they like to us.
        let mut inner = inner;
        let place = at.index(inner.len());
        inner[place] ^= 1 << bit;
        let token = encrypted(jwe.0, jwe.1, enc, Some("JWT"), &inner);
        assert_refused(world.open(token.as_bytes()), &format!("byte {place} inside"));
    }
}

/// Every bit, for one token of each family of algorithms. The last character of a part carries bits
/// that encode nothing: a change of those is another text for the same bytes, and refused as that.
#[test]
fn every_changed_bit_of_a_small_jwe_is_refused() {
    let families = [
        (KeyManagement::RsaOaep256, SHAPES[0], ContentEncryption::A128Gcm),
        (KeyManagement::EcdhEs, SHAPES[1], ContentEncryption::A128CbcHs256),
        (KeyManagement::EcdhEsA256Kw, SHAPES[4], ContentEncryption::A256Gcm),
    ];
    for (alg, shape, enc) in families {
        let token = encrypted(alg, shape, enc, None, b"c");
        every_bit(&token, |token| decrypted(alg, shape, token));
    }
}

#[test]
fn every_changed_bit_of_a_small_jws_is_refused() {
    let families = [
        (SignatureAlgorithm::Rs256, SHAPES[0]),
        (SignatureAlgorithm::Ps256, SHAPES[0]),
        (SignatureAlgorithm::Es256, SHAPES[1]),
        (SignatureAlgorithm::Ed25519, SHAPES[5]),
    ];
    for (alg, shape) in families {
        let token = signed(alg, shape, b"p");
        every_bit(&token, |token| verified(alg, shape, token));
    }
}

#[test]
fn every_changed_bit_of_a_nested_token_is_refused() {
    let world = World::new(
        (KeyManagement::EcdhEsA256Kw, SHAPES[1]),
        ContentEncryption::A256Gcm,
        (SignatureAlgorithm::EdDsa, SHAPES[5]),
    );
    every_bit(&world.seal(&json!({})), |token| world.open(token));
}

/// RFC 4648 section 3.5: bits that carry nothing are zero, or it is another text for the same bytes.
#[test]
fn bits_that_carry_nothing_are_malformed() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (alg, shape) = (KeyManagement::EcdhEsA256Kw, SHAPES[1]);
    let (sig, sig_shape) = (SignatureAlgorithm::EdDsa, SHAPES[5]);
    let jwe = encrypted(alg, shape, ContentEncryption::A128Gcm, None, b"c");
    let jws = signed(sig, sig_shape, b"p");
    let mut seen = 0;
    for (token, is_jwe) in [(jwe, true), (jws, false)] {
        let mut end = 0;
        for (index, part) in token.split('.').enumerate() {
            end += part.len() + 1;
            let free_bits = match part.len() % 4 {
                2 => 4,
                3 => 2,
                _ => continue,
            };
            let mut changed = token.clone().into_bytes();
            let last = &mut changed[end - 2];
            let value = ALPHABET.iter().position(|letter| letter == last).unwrap();
            for extra in 1..1 << free_bits {
                changed[end - 2] = ALPHABET[value | extra];
                let outcome = match is_jwe {
                    true => decrypted(alg, shape, &changed),
                    false => verified(sig, sig_shape, &changed),
                };
                // The payload is decoded when its text has been verified.
                let is_payload = !is_jwe && index == 1;
                let code = if is_payload { "signature_invalid" } else { "malformed" };
                assert_eq!(outcome.unwrap_err().code(), code);
                seen += 1;
            }
        }
    }
    assert!(seen >= 15, "{seen}");
}

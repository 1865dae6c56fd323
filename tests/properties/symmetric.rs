//! Symmetric keys: JWE under them, and MACs, in every serialization that there is for them.

use hsm_jose::jose::alg::KeyKind;
use hsm_jose::jose::serialization::Serialization;
use hsm_jose::jwe::JweBuilder;
use hsm_jose::jws::{Jws, JwsForm, Signer};
use hsm_jose::policy::CriticalExtensions;

use super::*;

const SERIALIZATIONS: [Serialization; 3] =
    [Serialization::Compact, Serialization::Flattened, Serialization::General];

/// The lengths of keys that an algorithm or an enc has, in bits.
const BITS: [u32; 6] = [128, 192, 256, 384, 512, 1024];

/// One way to encrypt: `dir` has as many keys as there are encs.
type Way = (KeyManagement, KeyShape, ContentEncryption);

/// Every algorithm for encryption with every length of key that fits it and every enc.
fn encrypting() -> Vec<Way> {
    let fits = |(alg, shape, enc): &Way| {
        let is_of_enc = shape.kind() == KeyKind::Oct { bits: 8 * enc.key_len() as u32 };
        alg.fits(shape.kind()) && (*alg != KeyManagement::Dir || is_of_enc)
    };
    let algs = KeyManagement::ALL.iter().copied().filter(|alg| alg.is_symmetric());
    let keys = algs.flat_map(|alg| BITS.map(|bits| (alg, KeyShape::Oct { bits })));
    let all = keys
        .flat_map(|(alg, shape)| ContentEncryption::ALL.iter().map(move |enc| (alg, shape, *enc)));
    all.filter(fits).collect()
}

/// Every algorithm for MACs with every length of key that fits it.
fn authenticating() -> Vec<(SignatureAlgorithm, KeyShape)> {
    let algs = SignatureAlgorithm::ALL.iter().filter(|alg| alg.is_symmetric());
    let all = algs.flat_map(|alg| BITS.map(|bits| (*alg, KeyShape::Oct { bits })));
    all.filter(|(alg, shape)| alg.fits(shape.kind())).collect()
}

/// The profile for production, with all of them named.
fn policy() -> Policy {
    let named: Vec<_> = KeyAlgorithm::all().filter(|alg| alg.is_symmetric()).collect();
    let mut policy = Policy::of(Profile::Strict).with_symmetric(&named).unwrap();
    policy.jwe.encs = AllowList::new(ContentEncryption::ALL.iter().copied()).unwrap();
    policy
}

fn sealed(
    key: &dyn HardwareKey,
    (alg, _, enc): Way,
    serialization: Serialization,
    content: &[u8],
) -> String {
    let aad: &[u8] = if serialization == Serialization::Compact { b"" } else { b"more" };
    let jwe = JweBuilder::new(enc).with(key, Some("key"), alg).protected("typ", "x").aad(aad);
    jwe.encrypt(serialization, content).unwrap()
}

fn opened(key: &dyn HardwareKey, token: &[u8]) -> Result<Vec<u8>, Error> {
    let token = JweToken::parse(token, &policy().jwe)?;
    if token.recipients()[0].kid() != Some("key") {
        return Err(Error::KeyNotFound("another kid".into()));
    }
    Ok(jwe::decrypt(token, &[Attempt { recipient: 0, key }])?.plaintext.into_bytes())
}

fn of_way((alg, shape, _): Way) -> Arc<dyn HardwareKey> {
    key(KeyAlgorithm::Unwrap(alg), shape)
}

fn authenticated_by(
    key: &dyn HardwareKey,
    alg: SignatureAlgorithm,
    serialization: Serialization,
    payload: &[u8],
) -> String {
    let parameters = JwsParameters { alg, kid: Some("key"), typ: Some("x"), cty: None };
    let form = JwsForm { serialization, ..JwsForm::default() };
    jws::sign_as(&[Signer::new(key, &parameters)], form, payload).unwrap()
}

fn authenticate(key: &dyn HardwareKey, token: &[u8]) -> Result<Vec<u8>, Error> {
    let jws = Jws::parse(token, &policy().jws)?;
    Ok(jws.authenticate(key, Some("key"))?.into_inner().into_bytes())
}

#[test]
fn every_alg_enc_serialization_and_size_up_to_1_mib_comes_back() {
    let ways = encrypting();
    assert_eq!(ways.len(), 6 * 6 + 6, "{ways:?}");
    for (turn, way) in ways.into_iter().enumerate() {
        let key = of_way(way);
        for serialization in SERIALIZATIONS {
            for len in [0, 1, 15, 16, 17, 4096] {
                let content = content(len, turn as u8);
                let token = sealed(&*key, way, serialization, &content);
                assert!(opened(&*key, token.as_bytes()).unwrap() == content, "{way:?} {len}");
            }
        }
        // The largest takes its time: each alg, each enc and each serialization has it.
        if way.0.is_direct() || turn % 7 == 0 {
            let content = content(MAX_LEN, turn as u8);
            let token = sealed(&*key, way, SERIALIZATIONS[turn % 3], &content);
            assert!(opened(&*key, token.as_bytes()).unwrap() == content, "{way:?}");
        }
    }
}

#[test]
fn every_mac_serialization_and_size_up_to_1_mib_comes_back() {
    for (alg, shape) in authenticating() {
        let key = key(KeyAlgorithm::Sign(alg), shape);
        for serialization in SERIALIZATIONS {
            for len in [0, 1, 55, 56, 63, 64, 111, 112, 4096] {
                let payload = content(len, len as u8);
                let token = authenticated_by(&*key, alg, serialization, &payload);
                let back = authenticate(&*key, token.as_bytes()).unwrap();
                assert!(back == payload, "{alg} {shape} {len}");
            }
        }
        let payload = content(MAX_LEN, 1);
        let token = authenticated_by(&*key, alg, Serialization::Compact, &payload);
        assert!(authenticate(&*key, token.as_bytes()).unwrap() == payload, "{alg} {shape}");
    }
}

/// In a token that encrypts the content itself for `dir`, and makes and unwraps the key for others.
#[cfg(feature = "pkcs11")]
#[test]
fn in_a_token_every_size_up_to_1_mib_comes_back() {
    let keystore = common::open("properties");
    let made = |alg, shape| {
        let locator = keystore.new_locator("properties").unwrap();
        keystore.generate(&locator, &KeySpec { shape, algs: vec![alg] }).unwrap()
    };
    // A token does not split a key for `dir` with CBC.
    let is_done = |way: &Way| way.0 != KeyManagement::Dir || way.2.iv_len() == 12;
    for (turn, way) in encrypting().into_iter().filter(is_done).enumerate() {
        let key = made(KeyAlgorithm::Unwrap(way.0), way.1);
        let large = if way.0.is_direct() { MAX_LEN } else { 4096 };
        for len in [0, 1, 16, 17, large] {
            let content = content(len, turn as u8);
            let token = sealed(&*key, way, SERIALIZATIONS[turn % 3], &content);
            assert!(opened(&*key, token.as_bytes()).unwrap() == content, "{way:?} {len}");
        }
        keystore.destroy(&key.info().locator).unwrap();
    }
    for (turn, (alg, shape)) in authenticating().into_iter().enumerate() {
        let key = made(KeyAlgorithm::Sign(alg), shape);
        for len in [0, 1, 63, 64, if turn == 0 { MAX_LEN } else { 65_537 }] {
            let payload = content(len, 1);
            let token = authenticated_by(&*key, alg, Serialization::Flattened, &payload);
            let back = authenticate(&*key, token.as_bytes()).unwrap();
            assert!(back == payload, "{alg} {shape} {len}");
        }
        keystore.destroy(&key.info().locator).unwrap();
    }
}

/// RFC 7516 section 7.2.1: one content, and each recipient gets its key in a way of its own.
#[test]
fn each_recipient_of_a_general_jwe_opens_it_with_its_own_key_and_no_other() {
    let pair = key(KeyAlgorithm::Unwrap(KeyManagement::EcdhEsA256Kw), SHAPES[1]);
    let public = Recipient::new(public(&*pair)).unwrap();
    let keystore = MemoryKeystore::new("another");
    for enc in ContentEncryption::ALL {
        let is_meant = |way: &Way| way.2 == *enc && !way.0.is_direct();
        let ways: Vec<_> = encrypting().into_iter().filter(is_meant).collect();
        let keys: Vec<_> = ways.iter().map(|way| of_way(*way)).collect();
        let jwe = JweBuilder::new(*enc).to(&public, KeyManagement::EcdhEsA256Kw);
        let jwe = ways.iter().zip(&keys).fold(jwe, |jwe, (way, key)| jwe.with(&**key, None, way.0));
        let token = jwe.encrypt(Serialization::General, b"content").unwrap();
        let open = |recipient, key: &dyn HardwareKey| {
            let token = JweToken::parse(token.as_bytes(), &policy().jwe).unwrap();
            let decrypted = jwe::decrypt(token, &[Attempt { recipient, key }]);
            decrypted.map(|it| it.plaintext.into_bytes())
        };
        assert_eq!(open(0, &*pair).unwrap(), b"content");
        for (place, ((alg, shape, _), key)) in ways.iter().zip(&keys).enumerate() {
            assert_eq!(open(place + 1, &**key).unwrap(), b"content", "{alg} {enc}");
            let spec = KeySpec { shape: *shape, algs: vec![KeyAlgorithm::Unwrap(*alg)] };
            let another = keystore.new_locator(&format!("{alg} {enc}")).unwrap();
            let another = keystore.generate(&another, &spec).unwrap();
            let refused = open(place + 1, &*another).unwrap_err();
            assert_eq!(refused.code(), "decryption_failed", "{alg} {enc}");
        }
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn what_is_encrypted_under_a_symmetric_key_is_decrypted(
        way in select(encrypting()),
        serialization in select(&SERIALIZATIONS[..]),
        len in len(),
        seed: u8,
    ) {
        let (key, content) = (of_way(way), content(len, seed));
        let token = sealed(&*key, way, serialization, &content);
        prop_assert!(opened(&*key, token.as_bytes()).unwrap() == content);
    }

    #[test]
    fn what_is_authenticated_is_verified(
        (alg, shape) in select(authenticating()),
        serialization in select(&SERIALIZATIONS[..]),
        len in len(),
        seed: u8,
    ) {
        let (key, payload) = (key(KeyAlgorithm::Sign(alg), shape), content(len, seed));
        let token = authenticated_by(&*key, alg, serialization, &payload);
        prop_assert!(authenticate(&*key, token.as_bytes()).unwrap() == payload);
    }
}

proptest! {
    #![proptest_config(config(48))]

    /// RFC 7515 appendix F and RFC 7797: made and verified in memory and by a reader, each as the
    /// other.
    #[test]
    fn a_mac_of_what_is_detached_is_of_its_payload_and_no_other(
        (alg, shape) in select(authenticating()),
        serialization in select(&SERIALIZATIONS[..]),
        unencoded: bool,
        len in prop_oneof![1..5000usize, 65_000..67_000usize],
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let (key, mut payload) = (key(KeyAlgorithm::Sign(alg), shape), content(len, bit));
        let parameters = JwsParameters { alg, kid: Some("key"), typ: None, cty: None };
        let signers = [Signer::new(&*key, &parameters)];
        let form = JwsForm { serialization, detached: true, unencoded };
        let token = jws::sign_as(&signers, form, &payload).unwrap();
        prop_assert_eq!(&jws::sign_reader(&signers, form, &payload[..]).unwrap(), &token);
        let policy = policy().extended(CriticalExtensions::default(), Some(true));
        let parsed = || Jws::parse(token.as_bytes(), &policy.jws).unwrap();
        let verify = |payload: &[u8]| {
            let whole = parsed().authenticate_detached(payload, &*key, Some("key"));
            let read = parsed().authenticate_reader(payload, &*key, Some("key"));
            [whole, read].map(|it| it.map(drop).map_err(|error| error.code()))
        };
        prop_assert_eq!(verify(&payload), [Ok(()), Ok(())]);
        payload[at.index(len)] ^= 1 << bit;
        prop_assert_eq!(verify(&payload), [Err("signature_invalid"); 2]);
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn a_changed_bit_under_a_symmetric_key_is_refused(
        way in select(encrypting()),
        serialization in select(&SERIALIZATIONS[..2]),
        len in 0..200usize,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let key = of_way(way);
        let mut token = sealed(&*key, way, serialization, &content(len, bit)).into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        assert_refused(opened(&*key, &token), &format!("{way:?} byte {at}"));
    }

    #[test]
    fn a_changed_bit_of_what_is_authenticated_is_refused(
        (alg, shape) in select(authenticating()),
        serialization in select(&SERIALIZATIONS[..]),
        len in 0..200usize,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let key = key(KeyAlgorithm::Sign(alg), shape);
        let payload = content(len, bit);
        let mut token = authenticated_by(&*key, alg, serialization, &payload).into_bytes();
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        assert_refused(authenticate(&*key, &token), &format!("{alg} byte {at}"));
    }
}

#[test]
fn every_changed_bit_of_a_small_jwe_under_a_symmetric_key_is_refused() {
    use ContentEncryption::{A128CbcHs256, A128Gcm, A256Gcm};
    let oct = |bits| KeyShape::Oct { bits };
    for (way, serialization) in [
        ((KeyManagement::A128Kw, oct(128), A128Gcm), Serialization::Compact),
        ((KeyManagement::A256Kw, oct(256), A128CbcHs256), Serialization::Flattened),
        ((KeyManagement::A256GcmKw, oct(256), A256Gcm), Serialization::Compact),
        ((KeyManagement::A128GcmKw, oct(128), A128Gcm), Serialization::Flattened),
        ((KeyManagement::Dir, oct(128), A128Gcm), Serialization::Compact),
        ((KeyManagement::Dir, oct(256), A128CbcHs256), Serialization::Flattened),
    ] {
        let key = of_way(way);
        every_bit(&sealed(&*key, way, serialization, b"c"), |token| opened(&*key, token));
    }
}

/// A member that nobody knows is passed over, so that a general JWE whose `recipients` is called
/// otherwise may be a flattened one: of `dir`, with the same content.
#[test]
fn a_changed_bit_of_a_general_jwe_under_a_symmetric_key_changes_no_content() {
    let oct = KeyShape::Oct { bits: 128 };
    for alg in [KeyManagement::A128Kw, KeyManagement::A128GcmKw, KeyManagement::Dir] {
        let way = (alg, oct, ContentEncryption::A128Gcm);
        let key = of_way(way);
        let mut token = sealed(&*key, way, Serialization::General, b"c").into_bytes();
        let mut refused = 0;
        for bit in 0..8 * token.len() {
            token[bit / 8] ^= 1 << (bit % 8);
            match opened(&*key, &token) {
                Ok(content) => assert_eq!((alg, &content[..]), (KeyManagement::Dir, &b"c"[..])),
                outcome => {
                    assert_refused(outcome, &format!("{alg} bit {bit}"));
                    refused += 1;
                }
            }
            token[bit / 8] ^= 1 << (bit % 8);
        }
        let names = 8 * "recipients".len();
        assert!(refused >= 8 * token.len() - names, "{alg}: {refused}");
    }
}

#[test]
fn every_changed_bit_of_a_small_mac_is_refused() {
    let alg = SignatureAlgorithm::Hs256;
    let key = key(KeyAlgorithm::Sign(alg), KeyShape::Oct { bits: 256 });
    for serialization in SERIALIZATIONS {
        let token = authenticated_by(&*key, alg, serialization, b"p");
        every_bit(&token, |token| authenticate(&*key, token));
    }
}

//! Symmetric keys at the seam: what every keystore that takes them promises, asked of each.

mod common;

use std::io::Read;
use std::sync::Arc;

use hsm_jose::backend::{
    BackendError, Cek, CekPlacement, CekRequest, HardwareKey, HostCek, KeyShape, KeySpec, Keystore,
    Locator, SecretInfo, Support, ToSign,
};
use hsm_jose::jose::alg::{
    AesKeyWrap, ContentEncryption, KeyAlgorithm, KeyManagement, KeyManagementMode,
    SignatureAlgorithm,
};
use hsm_jose::jose::base64url;
use hsm_jose::jose::oct::SecretJwk;
use hsm_jose::primitives::aes_kw;
use hsm_jose::primitives::secret::hmac;

const ENC: ContentEncryption = ContentEncryption::A256Gcm;
const MESSAGE: &[u8] = b"message";

/// Makes a module of a backend: each part of the suite is a test of it.
macro_rules! suite {
    ($backend:ident, $keystore:expr) => {
        suite!($backend, $keystore, [
            every_symmetric_algorithm_works_with_a_key_made_for_it,
            a_known_key_does_what_it_does_on_the_host,
            a_wrong_input_is_rejected_and_the_key_goes_on,
            a_key_does_its_own_algorithm_and_no_other,
            a_key_is_known_by_size_and_check_value,
            what_is_encrypted_twice_has_two_ivs,
            a_message_that_is_read_has_the_mac_of_one_that_is_held,
        ]);
    };
    ($backend:ident, $keystore:expr, [$($part:ident),+ $(,)?]) => {
        mod $backend {
            $(
                #[test]
                fn $part() {
                    super::$part(&$keystore);
                }
            )+
        }
    };
}

suite!(memory, hsm_jose::backend::memory::MemoryKeystore::new("suite"));
#[cfg(feature = "pkcs11")]
suite!(pkcs11, super::common::open("suite"));
// Known keys and AES are not for a TPM.
#[cfg(feature = "tpm")]
suite! { tpm, super::common::swtpm::open("suite"), [
    every_symmetric_algorithm_works_with_a_key_made_for_it,
    a_key_does_its_own_algorithm_and_no_other,
    a_message_that_is_read_has_the_mac_of_one_that_is_held,
] }

fn alg(name: &str) -> KeyAlgorithm {
    KeyAlgorithm::from_name(name).unwrap_or_else(|| panic!("no alg {name}"))
}

fn unwrap_alg(alg: KeyAlgorithm) -> KeyManagement {
    let KeyAlgorithm::Unwrap(alg) = alg else { panic!("{alg} authenticates") };
    alg
}

/// The algorithms, with the lengths of their keys in bits; a TPM makes those for HMAC, as long as the
/// hash.
fn symmetric(keystore: &dyn Keystore) -> impl Iterator<Item = (KeyAlgorithm, u32)> {
    let is_tpm = longest(keystore) == 1024;
    let least = |alg: KeyAlgorithm| match alg {
        KeyAlgorithm::Sign(alg) => alg.hash().map(|hash| 8 * hash.len() as u32),
        KeyAlgorithm::Unwrap(_) => None,
    };
    KeyAlgorithm::all().filter(|alg| alg.is_symmetric()).flat_map(move |alg| {
        let all = [128, 192, 256, 384, 512, 1024].into_iter();
        all.filter(move |bits| alg.fits(hsm_jose::jose::alg::KeyKind::Oct { bits: *bits }))
            // The keys of the encryptions that a token does not do.
            .filter(move |bits| alg.name() != "dir" || *bits <= 256)
            .filter(move |bits| !is_tpm || least(alg) == Some(*bits))
            .map(move |bits| (alg, bits))
    })
}

/// TPM2_HMAC of swtpm takes 1024 bytes; of the others, longer ones are asked for.
fn longest(keystore: &dyn Keystore) -> usize {
    if keystore.describe().expect("a device").kind == "tpm" { 1024 } else { 200_000 }
}

fn spec(alg: KeyAlgorithm, bits: u32) -> KeySpec {
    KeySpec { shape: KeyShape::Oct { bits }, algs: vec![alg] }
}

fn generate(keystore: &dyn Keystore, alg: KeyAlgorithm, bits: u32) -> Arc<dyn HardwareKey> {
    let locator = keystore.new_locator(&format!("suite {alg}")).expect("a locator");
    let made = keystore.generate(&locator, &spec(alg, bits));
    made.unwrap_or_else(|error| panic!("{alg} {bits}: {error}"))
}

fn secret(value: &[u8]) -> SecretJwk {
    let json = format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url::encode(value));
    SecretJwk::parse(json.as_bytes()).expect("a symmetric JWK")
}

fn import(keystore: &dyn Keystore, alg: KeyAlgorithm, value: &[u8]) -> Arc<dyn HardwareKey> {
    let locator = keystore.new_locator(&format!("suite {alg}")).expect("a locator");
    let spec = spec(alg, 8 * value.len() as u32);
    let made = keystore.import_secret(&locator, &spec, &secret(value));
    made.unwrap_or_else(|error| panic!("{alg}: {error}"))
}

fn host_cek(enc: ContentEncryption, value: &[u8]) -> HostCek {
    HostCek::new(enc, value.to_vec().into()).expect("a CEK")
}

/// A wrapped CEK as a token carries it.
#[derive(Clone)]
struct Wrapped {
    wrap: AesKeyWrap,
    encrypted_key: Vec<u8>,
    gcm: Option<(Vec<u8>, Vec<u8>)>,
}

impl Wrapped {
    fn of(key: &dyn HardwareKey, alg: KeyManagement, cek: &HostCek) -> Self {
        let wrapped = key.wrap_cek(alg, cek).unwrap_or_else(|error| panic!("{alg}: {error}"));
        let (KeyManagementMode::KeyWrapping(wrap) | KeyManagementMode::GcmKeyWrapping(wrap)) =
            alg.mode()
        else {
            panic!("{alg} does not wrap")
        };
        let gcm = wrapped.gcm.map(|(iv, tag)| (iv.to_vec(), tag.to_vec()));
        Self { wrap, encrypted_key: wrapped.encrypted_key, gcm }
    }

    fn request(&self) -> CekRequest<'_> {
        let (wrap, encrypted_key) = (self.wrap, &self.encrypted_key[..]);
        match &self.gcm {
            None => CekRequest::AesKw { wrap, encrypted_key },
            Some((iv, tag)) => CekRequest::AesGcmKw { wrap, encrypted_key, iv, tag },
        }
    }
}

/// Tells whether a CEK is the one of these bytes: what the one encrypts, the other decrypts.
fn is_cek(cek: &dyn Cek, enc: ContentEncryption, value: &[u8]) -> bool {
    let sealed = Cek::encrypt(Box::new(host_cek(enc, value)), b"aad", MESSAGE).expect("sealed");
    let opened = cek.decrypt(&sealed.iv, b"aad", &sealed.ciphertext, &sealed.tag);
    opened.is_ok_and(|plaintext| plaintext.as_bytes() == MESSAGE)
}

/// Gives a few octets at a time, then the end or an error.
struct Trickle<'a> {
    octets: &'a [u8],
    breaks: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.octets.is_empty() && self.breaks {
            return Err(std::io::Error::other("the disk is gone"));
        }
        let len = self.octets.len().min(buffer.len()).min(4000);
        let (now, rest) = self.octets.split_at(len);
        buffer[..len].copy_from_slice(now);
        self.octets = rest;
        Ok(len)
    }
}

/// PKCS#11 3.0 section 5.13.4: C_SignUpdate.
fn a_message_that_is_read_has_the_mac_of_one_that_is_held(keystore: &dyn Keystore) {
    let message: Vec<u8> = (0..200_000u32).map(|at| (at * 7 % 251) as u8).collect();
    let longest = longest(keystore);
    for (alg, bits) in symmetric(keystore) {
        let key = generate(keystore, alg, bits);
        let KeyAlgorithm::Sign(mac) = alg else {
            let refused = key.mac_reader(SignatureAlgorithm::Hs256, &mut &message[..]);
            assert!(matches!(refused, Err(BackendError::Unsupported { .. })), "{refused:?}");
            continue;
        };
        assert!(key.takes_reader());
        for len in [0, 1, 63, 64, 65_536.min(longest), longest] {
            let read = &mut Trickle { octets: &message[..len], breaks: false };
            let expected = key.sign(mac, ToSign::Message(&message[..len])).expect("a MAC");
            assert_eq!(key.mac_reader(mac, read).expect("a MAC"), expected, "{alg} {len}");
        }
        let broken = &mut Trickle { octets: &message[..longest / 2], breaks: true };
        let error = key.mac_reader(mac, broken).expect_err("a message without end");
        assert!(matches!(&error, BackendError::Message { .. }), "{error}");
        assert!(error.to_string().contains("the disk is gone"), "{error}");
        // Nothing of it stays behind.
        let whole = key.sign(mac, ToSign::Message(MESSAGE)).expect("a MAC");
        assert_eq!(key.mac_reader(mac, &mut &MESSAGE[..]).expect("a MAC"), whole);
        for other in ["HS256", "HS384", "HS512"].iter().filter(|name| **name != alg.name()) {
            let KeyAlgorithm::Sign(other) = self::alg(other) else { panic!("{other}") };
            let refused = key.mac_reader(other, &mut &message[..]);
            assert!(matches!(refused, Err(BackendError::Unsupported { .. })), "{refused:?}");
        }
    }
}

fn every_symmetric_algorithm_works_with_a_key_made_for_it(keystore: &dyn Keystore) {
    for (alg, bits) in symmetric(keystore) {
        let shape = KeyShape::Oct { bits };
        let support = keystore.supports(alg, shape).expect("an answer");
        assert!(matches!(support, Support::Hardware { .. }), "{alg} {bits}: {support:?}");
        let key = generate(keystore, alg, bits);
        assert_eq!(key.support(alg).expect("an answer"), support);
        assert_eq!(key.info().weak, Vec::<String>::new(), "{alg}");
        assert!(key.info().public.is_none() && !key.info().exportable, "{alg}");
        match alg {
            KeyAlgorithm::Sign(alg) => authenticates(&*key, alg, longest(keystore)),
            KeyAlgorithm::Unwrap(KeyManagement::Dir) => encrypts(&*key, bits),
            KeyAlgorithm::Unwrap(alg) => wraps(&*key, alg),
        }
        keystore.destroy(&key.info().locator).expect("destroyed");
        let gone = keystore.find(&key.info().locator);
        assert!(matches!(gone, Err(BackendError::NotFound { .. })), "{gone:?}");
    }
}

fn authenticates(key: &dyn HardwareKey, alg: SignatureAlgorithm, longest: usize) {
    let hash = alg.hash().expect("a hash");
    for message in [b"".as_slice(), MESSAGE, &vec![0x5a; longest]] {
        let mac = key.sign(alg, ToSign::Message(message)).expect("a MAC");
        assert_eq!(mac.len(), hash.len());
        let verify = |message: &[u8], mac: &[u8]| match key.verify_mac(alg, message, mac) {
            Ok(()) => true,
            Err(BackendError::Rejected) => false,
            Err(error) => panic!("{alg}: {error}"),
        };
        assert!(verify(message, &mac));
        assert!(!verify(b"another", &mac) && !verify(message, b"") && !verify(message, &mac[1..]));
        assert!(!verify(message, &[&mac[..], &[0]].concat()));
        for place in [0, mac.len() - 1] {
            let mut changed = mac.clone();
            changed[place] ^= 1;
            assert!(!verify(message, &changed));
        }
    }
    let digest = key.sign(alg, ToSign::Digest(&vec![0; hash.len()]));
    assert!(matches!(digest, Err(BackendError::Unsupported { .. })), "{digest:?}");
}

fn encrypts(key: &dyn HardwareKey, bits: u32) {
    for enc in ContentEncryption::ALL {
        let cek = key.unwrap_cek(&CekRequest::Dir, *enc);
        if enc.key_len() as u32 * 8 != bits {
            let refused = cek.expect_err("another length");
            let is_refusal =
                matches!(refused, BackendError::Unsupported { .. } | BackendError::Rejected);
            assert!(is_refusal, "{refused:?}");
            continue;
        }
        let cek = match cek {
            Ok(cek) => cek,
            Err(BackendError::Unsupported { reason, .. }) => {
                assert!(enc.iv_len() == 16 && reason.contains("split"), "{enc}: {reason}");
                continue;
            }
            Err(error) => panic!("{enc}: {error}"),
        };
        let is_device = cek.placement() == CekPlacement::Device;
        assert_eq!(is_device, key.support(alg("dir")).unwrap() != software(), "{enc}");
        for plaintext in [b"".as_slice(), MESSAGE, &[0x5a; 100_000]] {
            let cek = key.unwrap_cek(&CekRequest::Dir, *enc).expect("the key");
            let sealed = cek.encrypt(b"aad", plaintext).expect("sealed");
            assert_eq!((sealed.iv.len(), sealed.tag.len()), (enc.iv_len(), enc.tag_len()));
            let cek = key.unwrap_cek(&CekRequest::Dir, *enc).expect("the key");
            let open = |aad: &[u8]| cek.decrypt(&sealed.iv, aad, &sealed.ciphertext, &sealed.tag);
            assert_eq!(open(b"aad").expect("opened").as_bytes(), plaintext);
            assert!(matches!(open(b"aae"), Err(BackendError::Rejected)));
        }
    }
}

fn software() -> Support {
    Support::Hardware { mechanism: "software" }
}

fn wraps(key: &dyn HardwareKey, alg: KeyManagement) {
    for enc in ContentEncryption::ALL {
        let value: Vec<u8> = (0..enc.key_len() as u8).collect();
        let wrapped = Wrapped::of(key, alg, &host_cek(*enc, &value));
        let overhead = if wrapped.gcm.is_some() { 0 } else { 8 };
        assert_eq!(wrapped.encrypted_key.len(), value.len() + overhead, "{alg} {enc}");
        let cek = key.unwrap_cek(&wrapped.request(), *enc);
        let cek = cek.unwrap_or_else(|error| panic!("{alg} {enc}: {error}"));
        assert!(is_cek(&*cek, *enc, &value), "{alg} {enc}");
        assert_eq!(cek.placement(), CekPlacement::Host);
    }
}

/// Against the host's own AES key wrap, AES-GCM and HMAC.
fn a_known_key_does_what_it_does_on_the_host(keystore: &dyn Keystore) {
    for (alg, bits) in symmetric(keystore) {
        let value: Vec<u8> = (1..=bits / 8).map(|byte| byte as u8).collect();
        let key = import(keystore, alg, &value);
        let told = key.info().secret.expect("size and check value");
        assert_eq!(told.bits, bits);
        let cek: Vec<u8> = (0..32).rev().collect();
        match alg {
            KeyAlgorithm::Sign(alg) => {
                let hash = alg.hash().expect("a hash");
                let mac = key.sign(alg, ToSign::Message(MESSAGE)).expect("a MAC");
                assert_eq!(mac, hmac(hash, &value, MESSAGE), "{alg}");
            }
            KeyAlgorithm::Unwrap(KeyManagement::Dir) => {
                let is_gcm =
                    |enc: &&ContentEncryption| enc.key_len() == value.len() && enc.iv_len() == 12;
                let enc = *ContentEncryption::ALL.iter().find(is_gcm).expect("an enc");
                let own = key.unwrap_cek(&CekRequest::Dir, enc).expect("the key");
                assert!(is_cek(&*own, enc, &value), "{alg} {bits}");
            }
            KeyAlgorithm::Unwrap(unwrap) => {
                let wrapped = Wrapped::of(&*key, unwrap, &host_cek(ENC, &cek));
                match &wrapped.gcm {
                    None => {
                        let expected = aes_kw::wrap(wrapped.wrap, &value, &cek);
                        assert_eq!(wrapped.encrypted_key, expected, "{alg}");
                    }
                    Some((iv, tag)) => {
                        let kek = host_cek(wrapped.wrap.gcm(), &value);
                        let opened = kek.decrypt(iv, b"", &wrapped.encrypted_key, tag);
                        assert_eq!(opened.expect("the CEK").as_bytes(), cek, "{alg}");
                    }
                }
            }
        }
        keystore.destroy(&key.info().locator).expect("destroyed");
    }
    // RFC 3394 section 4.6.
    let hex = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    let kek = hex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
    let data = hex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
    let key = import(keystore, alg("A256KW"), &kek);
    let wrapped = Wrapped::of(&*key, KeyManagement::A256Kw, &host_cek(ENC, &data));
    let expected =
        "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21";
    assert_eq!(wrapped.encrypted_key, hex(expected));
    keystore.destroy(&key.info().locator).expect("destroyed");
}

fn a_wrong_input_is_rejected_and_the_key_goes_on(keystore: &dyn Keystore) {
    for name in ["A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW"] {
        let alg = alg(name);
        let bits = match &name[..4] {
            "A128" => 128,
            "A192" => 192,
            _ => 256,
        };
        let key = generate(keystore, alg, bits);
        let value = [7; 32];
        let good = Wrapped::of(&*key, unwrap_alg(alg), &host_cek(ENC, &value));
        let mut bad = Vec::new();
        let mut add = |change: &dyn Fn(&mut Wrapped)| {
            let mut changed = good.clone();
            change(&mut changed);
            bad.push(changed);
        };
        for place in [0, 1, good.encrypted_key.len() - 1] {
            add(&|it| it.encrypted_key[place] ^= 0x80);
        }
        for len in [0, 1, 7, 8, 16, 24, 31, 39, 41, 48, 5000, 1 << 20] {
            if len != good.encrypted_key.len() {
                add(&|it| it.encrypted_key.resize(len, 0));
            }
        }
        add(&|it| it.encrypted_key.fill(0));
        if good.gcm.is_some() {
            let gcm = |it: &mut Wrapped, change: &dyn Fn(&mut Vec<u8>, &mut Vec<u8>)| {
                let (iv, tag) = it.gcm.as_mut().expect("GCM");
                change(iv, tag);
            };
            add(&|it| gcm(it, &|iv, _| iv[0] ^= 1));
            add(&|it| gcm(it, &|_, tag| tag[15] ^= 1));
            for len in [0, 1, 8, 11, 13, 16, 4096] {
                add(&|it| gcm(it, &|iv, _| iv.resize(len, 0)));
            }
            for len in [0, 1, 4, 8, 12, 15, 17, 4096] {
                add(&|it| gcm(it, &|_, tag| tag.resize(len, 0)));
            }
        }
        for bad in bad {
            let answer = key.unwrap_cek(&bad.request(), ENC);
            assert!(matches!(answer, Err(BackendError::Rejected)), "{alg}: {answer:?}");
        }
        // A CEK of another length than the enc needs.
        for enc in [ContentEncryption::A128Gcm, ContentEncryption::A256CbcHs512] {
            let answer = key.unwrap_cek(&good.request(), enc);
            assert!(matches!(answer, Err(BackendError::Rejected)), "{alg} {enc}: {answer:?}");
        }
        key.confirm_alive().expect("alive");
        let cek = key.unwrap_cek(&good.request(), ENC).expect("the CEK");
        assert!(is_cek(&*cek, ENC, &value), "{alg}");
        keystore.destroy(&key.info().locator).expect("destroyed");
    }
    let key = generate(keystore, alg("dir"), 256);
    let own = || key.unwrap_cek(&CekRequest::Dir, ENC).expect("the key");
    let sealed = own().encrypt(b"aad", MESSAGE).expect("sealed");
    let cek = own();
    let rejected = |iv: &[u8], ciphertext: &[u8], tag: &[u8]| {
        let answer = cek.decrypt(iv, b"aad", ciphertext, tag);
        assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
    };
    for len in [0, 1, 8, 11, 13, 16, 4096] {
        rejected(&vec![0; len], &sealed.ciphertext, &sealed.tag);
    }
    for len in [0, 1, 4, 8, 12, 15] {
        rejected(&sealed.iv, &sealed.ciphertext, &sealed.tag[..len]);
    }
    // A tag that is short by what the ciphertext is long: the same octets in another place.
    let octets = [&sealed.ciphertext[..], &sealed.tag].concat();
    for cut in 0..=octets.len() {
        if cut != sealed.ciphertext.len() {
            rejected(&sealed.iv, &octets[..cut], &octets[cut..]);
        }
    }
    let opened = cek.decrypt(&sealed.iv, b"aad", &sealed.ciphertext, &sealed.tag);
    assert_eq!(opened.expect("opened").as_bytes(), MESSAGE);
    keystore.destroy(&key.info().locator).expect("destroyed");
}

fn a_key_does_its_own_algorithm_and_no_other(keystore: &dyn Keystore) {
    for name in ["A256KW", "A256GCMKW", "dir", "HS256"] {
        let own = alg(name);
        if !symmetric(keystore).any(|it| it == (own, 256)) {
            continue;
        }
        let key = generate(keystore, own, 256);
        for other in KeyAlgorithm::all().filter(|other| *other != own) {
            // AES in GCM is one mechanism for A256GCMKW and dir: which of them is the keyring's to say.
            if [name, other.name()].iter().all(|alg| ["A256GCMKW", "dir"].contains(alg)) {
                continue;
            }
            let support = key.support(other);
            assert!(matches!(support, Ok(Support::No { .. })), "{own} {other}: {support:?}");
            let refused = match other {
                KeyAlgorithm::Sign(alg) => key.sign(alg, ToSign::Message(MESSAGE)).map(drop),
                KeyAlgorithm::Unwrap(alg) => key.wrap_cek(alg, &host_cek(ENC, &[0; 32])).map(drop),
            };
            assert!(matches!(refused, Err(BackendError::Unsupported { .. })), "{own} {other}");
        }
        keystore.destroy(&key.info().locator).expect("destroyed");
    }
    // RFC 7518 section 3.1: the algorithms of key pairs are never verified with a symmetric key.
    let key = generate(keystore, alg("HS256"), 256);
    for alg in SignatureAlgorithm::ALL.iter().filter(|alg| !alg.is_symmetric()) {
        let answer = key.verify_mac(*alg, MESSAGE, &[0; 64]);
        assert!(matches!(answer, Err(BackendError::Unsupported { .. })), "{alg}: {answer:?}");
    }
    keystore.destroy(&key.info().locator).expect("destroyed");
}

/// PKCS#11: CKA_CHECK_VALUE; FIPS 197 and FIPS 180-4 for the values.
fn a_key_is_known_by_size_and_check_value(keystore: &dyn Keystore) {
    for (name, value, check) in [
        ("A128KW", vec![0; 16], "66E94B"),
        ("A256GCMKW", vec![0; 32], "DC95C0"),
        ("dir", vec![0; 24], "AAE069"),
        // SHA-1 of 32 zeros.
        ("HS256", vec![0; 32], "DE8A84"),
    ] {
        let key = import(keystore, alg(name), &value);
        let told = key.info().secret.expect("size and check value");
        assert_eq!(
            told.check_value.map(|value| value.to_string()).as_deref(),
            Some(check),
            "{name}"
        );
        let locator = key.info().locator.clone();
        let find = |secret: SecretInfo| keystore.find_with_secret(&locator, &secret);
        assert_eq!(find(told).expect("found").info().secret, Some(told));
        assert!(find(SecretInfo { check_value: None, ..told }).is_ok());
        for other in [
            SecretInfo { bits: told.bits + 64, ..told },
            SecretInfo { check_value: "000000".parse().ok(), ..told },
        ] {
            let answer = find(other);
            assert!(matches!(answer, Err(BackendError::Misconfigured { .. })), "{answer:?}");
        }
        let is_listed = |locator: &Locator| {
            keystore.list().expect("a list").iter().any(|info| info.locator == *locator)
        };
        assert!(is_listed(&locator), "{name}");
        keystore.destroy(&locator).expect("destroyed");
        assert!(!is_listed(&locator), "{name}");
    }
}

fn what_is_encrypted_twice_has_two_ivs(keystore: &dyn Keystore) {
    let key = generate(keystore, alg("dir"), 128);
    let enc = ContentEncryption::A128Gcm;
    let ivs = |_| key.unwrap_cek(&CekRequest::Dir, enc).unwrap().encrypt(b"", b"").unwrap().iv;
    let ivs: std::collections::HashSet<_> = (0..100).map(ivs).collect();
    assert_eq!(ivs.len(), 100);
    keystore.destroy(&key.info().locator).expect("destroyed");
}

//! Keys for HMAC in a TPM: what it makes and computes, by what it knows them, and what is refused.
#![cfg(feature = "tpm")]

mod common;

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::proxy::{self, Proxy};
use common::swtpm::keys::{file_of, plain, spec};
use common::swtpm::macs::*;
use common::swtpm::{self, Swtpm};
use hsm_jose::backend::tpm::{TpmConfig, TpmKeystore, describe_key_file};
use hsm_jose::backend::{BackendError, Keystore, Locator, SecretInfo, Support, ToSign};
use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement};
use hsm_jose::jose::oct::SecretJwk;

/// TPM_PT_INPUT_BUFFER of swtpm.
const MAX_INPUT: usize = 1024;

#[test]
fn a_key_for_each_hmac_is_made_and_stays_in_the_tpm() {
    let keystore = swtpm::open("tpm");
    for (alg, bits) in MACS {
        let support = keystore.supports(KeyAlgorithm::Sign(alg), oct(bits)).unwrap();
        assert_eq!(support, Support::Hardware { mechanism: "TPM_ALG_HMAC" }, "{alg}");
        let key = generate(&keystore, alg, bits);
        assert_eq!(key.support(KeyAlgorithm::Sign(alg)).unwrap(), support);
        let info = key.info();
        assert!(info.public.is_none() && !info.exportable, "{info:?}");
        assert_eq!((info.weak.len(), info.unproven.len()), (0, 0), "{info:?}");
        for name in ["fixedTPM", "fixedParent", "sensitiveDataOrigin", "userWithAuth", "sign"] {
            assert!(info.attributes.iter().any(|attribute| attribute == name), "{name}");
        }
        assert!(!info.attributes.iter().any(|attribute| attribute == "decrypt"));
        let secret = info.secret.unwrap();
        assert!(secret.bits == bits && secret.check_value.is_some(), "{secret:?}");
        let other = generate(&keystore, alg, bits);
        assert_ne!(other.info().secret, Some(secret));
        assert_ne!(mac(&*other, alg), mac(&*key, alg));
        // The lengths at which HMAC fills another block, and the longest.
        for len in [0, 63, 64, 127, 128, MAX_INPUT - 1, MAX_INPUT] {
            let message = vec![0x5a; len];
            let made = key.sign(alg, ToSign::Message(&message)).unwrap();
            assert!(key.verify_mac(alg, &message, &made).is_ok(), "{alg} {len}");
            let answer = other.verify_mac(alg, &message, &made);
            assert!(matches!(answer, Err(BackendError::Rejected)), "{alg} {len}: {answer:?}");
        }
        keystore.destroy(&info.locator).unwrap();
        let answer = key.sign(alg, ToSign::Message(MESSAGE));
        assert!(matches!(answer, Err(BackendError::NotFound { .. })), "{answer:?}");
    }
}

/// A longer one is refused by its length, to verify as to sign, whatever the MAC is.
#[test]
fn what_is_longer_than_the_tpm_takes_is_refused_with_the_limit() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(tpm.port);
    let config = TpmConfig { tcti: swtpm::tcti(proxy.port), ..plain(&tpm) };
    let key = generate(&TpmKeystore::open(config.clone()).unwrap(), HS256, 256);
    mac(&*key, HS256);
    proxy.take();
    for len in [MAX_INPUT + 1, 5000, 1 << 20] {
        let message = vec![0; len];
        let said = refusal(key.sign(HS256, ToSign::Message(&message)));
        for part in ["more than 1024 bytes", "TPM_PT_INPUT_BUFFER", "ES256", "PKCS#11"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(refusal(key.mac_reader(HS256, &mut &message[..])), said);
        for mac in [&[][..], &[0; 32], &[0; 64]] {
            assert_eq!(refusal(key.verify_mac(HS256, &message, mac)), said);
        }
    }
    assert_eq!(proxy.take().len(), 0, "the TPM was asked");
    mac(&*key, HS256);

    // A TPM that takes less says so, and is believed.
    proxy.alter(with_input_buffer(512));
    let locator = key.info().locator.clone();
    drop(key);
    let key = TpmKeystore::open(config).unwrap().find(&locator).unwrap();
    let answer = key.verify_mac(HS256, &[0; 512], &[0; 32]);
    assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
    let said = refusal(key.verify_mac(HS256, &[0; 513], &[0; 32]));
    assert!(said.contains("more than 512 bytes"), "{said}");
}

#[test]
fn a_tpm_without_hmac_is_told_before() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(tpm.port);
    let config = TpmConfig { tcti: swtpm::tcti(proxy.port), ..plain(&tpm) };
    let shape = oct(256);
    // TPM_RC_COMMAND_CODE; TPM_RC_HASH of the first parameter.
    for (refused, code, name) in
        [(proxy::HMAC, 0x143_u32, "COMMAND_CODE"), (proxy::TEST_PARMS, 0x1c3, "HASH")]
    {
        proxy.refuse(refused, code);
        let keystore = TpmKeystore::open(config.clone()).unwrap();
        let support = keystore.supports(KeyAlgorithm::Sign(HS256), shape).unwrap();
        let Support::No { reason } = support else { panic!("{support:?}") };
        assert!(reason.contains(name), "{reason}");
        let locator = keystore.new_locator("mac").unwrap();
        let said = refusal(keystore.generate(&locator, &spec(oct(256), KeyAlgorithm::Sign(HS256))));
        assert!(said.contains(name), "{said}");
        assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
        proxy.leave();
    }
    generate(&TpmKeystore::open(config).unwrap(), HS256, 256);
}

/// The length is the TPM's choice: that of the hash.
#[test]
fn a_key_is_as_long_as_the_tpm_makes_it() {
    let tpm = Swtpm::start();
    let config = tpm.config("tpm");
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let lengths = MACS.map(|(alg, bits)| {
        for other in [bits + 8, 768, 1024] {
            let shape = oct(other);
            let support = keystore.supports(KeyAlgorithm::Sign(alg), shape).unwrap();
            let Support::No { reason } = support else { panic!("{support:?}") };
            assert!(reason.contains(&format!("that of the hash, {bits} bits")), "{reason}");
            let locator = keystore.new_locator("mac").unwrap();
            refusal(keystore.generate(&locator, &spec(oct(other), KeyAlgorithm::Sign(alg))));
            assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
        }
        let key = generate(&keystore, alg, bits);
        let [_, private] = halves(&tpm, &file_of(&config, &*key));
        (private.len(), bits as usize / 8)
    });
    // What wraps the secret is of one length (TPM 2.0 part 1, "Protected Storage").
    let wrapping = lengths.map(|(wrapped, secret)| wrapped - secret);
    assert_eq!(wrapping, [wrapping[0]; 3], "{lengths:?}");
}

#[test]
fn keys_of_aes_and_known_keys_are_refused_with_the_reason() {
    let keystore = swtpm::open("tpm");
    let known = SecretJwk::parse(format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(43)).as_bytes());
    let known = known.unwrap();
    for (alg, reason) in [
        (KeyManagement::A256Kw, "no AES key wrap"),
        (KeyManagement::A256GcmKw, "no AES in GCM"),
        (KeyManagement::Dir, "no AES in GCM"),
    ] {
        let alg = KeyAlgorithm::Unwrap(alg);
        let support = keystore.supports(alg, oct(256)).unwrap();
        let Support::No { reason: told } = support else { panic!("{support:?}") };
        assert!(told.contains(reason), "{alg}: {told}");
        let locator = keystore.new_locator("aes").unwrap();
        let said = refusal(keystore.generate(&locator, &spec(oct(256), alg)));
        assert!(said.contains(reason), "{alg}: {said}");
        let said = refusal(keystore.import_secret(&locator, &spec(oct(256), alg), &known));
        assert!(said.contains(reason), "{alg}: {said}");
    }
    let locator = keystore.new_locator("mac").unwrap();
    let mac = spec(oct(256), KeyAlgorithm::Sign(HS256));
    let said = refusal(keystore.import_secret(&locator, &mac, &known));
    assert!(said.contains("generate one"), "{said}");
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
}

#[test]
fn a_key_is_known_by_size_and_check_value_and_another_in_its_place_is_refused() {
    let tpm = Swtpm::start();
    let config = plain(&tpm);
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let (key, other) = (generate(&keystore, HS256, 256), generate(&keystore, HS256, 256));
    let (locator, told) = (key.info().locator.clone(), key.info().secret.unwrap());
    // The first bytes of the digest in the key's name, as tpm2-tools tell it.
    load_with_tools(&tpm, &file_of(&config, &*key));
    tpm.tool("tpm2_readpublic", &["-Q", "-c", "key.ctx", "-n", "name"]);
    let name = std::fs::read(tpm.directory.join("name")).unwrap();
    let digits: String = name[2..5].iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(told.check_value.unwrap().to_string(), digits);

    let text = std::fs::read(file_of(&config, &*key)).unwrap();
    let described = describe_key_file("mac.pem", &text).unwrap();
    assert_eq!((described.secret, described.public), (Some(told), None));

    let find = |secret: SecretInfo| keystore.find_with_secret(&locator, &secret);
    assert_eq!(find(told).unwrap().info().secret, Some(told));
    let listed = keystore.list().unwrap();
    assert!(listed.iter().any(|info| info.locator == locator && info.secret == Some(told)));
    for wrong in [
        SecretInfo { bits: 384, ..told },
        SecretInfo { check_value: "000000".parse().ok(), ..told },
        other.info().secret.unwrap(),
    ] {
        let answer = find(wrong);
        assert!(matches!(answer, Err(BackendError::Misconfigured { .. })), "{answer:?}");
    }
    let file = file_of(&config, &*key);
    let before = mac(&*key, HS256);
    let good = std::fs::read(&file).unwrap();
    std::fs::copy(file_of(&config, &*other), &file).unwrap();
    let answer = key.sign(HS256, ToSign::Message(MESSAGE));
    assert!(matches!(answer, Err(BackendError::NotFound { .. })), "{answer:?}");
    assert!(matches!(find(told), Err(BackendError::Misconfigured { .. })));
    std::fs::write(&file, good).unwrap();
    assert_eq!(mac(&*key, HS256), before);
}

#[test]
fn a_key_file_that_was_changed_or_is_of_another_tpm_is_refused() {
    let (tpm, other) = (Swtpm::start(), Swtpm::start());
    let config = plain(&tpm);
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let key = generate(&keystore, HS256, 256);
    let file = file_of(&config, &*key);
    let good = std::fs::read_to_string(&file).unwrap();
    let is_refused = |keystore: &TpmKeystore, text: &str| {
        std::fs::write(config.keys.join("bad.pem"), text).unwrap();
        let found = keystore.find(&Locator::KeyFile("bad.pem".into()));
        let answer = found.and_then(|key| key.sign(HS256, ToSign::Message(MESSAGE)));
        let is_refused = matches!(
            answer,
            Err(BackendError::Misconfigured { .. } | BackendError::Unsupported { .. })
        );
        assert!(is_refused, "{answer:?}");
    };
    let foreign = TpmConfig { tcti: other.tcti(), ..config.clone() };
    is_refused(&TpmKeystore::open(foreign).unwrap(), &good);
    // Every bit of public area and wrapped part, once in each byte.
    let base64: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).unwrap();
    for place in (30..der.len()).step_by(3) {
        let mut changed = der.clone();
        changed[place] ^= 1 << (place % 8);
        let label = "TSS2 PRIVATE KEY";
        let body = STANDARD.encode(&changed);
        is_refused(&keystore, &format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"));
    }
    mac(&*key, HS256);
}

#[test]
fn a_key_survives_restarts_of_the_tpm_and_of_the_program() {
    let mut tpm = Swtpm::start();
    let config = plain(&tpm);
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let keys = MACS.map(|(alg, bits)| (alg, generate(&keystore, alg, bits)));
    let before = keys.each_ref().map(|(alg, key)| mac(&**key, *alg));
    for _ in 0..3 {
        tpm.restart();
        assert_eq!(keys.each_ref().map(|(alg, key)| mac(&**key, *alg)), before);
    }
    let locators = keys.each_ref().map(|(alg, key)| (*alg, key.info().locator.clone()));
    drop((keys, keystore));
    tpm.restart();
    let keystore = TpmKeystore::open(config).unwrap();
    let after = locators.map(|(alg, locator)| mac(&*keystore.find(&locator).unwrap(), alg));
    assert_eq!(after, before);
    drop(keystore);
    assert_eq!(tpm.tool("tpm2_getcap", &["handles-transient"]).trim(), "");
}

/// A message is never taken for whole that is not: the limit may be another when it has been read.
#[test]
fn a_limit_that_grows_while_a_message_is_read_passes_no_beginning_of_it() {
    let mut tpm = Swtpm::start();
    let proxy = Proxy::before(tpm.port);
    let config = TpmConfig { tcti: swtpm::tcti(proxy.port), ..plain(&tpm) };
    proxy.alter(with_input_buffer(512));
    let keystore = TpmKeystore::open(config).unwrap();
    let key = generate(&keystore, HS256, 256);
    let mut is_changed = false;
    let mut message = Reading(&[0x5a; 600], || {
        if !std::mem::replace(&mut is_changed, true) {
            proxy.leave();
            tpm.restart();
            keystore.health().unwrap();
        }
    });
    let said = refusal(key.mac_reader(HS256, &mut message));
    assert!(said.contains("more than 512 bytes"), "{said}");
    // The limit has grown.
    let whole = key.mac_reader(HS256, &mut &[0x5a; 600][..]).unwrap();
    key.verify_mac(HS256, &[0x5a; 600], &whole).unwrap();
}

/// A message during whose reading something happens.
struct Reading<'a, F>(&'a [u8], F);

impl<F: FnMut()> Read for Reading<'_, F> {
    fn read(&mut self, part: &mut [u8]) -> std::io::Result<usize> {
        self.1();
        self.0.read(part)
    }
}

/// Has the TPM say that it takes as much at once (TPM_PT_INPUT_BUFFER, 0x10d).
fn with_input_buffer(bytes: u32) -> impl Fn(&[u8], Vec<u8>) -> Vec<u8> {
    move |command, mut answer| {
        let (property, len) = ([0, 0, 1, 0x0d], answer.len());
        if proxy::code(command) == proxy::GET_CAPABILITY && answer[len - 8..].starts_with(&property)
        {
            answer[len - 4..].copy_from_slice(&bytes.to_be_bytes());
        }
        answer
    }
}

#[test]
fn what_crosses_the_bus_tells_neither_message_nor_mac() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(tpm.port);
    let parent_name = Some(tpm.parent_name());
    let config = TpmConfig { tcti: swtpm::tcti(proxy.port), parent_name, ..tpm.config("tpm") };
    let key = generate(&TpmKeystore::open(config).unwrap(), HS256, 256);
    let message = b"a message that somebody on the bus would like to read";
    let made = key.sign(HS256, ToSign::Message(message)).unwrap();
    let crossed = proxy.take();
    assert!(crossed.iter().any(|(command, _)| proxy::code(command) == proxy::HMAC));
    for secret in [&message[..], &made, swtpm::AUTH.as_bytes()] {
        let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!crossed.iter().any(|(command, answer)| has(command) || has(answer)));
    }
    // A MAC that was altered on the way is not taken for one.
    proxy.alter(|command, mut answer| {
        if proxy::code(command) == proxy::HMAC && answer.len() > 30 {
            answer[20] ^= 1;
        }
        answer
    });
    let answer = key.verify_mac(HS256, message, &made);
    assert!(matches!(answer, Err(BackendError::Unavailable { .. })), "{answer:?}");
    proxy.leave();
    key.verify_mac(HS256, message, &made).unwrap();
}

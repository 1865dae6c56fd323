//! Keys for HMAC in a TPM: what it makes and computes, by what it knows them, and what is refused.
#![cfg(feature = "tpm")]

mod common;

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::proxy::{self, Proxy};
use common::swtpm::keys::{file_of, plain, spec};
use common::swtpm::{self, Swtpm};
use hsm_jose::backend::tpm::{TpmConfig, TpmKeystore, describe_key_file};
use hsm_jose::backend::{
    BackendError, HardwareKey, KeyShape, Keystore, Locator, SecretInfo, Support, ToSign,
};
use hsm_jose::jose::alg::{KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use hsm_jose::jose::oct::SecretJwk;

const MESSAGE: &[u8] = b"message";
const HS256: SignatureAlgorithm = SignatureAlgorithm::Hs256;

/// The HMAC algorithms, with the length of their keys in bits.
const MACS: [(SignatureAlgorithm, u32); 3] = [
    (SignatureAlgorithm::Hs256, 256),
    (SignatureAlgorithm::Hs384, 384),
    (SignatureAlgorithm::Hs512, 512),
];

/// TPM_PT_INPUT_BUFFER of swtpm.
const MAX_INPUT: usize = 1024;

const fn oct(bits: u32) -> KeyShape {
    KeyShape::Oct { bits }
}

fn generate(keystore: &dyn Keystore, alg: SignatureAlgorithm, bits: u32) -> Arc<dyn HardwareKey> {
    let locator = keystore.new_locator("mac").unwrap();
    let made = keystore.generate(&locator, &spec(oct(bits), KeyAlgorithm::Sign(alg)));
    made.unwrap_or_else(|error| panic!("{alg} {bits}: {error}"))
}

fn mac(key: &dyn HardwareKey, alg: SignatureAlgorithm) -> Vec<u8> {
    key.sign(alg, ToSign::Message(MESSAGE)).unwrap_or_else(|error| panic!("{alg}: {error}"))
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, BackendError>) -> String {
    match answer {
        Err(BackendError::Unsupported { what, reason, .. }) => format!("{what}: {reason}"),
        other => panic!("{other:?}"),
    }
}

/// TPM2B_PUBLIC and TPM2B_PRIVATE of a key file: its last two OCTET STRINGs, as files for tpm2-tools.
fn halves(tpm: &Swtpm, file: &Path) -> [Vec<u8>; 2] {
    let text = std::fs::read_to_string(file).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).unwrap();
    // INTEGER 0x40000001: the parent is the primary key of the owner.
    let parent = [2, 4, 0x40, 0, 0, 1];
    let place = der.windows(parent.len()).position(|window| window == parent).unwrap();
    let mut rest = &der[place + parent.len()..];
    ["pub", "priv"].map(|name| {
        assert_eq!(rest[0], 4, "an OCTET STRING");
        let (len, header) = match rest[1] {
            0x81 => (usize::from(rest[2]), 3),
            len => (usize::from(len), 2),
        };
        let octets = rest[header..header + len].to_vec();
        rest = &rest[header + len..];
        std::fs::write(tpm.directory.join(name), &octets).unwrap();
        octets
    })
}

/// Loads a key file with tpm2-tools, as `key.ctx`.
fn load_with_tools(tpm: &Swtpm, file: &Path) {
    halves(tpm, file);
    let attributes =
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";
    let template = ["-C", "o", "-g", "sha256", "-G", "ecc256:aes128cfb", "-a", attributes];
    tpm.tool("tpm2_createprimary", &[&["-Q", "-c", "parent.ctx"], &template[..]].concat());
    tpm.tool("tpm2_flushcontext", &["-t"]);
    let halves = ["-Q", "-C", "parent.ctx", "-u", "pub", "-r", "priv", "-c", "key.ctx"];
    tpm.tool("tpm2_load", &halves);
    tpm.tool("tpm2_flushcontext", &["-t"]);
}

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
            assert!(key.verify_mac(alg, &message, &made).unwrap(), "{alg} {len}");
            assert!(!other.verify_mac(alg, &message, &made).unwrap(), "{alg} {len}");
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

    // A TPM that takes less says so (TPM_PT_INPUT_BUFFER, 0x10d), and is believed.
    proxy.alter(|command, mut answer| {
        let (property, len) = ([0, 0, 1, 0x0d], answer.len());
        if proxy::code(command) == proxy::GET_CAPABILITY && answer[len - 8..].starts_with(&property)
        {
            answer[len - 4..].copy_from_slice(&512_u32.to_be_bytes());
        }
        answer
    });
    let locator = key.info().locator.clone();
    drop(key);
    let key = TpmKeystore::open(config).unwrap().find(&locator).unwrap();
    assert!(key.verify_mac(HS256, &[0; 512], &[0; 32]).is_ok());
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

/// What tpm2-tools compute with the key, and that they do not get it out.
#[test]
fn tools_have_the_same_mac_and_do_not_get_the_key() {
    let tpm = Swtpm::start();
    let config = plain(&tpm);
    for (alg, bits) in MACS {
        let keystore = TpmKeystore::open(config.clone()).unwrap();
        let key = generate(&keystore, alg, bits);
        let expected: String = mac(&*key, alg).iter().map(|byte| format!("{byte:02x}")).collect();
        let file = file_of(&config, &*key);
        drop((key, keystore));
        load_with_tools(&tpm, &file);
        std::fs::write(tpm.directory.join("message"), MESSAGE).unwrap();
        let hash = format!("sha{bits}");
        let told = tpm.tool("tpm2_hmac", &["-c", "key.ctx", "-g", &hash, "--hex", "message"]);
        assert_eq!(told.trim(), expected, "{alg}");
        tpm.tool("tpm2_flushcontext", &["-t"]);
        // TPM_RC_ATTRIBUTES: fixedTPM and fixedParent; and it is not sealed data.
        for (tool, args) in [
            ("tpm2_unseal", &["-c", "key.ctx"][..]),
            (
                "tpm2_duplicate",
                &["-C", "null", "-c", "key.ctx", "-G", "null", "-r", "out", "-s", "s"],
            ),
        ] {
            let (is_done, said) = tpm.attempt(tool, args);
            assert!(!is_done, "{tool} {alg}: {said}");
            tpm.tool("tpm2_flushcontext", &["-t"]);
        }
    }
}

#[test]
fn a_persistent_key_serves_if_the_tpm_made_it() {
    let tpm = Swtpm::start();
    std::fs::write(tpm.directory.join("known"), [7; 32]).unwrap();
    let parent = ["-Q", "-C", "o", "-G", "ecc256:aes128cfb", "-c", "parent.ctx"];
    tpm.tool("tpm2_createprimary", &parent);
    let own = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign";
    let restricted = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign|restricted";
    for (handle, attributes, more) in [
        ("0x81010001", own, &["-G", "hmac:sha384"][..]),
        ("0x81010003", restricted, &["-G", "hmac:sha256"]),
        ("0x81010004", "fixedtpm|fixedparent|userwithauth|noda", &["-i", "known"]),
    ] {
        let into = ["-Q", "-C", "parent.ctx", "-c", "made.ctx", "-a", attributes];
        tpm.tool("tpm2_create", &[&into, more].concat());
        tpm.tool("tpm2_flushcontext", &["-t"]);
        tpm.tool("tpm2_evictcontrol", &["-Q", "-c", "made.ctx", handle]);
        tpm.tool("tpm2_flushcontext", &["-t"]);
    }
    let known = ["-Q", "-C", "parent.ctx", "-G", "hmac", "-i", "known", "-u", "pub", "-r", "priv"];
    tpm.tool("tpm2_import", &[&known[..], &["-a", "userwithauth|noda|sign"]].concat());
    tpm.tool("tpm2_flushcontext", &["-t"]);
    tpm.tool(
        "tpm2_load",
        &["-Q", "-C", "parent.ctx", "-u", "pub", "-r", "priv", "-c", "known.ctx"],
    );
    tpm.tool("tpm2_flushcontext", &["-t"]);
    tpm.tool("tpm2_evictcontrol", &["-Q", "-c", "known.ctx", "0x81010002"]);
    tpm.tool("tpm2_flushcontext", &["-t"]);
    let keystore = TpmKeystore::open(plain(&tpm)).unwrap();
    let at = |number: u32| keystore.find(&Locator::Handle(0x8101_0000 + number));
    let key = at(1).unwrap();
    assert_eq!(key.info().secret.unwrap().bits, 384);
    let before = mac(&*key, SignatureAlgorithm::Hs384);
    assert!(key.verify_mac(SignatureAlgorithm::Hs384, MESSAGE, &before).unwrap());
    refusal(key.sign(HS256, ToSign::Message(MESSAGE)));
    // One that was put in, of which nothing tells the length; and data that is sealed.
    for number in [2, 4] {
        let said = refusal(at(number));
        assert!(said.contains("sensitiveDataOrigin"), "{said}");
    }
    // One that takes no input from outside.
    let said = refusal(at(3).unwrap().sign(HS256, ToSign::Message(MESSAGE)));
    assert!(said.contains("restricted"), "{said}");
    let listed = keystore.list().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    keystore.destroy(&key.info().locator).unwrap();
    assert!(matches!(at(1), Err(BackendError::NotFound { .. })));
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
    assert!(key.verify_mac(HS256, message, &made).unwrap());
}

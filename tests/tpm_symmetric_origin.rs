//! Keys for HMAC that a TPM has made, and ones that somebody has put in: only those serve.
#![cfg(feature = "tpm")]

mod common;

use common::swtpm::Swtpm;
use common::swtpm::keys::{file_of, plain};
use common::swtpm::macs::*;
use hsm_jose::backend::tpm::{TpmKeystore, describe_key_file};
use hsm_jose::backend::{BackendError, Keystore, Locator, ToSign};
use hsm_jose::jose::alg::{Hash, KeyAlgorithm, SignatureAlgorithm};
use hsm_jose::primitives::secret::hmac;

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
    parent_with_tools(&tpm);
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
    for (handle, attributes) in [
        ("0x81010002", "userwithauth|noda|sign"),
        ("0x81010005", "sensitivedataorigin|userwithauth|noda|sign"),
    ] {
        import_with_tools(&tpm, attributes);
        load_halves(&tpm);
        tpm.tool("tpm2_evictcontrol", &["-Q", "-c", "key.ctx", handle]);
        tpm.tool("tpm2_flushcontext", &["-t"]);
    }
    // It is a known one, whatever its attributes say.
    std::fs::write(tpm.directory.join("message"), MESSAGE).unwrap();
    let told = tpm.tool("tpm2_hmac", &["-c", "0x81010005", "--hex", "message"]);
    let expected = hmac(Hash::Sha256, &KNOWN, MESSAGE);
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told.trim(), expected);
    tpm.tool("tpm2_flushcontext", &["-t"]);
    let keystore = TpmKeystore::open(plain(&tpm)).unwrap();
    let at = |number: u32| keystore.find(&Locator::Handle(0x8101_0000 + number));
    let key = at(1).unwrap();
    assert_eq!(key.info().secret.unwrap().bits, 384);
    let before = mac(&*key, SignatureAlgorithm::Hs384);
    key.verify_mac(SignatureAlgorithm::Hs384, MESSAGE, &before).unwrap();
    refusal(key.sign(HS256, ToSign::Message(MESSAGE)));
    // Ones that were put in, also with sensitiveDataOrigin, which TPM2_Import takes as it comes; and
    // data that is sealed.
    for number in [2, 4, 5] {
        let said = refusal(at(number));
        assert!(said.contains("fixedTPM, fixedParent and sensitiveDataOrigin"), "{said}");
    }
    // One that takes no input from outside.
    let said = refusal(at(3).unwrap().sign(HS256, ToSign::Message(MESSAGE)));
    assert!(said.contains("restricted"), "{said}");
    let listed = keystore.list().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    keystore.destroy(&key.info().locator).unwrap();
    assert!(matches!(at(1), Err(BackendError::NotFound { .. })));
}

/// A file can say anything; what the TPM loads is the key that the file was made with.
#[test]
fn a_key_file_of_a_known_key_is_refused_whatever_it_says() {
    let tpm = Swtpm::start();
    let config = plain(&tpm);
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let key = generate(&keystore, HS256, 256);
    let (locator, told) = (key.info().locator.clone(), key.info().secret.unwrap());
    mac(&*key, HS256);
    parent_with_tools(&tpm);
    import_with_tools(&tpm, "sensitivedataorigin|userwithauth|noda|sign");
    let honest = key_file(&tpm, |_| ());
    let name = Locator::KeyFile("known.pem".into());
    std::fs::write(config.keys.join("known.pem"), &honest).unwrap();
    let is_told = |said: &str| said.contains("fixedTPM, fixedParent and sensitiveDataOrigin");
    let said = refusal(keystore.find(&name));
    assert!(is_told(&said), "{said}");
    assert!(is_told(&describe_key_file("known.pem", honest.as_bytes()).unwrap_err()));
    assert!(keystore.list().unwrap().iter().all(|info| info.locator == locator));

    // In the place of a key that is served, now and when it is found again.
    std::fs::write(file_of(&config, &*key), &honest).unwrap();
    let answer = key.sign(HS256, ToSign::Message(MESSAGE));
    assert!(matches!(answer, Err(BackendError::NotFound { .. })), "{answer:?}");
    for keystore in [&keystore, &TpmKeystore::open(config.clone()).unwrap()] {
        assert!(is_told(&refusal(keystore.find_with_secret(&locator, &told))));
    }

    // With the attributes of one that the TPM made (TPMA_OBJECT, part 2: fixedTPM 1, fixedParent 4), the
    // private half is not of it.
    let forged = key_file(&tpm, |public| public[7] |= 1 << 1 | 1 << 4);
    std::fs::write(config.keys.join("known.pem"), forged).unwrap();
    let found = keystore.find(&name).unwrap();
    for answer in [
        found.support(KeyAlgorithm::Sign(HS256)).map(drop),
        found.sign(HS256, ToSign::Message(MESSAGE)).map(drop),
    ] {
        let Err(BackendError::Misconfigured { reason, .. }) = answer else { panic!("{answer:?}") };
        assert!(reason.contains("TPM_RC_INTEGRITY"), "{reason}");
    }
}

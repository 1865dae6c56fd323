//! What only a TPM has: the bus, lockout, key files.
#![cfg(feature = "tpm")]

mod common;

use std::path::Path;

use common::proxy::{self, Proxy};
use common::swtpm::keys::*;
use common::swtpm::{self, Swtpm};
use hsm_jose::backend::tpm::{TpmConfig, TpmKeystore};
use hsm_jose::backend::{BackendError, KeyShape, KeySpec, Keystore, Locator, Support};
use hsm_jose::jose::alg::{Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use hsm_jose::jose::jwk::PrivateJwk;
use hsm_jose::primitives::verify::VerifyingKey;
use hsm_jose::secret::PinSource;

fn contains(crossed: &[(Vec<u8>, Vec<u8>)], secret: &[u8]) -> bool {
    let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    crossed.iter().any(|(command, answer)| has(command) || has(answer))
}

fn codes(crossed: &[(Vec<u8>, Vec<u8>)]) -> Vec<u32> {
    crossed.iter().map(|(command, _)| proxy::code(command)).collect()
}

#[test]
fn a_key_does_one_algorithm_and_what_the_tpm_has_not_is_told_before() {
    let keystore = swtpm::open("tpm");
    let two = KeySpec {
        shape: KeyShape::Rsa { bits: 2048 },
        algs: vec![KeyAlgorithm::Unwrap(OAEP), KeyAlgorithm::Unwrap(KeyManagement::RsaOaep)],
    };
    let locator = keystore.new_locator("two").unwrap();
    let answer = keystore.generate(&locator, &two);
    assert!(matches!(answer, Err(BackendError::Unsupported { .. })), "{answer:?}");
    let large = KeyShape::Rsa { bits: 4096 };
    let support = keystore.supports(KeyAlgorithm::Unwrap(OAEP), large).unwrap();
    let Support::No { reason } = support else { panic!("{support:?}") };
    assert!(reason.contains("TPM2_TestParms"), "{reason}");
    let answer = keystore.generate(&locator, &spec(large, KeyAlgorithm::Unwrap(OAEP)));
    assert!(matches!(answer, Err(BackendError::Unsupported { .. })), "{answer:?}");
    let middle = KeyShape::Rsa { bits: 3072 };
    let key = keystore.generate(&locator, &spec(middle, KeyAlgorithm::Unwrap(OAEP))).unwrap();
    common::round_trip(&*key, OAEP, ENC);
    let other = key.support(KeyAlgorithm::Unwrap(KeyManagement::RsaOaep)).unwrap();
    assert!(matches!(other, Support::No { .. }), "{other:?}");
    for name in ["fixedTPM", "fixedParent", "sensitiveDataOrigin", "decrypt"] {
        assert!(key.info().attributes.iter().any(|attribute| attribute == name), "{name}");
    }
    assert!(!key.info().attributes.iter().any(|attribute| attribute == "noDA"));
    assert!(key.info().unproven.is_empty());
}

#[test]
fn what_crosses_the_bus_tells_neither_cek_nor_z_nor_authorization() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(tpm.port);
    let parent_name = Some(tpm.parent_name());
    let config = TpmConfig { tcti: swtpm::tcti(proxy.port), parent_name, ..tpm.config("tpm") };
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let (rsa, ecdh, sig) = (decrypting(&keystore), agreeing(&keystore), signing(&keystore));
    let sent = common::send(&rsa.info().public.clone().unwrap(), OAEP, ENC);
    let cek = rsa.unwrap_cek(&common::request(&sent, OAEP), ENC).unwrap();
    assert!(common::is_the_cek(&*cek, &sent, ENC));
    let (point, z) = {
        let Some(hsm_jose::jose::jwk::PublicKey::Point(point)) = &ecdh.info().public else {
            panic!("not a point");
        };
        host_agreement(point)
    };
    let other_info = [0; 16];
    let request = hsm_jose::backend::CekRequest::EcdhEs {
        epk: &point,
        other_info: &other_info,
        wrapped: None,
    };
    ecdh.unwrap_cek(&request, ENC).unwrap();
    sign(&*sig).unwrap();
    // A command that was refused leaves the session as it was: the next is protected too.
    let wrong = tpm.directory.join("wrong");
    swtpm::write_pin(&wrong, "not it", 0o600);
    let auth = PinSource::File(wrong);
    let other = TpmKeystore::open(TpmConfig { auth, ..config.clone() }).unwrap();
    assert!(sign(&*other.find(&sig.info().locator).unwrap()).is_err());
    let cek = rsa.unwrap_cek(&common::request(&sent, OAEP), ENC).unwrap();
    assert!(common::is_the_cek(&*cek, &sent, ENC));
    let private = rfc7517_key();
    let locator = keystore.new_locator("imported").unwrap();
    let p256 = spec(KeyShape::Curve(Curve::P256), KeyAlgorithm::Sign(ES256));
    keystore.import(&locator, &p256, &private).unwrap();

    let crossed = proxy.take();
    for used in [proxy::RSA_DECRYPT, proxy::SIGN, proxy::IMPORT, proxy::START_AUTH_SESSION] {
        assert!(codes(&crossed).contains(&used), "{used:x}");
    }
    assert!(!contains(&crossed, &sent.cek), "the CEK crossed the bus");
    assert!(!contains(&crossed, &z), "Z crossed the bus");
    assert!(!contains(&crossed, swtpm::AUTH.as_bytes()), "the authorization value crossed the bus");
    let scalar = common::unhex("8e9b109e719098bf980487df1f5d77e9cb29606ebed2263b5f57c213df84f4b2");
    assert!(!contains(&crossed, &scalar), "an imported key crossed the bus");
    assert!(!contains(&crossed, b"not it"));
    // What must be there is found by the same search: a public key is no secret.
    let Some(hsm_jose::jose::jwk::PublicKey::Point(public)) = &sig.info().public else {
        panic!("not a point");
    };
    assert!(contains(&crossed, &public.as_bytes()[1..33]));
}

/// Draws an ephemeral key for `peer`, and agrees on the host: the point to be sent, and Z.
fn host_agreement(
    peer: &hsm_jose::jose::jwk::PublicPoint,
) -> (hsm_jose::jose::jwk::PublicPoint, Vec<u8>) {
    use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
    let private = PrivateKey::generate(&ECDH_P256).unwrap();
    let public = private.compute_public_key().unwrap().as_ref().to_vec();
    let peer = UnparsedPublicKey::new(&ECDH_P256, peer.as_bytes());
    let z = agree(&private, peer, (), |z| Ok(z.to_vec())).unwrap();
    (hsm_jose::jose::jwk::PublicPoint::new(Curve::P256, public).unwrap(), z)
}

/// RFC 7515 appendix A.3.
fn rfc7517_key() -> PrivateJwk {
    PrivateJwk::parse(
        br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
    )
    .unwrap()
}

#[test]
fn a_parent_that_is_not_the_pinned_one_gets_nothing() {
    let (tpm, other) = (Swtpm::start(), Swtpm::start());
    let proxy = Proxy::before(tpm.port);
    let pinned = Some(tpm.parent_name());
    let target = other.port;
    // Something between answers with a key of its own, in all places where the key is named.
    proxy.alter(move |command, answer| match proxy::code(command) {
        proxy::CREATE_PRIMARY => proxy::exchange(target, command),
        _ => answer,
    });
    let tcti = swtpm::tcti(proxy.port);
    let config = TpmConfig { tcti, parent_name: pinned.clone(), ..tpm.config("tpm") };
    let answer = TpmKeystore::open(config.clone());
    let Err(BackendError::Misconfigured { reason, .. }) = &answer else { panic!("{answer:?}") };
    assert!(reason.contains(&pinned.as_ref().unwrap().to_string()), "{reason}");
    let sent = codes(&proxy.take());
    assert!(sent.contains(&proxy::CREATE_PRIMARY));
    assert!(!sent.contains(&proxy::START_AUTH_SESSION), "a secret was encrypted to it");
    // Another TPM altogether.
    let answer = TpmKeystore::open(TpmConfig { tcti: other.tcti(), ..config.clone() });
    assert!(matches!(answer, Err(BackendError::Misconfigured { .. })), "{answer:?}");
    proxy.leave();
    sign(&*signing(&TpmKeystore::open(config).unwrap())).unwrap();
}

#[test]
fn an_answer_that_was_altered_is_refused() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(tpm.port);
    let config = TpmConfig { tcti: swtpm::tcti(proxy.port), ..tpm.config("tpm") };
    let keystore = TpmKeystore::open(config).unwrap();
    let (key, sig) = (decrypting(&keystore), signing(&keystore));
    let sent = common::send(&key.info().public.clone().unwrap(), OAEP, ENC);
    for altered in [proxy::RSA_DECRYPT, proxy::SIGN, proxy::RSA_DECRYPT, proxy::SIGN] {
        proxy.alter(move |command, mut answer| {
            if proxy::code(command) == altered && answer.len() > 30 {
                answer[24] ^= 1;
            }
            answer
        });
        let answer = match altered {
            proxy::SIGN => sign(&*sig),
            _ => key.unwrap_cek(&common::request(&sent, OAEP), ENC).map(drop),
        };
        assert!(matches!(answer, Err(BackendError::Unavailable { .. })), "{answer:?}");
        proxy.leave();
        common::round_trip(&*key, OAEP, ENC);
        sign(&*sig).unwrap();
    }
    // Nothing of the broken contexts stays in the TPM.
    drop((key, sig, keystore));
    assert_eq!(tpm.tool("tpm2_getcap", &["handles-transient"]).trim(), "");
    assert_eq!(tpm.tool("tpm2_getcap", &["handles-loaded-session"]).trim(), "");
}

#[test]
fn a_bad_ciphertext_costs_the_same_commands_as_a_good_one() {
    let tpm = Swtpm::start();
    let proxy = Proxy::before(tpm.port);
    let config = TpmConfig { tcti: swtpm::tcti(proxy.port), ..tpm.config("tpm") };
    let key = decrypting(&TpmKeystore::open(config).unwrap());
    let sent = common::send(&key.info().public.clone().unwrap(), OAEP, ENC);
    common::round_trip(&*key, OAEP, ENC);
    proxy.take();
    let commands = |encrypted_key: &[u8]| {
        let hash = hsm_jose::jose::alg::Hash::Sha256;
        let request = hsm_jose::backend::CekRequest::RsaOaep { hash, encrypted_key };
        let answer = key.unwrap_cek(&request, ENC).map(drop);
        key.confirm_alive().unwrap();
        (answer, codes(&proxy.take()))
    };
    let (answer, good) = commands(&sent.encrypted_key);
    answer.unwrap();
    assert_eq!(good[0], proxy::RSA_DECRYPT);
    let mut flipped = sent.encrypted_key.clone();
    flipped[100] ^= 1;
    for bad in [&flipped[..], &[], &[1], &flipped[1..], &[0xff; 256], &[0; 256], &[7; 5000]] {
        let (answer, sent) = commands(bad);
        assert!(matches!(answer, Err(BackendError::Rejected)), "{answer:?}");
        assert_eq!(sent, good);
    }
}

#[test]
fn a_wrong_authorization_is_tried_once() {
    let tpm = Swtpm::start();
    let config = tpm.config("tpm");
    let key = signing(&TpmKeystore::open(config.clone()).unwrap());
    sign(&*key).unwrap();
    let locator = key.info().locator.clone();
    drop(key);
    let wrong = tpm.directory.join("wrong");
    swtpm::write_pin(&wrong, "not it", 0o600);
    let keystore =
        TpmKeystore::open(TpmConfig { auth: PinSource::File(wrong), ..config.clone() }).unwrap();
    for _ in 0..5 {
        let key = keystore.find(&locator).unwrap();
        for _ in 0..3 {
            let answer = sign(&*key);
            let Err(error @ BackendError::PinRefused { .. }) = &answer else {
                panic!("{answer:?}");
            };
            assert!(!error.to_string().contains("not it"));
        }
    }
    assert_eq!(failures(&tpm), 1);
    let warnings = keystore.describe().unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("1 failed")), "{warnings:?}");
    // None at all: not even tried.
    let without = TpmConfig { auth: PinSource::None, ..config.clone() };
    let answer = sign(&*TpmKeystore::open(without).unwrap().find(&locator).unwrap());
    assert!(matches!(answer, Err(BackendError::PinUnavailable { .. })), "{answer:?}");
    assert_eq!(failures(&tpm), 1);

    // Two more are lockout: the right one is not tried any more, and works when it is over.
    for name in ["second", "third"] {
        let wrong = tpm.directory.join(name);
        swtpm::write_pin(&wrong, name, 0o600);
        let auth = PinSource::File(wrong);
        let keystore = TpmKeystore::open(TpmConfig { auth, ..config.clone() }).unwrap();
        assert!(sign(&*keystore.find(&locator).unwrap()).is_err());
    }
    let keystore = TpmKeystore::open(config).unwrap();
    let key = keystore.find(&locator).unwrap();
    let answer = sign(&*key);
    assert!(matches!(answer, Err(BackendError::PinLocked { .. })), "{answer:?}");
    let info = keystore.describe().unwrap();
    assert!(info.details.iter().any(|detail| detail.contains("lockout: yes")), "{info:?}");
    sign(&*signing(&open_without_auth(&tpm))).unwrap();
    tpm.tool("tpm2_dictionarylockout", &["--clear-lockout"]);
    sign(&*key).unwrap();
}

fn failures(tpm: &Swtpm) -> u32 {
    let text = tpm.tool("tpm2_getcap", &["properties-variable"]);
    let line = text.lines().find(|line| line.contains("TPM2_PT_LOCKOUT_COUNTER")).unwrap();
    u32::from_str_radix(line.rsplit_once("0x").unwrap().1.trim(), 16).unwrap()
}

#[test]
fn key_files_go_to_tpm2_openssl_and_come_from_it() {
    let tpm = Swtpm::start();
    let config = tpm.config("tpm");
    std::fs::create_dir_all(&config.keys).unwrap();
    let openssl = |args: &[&str]| {
        let provider =
            ["-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2"];
        tpm.tool("openssl", &[&args[..1], &provider, &args[1..]].concat())
    };
    std::fs::write(tpm.directory.join("message"), b"message").unwrap();

    // Ours there: with its authorization value, and without.
    for auth in [PinSource::None, config.auth.clone()] {
        let has_auth = auth != PinSource::None;
        let keystore = TpmKeystore::open(TpmConfig { auth, ..config.clone() }).unwrap();
        let key = signing(&keystore);
        let file = file_of(&config, &*key);
        let pass = tpm.directory.join("auth");
        let pass = format!("file:{}", pass.display());
        let mut args =
            vec!["dgst", "-sha256", "-sign", file.to_str().unwrap(), "-out", "signature"];
        if has_auth {
            args.extend(["-passin", &pass]);
        }
        args.push("message");
        // The message is `message`; openssl writes ECDSA signatures in DER.
        openssl(&args);
        let der = std::fs::read(tpm.directory.join("signature")).unwrap();
        let public = key.info().public.clone().unwrap();
        let signature = p256_from_der(&der);
        assert!(VerifyingKey::new(&public).unwrap().verify(ES256, b"message", &signature));
    }

    // Its here: RSA and EC, with an authorization value and without.
    let keystore =
        TpmKeystore::open(TpmConfig { auth: PinSource::None, ..config.clone() }).unwrap();
    let out = |name: &str| config.keys.join(name).to_str().unwrap().to_owned();
    openssl(&[
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
        &out("r.pem"),
    ]);
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", &out("e.pem")]);
    // Before any of the three slots is taken here.
    swtpm::write_pin(&tpm.directory.join("plain"), "plain", 0o600);
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "group:P-256",
        "-pkeyopt",
        "user-auth:plain",
        "-out",
        &out("a.pem"),
    ]);
    let rsa = keystore.find(&Locator::KeyFile("r.pem".into())).unwrap();
    common::round_trip(&*rsa, OAEP, ENC);
    assert!(rsa.support(KeyAlgorithm::Sign(SignatureAlgorithm::Ps256)).unwrap().is_available());
    assert!(rsa.info().weak.iter().any(|weak| weak.contains("TPM_ALG_NULL")), "{rsa:?}");
    let ec = keystore.find(&Locator::KeyFile("e.pem".into())).unwrap();
    sign(&*ec).unwrap();
    let auth = PinSource::File(tpm.directory.join("plain"));
    let with_auth = TpmKeystore::open(TpmConfig { auth, ..config.clone() }).unwrap();
    sign(&*with_auth.find(&Locator::KeyFile("a.pem".into())).unwrap()).unwrap();
    let listed = keystore.list().unwrap();
    assert_eq!(listed.len(), 5, "{listed:?}");
}

/// SEQUENCE { INTEGER r, INTEGER s }, to r || s.
fn p256_from_der(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut signature = Vec::new();
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        rest = after;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        signature.resize(signature.len() + 32 - number.len(), 0);
        signature.extend_from_slice(number);
    }
    signature
}

#[test]
fn a_key_file_that_is_not_right_is_named() {
    let (tpm, other) = (Swtpm::start(), Swtpm::start());
    let config = TpmConfig { auth: PinSource::None, ..tpm.config("tpm") };
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let key = signing(&keystore);
    let file = file_of(&config, &*key);
    let good = std::fs::read_to_string(&file).unwrap();
    let is_refused = |keystore: &TpmKeystore, text: &str| {
        std::fs::write(config.keys.join("bad.pem"), text).unwrap();
        let answer = keystore.find(&Locator::KeyFile("bad.pem".into())).and_then(|key| sign(&*key));
        let Err(BackendError::Misconfigured { reason, .. }) = &answer else {
            panic!("{answer:?}");
        };
        assert!(reason.contains("bad.pem"), "{reason}");
    };
    is_refused(&keystore, &good[..good.len() / 2]);
    is_refused(&keystore, "");
    is_refused(&keystore, &good.replace("TSS2 PRIVATE KEY", "PRIVATE KEY"));
    let lines: Vec<&str> = good.lines().collect();
    // A character of the wrapped part, and one of the public part.
    for line in [2, lines.len() - 3] {
        let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let old = changed[line].as_bytes()[20];
        let new = if old == b'A' { "B" } else { "A" };
        changed[line].replace_range(20..21, new);
        is_refused(&keystore, &format!("{}\n", changed.join("\n")));
    }
    let foreign = TpmConfig { tcti: other.tcti(), ..config.clone() };
    is_refused(&TpmKeystore::open(foreign).unwrap(), &good);
    // A key that another has replaced, and one that is gone, are not there.
    std::fs::copy(file_of(&config, &*signing(&keystore)), &file).unwrap();
    assert!(matches!(sign(&*key), Err(BackendError::NotFound { .. })));
    std::fs::write(&file, &good).unwrap();
    sign(&*key).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(sign(&*key), Err(BackendError::NotFound { .. })));
}

#[test]
fn a_persistent_handle_serves_and_is_known_when_replaced() {
    let tpm = Swtpm::start();
    let config = TpmConfig { auth: PinSource::None, ..tpm.config("tpm") };
    let keystore = TpmKeystore::open(config).unwrap();
    let make = |name: &str, handle: &str| {
        let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda";
        let primary = ["-Q", "-G", "ecc256:ecdsa-sha256:null", "-a", attributes, "-c", name];
        let unique = tpm.directory.join("unique");
        std::fs::write(&unique, [&32_u16.to_le_bytes()[..], &[name.as_bytes()[0]; 32]].concat())
            .unwrap();
        tpm.tool("tpm2_createprimary", &[&primary[..], &["-u", "unique"]].concat());
        tpm.tool("tpm2_evictcontrol", &["-Q", "-c", name, handle]);
        tpm.tool("tpm2_flushcontext", &["-t"]);
    };
    let locator = Locator::Handle(0x8101_0001);
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
    keystore.health().unwrap();
    drop(keystore);
    make("a", "0x81010001");
    let keystore = open_without_auth(&tpm);
    let key = keystore.find(&locator).unwrap();
    sign(&*key).unwrap();
    assert!(key.info().unproven.is_empty());
    assert!(keystore.list().unwrap().iter().any(|info| info.locator == locator));
    let spare = signing(&keystore);
    sign(&*spare).unwrap();
    let public = spare.info().public.clone().unwrap();
    let answer = keystore.find_with_public(&locator, &public);
    assert!(matches!(answer, Err(BackendError::Misconfigured { .. })), "{answer:?}");
    keystore.destroy(&locator).unwrap();
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
    assert!(matches!(keystore.destroy(&locator), Err(BackendError::NotFound { .. })));
    assert!(sign(&*key).is_err());
}

#[test]
fn no_tpm_behind_the_tcti_is_said() {
    let config = TpmConfig {
        name: "nobody".into(),
        tcti: swtpm::tcti(swtpm::next_ports()),
        keys: Path::new(env!("CARGO_TARGET_TMPDIR")).join("nobody"),
        auth: PinSource::None,
        parent_name: None,
    };
    let answer = TpmKeystore::open(config);
    assert!(matches!(answer, Err(BackendError::Unavailable { .. })), "{answer:?}");
}

#[test]
fn an_unpinned_parent_gets_no_private_key() {
    let tpm = Swtpm::start();
    let keystore = TpmKeystore::open(tpm.config("tpm")).unwrap();
    let locator = keystore.new_locator("imported").unwrap();
    let p256 = spec(KeyShape::Curve(Curve::P256), KeyAlgorithm::Sign(ES256));
    let answer = keystore.import(&locator, &p256, &rfc7517_key());
    assert!(matches!(answer, Err(BackendError::Misconfigured { .. })), "{answer:?}");
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
}

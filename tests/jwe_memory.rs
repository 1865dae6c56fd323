//! How much memory a token takes, as the kernel counts it. One test, in a process of its own.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use hsm_jose::backend::Keystore;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::engine::Engine;
use hsm_jose::jose::alg::{ContentEncryption, KeyAlgorithm, KeyManagement};
use hsm_jose::jose::serialization::{Jwe, MAX_TOKEN_LEN, Serialization};
use hsm_jose::jwe::{JweBuilder, Recipient};
use hsm_jose::keyring::KeyringFile;
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
use hsm_jose::policy::{Policy, Profile};

const MIB: usize = 1024 * 1024;

/// A field of /proc/self/status, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse::<usize>().unwrap() * 1024
}

/// How far resident memory rises while `work` runs, in bytes.
fn rise(work: impl FnOnce()) -> usize {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    work();
    status("VmHWM").saturating_sub(before)
}

#[test]
fn a_token_takes_memory_in_proportion_to_its_length() {
    // What nobody asked for is checked and not kept, whatever it is.
    let unit = |unit: &str| unit.repeat(4 * MIB / unit.len());
    let names: Vec<_> = (0..500_000).map(|number| format!("\"{number}\":1")).collect();
    let hostile = [
        format!("{{\"x\":[{}0]}}", unit("0,")),
        format!("{{\"x\":[{}0]}}", unit("[],")),
        format!("{{\"x\":[{}0]}}", unit("{},")),
        format!("{{\"x\":[{}0]}}", unit("\"\\u0041\",")),
        format!("{{\"x\":\"{}\"}}", unit("\\u0041")),
        format!("{{{}}}", names.join(",")),
        format!("{{\"recipients\":[{}{{}}]}}", unit("{},")),
        format!("{{\"unprotected\":{{\"x\":[{}0]}}}}", unit("0,")),
        format!("{{\"ciphertext\":\"{}\"}}", unit("\\u0041")),
        unit("["),
        unit("{\"x\":"),
        unit("."),
    ];
    for token in hostile {
        let risen = rise(|| {
            let _ = std::hint::black_box(Jwe::parse(token.as_bytes(), MAX_TOKEN_LEN).err());
        });
        let shown = &token[..30];
        assert!(risen <= 4 * token.len(), "{shown}: {risen} for {}", token.len());
    }

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
    let enc = ContentEncryption::A256Gcm;
    let content = vec![0x55; 4 * MIB];
    for serialization in [Serialization::Compact, Serialization::General] {
        let jwe = JweBuilder::new(enc).to(&recipient, alg);
        let token = jwe.encrypt(serialization, &content).unwrap();
        let risen = rise(|| {
            let opened = engine.decrypt(token.as_bytes(), None).unwrap();
            assert_eq!(opened.plaintext.as_bytes().len(), content.len());
        });
        // The token itself is the first of three times its length.
        assert!(risen <= 2 * token.len(), "{serialization}: {risen} for {}", token.len());
    }
}

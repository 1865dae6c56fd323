//! The native calls of a failed decryption, told by pkcs11-spy.

use super::*;

/// The calls of the module, as pkcs11-spy saw them, in a process of its own: the spy is told what
/// to load and where to write by the environment, before it is loaded.
#[test]
fn every_path_to_a_failed_decryption_makes_the_same_calls() {
    let spies = [
        "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
        "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
        "/usr/lib64/pkcs11-spy.so",
        "/usr/lib64/pkcs11/pkcs11-spy.so",
    ];
    let spy = spies.iter().find(|path| Path::new(path).is_file());
    let spy = spy.expect("pkcs11-spy.so (Debian: apt install opensc)");
    let log = softhsm().directory.join("spy.log");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "calls::spied_child", "--ignored", "--nocapture"])
        .env("PKCS11SPY", &softhsm().module)
        .env("PKCS11SPY_OUTPUT", &log)
        .env("HSM_JOSE_TEST_SPY", spy)
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let calls = |path: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{path}: ")));
        line.unwrap_or_else(|| panic!("no {path} in {text}")).to_owned()
    };
    for alg in ["RSA-OAEP", "RSA-OAEP-256"] {
        let good = calls(&format!("{alg} good"));
        assert_eq!(good, "C_DecryptInit C_Decrypt C_GetSessionInfo C_GenerateRandom", "{alg}");
        for bad in ["flipped", "short", "long", "zero", "large"] {
            assert_eq!(calls(&format!("{alg} {bad}")), good, "{alg} {bad}");
        }
    }
    let agreed = calls("ECDH-ES+A256KW good");
    let start = "C_DeriveKey C_GetAttributeValue C_DestroyObject";
    assert_eq!(agreed, format!("{start} C_GetSessionInfo C_GenerateRandom"));
    assert_eq!(calls("ECDH-ES+A256KW flipped"), agreed);
    assert_eq!(calls("sign"), "C_SignInit C_Sign");
}

#[test]
#[ignore = "run by every_path_to_a_failed_decryption_makes_the_same_calls, in its environment"]
fn spied_child() {
    let Some(spy) = std::env::var_os("HSM_JOSE_TEST_SPY") else { return };
    let log = PathBuf::from(std::env::var_os("PKCS11SPY_OUTPUT").expect("a log"));
    let config = Pkcs11Config { module: spy.into(), ..common::bare_config("spied") };
    let keystore = Pkcs11Keystore::open(config).expect("open");
    let warnings = keystore.describe().expect("told").warnings.join("; ");
    assert!(warnings.contains("PKCS11SPY"), "{warnings}");
    let calls_of = |name: String, run: &dyn Fn()| {
        let before = std::fs::read_to_string(&log).expect("the log").len();
        run();
        let text = std::fs::read_to_string(&log).expect("the log");
        let calls = text[before..]
            .lines()
            .filter_map(|line| line.split_once(": ").map(|(_, call)| call))
            .filter(|call| call.starts_with("C_"))
            .map(|call| call.split_whitespace().next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>();
        println!("{name}: {}", calls.join(" "));
    };
    for alg in [KeyManagement::RsaOaep, KeyManagement::RsaOaep256] {
        let (_, key) = make(&keystore, RSA, &[unwrap(alg)]);
        let public = key.0.info().public.clone().expect("a public half");
        let sent = common::send(&public, alg, ENC);
        let failing = |encrypted_key: &[u8]| {
            let request =
                CekRequest::RsaOaep { hash: alg.oaep_hash().expect("OAEP"), encrypted_key };
            // What the core does on every path: the good CEK meets a bad tag there.
            let _ = key.0.unwrap_cek(&request, ENC);
            key.0.confirm_alive().expect("alive");
        };
        let good = &sent.encrypted_key;
        let mut flipped = good.clone();
        flipped[100] ^= 1;
        failing(good);
        calls_of(format!("{alg} good"), &|| failing(good));
        calls_of(format!("{alg} flipped"), &|| failing(&flipped));
        calls_of(format!("{alg} short"), &|| failing(&good[1..]));
        calls_of(format!("{alg} long"), &|| failing(&[good.as_slice(), &[0]].concat()));
        calls_of(format!("{alg} zero"), &|| failing(&vec![0; good.len()]));
        calls_of(format!("{alg} large"), &|| failing(&vec![0xff; good.len()]));
    }
    // Whatever was sent: the device is given as many bytes as the modulus has.
    let text = std::fs::read_to_string(&log).expect("the log");
    let given = text.lines().filter(|line| line.contains("pEncryptedData[")).collect::<Vec<_>>();
    assert!(given.len() >= 12 && given.iter().all(|line| line.ends_with("/ 256")), "{given:?}");
    let alg = KeyManagement::EcdhEsA256Kw;
    let (_, key) = make(&keystore, KeyShape::Curve(Curve::P256), &[unwrap(alg)]);
    let public = key.0.info().public.clone().expect("a public half");
    let mut sent = common::send(&public, alg, ENC);
    let failing = |sent: &common::Sent| {
        let _ = key.0.unwrap_cek(&common::request(sent, alg), ENC);
        key.0.confirm_alive().expect("alive");
    };
    calls_of(format!("{alg} good"), &|| failing(&sent));
    sent.encrypted_key[3] ^= 1;
    calls_of(format!("{alg} flipped"), &|| failing(&sent));
    let (_, key) = make(&keystore, RSA, &[sign(SignatureAlgorithm::Ps256)]);
    calls_of("sign".to_owned(), &|| {
        key.0.sign(SignatureAlgorithm::Ps256, ToSign::Digest(&[1; 32])).expect("a signature");
    });
    assert!(matches!(
        key.0.unwrap_cek(&CekRequest::RsaOaep { hash: Hash::Sha1, encrypted_key: &[] }, ENC),
        Err(BackendError::Unsupported { .. })
    ));
}

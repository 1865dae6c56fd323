//! RSA keys that anyone can factor (ROCA, CVE-2017-15361) and that a keyring or a device has already: they
//! do not serve, are told of, and can be destroyed; the other keys go on.
#![cfg(all(feature = "cli", feature = "pkcs11"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{BackendError, Keystore, Locator};
use hsm_jose::config::Profile;
use hsm_jose::doctor::{Severity, examine};
use hsm_jose::engine::{EncryptOptions, Engine, SignOptions};
use hsm_jose::jose::alg::{KeyAlgorithm, Purpose};
use hsm_jose::jose::base64url;
use hsm_jose::jose::jwk::{JwkSet, PublicJwk, PublicKey};
use hsm_jose::jwe::Recipient;
use hsm_jose::keyring::{Keyring, KeyringFile};
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{
    AdoptRequest, DestroyRequest, GenerateRequest, KeyRequest, adopt, confirmation, destroy,
    generate, jwks, orphans,
};
use hsm_jose::policy::Policy;
use hsm_jose::primitives::rsa::RsaRecipient;
use hsm_jose::primitives::verify::VerifyingKey;
use serde_json::{Value, json};

mod common;

const ROCA: &str = "CVE-2017-15361";

fn request(name: &str, alg: &str) -> KeyRequest {
    KeyRequest {
        name: name.into(),
        algs: vec![KeyAlgorithm::from_name(alg).unwrap()],
        kid: None,
        profile: Profile::Strict,
    }
}

fn generate_good(file: &KeyringFile, keystore: &dyn Keystore) {
    let key = request("good", "ES256");
    let new = GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
    generate(file, keystore, &new).unwrap();
}

fn rsa_jwk(n: &[u8]) -> Value {
    json!({ "kty": "RSA", "n": base64url::encode(n), "e": "AQAB" })
}

/// Enters a key as a version of the program that did not know better has done it.
fn enter(file: &Path, name: &str, alg: &str, locator: &Locator, n: &[u8]) {
    let mut keyring: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let mut key = keyring["keys"][0].clone();
    key["name"] = name.into();
    key["purpose"] = json!(KeyAlgorithm::from_name(alg).unwrap().purpose());
    key["algs"] = json!([alg]);
    let version = &mut key["versions"][0];
    version["kid"] = name.into();
    version["kid_given"] = true.into();
    version["locator"] = json!(locator);
    version["public"] = rsa_jwk(n);
    keyring["keys"].as_array_mut().unwrap().push(key);
    fs::write(file, keyring.to_string()).unwrap();
}

fn recorded(keyring: &Keyring, name: &str) -> PublicKey {
    keyring.key(name).unwrap().versions[0].public.clone().unwrap().key
}

fn refusal(outcome: Result<impl Sized, Error>) -> String {
    let Err(error) = outcome else { panic!("the key was used") };
    assert_eq!(error.code(), "policy", "{error}");
    assert!(error.to_string().contains(ROCA), "{error}");
    error.to_string()
}

/// A keyring with a good key and two that anyone can factor, and the keystore of the first.
fn three() -> (tempfile::TempDir, KeyringFile, Arc<MemoryKeystore>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring.json");
    let (file, keystore) = (KeyringFile::new(&path), Arc::new(MemoryKeystore::new("soft")));
    generate_good(&file, &*keystore);
    for (power, name, alg) in [(128, "old-sig", "PS256"), (129, "old-enc", "RSA-OAEP-256")] {
        let locator = Locator::Memory(name.into());
        enter(&path, name, alg, &locator, &common::roca_modulus(power));
    }
    (directory, file, keystore)
}

#[test]
fn a_recorded_one_does_not_serve_and_the_others_do() {
    let (_directory, file, keystore) = three();
    let keyring = file.read().unwrap();
    assert_eq!(keyring.keys().len(), 3);
    assert!(keyring.active("good", Purpose::Sign).is_ok());
    refusal(keyring.active("old-sig", Purpose::Sign));
    assert!(keyring.decryption_candidates(&["old-enc"]).unwrap().is_empty());
    let published = jwks(&keyring).unwrap();
    assert_eq!(published["keys"].as_array().unwrap().len(), 1);
    assert_eq!(published["keys"][0]["alg"], "ES256");

    let keystores = Keystores::opened(vec![keystore.clone()], false).unwrap();
    for found in keyring.versions().filter(|found| found.key.name != "good") {
        assert!(found.version.state.serves() && !found.version.serves());
        refusal(keystores.key(found));
    }
    let engine = Engine::new(Policy::of(Profile::Strict), Vec::new(), &keyring, keystores).unwrap();
    engine.connect().unwrap();
    engine.sign("good", &SignOptions::default(), b"payload").unwrap();
    refusal(engine.sign("old-sig", &SignOptions::default(), b"payload"));
    // Somebody's token for it, with and without its kid.
    for (kid, name) in
        [(Some("old-enc"), None), (None, Some("old-enc")), (Some("old-enc"), Some("old-enc"))]
    {
        let mut partner = rsa_jwk(&[0xc5; 384]);
        partner["alg"] = "RSA-OAEP-256".into();
        let mut partner = PublicJwk::parse(partner.to_string().as_bytes()).unwrap();
        partner.kid = kid.map(str::to_owned);
        let recipients = [Recipient::new(partner).unwrap()];
        let token = engine.encrypt(&recipients, &EncryptOptions::default(), b"content").unwrap();
        refusal(engine.decrypt(token.as_bytes(), name));
    }
}

#[test]
fn its_public_half_is_for_nothing_and_no_other_place_takes_it_in() {
    let (_directory, file, _) = three();
    let key = recorded(&file.read().unwrap(), "old-sig");
    assert!(VerifyingKey::new(&key).unwrap_err().to_string().contains(ROCA));
    let PublicKey::Rsa(rsa) = &key else { panic!("an RSA key") };
    assert!(RsaRecipient::new(rsa).unwrap_err().to_string().contains(ROCA));
    let jwk = PublicJwk { kid: Some("k".into()), ..PublicJwk::bare(key.clone()) };
    assert!(Recipient::new(jwk.clone()).is_err());
    let set = JwkSet { keys: vec![jwk.clone()] };
    assert!(set.to_published(SystemTime::now()).unwrap_err().to_string().contains(ROCA));
    let written = json!(jwk);
    assert!(serde_json::from_value::<PublicJwk>(written.clone()).is_err());
    assert!(PublicKey::from_members(written.as_object().unwrap()).is_err());
}

#[test]
fn doctor_tells_of_it_and_it_goes_while_the_others_stay() {
    let (_directory, file, keystore) = three();
    let keyring = file.read().unwrap();
    let keystores = Keystores::opened(vec![keystore.clone()], false).unwrap();
    let report = examine(&keystores, &keyring);
    for name in ["old-sig", "old-enc"] {
        let is_told = report.findings.iter().any(|finding| {
            (finding.severity, finding.id, &*finding.subject) == (Severity::Error, "weak-key", name)
                && finding.what.contains(ROCA)
                && finding.fix.contains("rotate")
        });
        assert!(is_told, "{:?}", report.findings);
    }
    assert!(report.keys.iter().map(|key| &*key.name).eq(["good"]), "{:?}", report.keys);

    let confirm = confirmation(&keyring.key("old-sig").unwrap().versions[0]);
    let request = DestroyRequest { name: "old-sig".into(), confirm, force: true };
    assert!(destroy(&file, &*keystore, &request).unwrap().was_last);
    let keyring = file.read().unwrap();
    assert!(keyring.keys().iter().map(|key| &*key.name).eq(["good", "old-enc"]));
}

/// A session of somebody else's on the token `main`.
fn session() -> Session {
    common::logged_in();
    let pkcs11 = Pkcs11::new(&common::softhsm().module).unwrap();
    let _ = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slots = pkcs11.get_slots_with_initialized_token().unwrap();
    let is_main = |slot| pkcs11.get_token_info(slot).is_ok_and(|info| info.label() == "main");
    let slot = slots.into_iter().find(|slot| is_main(*slot)).unwrap();
    let session = pkcs11.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::from(common::PIN.to_owned())));
    session
}

/// Puts a private key that anyone can factor into the token: by its modulus, nobody has its primes.
fn put(session: &Session, id: &[u8], n: &[u8]) -> Locator {
    let number = vec![0x55; 128];
    session
        .create_object(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Decrypt(false),
            Attribute::Id(id.to_vec()),
            Attribute::Modulus(n.to_vec()),
            Attribute::PublicExponent(vec![1, 0, 1]),
            Attribute::PrivateExponent(n.to_vec()),
            Attribute::Prime1(number.clone()),
            Attribute::Prime2(number.clone()),
            Attribute::Exponent1(number.clone()),
            Attribute::Exponent2(number.clone()),
            Attribute::Coefficient(number),
        ])
        .unwrap();
    Locator::Object { id: Some(id.to_vec()), label: None }
}

fn is_weak(outcome: Result<impl Sized, BackendError>) -> bool {
    matches!(outcome, Err(BackendError::WeakKey { reason, .. }) if reason.contains(ROCA))
}

/// What every keystore does with one that it has: refused, told of, and destroyed as the recorded one.
fn in_device(keystore: &dyn Keystore, locator: &Locator, n: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring.json");
    let file = KeyringFile::new(&path);
    assert!(is_weak(keystore.find(locator)));
    let info = keystore.list().unwrap().into_iter().find(|info| info.locator == *locator).unwrap();
    assert!(info.weak.iter().any(|what| what.contains(ROCA)), "{info:?}");
    let adopted =
        AdoptRequest { key: request("k", "PS256"), locator: locator.clone(), public: None };
    let message = refusal(adopt(&file, keystore, &adopted));
    assert!(message.contains(&locator.to_string()), "{message}");
    assert!(file.read().unwrap().keys().is_empty());

    generate_good(&file, keystore);
    // Another one than the one that is recorded is not destroyed.
    for (recorded_n, is_the_one) in [(common::roca_modulus(130), false), (n.to_vec(), true)] {
        enter(&path, "old", "PS256", locator, &recorded_n);
        let keyring = file.read().unwrap();
        let found = keystore.find_with_public(locator, &recorded(&keyring, "old"));
        assert_eq!(is_weak(found), is_the_one);
        let confirm = confirmation(&keyring.key("old").unwrap().versions[0]);
        let request = DestroyRequest { name: "old".into(), confirm, force: true };
        let destroyed = destroy(&file, keystore, &request);
        assert_eq!(destroyed.is_ok_and(|destroyed| destroyed.in_device), is_the_one);
        let mut written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        written["keys"].as_array_mut().unwrap().truncate(1);
        fs::write(&path, written.to_string()).unwrap();
    }
    assert!(matches!(keystore.find(locator), Err(BackendError::NotFound { .. })));
}

#[test]
fn one_in_a_token_is_refused_told_of_and_destroyed() {
    let n = common::roca_modulus(128);
    let locator = put(&session(), b"roca in a token", &n);
    let keystore = Arc::new(common::open("token"));
    let keystores = Keystores::opened(vec![keystore.clone()], false).unwrap();
    let findings = examine(&keystores, &Keyring::default()).findings;
    let is_told = findings.iter().any(|finding| {
        (finding.severity, finding.id) == (Severity::Warning, "weak-key")
            && finding.what.contains(&locator.to_string())
            && finding.what.contains(ROCA)
    });
    assert!(is_told, "{findings:?}");
    in_device(&*keystore, &locator, &n);
}

#[test]
fn one_that_a_token_made_before_a_crash_is_destroyed_as_a_new_one_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring.json");
    let (file, keystore) = (KeyringFile::new(&path), common::open("token"));
    generate_good(&file, &keystore);
    let n = common::roca_modulus(131);
    let locator = put(&session(), b"roca before a crash", &n);
    enter(&path, "new", "PS256", &locator, &n);
    let mut keyring: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let version = keyring["keys"][1]["versions"][0].as_object_mut().unwrap();
    version.insert("state".into(), "pending".into());
    version.retain(|member, _| !["kid", "public"].contains(&&**member));
    fs::write(&path, keyring.to_string()).unwrap();

    let found = orphans(&file.read().unwrap(), &keystore).unwrap();
    assert!(found.pending.iter().any(|pending| pending.in_device), "{found:?}");
    let key = request("new", "PS256");
    let new = GenerateRequest { key, bits: None, curve: None, if_absent: true, dry_run: false };
    let error = generate(&file, &keystore, &new).unwrap_err();
    assert_eq!(error.code(), "key_not_as_asked");
    assert!(error.to_string().contains(ROCA), "{error}");
    assert!(matches!(keystore.find(&locator), Err(BackendError::NotFound { .. })));
    assert!(file.read().unwrap().key("new").is_none());
}

/// A key file whose public area has another modulus: a TPM that made it would have written the same.
#[cfg(feature = "tpm")]
#[test]
fn one_of_a_tpm_is_refused_told_of_and_destroyed() {
    use common::swtpm::{self, keys};
    use hsm_jose::backend::tpm::{TpmKeystore, describe_key_file};
    use hsm_jose::backend::tss2::KeyFile;
    let n = common::roca_modulus(128);
    let config = swtpm::swtpm().config("roca");
    let keystore = TpmKeystore::open(config.clone()).unwrap();
    let made = keys::decrypting(&keystore);
    let (path, locator) = (keys::file_of(&config, &*made), made.info().locator.clone());
    let mut file = KeyFile::decode(&fs::read(&path).unwrap()).unwrap();
    // The last of the area: the modulus of 256 bytes after its length.
    file.public.truncate(file.public.len() - 258);
    file.public.extend((n.len() as u16).to_be_bytes());
    file.public.extend(&n);
    let text = file.encode().unwrap();
    fs::write(&path, &text).unwrap();
    let described = describe_key_file("rsa.pem", text.as_bytes()).unwrap();
    assert!(described.weak.iter().any(|what| what.contains(ROCA)), "{described:?}");
    in_device(&keystore, &locator, &n);
}

struct Place(tempfile::TempDir);

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hsm-jose"));
        command.env("HSM_JOSE_CONFIG", self.path("hsm-jose.toml")).args(args);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn json(&self, args: &[&str]) -> Value {
        let (_, stdout, stderr) = self.run(&[&["--json"], args].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{args:?}: {stdout}{stderr}"))
    }
}

#[test]
fn the_program_lists_shows_and_destroys_one_and_signs_with_the_others() {
    let softhsm = common::softhsm();
    // No test of this process logs in to that token while the program does.
    common::logged_in();
    let place = Place(tempfile::tempdir().unwrap());
    let config = format!(
        "schema = 1\nenvironment = \"test\"\n[keystore.issuer]\ntype = \"pkcs11\"\n\
         module = \"{}\"\ntoken = \"other\"\npin = {{ file = \"{}\" }}\n",
        softhsm.module.display(),
        softhsm.pin_file.display()
    );
    fs::write(place.path("hsm-jose.toml"), config).unwrap();
    fs::write(place.path("payload"), "payload").unwrap();
    let payload = place.path("payload");
    let sign = |key| place.run(&["sign", "--key", key, payload.to_str().unwrap()]);
    let made = place.json(&["key", "generate", "good", "--alg", "ES256"]);
    let locator = Locator::Object { id: Some(b"it is gone".to_vec()), label: None };
    enter(&place.path("keyring.json"), "old", "PS256", &locator, &common::roca_modulus(128));

    let (status, listed, notes) = place.run(&["key", "list"]);
    assert_eq!(status, 0, "{notes}");
    assert!(listed.contains("good") && listed.contains("old"), "{listed}");
    assert!(notes.contains(ROCA) && notes.contains("rotate"), "{notes}");
    assert!(place.run(&["key", "show", "old"]).1.contains(ROCA));
    let shown = place.json(&["key", "show", "old"]);
    assert!(shown["weak"][0].as_str().unwrap().contains(ROCA), "{shown}");
    assert_eq!(place.json(&["key", "show", "good"])["weak"], json!([null]));
    let published = place.json(&["jwks"]);
    assert_eq!(published["keys"], json!([made["jwk"]]));
    assert_eq!(place.json(&["doctor"])["clean"], false);
    assert!(
        place.run(&["doctor"]).1.contains("error weak-key: old: active (kid old) does not serve")
    );
    let (status, findings, _) = place.run(&["config", "check"]);
    assert_eq!(status, 7);
    assert!(findings.contains(ROCA), "{findings}");

    let (status, token, message) = sign("good");
    assert_eq!((status, token.split('.').count()), (0, 3), "{message}");
    let (status, token, message) = sign("old");
    assert_eq!((status, &*token), (3, ""), "{message}");
    assert!(message.contains(ROCA), "{message}");
    let again = ["key", "generate", "old", "--alg", "PS256", "--if-absent"];
    let (status, _, message) = place.run(&again);
    assert!(status == 3 && message.contains(ROCA), "{message}");

    let mut private = rsa_jwk(&common::roca_modulus(129));
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        private[member] = base64url::encode(&[0x55; 128]).into();
    }
    fs::write(place.path("private.jwk"), private.to_string()).unwrap();
    let known = place.path("private.jwk");
    let (status, _, message) =
        place.run(&["key", "import", "new", "--from", known.to_str().unwrap(), "--alg", "PS256"]);
    assert!(status == 2 && message.contains(ROCA), "{message}");

    let confirm = shown["confirm"][0].as_str().unwrap();
    let gone = place.json(&["key", "destroy", "old", "--confirm", confirm, "--force"]);
    assert_eq!((&gone["in_device"], &gone["was_last"]), (&false.into(), &true.into()));
    assert_eq!(place.json(&["key", "list"])["keys"].as_array().unwrap().len(), 1);
    assert_eq!(sign("good").0, 0);
}

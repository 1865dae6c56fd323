//! Keys through their life, on a keystore that fails, or whose process dies, at a chosen step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hsm_jose::Error;
use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{
    BackendError, DeviceInfo, HardwareKey, KeyInfo, KeyShape, KeySpec, Keystore, Locator, Support,
};
use hsm_jose::config::{Config, Profile};
use hsm_jose::doctor::examine;
use hsm_jose::jose::alg::{Curve, KeyAlgorithm, Purpose};
use hsm_jose::jose::jwk::{PrivateJwk, PublicJwk};
use hsm_jose::keyring::{KeyState, KeyringFile, Provenance};
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{
    AdoptRequest, DestroyRequest, Entered, GenerateRequest, ImportRequest, KeyRequest, Outcome,
    adopt, destroy, generate, import, jwks, keystore_of, orphans,
};

/// What happens at the next `generate` or `import`, once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    DiesBefore,
    DiesAfter,
    Fails,
    FailsAfter,
}

#[derive(Debug)]
struct Faulty {
    inner: MemoryKeystore,
    fault: Option<Fault>,
    struck: AtomicBool,
    supports: bool,
}

impl Faulty {
    fn new(inner: MemoryKeystore, fault: Option<Fault>) -> Self {
        Self { inner, fault, struck: AtomicBool::new(false), supports: true }
    }

    fn strike(&self, now: [Fault; 2]) -> Result<(), BackendError> {
        let Some(fault) = self.fault.filter(|fault| now.contains(fault)) else { return Ok(()) };
        if self.struck.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        match fault {
            Fault::DiesBefore | Fault::DiesAfter => panic!("the process dies"),
            Fault::Fails | Fault::FailsAfter => Err(BackendError::Device {
                keystore: "soft".into(),
                call: "C_GenerateKeyPair".into(),
                code: "CKR_FUNCTION_FAILED".into(),
            }),
        }
    }
}

impl Keystore for Faulty {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn describe(&self) -> Result<DeviceInfo, BackendError> {
        self.inner.describe()
    }
    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Result<Support, BackendError> {
        match self.supports {
            true => self.inner.supports(alg, shape),
            false => Ok(Support::No { reason: "not in this test".into() }),
        }
    }
    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.inner.find(locator)
    }
    fn list(&self) -> Result<Vec<KeyInfo>, BackendError> {
        self.inner.list()
    }
    fn new_locator(&self, name: &str) -> Result<Locator, BackendError> {
        self.inner.new_locator(name)
    }
    fn generate(
        &self,
        locator: &Locator,
        spec: &KeySpec,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.strike([Fault::DiesBefore, Fault::Fails])?;
        let key = self.inner.generate(locator, spec)?;
        self.strike([Fault::DiesAfter, Fault::FailsAfter])?;
        Ok(key)
    }
    fn generate_ephemeral(&self, spec: &KeySpec) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.inner.generate_ephemeral(spec)
    }
    fn import(
        &self,
        locator: &Locator,
        spec: &KeySpec,
        private: &PrivateJwk,
    ) -> Result<Arc<dyn HardwareKey>, BackendError> {
        self.strike([Fault::DiesBefore, Fault::Fails])?;
        let key = self.inner.import(locator, spec, private)?;
        self.strike([Fault::DiesAfter, Fault::FailsAfter])?;
        Ok(key)
    }
    fn destroy(&self, locator: &Locator) -> Result<(), BackendError> {
        self.inner.destroy(locator)
    }
    fn health(&self) -> Result<(), BackendError> {
        self.inner.health()
    }
}

struct Bench {
    directory: tempfile::TempDir,
    keystore: Arc<Faulty>,
}

impl Bench {
    fn new(fault: Option<Fault>) -> Self {
        let keystore = Faulty::new(MemoryKeystore::new("soft"), fault);
        Self { directory: tempfile::tempdir().unwrap(), keystore: Arc::new(keystore) }
    }

    fn file(&self) -> KeyringFile {
        KeyringFile::new(&self.directory.path().join("keyring.json"))
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Entered, Error> {
        generate(&self.file(), &*self.keystore, request)
    }

    fn import(&self, request: &ImportRequest) -> Result<Entered, Error> {
        import(&self.file(), &*self.keystore, request)
    }

    fn destroy(&self, name: &str, confirm: &str, force: bool) -> Result<(), Error> {
        let request = DestroyRequest { name: name.into(), confirm: confirm.into(), force };
        keystore_of(&self.file(), &request)?;
        destroy(&self.file(), &*self.keystore, &request).map(drop)
    }

    fn keys_in_device(&self) -> usize {
        self.keystore.list().unwrap().len()
    }
}

fn key(name: &str, algs: &[&str]) -> KeyRequest {
    KeyRequest {
        name: name.into(),
        algs: algs.iter().map(|alg| KeyAlgorithm::from_name(alg).unwrap()).collect(),
        kid: None,
        profile: Profile::Strict,
    }
}

fn new_key(name: &str, algs: &[&str]) -> GenerateRequest {
    let key = key(name, algs);
    GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false }
}

fn usage(error: Error) -> String {
    assert_eq!(error.code(), "usage", "{error}");
    error.to_string()
}

#[test]
fn a_generated_key_is_active_under_its_thumbprint() {
    let bench = Bench::new(None);
    let entered = bench.generate(&new_key("sig", &["ES256"])).unwrap();
    assert_eq!(entered.outcome, Outcome::Entered);
    let keyring = bench.file().read().unwrap();
    assert_eq!(keyring.generation(), 2, "intent, then active");
    let found = keyring.active("sig", Purpose::Sign).unwrap();
    assert_eq!(found.kid, found.version.public.as_ref().unwrap().key.thumbprint());
    assert_eq!(found.version.provenance, Provenance::Generated);
    assert!(!found.version.kid_given);
    assert!(keyring.active("sig", Purpose::Decrypt).unwrap_err().to_string().contains("purpose"));
    let jwk = entered.jwk().unwrap().to_members();
    assert_eq!((&jwk["use"], &jwk["alg"]), (&"sig".into(), &"ES256".into()));
}

#[test]
fn a_dry_run_changes_nothing() {
    let bench = Bench::new(None);
    let request = GenerateRequest { dry_run: true, ..new_key("sig", &["ES256"]) };
    let entered = bench.generate(&request).unwrap();
    assert_eq!(entered.outcome, Outcome::Planned);
    assert!(entered.jwk().is_none());
    assert_eq!(entered.support.len(), 1);
    assert_eq!(std::fs::read_dir(bench.directory.path()).unwrap().count(), 0);
    assert_eq!(bench.keys_in_device(), 0);
}

#[test]
fn what_the_keystore_does_not_do_leaves_no_trace() {
    let mut bench = Bench::new(None);
    Arc::get_mut(&mut bench.keystore).unwrap().supports = false;
    let error = bench.generate(&new_key("sig", &["ES256"])).unwrap_err();
    assert_eq!(error.code(), "unsupported");
    assert_eq!(std::fs::read_dir(bench.directory.path()).unwrap().count(), 0);
}

#[test]
fn a_failure_takes_the_intent_back_only_if_the_device_has_no_key() {
    let bench = Bench::new(Some(Fault::Fails));
    assert_eq!(bench.generate(&new_key("k", &["ES256"])).unwrap_err().code(), "device_error");
    assert!(bench.file().read().unwrap().keys().is_empty());

    let bench = Bench::new(Some(Fault::FailsAfter));
    assert_eq!(bench.generate(&new_key("k", &["ES256"])).unwrap_err().code(), "device_error");
    assert!(bench.file().read().unwrap().key("k").unwrap().pending().is_some());
    let completed = bench.generate(&new_key("k", &["ES256"])).unwrap();
    assert_eq!(completed.outcome, Outcome::Completed);
    assert_eq!(bench.keys_in_device(), 1);
}

#[test]
fn a_crash_is_completed_by_the_same_command() {
    for (fault, outcome) in
        [(Fault::DiesBefore, Outcome::Entered), (Fault::DiesAfter, Outcome::Completed)]
    {
        for if_absent in [false, true] {
            let bench = Bench::new(Some(fault));
            let request = GenerateRequest { if_absent, ..new_key("k", &["ECDH-ES"]) };
            assert!(catch_unwind(AssertUnwindSafe(|| bench.generate(&request))).is_err());
            let keyring = bench.file().read().unwrap();
            let pending = keyring.key("k").unwrap().pending().unwrap();
            assert_eq!((pending.state, &pending.kid), (KeyState::Pending, &None));
            assert_eq!(jwks(&keyring).unwrap()["keys"].as_array().unwrap().len(), 0);
            let found = orphans(&keyring, &*bench.keystore).unwrap();
            assert_eq!(found.pending.len(), 1);
            assert_eq!(found.pending[0].in_device, fault == Fault::DiesAfter);

            let other = bench.generate(&new_key("k", &["ECDH-ES+A256KW"])).unwrap_err();
            assert!(usage(other).contains("interrupted"));

            assert_eq!(bench.generate(&request).unwrap().outcome, outcome);
            assert_eq!(bench.keys_in_device(), 1);
            let keyring = bench.file().read().unwrap();
            let candidates = keyring.decryption_candidates(&["k"]).unwrap();
            assert_eq!(candidates.len(), 1);
            let found = orphans(&keyring, &*bench.keystore).unwrap();
            assert!(found.pending.is_empty() && found.missing.is_empty());
            assert!(found.unknown.is_empty());
        }
    }
}

#[test]
fn an_interrupted_key_can_be_given_up() {
    let bench = Bench::new(Some(Fault::DiesAfter));
    let request = new_key("k", &["ES256"]);
    assert!(catch_unwind(AssertUnwindSafe(|| bench.generate(&request))).is_err());
    let info = bench.keystore.list().unwrap().remove(0);
    assert!(usage(bench.destroy("k", "other", false).unwrap_err()).contains("locator"));
    bench.destroy("k", &info.public.unwrap().thumbprint(), false).unwrap();
    assert_eq!(bench.keys_in_device(), 0);

    let bench = Bench::new(Some(Fault::DiesBefore));
    assert!(catch_unwind(AssertUnwindSafe(|| bench.generate(&request))).is_err());
    bench.destroy("k", "memory:k", false).unwrap();
    assert!(bench.file().read().unwrap().keys().is_empty());
}

#[test]
fn a_name_is_taken_unless_the_key_is_as_asked() {
    let bench = Bench::new(None);
    let first = bench.generate(&new_key("k", &["ECDH-ES"])).unwrap();
    let message = usage(bench.generate(&new_key("k", &["ECDH-ES"])).unwrap_err());
    assert!(message.contains("`if_absent`"), "{message}");

    let if_absent = GenerateRequest { if_absent: true, ..new_key("k", &["ECDH-ES"]) };
    let present = bench.generate(&if_absent).unwrap();
    assert_eq!(present.outcome, Outcome::Present);
    assert_eq!(present.jwk(), first.jwk());
    assert_eq!(bench.file().read().unwrap().generation(), 2);

    let others = [
        GenerateRequest { curve: Some(Curve::P384), ..if_absent.clone() },
        GenerateRequest { if_absent: true, ..new_key("k", &["ECDH-ES+A256KW"]) },
        GenerateRequest {
            key: KeyRequest { kid: Some("x".into()), ..if_absent.key.clone() },
            ..if_absent
        },
    ];
    for other in others {
        let message = usage(bench.generate(&other).unwrap_err());
        assert!(message.contains("there already"), "{message}");
    }
    assert_eq!(bench.keys_in_device(), 1);
}

#[test]
fn a_kid_is_taken_once_and_before_the_device_is_asked() {
    let bench = Bench::new(None);
    let with_kid = |name: &str| {
        let mut request = new_key(name, &["ES256"]);
        request.key.kid = Some("2026-01".into());
        request
    };
    let entered = bench.generate(&with_kid("a")).unwrap();
    assert_eq!(entered.jwk().unwrap().kid.as_deref(), Some("2026-01"));
    assert!(usage(bench.generate(&with_kid("b")).unwrap_err()).contains("2026-01"));
    assert_eq!(bench.keys_in_device(), 1);
    let mut request = with_kid("b");
    for kid in ["", "a\nb", &"x".repeat(257)] {
        request.key.kid = Some(kid.into());
        usage(bench.generate(&request).unwrap_err());
    }
}

#[test]
fn requests_that_cannot_be_are_refused_with_the_reason() {
    let bench = Bench::new(None);
    let with = |algs: &[&str], bits, curve| GenerateRequest { bits, curve, ..new_key("k", algs) };
    let refused = [
        (with(&[], None, None), "needs an algorithm"),
        (with(&["ES256", "ECDH-ES"], None, None), "different purposes"),
        (with(&["ES256", "ES256"], None, None), "twice"),
        (with(&["RSA-OAEP", "RSA-OAEP-256"], None, None), "one algorithm"),
        (with(&["PS256"], Some(2048), None), "3072"),
        (with(&["PS256"], Some(16384), None), "8192"),
        (with(&["PS256"], None, Some(Curve::P256)), "RSA"),
        (with(&["ES256"], Some(256), None), "`curve`"),
        (with(&["ES256"], None, Some(Curve::P384)), "does not work"),
        (with(&["ECDH-ES"], None, Some(Curve::Ed25519)), "does not work"),
        (GenerateRequest { key: key("a/b", &["ES256"]), ..new_key("k", &[]) }, "cannot name"),
        (GenerateRequest { key: key("", &["ES256"]), ..new_key("k", &[]) }, "cannot name"),
    ];
    for (request, reason) in refused {
        let message = usage(bench.generate(&request).unwrap_err());
        assert!(message.contains(reason), "{message}");
    }
    let shapes = [
        (&["ES256"][..], KeyShape::Curve(Curve::P256)),
        (&["ES512"], KeyShape::Curve(Curve::P521)),
        (&["EdDSA", "Ed25519"], KeyShape::Curve(Curve::Ed25519)),
        (&["ECDH-ES+A256KW"], KeyShape::Curve(Curve::P256)),
        (&["RSA-OAEP-256"], KeyShape::Rsa { bits: 3072 }),
    ];
    for (algs, shape) in shapes {
        let request = GenerateRequest { dry_run: true, ..new_key("k", algs) };
        assert_eq!(bench.generate(&request).unwrap().shape, shape);
    }
    let mut both = GenerateRequest { bits: Some(2048), ..new_key("k", &["RSA-OAEP"]) };
    both.key.profile = Profile::All;
    both.key.algs.push(KeyAlgorithm::from_name("RSA-OAEP-256").unwrap());
    let jwk = bench.generate(&both).unwrap().jwk().unwrap();
    assert_eq!((jwk.use_.as_deref(), jwk.alg), (Some("enc"), None));
}

#[test]
fn an_adopted_key_is_proved_and_recorded() {
    let bench = Bench::new(None);
    let spec = KeySpec {
        shape: KeyShape::Curve(Curve::P256),
        algs: vec![KeyAlgorithm::from_name("ES256").unwrap()],
    };
    let locator = Locator::Memory("vendor".into());
    let made = bench.keystore.generate(&locator, &spec).unwrap();
    let public = made.info().public.clone().unwrap();
    let request =
        AdoptRequest { key: key("sig", &["ES256"]), locator: locator.clone(), public: None };
    let unknown = orphans(&bench.file().read().unwrap(), &*bench.keystore).unwrap().unknown;
    assert_eq!(unknown.len(), 1);

    let other = bench.generate(&new_key("other", &["ES256"])).unwrap().jwk();
    let wrong = AdoptRequest { public: other, ..request.clone() };
    let error = adopt(&bench.file(), &*bench.keystore, &wrong).unwrap_err();
    assert!(error.code() == "config" && error.to_string().contains("another"), "{error}");
    let wrong = AdoptRequest { key: key("sig", &["ES384"]), ..request.clone() };
    assert!(adopt(&bench.file(), &*bench.keystore, &wrong).is_err());
    let wrong = AdoptRequest { locator: Locator::Memory("none".into()), ..request.clone() };
    let error = adopt(&bench.file(), &*bench.keystore, &wrong).unwrap_err();
    assert_eq!(error.code(), "key_not_found");

    let given = Some(PublicJwk::bare(public.clone()));
    let request = AdoptRequest { public: given, ..request };
    let entered = adopt(&bench.file(), &*bench.keystore, &request).unwrap();
    let version = entered.version.unwrap();
    assert_eq!(version.provenance, Provenance::Adopted);
    assert_eq!(version.unproven.len(), made.info().unproven.len() + made.info().weak.len());
    assert_eq!(version.kid, Some(public.thumbprint()));
    assert!(usage(adopt(&bench.file(), &*bench.keystore, &request).unwrap_err()).contains("there"));
    let second = AdoptRequest { key: key("again", &["ES256"]), ..request };
    assert!(usage(adopt(&bench.file(), &*bench.keystore, &second).unwrap_err()).contains("sig"));
}

const EC_JWK: &str = r#"{"kty":"EC","crv":"P-256","kid":"mine","use":"enc",
    "x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
    "y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
    "d":"0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"}"#;

fn known_key(name: &str, algs: &[&str]) -> ImportRequest {
    let private = PrivateJwk::parse(EC_JWK.as_bytes()).unwrap();
    ImportRequest { key: key(name, algs), private, waiver: None }
}

#[test]
fn an_imported_key_keeps_its_kid_and_says_that_it_was_outside() {
    let bench = Bench::new(None);
    assert!(usage(bench.import(&known_key("k", &["ES256"])).unwrap_err()).contains("use"));
    let request =
        ImportRequest { waiver: Some("migration 7".into()), ..known_key("k", &["ECDH-ES"]) };
    let entered = bench.import(&request).unwrap();
    assert_eq!(entered.outcome, Outcome::Entered);
    let keyring = bench.file().read().unwrap();
    let found = keyring.active("k", Purpose::Decrypt).unwrap();
    assert_eq!(found.kid, "mine");
    assert_eq!(found.version.provenance, Provenance::Imported);
    assert_eq!(found.version.waiver.as_deref(), Some("migration 7"));
    assert!(found.version.kid_given);
    let text = std::fs::read_to_string(bench.file().path()).unwrap();
    assert!(!text.contains("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd"));
    assert!(usage(bench.import(&request).unwrap_err()).contains("there already"));
    // What the keyring would refuse never gets into the device.
    let (in_device, keyring) = (bench.keys_in_device(), bench.file().read().unwrap());
    let twice = usage(bench.import(&known_key("k2", &["ECDH-ES"])).unwrap_err());
    assert!(twice.contains("already: it is key k"), "{twice}");
    let mut same_kid = new_key("k3", &["ES256"]);
    same_kid.key.kid = Some("mine".to_owned());
    let same_kid = usage(bench.generate(&same_kid).unwrap_err());
    assert!(same_kid.contains("\"mine\" is that of key k"), "{same_kid}");
    assert_eq!((bench.keys_in_device(), bench.file().read().unwrap()), (in_device, keyring));
}

#[test]
fn key_ops_of_a_jwk_count_as_its_use_does() {
    let with = |operations: &str| {
        let jwk = EC_JWK.replace("\"use\":\"enc\"", &format!("\"key_ops\":{operations}"));
        PrivateJwk::parse(jwk.as_bytes()).unwrap()
    };
    for (operations, alg, is_taken) in [
        (r#"["deriveBits"]"#, "ECDH-ES", true),
        (r#"["sign", "deriveKey"]"#, "ECDH-ES", true),
        ("[]", "ECDH-ES", true),
        (r#"["sign"]"#, "ECDH-ES", false),
        (r#"["deriveBits"]"#, "ES256", false),
        (r#"["sign", "verify"]"#, "ES256", true),
        (r#"["verify"]"#, "ES256", false),
        (r#"["encrypt", "wrapKey"]"#, "ECDH-ES", false),
    ] {
        let bench = Bench::new(None);
        let request = ImportRequest { private: with(operations), ..known_key("k", &[alg]) };
        match bench.import(&request) {
            Ok(_) => assert!(is_taken, "{operations} {alg}"),
            Err(error) => {
                assert!(!is_taken, "{operations} {alg}: {error}");
                assert!(usage(error).contains("key_ops"));
                assert_eq!(bench.keys_in_device(), 0);
            }
        }
    }
}

#[test]
fn production_serves_an_imported_key_only_with_a_waiver() {
    let bench = Bench::new(None);
    let config = "schema = 1\nenvironment = \"production\"\n";
    let config = Config::parse(std::path::Path::new("hsm-jose.toml"), config).unwrap();
    let keystores = Keystores::new(&config);
    for (waiver, code) in [(None, "policy"), (Some("decided by B.".to_owned()), "config")] {
        let request = ImportRequest { waiver, ..known_key("k", &["ECDH-ES"]) };
        bench.import(&request).unwrap();
        let keyring = bench.file().read().unwrap();
        let found = keyring.active("k", Purpose::Decrypt).unwrap();
        // With the waiver the keystore is asked for, which this configuration does not have.
        assert_eq!(keystores.key(found).unwrap_err().code(), code);
        bench.destroy("k", &found.version.public.as_ref().unwrap().key.thumbprint(), true).unwrap();
    }
}

#[test]
fn a_crashed_import_is_completed_too() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let bench = Bench::new(Some(fault));
        let request = known_key("k", &["ECDH-ES"]);
        assert!(catch_unwind(AssertUnwindSafe(|| bench.import(&request))).is_err());
        let generated = bench.generate(&new_key("k", &["ECDH-ES"])).unwrap_err();
        assert!(usage(generated).contains("imported"));
        bench.import(&request).unwrap();
        assert_eq!(bench.keys_in_device(), 1);
    }
}

#[test]
fn destroying_needs_the_thumbprint_and_force_while_it_serves() {
    let bench = Bench::new(None);
    bench.generate(&new_key("k", &["ES256"])).unwrap();
    let keyring = bench.file().read().unwrap();
    let thumbprint = keyring.active("k", Purpose::Sign).unwrap().kid.to_owned();
    let message = usage(bench.destroy("k", "k", true).unwrap_err());
    assert!(message.contains("nothing was destroyed"), "{message}");
    assert!(usage(bench.destroy("k", &thumbprint, false).unwrap_err()).contains("`force`"));
    assert_eq!(bench.destroy("other", &thumbprint, true).unwrap_err().code(), "key_not_found");
    assert_eq!(bench.keys_in_device(), 1);
    bench.destroy("k", &thumbprint, true).unwrap();
    assert_eq!(bench.keys_in_device(), 0);
    assert!(bench.file().read().unwrap().keys().is_empty());

    // A crash between device and keyring: found, and finished by the same command.
    bench.generate(&new_key("k", &["ES256"])).unwrap();
    let keyring = bench.file().read().unwrap();
    let found = keyring.active("k", Purpose::Sign).unwrap();
    bench.keystore.destroy(&found.version.locator).unwrap();
    let missing = orphans(&keyring, &*bench.keystore).unwrap().missing;
    assert_eq!(missing, [("k".to_owned(), found.kid.to_owned())]);
    bench.destroy("k", found.kid, true).unwrap();
    assert!(bench.file().read().unwrap().keys().is_empty());
}

#[test]
fn another_key_in_the_place_is_neither_destroyed_nor_overlooked() {
    let bench = Bench::new(None);
    bench.generate(&new_key("k", &["ES256"])).unwrap();
    let keyring = bench.file().read().unwrap();
    let found = keyring.active("k", Purpose::Sign).unwrap();
    let locator = &found.version.locator;
    bench.keystore.destroy(locator).unwrap();
    let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: found.key.algs.clone() };
    bench.keystore.generate(locator, &spec).unwrap();

    let error = bench.destroy("k", found.kid, true).unwrap_err();
    assert_eq!(error.code(), "config");
    let message = error.to_string();
    assert!(message.contains("nothing was destroyed for key k"), "{message}");
    assert!(message.contains("find out who"), "{message}");
    assert_eq!(bench.keys_in_device(), 1);
    assert_eq!(bench.file().read().unwrap(), keyring);

    let ids = || {
        let keystores = Keystores::opened(vec![bench.keystore.clone()], false).unwrap();
        let report = examine(&keystores, &keyring);
        let of_key = report.findings.iter().filter(|finding| finding.subject == "k");
        of_key.map(|finding| (finding.id, finding.fix.clone())).collect::<Vec<_>>()
    };
    let [(id, fix)] = &ids()[..] else { panic!("{:?}", ids()) };
    assert_eq!(*id, "key-replaced");
    assert!(fix.contains("find out who replaced it"), "{fix}");

    bench.keystore.destroy(locator).unwrap();
    assert_eq!(ids()[0].0, "key-not-found");
    bench.destroy("k", found.kid, true).unwrap();
    assert!(bench.file().read().unwrap().keys().is_empty());
}

#[test]
fn a_published_set_has_what_readers_need_and_nothing_private() {
    let bench = Bench::new(None);
    bench.generate(&new_key("sig", &["ES256"])).unwrap();
    bench.generate(&new_key("ed", &["EdDSA", "Ed25519"])).unwrap();
    bench.import(&known_key("enc", &["ECDH-ES"])).unwrap();
    let retiring = |text: String| text.replace("\"state\": \"active\"", "\"state\": \"retiring\"");
    let set = jwks(&bench.file().read().unwrap()).unwrap();
    let keys = set["keys"].as_array().unwrap();
    let members = |name: &str| keys.iter().map(|key| key[name].clone()).collect::<Vec<_>>();
    assert_eq!(members("use"), ["sig", "sig", "enc"]);
    assert_eq!(members("alg"), ["ES256".into(), serde_json::Value::Null, "ECDH-ES".into()]);
    assert!(!set.to_string().contains("\"d\""));

    let file = bench.file();
    let text = std::fs::read_to_string(file.path()).unwrap();
    std::fs::write(file.path(), retiring(text)).unwrap();
    let set = jwks(&file.read().unwrap()).unwrap();
    let uses = set["keys"].as_array().unwrap().iter().map(|key| key["use"].clone());
    assert_eq!(uses.collect::<Vec<_>>(), ["sig", "sig"], "nobody encrypts to a retiring key");
}

//! Keys that the device itself says are not as a key of ours shall be.

use std::sync::Arc;

use hsm_jose::backend::memory::MemoryKeystore;
use hsm_jose::backend::{
    BackendError, Cek, CekRequest, DeviceInfo, HardwareKey, KeyInfo, KeyShape, KeySpec, Keystore,
    Locator, Support, ToSign,
};
use hsm_jose::config::Profile;
use hsm_jose::doctor::examine;
use hsm_jose::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, Purpose, SignatureAlgorithm};
use hsm_jose::jose::jwk::PrivateJwk;
use hsm_jose::keyring::KeyringFile;
use hsm_jose::keystores::Keystores;
use hsm_jose::lifecycle::{
    AdoptRequest, Entered, GenerateRequest, ImportRequest, KeyRequest, adopt, generate, import,
};

/// A device, not software, that finds each key to be weak, and dies once it has made one.
#[derive(Debug)]
struct Weak {
    inner: MemoryKeystore,
    says: &'static str,
    exportable: bool,
}

impl Keystore for Weak {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn describe(&self) -> Result<DeviceInfo, BackendError> {
        let mut device = self.inner.describe()?;
        device.software = false;
        Ok(device)
    }
    fn supports(&self, alg: KeyAlgorithm, shape: KeyShape) -> Result<Support, BackendError> {
        self.inner.supports(alg, shape)
    }
    fn find(&self, locator: &Locator) -> Result<Arc<dyn HardwareKey>, BackendError> {
        let key = self.inner.find(locator)?;
        let mut info = key.info().clone();
        info.weak.push(self.says.to_owned());
        info.exportable = self.exportable;
        Ok(Arc::new(WeakKey { key, info }))
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
        self.inner.generate(locator, spec)?;
        Err(self.gone())
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
        self.inner.import(locator, spec, private)?;
        Err(self.gone())
    }
    fn destroy(&self, locator: &Locator) -> Result<(), BackendError> {
        self.inner.destroy(locator)
    }
    fn health(&self) -> Result<(), BackendError> {
        self.inner.health()
    }
}

impl Weak {
    fn new(says: &'static str, exportable: bool) -> Self {
        Self { inner: MemoryKeystore::new("hsm"), says, exportable }
    }

    fn gone(&self) -> BackendError {
        BackendError::Unavailable {
            keystore: self.name().to_owned(),
            call: "C_GetAttributeValue".to_owned(),
            code: "CKR_DEVICE_REMOVED".to_owned(),
        }
    }
}

#[derive(Debug)]
struct WeakKey {
    key: Arc<dyn HardwareKey>,
    info: KeyInfo,
}

impl HardwareKey for WeakKey {
    fn keystore(&self) -> &str {
        self.key.keystore()
    }
    fn info(&self) -> &KeyInfo {
        &self.info
    }
    fn support(&self, alg: KeyAlgorithm) -> Result<Support, BackendError> {
        self.key.support(alg)
    }
    fn unwrap_cek(
        &self,
        request: &CekRequest<'_>,
        enc: ContentEncryption,
    ) -> Result<Box<dyn Cek + '_>, BackendError> {
        self.key.unwrap_cek(request, enc)
    }
    fn sign(&self, alg: SignatureAlgorithm, input: ToSign<'_>) -> Result<Vec<u8>, BackendError> {
        self.key.sign(alg, input)
    }
    fn confirm_alive(&self) -> Result<(), BackendError> {
        self.key.confirm_alive()
    }
}

fn es256() -> KeyAlgorithm {
    KeyAlgorithm::from_name("ES256").unwrap()
}

fn request() -> KeyRequest {
    KeyRequest { name: "k".into(), algs: vec![es256()], kid: None, profile: Profile::Strict }
}

#[test]
fn a_key_that_is_completed_after_a_crash_is_read_back_as_a_new_one_is() {
    const JWK: &str = r#"{"kty":"EC","crv":"P-256",
        "x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
        "y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
        "d":"0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"}"#;
    type Make = fn(&KeyringFile, &dyn Keystore) -> hsm_jose::Result<Entered>;
    let generated: Make = |file, keystore| {
        let key = request();
        let new =
            GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
        generate(file, keystore, &new)
    };
    let imported: Make = |file, keystore| {
        let private = PrivateJwk::parse(JWK.as_bytes()).unwrap();
        import(file, keystore, &ImportRequest { key: request(), private, waiver: None })
    };
    for (make, says) in [
        (generated, "CKA_EXTRACTABLE is true"),
        (generated, "not exactly one usage: CKA_SIGN, CKA_DERIVE"),
        (imported, "CKA_SENSITIVE is false"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyringFile::new(&directory.path().join("keyring.json"));
        let keystore = Weak::new(says, true);
        assert_eq!(make(&file, &keystore).unwrap_err().code(), "device_unavailable");
        assert!(file.read().unwrap().key("k").unwrap().pending().is_some());

        let error = make(&file, &keystore).unwrap_err();
        assert_eq!(error.code(), "key_not_as_asked");
        assert!(error.to_string().contains(says), "{error}");
        assert!(keystore.list().unwrap().is_empty());
        assert!(file.read().unwrap().keys().is_empty());
    }
}

#[test]
fn production_does_not_serve_a_key_that_can_leave_its_device() {
    let cases = [("CKA_EXTRACTABLE is true", true), ("CKA_PRIVATE is false", false)];
    for (says, exportable) in cases {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyringFile::new(&directory.path().join("keyring.json"));
        let keystore = Arc::new(Weak::new(says, exportable));
        let locator = Locator::Memory("vendor".into());
        let spec = KeySpec { shape: KeyShape::Curve(Curve::P256), algs: vec![es256()] };
        keystore.inner.generate(&locator, &spec).unwrap();
        let adopted = AdoptRequest { key: request(), locator, public: None };
        let version = adopt(&file, &*keystore, &adopted).unwrap().version.unwrap();
        assert!(version.unproven.contains(&says.to_owned()));

        let keyring = file.read().unwrap();
        let found = keyring.active("k", Purpose::Sign).unwrap();
        for is_production in [false, true] {
            let keystores = Keystores::opened(vec![keystore.clone()], is_production).unwrap();
            match keystores.key(found) {
                Ok(_) => assert!(!is_production || !exportable, "{says}"),
                Err(error) => {
                    assert!(is_production && exportable, "{error}");
                    assert_eq!(error.code(), "policy");
                    let message = error.to_string();
                    assert!(message.contains(says), "{message}");
                    assert!(message.contains("`key generate`"), "{message}");
                }
            }
            let findings = examine(&keystores, &keyring).findings;
            assert!(findings.iter().any(|finding| finding.id == "weak-key"), "{findings:?}");
        }
    }
}

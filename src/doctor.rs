//! A report on every keystore and key: reachable, logged in, what each does and where the steps
//! run, and what an operator should look at.

use serde::Serialize;

use crate::backend::{SecretInfo, Support};
use crate::jose::alg::{ContentEncryption, KeyAlgorithm};
use crate::jose::refused::{REFUSED, Refused};
use crate::keyring::Keyring;
use crate::keystores::Keystores;

mod examination;

/// The whole report.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::keystores::Keystores;
/// # let keystores = Keystores::opened(vec![Arc::new(MemoryKeystore::new("soft"))], false)?;
/// # let keyring = hsm_jose::keyring::Keyring::default();
///
/// let report = hsm_jose::doctor::examine(&keystores, &keyring);
/// assert_eq!(report.keystores[0].name, "soft");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct Report {
    /// Every keystore of the configuration.
    pub keystores: Vec<KeystoreReport>,
    /// Every serving key of the keyring.
    pub keys: Vec<KeyReport>,
    /// Content encryption, which is the same for every keystore.
    pub content: Vec<ContentReport>,
    /// Names that no policy can allow, and why.
    pub refused: &'static [Refused],
    /// What an operator should look at, the most serious first.
    pub findings: Vec<Finding>,
}

/// One keystore.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::keystores::Keystores;
/// # let keystores = Keystores::opened(vec![Arc::new(MemoryKeystore::new("soft"))], false)?;
/// # let keyring = hsm_jose::keyring::Keyring::default();
///
/// let report = hsm_jose::doctor::examine(&keystores, &keyring);
/// assert!(report.keystores[0].healthy && report.keystores[0].software);
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct KeystoreReport {
    /// Its name in the configuration.
    pub name: String,
    /// Whether it is reachable and logged in.
    pub healthy: bool,
    /// What the device says of itself: manufacturer, model, serial, version, label.
    pub device: String,
    /// What else it says of itself.
    pub details: Vec<String>,
    /// Whether its keys are files that can be copied.
    pub software: bool,
    /// What it does, found by doing it.
    pub algorithms: Vec<AlgorithmReport>,
}

/// What a keystore or key does with one algorithm.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::keystores::Keystores;
/// # let keystores = Keystores::opened(vec![Arc::new(MemoryKeystore::new("soft"))], false)?;
/// # let keyring = hsm_jose::keyring::Keyring::default();
///
/// let report = hsm_jose::doctor::examine(&keystores, &keyring);
/// let told = report.keystores[0].algorithms.iter().find(|told| told.alg.name() == "ES256");
/// assert_eq!(told.map(|told| told.support), Some("hardware"));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct AlgorithmReport {
    /// The `alg`.
    pub alg: KeyAlgorithm,
    /// The kind of key.
    pub key: String,
    /// `hardware`, `host-assisted` or `no`.
    pub support: &'static str,
    /// The mechanism, the step on the host, or the reason.
    pub how: String,
}

/// What is done for one `enc`.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::keystores::Keystores;
/// # let keystores = Keystores::opened(Vec::new(), false)?;
/// # let keyring = hsm_jose::keyring::Keyring::default();
///
/// let report = hsm_jose::doctor::examine(&keystores, &keyring);
/// let told = report.content.iter().find(|told| told.enc.name() == "A128CBC-HS256");
/// assert_eq!(told.map(|told| told.host), Some("AES-CBC, HMAC-SHA-256"));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct ContentReport {
    /// The `enc`.
    pub enc: ContentEncryption,
    /// What runs on the host, found by doing it; where a device does `dir`, it does that instead.
    pub host: &'static str,
}

/// One serving key.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::jose::alg::{KeyAlgorithm, SignatureAlgorithm};
/// # use hsm_jose::keyring::KeyringFile;
/// # use hsm_jose::keystores::Keystores;
/// # use hsm_jose::lifecycle::{GenerateRequest, KeyRequest, generate};
/// # let directory = tempfile::tempdir().unwrap();
/// # let file = KeyringFile::new(&directory.path().join("keyring.json"));
/// # let keystore = Arc::new(MemoryKeystore::new("soft"));
/// # let key = KeyRequest {
/// #     name: "issuer-sig".into(),
/// #     algs: vec![KeyAlgorithm::Sign(SignatureAlgorithm::Es256)],
/// #     kid: None,
/// #     profile: hsm_jose::policy::Profile::Strict,
/// # };
/// # let request = GenerateRequest { key, bits: None, curve: None, if_absent: false, dry_run: false };
/// # generate(&file, &*keystore, &request)?;
/// # let keyring = file.read()?;
/// # let keystores = Keystores::opened(vec![keystore], false)?;
/// let report = hsm_jose::doctor::examine(&keystores, &keyring);
/// let key = &report.keys[0];
/// assert_eq!((key.name.as_str(), key.keystore.as_str()), ("issuer-sig", "soft"));
/// assert_eq!(key.algorithms.len(), 1, "each was asked for a known answer");
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct KeyReport {
    /// Its name.
    pub name: String,
    /// The kid of its version.
    pub kid: String,
    /// The keystore that holds it.
    pub keystore: String,
    /// Size and check value of a symmetric key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretInfo>,
    /// What it did when asked for a known answer.
    pub algorithms: Vec<AlgorithmReport>,
    /// The attributes that the device tells of it.
    pub attributes: Vec<String>,
    /// What the device did not prove of it.
    pub unproven: Vec<String>,
}

/// How serious a finding is.
///
/// ```
/// use hsm_jose::doctor::Severity;
///
/// // The most serious first.
/// assert!(Severity::Error < Severity::Warning && Severity::Warning < Severity::Note);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something works and should not be left as it is.
    Warning,
    /// Something to know.
    Note,
}

/// One thing to look at.
///
/// ```
/// # use std::sync::Arc;
/// # use hsm_jose::backend::memory::MemoryKeystore;
/// # use hsm_jose::keystores::Keystores;
/// # let keystores = Keystores::opened(vec![Arc::new(MemoryKeystore::new("soft"))], false)?;
/// # let keyring = hsm_jose::keyring::Keyring::default();
///
/// let report = hsm_jose::doctor::examine(&keystores, &keyring);
/// assert!(report.findings.iter().any(|finding| finding.id == "software-token"));
/// # Ok::<(), hsm_jose::Error>(())
/// ```
#[derive(Debug, Serialize)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// A stable word for the kind of finding.
    pub id: &'static str,
    /// The keystore or key.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// Examines every keystore and every serving key. A keystore that cannot be opened is a finding,
/// not an end.
pub fn examine(keystores: &Keystores, keyring: &Keyring) -> Report {
    let mut report = Report {
        keystores: Vec::new(),
        keys: Vec::new(),
        content: Vec::new(),
        refused: REFUSED,
        findings: Vec::new(),
    };
    report.content();
    for name in keystores.names() {
        match keystores.open(name) {
            Ok(keystore) => report.keystore(name, &*keystore, keyring),
            Err(error) => report.unreachable(name, &error),
        }
    }
    for found in keyring.versions() {
        report.weakness(found);
    }
    for found in keyring.versions().filter(|found| found.version.serves()) {
        // A keystore that cannot be opened has been reported, once.
        if let Ok(keystore) = keystores.open(&found.version.keystore) {
            report.key(found, &*keystore);
        }
    }
    report.findings.sort_by_key(|finding| finding.severity);
    report
}

impl Report {
    /// Returns whether there is nothing that should be acted on: notes do not count.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}

impl AlgorithmReport {
    fn new(alg: KeyAlgorithm, key: String, support: Support) -> Self {
        let (support, how) = match support {
            Support::Hardware { mechanism } => ("hardware", mechanism.to_owned()),
            Support::HostAssisted { mechanism, step } => {
                ("host-assisted", format!("{mechanism}, then {step}"))
            }
            Support::No { reason } => ("no", reason),
        };
        Self { alg, key, support, how }
    }
}

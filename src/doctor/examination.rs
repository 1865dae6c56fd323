//! What is asked of each keystore and key, and what is found.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{AlgorithmReport, ContentReport, Finding, KeyReport, KeystoreReport, Report, Severity};
use crate::backend::{BackendError, KeyShape, Keystore, Support};
use crate::error::Error;
use crate::jose::alg::KeyManagementMode as Mode;
use crate::jose::alg::{ContentEncryption, Curve, KeyAlgorithm, KeyManagement, SignatureAlgorithm};
use crate::jose::jwk::PublicKey;
use crate::keyring::{KeyRef, Keyring};
use crate::lifecycle::orphans;
use crate::primitives::{content, random};

/// The finding on a key that is not as a key of ours shall be.
const WEAK: &str = "weak-key";

const AAD: &[u8] = b"hsm-jose doctor";
const PLAINTEXT: &[u8] = b"content encryption on the host";

impl Report {
    fn find(
        &mut self,
        severity: Severity,
        id: &'static str,
        subject: &str,
        what: String,
        fix: &str,
    ) {
        self.findings.push(Finding {
            severity,
            id,
            subject: subject.into(),
            what,
            fix: fix.into(),
        });
    }

    pub(super) fn unreachable(&mut self, name: &str, error: &Error) {
        let fix =
            "see the message; the module, the token and the PIN's source are in the configuration";
        self.find(Severity::Error, "keystore-unreachable", name, error.to_string(), fix);
        self.keystores.push(KeystoreReport {
            name: name.into(),
            healthy: false,
            device: String::new(),
            details: Vec::new(),
            software: false,
            algorithms: Vec::new(),
        });
    }

    pub(super) fn keystore(&mut self, name: &str, keystore: &dyn Keystore, keyring: &Keyring) {
        let healthy = match keystore.health() {
            Ok(()) => true,
            Err(error) => {
                let fix = "check the device and the way to it";
                self.find(Severity::Error, "keystore-unhealthy", name, error.to_string(), fix);
                false
            }
        };
        let device = match keystore.describe() {
            Ok(device) => device,
            Err(error) => return self.unreachable(name, &error.into()),
        };
        if device.software {
            let what = "a software token: its keys are files that can be copied".to_owned();
            self.find(
                Severity::Note,
                "software-token",
                name,
                what,
                "use a hardware device in production",
            );
        }
        for warning in &device.warnings {
            let fix = "see the device's documentation";
            self.find(Severity::Warning, "device-warning", name, warning.clone(), fix);
        }
        let algorithms = if healthy { self.algorithms(name, keystore) } else { Vec::new() };
        if healthy {
            self.disagreements(name, keystore, keyring);
        }
        self.keystores.push(KeystoreReport {
            name: name.into(),
            healthy,
            device: format!(
                "{} {} serial {} version {} label {:?}",
                device.manufacturer, device.model, device.serial, device.version, device.label
            ),
            details: device.details,
            software: device.software,
            algorithms,
        });
    }

    /// Asks the device for every algorithm, with a key made for the purpose.
    fn algorithms(&mut self, name: &str, keystore: &dyn Keystore) -> Vec<AlgorithmReport> {
        let mut algorithms = Vec::new();
        let mut host_steps = BTreeMap::new();
        for (alg, shape) in probes() {
            match keystore.supports(alg, shape) {
                Ok(support) => {
                    if let Support::HostAssisted { step, .. } = &support {
                        let algs: &mut Vec<_> = host_steps.entry(*step).or_default();
                        if !algs.contains(&alg.name()) {
                            algs.push(alg.name());
                        }
                    }
                    algorithms.push(AlgorithmReport::new(alg, shape.to_string(), support));
                }
                Err(error) => {
                    let what = format!("{alg} with {shape}: {error}");
                    self.find(Severity::Error, "probe-failed", name, what, "check the device");
                }
            }
        }
        for (step, algs) in host_steps {
            let what = format!("{}: {step}", algs.join(", "));
            let fix = "SECURITY.md says what it means; an algorithm that runs whole in the device has none";
            self.find(Severity::Note, "host-step", name, what, fix);
        }
        algorithms
    }

    /// Encrypts and decrypts with every content encryption.
    pub(super) fn content(&mut self) {
        for enc in ContentEncryption::ALL {
            let mut key = Zeroizing::new(vec![0; enc.key_len()]);
            random::fill(&mut key);
            let sealed = content::encrypt(*enc, &key, AAD, PLAINTEXT);
            let plaintext =
                content::decrypt(*enc, &key, &sealed.iv, AAD, sealed.ciphertext, &sealed.tag);
            if plaintext.is_some_and(|plaintext| plaintext.as_bytes() == PLAINTEXT) {
                self.content.push(ContentReport { enc: *enc, host: on_host(*enc) });
            } else {
                let what = "what was encrypted does not decrypt".to_owned();
                let fix = "do not use this build";
                self.find(Severity::Error, "content-failed", enc.name(), what, fix);
            }
        }
    }

    fn disagreements(&mut self, name: &str, keystore: &dyn Keystore, keyring: &Keyring) {
        let found = match orphans(keyring, keystore) {
            Ok(found) => found,
            Err(error) => {
                let what = error.to_string();
                return self.find(
                    Severity::Error,
                    "listing-failed",
                    name,
                    what,
                    "check the device",
                );
            }
        };
        for pending in found.pending {
            let what = format!(
                "an interrupted command left key {} at {}, {}",
                pending.name,
                pending.locator,
                if pending.in_device { "made in the device" } else { "not made yet" }
            );
            let fix = "run the same command again with --if-absent: it completes the key";
            self.find(Severity::Warning, "pending-key", name, what, fix);
        }
        for (key, kid) in found.missing {
            let what = format!("key {key} (kid {kid}) is in the keyring and not in the device");
            self.find(
                Severity::Error,
                "missing-key",
                name,
                what,
                "restore it from the device's backup",
            );
        }
        for unknown in found.unknown {
            let what = format!(
                "the device has a key at {} that the keyring does not know",
                unknown.locator
            );
            if let Some(weakness) = unknown.public.as_ref().and_then(PublicKey::weakness) {
                let what = format!("{what}: {weakness}");
                let fix = "see who uses it, and have it replaced and destroyed; it is not adopted";
                self.find(Severity::Warning, WEAK, name, what, fix);
                continue;
            }
            let fix = "adopt it (`key adopt`), or see who made it";
            self.find(Severity::Note, "unknown-key", name, what, fix);
        }
    }

    /// A key that does not serve, whatever its state: what was encrypted to it can be read by anyone,
    /// and whoever still trusts it takes forged signatures.
    pub(super) fn weakness(&mut self, found: KeyRef<'_>) {
        let Some(weakness) = found.version.weakness() else { return };
        let KeyRef { key, version, kid } = found;
        let what = format!("{} (kid {kid}) does not serve: {weakness}", version.state);
        let fix = "rotate: generate another (`key generate`), have it used, and destroy this one \
                   (`key destroy`)";
        self.find(Severity::Error, WEAK, &key.name, what, fix);
    }

    pub(super) fn key(&mut self, found: KeyRef<'_>, keystore: &dyn Keystore) {
        let (name, version) = (&found.key.name, found.version);
        let public = version.public.as_ref().map(|jwk| &jwk.key);
        let key = match (public, &version.secret) {
            (Some(public), _) => keystore.find_with_public(&version.locator, public),
            (None, Some(secret)) => keystore.find_with_secret(&version.locator, secret),
            (None, None) => keystore.find(&version.locator),
        };
        let key = match key {
            Ok(key) => key,
            Err(error) => return self.not_found(name, &error),
        };
        let mut algorithms = Vec::new();
        for alg in &found.key.algs {
            match key.support(*alg) {
                Ok(Support::No { reason }) => {
                    let what = format!("the key does not do {alg}: {reason}");
                    let fix = "make another key, or change the keystore's configuration";
                    self.find(Severity::Error, "key-unusable", name, what, fix);
                }
                Ok(support) => {
                    let shape = public.map(KeyShape::of);
                    let shape = shape.or_else(|| version.secret.map(|secret| secret.shape()));
                    let kind = shape.map(|shape| shape.to_string()).unwrap_or_default();
                    algorithms.push(AlgorithmReport::new(*alg, kind, support));
                }
                Err(error) => {
                    let what = error.to_string();
                    self.find(Severity::Error, "key-failed", name, what, "check the device");
                }
            }
        }
        for weak in &key.info().weak {
            let what = format!("the device says of the key: {weak}");
            let fix = "rotate to a key that is generated here";
            self.find(Severity::Warning, WEAK, name, what, fix);
        }
        self.keys.push(KeyReport {
            name: name.clone(),
            kid: found.kid.to_owned(),
            keystore: version.keystore.clone(),
            secret: version.secret,
            algorithms,
            attributes: key.info().attributes.clone(),
            unproven: key.info().unproven.clone(),
        });
    }

    /// A key that was swapped for another at the same place is the worst that can be found.
    fn not_found(&mut self, name: &str, error: &BackendError) {
        let (id, fix) = match error {
            BackendError::NotFound { .. } => {
                ("key-not-found", "restore it from the device's backup, or destroy the entry")
            }
            BackendError::Misconfigured { .. } => {
                ("key-replaced", "find out who replaced it before it is used again")
            }
            _ => ("key-failed", "check the device"),
        };
        self.find(Severity::Error, id, name, error.to_string(), fix);
    }
}

/// Every algorithm, with the smallest key that shows it.
fn probes() -> impl Iterator<Item = (KeyAlgorithm, KeyShape)> {
    const RSA: KeyShape = KeyShape::Rsa { bits: 2048 };
    let unwrap = KeyManagement::ALL.iter().flat_map(|alg| {
        let shapes: Vec<_> = match alg.mode() {
            Mode::KeyEncryption(_) => vec![RSA],
            Mode::KeyWrapping(wrap) | Mode::GcmKeyWrapping(wrap) => vec![oct(wrap.key_len())],
            // As long as each `enc` needs it; 32 bytes are for two of them.
            Mode::DirectEncryption => [16, 24, 32, 48, 64].map(oct).into(),
            Mode::DirectKeyAgreement | Mode::KeyAgreementWithKeyWrapping(_) => {
                let curves = Curve::ALL.iter().filter(|curve| curve.agrees());
                curves.map(|curve| KeyShape::Curve(*curve)).collect()
            }
        };
        shapes.into_iter().map(|shape| (KeyAlgorithm::Unwrap(*alg), shape))
    });
    // One of the two names of Ed25519 is enough.
    let names = SignatureAlgorithm::ALL.iter().filter(|alg| **alg != SignatureAlgorithm::Ed25519);
    let sign = names.map(|alg| {
        let shape = match (alg.curve(), alg.hash()) {
            (Some(curve), _) => KeyShape::Curve(curve),
            (None, Some(hash)) if alg.is_symmetric() => oct(hash.len()),
            _ => RSA,
        };
        (KeyAlgorithm::Sign(*alg), shape)
    });
    unwrap.chain(sign)
}

const fn oct(bytes: usize) -> KeyShape {
    KeyShape::Oct { bits: 8 * bytes as u32 }
}

const fn on_host(enc: ContentEncryption) -> &'static str {
    use ContentEncryption as Enc;
    match enc {
        Enc::A128Gcm | Enc::A192Gcm | Enc::A256Gcm => "AES in GCM",
        Enc::A128CbcHs256 => "AES-CBC, HMAC-SHA-256",
        Enc::A192CbcHs384 => "AES-CBC, HMAC-SHA-384",
        Enc::A256CbcHs512 => "AES-CBC, HMAC-SHA-512",
    }
}

//! `hsm-jose config`

use std::fs;
use std::path::Path;

use serde_json::json;

use super::input::{self, MAX_KEYS};
use super::{Report, Setup};
use crate::config::{Config, KeystoreConfig};
use crate::engine::load;
use crate::error::{Error, Result};
use crate::jose::alg::{KeyAlgorithm, Purpose};
use crate::jose::jwk::JwkSet;
use crate::keyring::{Keyring, MAX_CANDIDATES, Provenance};
use crate::policy::refuse_confusable;
use crate::secret::PinSource;

/// Look at the configuration
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
}

/// Tell what is wrong with the configuration, with its line
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Tell what is wrong with the configuration, with its line: the file itself, the \
                  files and keys it names, and the keyring. No device is asked, see `doctor`.",
    after_help = "Example:\n  hsm-jose --config hsm-jose.toml config check"
)]
pub(crate) struct CheckArgs {}

impl Command {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        match self {
            Self::Check(_) => check(setup),
        }
    }
}

fn check(setup: &Setup) -> Result<Report> {
    let config = &setup.config;
    let keyring = setup.keyring.read()?;
    let mut findings = Findings { config, findings: Vec::new() };
    findings.keystores();
    findings.policy();
    findings.contexts(&keyring);
    for (name, recipient) in &config.recipients {
        findings.key_set(&format!("recipient.{name}"), &recipient.jwks);
    }
    findings.keyring(&keyring);
    let findings = findings.findings;
    let path = config.path.display();
    let text: String = match findings.is_empty() {
        true => format!("{path}: good\n"),
        false => {
            findings.iter().map(|(at, what)| format!("{}: {what}\n", place(config, at))).collect()
        }
    };
    let list: Vec<_> = findings
        .iter()
        .map(|(at, what)| json!({ "at": at, "line": config.line(at), "message": what }))
        .collect();
    let json = json!({ "config": config.path, "good": findings.is_empty(), "findings": list });
    let mut report = Report::new(text, json);
    report.found = !findings.is_empty();
    Ok(report)
}

/// What is wrong, each with the dotted path of where.
struct Findings<'a> {
    config: &'a Config,
    findings: Vec<(String, String)>,
}

impl Findings<'_> {
    fn add(&mut self, at: &str, what: impl Into<String>) {
        self.findings.push((at.to_owned(), what.into()));
    }

    fn keystores(&mut self) {
        if self.config.keystores.is_empty() {
            self.add("keystore", "there is no [keystore.NAME]");
        }
        for (name, keystore) in &self.config.keystores {
            #[cfg(not(feature = "tpm"))]
            if *keystore == KeystoreConfig::Tpm {
                let what = "type = \"tpm\", which this build lacks: build with --features tpm";
                self.add(&format!("keystore.{name}"), what);
            }
            let KeystoreConfig::Pkcs11(settings) = keystore else { continue };
            let at = format!("keystore.{name}");
            if !settings.module.is_file() {
                self.add(&at, format!("there is no module {}", settings.module.display()));
            }
            if let PinSource::File(path) = &settings.pin {
                match fs::metadata(path) {
                    Err(error) => self.add(&at, format!("PIN file {}: {error}", path.display())),
                    Ok(_) => {
                        if input::others_mode(path).is_some() {
                            let shown = path.display();
                            self.add(&at, format!("others can read PIN file {shown}: chmod 600"));
                        }
                    }
                }
            }
        }
    }

    fn contexts(&mut self, keyring: &Keyring) {
        for (name, context) in &self.config.contexts {
            if let Some(sign) = context.seal.as_ref().and_then(|seal| seal.sign.as_ref()) {
                let at = format!("context.{name}.seal.sign");
                if let Err(error) = keyring.active(sign, Purpose::Sign) {
                    self.add(&at, error.to_string());
                }
            }
            let Some(open) = &context.open else { continue };
            let at = format!("context.{name}.open.decrypt");
            for key in &open.decrypt {
                match keyring.decryption_candidates(&[key]) {
                    Err(error) => self.add(&at, error.to_string()),
                    Ok(found) if found.is_empty() => {
                        self.add(&at, format!("key {key} has no active or retiring version"));
                    }
                    Ok(found) => {
                        let is_taken = |alg: &KeyAlgorithm| match (&open.encrypt, alg) {
                            (Some(taken), KeyAlgorithm::Unwrap(alg)) => taken.contains(alg),
                            _ => true,
                        };
                        if !found.iter().any(|found| found.key.algs.iter().any(is_taken)) {
                            self.add(&at, format!("no alg of key {key} is in open.encrypt"));
                        }
                    }
                }
            }
            if let Some(trust) = &open.trust {
                self.key_set(&format!("context.{name}.open.trust"), trust);
            }
        }
    }

    /// What only shows when everything is put together, as the engine does.
    fn policy(&mut self) {
        if let Err(error) = load::policy(self.config) {
            self.add("policy", error.to_string());
        }
        let Ok(policy) = load::widest(self.config) else { return };
        let mut contexts = Vec::new();
        for (name, settings) in &self.config.contexts {
            let at = format!("context.{name}");
            let context = match load::context(policy.profile, name, settings) {
                Ok(context) => context,
                // A trust file that cannot be read has been reported, with its own place.
                Err(Error::Usage(_)) => continue,
                Err(error) => {
                    self.add(&at, error.to_string());
                    continue;
                }
            };
            if let Err(error) = context.check(&policy) {
                self.add(&at, error.to_string());
            }
            if let Err(error) = context.check_issuers() {
                self.add(&format!("{at}.open.trust"), error.to_string());
            }
            if let Some(open) = &context.open {
                let is_one_domain =
                    open.issuers.is_empty() && open.trust.iter().all(|key| key.iss.is_none());
                if is_one_domain && open.trust.len() > 1 {
                    let what = "each of its keys may sign for any issuer: name issuers = [...], or give \
                                each key the member \"iss\"";
                    self.add(&format!("{at}.open.trust"), what);
                }
                if open.decrypt.len() > MAX_CANDIDATES {
                    let what = format!(
                        "of {} keys, a token that names no kid is tried with {MAX_CANDIDATES}",
                        open.decrypt.len()
                    );
                    self.add(&format!("{at}.open.decrypt"), what);
                }
            }
            contexts.push(context);
        }
        if let Err(error) = refuse_confusable(&contexts) {
            self.add("context", error.to_string());
        }
    }

    fn key_set(&mut self, at: &str, path: &Path) {
        let shown = path.display();
        match input::read(Some(path), MAX_KEYS) {
            Err(error) => self.add(at, error.to_string()),
            Ok(bytes) => match JwkSet::from_any(&bytes) {
                Err(error) => self.add(at, format!("{shown}: {error}")),
                Ok(set) if set.keys.is_empty() => {
                    self.add(at, format!("{shown} has no key that this build can use"));
                }
                Ok(_) => {}
            },
        }
    }

    fn keyring(&mut self, keyring: &Keyring) {
        for key in keyring.keys() {
            for version in &key.versions {
                let name = &key.name;
                if !self.config.keystores.contains_key(&version.keystore) {
                    let keystore = &version.keystore;
                    let what = format!("key {name} is in keystore {keystore}, not configured");
                    self.add("keyring", what);
                }
                if let Some(weakness) = version.weakness() {
                    let version = version.version;
                    let what = format!("key {name} (version {version}) cannot serve: {weakness}");
                    self.add("keyring", what);
                }
                let is_refused = version.provenance == Provenance::Imported
                    && version.waiver.is_none()
                    && self.config.is_production();
                if is_refused {
                    let what = format!("key {name} was imported without a waiver: it cannot serve");
                    self.add("keyring", what);
                }
            }
            if key.pending().is_some() {
                let what =
                    format!("key {} was begun and interrupted: complete or destroy", key.name);
                self.add("keyring", what);
            }
        }
    }
}

fn place(config: &Config, at: &str) -> String {
    match config.line(at) {
        Some(line) => format!("{}:{line}: {at}", config.path.display()),
        None => format!("{}: {at}", config.path.display()),
    }
}

//! `hsm-jose key show`

use serde_json::{Value, json};

use super::super::{Report, Setup};
use super::size_and_check;
use crate::error::Result;
use crate::jose::alg::Purpose;
use crate::keyring::{KeyEntry, KeyRef, KeyVersion};
use crate::lifecycle::{confirmation, published};

/// Show all that the keyring knows of a key
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Show all that the keyring knows of a key, and what `key destroy --confirm` wants \
                  for each version. No device is asked.",
    after_help = "Example:\n  hsm-jose key show issuer-sig"
)]
pub(crate) struct Args {
    /// The key's name
    name: String,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let keyring = setup.keyring.read()?;
        let key = keyring.named(&self.name)?;
        let algs: Vec<&str> = key.algs.iter().map(|alg| alg.name()).collect();
        let mut text = format!("{}  {}  {}\n", key.name, verb(key), algs.join(" "));
        let (mut confirmations, mut weak) = (Vec::new(), Vec::new());
        for version in &key.versions {
            text.push_str(&details(key, version));
            confirmations.push(confirmation(version));
            weak.push(version.weakness());
        }
        Ok(Report::new(text, json!({ "key": key, "confirm": confirmations, "weak": weak })))
    }
}

fn verb(key: &KeyEntry) -> &'static str {
    match key.purpose {
        Purpose::Decrypt if is_symmetric(key) => "encrypts and decrypts",
        Purpose::Decrypt => "decrypts",
        Purpose::Sign if is_symmetric(key) => "authenticates",
        Purpose::Sign => "signs",
    }
}

fn is_symmetric(key: &KeyEntry) -> bool {
    key.algs.iter().any(|alg| alg.is_symmetric())
}

fn details(key: &KeyEntry, version: &KeyVersion) -> String {
    let mut text =
        format!("version {}  {}  since {}\n", version.version, version.state, version.created);
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<11} {value}\n"));
    if let Some(kid) = &version.kid {
        line("kid", kid);
    }
    line("keystore", &version.keystore);
    line("locator", &version.locator.to_string());
    line("provenance", version.provenance.name());
    if let Some(waiver) = &version.waiver {
        line("waiver", waiver);
    }
    if let Some(what) = version.weakness() {
        line("weak", &format!("it does not serve: {what}"));
    }
    for what in &version.unproven {
        line("unproven", what);
    }
    if let Some(secret) = &version.secret {
        line("secret", &size_and_check(secret));
    }
    line("confirm", &confirmation(version));
    let found = version.kid.as_deref().map(|kid| KeyRef { key, version, kid });
    if let Some(jwk) = found.and_then(published) {
        line("jwk", &Value::Object(jwk.to_members()).to_string());
    }
    text
}

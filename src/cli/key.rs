//! `hsm-jose key`: keys in and out of devices and the keyring.

use serde_json::{Value, json};

use super::value::{key_alg, kid};
use super::{Report, Setup};
use crate::backend::{SecretInfo, Support};
use crate::engine::load;
use crate::error::{Error, Result};
use crate::jose::alg::KeyAlgorithm;
use crate::keyring::KeyVersion;
use crate::lifecycle::{Entered, KeyRequest, Outcome};

mod adopt;
mod destroy;
mod generate;
mod import;
mod list;
mod show;

/// Generate, adopt, import, list, show and destroy keys
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Generate(generate::Args),
    Adopt(adopt::Args),
    Import(import::Args),
    List(list::Args),
    Show(show::Args),
    Destroy(destroy::Args),
}

/// The arguments of every way into the keyring.
#[derive(Debug, clap::Args)]
struct Named {
    /// The key's name: A-Z a-z 0-9 . _ - and at most 64 of them
    name: String,
    /// An algorithm the key is bound to; one, unless the profile allows more
    #[arg(long, required = true, value_parser = key_alg)]
    alg: Vec<KeyAlgorithm>,
    /// The key's kid [default: its RFC 7638 thumbprint; random for a symmetric key]
    #[arg(long, allow_hyphen_values = true, value_parser = kid)]
    kid: Option<String>,
    /// The keystore that holds the key [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    keystore: Option<String>,
}

impl Command {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        match self {
            Self::Generate(args) => args.run(setup),
            Self::Adopt(args) => args.run(setup),
            Self::Import(args) => args.run(setup),
            Self::List(args) => args.run(setup),
            Self::Show(args) => args.run(setup),
            Self::Destroy(args) => args.run(setup),
        }
    }
}

impl Named {
    fn request(&self, setup: &Setup) -> KeyRequest {
        KeyRequest {
            name: self.name.clone(),
            algs: self.alg.clone(),
            kid: self.kid.clone(),
            profile: setup.config.policy.profile,
        }
    }

    fn keystore<'a>(&'a self, setup: &'a Setup) -> Result<&'a str> {
        self.keystore.as_deref().map_or_else(|| setup.keystores.only(), Ok)
    }
}

/// The report on a key that has entered: its public JWK, or the size and check value of a symmetric
/// key, and remarks on what it does not guarantee.
fn report(entered: &Entered, setup: &Setup) -> Result<Report> {
    let known = |version: &KeyVersion| match (entered.jwk(), version.secret) {
        (Some(jwk), _) => Some((Value::Object(jwk.to_members()).to_string(), "jwk", json!(jwk))),
        (None, Some(secret)) => {
            Some((format!("{} {}", entered.name, size_and_check(&secret)), "secret", json!(secret)))
        }
        (None, None) => None,
    };
    let version = entered.version.as_ref();
    let Some(((text, what, known), version)) = version.and_then(|it| Some((known(it)?, it))) else {
        return Err(Error::Config(format!("key {} has no public half", entered.name)));
    };
    let mut json = json!({
        "outcome": entered.outcome.name(),
        "name": entered.name,
        "algs": entered.algs,
        "kid": version.kid,
        "keystore": version.keystore,
        "locator": version.locator,
        "provenance": version.provenance,
        "unproven": version.unproven,
        "support": support(&entered.support),
    });
    json[what] = known;
    let mut report = Report::new(text, json);
    if version.secret.is_some_and(|secret| secret.check_value.is_none()) {
        report.notes.push("the device neither tells nor computes a check value".into());
    }
    match entered.outcome {
        Outcome::Completed => {
            report.notes.push(format!("key {} had been interrupted; completed", entered.name));
        }
        Outcome::Present => {
            report.notes.push(format!("key {} was there already", entered.name));
        }
        _ => {}
    }
    let policy = load::widest(&setup.config)?;
    for alg in entered.algs.iter().filter(|alg| !policy.allows(**alg)) {
        let profile = policy.profile.name();
        report.notes.push(match alg.is_symmetric() {
            true => {
                format!("`symmetric` of [policy] does not name {alg}: nothing here will use it")
            }
            false => format!("the {profile} profile has no {alg}: nothing here will use it"),
        });
    }
    report.notes.extend(steps_on_host(&entered.support));
    report.notes.extend(version.unproven.iter().map(|what| format!("not guaranteed: {what}")));
    Ok(report)
}

/// A symmetric key in words: what there is to tell of it.
pub(super) fn size_and_check(secret: &SecretInfo) -> String {
    match secret.check_value {
        Some(value) => format!("{} bits, check value {value}", secret.bits),
        None => format!("{} bits, no check value", secret.bits),
    }
}

/// The JSON form of how a device does algorithms.
fn support(support: &[(KeyAlgorithm, Support)]) -> Vec<Value> {
    let entry = |(alg, support): &(KeyAlgorithm, Support)| {
        let mut entry = place(support);
        entry["alg"] = json!(alg);
        entry
    };
    support.iter().map(entry).collect()
}

/// The JSON form of how a device does one algorithm.
pub(super) fn place(support: &Support) -> Value {
    match support {
        Support::Hardware { mechanism } => json!({ "where": "hardware", "mechanism": mechanism }),
        Support::HostAssisted { mechanism, step } => {
            json!({ "where": "host-assisted", "mechanism": mechanism, "step": step })
        }
        Support::No { reason } => json!({ "where": "no", "reason": reason }),
    }
}

/// The step that runs on the host, if one does.
pub(super) fn step_on_host(support: &Support) -> Option<String> {
    match support {
        Support::HostAssisted { step, .. } => Some((*step).to_owned()),
        _ => None,
    }
}

fn steps_on_host(support: &[(KeyAlgorithm, Support)]) -> impl Iterator<Item = String> {
    let step = |(alg, support): &(KeyAlgorithm, Support)| {
        step_on_host(support).map(|step| format!("{alg}: {step}"))
    };
    support.iter().filter_map(step)
}

//! `hsm-jose key list`

use serde_json::json;

use super::super::{Report, Setup};
use crate::backend::{KeyShape, SecretInfo};
use crate::error::Result;
use crate::keyring::{KeyVersion, Keyring};

/// List the keys: state, kid, algorithms, kind and size, keystore and provenance
#[derive(Debug, clap::Args)]
#[command(
    long_about = "List the keys of the keyring: state, kid, algorithms, kind and size (of a \
                  symmetric key with its check value), keystore and provenance. No device is asked.",
    after_help = "Example:\n  hsm-jose key list"
)]
pub(crate) struct Args {}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let keyring = setup.keyring.read()?;
        let json = json!({ "generation": keyring.generation(), "keys": keyring.keys() });
        let mut report = Report::new(table(&keyring), json);
        let weak = keyring.versions().filter_map(|found| found.check_strength().err());
        report.notes.extend(weak.map(|error| error.to_string()));
        Ok(match keyring.keys().is_empty() {
            true => report.with_note(format!("no keys in {}", setup.keyring.path().display())),
            false => report,
        })
    }
}

fn table(keyring: &Keyring) -> String {
    let header = ["NAME", "STATE", "ALGS", "KEY", "KEYSTORE", "PROVENANCE", "KID"];
    let mut rows = vec![header.map(String::from)];
    for key in keyring.keys() {
        for version in &key.versions {
            let algs: Vec<&str> = key.algs.iter().map(|alg| alg.name()).collect();
            let kid = version.kid.as_deref().unwrap_or("-");
            rows.push([
                key.name.clone(),
                version.state.to_string(),
                algs.join(","),
                shape(version),
                version.keystore.clone(),
                version.provenance.to_string(),
                kid.to_owned(),
            ]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Kind and size, and the check value of a symmetric key.
fn shape(version: &KeyVersion) -> String {
    match (&version.public, &version.secret) {
        (Some(public), _) => KeyShape::of(&public.key).to_string(),
        (None, Some(SecretInfo { bits, check_value: Some(value) })) => {
            format!("oct-{bits}:{value}")
        }
        (None, Some(secret)) => secret.shape().to_string(),
        (None, None) => "-".to_owned(),
    }
}

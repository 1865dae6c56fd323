//! `hsm-jose key list`

use serde_json::json;

use super::super::{Report, Setup};
use crate::error::Result;
use crate::keyring::Keyring;

/// List the keys: state, kid, algorithms, keystore and provenance
#[derive(Debug, clap::Args)]
#[command(
    long_about = "List the keys of the keyring: state, kid, algorithms, keystore and provenance. \
                  No device is asked.",
    after_help = "Example:\n  hsm-jose key list"
)]
pub(crate) struct Args {}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let keyring = setup.keyring.read()?;
        let json = json!({ "generation": keyring.generation(), "keys": keyring.keys() });
        let report = Report::new(table(&keyring), json);
        Ok(match keyring.keys().is_empty() {
            true => report.with_note(format!("no keys in {}", setup.keyring.path().display())),
            false => report,
        })
    }
}

fn table(keyring: &Keyring) -> String {
    let mut rows =
        vec![["NAME", "STATE", "ALGS", "KEYSTORE", "PROVENANCE", "KID"].map(String::from)];
    for key in keyring.keys() {
        for version in &key.versions {
            let algs: Vec<&str> = key.algs.iter().map(|alg| alg.name()).collect();
            let kid = version.kid.as_deref().unwrap_or("-");
            rows.push([
                key.name.clone(),
                version.state.to_string(),
                algs.join(","),
                version.keystore.clone(),
                version.provenance.to_string(),
                kid.to_owned(),
            ]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

//! `hsm-jose key generate`

use serde_json::json;

use super::super::value::curve;
use super::super::{Report, Setup};
use super::{Named, report, steps_on_host, support};
use crate::backend::Support;
use crate::error::Result;
use crate::jose::alg::Curve;
use crate::lifecycle::{Entered, GenerateRequest, Outcome, generate};

/// Make a key in the device and write its public JWK, or the check value of a symmetric key
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Make a key in the device and write its public JWK. The private half never leaves \
                  the device. Of a symmetric key (A*KW, A*GCMKW, dir, HS*), name, size and check \
                  value are written: it has no JWK that is ever shown.\n\nAfter a crash, the same command completes what was begun.",
    after_help = "Example:\n  hsm-jose key generate issuer-sig --alg ES256"
)]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Length of an RSA modulus [default: 3072], or of a key for dir [default: 256] or HS* [default:
    /// that of the hash]
    #[arg(long, value_name = "N")]
    bits: Option<u32>,
    /// Curve of an ECDH-ES key [default: P-256]
    #[arg(long, value_name = "CURVE", value_parser = curve)]
    crv: Option<Curve>,
    /// Take a key of this name and these algorithms as it is
    #[arg(long)]
    if_absent: bool,
    /// Ask the device whether it can, and say what would be made
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let keystore = setup.keystores.open(self.named.keystore(setup)?)?;
        let request = GenerateRequest {
            key: self.named.request(setup),
            bits: self.bits,
            curve: self.crv,
            if_absent: self.if_absent,
            dry_run: self.dry_run,
        };
        let entered = generate(&setup.keyring, keystore.as_ref(), &request)?;
        match entered.outcome {
            Outcome::Planned => Ok(plan(&entered, keystore.name())),
            _ => report(&entered, setup),
        }
    }
}

fn plan(entered: &Entered, keystore: &str) -> Report {
    let mut text = format!(
        "would make {}: {} in keystore {keystore}, private, sensitive, not extractable\n",
        entered.name, entered.shape
    );
    for (alg, support) in &entered.support {
        if let Support::Hardware { mechanism } | Support::HostAssisted { mechanism, .. } = support {
            text.push_str(&format!("  {alg}: {mechanism}\n"));
        }
    }
    let json = json!({
        "outcome": entered.outcome.name(),
        "name": entered.name,
        "algs": entered.algs,
        "shape": entered.shape.to_string(),
        "keystore": keystore,
        "support": support(&entered.support),
    });
    let mut report = Report::new(text, json);
    report.notes.extend(steps_on_host(&entered.support));
    report
}

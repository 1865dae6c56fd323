//! `hsm-jose jwks`

use super::{Report, Setup};
use crate::error::Result;
use crate::lifecycle;

/// Write the JWK Set to publish: public parts only, with kid and use
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Write the JWK Set to publish: public parts only, with kid and use, and alg where \
                  a key is bound to exactly one.\n\nSigning keys are in it while active or \
                  retiring, decryption keys while active. No device is asked.",
    after_help = "Example:\n  hsm-jose jwks > jwks.json"
)]
pub(crate) struct Args {}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let set = lifecycle::jwks(&setup.keyring.read()?)?;
        Ok(Report::new(format!("{set:#}"), set))
    }
}

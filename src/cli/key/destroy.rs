//! `hsm-jose key destroy`

use serde_json::json;

use super::super::{Report, Setup};
use crate::error::Result;
use crate::lifecycle::{DestroyRequest, destroy, keystore_of};

/// Destroy a key, in the device and in the keyring
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Destroy a version of a key, in the device and then in the keyring. What is \
                  encrypted to it is lost for good.\n\n`key show NAME` tells what --confirm wants.",
    after_help = "Example:\n  hsm-jose key destroy old-enc --confirm \
                  NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// The RFC 7638 thumbprint of the version to destroy, or the check value of a symmetric key
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    confirm: String,
    /// Destroy it though it is active or retiring
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let request = DestroyRequest {
            name: self.name.clone(),
            confirm: self.confirm.clone(),
            force: self.force,
        };
        let keystore = setup.keystores.open(&keystore_of(&setup.keyring, &request)?)?;
        let destroyed = destroy(&setup.keyring, keystore.as_ref(), &request)?;
        let kid = destroyed.version.kid.as_deref().unwrap_or("-");
        let text = format!("destroyed {} version {} {kid}", self.name, destroyed.version.version);
        let json = json!({
            "name": self.name,
            "version": destroyed.version.version,
            "kid": destroyed.version.kid,
            "in_device": destroyed.in_device,
            "was_last": destroyed.was_last,
        });
        let report = Report::new(text, json);
        Ok(match destroyed.in_device {
            true => report,
            false => report.with_note(format!(
                "keystore {} no longer had the key; it is gone from the keyring now",
                destroyed.version.keystore
            )),
        })
    }
}

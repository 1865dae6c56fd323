//! `hsm-jose key adopt`

use std::path::PathBuf;

use super::super::input::{self, MAX_KEYS};
use super::super::{Report, Setup};
use super::{Named, report};
use crate::backend::Locator;
use crate::error::{Error, Result};
use crate::jose::jwk::PublicJwk;
use crate::lifecycle::{AdoptRequest, adopt};

/// Enter a key that is in the device already and write its public JWK
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Enter a key that is in the device already and write its public JWK. Nothing is \
                  changed in the device; what it cannot prove of the key is listed and recorded.",
    after_help = "Example:\n  hsm-jose key adopt issuer-sig --object 'pkcs11:object=sign2026' \
                  --alg PS256"
)]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// The key in its token: a pkcs11: URI of id, object or both
    #[arg(long, value_name = "URI")]
    object: Locator,
    /// The public JWK, for a device that does not tell it
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let public = match &self.public {
            None => None,
            Some(path) => {
                let bytes = input::read(Some(path), MAX_KEYS)?;
                let wrong = |error| Error::Usage(format!("{}: {error}", path.display()));
                Some(PublicJwk::parse(&bytes).map_err(wrong)?)
            }
        };
        let keystore = setup.keystores.open(self.named.keystore(setup)?)?;
        let locator = self.object.clone();
        let request = AdoptRequest { key: self.named.request(setup), locator, public };
        report(&adopt(&setup.keyring, keystore.as_ref(), &request)?)
    }
}

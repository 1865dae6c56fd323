//! `hsm-jose jwks`

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::input::{self, MAX_KEYS};
use super::{Report, Setup};
use crate::error::{Error, Result};
use crate::jose::jwk::JwkSet;
use crate::jose::x509::CertificateChain;
use crate::lifecycle;

/// Write the JWK Set to publish: public parts only, with kid and use
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Write the JWK Set to publish: public parts only, with kid and use, and alg where \
                  a key is bound to exactly one.\n\nSigning keys are in it while active or \
                  retiring, decryption keys while active. No device is asked.\n\nTo have them as \
                  PEM: hsm-jose jwks | hsm-jose jwk convert --format pem",
    after_help = "Example:\n  hsm-jose jwks > jwks.json"
)]
pub(crate) struct Args {
    /// PEM certificates of one of the keys, and of their issuers: its x5c and x5t#S256; repeated for
    /// other keys
    #[arg(long, value_name = "FILE")]
    chain: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let mut set = lifecycle::published_keys(&setup.keyring.read()?);
        for path in &self.chain {
            attach(&mut set, path)
                .map_err(|what| Error::Usage(format!("{}: {what}", path.display())))?;
        }
        let set = set.to_published(SystemTime::now());
        let set = set.map_err(|error| Error::Config(format!("the JWK Set: {error}")))?;
        Ok(Report::new(format!("{set:#}"), set))
    }
}

/// Adds a chain of certificates to the key that it is for.
fn attach(set: &mut JwkSet, path: &Path) -> std::result::Result<(), String> {
    let bytes = input::read(Some(path), MAX_KEYS).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "not PEM".to_owned())?;
    let chain = CertificateChain::from_pem(text).map_err(|error| error.to_string())?;
    let key = chain.leaf().key().map_err(|error| error.to_string())?.key.clone();
    let jwk = set.keys.iter_mut().find(|jwk| jwk.key == key);
    let jwk = jwk.ok_or("the first certificate is that of no published key")?;
    jwk.attach(chain).map_err(|error| error.to_string())
}

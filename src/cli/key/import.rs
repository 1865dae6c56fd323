//! `hsm-jose key import`

use std::path::PathBuf;

use super::super::input::{self, MAX_KEYS};
use super::super::{Report, Setup};
use super::{Named, report};
use crate::error::{Error, Result};
use crate::jose::jwk::{JwkError, PrivateJwk};
use crate::jose::oct::SecretJwk;
use crate::jose::pkcs8;
use crate::lifecycle::{ImportRequest, ImportSecretRequest, import, import_secret};

/// Put a known private or symmetric key into the device
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Put a known private key into the device and write its public JWK, or a known \
                  symmetric key and write its size and check value: for test vectors and \
                  migrations.\n\nIt is recorded as imported, because its private half \
                  has been outside a device; production refuses to use it unless it was imported \
                  with --waiver. Without --kid, a kid of the JWK is kept.",
    after_help = "Example:\n  hsm-jose key import rfc7520-enc --from key.jwk --alg RSA-OAEP"
)]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// The key: a private or symmetric JWK, or PKCS#8 in PEM or DER; - is stdin
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Why it may serve in production; recorded
    #[arg(long, value_name = "TEXT")]
    waiver: Option<String>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        if self.waiver.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Error::Usage("--waiver needs a reason, and who decided it".into()));
        }
        let bytes = input::read(Some(&self.from), MAX_KEYS)?;
        let known = self.parse(&bytes).map_err(|error| {
            Error::Usage(format!("no key to import in {}: {error}", self.from.display()))
        })?;
        drop(bytes);
        let keystore = setup.keystores.open(self.named.keystore(setup)?)?;
        let (key, waiver) = (self.named.request(setup), self.waiver.clone());
        let entered = match known {
            Known::Pair(private) => {
                let request = ImportRequest { key, private: *private, waiver };
                import(&setup.keyring, keystore.as_ref(), &request)?
            }
            Known::Secret(secret) => {
                let request = ImportSecretRequest { key, secret, waiver };
                import_secret(&setup.keyring, keystore.as_ref(), &request)?
            }
        };
        let mut report = report(&entered, setup)?;
        report.notes.extend(input::remark_on_access(&self.from));
        if setup.config.is_production() && self.waiver.is_none() {
            let note = "production refuses to use this key: it was imported without --waiver";
            report.notes.push(note.into());
        }
        Ok(report)
    }

    /// What the key is for says what it must be: nothing is guessed from the file.
    fn parse(&self, bytes: &[u8]) -> std::result::Result<Known, JwkError> {
        let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let is_symmetric = self.named.alg.iter().any(|alg| alg.is_symmetric());
        match (is_json, is_symmetric) {
            (_, true) => SecretJwk::parse(bytes).map(Known::Secret),
            (true, false) => PrivateJwk::parse(bytes).map(|pair| Known::Pair(Box::new(pair))),
            (false, false) => pkcs8::parse(bytes).map(|pair| Known::Pair(Box::new(pair))),
        }
    }
}

/// A known key.
enum Known {
    Pair(Box<PrivateJwk>),
    Secret(SecretJwk),
}

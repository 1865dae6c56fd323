//! `hsm-jose key adopt`

use std::path::PathBuf;
use std::str::FromStr;

use super::super::input::{self, MAX_KEYS};
use super::super::{Report, Setup};
use super::{Named, report};
use crate::backend::{DeviceInfo, Locator, percent_decode};
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
    /// The key in its token: a pkcs11: URI of id, object or both; what it says of the token must be
    /// true of the keystore's
    #[arg(long, value_name = "URI")]
    object: ObjectUri,
    /// The public key (JWK, PEM or DER, or a certificate), for a device that does not tell it
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
                Some(PublicJwk::from_any(&bytes).map_err(wrong)?)
            }
        };
        let keystore = setup.keystores.open(self.named.keystore(setup)?)?;
        self.object.check_token(&keystore.describe()?)?;
        let locator = self.object.locator.clone();
        let request = AdoptRequest { key: self.named.request(setup), locator, public };
        report(&adopt(&setup.keyring, keystore.as_ref(), &request)?, setup)
    }
}

/// An RFC 7512 URI of a key, with or without the attributes of its token.
#[derive(Clone, Debug)]
struct ObjectUri {
    locator: Locator,
    /// Attributes of the token: name and decoded value.
    token: Vec<(String, Vec<u8>)>,
}

impl ObjectUri {
    /// The keystore chooses the token; a URI that names another one is not to be followed.
    fn check_token(&self, device: &DeviceInfo) -> Result<()> {
        for (name, value) in &self.token {
            let told = match name.as_str() {
                "token" => &device.label,
                "manufacturer" => &device.manufacturer,
                "serial" => &device.serial,
                _ => &device.model,
            };
            if told.as_bytes() != value.as_slice() {
                return Err(Error::Usage(format!(
                    "the URI names a token whose {name} is {:?}, and that of the keystore is {told:?}: \
                     choose the keystore with --keystore",
                    String::from_utf8_lossy(value)
                )));
            }
        }
        Ok(())
    }
}

impl FromStr for ObjectUri {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.starts_with("file:") || text.starts_with("handle:") {
            let locator = text.parse();
            let locator =
                locator.map_err(|error: crate::backend::LocatorError| error.to_string())?;
            return Ok(Self { locator, token: Vec::new() });
        }
        let (mut token, mut object) = (Vec::new(), Vec::new());
        for attribute in text.strip_prefix("pkcs11:").unwrap_or(text).split(';') {
            match attribute.split_once('=') {
                Some((name @ ("token" | "manufacturer" | "serial" | "model"), value)) => {
                    let value = percent_decode(value).map_err(|error| error.to_string())?;
                    token.push((name.to_owned(), value));
                }
                _ => object.push(attribute),
            }
        }
        if !text.starts_with("pkcs11:") {
            return Err("not a pkcs11: URI, as pkcs11:object=name; a key of a TPM is \
                        file:NAME.pem or handle:0x81000001"
                .to_owned());
        }
        let locator = format!("pkcs11:{}", object.join(";")).parse();
        let locator = locator.map_err(|error: crate::backend::LocatorError| error.to_string())?;
        Ok(Self { locator, token })
    }
}

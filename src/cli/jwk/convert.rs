//! `hsm-jose jwk convert`

use clap::ValueEnum;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::Report;
use super::super::value::kid;
use super::Source;
use crate::error::{Error, Result};
use crate::jose::jwk::{JwkError, PublicJwk};
use crate::jose::{base64url, spki};

/// Write public keys in another form
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Write public keys in another form.\n\nA certificate becomes a JWK with x5c and \
                  x5t#S256; it is taken for its key, and not verified: `jwk check --anchors` does that.",
    after_help = "Example:\n  hsm-jose jwks | hsm-jose jwk convert --format pem --kid issuer-2026"
)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// What is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only the key with this kid
    #[arg(long, allow_hyphen_values = true, value_parser = kid)]
    kid: Option<String>,
}

/// The form of what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JWK, or a JWK Set of several keys
    #[default]
    Jwk,
    /// PEM "PUBLIC KEY", a block for each key
    Pem,
    /// DER SubjectPublicKeyInfo of one key
    Der,
    /// PEM "CERTIFICATE", the x5c of one key
    Certificates,
}

impl Args {
    pub(super) fn run(&self) -> Result<Report> {
        let mut keys = self.source.keys()?;
        if let Some(kid) = &self.kid {
            keys.retain(|jwk| jwk.kid.as_ref() == Some(kid));
            if keys.is_empty() {
                return Err(Error::KeyNotFound(format!("no key has the kid {kid:?}")));
            }
        }
        let wrong = |error: JwkError| Error::Usage(error.to_string());
        match self.format {
            Format::Jwk => Ok(jwk(&keys)),
            Format::Pem => {
                let blocks = keys.iter().map(|jwk| spki::to_pem(&jwk.key).map_err(wrong));
                let pem = blocks.collect::<Result<String>>()?;
                Ok(Report::new(pem.clone(), json!({ "pem": pem })))
            }
            Format::Der => {
                let der = spki::to_der(&one(&keys)?.key).map_err(wrong)?;
                let mut report = Report::new("", json!({ "der": base64url::encode(&der) }));
                report.text = Zeroizing::new(der);
                Ok(report)
            }
            Format::Certificates => {
                let chain = one(&keys)?.x5c.as_ref();
                let chain = chain.ok_or_else(|| Error::Usage("the key has no x5c".into()))?;
                let pem = chain.to_pem().map_err(|error| Error::Usage(error.to_string()))?;
                Ok(Report::new(pem.clone(), json!({ "pem": pem })))
            }
        }
    }
}

fn jwk(keys: &[PublicJwk]) -> Report {
    match keys {
        [jwk] => Report::new(Value::Object(jwk.to_members()).to_string(), json!({ "jwk": jwk })),
        _ => {
            let set = json!({ "keys": keys });
            Report::new(format!("{set:#}"), set)
        }
    }
}

fn one(keys: &[PublicJwk]) -> Result<&PublicJwk> {
    match keys {
        [jwk] => Ok(jwk),
        _ => Err(Error::Usage(format!(
            "{} keys, and this form has one: name it with --kid",
            keys.len()
        ))),
    }
}

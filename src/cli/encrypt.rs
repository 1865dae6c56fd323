//! `hsm-jose encrypt`

use std::path::PathBuf;

use serde_json::json;

use super::value::{Format, jwe_alg, jwe_enc};
use super::{Report, Setup, input};
use crate::engine::{self, EncryptOptions, load};
use crate::error::{Error, Result};
use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::jose::jwk::JwkSet;

/// Encrypt to a recipient's public key
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose encrypt --to partner.jwk message.txt > message.jwe")]
pub(super) struct Args {
    /// A public JWK or JWK Set; repeated, each is a recipient (general serialization)
    #[arg(long, value_name = "FILE", required = true)]
    to: Vec<PathBuf>,
    /// Take the key with this kid
    #[arg(long)]
    kid: Option<String>,
    /// Key management algorithm [default: the first that policy and key allow]
    #[arg(long, value_parser = jwe_alg)]
    alg: Option<KeyManagement>,
    /// Content encryption algorithm [default: the first that policy allows]
    #[arg(long, value_parser = jwe_enc)]
    enc: Option<ContentEncryption>,
    /// The typ of the header
    #[arg(long)]
    typ: Option<String>,
    /// The cty of the header
    #[arg(long)]
    cty: Option<String>,
    /// Agreement PartyUInfo, as text; ECDH-ES only
    #[arg(long)]
    apu: Option<String>,
    /// Agreement PartyVInfo, as text; ECDH-ES only
    #[arg(long)]
    apv: Option<String>,
    /// Additional authenticated data; JSON serializations only
    #[arg(long, value_name = "FILE")]
    aad: Option<PathBuf>,
    /// How the JWE is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The plaintext [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        self.format.only_compact()?;
        if self.aad.is_some() {
            return Err(Error::Usage("--aad is for the JSON serializations".into()));
        }
        let [to] = &self.to[..] else {
            return Err(Error::Usage(
                "several recipients are for the general serialization".into(),
            ));
        };
        let JwkSet { keys } = load::read_jwks(to)?;
        let recipients = load::recipients(JwkSet { keys }, self.kid.as_deref())?;
        let options = EncryptOptions {
            alg: self.alg,
            enc: self.enc,
            typ: self.typ.as_deref(),
            cty: self.cty.as_deref(),
            apu: self.apu.as_deref().unwrap_or_default().as_bytes(),
            apv: self.apv.as_deref().unwrap_or_default().as_bytes(),
        };
        let policy = load::policy(&setup.config)?;
        let plaintext = input::read_content(self.file.as_deref())?;
        let jwe = engine::encrypt(&policy, &recipients, &options, &plaintext)?;
        let json = json!({ "jwe": jwe });
        Ok(Report::token(jwe, json))
    }
}

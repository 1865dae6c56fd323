//! `hsm-jose encrypt`

use std::path::PathBuf;

use serde_json::json;

use super::value::{Format, jwe_alg, jwe_enc, kid};
use super::{Report, Setup, input};
use crate::engine::{self, EncryptOptions, Engine, load};
use crate::error::Result;
use crate::jose::alg::{ContentEncryption, KeyManagement};
use crate::jose::serialization::Serialization;
use crate::jwe::Recipient;

/// The largest additional authenticated data, in bytes: it is there to be sent along, as a header is.
const MAX_AAD: usize = 1024 * 1024;

/// Encrypt to the public keys of one or several recipients, or with a symmetric key
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose encrypt --to partner.jwk message.txt > message.jwe")]
pub(super) struct Args {
    /// A public key: JWK, PEM or DER, or a certificate; or a JWK Set, of which the first fitting key is
    /// taken; repeated, each is one recipient
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    to: Vec<PathBuf>,
    /// A symmetric key of the keyring, for whoever shares it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["to", "kid"])]
    key: Option<String>,
    /// Take the key with this kid
    #[arg(long, allow_hyphen_values = true, value_parser = kid)]
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
    #[arg(long, allow_hyphen_values = true)]
    apu: Option<String>,
    /// Agreement PartyVInfo, as text; ECDH-ES only
    #[arg(long, allow_hyphen_values = true)]
    apv: Option<String>,
    /// Additional authenticated data; JSON serializations only
    #[arg(long, value_name = "FILE")]
    aad: Option<PathBuf>,
    /// How the JWE is written [default: compact; flattened with --aad; general for several
    /// recipients]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The plaintext [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let recipients: Vec<Vec<Recipient>> = self
            .to
            .iter()
            .map(|to| load::recipients(load::read_jwks(to)?, self.kid.as_deref()))
            .collect::<Result<_>>()?;
        let recipients: Vec<&[Recipient]> = recipients.iter().map(|keys| &keys[..]).collect();
        let aad = match &self.aad {
            Some(path) => input::read(Some(path), MAX_AAD)?.to_vec(),
            None => Vec::new(),
        };
        let options = EncryptOptions {
            alg: self.alg,
            enc: self.enc,
            typ: self.typ.as_deref(),
            cty: self.cty.as_deref(),
            apu: self.apu.as_deref().unwrap_or_default().as_bytes(),
            apv: self.apv.as_deref().unwrap_or_default().as_bytes(),
            aad: &aad,
            serialization: self.serialization(),
        };
        let plaintext = input::read_content(self.file.as_deref())?;
        let jwe = match &self.key {
            Some(key) => {
                let engine = Engine::without_contexts(&setup.config)?;
                engine.encrypt_with(key, &options, &plaintext)?
            }
            None => {
                let policy = load::policy(&setup.config)?;
                engine::encrypt_to_all(&policy, &recipients, &options, &plaintext)?
            }
        };
        let json = json!({ "jwe": jwe });
        Ok(Report::token(jwe, json))
    }

    /// The one asked for, or the least that has a place for what is asked.
    fn serialization(&self) -> Serialization {
        match self.format {
            Some(format) => format.serialization(),
            None if self.to.len() > 1 => Serialization::General,
            None if self.aad.is_some() => Serialization::Flattened,
            None => Serialization::Compact,
        }
    }
}

//! `hsm-jose sign`

use std::path::PathBuf;

use serde_json::json;

use super::value::{Format, jws_alg};
use super::{Report, Setup, input};
use crate::engine::{Engine, SignOptions};
use crate::error::{Error, Result};
use crate::jose::alg::SignatureAlgorithm;
use crate::jws::{JwsForm, Signer, takes_reader};

/// Sign a payload
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hsm-jose sign --key issuer-sig payload.json > payload.jws
  hsm-jose sign --key issuer-sig --key notary --format general payload.json > payload.jws
  hsm-jose sign --key issuer-sig --detached --unencoded large.bin > large.jws")]
pub(super) struct Args {
    /// The signing key; with --format general it may repeat
    #[arg(long, value_name = "NAME", required = true)]
    key: Vec<String>,
    /// Signature algorithm, if the key is bound to several
    #[arg(long, value_parser = jws_alg)]
    alg: Option<SignatureAlgorithm>,
    /// The typ of the header
    #[arg(long)]
    typ: Option<String>,
    /// The cty of the header
    #[arg(long)]
    cty: Option<String>,
    /// A JSON object of more members for the protected header
    #[arg(long, value_name = "FILE")]
    protected: Option<PathBuf>,
    /// A member of --protected that recipients must understand; may repeat
    #[arg(long, value_name = "NAME")]
    crit: Vec<String>,
    /// A JSON object of members for the unprotected header of a JSON serialization
    #[arg(long, value_name = "FILE")]
    header: Option<PathBuf>,
    /// Leave the payload out of the JWS; a large one is read once, and not held in memory
    #[arg(long)]
    detached: bool,
    /// Sign the payload as it is, without base64url (RFC 7797)
    #[arg(long)]
    unencoded: bool,
    /// How the JWS is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The payload [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let engine = Engine::without_contexts(&setup.config)?;
        let signers = self.signers(&engine)?;
        let form = JwsForm {
            serialization: self.format.serialization(),
            detached: self.detached,
            unencoded: self.unencoded,
        };
        let file = self.file.as_deref();
        let jws = match self.detached && takes_reader(&signers) {
            true => engine.sign_reader(&signers, form, input::open_content(file)?)?,
            false => engine.sign_as(&signers, form, &input::read_content(file)?)?,
        };
        let json = json!({ "jws": jws });
        Ok(Report::token(jws, json))
    }

    fn signers<'e>(&self, engine: &'e Engine) -> Result<Vec<Signer<'e>>> {
        if self.key.len() > 1 && self.alg.is_some() {
            return Err(Error::Usage(
                "--alg is for one --key; several sign with the first of their own that policy allows"
                    .into(),
            ));
        }
        let options = SignOptions {
            alg: self.alg,
            typ: self.typ.as_deref(),
            cty: self.cty.as_deref(),
            detached: self.detached,
        };
        let protected = self.protected.as_deref().map(input::read_members).transpose()?;
        let header = self.header.as_deref().map(input::read_members).transpose()?;
        let signers = self.key.iter().map(|name| {
            let signer = engine.signer_named(name, &options)?;
            let signer = signer
                .with_protected(&protected.clone().unwrap_or_default())?
                .with_unprotected(&header.clone().unwrap_or_default())?;
            self.crit.iter().try_fold(signer, |signer, name| signer.with_critical(name))
        });
        signers.collect()
    }
}

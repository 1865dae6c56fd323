//! `hsm-jose sign`

use std::path::PathBuf;

use serde_json::json;

use super::value::{Format, jws_alg};
use super::{Report, Setup, input};
use crate::engine::SignOptions;
use crate::error::Result;
use crate::jose::alg::SignatureAlgorithm;

/// Sign a payload
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose sign --key issuer-sig payload.json > payload.jws")]
pub struct Args {
    /// The signing key
    #[arg(long, value_name = "NAME")]
    pub key: String,
    /// Signature algorithm, if the key is bound to several
    #[arg(long, value_parser = jws_alg)]
    pub alg: Option<SignatureAlgorithm>,
    /// The typ of the header
    #[arg(long)]
    pub typ: Option<String>,
    /// The cty of the header
    #[arg(long)]
    pub cty: Option<String>,
    /// Leave the payload out of the JWS
    #[arg(long)]
    pub detached: bool,
    /// How the JWS is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// The payload [default: stdin]
    pub file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: Setup) -> Result<Report> {
        self.format.only_compact()?;
        let payload = input::read_content(self.file.as_deref())?;
        let options = SignOptions {
            alg: self.alg,
            typ: self.typ.as_deref(),
            cty: self.cty.as_deref(),
            detached: self.detached,
        };
        let jws = setup.engine()?.sign(&self.key, &options, &payload)?;
        let json = json!({ "jws": jws });
        Ok(Report::token(jws, json))
    }
}

//! `hsm-jose sign`

use std::path::PathBuf;

use serde_json::json;

use super::value::{Format, jws_alg};
use super::{Report, Setup, input};
use crate::engine::{Engine, SignOptions};
use crate::error::Result;
use crate::jose::alg::SignatureAlgorithm;

/// Sign a payload
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose sign --key issuer-sig payload.json > payload.jws")]
pub(super) struct Args {
    /// The signing key
    #[arg(long, value_name = "NAME")]
    key: String,
    /// Signature algorithm, if the key is bound to several
    #[arg(long, value_parser = jws_alg)]
    alg: Option<SignatureAlgorithm>,
    /// The typ of the header
    #[arg(long)]
    typ: Option<String>,
    /// The cty of the header
    #[arg(long)]
    cty: Option<String>,
    /// Leave the payload out of the JWS
    #[arg(long)]
    detached: bool,
    /// How the JWS is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The payload [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        self.format.only_compact()?;
        let payload = input::read_content(self.file.as_deref())?;
        let options = SignOptions {
            alg: self.alg,
            typ: self.typ.as_deref(),
            cty: self.cty.as_deref(),
            detached: self.detached,
        };
        let engine = Engine::without_contexts(&setup.config)?;
        let jws = engine.sign(&self.key, &options, &payload)?;
        let json = json!({ "jws": jws });
        Ok(Report::token(jws, json))
    }
}

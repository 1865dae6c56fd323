//! `hsm-jose open`

use std::path::PathBuf;

use serde_json::json;

use super::{Report, Setup, input};
use crate::engine::Engine;
use crate::error::Result;
use crate::jwt::Opened;

/// Take a token of a context: decrypt it, verify it, and write its claims
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose open --context id_token token.jwt > claims.json")]
pub(super) struct Args {
    /// The context: what the token is
    #[arg(long, value_name = "NAME")]
    context: String,
    /// The token [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let token = input::read_token(self.file.as_deref())?;
        let engine = Engine::from_config(&setup.config)?;
        let opened = engine.open(&self.context, &token)?;
        let (verified, header, key) = match &opened {
            Opened::Verified(verified) => {
                (true, verified.header().members(), Some(verified.key().key.thumbprint()))
            }
            Opened::Unsigned(unsigned) => (false, unsigned.header().members(), None),
        };
        let json = json!({ "verified": verified, "header": header, "signer": key });
        let mut report = Report::verbatim("claims", opened.claims().json(), json);
        if !verified {
            report.notes.push("nobody signed these claims: the context takes them unsigned".into());
        }
        Ok(report)
    }
}

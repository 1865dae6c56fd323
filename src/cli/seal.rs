//! `hsm-jose seal`

use std::path::PathBuf;

use serde_json::json;

use super::{Report, Setup, input};
use crate::engine::{Engine, load};
use crate::error::Result;
use crate::jwt::Claims;

/// Make a token of a context: sign the claims, then encrypt them to the recipient
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose seal --context id_token --to partner claims.json")]
pub(super) struct Args {
    /// The context: what the token is
    #[arg(long, value_name = "NAME")]
    context: String,
    /// A registered recipient, or a file with its key: JWK, JWK Set, PEM or DER
    #[arg(long, value_name = "WHO")]
    to: String,
    /// The claims, a JSON object [default: stdin]
    file: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self, setup: &Setup) -> Result<Report> {
        let claims = input::read_content(self.file.as_deref())?;
        let engine = Engine::from_config(&setup.config)?;
        // An unknown context is the first thing to say, and a device the last to ask.
        let context = engine.context(&self.context)?;
        let recipient = match context.nesting.is_encrypted() {
            true => load::recipient(&setup.config, &self.to)?,
            false => load::audience_of(&setup.config, &self.to)?,
        };
        let claims = Claims::parse(&claims[..])?;
        let audience = recipient.audience.as_deref();
        let token = engine.seal(&self.context, &claims, &recipient.keys, audience)?;
        let json = json!({ "token": token });
        Ok(Report::token(token, json))
    }
}

//! `hsm-jose open`

use std::path::PathBuf;

/// Take a token of a context: decrypt it, verify it, and write its claims
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose open --context id_token token.jwt > claims.json")]
pub struct Args {
    /// The context: what the token is
    #[arg(long, value_name = "NAME")]
    pub context: String,
    /// The token [default: stdin]
    pub file: Option<PathBuf>,
}

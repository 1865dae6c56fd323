//! `hsm-jose seal`

use std::path::PathBuf;

/// Make a token of a context: sign the claims, then encrypt them to the recipient
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose seal --context id_token --to partner claims.json")]
pub struct Args {
    /// The context: what the token is
    #[arg(long, value_name = "NAME")]
    pub context: String,
    /// A registered recipient, or a file with its JWK or JWK Set
    #[arg(long, value_name = "WHO")]
    pub to: String,
    /// The claims, a JSON object [default: stdin]
    pub file: Option<PathBuf>,
}

//! `hsm-jose inspect`

use std::path::PathBuf;

/// Show a token's header, sizes and SHA-256; never its payload, with no key and no device
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose inspect token.jwt")]
pub struct Args {
    /// The token [default: stdin]
    pub file: Option<PathBuf>,
}

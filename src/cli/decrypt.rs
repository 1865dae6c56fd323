//! `hsm-jose decrypt`

use std::path::PathBuf;

/// Decrypt a JWE with the key its kid names
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose decrypt message.jwe > message.txt")]
pub struct Args {
    /// The key of a token that names none; it contradicts none that does
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// The JWE, in any serialization [default: stdin]
    pub file: Option<PathBuf>,
}

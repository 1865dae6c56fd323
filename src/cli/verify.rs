//! `hsm-jose verify`

use std::path::PathBuf;

/// Verify a JWS and write its payload
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose verify --keys issuer-jwks.json payload.jws")]
pub struct Args {
    /// The JWK or JWK Set of those whose signatures are accepted
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,
    /// The payload of a JWS that does not carry it
    #[arg(long, value_name = "PAYLOAD")]
    pub detached: Option<PathBuf>,
    /// The JWS, in any serialization [default: stdin]
    pub file: Option<PathBuf>,
}

//! `hsm-jose doctor`

/// Ask every keystore whether it is there and what it does, and check every key
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose doctor")]
pub struct Args {}

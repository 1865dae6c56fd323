//! `hsm-jose bench`

/// Measure the engine beside the bare device call, in one run
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hsm-jose bench")]
pub struct Args {}

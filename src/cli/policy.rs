//! `hsm-jose policy`

use std::path::PathBuf;

/// What policy allows
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Tell what a context allows, and why a token would be refused
    #[command(after_help = "Example:\n  hsm-jose policy explain --context id_token token.jwt")]
    Explain(ExplainArgs),
}

/// Arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The context [default: what commands outside a context take]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// A token to judge by its header
    pub file: Option<PathBuf>,
}
